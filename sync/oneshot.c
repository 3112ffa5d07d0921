/* SPDX-License-Identifier: MIT */
/* tn_oneshot: a channel for one element. One word has the whole state: what has been sent, which ends exist, whether the
 * receiver waits. Each change is a compare-and-swap of the whole word, so a send and a close always have an order.
 *
 * The waker belongs to the thread whose change clears WAITING: the sender when it sends or abandons, the receiver, or a thread
 * that closes. After SENDER_GONE or CLOSED, WAITING is never set. The sender reads the waker *before* its compare-and-swap,
 * because it may not access the oneshot afterwards (the receiver may free it). The epoch in the word, which each wait
 * increments, ensures that the waker read is still the right one when the compare-and-swap succeeds. */
#include <tn/oneshot.h>

#include "base/order.h"
#include "channel.h"
#include "waiters.h"

#define SENT UINT64_C(1)     /* the element was written */
#define RECEIVED UINT64_C(2) /* the element was copied out */
#define SENDER_GONE UINT64_C(4)
#define CLOSED UINT64_C(8) /* by the receiver: nothing can be sent any more */
#define RECEIVER_GONE UINT64_C(16)
#define WAITING UINT64_C(32) /* `waker` is a reference */
#define EPOCH UINT64_C(64)

struct tn_oneshot {
    tni_a64 word;
    tni_aptr waker; /* tn_waker *, see the head of the file */
    size_t element_size;
    void (*discard)(void *element);
    tn_allocator allocator;
    _Alignas(16) unsigned char element[]; /* the sender's until SENT, then the receiver's */
};

/* Inline, with its two callers: without options all but the size is constant. */
__attribute__((always_inline)) static inline tn_oneshot *make(size_t element_size, void (*discard)(void *element),
                                                              const tn_allocator *allocator)
{
    tn_oneshot *oneshot;

    if (element_size >= SIZE_MAX - sizeof *oneshot)
        return NULL;
    oneshot = tni_alloc_uninitialized(allocator, sizeof *oneshot + element_size, _Alignof(tn_oneshot));
    if (oneshot == NULL)
        return NULL;
    oneshot->element_size = element_size;
    oneshot->discard = discard;
    oneshot->allocator = *allocator;
    tni_a64_init(&oneshot->word, 0);
    tni_aptr_init(&oneshot->waker, NULL);
    return oneshot;
}

__attribute__((noinline)) static int create_with_options(tn_oneshot **out, size_t element_size, const tn_channel_options *options)
{
    tni_channel_options kept;
    int rc = tni_channel_options_read(&kept, options, "tn_oneshot_create");

    *out = rc == 0 ? make(element_size, kept.discard, &kept.allocator) : NULL;
    return rc == 0 && *out == NULL ? TN_ENOMEM : rc;
}

int tn_oneshot_create(tn_oneshot **out, size_t element_size, const tn_channel_options *options)
{
    if (options != NULL)
        return create_with_options(out, element_size, options);
    *out = make(element_size, NULL, &tni_alloc_default);
    return *out == NULL ? TN_ENOMEM : 0;
}

/* Both ends are released. */
static void destroy(tn_oneshot *oneshot, uint64_t word)
{
    if ((word & (SENT | RECEIVED)) == SENT && oneshot->discard != NULL) {
        tni_order_acquire();
        oneshot->discard(oneshot->element);
    }
    /* The allocator's function and its argument are read before the call. */
    tni_free(&oneshot->allocator, oneshot, sizeof *oneshot + oneshot->element_size);
}

