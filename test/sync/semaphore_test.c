/* SPDX-License-Identifier: MIT */
/* The semaphore: order, acquiring many, closing, forgetting; no permit is ever lost. */
/* ctest: timeout=180 */
#include <stdatomic.h>
#include <stdlib.h>

#include "support/runtime.h"
#include "sync_support.h"

/* --- Order of waiters, polled by hand --------------------------------------------------------------------------------------- */

enum { QUEUE = 4 };

typedef struct {
    tn_semaphore semaphore;
    stand_in tasks[QUEUE];
    tn_semaphore_future futures[QUEUE];
} queue;

/* Each waiter wants its number of permits; none is available. */
static void queue_init(queue *q, const uint64_t *wanted)
{
    tn_semaphore_init(&q->semaphore, 0);
    for (int i = 0; i < QUEUE; i++) {
        stand_in_init(&q->tasks[i]);
        tn_semaphore_acquire_init(&q->futures[i], &q->semaphore, wanted[i]);
        cr_assert_eq(poll_by(&q->futures[i].base, &q->tasks[i]), TN_PENDING);
    }
}

static void queue_fini(queue *q)
{
    tn_semaphore_fini(&q->semaphore);
    for (int i = 0; i < QUEUE; i++)
        cr_assert(stand_in_is_free(&q->tasks[i]));
}

/* The waiters from `first` to `last` have been granted what they want, and no other was woken. */
static void expect_granted(queue *q, int first, int last)
{
    for (int i = 0; i < QUEUE; i++) {
        bool meant = i >= first && i <= last;
        cr_assert_eq(stand_in_woken(&q->tasks[i]), meant, "waiter %d", i);
        if (meant)
            cr_assert_eq(poll_by(&q->futures[i].base, &q->tasks[i]), 0);
        if (meant)
            drop(&q->futures[i].base);
    }
}

Test(semaphore, who_wants_many_is_not_overtaken)
{
    queue q;

    queue_init(&q, (uint64_t[]){3, 1, 1, 2});
    tn_semaphore_release(&q.semaphore, 2);
    expect_granted(&q, -1, -1);
    cr_assert_eq(tn_semaphore_try_acquire(&q.semaphore, 1), TN_EAGAIN);
    tn_semaphore_release(&q.semaphore, 2);
    expect_granted(&q, 0, 1);
    tn_semaphore_release(&q.semaphore, 4);
    expect_granted(&q, 2, 3);
    cr_assert_eq(tn_semaphore_available(&q.semaphore), 1);
    cr_assert_eq(tn_semaphore_try_acquire(&q.semaphore, 1), 0);
    queue_fini(&q);
}

/* When the first leaves, those behind it may be satisfied with what is available. */
Test(semaphore, dropped_while_it_waits)
{
    queue q;

    queue_init(&q, (uint64_t[]){3, 1, 1, 2});
    tn_semaphore_release(&q.semaphore, 2);
    drop(&q.futures[0].base);
    expect_granted(&q, 1, 2);
    drop(&q.futures[3].base);
    cr_assert_eq(tn_semaphore_available(&q.semaphore), 0);
    tn_semaphore_release(&q.semaphore, 1);
    cr_assert_eq(tn_semaphore_available(&q.semaphore), 1);
    queue_fini(&q);
}

Test(semaphore, dropped_when_it_has_been_granted)
{
    queue q;

    queue_init(&q, (uint64_t[]){3, 1, 1, 2});
    tn_semaphore_release(&q.semaphore, 3);
    cr_assert(stand_in_woken(&q.tasks[0]));
    drop(&q.futures[0].base);
    expect_granted(&q, 1, 2);
    tn_semaphore_release(&q.semaphore, 1);
    expect_granted(&q, 3, 3);
    cr_assert_eq(tn_semaphore_available(&q.semaphore), 0);
    queue_fini(&q);
}

Test(semaphore, closed_with_waiters)
{
    queue q;

    queue_init(&q, (uint64_t[]){1, 2, 3, 4});
    tn_semaphore_release(&q.semaphore, 1); /* granted to the first, which keeps it */
    tn_semaphore_close(&q.semaphore);
    cr_assert_eq(poll_by(&q.futures[0].base, &q.tasks[0]), 0);
    for (int i = 1; i < QUEUE; i++) {
        cr_assert(stand_in_woken(&q.tasks[i]));
        if (i < 3)
            cr_assert_eq(poll_by(&q.futures[i].base, &q.tasks[i]), TN_EPIPE);
        drop(&q.futures[i].base); /* the last one was not polled */
    }
    cr_assert_eq(tn_semaphore_try_acquire(&q.semaphore, 1), TN_EPIPE);
    cr_assert_eq(tn_semaphore_acquire(&q.semaphore, 1), TN_EPIPE);
    queue_fini(&q);
}

