/* SPDX-License-Identifier: MIT */
/* One word decides everything: what has been sent, who is still there, whether the receiver waits. Each change is a
 * compare-and-swap of the whole word, so of send and close exactly one is first.
 *
 * The receiver's waker belongs to whoever makes the change that clears WAITING: the sender, as it sends or abandons, the receiver
 * itself, or whoever closes. After SENDER_GONE or CLOSED there is no WAITING any more. The sender reads the waker *before* its
 * compare-and-swap, because afterwards it may not touch the oneshot any more (the receiver may free it). That the waker is still
 * the one it read is known by the epoch in the word, which every new wait increments. */
#include <tn/oneshot.h>

#include "channel.h"
#include "waiters.h"

#define SENT UINT64_C(1)     /* the element is there, or was */
#define RECEIVED UINT64_C(2) /* it has been copied out */
#define SENDER_GONE UINT64_C(4)
#define CLOSED UINT64_C(8) /* by the receiver: nothing is sent any more */
#define RECEIVER_GONE UINT64_C(16)
#define WAITING UINT64_C(32) /* `waker` is a reference */
#define EPOCH UINT64_C(64)

struct tn_oneshot {
    tni_a64 word;
    tni_aptr waker; /* tn_waker *, see above */
    size_t element_size;
    tni_channel_options options;
    _Alignas(16) unsigned char element[]; /* the sender's until SENT, then the receiver's */
};

int tn_oneshot_create(tn_oneshot **out, size_t element_size, const tn_channel_options *options)
{
    tni_channel_options kept = tni_channel_options_of(options);
    tn_oneshot *oneshot = NULL;

    if (element_size < SIZE_MAX - sizeof *oneshot)
        oneshot = tni_alloc(&kept.allocator, sizeof *oneshot + element_size, _Alignof(tn_oneshot));
    *out = oneshot;
    if (oneshot == NULL)
        return TN_ENOMEM;
    oneshot->element_size = element_size;
    oneshot->options = kept;
    tni_a64_init(&oneshot->word, 0);
    tni_aptr_init(&oneshot->waker, NULL);
    return 0;
}

/* Both ends are gone. */
static void destroy(tn_oneshot *oneshot, uint64_t word)
{
    tn_allocator allocator = oneshot->options.allocator;

    if ((word & (SENT | RECEIVED)) == SENT && oneshot->options.discard != NULL)
        oneshot->options.discard(oneshot->element);
    tni_free(&allocator, oneshot, sizeof *oneshot + oneshot->element_size);
}

