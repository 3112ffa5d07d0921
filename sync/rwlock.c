/* SPDX-License-Identifier: MIT */
/* tn_rwlock: a lock that many readers or one writer hold. Its state word has WRITER, or the number of readers, and WAITED while
 * a waiter is in the queue. While WAITED is set no thread takes the lock by the word alone. Readers may still unlock by it,
 * except the last one, which takes the queue's lock first. So a thread that holds the queue's lock and sees readers knows that
 * one of them will come and grant the lock to the queue. */
#include <tn/rwlock.h>
#include <tn/scope.h>

#include "base/order.h"
#include "holder.h"
#include "waiters.h"

#define WAITED UINT64_C(1)
#define WRITER UINT64_C(2)
#define READER UINT64_C(4)

/* tni_waiter.wanted. */
enum { TO_READ, TO_WRITE };

typedef struct {
    tni_a64 word;
    tni_waiters queue;
    tni_holder holder; /* written while WRITER, by the thread that writes */
} rwlock_state;

_Static_assert(sizeof(rwlock_state) + 16 <= sizeof(tn_rwlock) && _Alignof(rwlock_state) <= _Alignof(tn_rwlock), "with slack");

static rwlock_state *impl_of(tn_rwlock *lock)
{
    return (rwlock_state *)(void *)&lock->opaque;
}

void tn_rwlock_init(tn_rwlock *lock)
{
    *lock = (tn_rwlock)TN_RWLOCK_INIT;
}

void tn_rwlock_fini(tn_rwlock *lock)
{
    /* Relaxed: the caller guarantees that no other thread uses it. */
    tni_assert(tni_a64_load(&impl_of(lock)->word, TNI_RELAXED) == 0, "tn_rwlock_fini: the lock is held or waited for");
}

int tn_rwlock_try_read(tn_rwlock *lock)
{
    rwlock_state *state = impl_of(lock);
    /* Relaxed: the CAS verifies it. */
    uint64_t word = tni_a64_load(&state->word, TNI_RELAXED);

    do {
        if (word & (WAITED | WRITER))
            return TN_EAGAIN;
        /* Observes what the last writer did; partner: tn_rwlock_write_unlock. */
    } while (!tni_a64_cas(&state->word, &word, word + READER, TNI_ACQUIRE));
    tni_order_acquire();
    return 0;
}

/* After an attempt to write, with ThreadSanitizer or where holders are recorded. */
static void write_slowly(rwlock_state *state, int rc)
{
    tni_order_acquire();
    if (rc == 0)
        tni_holder_set(&state->holder);
}

int tn_rwlock_try_write(tn_rwlock *lock)
{
    uint64_t word = 0;
    /* Observes what earlier holders did; partners: tn_rwlock_read_unlock, tn_rwlock_write_unlock. */
    int rc = tni_a64_cas(&impl_of(lock)->word, &word, WRITER, TNI_ACQUIRE) ? 0 : TN_EAGAIN;

    if (tni_holders_or_order_is_on())
        write_slowly(impl_of(lock), rc);
    return rc;
}

/* WAITED is set: takes the lock for a waiter, if the present holders allow it. */
static bool try_take_locked(rwlock_state *state, uint64_t wanted)
{
    tni_short_lock_assert_held(&state->queue.lock);
    /* Observes what earlier holders did, for the waiter that gets the lock; partners: tn_rwlock_read_unlock,
     * tn_rwlock_write_unlock. */
    uint64_t word = tni_a64_load(&state->word, TNI_ACQUIRE);

    if ((word & WRITER) || (wanted == TO_WRITE && word >= READER))
        return false;
    /* Relaxed: readers may unlock meanwhile, no other thread changes the word; the queue's lock publishes it. */
    (void)tni_a64_fetch_add(&state->word, wanted == TO_WRITE ? WRITER : READER, TNI_RELAXED);
    return true;
}