Test(semaphore, stays_closed)
{
    tn_semaphore semaphore = TN_SEMAPHORE_INIT(5);
    tn_permit permit;

    tn_semaphore_close(&semaphore);
    cr_assert_eq(tn_semaphore_forget(&semaphore, 2), 2);
    cr_assert_eq(tn_semaphore_try_acquire(&semaphore, 1), TN_EPIPE);
    tn_semaphore_release(&semaphore, 10);
    cr_assert_eq(tn_semaphore_available(&semaphore), 13);
    cr_assert_eq(tn_semaphore_forget(&semaphore, 100), 13);
    cr_assert_eq(tn_semaphore_try_acquire(&semaphore, 1), TN_EPIPE);
    cr_assert_eq(tn_semaphore_acquire(&semaphore, 1), TN_EPIPE);
    cr_assert_eq(tn_permit_acquire(&permit, &semaphore, 1), TN_EPIPE);
    cr_assert_eq(permit.count, 0);
    tn_semaphore_fini(&semaphore);
}

Test(semaphore, closed_and_released_between_grant_and_drop)
{
    queue q;

    queue_init(&q, (uint64_t[]){1, 1, 1, 1});
    tn_semaphore_release(&q.semaphore, 1);
    tn_semaphore_close(&q.semaphore);
    drop(&q.futures[0].base);
    cr_assert_eq(tn_semaphore_available(&q.semaphore), 1, "the permit came back, and went to nobody");
    for (int i = 1; i < QUEUE; i++)
        cr_assert_eq(poll_by(&q.futures[i].base, &q.tasks[i]), TN_EPIPE);
    queue_fini(&q);
}

Test(semaphore, owned_permits)
{
    tn_semaphore semaphore = TN_SEMAPHORE_INIT(10);
    tn_permit all;
    tn_permit part;

    cr_assert_eq(tn_permit_acquire(&all, &semaphore, 10), 0);
    part = tn_permit_split(&all, 4);
    tn_permit_release(&part);
    tn_permit_release(&part);
    cr_assert_eq(tn_semaphore_available(&semaphore), 4);
    part = tn_permit_split(&all, 5);
    tn_permit_forget(&all);
    tn_permit_release(&all);
    tn_permit_merge(&all, &part);
    tn_permit_release(&part);
    cr_assert_eq(tn_semaphore_available(&semaphore), 4);
    tn_permit_release(&all);
    cr_assert_eq(tn_semaphore_available(&semaphore), 9);
    tn_semaphore_fini(&semaphore);
}

/* --- A million -------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_future base;
    tn_semaphore_future acquire;
} crowd_future;

static struct {
    tn_semaphore gate;
    atomic_ulong waiting;
    atomic_ulong passed;
} crowd;

static int crowd_poll(tn_future *self, tn_waker *waker)
{
    crowd_future *future = (crowd_future *)(void *)self;
    int rc = future->acquire.base.ops->poll(&future->acquire.base, waker);

    if (rc == TN_PENDING) {
        atomic_fetch_add(&crowd.waiting, 1);
        return rc;
    }
    tt_check(rc == 0);
    atomic_fetch_add(&crowd.passed, 1);
    return 0;
}

static void crowd_drop(tn_future *self)
{
    drop(&((crowd_future *)(void *)self)->acquire.base);
}

static bool all_wait(void *arg)
{
    return atomic_load(&crowd.waiting) == *(unsigned long *)arg;
}

static bool all_passed(void *arg)
{
    return atomic_load(&crowd.passed) == *(unsigned long *)arg;
}

/* Each is polled first from this thread, so that their order in the queue is known. */
static void gather(unsigned long count, crowd_future *futures)
{
    static const tn_future_ops ops = {crowd_poll, crowd_drop};

    tn_semaphore_init(&crowd.gate, 0);
    for (unsigned long i = 0; i < count; i++) {
        futures[i].base.ops = &ops;
        tn_semaphore_acquire_init(&futures[i].acquire, &crowd.gate, 1);
    }
}

Test(semaphore, a_million_waiters)
{
    unsigned long count = tt_scaled(1000000);
    crowd_future *futures = calloc(count, sizeof *futures);
    tn_runtime *runtime = tt_runtime_create();

    cr_assert_not_null(futures);
    gather(count, futures);
    for (unsigned long i = 0; i < count; i++)
        cr_assert_eq(tn_spawn_future(runtime, NULL, NULL, &futures[i].base), 0);
    cr_assert(tt_wait_until(all_wait, &count, 60 * TN_S));
    tn_semaphore_release(&crowd.gate, count / 2);
    count /= 2;
    cr_assert(tt_wait_until(all_passed, &count, 60 * TN_S));
    count = tt_scaled(1000000);
    for (unsigned long i = count / 2; i < count; i++)
        tn_semaphore_release(&crowd.gate, 1);
    cr_assert(tt_wait_until(all_passed, &count, 60 * TN_S));
    tt_runtime_destroy(runtime);
    tn_semaphore_fini(&crowd.gate);
    free(futures);
}

