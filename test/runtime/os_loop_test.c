/* SPDX-License-Identifier: MIT */
/* The OS layer for libuv: timeouts hold, wakes are kept. */
#include <dlfcn.h>
#include <stdatomic.h>

#include "os/os_loop.h"
#include "support/runtime.h"

static uint64_t delay_ns; /* that the thread loses between arming the timeout and running the loop */

typedef int (*timer_start_fn)(uv_timer_t *, uv_timer_cb, uint64_t, uint64_t);

/* Stands before libuv's own. */
int uv_timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t timeout, uint64_t repeat)
{
    timer_start_fn original;
    int rc;

    *(void **)&original = dlsym(RTLD_NEXT, "uv_timer_start");
    rc = original(timer, callback, timeout, repeat);
    if (delay_ns > 0)
        tt_block_thread(delay_ns);
    return rc;
}

static void open_loop(tni_os_loop *loop)
{
    cr_assert_eq(tni_os_loop_open(loop), 0);
}

Test(os_loop, a_timeout_ends_the_run)
{
    tni_os_loop loop;

    open_loop(&loop);
    for (int i = 0; i < 20; i++) {
        uint64_t begin_ns = tn_now();
        tni_os_loop_run(&loop, 3 * TN_MS);
        cr_assert_geq(tn_now() - begin_ns, 2 * TN_MS); /* it may return early, but not as a rule */
    }
    tni_os_loop_run(&loop, 0);
    tni_os_loop_run(&loop, 1);
    tni_os_loop_close(&loop);
}

/* The time is up before the loop runs: the timeout must not be lost. */
Test(os_loop, a_timeout_that_has_passed_ends_the_run, .timeout = 20)
{
    tni_os_loop loop;

    open_loop(&loop);
    delay_ns = 3 * TN_MS;
    tni_os_loop_run(&loop, TN_MS / 2);
    tni_os_loop_run(&loop, TN_MS);
    delay_ns = 0;
    tni_os_loop_run(&loop, TN_MS); /* and the next one is as ever */
    tni_os_loop_close(&loop);
}

Test(os_loop, a_wake_before_the_run_is_kept, .timeout = 20)
{
    tni_os_loop loop;

    open_loop(&loop);
    for (int i = 0; i < 100; i++) {
        tni_os_loop_wake(&loop);
        tni_os_loop_run(&loop, UINT64_MAX);
    }
    tni_os_loop_close(&loop);
}

typedef struct {
    tni_os_loop loop;
    atomic_ulong wakes;
    atomic_ulong runs;
    unsigned long wanted;
} woken;

static void *wake_each_run(void *arg)
{
    woken *w = arg;

    for (unsigned long i = 0; i < w->wanted; i++) {
        atomic_fetch_add(&w->wakes, 1);
        tni_os_loop_wake(&w->loop);
        while (atomic_load(&w->runs) <= i)
            tn_yield();
    }
    return NULL;
}

/* Each wake has to end a run: the next one comes only after that. */
Test(os_loop, wakes_from_another_thread, .timeout = 60)
{
    woken w = {.wanted = tt_scaled(20000)};
    pthread_t thread;

    open_loop(&w.loop);
    thread = tt_thread_start(wake_each_run, &w);
    for (unsigned long i = 0; i < w.wanted; i++) {
        while (atomic_load(&w.wakes) <= i)
            tni_os_loop_run(&w.loop, UINT64_MAX);
        atomic_fetch_add(&w.runs, 1);
    }
    tt_thread_join(thread);
    tni_os_loop_close(&w.loop);
}
