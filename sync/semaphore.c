/* SPDX-License-Identifier: MIT */
/* tn_semaphore: a counting semaphore for tasks. Its state word holds the permits and two marks. WAITED (a waiter is in the
 * queue, or about to be) is set and cleared under the queue's lock; while it is set the word changes under that lock only, and
 * the lock-free paths fail. CLOSED stays set.
 *
 * A release that does not see WAITED precedes it in the word's order, so the acquirer's fetch_or reads the new permits. A
 * release that sees it takes the lock and grants permits to the queue. So no waiter waits for permits that are available. */
#include <tn/semaphore.h>

#include "base/order.h"
#include "waiters.h"

#define WAITED UINT64_C(1)
#define CLOSED UINT64_C(2)
#define PERMIT UINT64_C(4)

typedef struct {
    tni_a64 word; /* first, because TN_SEMAPHORE_INIT writes it */
    tni_waiters queue;
} semaphore_state;

_Static_assert(sizeof(semaphore_state) + 16 <= sizeof(tn_semaphore), "sized with slack");
_Static_assert(_Alignof(semaphore_state) <= _Alignof(tn_semaphore), "aligned");
_Static_assert(offsetof(semaphore_state, word) == 0 && PERMIT == 1 << 2, "TN_SEMAPHORE_INIT");

static semaphore_state *impl_of(tn_semaphore *semaphore)
{
    return (semaphore_state *)(void *)&semaphore->opaque;
}

void tn_semaphore_init(tn_semaphore *semaphore, uint64_t permits)
{
    tni_assert(permits <= TN_SEMAPHORE_MAX, "tn_semaphore_init: too many permits");
    *semaphore = (tn_semaphore)TN_SEMAPHORE_INIT(permits);
}

void tn_semaphore_fini(tn_semaphore *semaphore)
{
    /* Relaxed: the caller guarantees that no other thread uses it. */
    tni_assert(!(tni_a64_load(&impl_of(semaphore)->word, TNI_RELAXED) & WAITED), "tn_semaphore_fini: there are waiters");
}

uint64_t tn_semaphore_available(const tn_semaphore *semaphore)
{
    const semaphore_state *state = (const semaphore_state *)(const void *)&semaphore->opaque;

    return tni_a64_load(&state->word, TNI_RELAXED) / PERMIT; /* relaxed: out of date at once */
}

int tn_semaphore_try_acquire(tn_semaphore *semaphore, uint64_t count)
{
    semaphore_state *state = impl_of(semaphore);
    /* Relaxed: the CAS verifies it. */
    uint64_t word = tni_a64_load(&state->word, TNI_RELAXED);

    do {
        if (word & CLOSED)
            return TN_EPIPE;
        if ((word & WAITED) || word / PERMIT < count)
            return TN_EAGAIN;
        /* Observes what was done under the permits before; partner: tn_semaphore_release. */
    } while (!tni_a64_cas(&state->word, &word, word - count * PERMIT, TNI_ACQUIRE));
    tni_order_acquire();
    return 0;
}

/* WAITED is set. Grants permits to waiters, oldest first. True: the batch is full, and there is more to do. */
static bool grant_some_locked(semaphore_state *state, uint64_t fresh, tni_wake_batch *batch)
{
    tni_waiters *queue = &state->queue;
    /* No other thread changes the word now. Acquire: observes what was done under the permits, for the waiters that get them;
     * partner: tn_semaphore_release. */
    uint64_t word = tni_a64_load(&state->word, TNI_ACQUIRE) + fresh * PERMIT;
    bool full = false;

    tni_short_lock_assert_held(&state->queue.lock);
    while (!tni_waiters_is_empty(queue) && !(word & CLOSED) && word / PERMIT >= tni_waiters_first_locked(queue)->wanted) {
        full = tni_wake_batch_is_full(batch);
        if (full)
            break;
        word -= tni_waiters_first_locked(queue)->wanted * PERMIT;
        tni_wake_batch_add(batch, tni_waiters_complete_first_locked(queue, TNI_WAITER_GRANTED));
    }
    if (tni_waiters_is_empty(queue) || (word & CLOSED))
        word &= ~WAITED; /* closed: the waiters that are still queued are being completed */
    /* Publishes what was done under the permits that are left; partner: tn_semaphore_try_acquire. */
    tni_a64_store(&state->word, word, TNI_RELEASE);
    return full;
}

/* Releases the lock. The queue is not empty, or a waiter has just left. `fresh`: permits that are given
 * back. */
