/* SPDX-License-Identifier: MIT */
/* One short lock guards the senders' side: the newest block, the places that are reserved, the senders that wait, the receiver's
 * waker. The receiver takes no lock while there is something to receive: `tail` is published with release after the element has
 * been written, so everything below it can be read; `head` is published with release after an element has been read, so its
 * place can be written again.
 *
 * Storage is a chain of blocks. A bounded channel has one, which follows itself: a ring. An unbounded one grows at the senders'
 * end, and the receiver hands the block that it has emptied back for reuse.
 *
 * Receiver waits: it looks at `tail`, and leaves its waker, under one hold of the lock. Whoever moves `tail`, or makes the end
 * come true, takes the waker under the same lock, then or later. So no element comes that wakes nobody.
 *
 * Senders wait: the one that finds no room queues up under the lock, sets `in_line` and `crowded`, makes a heavy fence and
 * looks at `head` once more. The receiver moves `head`, makes a light fence and looks at `crowded`. Such fences are ordered
 * like two full ones: either the sender sees the new head, or the receiver sees that there is a crowd. A heavy fence is a
 * system call; so `crowded` stays set until the receiver finds nobody waiting and half of the room free. Meanwhile both make
 * full fences: the sender that finds it set between `in_line` and its look at `head`, the receiver that finds it set between
 * `head` and its look at `in_line`. So again one sees the other, and while nobody is in line the receiver keeps off the lock,
 * at which the senders meet. Clearing either is harmless: it happens under the lock, with an empty queue.
 *
 * What a waiting sender is granted is a place (`reserved`), not the sending, which it does itself when it is polled. So a
 * cancelled send has not sent; its place goes to the next one. */
#include "mpsc.h"

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

bool tni_mpsc_grow(tn_mpsc *channel)
{
    /* Acquire: the receiver has done with the block; partner: tni_mpsc_recycle. */
    tni_mpsc_block *fresh = tni_aptr_exchange(&channel->spare, NULL, TNI_ACQUIRE);
    tni_mpsc_block *unused;

    tni_short_lock_release(&channel->waiting.lock);
    if (fresh == NULL)
        fresh = make_block(channel);
    if (fresh != NULL)
        fresh->next = NULL;
    tni_short_lock_acquire(&channel->waiting.lock);
    if (fresh == NULL)
        return !tni_mpsc_must_grow(channel); /* another sender may have had more luck */
    if (tni_mpsc_must_grow(channel)) {
        channel->back->next = fresh;
        return true;
    }
    /* Somebody else was faster: it is kept for the next time. Both sides as in recycle. */
    unused = tni_aptr_exchange(&channel->spare, fresh, TNI_ACQ_REL);
    if (unused != NULL) {
        tni_short_lock_release(&channel->waiting.lock);
        free_block(channel, unused);
        tni_short_lock_acquire(&channel->waiting.lock);
    }
    return true;
}

void tni_mpsc_recycle(tn_mpsc *channel, tni_mpsc_block *emptied)
{
    /* Release: our reads of it are over; partner: tni_mpsc_grow. Acquire: so are those of who put the other one there. */
    tni_mpsc_block *other = tni_aptr_exchange(&channel->spare, emptied, TNI_ACQ_REL);

    if (other != NULL)
        free_block(channel, other);
}

/* --- Making ----------------------------------------------------------------------------------------------------------------- */

static size_t elements_a_block(size_t element_size, size_t capacity)
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
    channel->block_elements = elements_a_block(element_size, capacity);
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
    tni_channel_options kept = tni_channel_options_of(options);
    size_t elements = elements_a_block(element_size, capacity);

    *out = NULL;
    if (capacity == 0)
        return TN_EINVAL;
    if (element_size == 0 || elements < (SIZE_MAX - sizeof(tni_mpsc_block)) / element_size)
        *out = make_channel(&kept, element_size, capacity);
    return *out == NULL ? TN_ENOMEM : 0;
}

/* --- Ending ----------------------------------------------------------------------------------------------------------------- */

static void destroy(tn_mpsc *channel)
{
    tn_allocator allocator = channel->options.allocator;
    uint64_t head = tni_a64_load(&channel->head, TNI_RELAXED); /* nobody else is left */
    tni_mpsc_block *last = channel->back;
    void *element;

    while ((element = tni_mpsc_peek(channel, head)) != NULL) {
        if (channel->options.discard != NULL)
            channel->options.discard(element);
        head++;
    }
    /* All is taken, so the front is the newest block; maybe another was made ready behind it. Relaxed: as above. */
    free_block(channel, tni_aptr_load(&channel->spare, TNI_RELAXED));
    if (last->next != last)
        free_block(channel, last->next);
    free_block(channel, last);
    tni_free(&allocator, channel, sizeof *channel);
}

void tni_mpsc_leave(tn_mpsc *channel)
{
    /* Release: our last access; acquire: the other side's, for the one that frees. */
    if (tni_a32_fetch_sub(&channel->sides, 1, TNI_ACQ_REL) == 1)
        destroy(channel);
}

void tn_mpsc_retain_sender(tn_mpsc *channel)
{
    /* Relaxed: the caller has one already, nothing is published by one more. */
    (void)tni_a32_fetch_add(&channel->senders, 1, TNI_RELAXED);
}

void tn_mpsc_release_sender(tn_mpsc *channel)
{
    tni_wake receiver;
    /* Release: what this sender sent; acquire: what all have, for the last; partner: is_over. */
    uint32_t before = tni_a32_fetch_sub(&channel->senders, 1, TNI_ACQ_REL);

    tni_assert(before > 0, "a sender's end is given up more often than retained");
    if (before > 1)
        return;
    tni_short_lock_acquire(&channel->waiting.lock);
    receiver = tni_mpsc_take_receiver(channel);
    tni_short_lock_release(&channel->waiting.lock);
    tni_wake_do(receiver);
    tni_mpsc_leave(channel);
}

size_t tn_mpsc_length(const tn_mpsc *channel)
{
    /* The head first (acquire keeps the order): the tail is never behind a head that was read before it. */
    uint64_t head = tni_a64_load(&channel->head, TNI_ACQUIRE);
    uint64_t length = tni_a64_load(&channel->tail, TNI_RELAXED) - head; /* relaxed: out of date as soon as it is read */

    return length > channel->capacity ? channel->capacity : (size_t)length;
}
