/* SPDX-License-Identifier: MIT */
/* tn_cancel_token: one call cancels the token and all tokens below it. README.md ("Tokens") has the protocol and its argument.
 *
 * The tree's lock, in the root, guards the links between tokens; each token's own lock guards its waiters and hooks. No lock is
 * held while a hook is called. A token retains its parent, so the root and its lock live longest. */
#include "cancel_token.h"

#include "base/alloc.h"
#include "base/list.h"
#include "base/order.h"
#include "base/tls.h"
#include "waiters.h"

/* tn_cancel_token_hook.state_. */
enum { HOOK_OFF, HOOK_ADDED, HOOK_IN_CALL };

struct tn_cancel_token {
    tn_allocator allocator;
    tni_a32 references;
    tni_a32 cancelled;
    tn_cancel_token *root;   /* of the tree; the token itself if it has no parent */
    tn_cancel_token *parent; /* a reference; NULL: none */
    tni_short_lock tree;     /* used in the root only, for the whole tree */
    tni_list children;       /* under the tree's lock, as the next two */
    tni_list_node sibling;   /* of the parent's children */
    bool linked;             /* among its parent's children */
    tni_waiters queue;
    tn_cancel_token_hook *hooks; /* under the queue's lock */
    tni_a32 calls;               /* hook calls that have ended; written under the queue's lock, and a futex */
};

bool tn_cancel_token_is_cancelled(const tn_cancel_token *token)
{
    /* Observes what the canceller wrote; partner: mark_locked. */
    bool cancelled = tni_a32_load(&token->cancelled, TNI_ACQUIRE) != 0;

    tni_order_acquire();
    return cancelled;
}

/* May be repeated. */
static void mark_locked(tn_cancel_token *token)
{
    tni_short_lock_assert_held(&token->root->tree);
    tni_a32_store(&token->cancelled, 1,
                  TNI_RELEASE); /* publishes what the canceller wrote; partner: tn_cancel_token_is_cancelled */
}

/* --- The tree --------------------------------------------------------------------------------------------------------------- */

static void unlink_child_locked(tn_cancel_token *child)
{
    tni_short_lock_assert_held(&child->root->tree);
    if (!child->linked)
        return;
    child->linked = false;
    tni_list_remove(&child->parent->children, &child->sibling);
}

int tn_cancel_token_create(tn_cancel_token **out, tn_cancel_token *parent, const tn_allocator *allocator)
{
    tn_cancel_token *token;

    if (allocator == NULL)
        allocator = parent != NULL ? &parent->allocator : &tni_alloc_default;
    token = tni_alloc(allocator, sizeof *token, _Alignof(tn_cancel_token));
    *out = token;
    if (token == NULL)
        return TN_ENOMEM;
    token->allocator = *allocator;
    tni_a32_init(&token->references, 1);
    token->root = token;
    if (parent == NULL)
        return 0;
    token->root = parent->root;
    token->parent = tn_cancel_token_retain(parent);
    tni_short_lock_acquire(&token->root->tree);
    token->linked = !tn_cancel_token_is_cancelled(parent);
    if (token->linked)
        tni_list_prepend(&parent->children, &token->sibling);
    else
        mark_locked(token);
    tni_short_lock_release(&token->root->tree);
    return 0;
}

tn_cancel_token *tn_cancel_token_retain(tn_cancel_token *token)
{
    /* Relaxed: the caller holds a reference; one more publishes nothing. */
    (void)tni_a32_fetch_add(&token->references, 1, TNI_RELAXED);
    return token;
}

/* Retains a token found in the tree. False: its last reference is gone, and it is about to be freed. */
static bool retain_found_locked(tn_cancel_token *token)
{
    uint32_t references = tni_a32_load(&token->references, TNI_RELAXED); /* relaxed: the CAS verifies it */

    tni_short_lock_assert_held(&token->root->tree);
    do {
        if (references == 0)
            return false;
        /* Observes nothing that is needed, because the lock orders what is read of the token. Acquire, because the CAS has no
         * weaker form. */
    } while (!tni_a32_cas(&token->references, &references, references + 1, TNI_ACQUIRE));
    return true;
}