static void grant_waiters_locked(semaphore_state *state, uint64_t fresh)
{
    tni_wake_batch batch = {.count = 0};

    tni_short_lock_assert_held(&state->queue.lock);
    if (tni_waiters_has_completer_locked(&state->queue)) {
        /* Publishes what was done under the permits; partner: grant_some_locked. */
        (void)tni_a64_fetch_add(&state->word, fresh * PERMIT, TNI_RELEASE);
        tni_short_lock_release(&state->queue.lock);
        return;
    }
    while (grant_some_locked(state, fresh, &batch)) {
        fresh = 0;
        tni_waiters_wake_between_locked(&state->queue, &batch);
        /* Relaxed: written under the lock. If the waiters have left meanwhile, the lock-free paths use the word now. */
        if (!(tni_a64_load(&state->word, TNI_RELAXED) & WAITED))
            break;
    }
    tni_short_lock_release(&state->queue.lock);
    tni_wake_batch_wake(&batch);
}

/* `word` must be the value that the permits are added to: an older one may include permits that have been acquired since. */
static void check_capacity(uint64_t word, uint64_t count)
{
    tni_assert(count <= TN_SEMAPHORE_MAX - word / PERMIT, "tn_semaphore_release: more permits than a semaphore can hold");
}

/* False: there is no waiter any more. */
static bool release_to_waiters(semaphore_state *state, uint64_t count)
{
    uint64_t word;

    tni_short_lock_acquire(&state->queue.lock);
    word = tni_a64_load(&state->word, TNI_RELAXED); /* relaxed: while WAITED is set it changes under the lock */
    if (!(word & WAITED)) {
        tni_short_lock_release(&state->queue.lock);
        return false;
    }
    check_capacity(word, count);
    grant_waiters_locked(state, count);
    return true;
}

void tn_semaphore_release(tn_semaphore *semaphore, uint64_t count)
{
    semaphore_state *state = impl_of(semaphore);
    /* Relaxed: the CAS verifies it. */
    uint64_t word = tni_a64_load(&state->word, TNI_RELAXED);

    tni_order_release();
    for (;;) {
        if (!(word & WAITED)) {
            /* Publishes what was done under the permits; partners: tn_semaphore_try_acquire, queue_up. */
            if (tni_a64_cas(&state->word, &word, word + count * PERMIT, TNI_RELEASE)) {
                check_capacity(word, count);
                return;
            }
        } else {
            if (release_to_waiters(state, count))
                return;
            word = tni_a64_load(&state->word, TNI_RELAXED); /* relaxed: the CAS verifies it */
        }
    }
}

uint64_t tn_semaphore_forget(tn_semaphore *semaphore, uint64_t count)
{
    semaphore_state *state = impl_of(semaphore);
    uint64_t word;
    uint64_t taken;

    tni_short_lock_acquire(&state->queue.lock);
    word = tni_a64_load(&state->word, TNI_RELAXED); /* relaxed: the CAS verifies it */
    do {
        taken = word / PERMIT < count ? word / PERMIT : count;
        /* Relaxed would do: removed permits publish nothing. Acq_rel only keeps the releases before it in one chain. */
    } while (!tni_a64_cas(&state->word, &word, word - taken * PERMIT, TNI_ACQ_REL));
    tni_short_lock_release(&state->queue.lock);
    return taken;
}

void tn_semaphore_close(tn_semaphore *semaphore)
{
    semaphore_state *state = impl_of(semaphore);

    tni_short_lock_acquire(&state->queue.lock);
    /* Publishes what was done before the close to those that see it; partners: tn_semaphore_try_acquire, queue_up. */
    (void)tni_a64_fetch_or(&state->word, CLOSED, TNI_ACQ_REL);
    (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_ACQ_REL);
    tni_waiters_complete_all_locked(&state->queue, TNI_WAITER_CLOSED);
}

static int queue_up(semaphore_state *state, tni_waiter *waiter, tn_waker *waker)
{
    uint64_t word;
    int rc = TN_PENDING;

    tni_short_lock_acquire(&state->queue.lock);
    /* Publishes that there is a waiter, observes permits and CLOSED; partner: tn_semaphore_release. From here on only this
     * thread changes the word. */
    word = tni_a64_fetch_or(&state->word, WAITED, TNI_ACQ_REL) | WAITED;
    if (word & CLOSED) {
        rc = TN_EPIPE;
    } else if (tni_waiters_is_empty(&state->queue) && word / PERMIT >= waiter->wanted) {
        word -= waiter->wanted * PERMIT;
        rc = 0;
    } else {
        tni_waiters_push_locked(&state->queue, waiter, waker);
    }
    /* Release: as in grant_some_locked. */
    if (rc != TN_PENDING)
        tni_a64_store(&state->word, tni_waiters_is_empty(&state->queue) || rc == TN_EPIPE ? word & ~WAITED : word, TNI_RELEASE);
    tni_short_lock_release(&state->queue.lock);
    return rc;
}

