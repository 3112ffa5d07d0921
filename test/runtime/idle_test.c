/* SPDX-License-Identifier: MIT */
/* The idle protocol: which workers are parked, which search for work, and which one a submit wakes. */
/* ctest: timeout=120 */
#include <sched.h>
#include <stdatomic.h>

#include "base/thread.h"
#include "sched/idle.h"
#include "support/runtime.h"

Test(idle, marks_are_taken_once)
{
    for (unsigned cores = 1; cores <= TNI_WORKERS_MAX; cores = cores * 3 + 1) {
        static tni_idle idle;
        tni_idle_init(&idle, cores);
        cr_assert_eq(tni_idle_choose(&idle), -1); /* no worker is parked */
        for (unsigned i = 0; i < cores; i++) {
            cr_assert(!tni_idle_is_parked(&idle, i));
            cr_assert(!tni_idle_all_parked(&idle));
            tni_idle_park(&idle, i);
            cr_assert(tni_idle_is_parked(&idle, i));
        }
        cr_assert(tni_idle_all_parked(&idle));
        for (unsigned i = 0; i < cores; i++) {
            cr_assert(tni_idle_unpark(&idle, i));
            cr_assert(!tni_idle_unpark(&idle, i));
        }
        cr_assert(!tni_idle_is_parked(&idle, 0));
    }
}

Test(idle, one_is_woken_and_counts_as_searching)
{
    static tni_idle idle;

    tni_idle_init(&idle, 200);
    for (unsigned i = 0; i < 200; i++)
        tni_idle_park(&idle, i);
    for (unsigned i = 0; i < 200; i++) {
        int chosen = tni_idle_choose(&idle);
        cr_assert_geq(chosen, 0);
        cr_assert_lt(chosen, 200);
        cr_assert(!tni_idle_is_parked(&idle, (unsigned)chosen));
        cr_assert_eq(tni_idle_choose(&idle), -1);             /* one is searching already */
        cr_assert(!tni_idle_unpark(&idle, (unsigned)chosen)); /* the worker sees that it was chosen */
        cr_assert(tni_idle_is_searching(&idle, (unsigned)chosen));
        cr_assert_eq(tni_idle_search_end(&idle, (unsigned)chosen), TNI_SEARCH_LAST);
        cr_assert_eq(tni_idle_search_end(&idle, (unsigned)chosen), TNI_SEARCH_STRUCK); /* the second end does not count */
    }
    cr_assert_eq(tni_idle_choose(&idle), -1); /* no worker is left */
}

Test(idle, one_that_was_struck_keeps_nobody_from_being_woken)
{
    static tni_idle idle;
    int first;

    tni_idle_init(&idle, 40);
    tni_idle_park(&idle, 3);
    tni_idle_park(&idle, 39);
    first = tni_idle_choose(&idle);
    cr_assert_eq(tni_idle_choose(&idle), -1);
    cr_assert_eq(tni_idle_search_end(&idle, (unsigned)first), TNI_SEARCH_LAST); /* as another thread does it */
    cr_assert_eq(tni_idle_choose(&idle), first == 3 ? 39 : 3);
    cr_assert_eq(tni_idle_search_end(&idle, (unsigned)first), TNI_SEARCH_STRUCK); /* its own end takes no other's mark */
    cr_assert_eq(tni_idle_choose(&idle), -1);
}

Test(idle, a_few_search_at_a_time)
{
    for (unsigned cores = 1; cores <= 100; cores++) {
        static tni_idle idle;
        unsigned searching = 0;
        tni_idle_init(&idle, cores);
        while (tni_idle_search_begin(&idle, searching))
            searching++;
        cr_assert_eq(searching, (cores + 1) / 2); /* half of the busy workers */
        for (unsigned i = searching; i > 0; i--)
            cr_assert_eq(tni_idle_search_end(&idle, i - 1), i == 1 ? TNI_SEARCH_LAST : TNI_SEARCH_ENDED);
    }
}

/* --- Submitters and workers ----------------------------------------------------------------------------------------------- */

enum { WORKERS = 4, SUBMITTERS = 2, STRIKERS = 1, THREADS = WORKERS + SUBMITTERS + STRIKERS };

typedef struct {
    tni_idle idle;
    tni_a32 work;            /* stands for the queues: number of items */
    tni_a32 asleep[WORKERS]; /* futex */
    atomic_ulong done;
    unsigned long wanted;
    atomic_uint next_worker;
} office;

