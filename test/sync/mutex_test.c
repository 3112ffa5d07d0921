/* SPDX-License-Identifier: MIT */
/* The mutex: order, hand-over, cancellation and fairness, used from fibers, stackless tasks and threads. */
/* ctest: timeout=120 */
#include <stdatomic.h>

#include "support/runtime.h"
#include "sync_support.h"

/* --- Order of waiters, polled by hand --------------------------------------------------------------------------------------- */

enum { QUEUE = 4 };

typedef struct {
    tn_mutex mutex;
    stand_in tasks[QUEUE];
    tn_mutex_future futures[QUEUE];
} queue;

/* The mutex is held, and all wait for it. */
static void queue_init(queue *q)
{
    q->mutex = (tn_mutex)TN_MUTEX_INIT;
    cr_assert_eq(tn_mutex_try_lock(&q->mutex), 0);
    for (int i = 0; i < QUEUE; i++) {
        stand_in_init(&q->tasks[i]);
        tn_mutex_lock_init(&q->futures[i], &q->mutex);
        cr_assert_eq(poll_by(&q->futures[i].base, &q->tasks[i]), TN_PENDING);
    }
}

static void queue_fini(queue *q)
{
    tn_mutex_fini(&q->mutex);
    for (int i = 0; i < QUEUE; i++)
        cr_assert(stand_in_is_free(&q->tasks[i]));
}

/* `i` has been handed the lock, and no other waiter was woken. It takes the lock. */
static void expect_next(queue *q, int i)
{
    for (int other = 0; other < QUEUE; other++)
        cr_assert_eq(stand_in_woken(&q->tasks[other]), other == i, "%d instead of %d", other, i);
    cr_assert_eq(poll_by(&q->futures[i].base, &q->tasks[i]), 0);
    drop(&q->futures[i].base);
    cr_assert_eq(tn_mutex_try_lock(&q->mutex), TN_EAGAIN, "a drop after the answer keeps it");
}

Test(mutex, is_handed_on_in_order)
{
    queue q;

    queue_init(&q);
    for (int i = 0; i < QUEUE; i++) {
        cr_assert_eq(poll_by(&q.futures[i].base, &q.tasks[i]), TN_PENDING, "a poll too many changes nothing");
        tn_mutex_unlock(&q.mutex);
        expect_next(&q, i);
    }
    tn_mutex_unlock(&q.mutex);
    queue_fini(&q);
}

/* Cancelled before the hand-over: the waiter leaves the queue, wherever in the queue it is. */
Test(mutex, dropped_while_it_waits)
{
    for (int left = 0; left < QUEUE; left++) {
        queue q;
        queue_init(&q);
        drop(&q.futures[left].base);
        for (int i = 0; i < QUEUE; i++) {
            if (i == left)
                continue;
            tn_mutex_unlock(&q.mutex);
            expect_next(&q, i);
        }
        tn_mutex_unlock(&q.mutex);
        queue_fini(&q);
    }
}

/* Cancelled after the hand-over, before it was polled: the lock goes to the next waiter. */
Test(mutex, dropped_when_it_has_been_handed_over)
{
    queue q;

    queue_init(&q);
    for (int i = 0; i + 1 < QUEUE; i += 2) {
        tn_mutex_unlock(&q.mutex);
        cr_assert(stand_in_woken(&q.tasks[i]));
        drop(&q.futures[i].base);
        expect_next(&q, i + 1);
    }
    tn_mutex_unlock(&q.mutex);
    queue_fini(&q);
}

Test(mutex, all_that_wait_leave)
{
    queue q;

    queue_init(&q);
    for (int i = 0; i < QUEUE; i++)
        drop(&q.futures[(i * 3) % QUEUE].base);
    tn_mutex_unlock(&q.mutex);
    cr_assert_eq(tn_mutex_try_lock(&q.mutex), 0);
    tn_mutex_unlock(&q.mutex);
    queue_fini(&q);
}