/* If there is no waiter, lets the word alone decide again. */
static void clear_waited_if_empty_locked(rwlock_state *state)
{
    tni_short_lock_assert_held(&state->queue.lock);
    /* Publishes what try_take_locked has observed to a thread that takes the lock by the word; partners: tn_rwlock_try_read,
     * tn_rwlock_try_write. */
    if (tni_waiters_is_empty(&state->queue))
        (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_ACQ_REL);
}

/* Releases the lock: grants the lock to the waiters that may have it, oldest first. */
static void grant_waiters_locked(rwlock_state *state)
{
    tni_waiters *queue = &state->queue;
    tni_wake_batch batch = {.count = 0};

    tni_short_lock_assert_held(&state->queue.lock);
    if (tni_waiters_has_completer_locked(queue)) {
        tni_short_lock_release(&queue->lock);
        return;
    }
    while (!tni_waiters_is_empty(queue) && try_take_locked(state, tni_waiters_first_locked(queue)->wanted)) {
        tni_wake_batch_add(&batch, tni_waiters_complete_first_locked(queue, TNI_WAITER_GRANTED));
        if (tni_wake_batch_is_full(&batch) && !tni_waiters_is_empty(queue))
            tni_waiters_wake_between_locked(queue, &batch);
    }
    clear_waited_if_empty_locked(state);
    tni_short_lock_release(&queue->lock);
    tni_wake_batch_wake(&batch);
}

static void check_read(uint64_t word)
{
    tni_assert(word >= READER && !(word & WRITER), "tn_rwlock_read_unlock: the lock is not held for reading");
}

void tn_rwlock_read_unlock(tn_rwlock *lock)
{
    rwlock_state *state = impl_of(lock);
    /* Relaxed: the CAS verifies it. */
    uint64_t word = tni_a64_load(&state->word, TNI_RELAXED);

    tni_order_release();
    for (;;) {
        check_read(word); /* no stale value fails it: the caller's own hold is in each value that it may read */
        if ((word & WAITED) && word < 2 * READER)
            break; /* the last reader, and there is a waiter */
        /* Orders this reader's loads before the next writer's stores; partners: tn_rwlock_try_write, try_take_locked. */
        if (tni_a64_cas(&state->word, &word, word - READER, TNI_RELEASE))
            return;
    }
    tni_short_lock_acquire(&state->queue.lock);
    /* Release: as in the CAS above. */
    check_read(tni_a64_fetch_sub(&state->word, READER, TNI_ACQ_REL));
    grant_waiters_locked(state);
}

/* Before a writer's release, with ThreadSanitizer or where holders are recorded. */
static void write_unlock_slowly(rwlock_state *state)
{
    tni_order_release();
    tni_holder_clear(&state->holder);
}

void tn_rwlock_write_unlock(tn_rwlock *lock)
{
    rwlock_state *state = impl_of(lock);
    uint64_t word = WRITER;

    if (tni_holders_or_order_is_on())
        write_unlock_slowly(state);
    /* Publishes what the writer did; partners: tn_rwlock_try_read, tn_rwlock_try_write. */
    if (tni_a64_cas(&state->word, &word, 0, TNI_RELEASE))
        return;
    tni_short_lock_acquire(&state->queue.lock);
    /* Release: as in the CAS above. */
    word = tni_a64_fetch_and(&state->word, ~WRITER, TNI_ACQ_REL);
    tni_assert(word & WRITER, "tn_rwlock_write_unlock: the lock is not held for writing");
    grant_waiters_locked(state);
}

void tn_rwlock_downgrade(tn_rwlock *lock)
{
    rwlock_state *state = impl_of(lock);
    uint64_t word;

    tni_holder_clear(&state->holder);
    tni_short_lock_acquire(&state->queue.lock);
    /* Publishes what the writer did to the other readers; partner: tn_rwlock_try_read. */
    word = tni_a64_fetch_add(&state->word, READER - WRITER, TNI_ACQ_REL);
    tni_assert(word & WRITER, "tn_rwlock_downgrade: the lock is not held for writing");
    grant_waiters_locked(state);
}