/* Sender: the last access to the oneshot, but for freeing it. `news`: 0 or SENT. */
static int part(tn_oneshot *oneshot, uint64_t news)
{
    /* Acquire: with WAITING, the waker that goes with it; partner: wait. */
    uint64_t word = tni_a64_load(&oneshot->word, TNI_ACQUIRE);
    tn_waker *waker;
    uint64_t wanted;

    do {
        tni_assert(!(word & SENDER_GONE), "the sender's end of a oneshot is used after it was given up");
        waker = tni_aptr_load(&oneshot->waker, TNI_RELAXED); /* the CAS tells whether it is the right one */
        wanted = ((word & CLOSED ? word : word | news) | SENDER_GONE) & ~WAITING;
        /* Release: the element; partners: wait, tn_oneshot_try_recv. Acquire: the receiver's last access, if we free. */
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
    return part(oneshot, SENT);
}

void tn_oneshot_abandon(tn_oneshot *oneshot)
{
    (void)part(oneshot, 0);
}

bool tn_oneshot_is_closed(const tn_oneshot *oneshot)
{
    return tni_a64_load(&oneshot->word, TNI_ACQUIRE) & CLOSED; /* observes what the receiver did before it closed */
}

int tn_oneshot_try_recv(tn_oneshot *oneshot, void *element)
{
    /* Acquire: the element; partner: part. */
    uint64_t word = tni_a64_load(&oneshot->word, TNI_ACQUIRE);

    if ((word & (SENT | RECEIVED)) == SENT) {
        tni_channel_copy_element(element, oneshot->element, oneshot->element_size);
        /* Relaxed: the sender is gone, and nobody else reads it. */
        tni_a64_store(&oneshot->word, word | RECEIVED, TNI_RELAXED);
        return 0;
    }
    return word & (SENDER_GONE | CLOSED) ? TN_EPIPE : TN_EAGAIN;
}

/* Receiver: takes its waker back, if the sender has not. */
static void stop_waiting(tn_oneshot *oneshot)
{
    /* Relaxed: what matters is read again by who goes on; the CAS checks it. */
    uint64_t word = tni_a64_load(&oneshot->word, TNI_RELAXED);
    tn_waker *waker = tni_aptr_load(&oneshot->waker, TNI_RELAXED); /* our own */

    while (word & WAITING)
        /* Acquire on failure: the sender that took it. On success nothing is published. */
        if (tni_a64_cas(&oneshot->word, &word, word & ~WAITING, TNI_ACQ_REL)) {
            tn_waker_release(waker);
            return;
        }
}

/* Receiver: says that it waits. Answers TN_PENDING, or 0 when the sender, or a close, was first. */
static int wait(tn_oneshot *oneshot, tn_waker *waker)
{
    /* Relaxed: the CAS checks it. */
    uint64_t word = tni_a64_load(&oneshot->word, TNI_RELAXED);

    if (word & WAITING) {
        if (tni_aptr_load(&oneshot->waker, TNI_RELAXED) == waker) /* our own */
            return TN_PENDING;
        stop_waiting(oneshot);
        word = tni_a64_load(&oneshot->word, TNI_RELAXED); /* the CAS checks it */
    }
    /* Relaxed: published by the CAS; a sender that reads it too early finds another epoch. */
    tni_aptr_store(&oneshot->waker, tn_waker_retain(waker), TNI_RELAXED);
    while (!(word & (SENDER_GONE | CLOSED)))
        /* Release: the waker; partners: part, tn_oneshot_close. Acquire on failure: the element. */
        if (tni_a64_cas(&oneshot->word, &word, (word + EPOCH) | WAITING, TNI_ACQ_REL))
            return TN_PENDING;
    tn_waker_release(waker);
    return 0;
}

/* An answer other than TN_PENDING is the last access to the oneshot, which may be freed then: drop does not touch it. Nothing is
 * left to give back, because WAITING was cleared by what made the answer. */
static int recv_poll(tn_future *self, tn_waker *waker)
{
    tn_oneshot_future *future = tni_container_of(self, tn_oneshot_future, base);
    int rc;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    rc = tn_oneshot_try_recv(future->oneshot, future->element);
    if (rc == TN_EAGAIN && wait(future->oneshot, waker) == TN_PENDING)
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

int tn_oneshot_recv(tn_oneshot *oneshot, void *element)
{
    tn_oneshot_future future;
    int rc = tni_budget_enter();

    if (rc != 0)
        return rc;
    rc = tn_oneshot_try_recv(oneshot, element);
    if (rc != TN_EAGAIN)
        return rc;
    tn_oneshot_recv_init(&future, oneshot, element);
    return tn_await(&future.base);
}

void tn_oneshot_close(tn_oneshot *oneshot)
{
    /* Acquire: with WAITING, the waker that goes with it; partner: wait. */
    uint64_t word = tni_a64_load(&oneshot->word, TNI_ACQUIRE);
    tn_waker *waker;

    do {
        waker = tni_aptr_load(&oneshot->waker, TNI_RELAXED); /* the CAS tells whether it is the right one */
        /* Acq_rel: one of close and send is first, and each sees what the other did before; partner: part. */
    } while (!tni_a64_cas(&oneshot->word, &word, (word | CLOSED) & ~WAITING, TNI_ACQ_REL));
    if (word & WAITING)
        tn_waker_wake(waker);
}

void tn_oneshot_release(tn_oneshot *oneshot)
{
    uint64_t word;

    stop_waiting(oneshot);
    /* Acquire: the sender's last access, and its element; partner: part. If it is gone nobody else looks at the word. */
    word = tni_a64_load(&oneshot->word, TNI_ACQUIRE);
    if (!(word & SENDER_GONE))
        /* Release: our last access; acquire: as above. */
        word = tni_a64_fetch_or(&oneshot->word, CLOSED | RECEIVER_GONE, TNI_ACQ_REL);
    tni_assert(!(word & RECEIVER_GONE), "the receiver's end of a oneshot is given up twice");
    if (word & SENDER_GONE)
        destroy(oneshot, word);
}