void tn_cancel_token_release(tn_cancel_token *token)
{
    while (token != NULL) {
        tn_cancel_token *parent = token->parent;
        tn_allocator allocator = token->allocator;
        /* Publishes this holder's accesses, observes those of all others before the free; partner: tn_cancel_token_release. */
        if (tni_a32_fetch_sub(&token->references, 1, TNI_ACQ_REL) > 1)
            return;
        tni_assert(tni_waiters_is_empty(&token->queue) && token->hooks == NULL,
                   "a cancel token is freed while it has waiters or hooks");
        if (parent != NULL) {
            tni_short_lock_acquire(&token->root->tree);
            unlink_child_locked(token);
            tni_short_lock_release(&token->root->tree);
        }
        tni_free(&allocator, token, sizeof *token);
        token = parent; /* releases the reference to the parent too */
    }
}

void tni_cancel_token_discard(tn_cancel_token *token)
{
    if (tni_waiters_is_empty(&token->queue) && token->hooks == NULL)
        tn_cancel_token_release(token);
}

/* --- Cancelling ------------------------------------------------------------------------------------------------------------- */

static void unlink_hook_locked(tn_cancel_token_hook *hook)
{
    tni_short_lock_assert_held(&hook->token->queue.lock);
    if (hook->previous_ != NULL)
        hook->previous_->next_ = hook->next_;
    else
        hook->token->hooks = hook->next_;
    if (hook->next_ != NULL)
        hook->next_->previous_ = hook->previous_;
}

/* The lock is released during the call. The hook is not freed before its state says that the call is over. */
static void call_first_hook_locked(tn_cancel_token *token)
{
    tn_cancel_token_hook *hook = token->hooks;

    tni_short_lock_assert_held(&token->queue.lock);
    unlink_hook_locked(hook);
    hook->state_ = HOOK_IN_CALL;
    hook->caller_ = tni_tls_get();
    tni_short_lock_release(&token->queue.lock);
    hook->call(hook);
    tni_short_lock_acquire(&token->queue.lock);
    hook->state_ = HOOK_OFF;
    /* Relaxed: the state is read under the lock; the increment ends a waiter's sleep. Partner: wait_call_ended_locked. */
    (void)tni_a32_fetch_add(&token->calls, 1, TNI_RELAXED);
}

/* Calls the hooks and completes the waiters. Several threads may do so at once: each takes what the others have left. */
static void notify(tn_cancel_token *token)
{
    tni_short_lock_acquire(&token->queue.lock);
    while (token->hooks != NULL)
        call_first_hook_locked(token);
    tni_waiters_complete_all_locked(&token->queue, TNI_WAITER_GRANTED);
}

/* Marks the first child and returns it with a reference; NULL: there is none. */
static tn_cancel_token *mark_first_child_locked(tn_cancel_token *token)
{
    tni_short_lock_assert_held(&token->root->tree);
    while (token->children.first != NULL) {
        tn_cancel_token *child = tni_container_of(token->children.first, tn_cancel_token, sibling);
        if (retain_found_locked(child)) {
            mark_locked(child);
            return child;
        }
        unlink_child_locked(child); /* its last reference is gone: it has no children, hooks or waiters */
    }
    return NULL;
}

void tn_cancel_token_cancel(tn_cancel_token *token)
{
    tni_short_lock *tree = &token->root->tree;
    tn_cancel_token *at = tn_cancel_token_retain(token);
    tn_cancel_token *notified = NULL; /* the child left last; its reference is released when the lock is free */

    tni_short_lock_acquire(tree);
    mark_locked(token);
    while (notified != token) {
        tn_cancel_token *child = mark_first_child_locked(at);
        if (child != NULL) {
            at = child; /* its parent stays retained until the walk returns to it */
            continue;
        }
        tni_short_lock_release(tree);
        tn_cancel_token_release(notified);
        notify(at);
        tni_short_lock_acquire(tree);
        unlink_child_locked(at);
        notified = at;
        at = at->parent;
    }
    tni_short_lock_release(tree);
    tn_cancel_token_release(notified);
}