static bool take_work(office *o)
{
    uint32_t old = tni_a32_load(&o->work, TNI_RELAXED);

    while (old > 0)
        if (tni_a32_cas(&o->work, &old, old - 1, TNI_ACQ_REL))
            return true;
    return false;
}

static void wake(office *o, int chosen)
{
    if (chosen < 0)
        return;
    tni_a32_store(&o->asleep[chosen], 0, TNI_RELEASE);
    tni_futex_wake(&o->asleep[chosen], 1);
}

static bool is_over(office *o)
{
    return atomic_load(&o->done) >= o->wanted;
}

static void end_search(office *o, unsigned me, bool *searching, bool found)
{
    if (!*searching)
        return;
    *searching = false;
    if (tni_idle_search_end(&o->idle, me) != TNI_SEARCH_LAST || !found)
        return;
    tni_fence_full();
    if (tni_a32_load(&o->work, TNI_RELAXED) > 0)
        wake(o, tni_idle_choose(&o->idle));
}

/* Works as worker.c does. It sleeps longer than submit() waits, so that a lost wake fails the test. */
static void *work(void *arg)
{
    office *o = arg;
    unsigned me = atomic_fetch_add(&o->next_worker, 1);
    bool searching = false;

    while (!is_over(o)) {
        if (!searching)
            searching = tni_idle_search_begin(&o->idle, me);
        if (searching && take_work(o)) {
            end_search(o, me, &searching, true);
            if (atomic_fetch_add(&o->done, 1) + 1 == o->wanted)
                for (int i = 0; i < WORKERS; i++)
                    wake(o, i);
            continue;
        }
        tni_a32_store(&o->asleep[me], 1, TNI_RELAXED);
        tni_idle_park(&o->idle, me);
        end_search(o, me, &searching, false);
        tni_fence_full();
        if (tni_a32_load(&o->work, TNI_RELAXED) == 0 && !is_over(o))
            while (tni_a32_load(&o->asleep[me], TNI_ACQUIRE) != 0 && !is_over(o))
                tni_futex_wait(&o->asleep[me], 1, tni_clock_ns() + (is_over(o) ? 0 : 60 * TN_S));
        if (!tni_idle_unpark(&o->idle, me))
            searching = true;
    }
    end_search(o, me, &searching, false);
    return NULL;
}

static void *submit(void *arg)
{
    office *o = arg;

    for (unsigned long i = 0; i < o->wanted / SUBMITTERS; i++) {
        (void)tni_a32_fetch_add(&o->work, 1, TNI_RELEASE);
        tni_fence_full();
        wake(o, tni_idle_choose(&o->idle));
        /* Waits until no item is left: the workers go to sleep meanwhile, and no other thread would wake them. */
        if (i % 4 == 0)
            for (uint64_t limit_ns = tni_clock_ns() + 30 * TN_S; tni_a32_load(&o->work, TNI_RELAXED) > 0;) {
                tt_check(tni_clock_ns() < limit_ns);
                sched_yield(); /* to a worker, if there are fewer processors than threads */
            }
    }
    return NULL;
}

/* Does what the monitor does with a worker that seems to get no processor. */
static void *strike(void *arg)
{
    office *o = arg;

    for (unsigned core = 0; !is_over(o); core = (core + 1) % WORKERS) {
        (void)tni_idle_search_end(&o->idle, core);
        if (tni_idle_unpark(&o->idle, core))
            wake(o, (int)core);
        tni_fence_full();
        if (tni_a32_load(&o->work, TNI_RELAXED) > 0)
            wake(o, tni_idle_choose(&o->idle));
        tt_block_thread(TN_MS / 10);
    }
    return NULL;
}

static void run_office(office *o, unsigned threads_wanted)
{
    void *(*const what[THREADS])(void *) = {work, work, work, work, submit, submit, strike};
    pthread_t threads[THREADS];

    tni_idle_init(&o->idle, WORKERS);
    o->wanted = tt_scaled(100000) / SUBMITTERS * SUBMITTERS;
    for (unsigned i = 0; i < threads_wanted; i++)
        threads[i] = tt_thread_start(what[i], o);
    for (unsigned i = 0; i < threads_wanted; i++)
        tt_thread_join(threads[i]);
    cr_assert_eq(atomic_load(&o->done), o->wanted);
    for (unsigned core = 0; core < WORKERS; core++)
        cr_assert(!tni_idle_is_searching(&o->idle, core));
}

Test(idle, no_submit_is_slept_through)
{
    static office o;

    run_office(&o, WORKERS + SUBMITTERS);
}

Test(idle, nor_while_searchers_are_struck)
{
    static office o;

    run_office(&o, THREADS);
}
