/* SPDX-License-Identifier: MIT */
/* tn_mutex: a mutual exclusion lock for tasks. Its state word has LOCKED, and WAITED while a waiter is in the queue; WAITED is
 * never set alone outside the queue's lock. If there is no waiter, lock and unlock are one compare-and-swap each. Otherwise the
 * word stays LOCKED, and unlock hands the mutex over to the first waiter.
 *
 * WAITED is set and cleared under the queue's lock. If it is set before unlock's compare-and-swap, that fails, and unlock takes
 * the queue's lock. If it is set after it, the word is seen unlocked, and the locker takes the mutex itself. So no waiter waits
 * for an unlocked mutex. */
#include <tn/mutex.h>
#include <tn/scope.h>

#include "base/order.h"
#include "holder.h"
#include "waiters.h"

enum { LOCKED = 1, WAITED = 2 };

typedef struct {
    tni_a32 word;
    tni_waiters queue;
    tni_holder holder; /* written while LOCKED, by the thread that holds the mutex */
} lock_state;

_Static_assert(sizeof(lock_state) + 16 <= sizeof(tn_mutex) && _Alignof(lock_state) <= _Alignof(tn_mutex), "sized with slack");

static lock_state *impl_of(tn_mutex *mutex)
{
    return (lock_state *)(void *)&mutex->opaque;
}

void tn_mutex_init(tn_mutex *mutex)
{
    *mutex = (tn_mutex)TN_MUTEX_INIT;
}

void tn_mutex_fini(tn_mutex *mutex)
{
    lock_state *state = impl_of(mutex);

    /* Relaxed: the caller guarantees that no other thread uses it. */
    tni_assert(tni_a32_load(&state->word, TNI_RELAXED) == 0, "tn_mutex_fini: the mutex is held or waited for");
}

/* With ThreadSanitizer (base/order.h), and where holders are recorded (base/holders.h), the first compare-and-swap of a lock and
 * of an unlock fails. */
static int try_lock_slowly(lock_state *state)
{
    uint32_t word = 0;
    bool locked = tni_a32_cas(&state->word, &word, LOCKED, TNI_ACQUIRE); /* as in tn_mutex_try_lock */

    tni_order_acquire();
    if (locked)
        tni_holder_set(&state->holder);
    return locked ? 0 : TN_EAGAIN;
}

int tn_mutex_try_lock(tn_mutex *mutex)
{
    uint32_t word = tni_a32_load(&tni_holders_free, TNI_RELAXED); /* relaxed: any value is right (base/holders.c) */

    /* Observes what the last holder did; partner: tn_mutex_unlock. */
    if (tni_likely(tni_a32_cas(&impl_of(mutex)->word, &word, LOCKED, TNI_ACQUIRE)))
        return 0;
    return tni_unlikely(word == 0) ? try_lock_slowly(impl_of(mutex)) : TN_EAGAIN;
}

/* False: there is no waiter any more. True: the first waiter holds the mutex, which may have been freed. */
static bool pass_on(lock_state *state)
{
    tni_wake wake;

    tni_short_lock_acquire(&state->queue.lock);
    if (tni_waiters_is_empty(&state->queue)) {
        tni_short_lock_release(&state->queue.lock);
        return false;
    }
    /* Relaxed, and before the hand-over: the word still belongs to this thread, and the queue's lock publishes it. */
    if (tni_waiters_has_one_locked(&state->queue))
        tni_a32_store(&state->word, LOCKED, TNI_RELAXED);
    wake = tni_waiters_complete_first_locked(&state->queue, TNI_WAITER_GRANTED);
    tni_short_lock_release(&state->queue.lock);
    tni_wake_do(wake);
    return true;
}