/* The same, polled by hand: the grants come in the order of the queue, whatever batches the release makes. */
Test(semaphore, a_million_waiters_in_order)
{
    unsigned long count = tt_scaled(1000000);
    crowd_future *futures = calloc(count, sizeof *futures);
    stand_in task;

    cr_assert_not_null(futures);
    stand_in_init(&task);
    gather(count, futures);
    for (unsigned long i = 0; i < count; i++)
        cr_assert_eq(poll_by(&futures[i].acquire.base, &task), TN_PENDING);
    for (unsigned long done = 0, step = 1; done < count; step = step * 3 + 1) {
        unsigned long now = step < count - done ? step : count - done;
        tn_semaphore_release(&crowd.gate, now);
        for (unsigned long i = 0; i < now; i++)
            cr_assert_eq(poll_by(&futures[done + i].acquire.base, &task), 0);
        done += now;
        if (done < count)
            cr_assert_eq(poll_by(&futures[done].acquire.base, &task), TN_PENDING);
    }
    cr_assert(stand_in_is_free(&task));
    free(futures);
}

/* --- All at once ------------------------------------------------------------------------------------------------------------ */

enum { PERMITS = 5 };

static struct {
    tn_semaphore semaphore;
    atomic_long inside;
    atomic_ulong times;
} busy;

static void *enter_until_cancelled(void *arg)
{
    uint64_t wanted = (uint64_t)(uintptr_t)arg;

    while (tn_semaphore_acquire(&busy.semaphore, wanted) == 0) {
        tt_check(atomic_fetch_add(&busy.inside, (long)wanted) + (long)wanted <= PERMITS);
        atomic_fetch_add(&busy.times, 1);
        if (wanted == 2)
            (void)tn_yield();
        atomic_fetch_sub(&busy.inside, (long)wanted);
        tn_semaphore_release(&busy.semaphore, wanted);
    }
    return NULL;
}

/* Cancelled at any moment; afterwards all permits are available. */
Test(semaphore, no_permit_is_lost)
{
    enum { CROWD = 9 };
    tn_runtime *runtime = tt_runtime_create();

    tn_semaphore_init(&busy.semaphore, PERMITS);
    for (unsigned long round = 0; round < tt_scaled(500); round++) {
        tn_task *tasks[CROWD];
        for (uintptr_t i = 0; i < CROWD; i++)
            tasks[i] = tt_spawn_on(runtime, enter_until_cancelled, (void *)(i % 3 + 1));
        for (int i = 0; i < CROWD; i++) {
            if (round % 2 == 0)
                tn_yield();
            tn_cancel(tasks[i]);
        }
        for (int i = 0; i < CROWD; i++)
            tt_join(tasks[i]);
        cr_assert_eq(tn_semaphore_available(&busy.semaphore), PERMITS);
    }
    tn_semaphore_fini(&busy.semaphore);
    tt_runtime_destroy(runtime);
}

static void *enter_often(void *arg)
{
    for (unsigned long i = 0; i < tt_scaled(20000); i++) {
        uint64_t wanted = (uint64_t)(uintptr_t)arg;
        tt_check(tn_semaphore_acquire(&busy.semaphore, wanted) == 0);
        tt_check(atomic_fetch_add(&busy.inside, (long)wanted) + (long)wanted <= PERMITS);
        atomic_fetch_sub(&busy.inside, (long)wanted);
        tn_semaphore_release(&busy.semaphore, wanted);
    }
    return NULL;
}

Test(semaphore, fibers_and_threads)
{
    enum { KIND = 4 };
    tn_runtime *runtime = tt_runtime_create();
    tn_task *tasks[KIND];
    pthread_t threads[KIND];

    tn_semaphore_init(&busy.semaphore, PERMITS);
    for (uintptr_t i = 0; i < KIND; i++) {
        tasks[i] = tt_spawn_on(runtime, enter_often, (void *)(i + 1));
        threads[i] = tt_thread_start(enter_often, (void *)(i + 1));
    }
    for (int i = 0; i < KIND; i++) {
        tt_join(tasks[i]);
        tt_thread_join(threads[i]);
    }
    cr_assert_eq(tn_semaphore_available(&busy.semaphore), PERMITS);
    tn_semaphore_fini(&busy.semaphore);
    tt_runtime_destroy(runtime);
}