Test(mutex, polled_with_another_waker)
{
    queue q;
    stand_in other;

    queue_init(&q);
    stand_in_init(&other);
    cr_assert_eq(poll_by(&q.futures[0].base, &other), TN_PENDING);
    cr_assert(stand_in_is_free(&q.tasks[0]));
    tn_mutex_unlock(&q.mutex);
    cr_assert(stand_in_woken(&other));
    cr_assert(!stand_in_woken(&q.tasks[0]));
    cr_assert_eq(poll_by(&q.futures[0].base, &other), 0);
    for (int i = 1; i < QUEUE; i++)
        drop(&q.futures[i].base);
    tn_mutex_unlock(&q.mutex);
    queue_fini(&q);
}

/* No caller overtakes a waiter that has been handed the lock and not been polled since. */
Test(mutex, cannot_be_barged)
{
    queue q;

    queue_init(&q);
    tn_mutex_unlock(&q.mutex);
    cr_assert_eq(tn_mutex_try_lock(&q.mutex), TN_EAGAIN);
    for (int i = 0; i < QUEUE; i++) {
        expect_next(&q, i);
        tn_mutex_unlock(&q.mutex);
    }
    queue_fini(&q);
}

/* --- Cancellation of a fiber that waits ------------------------------------------------------------------------------------- */

static struct {
    tn_mutex mutex;
    bool cancel_first;
    int answer;
} cancelled;

static void *lock_once(void *arg)
{
    (void)arg;
    cancelled.answer = tn_mutex_lock(&cancelled.mutex);
    if (cancelled.answer == 0)
        tn_mutex_unlock(&cancelled.mutex);
    return NULL;
}

static void *cancel_and_unlock(void *arg)
{
    tn_task *task;

    (void)arg;
    tt_check(tn_mutex_lock(&cancelled.mutex) == 0);
    task = tt_spawn(lock_once, NULL);
    let_others_run();
    if (cancelled.cancel_first)
        tn_cancel(task);
    tn_mutex_unlock(&cancelled.mutex);
    if (!cancelled.cancel_first)
        tn_cancel(task);
    tt_join(task);
    tt_check(cancelled.answer == TN_ECANCELED);
    tt_check(tn_mutex_try_lock(&cancelled.mutex) == 0);
    tn_mutex_unlock(&cancelled.mutex);
    tn_mutex_fini(&cancelled.mutex);
    return NULL;
}

Test(mutex, cancelled_before_the_unlock)
{
    cancelled.cancel_first = true;
    run_on_one_worker(cancel_and_unlock, NULL);
}

Test(mutex, cancelled_after_the_unlock)
{
    cancelled.cancel_first = false;
    run_on_one_worker(cancel_and_unlock, NULL);
}

/* --- A lock that cannot fail ------------------------------------------------------------------------------------------------ */

static void *lock_always(void *arg)
{
    TN_SCOPE(expired, tn_now());

    tt_check_eq(tn_checkpoint(), arg != NULL ? TN_ECANCELED : TN_ETIMEDOUT);
    tn_mutex_lock_always(&cancelled.mutex);
    tt_check_eq(tn_mutex_try_lock(&cancelled.mutex), TN_EAGAIN);
    cancelled.answer++;
    tn_mutex_unlock(&cancelled.mutex);
    return NULL;
}

static void *cancel_what_locks_always(void *arg)
{
    tn_task *task;

    cancelled.answer = 0;
    tt_check_eq(tn_mutex_lock(&cancelled.mutex), 0);
    task = tt_spawn(lock_always, &cancelled);
    tn_cancel(task);
    let_others_run();
    tn_cancel(task); /* while it waits, too */
    let_others_run();
    tt_check_eq(cancelled.answer, 0);
    tn_mutex_unlock(&cancelled.mutex);
    tt_join(task);
    tt_check_eq(cancelled.answer, 1);
    tn_mutex_fini(&cancelled.mutex);
    return arg;
}