void tn_mutex_unlock(tn_mutex *mutex)
{
    lock_state *state = impl_of(mutex);

    /* Relaxed: any value is right (base/holders.c). */
    for (uint32_t expected = tni_a32_load(&tni_holders_locked, TNI_RELAXED);; expected = LOCKED) {
        uint32_t word = expected;
        /* Publishes what the holder did; partner: tn_mutex_try_lock. */
        if (tni_likely(tni_a32_cas(&state->word, &word, 0, TNI_RELEASE)))
            return;
        tni_assert(word & LOCKED, "tn_mutex_unlock: the mutex is not locked");
        tni_order_release();
        tni_holder_clear(&state->holder);
        if (pass_on(state))
            return;
    }
}

static int queue_up(lock_state *state, tni_waiter *waiter, tn_waker *waker)
{
    tni_short_lock_acquire(&state->queue.lock);
    /* Publishes that there is a waiter, or observes that the mutex is free and what the last holder did; partner: the
     * compare-and-swap in tn_mutex_unlock. */
    if (!(tni_a32_fetch_or(&state->word, WAITED, TNI_ACQ_REL) & LOCKED)) {
        /* Relaxed: while WAITED is set no other thread takes the mutex, and none holds it. */
        tni_a32_store(&state->word, LOCKED, TNI_RELAXED);
        tni_short_lock_release(&state->queue.lock);
        return 0;
    }
    tni_waiters_push_locked(&state->queue, waiter, waker);
    tni_short_lock_release(&state->queue.lock);
    return TN_PENDING;
}

static int lock_poll(tn_future *self, tn_waker *waker)
{
    tn_mutex_future *future = tni_container_of(self, tn_mutex_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    lock_state *state = impl_of(future->mutex);
    int rc = tni_waiters_poll(&state->queue, waiter, waker);

    if (rc == TNI_TO_QUEUE_UP)
        rc = tni_budget_poll_leave(waker, queue_up(state, waiter, waker));
    if (rc == 0)
        tni_holder_set(&state->holder);
    return rc;
}

static void lock_drop(tn_future *self)
{
    tn_mutex_future *future = tni_container_of(self, tn_mutex_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    lock_state *state = impl_of(future->mutex);

    if (tni_waiters_leave(&state->queue, waiter)) {
        /* A holder that is about to unlock finds WAITED cleared, or an empty queue. Relaxed: publishes nothing. */
        if (tni_waiters_is_empty(&state->queue))
            (void)tni_a32_fetch_and(&state->word, ~(uint32_t)WAITED, TNI_RELAXED);
        tni_waiters_left_locked(&state->queue, waiter);
    } else if (tni_waiters_verdict(&state->queue, waiter) == TNI_WAITER_GRANTED) {
        tni_waiter_reset(waiter);
        tn_mutex_unlock(future->mutex);
    }
}

static const tn_future_ops lock_ops = {lock_poll, lock_drop, "mutex"};

const tni_holder *tni_mutex_awaited(const tn_future *awaited)
{
    if (awaited->ops != &lock_ops)
        return NULL;
    return &impl_of(tni_container_of(awaited, const tn_mutex_future, base)->mutex)->holder;
}

void tn_mutex_lock_init(tn_mutex_future *future, tn_mutex *mutex)
{
    future->base.ops = &lock_ops;
    future->mutex = mutex;
    tni_waiter_init(tni_waiter_of(&future->waiter), 1);
}

int tn_mutex_lock(tn_mutex *mutex)
{
    tn_mutex_future future;
    int rc = tni_budget_enter_inline();

    if (rc != 0 || tn_mutex_try_lock(mutex) == 0)
        return rc;
    tn_mutex_lock_init(&future, mutex);
    tni_waiter_in_frame(tni_waiter_of(&future.waiter));
    return tn_await(&future.base);
}

void tn_mutex_lock_always(tn_mutex *mutex)
{
    TN_SHIELD(shield, TN_NEVER);
    int rc = tn_mutex_lock(mutex);

    tni_assert(rc == 0, "tn_mutex_lock_always: a wait inside a shield has failed");
}
