/* SPDX-License-Identifier: MIT */
/* tn_async: sent from a signal handler and from threads, before and during the wait. No send is lost. */
/* ctest: timeout=120 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

#include <tn/async.h>
#include <tn/combine.h>
#include <tn/scope.h>

#include "support/allocator.h"
#include "support/runtime.h"

enum { HOUR_S = 3600 };

static tn_async *target;

static void handler(int number)
{
    (void)number;
    tn_async_send(target);
}

/* Raises the signal in this thread: the runtime's threads block it, and raise returns only after the handler. */
static void post_by_handler(int times)
{
    while (times-- > 0) {
        errno = 77;
        cr_assert_eq(raise(SIGUSR1), 0);
        cr_assert_eq(errno, 77);
    }
}

static void *wait_twice(void *arg)
{
    tt_check(tn_async_wait(target) == 0); /* sent before the wait; two sends count as one */
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check(tn_async_wait(target) == TN_ETIMEDOUT); /* the send was used up */
    }
    return arg;
}

static void *wait_for_handler(void *arg)
{
    tt_gate_open(arg);
    tt_check(tn_async_wait(target) == 0);
    return NULL;
}

Test(signal, a_handler_posts)
{
    struct sigaction action = {.sa_handler = handler};
    tn_runtime *runtime = tt_runtime_create();
    tt_gate waits = TT_GATE_INIT;
    struct sigaction before;
    tn_task *task;

    cr_assert_eq(sigaction(SIGUSR1, &action, &before), 0);
    cr_assert_eq(tn_async_open(&target, runtime), 0);
    for (int times = 1; times <= 2; times++) {
        post_by_handler(times);
        cr_assert_eq(tn_block_on(runtime, wait_twice, NULL, NULL), 0);
    }
    task = tt_spawn_on(runtime, wait_for_handler, &waits);
    tt_gate_wait(&waits, 1);
    tt_block_thread(5 * TN_MS); /* it usually waits by now; the test holds in both orders */
    post_by_handler(1);
    (void)tt_join(task);
    tn_async_close(target);
    tn_async_close(NULL);
    tt_runtime_destroy(runtime);
    cr_assert_eq(sigaction(SIGUSR1, &before, NULL), 0);
}

/* Round trips: each send is confirmed before the next one, so a lost one hangs the test. */
typedef struct {
    tn_async *ping;
    tn_async *pong;
    unsigned long rounds;
} court;

static void *answer_pings(void *arg)
{
    court *c = arg;

    for (unsigned long i = 0; i < c->rounds; i++) {
        tt_check(tn_async_wait(c->ping) == 0);
        tn_async_send(c->pong);
    }
    return NULL;
}

Test(signal, no_post_is_lost)
{
    tn_runtime *runtime = tt_runtime_create();
    court c = {.rounds = tt_scaled(5000)};
    tn_task *task;

    cr_assert_eq(tn_async_open(&c.ping, NULL), TN_EINVAL);
    cr_assert_eq(tn_async_open(&c.ping, runtime), 0);
    cr_assert_eq(tn_async_open(&c.pong, runtime), 0);
    task = tt_spawn_on(runtime, answer_pings, &c);
    for (unsigned long i = 0; i < c.rounds; i++) {
        tn_async_send(c.ping);
        cr_assert_eq(tn_async_wait(c.pong), 0); /* on a plain thread */
    }
    (void)tt_join(task);
    tn_async_close(c.ping);
    tn_async_close(c.pong);
    tt_runtime_destroy(runtime);
}

/* --- One waiter, cancellation ----------------------------------------------------------------------------------------------- */

static void *wait_once(void *arg)
{
    return (void *)(intptr_t)tn_async_wait(arg);
}

static void *one_waiter(void *arg)
{
    tn_async *signal;
    tn_async_future future;
    tn_sleep_future time;
    tn_future *futures[2] = {&future.base, &time.base};
    tn_task *task;

    tt_check(tn_async_open(&signal, NULL) == 0);
    task = tt_spawn(wait_once, signal);
    tn_async_wait_init(&future, signal);
    tn_sleep_init(&time, tn_now() + TN_MS);
    tt_check(tn_yield() == 0 && tn_sleep(TN_MS) == 0);
    tt_check(tn_async_wait(signal) == TN_EBUSY);
    tn_cancel(task);
    tt_check((intptr_t)tt_join(task) == TN_ECANCELED);
    tn_sleep_init(&time, tn_now() + TN_MS);
    tt_check(tn_select(futures, 2, NULL) == 1); /* the wait continues */
    tn_async_send(signal);
    tn_sleep_init(&time, tn_now() + HOUR_S * TN_S);
    tt_check(tn_race(futures, 2, NULL) == 0);
    tn_async_close(signal);
    return arg;
}

Test(signal, has_one_waiter_who_may_give_up)
{
    tt_run(one_waiter, NULL);
}

static void *open_and_close(void *arg)
{
    unsigned before = tt_files();

    for (int i = 0; i < 100; i++) {
        tn_async *signal;
        tt_check(tn_async_open(&signal, NULL) == 0);
        if (i % 2 == 0)
            tn_async_send(signal);
        if (i % 3 == 0) {
            TN_SCOPE(scope, tn_now() + TN_US);
            (void)tn_async_wait(signal);
        }
        tn_async_close(signal);
    }
    for (int i = 0; i < 1000 && tt_files() > before; i++)
        tt_check(tn_sleep(TN_MS) == 0); /* the loops close their files a little later */
    tt_check(tt_files() <= before);
    return arg;
}

Test(signal, closing_gives_the_file_back)
{
    tt_run(open_and_close, NULL);
}

/* Each allocation of the open fails in turn. */
Test(signal, a_failed_open_leaves_nothing)
{
    tn_options options = tt_options();
    tt_allocator allocator;
    tn_runtime *runtime;
    tn_async *signal;
    long failures = 0;
    int rc;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    do {
        unsigned files = tt_files();
        long blocks = atomic_load(&allocator.blocks);
        tt_allocator_fail(&allocator, failures + 1, 1);
        rc = tn_async_open(&signal, runtime);
        tt_allocator_fail(&allocator, 0, 0);
        if (rc == 0)
            break;
        cr_assert_eq(rc, TN_ENOMEM);
        cr_assert_null(signal);
        cr_assert_eq(tt_files(), files);
        cr_assert_eq(atomic_load(&allocator.blocks), blocks);
        failures++;
    } while (failures < 100);
    cr_assert_eq(rc, 0);
    cr_assert_geq(failures, 2); /* the wake itself and its registration */
    tn_async_close(signal);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}