static int acquire_poll(tn_future *self, tn_waker *waker)
{
    tn_semaphore_future *future = tni_container_of(self, tn_semaphore_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    semaphore_state *state = impl_of(future->semaphore);
    uint32_t verdict = tni_waiters_begin_poll(&state->queue, waiter, waker);

    if (verdict == TNI_WAITER_QUEUED)
        return TN_PENDING;
    if (verdict == TNI_WAITER_IDLE)
        return tni_budget_poll_leave(waker, queue_up(state, waiter, waker));
    return tni_budget_poll_leave(waker, verdict == TNI_WAITER_GRANTED ? 0 : TN_EPIPE);
}

/* Called when a waiter has unlinked itself. Releases the lock. */
static void waiter_left_locked(semaphore_state *state)
{
    tni_short_lock_assert_held(&state->queue.lock);
    tni_waiters_wait_returning_locked(&state->queue);
    /* Relaxed: WAITED is written under the lock. If it is clear the semaphore is being closed, and has nothing to grant. */
    if (tni_a64_load(&state->word, TNI_RELAXED) & WAITED)
        grant_waiters_locked(state, 0);
    else
        tni_short_lock_release(&state->queue.lock);
}

static void acquire_drop(tn_future *self)
{
    tn_semaphore_future *future = tni_container_of(self, tn_semaphore_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    semaphore_state *state = impl_of(future->semaphore);

    if (tni_waiters_leave(&state->queue, waiter)) {
        waiter_left_locked(state); /* the waiters behind it may ask for less */
        tni_waiter_unref(waiter);
    } else if (tni_waiters_verdict(&state->queue, waiter) == TNI_WAITER_GRANTED) {
        tni_waiter_reset(waiter);
        tn_semaphore_release(future->semaphore, waiter->wanted);
    }
}

void tn_semaphore_acquire_init(tn_semaphore_future *future, tn_semaphore *semaphore, uint64_t count)
{
    static const tn_future_ops ops = {acquire_poll, acquire_drop, "semaphore"};

    tni_assert(count <= TN_SEMAPHORE_MAX, "tn_semaphore_acquire: more permits than a semaphore can hold");
    future->base.ops = &ops;
    future->semaphore = semaphore;
    tni_waiter_init(tni_waiter_of(&future->waiter), count);
}

int tn_semaphore_acquire(tn_semaphore *semaphore, uint64_t count)
{
    tn_semaphore_future future;
    int rc = tni_budget_enter_inline();

    if (rc != 0)
        return rc;
    rc = tn_semaphore_try_acquire(semaphore, count);
    if (rc != TN_EAGAIN)
        return rc;
    tn_semaphore_acquire_init(&future, semaphore, count);
    tni_waiter_in_frame(tni_waiter_of(&future.waiter));
    return tn_await(&future.base);
}

/* --- Owned permits ---------------------------------------------------------------------------------------------------------- */

int tn_permit_acquire(tn_permit *permit, tn_semaphore *semaphore, uint64_t count)
{
    int rc = tn_semaphore_acquire(semaphore, count);

    permit->semaphore = semaphore;
    permit->count = rc == 0 ? count : 0;
    return rc;
}

tn_permit tn_permit_split(tn_permit *permit, uint64_t count)
{
    tn_permit part = {permit->semaphore, count};

    tni_assert(count <= permit->count, "tn_permit_split: the part is larger than the permit");
    permit->count -= count;
    return part;
}

void tn_permit_merge(tn_permit *permit, tn_permit *other)
{
    tni_assert(permit->semaphore == other->semaphore, "tn_permit_merge: the permits are of different semaphores");
    permit->count += other->count;
    other->count = 0;
}

void tn_permit_release(tn_permit *permit)
{
    if (permit->count > 0)
        tn_semaphore_release(permit->semaphore, permit->count);
    permit->count = 0;
}

void tn_permit_forget(tn_permit *permit)
{
    permit->count = 0;
}
