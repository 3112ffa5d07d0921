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
 * Senders wait: the one that finds no room queues up under the lock, sets `crowded`, makes a heavy fence and looks at `head` once
 * more. The receiver moves `head`, makes a light fence and looks at `crowded`. Such fences are ordered like two full ones: either
 * the sender sees the new head, or the receiver sees that it is to serve the queue. A heavy fence is a system call; so `crowded`
 * stays set until the receiver finds nobody waiting and half of the room free, and a sender that finds it set needs no fence: the
 * receiver sees it since the fence of who set it. Clearing it is harmless: it happens under the lock, with an empty queue.
 *
 * What a waiting sender is granted is a place (`reserved`), not the sending, which it does itself when it is polled. So a
 * cancelled send has not sent; its place goes to the next one. */
#include "tn_mpsc.h"

#include "channel.h"
#include "local.h"
#include "runtime.h"
#include "waiters.h"

enum { BLOCK_BYTES = 2048, BLOCK_ELEMENTS_MIN = 16 };

typedef struct block block;
struct block {
    block *next; /* the newest one's: written by a sender before `tail` enters it; read by the receiver after that */
    _Alignas(16) unsigned char elements[];
};

struct tn_mpsc {
    /* Constant. */
    size_t element_size;
    size_t capacity;
    size_t block_elements;
    tni_channel_options options;
    bool asymmetric; /* light and heavy fences are to be had */

    /* Anyone. */
    tni_a32 senders;
    tni_a32 sides;  /* 2: the senders and the receiver; the last one frees */
    tni_aptr spare; /* block *: emptied, to be used again */

    /* The senders; `waiting.lock`. */
    tni_cache_aligned tni_waiters waiting;
    tni_a64 tail;             /* elements sent so far; written under the lock */
    uint64_t head_seen;       /* at least so many have been received */
    uint64_t reserved;        /* places kept for a send to come */
    block *back;              /* the newest block */
    size_t back_used;         /* elements that were put into it */
    tn_waker *receiver_waker; /* a reference, unless it is borrowed; NULL: it does not wait. Set: there is nothing to take */
    bool receiver_borrowed;   /* see tni_wake_prepare */
    bool closed;              /* by the receiver */
    bool receiver_gone;
    tni_a32 crowded; /* senders wait, or did lately: the receiver looks whom to serve; written under the lock */

    /* The receiver. */
    tni_cache_aligned tni_a64 head; /* elements received so far */
    uint64_t tail_seen;             /* so many are there at least */
    block *front;                   /* the oldest block */
    size_t front_used;              /* elements that were taken from it */
};

/* --- Blocks ----------------------------------------------------------------------------------------------------------------- */

static size_t block_size(const tn_mpsc *channel)
{
    return sizeof(block) + channel->block_elements * channel->element_size;
}

static block *make_block(const tn_mpsc *channel)
{
    return tni_alloc(&channel->options.allocator, block_size(channel), _Alignof(block));
}

static void free_block(const tn_mpsc *channel, block *unused)
{
    tni_free(&channel->options.allocator, unused, block_size(channel));
}

static void *element_at(const tn_mpsc *channel, block *where, size_t index)
{
    return where->elements + index * channel->element_size;
}

/* A ring has its next block always, the others when they are given one. */
static bool must_grow(const tn_mpsc *channel)
{
    return channel->back_used == channel->block_elements && channel->back->next == NULL;
}

/* Lock held: leaves it while it allocates. False: no memory. What the caller knew under the lock has to be looked at again. */
static bool grow(tn_mpsc *channel)
{
    /* Acquire: the receiver has done with the block; partner: recycle. */
    block *fresh = tni_aptr_exchange(&channel->spare, NULL, TNI_ACQUIRE);
    block *unused = NULL;

    tni_short_lock_release(&channel->waiting.lock);
    if (fresh == NULL)
        fresh = make_block(channel);
    if (fresh != NULL)
        fresh->next = NULL;
    tni_short_lock_acquire(&channel->waiting.lock);
    if (fresh == NULL)
        return false;
    if (must_grow(channel))
        channel->back->next = fresh;
    else
        unused = fresh; /* somebody else was faster */
    if (unused != NULL)
        free_block(channel, unused);
    return true;
}