/* For the sender: its last access to the oneshot, except for freeing it. `sent`: 0 or SENT. Inline: on the path of each send. */
__attribute__((always_inline)) static inline int sender_leave(tn_oneshot *oneshot, uint64_t sent)
{
    /* Observes the waker that belongs to WAITING; partner: start_waiting. */
    uint64_t word = tni_a64_load(&oneshot->word, TNI_ACQUIRE);
    tn_waker *waker;
    uint64_t wanted;

    tni_order_release();
    do {
        tni_assert(!(word & SENDER_GONE), "tn_oneshot_send, tn_oneshot_abandon: the sender was released before");
        waker = tni_aptr_load(&oneshot->waker, TNI_RELAXED); /* relaxed: the CAS verifies that it is the right one */
        wanted = ((word & CLOSED ? word : word | sent) | SENDER_GONE) & ~WAITING;
        /* Publishes the element, observes the receiver's last access before a free; partners: start_waiting,
         * tn_oneshot_try_recv. */
    } while (!tni_a64_cas(&oneshot->word, &word, wanted, TNI_ACQ_REL));
    if (word & WAITING)
        tn_waker_wake(waker);
    if (word & RECEIVER_GONE)
        destroy(oneshot, wanted);
    return word & CLOSED ? TN_EPIPE : 0;
}

int tn_oneshot_send(tn_oneshot *oneshot, const void *element)
{
    tni_channel_copy_element(oneshot->element, element, oneshot->element_size);
    return sender_leave(oneshot, SENT);
}

void tn_oneshot_abandon(tn_oneshot *oneshot)
{
    (void)sender_leave(oneshot, 0);
}

bool tn_oneshot_is_closed(const tn_oneshot *oneshot)
{
    /* Observes what the receiver did before it closed; partner: tn_oneshot_close. */
    bool closed = tni_a64_load(&oneshot->word, TNI_ACQUIRE) & CLOSED;

    tni_order_acquire();
    return closed;
}

/* Inline: on the path of each receive. */
__attribute__((always_inline)) static inline int try_recv(tn_oneshot *oneshot, void *element)
{
    /* Observes the element; partner: sender_leave. */
    uint64_t word = tni_a64_load(&oneshot->word, TNI_ACQUIRE);

    if ((word & (SENT | RECEIVED)) == SENT) {
        tni_order_acquire();
        tni_channel_copy_element(element, oneshot->element, oneshot->element_size);
        /* Relaxed: the sender is gone, and no other thread reads it. */
        tni_a64_store(&oneshot->word, word | RECEIVED, TNI_RELAXED);
        return 0;
    }
    if (!(word & (SENDER_GONE | CLOSED)))
        return TN_EAGAIN;
    tni_order_acquire();
    return TN_EPIPE;
}

int tn_oneshot_try_recv(tn_oneshot *oneshot, void *element)
{
    return try_recv(oneshot, element);
}

/* For the receiver: takes its waker back, unless the sender has taken it. */
static void stop_waiting(tn_oneshot *oneshot)
{
    /* Relaxed: later code reads again what matters; the CAS verifies it. */
    uint64_t word = tni_a64_load(&oneshot->word, TNI_RELAXED);
    tn_waker *waker = tni_aptr_load(&oneshot->waker, TNI_RELAXED); /* relaxed: written by the receiver itself */

    while (word & WAITING)
        /* On failure observes the sender that took it; partner: sender_leave. On success publishes nothing. */
        if (tni_a64_cas(&oneshot->word, &word, word & ~WAITING, TNI_ACQ_REL)) {
            tn_waker_release(waker);
            return;
        }
}

/* For the receiver: registers its waker. Returns false if a send or a close was first. */
static bool start_waiting(tn_oneshot *oneshot, tn_waker *waker)
{
    /* Relaxed: the CAS verifies it. */
    uint64_t word = tni_a64_load(&oneshot->word, TNI_RELAXED);

    if (word & WAITING) {
        if (tni_aptr_load(&oneshot->waker, TNI_RELAXED) == waker) /* relaxed: written by the receiver itself */
            return true;
        stop_waiting(oneshot);
        word = tni_a64_load(&oneshot->word, TNI_RELAXED); /* relaxed: the CAS verifies it */
    }
    /* Relaxed: published by the CAS; a sender that reads it earlier fails, because the epoch has changed. */
    tni_aptr_store(&oneshot->waker, tn_waker_retain(waker), TNI_RELAXED);
    while (!(word & (SENDER_GONE | CLOSED)))
        /* Publishes the waker; on failure observes the element. Partners: sender_leave, tn_oneshot_close. */
        if (tni_a64_cas(&oneshot->word, &word, (word + EPOCH) | WAITING, TNI_ACQ_REL))
            return true;
    tn_waker_release(waker);
    return false;
}

