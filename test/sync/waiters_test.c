/* SPDX-License-Identifier: MIT */
/* The queue of waiters and the short lock below all primitives. */
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "support/child.h"
#include "support/runtime.h"
#include "sync_support.h"
#include "waiters.h"

enum { QUEUE = 100 };

typedef struct {
    tni_waiters queue;
    stand_in tasks[QUEUE];
    tni_waiter waiters[QUEUE];
} crowd;

static void crowd_init(crowd *c)
{
    memset(&c->queue, 0, sizeof c->queue);
    tni_short_lock_acquire(&c->queue.lock);
    for (int i = 0; i < QUEUE; i++) {
        stand_in_init(&c->tasks[i]);
        tni_waiter_init(&c->waiters[i], 0);
        tni_waiters_push_locked(&c->queue, &c->waiters[i], tni_task_waker(&c->tasks[i].task));
    }
}

/* The first `count` have been completed, and the others wait. */
static void expect_told(crowd *c, int count)
{
    for (int i = 0; i < QUEUE; i++) {
        cr_assert_eq(tni_waiter_state(&c->waiters[i]), i < count ? TNI_WAITER_GRANTED : TNI_WAITER_QUEUED, "waiter %d", i);
        cr_assert_eq(stand_in_woken(&c->tasks[i]), i < count);
        cr_assert_eq(stand_in_is_free(&c->tasks[i]), i < count);
    }
}

Test(waiters, those_that_come_later_stay)
{
    crowd c;

    for (int count = 0; count <= QUEUE; count += 33) {
        crowd_init(&c);
        tni_waiters_complete_until_locked(&c.queue, c.waiters[0].ticket + (uint64_t)count - 1, TNI_WAITER_GRANTED);
        expect_told(&c, count);
        tni_short_lock_acquire(&c.queue.lock); /* it was released */
        tni_waiters_complete_all_locked(&c.queue, TNI_WAITER_CLOSED);
        cr_assert(tni_waiters_is_empty(&c.queue));
        cr_assert_null(c.queue.list.last);
    }
}

/* Waiters leave the queue in any order; those that remain are completed in order. */
Test(waiters, leave_from_anywhere)
{
    crowd c;

    crowd_init(&c);
    tni_short_lock_release(&c.queue.lock);
    for (int i = 0; i < QUEUE; i += 2) {
        int left = (i * 7) % QUEUE;
        cr_assert(tni_waiters_leave(&c.queue, &c.waiters[left]));
        tni_waiters_left_locked(&c.queue, &c.waiters[left]);
        cr_assert(!tni_waiters_leave(&c.queue, &c.waiters[left]));
        cr_assert(stand_in_is_free(&c.tasks[left]));
    }
    tni_short_lock_acquire(&c.queue.lock);
    for (int i = 1; i < QUEUE; i += 2) {
        cr_assert_eq(tni_waiters_first_locked(&c.queue), &c.waiters[i]);
        tni_wake_do(tni_waiters_complete_first_locked(&c.queue, TNI_WAITER_GRANTED));
    }
    cr_assert(tni_waiters_is_empty(&c.queue));
    tni_short_lock_release(&c.queue.lock);
}

/* --- A verdict is not returned before the thread that gave it has released the lock ----------------------------------------- */

static struct {
    tni_waiters queue;
    tni_waiter waiter;
    bool drop;
    atomic_bool answered;
} late;

static void *look_at_it(void *arg)
{
    (void)arg;
    if (late.drop)
        tt_check(!tni_waiters_leave(&late.queue, &late.waiter));
    else
        tt_check(tni_waiters_verdict(&late.queue, &late.waiter) == TNI_WAITER_GRANTED);
    atomic_store(&late.answered, true);
    return NULL;
}

Test(waiters, a_verdict_outlasts_the_lock)
{
    for (int drop_it = 0; drop_it < 2; drop_it++) {
        stand_in task;
        pthread_t thread;
        tni_wake wake;
        memset(&late, 0, sizeof late);
        late.drop = drop_it != 0;
        stand_in_init(&task);
        tni_waiter_init(&late.waiter, 0);
        tni_short_lock_acquire(&late.queue.lock);
        tni_waiters_push_locked(&late.queue, &late.waiter, tni_task_waker(&task.task));
        wake = tni_waiters_complete_first_locked(&late.queue, TNI_WAITER_GRANTED);
        thread = tt_thread_start(look_at_it, NULL);
        tt_block_thread(20 * TN_MS); /* time for a wrong return; a correct one depends on no time */
        cr_assert(!atomic_load(&late.answered));
        tni_short_lock_release(&late.queue.lock);
        tt_thread_join(thread);
        cr_assert(atomic_load(&late.answered));
        tni_wake_do(wake);
        cr_assert(stand_in_is_free(&task));
    }
}