static int queue_up(rwlock_state *state, tni_waiter *waiter, tn_waker *waker)
{
    int rc = TN_PENDING;

    tni_short_lock_acquire(&state->queue.lock);
    /* Publishes that there is a waiter; partners: the compare-and-swaps in tn_rwlock_read_unlock and
     * tn_rwlock_write_unlock. They fail, or they came before and try_take_locked sees the lock free. */
    (void)tni_a64_fetch_or(&state->word, WAITED, TNI_ACQ_REL);
    if (tni_waiters_is_empty(&state->queue) && try_take_locked(state, waiter->wanted))
        rc = 0;
    else
        tni_waiters_push_locked(&state->queue, waiter, waker);
    clear_waited_if_empty_locked(state);
    tni_short_lock_release(&state->queue.lock);
    return rc;
}

static int lock_poll(tn_future *self, tn_waker *waker)
{
    tn_rwlock_future *future = tni_container_of(self, tn_rwlock_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    rwlock_state *state = impl_of(future->lock);
    int rc = tni_waiters_poll(&state->queue, waiter, waker);

    if (rc == TNI_TO_QUEUE_UP)
        rc = tni_budget_poll_leave(waker, queue_up(state, waiter, waker));
    if (rc == 0 && waiter->wanted == TO_WRITE)
        tni_holder_set(&state->holder);
    return rc;
}

static void lock_drop(tn_future *self)
{
    tn_rwlock_future *future = tni_container_of(self, tn_rwlock_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    rwlock_state *state = impl_of(future->lock);

    if (tni_waiters_leave(&state->queue, waiter)) {
        tni_waiters_wait_returning_locked(&state->queue);
        grant_waiters_locked(state); /* readers behind a writer that left may continue */
        tni_waiter_unref(waiter);
    } else if (tni_waiter_state(waiter) == TNI_WAITER_GRANTED) {
        tni_waiter_reset(waiter);
        if (waiter->wanted == TO_WRITE)
            tn_rwlock_write_unlock(future->lock);
        else
            tn_rwlock_read_unlock(future->lock);
    }
}

static const tn_future_ops lock_ops = {lock_poll, lock_drop, "read-write lock"};

const tni_holder *tni_rwlock_awaited(const tn_future *awaited)
{
    if (awaited->ops != &lock_ops)
        return NULL;
    return &impl_of(tni_container_of(awaited, const tn_rwlock_future, base)->lock)->holder;
}

static void future_init(tn_rwlock_future *future, tn_rwlock *lock, uint64_t wanted)
{
    future->base.ops = &lock_ops;
    future->lock = lock;
    tni_waiter_init(tni_waiter_of(&future->waiter), wanted);
}

void tn_rwlock_read_init(tn_rwlock_future *future, tn_rwlock *lock)
{
    future_init(future, lock, TO_READ);
}

void tn_rwlock_write_init(tn_rwlock_future *future, tn_rwlock *lock)
{
    future_init(future, lock, TO_WRITE);
}

static int wait_for(tn_rwlock *lock, uint64_t wanted)
{
    tn_rwlock_future future;

    future_init(&future, lock, wanted);
    tni_waiter_in_frame(tni_waiter_of(&future.waiter));
    return tn_await(&future.base);
}

int tn_rwlock_read(tn_rwlock *lock)
{
    int rc = tni_budget_enter();

    return rc != 0 || tn_rwlock_try_read(lock) == 0 ? rc : wait_for(lock, TO_READ);
}

int tn_rwlock_write(tn_rwlock *lock)
{
    int rc = tni_budget_enter();

    return rc != 0 || tn_rwlock_try_write(lock) == 0 ? rc : wait_for(lock, TO_WRITE);
}

void tn_rwlock_read_always(tn_rwlock *lock)
{
    TN_SHIELD(shield, TN_NEVER);
    int rc = tn_rwlock_read(lock);

    tni_assert(rc == 0, "tn_rwlock_read_always: a wait inside a shield has failed");
}

void tn_rwlock_write_always(tn_rwlock *lock)
{
    TN_SHIELD(shield, TN_NEVER);
    int rc = tn_rwlock_write(lock);

    tni_assert(rc == 0, "tn_rwlock_write_always: a wait inside a shield has failed");
}