/* --- Waiting ---------------------------------------------------------------------------------------------------------------- */

static int queue_up(tn_cancel_token *token, tni_waiter *waiter, tn_waker *waker)
{
    int rc = 0;

    tni_short_lock_acquire(&token->queue.lock);
    if (!tn_cancel_token_is_cancelled(token)) {
        tni_waiters_push_locked(&token->queue, waiter, waker);
        rc = TN_PENDING;
    }
    tni_short_lock_release(&token->queue.lock);
    return rc;
}

static int wait_poll(tn_future *self, tn_waker *waker)
{
    tn_cancel_token_future *future = tni_container_of(self, tn_cancel_token_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);
    int rc = tni_waiters_poll(&future->token->queue, waiter, waker);

    return rc == TNI_TO_QUEUE_UP ? tni_budget_poll_leave(waker, queue_up(future->token, waiter, waker)) : rc;
}

static void wait_drop(tn_future *self)
{
    tn_cancel_token_future *future = tni_container_of(self, tn_cancel_token_future, base);
    tni_waiter *waiter = tni_waiter_of(&future->waiter);

    /* A cancellation is final: there is nothing to pass on. */
    if (tni_waiter_state(waiter) != TNI_WAITER_IDLE && tni_waiters_leave(&future->token->queue, waiter))
        tni_waiters_left_locked(&future->token->queue, waiter);
}

void tn_cancel_token_wait_init(tn_cancel_token_future *future, tn_cancel_token *token)
{
    static const tn_future_ops ops = {wait_poll, wait_drop, "token"};

    future->base.ops = &ops;
    future->token = token;
    tni_waiter_init(tni_waiter_of(&future->waiter), 0);
}

int tn_cancel_token_wait(tn_cancel_token *token)
{
    tn_cancel_token_future future;
    int rc = tni_budget_enter();

    if (rc != 0 || tn_cancel_token_is_cancelled(token))
        return rc;
    tn_cancel_token_wait_init(&future, token);
    tni_waiter_in_frame(tni_waiter_of(&future.waiter));
    return tn_await(&future.base);
}

/* --- Hooks ------------------------------------------------------------------------------------------------------------------ */

int tn_cancel_token_hook_add(tn_cancel_token *token, tn_cancel_token_hook *hook)
{
    int rc = TN_ECANCELED;

    hook->token = token;
    hook->state_ = HOOK_OFF;
    tni_short_lock_acquire(&token->queue.lock);
    if (!tn_cancel_token_is_cancelled(token)) {
        hook->state_ = HOOK_ADDED;
        hook->previous_ = NULL;
        hook->next_ = token->hooks;
        if (token->hooks != NULL)
            token->hooks->previous_ = hook;
        token->hooks = hook;
        rc = 0;
    }
    tni_short_lock_release(&token->queue.lock);
    return rc;
}

/* The lock is released while it waits. */
static void wait_call_ended_locked(tn_cancel_token *token, const tn_cancel_token_hook *hook)
{
    tni_short_lock_assert_held(&token->queue.lock);
    for (unsigned tries = 0; hook->state_ == HOOK_IN_CALL; tries++) {
        uint32_t calls = tni_a32_load(&token->calls, TNI_RELAXED); /* relaxed: written under the lock */
        tni_assert(hook->caller_ != tni_tls_get(), "tn_cancel_token_hook_remove: called by the hook itself");
        tni_short_lock_release(&token->queue.lock);
        tni_short_lock_pause(&token->calls, calls, tries);
        tni_short_lock_acquire(&token->queue.lock);
    }
}

bool tn_cancel_token_hook_remove(tn_cancel_token_hook *hook)
{
    tn_cancel_token *token = hook->token;
    bool added;

    tni_short_lock_acquire(&token->queue.lock);
    added = hook->state_ == HOOK_ADDED;
    if (added) {
        unlink_hook_locked(hook);
        hook->state_ = HOOK_OFF;
    }
    wait_call_ended_locked(token, hook);
    tni_short_lock_release(&token->queue.lock);
    return added;
}