Test(mutex, locked_always)
{
    run_on_one_worker(cancel_what_locks_always, NULL);
    cr_assert_null(lock_always(NULL)); /* in a plain thread */
    cr_assert_eq(cancelled.answer, 2);
}

/* --- Fairness --------------------------------------------------------------------------------------------------------------- */

enum { LOCKERS = 64 };

static struct {
    tn_mutex mutex;
    atomic_ulong acquisitions; /* of all tasks */
    unsigned long longest;     /* under the mutex: the most acquisitions during one wait */
    unsigned long in_all;      /* under the mutex: the sum over all waits */
    unsigned long each;
} fair;

/* Notes the number of acquisitions when a poll first returned TN_PENDING: from then on it is in the queue. */
typedef struct {
    tn_future base;
    tn_mutex_future lock;
    bool waited;
    unsigned long before;
} noting_future;

static int noting_poll(tn_future *self, tn_waker *waker)
{
    noting_future *future = (noting_future *)(void *)self;
    int rc = future->lock.base.ops->poll(&future->lock.base, waker);

    if (rc == TN_PENDING && !future->waited) {
        future->waited = true;
        future->before = atomic_load(&fair.acquisitions);
    }
    return rc;
}

static void noting_drop(tn_future *self)
{
    drop(&((noting_future *)(void *)self)->lock.base);
}

static void *lock_often(void *arg)
{
    static const tn_future_ops ops = {noting_poll, noting_drop};

    (void)arg;
    for (unsigned long i = 0; i < fair.each; i++) {
        noting_future future = {.base = {&ops}, .waited = false};
        unsigned long now;
        tn_mutex_lock_init(&future.lock, &fair.mutex);
        tt_check(tn_await(&future.base) == 0);
        now = atomic_fetch_add(&fair.acquisitions, 1);
        if (future.waited && now - future.before > fair.longest)
            fair.longest = now - future.before;
        fair.in_all += future.waited ? now - future.before : 0;
        tt_check(tn_yield() == 0); /* meanwhile all the others queue up */
        tn_mutex_unlock(&fair.mutex);
    }
    return NULL;
}

Test(mutex, sixty_four_wait_about_equally_long)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_task *tasks[LOCKERS];

    fair.each = tt_scaled(300);
    for (int i = 0; i < LOCKERS; i++)
        tasks[i] = tt_spawn_on(runtime, lock_often, NULL);
    for (int i = 0; i < LOCKERS; i++)
        tt_join(tasks[i]);
    cr_assert_eq(atomic_load(&fair.acquisitions), LOCKERS * fair.each);
    /* A waiter is overtaken by no task: at most all others go first. */
    cr_assert_leq(fair.longest, LOCKERS, "%lu", fair.longest);
    cr_assert_gt(fair.longest, 0);
    cr_assert_leq(fair.longest * LOCKERS * fair.each, 8 * fair.in_all, "%lu, in all %lu", fair.longest, fair.in_all);
    tt_runtime_destroy(runtime);
}

/* --- All at once ------------------------------------------------------------------------------------------------------------ */

static struct {
    tn_mutex mutex;
    unsigned long inside;  /* under the mutex */
    unsigned long entered; /* under the mutex */
    unsigned long each;
} mixed;

static void pass(void)
{
    tt_check(mixed.inside++ == 0);
    mixed.entered++;
    tt_check(--mixed.inside == 0);
}

static void *pass_often(void *arg)
{
    (void)arg;
    for (unsigned long i = 0; i < mixed.each; i++) {
        tt_check(tn_mutex_lock(&mixed.mutex) == 0);
        pass();
        tn_mutex_unlock(&mixed.mutex);
    }
    return NULL;
}

typedef struct {
    tn_future base;
    tn_mutex_future lock;
    unsigned long left;
} passing_future;

static int passing_poll(tn_future *self, tn_waker *waker)
{
    passing_future *future = (passing_future *)(void *)self;

    while (future->left > 0) {
        int rc = future->lock.base.ops->poll(&future->lock.base, waker);
        if (rc == TN_PENDING)
            return rc;
        tt_check(rc == 0);
        pass();
        tn_mutex_unlock(&mixed.mutex);
        drop(&future->lock.base);
        tn_mutex_lock_init(&future->lock, &mixed.mutex);
        future->left--;
    }
    return 0;
}

