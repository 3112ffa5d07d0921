/* SPDX-License-Identifier: MIT */
/* An inbox: any thread pushes nodes without a lock, and the owner takes all of them at once.
 *
 * State: one word. It points to the newest node, and each node to the one pushed before it. NULL: the inbox is empty. The
 * address of the inbox itself: it is closed.
 *
 * Push: 1. read the word; 2. write it into the node's link; 3. replace it by the node with a compare-and-swap, or repeat from 2
 * with the value found. Take: exchange the word for NULL. Close: exchange it for the mark.
 *
 * Why this is correct:
 *   - Each node is taken once. The word changes in one order, so a node is in the list that an exchange returns, or is pushed
 *     after it. A push that finds the mark leaves the node with its pusher.
 *   - There is no ABA problem. A push compares the word with the value in its link. If that node was taken and pushed again
 *     meanwhile, it is the newest node again, and the link is right. A take compares nothing.
 *   - The owner observes what each pusher wrote before its push: the compare-and-swap is a release, the exchange an acquire.
 *     All changes between the two are read-modify-writes, so an older push reaches the exchange too (a release sequence), and a
 *     push need not acquire.
 *   - Nothing is freed early. Until step 3 succeeds, the node is the pusher's, and the pusher needs a reason why the inbox
 *     exists. Afterwards the node is the owner's, and the push accesses neither of them.
 *
 * The users ensure that a push is seen in time. A relaxed load of the word (tni_inbox_is_empty; tni_inbox_take begins with it)
 * may miss a push that has just been made. There are two ways:
 *   - An owner that is about to sleep says so in a word of its own, makes a full fence, and checks the inbox. A pusher pushes,
 *     makes a full fence, and checks that word. So one of the two sees the other. (The driver; the pool with its wake token.)
 *   - Each push is followed by a wake that is never lost. (The mailbox of a worker, and future sets.)
 * Nothing waits for the remote frees of a slab, so they need neither.
 */
#ifndef TNI_INBOX_H
#define TNI_INBOX_H

#include "base/atomic.h"

typedef struct tni_inbox_node tni_inbox_node;
struct tni_inbox_node {
    tni_inbox_node *next; /* the pusher's until it has pushed; then the owner's; NULL: the last one */
};

typedef struct {
    tni_aptr newest;
} tni_inbox;

static inline void tni_inbox_init(tni_inbox *inbox)
{
    tni_aptr_init(&inbox->newest, NULL);
}

/* Steps 2 and 3 of a push. False: *newest is the value found. */
static inline bool tni_inbox_link(tni_inbox *inbox, tni_inbox_node *node, void **newest)
{
    node->next = *newest;
    /* Release: publishes the link, and what the pusher wrote before; partners: tni_inbox_take_newest_first, tni_inbox_close. */
    return tni_aptr_cas(&inbox->newest, newest, node, TNI_RELEASE);
}

/* Any thread. The inbox is never closed. */
static inline void tni_inbox_push(tni_inbox *inbox, tni_inbox_node *node)
{
    void *newest = tni_aptr_load(&inbox->newest, TNI_RELAXED); /* relaxed: the CAS checks it */

    while (!tni_inbox_link(inbox, node, &newest))
        ;
}

/* Any thread. False: the inbox is closed, and the node is still the caller's. */
static inline bool tni_inbox_try_push(tni_inbox *inbox, tni_inbox_node *node)
{
    /* Acquire, as a CAS that fails: a push that finds the mark observes what the owner did before; partner: tni_inbox_close. */
    void *newest = tni_aptr_load(&inbox->newest, TNI_ACQUIRE);

    while (newest != inbox)
        if (tni_inbox_link(inbox, node, &newest))
            return true;
    return false;
}

/* Any thread, while the inbox is open. */
static inline bool tni_inbox_is_empty(const tni_inbox *inbox)
{
    /* Relaxed: the file's comment has how the users ensure that no push is missed. */
    return tni_aptr_load(&inbox->newest, TNI_RELAXED) == NULL;
}

/* Owner. Empties the inbox. Returns its nodes as a chain, the newest first; NULL: none. */
static inline tni_inbox_node *tni_inbox_take_newest_first(tni_inbox *inbox)
{
    /* Acquire: observes the links, and what the pushers wrote; partner: tni_inbox_link. */
    return tni_aptr_exchange(&inbox->newest, NULL, TNI_ACQUIRE);
}

/* Owner. Empties the inbox. Returns its nodes as a chain, the oldest first; NULL: none, or none seen (tni_inbox_is_empty). */
static inline tni_inbox_node *tni_inbox_take(tni_inbox *inbox)
{
    tni_inbox_node *oldest = NULL;
    tni_inbox_node *node = NULL;

    if (!tni_inbox_is_empty(inbox))
        node = tni_inbox_take_newest_first(inbox);
    while (node != NULL) {
        tni_inbox_node *older = node->next;
        node->next = oldest;
        oldest = node;
        node = older;
    }
    return oldest;
}

/* Owner, once: from now on pushes fail. Returns the nodes that were pushed before as a chain, the newest first; NULL: none. */
static inline tni_inbox_node *tni_inbox_close(tni_inbox *inbox)
{
    /* Acquire: as in tni_inbox_take_newest_first. Release: publishes what the owner did; partner: tni_inbox_try_push. */
    return tni_aptr_exchange(&inbox->newest, inbox, TNI_ACQ_REL);
}

#endif
