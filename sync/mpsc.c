/* SPDX-License-Identifier: MIT */
/* tn_mpsc: a channel with many senders and one receiver. One short lock guards the senders' side: the newest block, the
 * reserved slots, the queue of senders, the receiver's waker. The receiver takes no lock while there is something to receive.
 * `tail` is published with release after an element has been written, so all elements below it can be read. `head` is published
 * with release after an element has been read, so its slot can be written again.
 *
 * Storage is a list of blocks. A bounded channel has one block, whose successor is itself: a ring. An unbounded channel grows
 * at the senders' end, and the receiver gives an emptied block back for reuse.
 *
 * The receiver waits: it checks `tail` and stores its waker under one hold of the lock. A thread that advances `tail`, or ends
 * the channel, takes the waker under the same lock, then or later. So no element is sent without a wake.
 *
 * Senders wait. `contended` is set while senders wait, or did recently; `has_waiters` while one is in the queue. Both are
 * written under the lock.
 *
 * 1. A sender that finds no slot queues up under the lock, sets `has_waiters` and `contended`, makes a heavy fence, and checks
 *    `head` once more.
 * 2. The receiver advances `head`, makes a light fence, and checks `contended`.
 *
 * A heavy and a light fence are ordered like two full ones: the sender sees the new head, or the receiver sees `contended`. A
 * heavy fence is a system call, so `contended` stays set until the receiver finds no waiter and half of the slots free. While
 * it is set, both sides make full fences: the sender between writing `has_waiters` and reading `head`, the receiver between
 * writing `head` and reading `has_waiters`. So again one sees the other, and while no sender waits the receiver does not take
 * the lock, for which the senders contend. Clearing either word is safe: it is done under the lock, with an empty queue.
 *
 * A waiting sender is granted a slot (`reserved`); it sends when it is polled. So a cancelled send has not sent, and its slot
 * goes to the next sender. */
#include "mpsc.h"

#include "base/order.h"
#include "base/tls.h"
#include "sched/runtime.h"

enum { BLOCK_BYTES = 2048, BLOCK_ELEMENTS_MIN = 16 };

/* --- Blocks ----------------------------------------------------------------------------------------------------------------- */

static size_t block_size(const tn_mpsc *channel)
{
    return sizeof(tni_mpsc_block) + channel->block_elements * channel->element_size;
}

static tni_mpsc_block *make_block(const tn_mpsc *channel)
{
    return tni_alloc(&channel->options.allocator, block_size(channel), _Alignof(tni_mpsc_block));
}

static void free_block(const tn_mpsc *channel, tni_mpsc_block *unused)
{
    tni_free(&channel->options.allocator, unused, block_size(channel));
}

bool tni_mpsc_grow_locked(tn_mpsc *channel)
{
    tni_short_lock_assert_held(&channel->waiting.lock);
    /* Observes that the receiver is done with the block; partner: tni_mpsc_recycle. */
    tni_mpsc_block *fresh = tni_aptr_exchange(&channel->unused_block, NULL, TNI_ACQUIRE);
    tni_mpsc_block *unused;

    tni_short_lock_release(&channel->waiting.lock);
    if (fresh == NULL)
        fresh = make_block(channel);
    if (fresh != NULL)
        fresh->next = NULL;
    tni_short_lock_acquire(&channel->waiting.lock);
    if (fresh == NULL)
        return !tni_mpsc_must_grow(channel); /* another sender may have grown it */
    if (tni_mpsc_must_grow(channel)) {
        channel->back->next = fresh;
        return true;
    }
    /* Another sender was faster: the block is kept for the next time. Orders as in tni_mpsc_recycle. */
    unused = tni_aptr_exchange(&channel->unused_block, fresh, TNI_ACQ_REL);
    if (unused != NULL) {
        tni_short_lock_release(&channel->waiting.lock);
        free_block(channel, unused);
        tni_short_lock_acquire(&channel->waiting.lock);
    }
    return true;
}

void tni_mpsc_recycle(tn_mpsc *channel, tni_mpsc_block *emptied)
{
    /* Publishes the end of the receiver's reads; partner: tni_mpsc_grow_locked. Observes the same of the thread that stored the
     * other. */
    tni_mpsc_block *other = tni_aptr_exchange(&channel->unused_block, emptied, TNI_ACQ_REL);

    if (other != NULL)
        free_block(channel, other);
}

/* --- Making ----------------------------------------------------------------------------------------------------------------- */