static void passing_drop(tn_future *self)
{
    drop(&((passing_future *)(void *)self)->lock.base);
}

Test(mutex, fibers_stackless_tasks_and_threads)
{
    static const tn_future_ops ops = {passing_poll, passing_drop};
    enum { KIND = 4 };
    passing_future futures[KIND];
    tn_runtime *runtime = tt_runtime_create();
    tn_task *tasks[2 * KIND];
    pthread_t threads[KIND];

    mixed.each = tt_scaled(5000);
    for (int i = 0; i < KIND; i++) {
        tasks[i] = tt_spawn_on(runtime, pass_often, NULL);
        futures[i] = (passing_future){.base = {&ops}, .left = mixed.each};
        tn_mutex_lock_init(&futures[i].lock, &mixed.mutex);
        cr_assert_eq(tn_spawn_future(runtime, NULL, &tasks[KIND + i], &futures[i].base), 0);
        threads[i] = tt_thread_start(pass_often, NULL);
    }
    for (int i = 0; i < 2 * KIND; i++)
        tt_join(tasks[i]);
    for (int i = 0; i < KIND; i++)
        tt_thread_join(threads[i]);
    cr_assert_eq(mixed.entered, 3 * KIND * mixed.each);
    tn_mutex_fini(&mixed.mutex);
    tt_runtime_destroy(runtime);
}

/* Cancelled at any moment: a task to which the lock call returned 0 holds the mutex alone, and the mutex is never lost. */
static void *lock_until_cancelled(void *arg)
{
    unsigned long *done = arg;

    while (tn_mutex_lock(&mixed.mutex) == 0) {
        pass();
        ++*done;
        tn_mutex_unlock(&mixed.mutex);
        if (tn_yield() != 0)
            break;
    }
    return NULL;
}

Test(mutex, lockers_are_cancelled_at_any_moment)
{
    enum { CROWD = 8 };
    tn_runtime *runtime = tt_runtime_create();

    for (unsigned long round = 0; round < tt_scaled(300); round++) {
        unsigned long done[CROWD] = {0};
        tn_task *tasks[CROWD];
        for (int i = 0; i < CROWD; i++)
            tasks[i] = tt_spawn_on(runtime, lock_until_cancelled, &done[i]);
        for (int i = 0; i < CROWD; i++) {
            if (i % 3 == 0)
                cr_assert_eq(tn_mutex_lock(&mixed.mutex), 0);
            tn_cancel(tasks[i]);
            if (i % 3 == 0)
                tn_mutex_unlock(&mixed.mutex);
        }
        for (int i = 0; i < CROWD; i++)
            tt_join(tasks[i]);
        cr_assert_eq(tn_mutex_try_lock(&mixed.mutex), 0);
        tn_mutex_unlock(&mixed.mutex);
    }
    tt_runtime_destroy(runtime);
}

/* --- Misuse ----------------------------------------------------------------------------------------------------------------- */

static void unlock_a_free_one(void *arg)
{
    tn_mutex mutex = TN_MUTEX_INIT;

    (void)arg;
    tn_mutex_unlock(&mutex);
}

static void end_a_held_one(void *arg)
{
    tn_mutex mutex = TN_MUTEX_INIT;

    (void)arg;
    (void)tn_mutex_try_lock(&mutex);
    tn_mutex_fini(&mutex);
}

Test(mutex, misuse_stops_the_program)
{
    tt_child child = tt_fork(unlock_a_free_one, NULL);

    cr_assert(tt_child_aborted(&child, "tn_mutex_unlock: the mutex is not locked"));
    child = tt_fork(end_a_held_one, NULL);
    cr_assert(tt_child_aborted(&child, "tn_mutex_fini: the mutex is held"));
}