/* Receiver: a block of an unbounded channel is empty, and no sender comes back to it. */
static void recycle(tn_mpsc *channel, block *emptied)
{
    /* Release: our reads of it are over; partner: grow. Acquire: so are those of who put the other one there. */
    block *other = tni_aptr_exchange(&channel->spare, emptied, TNI_ACQ_REL);

    if (other != NULL)
        free_block(channel, other);
}

/* --- Making ----------------------------------------------------------------------------------------------------------------- */

static size_t elements_a_block(size_t element_size, size_t capacity)
{
    size_t fit = BLOCK_BYTES / (element_size + 1);

    if (capacity != TN_UNBOUNDED)
        return capacity;
    return fit > BLOCK_ELEMENTS_MIN ? fit : BLOCK_ELEMENTS_MIN;
}

static tn_mpsc *make_channel(const tni_channel_options *options, size_t element_size, size_t capacity)
{
    tn_mpsc *channel = tni_alloc(&options->allocator, sizeof *channel, _Alignof(tn_mpsc));
    const tn_task *task = tni_local_get()->task;

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
    if (element_size == 0 || elements < (SIZE_MAX - sizeof(block)) / element_size)
        *out = make_channel(&kept, element_size, capacity);
    return *out == NULL ? TN_ENOMEM : 0;
}

/* --- Taking ----------------------------------------------------------------------------------------------------------------- */

/* Receiver: the next element, where it lies, or NULL. */
__attribute__((always_inline)) static inline void *peek(tn_mpsc *channel, uint64_t head)
{
    if (head == channel->tail_seen) {
        /* Observes the elements below it, and the blocks that they lie in; partner: put. */
        channel->tail_seen = tni_a64_load(&channel->tail, TNI_ACQUIRE);
        if (head == channel->tail_seen)
            return NULL;
    }
    if (channel->front_used == channel->block_elements) {
        block *emptied = channel->front;
        channel->front = emptied->next;
        channel->front_used = 0;
        if (channel->front != emptied)
            recycle(channel, emptied);
    }
    return element_at(channel, channel->front, channel->front_used++);
}

/* Receiver: copies up to `count` elements out; answers how many. */
__attribute__((always_inline)) static inline size_t take(tn_mpsc *channel, void *elements, size_t count)
{
    uint64_t head = tni_a64_load(&channel->head, TNI_RELAXED); /* our own */
    unsigned char *to = elements;
    size_t taken = 0;

    while (taken < count) {
        const void *element = peek(channel, head + taken);
        if (element == NULL)
            break;
        tni_element_copy(to, element, channel->element_size);
        to += channel->element_size;
        taken++;
    }
    /* Release: our reads are over, the places may be written again; partner: has_room. */
    if (taken > 0)
        tni_a64_store(&channel->head, head + taken, TNI_RELEASE);
    return taken;
}

