/* SPDX-License-Identifier: MIT */
/* The word holds the permits and two marks. WAITED (somebody is in the queue, or about to be) is set and cleared under the
 * queue's lock, and while it is set the word changes under that lock only: the ways without the lock refuse it. CLOSED stays.
 *
 * A release that does not see WAITED comes before it in the word's order, and the acquirer's fetch_or reads the new permits. One
 * that sees it takes the lock and serves the queue. So nobody waits for permits that are there. */
#include <tn/semaphore.h>

#include "waiters.h"

#define WAITED UINT64_C(1)
#define CLOSED UINT64_C(2)
#define PERMIT UINT64_C(4)

typedef struct {
    tni_a64 word; /* first: TN_SEMAPHORE_INIT writes it */
    tni_waiters queue;
} semaphore_state;

_Static_assert(sizeof(semaphore_state) + 16 <= sizeof(tn_semaphore), "sized with slack");
_Static_assert(_Alignof(semaphore_state) <= _Alignof(tn_semaphore), "aligned");
_Static_assert(offsetof(semaphore_state, word) == 0 && PERMIT == 1 << 2, "TN_SEMAPHORE_INIT");

static semaphore_state *inside(tn_semaphore *semaphore)
{
    return (semaphore_state *)(void *)&semaphore->opaque;
}

void tn_semaphore_init(tn_semaphore *semaphore, uint64_t permits)
{
    tni_assert(permits <= TN_SEMAPHORE_MAX, "too many permits");
    *semaphore = (tn_semaphore)TN_SEMAPHORE_INIT(permits);
}

void tn_semaphore_fini(tn_semaphore *semaphore)
{
    /* Relaxed: the caller says that nobody uses it. */
    tni_assert(!(tni_a64_load(&inside(semaphore)->word, TNI_RELAXED) & WAITED), "a semaphore ends that somebody waits for");
}

uint64_t tn_semaphore_available(const tn_semaphore *semaphore)
{
    const semaphore_state *state = (const semaphore_state *)(const void *)&semaphore->opaque;

    return tni_a64_load(&state->word, TNI_RELAXED) / PERMIT; /* relaxed: out of date as soon as it is read */
}

int tn_semaphore_try_acquire(tn_semaphore *semaphore, uint64_t count)
{
    semaphore_state *state = inside(semaphore);
    /* Relaxed: the CAS checks it. */
    uint64_t word = tni_a64_load(&state->word, TNI_RELAXED);

    do {
        if (word & CLOSED)
            return TN_EPIPE;
        if ((word & WAITED) || word / PERMIT < count)
            return TN_EAGAIN;
        /* Acquire: what was done under the permits before; partner: tn_semaphore_release. */
    } while (!tni_a64_cas(&state->word, &word, word - count * PERMIT, TNI_ACQUIRE));
    return 0;
}

/* Lock held, WAITED set: permits go to those that wait, oldest first. True: the batch is full, and there is more to do. */
static bool grant_some(semaphore_state *state, uint64_t fresh, tni_wake_batch *batch)
{
    tni_waiters *queue = &state->queue;
    /* Nobody else changes the word now. Acquire: what was done under the permits, for whom we grant them to. */
    uint64_t word = tni_a64_load(&state->word, TNI_ACQUIRE) + fresh * PERMIT;
    bool full = false;

    while (queue->first != NULL && !(word & CLOSED) && word / PERMIT >= queue->first->wanted) {
        full = tni_wake_batch_is_full(batch);
        if (full)
            break;
        word -= queue->first->wanted * PERMIT;
        tni_wake_batch_add(batch, tni_waiters_complete_first(queue, TNI_WAITER_GRANTED));
    }
    if (queue->first == NULL || (word & CLOSED))
        word &= ~WAITED; /* closed: who is still in the queue is being told */
    /* Release: what was done under the permits that are left; partner: tn_semaphore_try_acquire. */
    tni_a64_store(&state->word, word, TNI_RELEASE);
    return full;
}

/* Lock held, and released in the end; somebody waits, or has just left. `fresh`: permits that come in. */
static void serve(semaphore_state *state, uint64_t fresh)
{
    tni_wake_batch batch = {.count = 0};

    if (tni_waiters_has_completer(&state->queue)) {
        /* Release: what was done under the permits; partner: grant_some. */
        (void)tni_a64_fetch_add(&state->word, fresh * PERMIT, TNI_RELEASE);
        tni_short_lock_release(&state->queue.lock);
        return;
    }
    while (grant_some(state, fresh, &batch)) {
        fresh = 0;
        tni_waiters_wake_between(&state->queue, &batch);
        /* Relaxed: written under the lock. Those that waited may have left, and others use the word now. */
        if (!(tni_a64_load(&state->word, TNI_RELAXED) & WAITED))
            break;
    }
    tni_short_lock_release(&state->queue.lock);
    tni_wake_batch_wake(&batch);
}

/* `word` is the value that the permits are added to: an older one may hold permits that are out by now. */
static void check_room(uint64_t word, uint64_t count)
{
    tni_assert(count <= TN_SEMAPHORE_MAX - word / PERMIT, "a semaphore gets more permits than it can hold");
}

/* False: nobody waits any more. */
static bool release_to_waiters(semaphore_state *state, uint64_t count)
{
    uint64_t word;

    tni_short_lock_acquire(&state->queue.lock);
    word = tni_a64_load(&state->word, TNI_RELAXED); /* relaxed: while WAITED is set it changes under the lock */
    if (!(word & WAITED)) {
        tni_short_lock_release(&state->queue.lock);
        return false;
    }
    check_room(word, count);
    serve(state, count);
    return true;
}