static void *leave_it(void *arg)
{
    (void)arg;
    tt_check(tni_waiters_leave(&late.queue, &late.waiter));
    tni_waiters_left_locked(&late.queue, &late.waiter);
    atomic_store(&late.answered, true);
    return NULL;
}

static bool is_out(void *arg)
{
    bool out;

    (void)arg;
    tni_short_lock_acquire(&late.queue.lock);
    out = tni_waiters_is_empty(&late.queue);
    tni_short_lock_release(&late.queue.lock);
    return out;
}

/* As if a thread that completes many waiters had released the lock for a moment. */
Test(waiters, who_leaves_outlasts_a_settler_that_returns)
{
    stand_in task;
    pthread_t thread;

    stand_in_init(&task);
    tni_waiter_init(&late.waiter, 0);
    tni_short_lock_acquire(&late.queue.lock);
    tni_waiters_push_locked(&late.queue, &late.waiter, tni_task_waker(&task.task));
    tni_a32_store(&late.queue.returning, 1, TNI_RELAXED);
    tni_short_lock_release(&late.queue.lock);
    thread = tt_thread_start(leave_it, NULL);
    cr_assert(tt_wait_until(is_out, NULL, 30 * TN_S));
    tt_block_thread(20 * TN_MS); /* as above */
    cr_assert(!atomic_load(&late.answered));
    tni_short_lock_acquire(&late.queue.lock);
    tni_a32_store(&late.queue.returning, 0, TNI_RELAXED);
    tni_short_lock_release(&late.queue.lock);
    tt_thread_join(thread);
    cr_assert(stand_in_is_free(&task));
}

/* --- The short lock --------------------------------------------------------------------------------------------------------- */

static struct {
    tni_short_lock lock;
    unsigned long count;
} counted;

static void *count_up(void *arg)
{
    (void)arg;
    for (unsigned long i = 0; i < tt_scaled(100000); i++) {
        tni_short_lock_acquire(&counted.lock);
        counted.count++;
        tni_short_lock_release(&counted.lock);
    }
    return NULL;
}

Test(waiters, the_short_lock_excludes)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        threads[i] = tt_thread_start(count_up, NULL);
    for (int i = 0; i < THREADS; i++)
        tt_thread_join(threads[i]);
    cr_assert_eq(counted.count, THREADS * tt_scaled(100000));
}

/* --- Debug builds: functions that need the lock ----------------------------------------------------------------------------- */

#ifndef NDEBUG

static tni_waiters bare;

static void push_without_lock(void *arg)
{
    tni_waiter waiter = {.borrowed = true};

    tni_waiters_push_locked(&bare, &waiter, arg);
}

static void push_after_release(void *arg)
{
    tni_short_lock_acquire(&bare.lock);
    tni_short_lock_release(&bare.lock);
    push_without_lock(arg);
}

static void complete_without_lock(void *arg)
{
    (void)arg;
    tni_waiters_complete_all_locked(&bare, TNI_WAITER_GRANTED);
}

static void acquire_twice(void *arg)
{
    (void)arg;
    tni_short_lock_acquire(&bare.lock);
    tni_short_lock_acquire(&bare.lock);
}

static void release_unheld(void *arg)
{
    (void)arg;
    tni_short_lock_release(&bare.lock);
}

static void expect_refused(void (*fn)(void *), const char *message)
{
    child_end end = child_run(fn, NULL);

    cr_assert(child_killed_by(end, SIGABRT), "%s: %s", message, end.text);
    cr_assert_not_null(strstr(end.text, message), "%s", end.text);
}

Test(waiters, a_missing_lock_aborts)
{
    expect_refused(push_without_lock, "tni_waiters_push_locked: the calling thread does not hold the short lock");
    expect_refused(push_after_release, "does not hold the short lock");
    expect_refused(complete_without_lock, "does not hold the short lock");
    expect_refused(acquire_twice, "a thread takes a short lock that it holds");
    expect_refused(release_unheld, "a thread gives back what it does not hold");
}

#endif