static size_t elements_per_block(size_t element_size, size_t capacity)
{
    size_t fit = element_size < BLOCK_BYTES ? BLOCK_BYTES / (element_size + 1) : 0;

    if (capacity != TN_UNBOUNDED)
        return capacity;
    return fit > BLOCK_ELEMENTS_MIN ? fit : BLOCK_ELEMENTS_MIN;
}

static tn_mpsc *make_channel(const tni_channel_options *options, size_t element_size, size_t capacity)
{
    tn_mpsc *channel = tni_alloc(&options->allocator, sizeof *channel, _Alignof(tn_mpsc));
    const tn_task *task = tni_tls_get()->task;

    if (channel == NULL)
        return NULL;
    channel->element_size = element_size;
    channel->capacity = capacity;
    channel->block_elements = elements_per_block(element_size, capacity);
    channel->options = *options;
    channel->asymmetric = task != NULL && task->runtime->asymmetric;
    tni_a32_init(&channel->senders, 1);
    tni_a32_init(&channel->sides, 2);
    channel->back = make_block(channel);
    channel->front = channel->back;
    if (channel->back == NULL) {
        tni_free(&options->allocator, channel, sizeof *channel);
        return NULL;
    }
    if (capacity != TN_UNBOUNDED)
        channel->back->next = channel->back; /* a ring */
    return channel;
}

int tn_mpsc_create(tn_mpsc **out, size_t element_size, size_t capacity, const tn_channel_options *options)
{
    tni_channel_options kept;
    size_t elements = elements_per_block(element_size, capacity);
    int rc;

    *out = NULL;
    if (capacity == 0)
        return TN_EINVAL;
    rc = tni_channel_options_read(&kept, options, "tn_mpsc_create");
    if (rc != 0)
        return rc;
    if (element_size == 0 || elements < (SIZE_MAX - sizeof(tni_mpsc_block)) / element_size)
        *out = make_channel(&kept, element_size, capacity);
    return *out == NULL ? TN_ENOMEM : 0;
}

/* --- Ending ----------------------------------------------------------------------------------------------------------------- */

static void destroy(tn_mpsc *channel)
{
    tn_allocator allocator = channel->options.allocator;
    uint64_t head = tni_a64_load(&channel->head, TNI_RELAXED); /* relaxed: no other thread is left */
    tni_mpsc_block *last = channel->back;
    void *element;

    tni_order_acquire();
    while ((element = tni_mpsc_peek(channel, head)) != NULL) {
        if (channel->options.discard != NULL)
            channel->options.discard(element);
        head++;
    }
    /* The front is the newest block now; another one may have been linked behind it. Relaxed: no other thread is left. */
    free_block(channel, tni_aptr_load(&channel->unused_block, TNI_RELAXED));
    if (last->next != last)
        free_block(channel, last->next);
    free_block(channel, last);
    tni_free(&allocator, channel, sizeof *channel);
}

void tni_mpsc_leave(tn_mpsc *channel)
{
    tni_order_release();
    /* Publishes this side's last access, observes the other side's before the free; partner: tni_mpsc_leave. */
    if (tni_a32_fetch_sub(&channel->sides, 1, TNI_ACQ_REL) == 1)
        destroy(channel);
}

void tn_mpsc_retain_sender(tn_mpsc *channel)
{
    /* Relaxed: the caller holds a reference; one more publishes nothing. */
    (void)tni_a32_fetch_add(&channel->senders, 1, TNI_RELAXED);
}

void tn_mpsc_release_sender(tn_mpsc *channel)
{
    tni_wake receiver;
    uint32_t before;

    tni_order_release();
    /* Publishes what this sender sent; the last one observes what all have sent. Partner: check_end_locked (mpsc_recv.c). */
    before = tni_a32_fetch_sub(&channel->senders, 1, TNI_ACQ_REL);
    tni_assert(before > 0, "tn_mpsc_release_sender: called more often than retained");
    if (before > 1)
        return;
    tni_short_lock_acquire(&channel->waiting.lock);
    receiver = tni_mpsc_take_receiver_locked(channel);
    tni_short_lock_release(&channel->waiting.lock);
    tni_wake_do(receiver);
    tni_mpsc_leave(channel);
}

size_t tn_mpsc_length(const tn_mpsc *channel)
{
    /* Loads `head` before `tail`, and acquire keeps that order: a tail that is read later is never below this head. */
    uint64_t head = tni_a64_load(&channel->head, TNI_ACQUIRE);
    uint64_t length = tni_a64_load(&channel->tail, TNI_RELAXED) - head; /* relaxed: out of date at once */

    return length > channel->capacity ? channel->capacity : (size_t)length;
}
