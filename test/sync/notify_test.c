/* SPDX-License-Identifier: MIT */
/* Notify: a notification that is kept, notify_all, and what happens to the notification of a cancelled waiter. */
#include <stdatomic.h>

#include "support/runtime.h"
#include "sync_support.h"

enum { QUEUE = 3 };

typedef struct {
    tn_notify notify;
    stand_in tasks[QUEUE];
    tn_notify_future futures[QUEUE];
} queue;

static void queue_init(queue *q)
{
    tn_notify_init(&q->notify);
    for (int i = 0; i < QUEUE; i++) {
        stand_in_init(&q->tasks[i]);
        tn_notify_wait_init(&q->futures[i], &q->notify);
        cr_assert_eq(poll_by(&q->futures[i].base, &q->tasks[i]), TN_PENDING);
    }
}

static void expect_told(queue *q, int i)
{
    cr_assert(stand_in_woken(&q->tasks[i]));
    cr_assert_eq(poll_by(&q->futures[i].base, &q->tasks[i]), 0);
    drop(&q->futures[i].base);
}

static void queue_fini(queue *q)
{
    cr_assert_eq(tn_notify_try_wait(&q->notify), TN_EAGAIN, "nothing was kept");
    tn_notify_fini(&q->notify);
    for (int i = 0; i < QUEUE; i++)
        cr_assert(stand_in_is_free(&q->tasks[i]));
}

Test(notify, one_after_the_other)
{
    queue q;

    queue_init(&q);
    for (int i = 0; i < QUEUE; i++) {
        tn_notify_one(&q.notify);
        expect_told(&q, i);
        for (int other = i + 1; other < QUEUE; other++)
            cr_assert(!stand_in_woken(&q.tasks[other]));
    }
    queue_fini(&q);
}

Test(notify, one_is_kept_and_not_two)
{
    tn_notify notify = TN_NOTIFY_INIT;

    tn_notify_one(&notify);
    tn_notify_one(&notify);
    cr_assert_eq(tn_notify_wait(&notify), 0);
    cr_assert_eq(tn_notify_try_wait(&notify), TN_EAGAIN);
    tn_notify_all(&notify);
    cr_assert_eq(tn_notify_try_wait(&notify), TN_EAGAIN, "all: nothing is kept");
    tn_notify_fini(&notify);
}

Test(notify, all_who_wait_now)
{
    queue q;
    tn_notify_future late;
    stand_in task;

    queue_init(&q);
    stand_in_init(&task);
    tn_notify_all(&q.notify);
    tn_notify_wait_init(&late, &q.notify);
    cr_assert_eq(poll_by(&late.base, &task), TN_PENDING);
    for (int i = 0; i < QUEUE; i++)
        expect_told(&q, i);
    drop(&late.base);
    queue_fini(&q);
}

/* Prepared before the notify_all and polled after it, a future counts as waiting. */
Test(notify, all_reaches_those_that_were_prepared)
{
    queue q;
    tn_notify_future prepared;

    queue_init(&q);
    tn_notify_wait_init(&prepared, &q.notify);
    tn_notify_all(&q.notify);
    cr_assert_eq(poll_by(&prepared.base, &q.tasks[0]), 0);
    for (int i = 0; i < QUEUE; i++)
        expect_told(&q, i);
    queue_fini(&q);
}

Test(notify, dropped_while_it_waits)
{
    queue q;

    queue_init(&q);
    drop(&q.futures[0].base);
    tn_notify_one(&q.notify);
    expect_told(&q, 1);
    drop(&q.futures[2].base);
    tn_notify_one(&q.notify);
    cr_assert_eq(tn_notify_try_wait(&q.notify), 0);
    queue_fini(&q);
}

/* A notification by notify_one is passed on, one by notify_all is not. */
Test(notify, dropped_when_it_has_been_told)
{
    queue q;

    queue_init(&q);
    tn_notify_one(&q.notify);
    drop(&q.futures[0].base);
    expect_told(&q, 1);
    tn_notify_all(&q.notify);
    drop(&q.futures[2].base);
    queue_fini(&q);
}

Test(notify, told_by_one_then_by_all_then_dropped)
{
    queue q;

    queue_init(&q);
    tn_notify_one(&q.notify);
    tn_notify_all(&q.notify);
    drop(&q.futures[0].base);
    expect_told(&q, 1);
    expect_told(&q, 2);
    cr_assert_eq(tn_notify_try_wait(&q.notify), 0, "the one is kept for the next");
    queue_fini(&q);
}

Test(notify, more_than_a_batch)
{
    enum { CROWD = 1000 };
    static tn_notify_future futures[CROWD];
    tn_notify notify = TN_NOTIFY_INIT;
    stand_in task;

    stand_in_init(&task);
    for (int i = 0; i < CROWD; i++) {
        tn_notify_wait_init(&futures[i], &notify);
        cr_assert_eq(poll_by(&futures[i].base, &task), TN_PENDING);
    }
    tn_notify_all(&notify);
    for (int i = 0; i < CROWD; i++)
        cr_assert_eq(poll_by(&futures[i].base, &task), 0);
    cr_assert(stand_in_is_free(&task));
}

/* --- A wait that yields before it begins ---------------------------------------------------------------------------------- */

static struct {
    tn_notify notify;
    int spent; /* operations before the wait */
    bool waits;
} tired;