static void destroy(tn_mpsc *channel)
{
    tn_allocator allocator = channel->options.allocator;
    uint64_t head = tni_a64_load(&channel->head, TNI_RELAXED); /* nobody else is left */
    block *last = channel->back;
    void *element;

    while ((element = peek(channel, head)) != NULL) {
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

/* One of the two sides lets go. */
static void leave(tn_mpsc *channel)
{
    /* Release: our last access; acquire: the other side's, for the one that frees. */
    if (tni_a32_fetch_sub(&channel->sides, 1, TNI_ACQ_REL) == 1)
        destroy(channel);
}

size_t tn_mpsc_length(const tn_mpsc *channel)
{
    /* The head first (acquire keeps the order): the tail is never behind a head that was read before it. */
    uint64_t head = tni_a64_load(&channel->head, TNI_ACQUIRE);
    uint64_t length = tni_a64_load(&channel->tail, TNI_RELAXED) - head; /* relaxed: out of date as soon as it is read */

    return length > channel->capacity ? channel->capacity : (size_t)length;
}

/* --- The senders' side ------------------------------------------------------------------------------------------------------ */

/* Lock held: is there a place that is neither taken nor reserved? */
static bool has_room(tn_mpsc *channel)
{
    uint64_t tail = tni_a64_load(&channel->tail, TNI_RELAXED); /* written under the lock that we hold */

    if (tni_likely(tail - channel->head_seen + channel->reserved < channel->capacity))
        return true;
    /* Observes that the receiver has read those elements; partner: take. */
    channel->head_seen = tni_a64_load(&channel->head, TNI_ACQUIRE);
    return tail - channel->head_seen + channel->reserved < channel->capacity;
}

/* Lock held: prepares the wake of the receiver, if it waits. */
static tni_wake take_receiver(tn_mpsc *channel)
{
    tn_waker *waker = channel->receiver_waker;

    if (waker == NULL)
        return 0;
    channel->receiver_waker = NULL;
    return tni_wake_prepare(waker, channel->receiver_borrowed);
}

/* Lock held, and there is room. */
static void put(tn_mpsc *channel, const void *element)
{
    if (channel->back_used == channel->block_elements) {
        channel->back = channel->back->next;
        channel->back_used = 0;
    }
    tni_element_copy(element_at(channel, channel->back, channel->back_used++), element, channel->element_size);
    /* Publishes the element; partner: peek. The load: ours, as the lock is. */
    tni_a64_store(&channel->tail, tni_a64_load(&channel->tail, TNI_RELAXED) + 1, TNI_RELEASE);
}

/* Lock held: sends, or reserves (NULL), without overtaking anyone. TN_EAGAIN: no room. */
static int admit(tn_mpsc *channel, const void *element)
{
    for (;;) {
        if (channel->closed)
            return TN_EPIPE;
        if (channel->waiting.first != NULL || !has_room(channel))
            return TN_EAGAIN;
        if (element == NULL) {
            channel->reserved++;
            return 0;
        }
        if (tni_likely(!must_grow(channel))) {
            put(channel, element);
            return 0;
        }
        if (!grow(channel))
            return TN_ENOMEM;
    }
}

/* Lock held, and released in the end: places go to the senders that wait, oldest first. */
static void serve(tn_mpsc *channel)
{
    tni_waiters *queue = &channel->waiting;
    tni_wake_batch batch = {.count = 0};

    while (queue->first != NULL && !channel->closed && has_room(channel)) {
        if (tni_wake_batch_is_full(&batch)) {
            tni_short_lock_release(&queue->lock);
            tni_wake_batch_wake(&batch);
            tni_short_lock_acquire(&queue->lock);
            continue;
        }
        channel->reserved++;
        tni_wake_batch_add(&batch, tni_waiters_settle(queue, TNI_WAITER_GRANTED));
    }
    tni_short_lock_release(&queue->lock);
    tni_wake_batch_wake(&batch);
}

static int try_admit(tn_mpsc *channel, const void *element)
{
    tni_wake receiver = 0;
    int rc;

    tni_short_lock_acquire(&channel->waiting.lock);
    rc = admit(channel, element);
    if (rc == 0 && element != NULL)
        receiver = take_receiver(channel);
    tni_short_lock_release(&channel->waiting.lock);
    tni_wake_do(receiver);
    return rc;
}

int tn_mpsc_try_send(tn_mpsc *channel, const void *element)
{
    return try_admit(channel, element);
}

int tn_mpsc_try_reserve(tn_mpsc *channel)
{
    return try_admit(channel, NULL);
}

int tn_mpsc_send_reserved(tn_mpsc *channel, const void *element)
{
    tni_wake receiver = 0;
    int rc = 0;

    tni_short_lock_acquire(&channel->waiting.lock);
    tni_assert(channel->reserved > 0, "an element is sent into a place that was not reserved");
    while (rc == 0 && must_grow(channel))
        rc = grow(channel) ? 0 : TN_ENOMEM;
    channel->reserved--;
    if (channel->receiver_gone)
        rc = TN_EPIPE;
    if (rc == 0)
        put(channel, element);
    /* Also if it was the last place of a closed channel, and nothing came into it: then the end has come. */
    receiver = take_receiver(channel);
    tni_short_lock_release(&channel->waiting.lock);
    tni_wake_do(receiver);
    return rc;
}

void tn_mpsc_unreserve(tn_mpsc *channel)
{
    tni_wake receiver = 0;

    tni_short_lock_acquire(&channel->waiting.lock);
    tni_assert(channel->reserved > 0, "a place is given back that was not reserved");
    channel->reserved--;
    if (channel->closed && channel->reserved == 0)
        receiver = take_receiver(channel); /* the end has come */
    serve(channel);
    tni_wake_do(receiver);
}

/* Waits for room: behind the others, `crowded` first, then one more look at `head`. Lock held, and released. */
static void queue_up(tn_mpsc *channel, tni_waiter *waiter, tn_waker *waker)
{
    tni_waiters_push(&channel->waiting, waiter, waker);
    /* Relaxed, both: written under the lock that we hold; the fence orders it before the look at the head. Partner: relieve. */
    if (tni_a32_load(&channel->crowded, TNI_RELAXED) == 0) {
        tni_a32_store(&channel->crowded, 1, TNI_RELAXED);
        tni_fence_heavy(channel->asymmetric);
    }
    serve(channel);
}

static int send_poll(tn_future *self, tn_waker *waker)
{
    tn_mpsc_send_future *future = tni_container_of(self, tn_mpsc_send_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    tn_mpsc *channel = future->channel;
    tni_wake receiver = 0;
    int rc;

    switch (tni_waiters_verdict(&channel->waiting, waiter)) {
    case TNI_WAITER_IDLE:
        break;
    case TNI_WAITER_QUEUED:
        return tni_waiters_again(&channel->waiting, waiter, waker);
    case TNI_WAITER_GRANTED:
        tni_waiter_rest(waiter);
        return future->element == NULL ? 0 : tn_mpsc_send_reserved(channel, future->element);
    default:
        tni_waiter_rest(waiter);
        return TN_EPIPE;
    }
    if (!tni_poll_may_answer(waker))
        return TN_PENDING;
    tni_short_lock_acquire(&channel->waiting.lock);
    rc = admit(channel, future->element);
    if (rc == TN_EAGAIN) {
        queue_up(channel, waiter, waker);
        return TN_PENDING;
    }
    if (rc == 0 && future->element != NULL)
        receiver = take_receiver(channel);
    tni_short_lock_release(&channel->waiting.lock);
    tni_wake_do(receiver);
    return rc;
}

static void send_drop(tn_future *self)
{
    tn_mpsc_send_future *future = tni_container_of(self, tn_mpsc_send_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    tn_mpsc *channel = future->channel;

    if (tni_waiters_leave(&channel->waiting, waiter)) {
        tni_waiters_left(&channel->waiting, waiter);
    } else if (tni_waiter_look(waiter) != TNI_WAITER_IDLE) {
        bool granted = tni_waiters_verdict(&channel->waiting, waiter) == TNI_WAITER_GRANTED;
        tni_waiter_rest(waiter);
        if (granted)
            tn_mpsc_unreserve(channel);
    }
}

static void send_future_init(tn_mpsc_send_future *future, tn_mpsc *channel, const void *element)
{
    static const tn_future_ops ops = {send_poll, send_drop};

    future->base.ops = &ops;
    future->channel = channel;
    future->element = element;
    tni_waiter_init(tni_waiter_of(&future->waiter), 1);
}

void tn_mpsc_send_init(tn_mpsc_send_future *future, tn_mpsc *channel, const void *element)
{
    tni_assert(element != NULL, "nothing to send");
    send_future_init(future, channel, element);
}

void tn_mpsc_reserve_init(tn_mpsc_send_future *future, tn_mpsc *channel)
{
    send_future_init(future, channel, NULL);
}

static int wait_for_room(tn_mpsc *channel, const void *element)
{
    tn_mpsc_send_future future;
    int rc = tni_sync_enter();

    if (rc != 0)
        return rc;
    rc = try_admit(channel, element);
    if (rc != TN_EAGAIN)
        return rc;
    send_future_init(&future, channel, element);
    tni_waiter_in_frame(tni_waiter_of(&future.waiter));
    return tn_await(&future.base);
}

int tn_mpsc_send(tn_mpsc *channel, const void *element)
{
    tni_assert(element != NULL, "nothing to send");
    return wait_for_room(channel, element);
}

int tn_mpsc_reserve(tn_mpsc *channel)
{
    return wait_for_room(channel, NULL);
}

bool tn_mpsc_is_closed(tn_mpsc *channel)
{
    bool closed;

    tni_short_lock_acquire(&channel->waiting.lock);
    closed = channel->closed;
    tni_short_lock_release(&channel->waiting.lock);
    return closed;
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
    receiver = take_receiver(channel);
    tni_short_lock_release(&channel->waiting.lock);
    tni_wake_do(receiver);
    leave(channel);
}

/* --- The receiver ----------------------------------------------------------------------------------------------------------- */

/* Lock held, and no sender waits: the next one that does says so again. Not before half of the room is free, because saying so is
 * dear. */
static void calm(tn_mpsc *channel)
{
    /* Relaxed, all: written under the lock that we hold, or our own. The mark: our own look reads it. */
    uint64_t used = tni_a64_load(&channel->tail, TNI_RELAXED) - tni_a64_load(&channel->head, TNI_RELAXED);

    if (used + channel->reserved <= channel->capacity / 2)
        tni_a32_store(&channel->crowded, 0, TNI_RELAXED);
}

static void serve_crowd(tn_mpsc *channel)
{
    tni_short_lock_acquire(&channel->waiting.lock);
    if (channel->waiting.first != NULL) {
        serve(channel);
        return;
    }
    calm(channel);
    tni_short_lock_release(&channel->waiting.lock);
}

/* Elements were taken: whoever waits for room may have it now. */
static inline void relieve(tn_mpsc *channel)
{
    if (channel->capacity == TN_UNBOUNDED)
        return;
    /* Orders the new head before the look at the mark; partner: the fence in queue_up. */
    tni_fence_light(channel->asymmetric);
    if (tni_likely(tni_a32_load(&channel->crowded, TNI_RELAXED) == 0)) /* behind the fence */
        return;
    serve_crowd(channel);
}

__attribute__((always_inline)) static inline size_t receive(tn_mpsc *channel, void *elements, size_t count)
{
    size_t taken = take(channel, elements, count);

    if (taken > 0)
        relieve(channel);
    return taken;
}

/* Lock held. TN_EAGAIN: nothing is there; TN_EPIPE: and nothing will come; 0: look again. */
static int is_over(const tn_mpsc *channel)
{
    /* First the senders (acquire: all they have sent), then what is there. */
    bool ended = tni_a32_load(&channel->senders, TNI_ACQUIRE) == 0 || channel->closed;

    /* Relaxed, both: our own, and written under the lock that we hold. */
    if (tni_a64_load(&channel->tail, TNI_RELAXED) != tni_a64_load(&channel->head, TNI_RELAXED))
        return 0;
    return ended && channel->reserved == 0 ? TN_EPIPE : TN_EAGAIN;
}

int tn_mpsc_try_recv(tn_mpsc *channel, void *element)
{
    int rc = 0;

    while (rc == 0) {
        if (receive(channel, element, 1) > 0)
            return 0;
        tni_short_lock_acquire(&channel->waiting.lock);
        rc = is_over(channel);
        tni_short_lock_release(&channel->waiting.lock);
    }
    return rc;
}

/* Lock held: takes the future's waker away, if it is still there. */
static tn_waker *take_back(tn_mpsc_recv_future *future)
{
    tn_waker *waker = future->waiting ? future->channel->receiver_waker : NULL;

    future->waiting = false;
    if (waker == NULL)
        return NULL;
    future->channel->receiver_waker = NULL;
    return future->channel->receiver_borrowed ? NULL : waker;
}

/* Nothing is there: leaves the waker. TN_PENDING, TN_EPIPE, TN_EBUSY; 0: there is something after all. */
static int wait_for_element(tn_mpsc_recv_future *future, tn_waker *waker)
{
    tn_mpsc *channel = future->channel;
    tn_waker *old = NULL;
    int rc;

    tni_short_lock_acquire(&channel->waiting.lock);
    rc = is_over(channel);
    if (rc == TN_EAGAIN && channel->receiver_waker != NULL && !future->waiting)
        rc = TN_EBUSY;
    else
        old = take_back(future);
    if (rc == TN_EAGAIN) {
        rc = TN_PENDING;
        if (channel->waiting.first == NULL)
            calm(channel);
        future->waiting = true;
        channel->receiver_waker = future->in_frame ? waker : tn_waker_retain(waker);
        channel->receiver_borrowed = future->in_frame;
    }
    tni_short_lock_release(&channel->waiting.lock);
    if (old != NULL)
        tn_waker_release(old);
    return rc;
}

/* Something was received: whoever sent it has taken the waker, or does so now, under the lock. */
static void stop_waiting(tn_mpsc_recv_future *future)
{
    if (!future->waiting)
        return;
    future->waiting = false;
    tni_short_lock_outlast(&future->channel->waiting.lock);
}

static int recv_poll(tn_future *self, tn_waker *waker)
{
    tn_mpsc_recv_future *future = tni_container_of(self, tn_mpsc_recv_future, base);
    /* tn_mpsc_recv has looked already. */
    int rc = future->in_frame && !future->waiting ? wait_for_element(future, waker) : 0;

    if (!tni_poll_may_answer(waker))
        return TN_PENDING;
    while (rc == 0) {
        size_t taken = receive(future->channel, future->elements, future->count == 0 ? 1 : future->count);
        if (taken > 0) {
            stop_waiting(future);
            return future->count == 0 ? 0 : (int)taken;
        }
        rc = wait_for_element(future, waker);
    }
    return rc;
}

static void recv_drop(tn_future *self)
{
    tn_mpsc_recv_future *future = tni_container_of(self, tn_mpsc_recv_future, base);
    tn_waker *waker;

    if (!future->waiting)
        return;
    tni_short_lock_acquire(&future->channel->waiting.lock);
    waker = take_back(future);
    tni_short_lock_release(&future->channel->waiting.lock);
    if (waker != NULL)
        tn_waker_release(waker);
}

static void recv_future_init(tn_mpsc_recv_future *future, tn_mpsc *channel, void *elements, size_t count)
{
    static const tn_future_ops ops = {recv_poll, recv_drop};

    future->base.ops = &ops;
    future->channel = channel;
    future->elements = elements;
    future->count = count;
    future->waiting = false;
    future->in_frame = false;
}

void tn_mpsc_recv_init(tn_mpsc_recv_future *future, tn_mpsc *channel, void *element)
{
    recv_future_init(future, channel, element, 0);
}

void tn_mpsc_recv_many_init(tn_mpsc_recv_future *future, tn_mpsc *channel, void *elements, size_t count)
{
    tni_assert(count > 0 && count <= INT_MAX, "a number of elements to receive out of its range");
    recv_future_init(future, channel, elements, count);
}

int tn_mpsc_recv(tn_mpsc *channel, void *element)
{
    tn_mpsc_recv_future future;
    int rc = tni_sync_enter();

    if (rc != 0 || receive(channel, element, 1) > 0)
        return rc;
    recv_future_init(&future, channel, element, 0);
    future.in_frame = true;
    return tn_await(&future.base);
}

int tn_mpsc_recv_many(tn_mpsc *channel, void *elements, size_t count)
{
    tn_mpsc_recv_future future;
    int rc = tni_sync_enter();
    size_t taken;

    if (rc != 0)
        return rc;
    tn_mpsc_recv_many_init(&future, channel, elements, count);
    taken = receive(channel, elements, count);
    if (taken > 0)
        return (int)taken;
    future.in_frame = true;
    return tn_await(&future.base);
}

void tn_mpsc_close(tn_mpsc *channel)
{
    tni_wake receiver;

    tni_short_lock_acquire(&channel->waiting.lock);
    channel->closed = true;
    receiver = take_receiver(channel); /* it may be another task that closes */
    tni_waiters_settle_all(&channel->waiting, TNI_WAITER_CLOSED);
    tni_wake_do(receiver);
}

void tn_mpsc_release_receiver(tn_mpsc *channel)
{
    tni_short_lock_acquire(&channel->waiting.lock);
    tni_assert(!channel->receiver_gone, "the receiver's end is given up twice");
    channel->receiver_gone = true;
    channel->closed = true;
    tni_waiters_settle_all(&channel->waiting, TNI_WAITER_CLOSED);
    leave(channel);
}
