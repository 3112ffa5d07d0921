/* SPDX-License-Identifier: MIT */
/* The OS layer for the kernel's view of a thread: whether a thread sleeps, and the processor time of another thread. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/thread.h"
#include "os/os_sleeper.h"
#include "os/os_thread.h"
#include "support/runtime.h"

typedef struct {
    _Atomic int id;
    tni_thread_clock clock;
    tt_gate begins;
    tt_gate ends;
} sleeper;

static void *sleep_here(void *arg)
{
    sleeper *s = arg;

    tt_check(pthread_setname_np(pthread_self(), "a) R (b") == 0);
    tni_thread_clock_init(&s->clock);
    atomic_store(&s->id, tni_os_thread_id());
    tt_gate_open(&s->begins);
    tt_gate_wait(&s->ends, 1);
    return NULL;
}

static bool sleeps(void *arg)
{
    return tni_os_thread_sleeps(atomic_load(&((sleeper *)arg)->id));
}

static pthread_t start_sleeper(sleeper *s)
{
    pthread_t thread = tt_thread_start(sleep_here, s);

    tt_gate_wait(&s->begins, 1);
    return thread;
}

/* A name may look like the end of the name and a state. */
Test(os_thread, sleeps)
{
    sleeper s = {.begins = TT_GATE_INIT, .ends = TT_GATE_INIT};
    pthread_t thread = start_sleeper(&s);

    cr_assert(tt_wait_until(sleeps, &s, 20 * TN_S));
    tt_gate_open(&s.ends);
    tt_thread_join(thread);
    cr_assert(sleeps(&s)); /* a thread that has ended */
}

static bool is_found(void *arg)
{
    tni_os_sleeper at;

    return tni_os_sleeper_find(atomic_load(&((sleeper *)arg)->id), &at);
}

/* Its stack pointer is on its stack; and once it has run, it has not slept all the time. */
Test(os_thread, where_it_sleeps)
{
    sleeper s = {.begins = TT_GATE_INIT, .ends = TT_GATE_INIT};
    pthread_t thread = start_sleeper(&s);
    pthread_attr_t attributes;
    tni_os_sleeper at;
    void *base;
    size_t size;

    cr_assert(tt_wait_until(sleeps, &s, 20 * TN_S));
    cr_assert(tt_wait_until(is_found, &s, 20 * TN_S));
    cr_assert(tni_os_sleeper_find(atomic_load(&s.id), &at));
    cr_assert(tni_os_sleeper_still(atomic_load(&s.id), &at));
    cr_assert_eq(pthread_getattr_np(thread, &attributes), 0);
    cr_assert_eq(pthread_attr_getstack(&attributes, &base, &size), 0);
    pthread_attr_destroy(&attributes);
    cr_assert(at.sp > (uintptr_t)base && at.sp < (uintptr_t)base + size);
    at.runs--;
    cr_assert(!tni_os_sleeper_still(atomic_load(&s.id), &at));
    tt_gate_open(&s.ends);
    tt_thread_join(thread);
    cr_assert(!is_found(&s)); /* a thread that has ended */
}

static void *look_at_itself(void *arg)
{
    static const char *const names[] = {"runs", ") S (", "(((", ")))", ") S"};
    tni_os_sleeper at;

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        tt_check(pthread_setname_np(pthread_self(), names[i]) == 0);
        tt_check(!tni_os_thread_sleeps(tni_os_thread_id()));
        tt_check(!tni_os_sleeper_find(tni_os_thread_id(), &at));
    }
    return arg;
}

Test(os_thread, runs)
{
    tt_thread_join(tt_thread_start(look_at_itself, NULL));
}

/* Read by a thread that runs, it shows the time of the one that sleeps. */
Test(os_thread, a_clock_is_that_of_its_thread)
{
    sleeper s = {.begins = TT_GATE_INIT, .ends = TT_GATE_INIT};
    pthread_t thread = start_sleeper(&s);
    tni_thread_clock mine;
    uint64_t before_ns;
    uint64_t mine_before_ns;

    tni_thread_clock_init(&mine);
    cr_assert(tt_wait_until(sleeps, &s, 20 * TN_S));
    before_ns = tni_thread_clock_ns(&s.clock);
    mine_before_ns = tni_thread_clock_ns(&mine);
    cr_assert_gt(before_ns, 0);
    while (tni_thread_clock_ns(&mine) - mine_before_ns < 20 * TN_MS)
        ;
    cr_assert_lt(tni_thread_clock_ns(&s.clock) - before_ns, 10 * TN_MS);
    tt_gate_open(&s.ends);
    tt_thread_join(thread);
}