/* A poll that returns anything but TN_PENDING makes its last access to the oneshot, which may then be freed; so the drop does
 * not access it. Nothing is left to give back, because the change that led to the result has cleared WAITING. */
static int recv_poll(tn_future *self, tn_waker *waker)
{
    tn_oneshot_future *future = tni_container_of(self, tn_oneshot_future, base);
    int rc;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    rc = try_recv(future->oneshot, future->element);
    if (rc == TN_EAGAIN && start_waiting(future->oneshot, waker))
        return TN_PENDING;
    if (rc == TN_EAGAIN)
        rc = tn_oneshot_try_recv(future->oneshot, future->element);
    future->oneshot = NULL;
    return tni_budget_poll_leave(waker, rc);
}

static void recv_drop(tn_future *self)
{
    tn_oneshot_future *future = tni_container_of(self, tn_oneshot_future, base);

    if (future->oneshot != NULL)
        stop_waiting(future->oneshot);
}

void tn_oneshot_recv_init(tn_oneshot_future *future, tn_oneshot *oneshot, void *element)
{
    static const tn_future_ops ops = {recv_poll, recv_drop, "oneshot"};

    future->base.ops = &ops;
    future->oneshot = oneshot;
    future->element = element;
}

/* The wait of a receive that has found no element. Out of line: one that finds it needs no space for the future. */
__attribute__((noinline)) static int await_element(tn_oneshot *oneshot, void *element)
{
    tn_oneshot_future future;

    tn_oneshot_recv_init(&future, oneshot, element);
    return tn_await(&future.base);
}

int tn_oneshot_recv(tn_oneshot *oneshot, void *element)
{
    int rc = tni_budget_enter_inline();

    if (rc == 0)
        rc = try_recv(oneshot, element);
    return rc != TN_EAGAIN ? rc : await_element(oneshot, element);
}

/* For the receiver while the sender exists, or did a moment ago. Out of line: most are released after the receive. */
__attribute__((noinline)) static uint64_t leave_beside_sender(tn_oneshot *oneshot)
{
    stop_waiting(oneshot);
    tni_order_release();
    /* Publishes the receiver's last access; observes the sender's if that has gone meanwhile. Partner: sender_leave. */
    return tni_a64_fetch_or(&oneshot->word, CLOSED | RECEIVER_GONE, TNI_ACQ_REL);
}

void tn_oneshot_close(tn_oneshot *oneshot)
{
    /* Observes the waker that belongs to WAITING; partner: start_waiting. */
    uint64_t word = tni_a64_load(&oneshot->word, TNI_ACQUIRE);
    tn_waker *waker;

    tni_order_release();
    do {
        waker = tni_aptr_load(&oneshot->waker, TNI_RELAXED); /* relaxed: the CAS verifies that it is the right one */
        /* A close and a send change the same word: the later one observes what the earlier one did before. Partner:
         * sender_leave. */
    } while (!tni_a64_cas(&oneshot->word, &word, (word | CLOSED) & ~WAITING, TNI_ACQ_REL));
    if (word & WAITING)
        tn_waker_wake(waker);
}

void tn_oneshot_release(tn_oneshot *oneshot)
{
    /* Observes the sender's last access, and its element; partner: sender_leave. If it is gone no other thread uses the word, and
     * nothing waits. */
    uint64_t word = tni_a64_load(&oneshot->word, TNI_ACQUIRE);

    if (!(word & SENDER_GONE))
        word = leave_beside_sender(oneshot);
    tni_assert(!(word & RECEIVER_GONE), "tn_oneshot_release: called twice");
    if (word & SENDER_GONE)
        destroy(oneshot, word);
}