void tn_semaphore_release(tn_semaphore *semaphore, uint64_t count)
{
    semaphore_state *state = inside(semaphore);
    /* Relaxed: the CAS checks it. */
    uint64_t word = tni_a64_load(&state->word, TNI_RELAXED);

    for (;;) {
        if (!(word & WAITED)) {
            /* Release: what was done under the permits; partners: tn_semaphore_try_acquire, queue_up. */
            if (tni_a64_cas(&state->word, &word, word + count * PERMIT, TNI_RELEASE)) {
                check_room(word, count);
                return;
            }
        } else {
            if (release_to_waiters(state, count))
                return;
            word = tni_a64_load(&state->word, TNI_RELAXED); /* as above */
        }
    }
}

uint64_t tn_semaphore_forget(tn_semaphore *semaphore, uint64_t count)
{
    semaphore_state *state = inside(semaphore);
    uint64_t word;
    uint64_t taken;

    tni_short_lock_acquire(&state->queue.lock);
    word = tni_a64_load(&state->word, TNI_RELAXED); /* the CAS checks it */
    do {
        taken = word / PERMIT < count ? word / PERMIT : count;
        /* Relaxed: permits that are gone publish nothing. Acq_rel only keeps the releases before it in one chain. */
    } while (!tni_a64_cas(&state->word, &word, word - taken * PERMIT, TNI_ACQ_REL));
    tni_short_lock_release(&state->queue.lock);
    return taken;
}

void tn_semaphore_close(tn_semaphore *semaphore)
{
    semaphore_state *state = inside(semaphore);

    tni_short_lock_acquire(&state->queue.lock);
    /* Acq_rel: who is told that it is closed sees what was done before; partners: tn_semaphore_try_acquire, queue_up. */
    (void)tni_a64_fetch_or(&state->word, CLOSED, TNI_ACQ_REL);
    (void)tni_a64_fetch_and(&state->word, ~WAITED, TNI_ACQ_REL);
    tni_waiters_complete_all(&state->queue, TNI_WAITER_CLOSED);
}

static int queue_up(semaphore_state *state, tni_waiter *waiter, tn_waker *waker)
{
    uint64_t word;
    int rc = TN_PENDING;

    tni_short_lock_acquire(&state->queue.lock);
    /* Says that there is a waiter, observes permits and CLOSED; partner: tn_semaphore_release. From here on the word is ours. */
    word = tni_a64_fetch_or(&state->word, WAITED, TNI_ACQ_REL) | WAITED;
    if (word & CLOSED) {
        rc = TN_EPIPE;
    } else if (state->queue.first == NULL && word / PERMIT >= waiter->wanted) {
        word -= waiter->wanted * PERMIT;
        rc = 0;
    } else {
        tni_waiters_push(&state->queue, waiter, waker);
    }
    /* Release: as in grant_some. */
    if (rc != TN_PENDING)
        tni_a64_store(&state->word, state->queue.first == NULL || rc == TN_EPIPE ? word & ~WAITED : word, TNI_RELEASE);
    tni_short_lock_release(&state->queue.lock);
    return rc;
}

static int acquire_poll(tn_future *self, tn_waker *waker)
{
    tn_semaphore_future *future = tni_container_of(self, tn_semaphore_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    semaphore_state *state = inside(future->semaphore);
    uint32_t verdict = tni_waiters_begin_poll(&state->queue, waiter, waker);

    if (verdict == TNI_WAITER_QUEUED)
        return TN_PENDING;
    if (verdict == TNI_WAITER_IDLE)
        return tni_budget_poll_leave(waker, queue_up(state, waiter, waker));
    return tni_budget_poll_leave(waker, verdict == TNI_WAITER_GRANTED ? 0 : TN_EPIPE);
}

/* Lock held, and released in the end: one that waited has gone. */
static void leave(semaphore_state *state)
{
    tni_waiters_wait_returning(&state->queue);
    /* Relaxed: WAITED is written under the lock. Without it the semaphore is being closed, and has nothing to grant. */
    if (tni_a64_load(&state->word, TNI_RELAXED) & WAITED)
        serve(state, 0);
    else
        tni_short_lock_release(&state->queue.lock);
}

static void acquire_drop(tn_future *self)
{
    tn_semaphore_future *future = tni_container_of(self, tn_semaphore_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    semaphore_state *state = inside(future->semaphore);

    if (tni_waiters_leave(&state->queue, waiter)) {
        leave(state); /* those behind may ask for less */
        tni_waiter_unref(waiter);
    } else if (tni_waiters_verdict(&state->queue, waiter) == TNI_WAITER_GRANTED) {
        tni_waiter_reset(waiter);
        tn_semaphore_release(future->semaphore, waiter->wanted);
    }
}

void tn_semaphore_acquire_init(tn_semaphore_future *future, tn_semaphore *semaphore, uint64_t count)
{
    static const tn_future_ops ops = {acquire_poll, acquire_drop, "semaphore"};

    tni_assert(count <= TN_SEMAPHORE_MAX, "more permits than a semaphore can hold");
    future->base.ops = &ops;
    future->semaphore = semaphore;
    tni_waiter_init(tni_waiter_of(&future->waiter), count);
}

int tn_semaphore_acquire(tn_semaphore *semaphore, uint64_t count)
{
    tn_semaphore_future future;
    int rc = tni_budget_enter();

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

    tni_assert(count <= permit->count, "a permit is split that is smaller");
    permit->count -= count;
    return part;
}

void tn_permit_merge(tn_permit *permit, tn_permit *other)
{
    tni_assert(permit->semaphore == other->semaphore, "permits of two semaphores are merged");
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