static void *wait_tired(void *arg)
{
    tn_mutex mutex = TN_MUTEX_INIT;

    (void)arg;
    for (int i = 0; i < tired.spent; i++) {
        tt_check(tn_mutex_lock(&mutex) == 0);
        tn_mutex_unlock(&mutex);
    }
    tired.waits = true;
    tt_check(tn_notify_wait(&tired.notify) == 0);
    return NULL;
}

/* The wait's cancellation point may find the budget used up, and yield. Then come a notify_all, which ends the wait, and a
 * notify_one, whose notification is kept: the wait does not take both. */
static void *tell_the_tired(void *arg)
{
    (void)arg;
    for (tired.spent = 0; tired.spent < 300; tired.spent++) {
        tn_task *task;
        tn_notify_init(&tired.notify);
        tired.waits = false;
        task = tt_spawn(wait_tired, NULL);
        while (!tired.waits)
            tt_check(tn_yield() == 0);
        tn_notify_all(&tired.notify);
        tn_notify_one(&tired.notify);
        tt_join(task);
        tt_check(tn_notify_try_wait(&tired.notify) == 0);
        tn_notify_fini(&tired.notify);
    }
    return NULL;
}

Test(notify, told_with_all_it_takes_no_kept_one)
{
    run_on_one_worker(tell_the_tired, NULL);
}

/* --- All at once: a condition and its notification -------------------------------------------------------------------------- */

static struct {
    tn_notify changed;
    atomic_ulong produced;
    atomic_ulong consumed;
    unsigned long total;
} stock;

static void *consume(void *arg)
{
    (void)arg;
    while (atomic_load(&stock.consumed) < stock.total) {
        unsigned long have = atomic_load(&stock.consumed);
        if (have < atomic_load(&stock.produced)) {
            if (atomic_compare_exchange_strong(&stock.consumed, &have, have + 1) && have + 1 == stock.total)
                tn_notify_all(&stock.changed);
        } else {
            tn_notify_future future;
            tn_notify_wait_init(&future, &stock.changed);
            if (atomic_load(&stock.consumed) < atomic_load(&stock.produced) || atomic_load(&stock.consumed) == stock.total)
                drop(&future.base);
            else
                tt_check(tn_await(&future.base) == 0);
        }
    }
    return NULL;
}

static void *produce(void *arg)
{
    (void)arg;
    for (unsigned long i = 0; i < stock.total; i++) {
        atomic_fetch_add(&stock.produced, 1);
        tn_notify_one(&stock.changed);
        if (i % 64 == 0)
            tt_check(tn_yield() == 0);
    }
    return NULL;
}

Test(notify, no_notification_is_lost)
{
    enum { CONSUMERS = 3 };
    tn_runtime *runtime = tt_runtime_create();
    tn_task *tasks[CONSUMERS + 1];
    pthread_t thread;

    tn_notify_init(&stock.changed);
    stock.total = tt_scaled(50000);
    thread = tt_thread_start(consume, NULL);
    for (int i = 0; i < CONSUMERS; i++)
        tasks[i] = tt_spawn_on(runtime, consume, NULL);
    tasks[CONSUMERS] = tt_spawn_on(runtime, produce, NULL);
    for (int i = 0; i <= CONSUMERS; i++)
        tt_join(tasks[i]);
    tt_thread_join(thread);
    cr_assert_eq(atomic_load(&stock.consumed), stock.total);
    tt_runtime_destroy(runtime);
}

/* --- notify_all and notify_one at the same moment --------------------------------------------------------------------------- */

enum { SLEEPERS = 200 };

static struct {
    tn_notify start;
    atomic_ulong waiting;
    atomic_ulong told;
} dawn;

static void *sleep_twice(void *arg)
{
    tn_notify_future future;

    (void)arg;
    tn_notify_wait_init(&future, &dawn.start);
    atomic_fetch_add(&dawn.waiting, 1);
    tt_check(tn_await(&future.base) == 0);
    tt_check(tn_notify_wait(&dawn.start) == 0);
    atomic_fetch_add(&dawn.told, 1);
    return NULL;
}

/* Each is woken by notify_all, and then waits for a notification of its own, while the notify_all still wakes others. None of
 * the latter notifications may go to a wait that the notify_all ends. */
Test(notify, one_beside_a_long_all)
{
    tn_runtime *runtime = tt_runtime_create();

    for (unsigned long round = 0; round < tt_scaled(30); round++) {
        tn_task *tasks[SLEEPERS];
        tn_notify_init(&dawn.start);
        atomic_store(&dawn.waiting, 0);
        atomic_store(&dawn.told, 0);
        for (int i = 0; i < SLEEPERS; i++)
            tasks[i] = tt_spawn_on(runtime, sleep_twice, NULL);
        while (atomic_load(&dawn.waiting) < SLEEPERS)
            tn_yield();
        tn_notify_all(&dawn.start);
        /* At most one is kept while no task waits, so each is given only when the one before has arrived. */
        for (unsigned long i = 0; i < SLEEPERS; i++) {
            tn_notify_one(&dawn.start);
            while (atomic_load(&dawn.told) <= i)
                tn_yield();
        }
        for (int i = 0; i < SLEEPERS; i++)
            tt_join(tasks[i]);
        tn_notify_fini(&dawn.start);
    }
    tt_runtime_destroy(runtime);
}
