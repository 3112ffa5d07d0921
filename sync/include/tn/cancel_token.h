/* SPDX-License-Identifier: MIT */
/* tournant: cancellation tokens. */
#ifndef TN_CANCEL_TOKEN_H
#define TN_CANCEL_TOKEN_H

#include <tn/runtime.h>
#include <tn/scope.h>
#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Something that can be cancelled, once, and those who want to know: a tree. With a token all that descend from it are
 * cancelled; a child's cancellation does not reach its parent. Counted; a child keeps its parent. */
typedef struct tn_cancel_token tn_cancel_token;

/* `parent`: NULL for the root of a new tree; a child of a cancelled one is born cancelled. `allocator`: NULL for the parent's, or
 * the C library's.
 * Suspends: no. Callable from: anywhere. Ownership: a reference is the caller's. Errors: TN_ENOMEM. Cancellation: no
 * checkpoint. */
TN_API int tn_cancel_token_create(tn_cancel_token **out, tn_cancel_token *parent, const tn_allocator *allocator);

/* One more reference, one less. Suspends: no. Callable from: anywhere. Cancellation: no checkpoint. */
TN_API tn_cancel_token *tn_cancel_token_retain(tn_cancel_token *token);
TN_API void tn_cancel_token_release(tn_cancel_token *token);

/* Cancels the token and all that descend from it. When it returns, each of them is cancelled, also those that another call
 * cancels at the same time, and each wait for it is ready. Each hook has been called; a hook that another thread calls, or from
 * which tn_cancel_token_cancel was called, may not have returned yet. A task that another thread wakes may not have been woken
 * yet. Suspends: no, and waits for no other thread's hook. Callable from: anywhere, also from a hook. Errors: none; a second
 * call does nothing. Cancellation: no checkpoint. */
TN_API void tn_cancel_token_cancel(tn_cancel_token *token);

/* Is it cancelled? What the canceller wrote before is visible then. Suspends: no. Callable from: anywhere. */
TN_API bool tn_cancel_token_is_cancelled(const tn_cancel_token *token);

/* Waits until it is cancelled: 0.
 * Suspends: unless it is. Callable from: a fiber, a plain thread. Errors: none but the cancellation (of the calling task).
 * Cancellation: checkpoint. */
TN_API int tn_cancel_token_wait(tn_cancel_token *token);

/* A future that is ready, with 0, when the token is cancelled. */
typedef struct tn_cancel_token_future {
    tn_future base;
    tn_cancel_token *token;
    tn_waiter waiter;
} tn_cancel_token_future;

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_cancel_token_wait_init(tn_cancel_token_future *future, tn_cancel_token *token);

/* A call at the cancellation, once, in a thread that cancels. It must be short and must not suspend. It may wake and cancel
 * tasks, and cancel, create and release tokens, also its own. Hooks that cancel each other's tokens nest on one stack. In the
 * caller's memory. */
typedef struct tn_cancel_token_hook {
    void (*call)(struct tn_cancel_token_hook *hook);
    tn_cancel_token *token;
    struct tn_cancel_token_hook *next_;
    struct tn_cancel_token_hook *previous_;
    void *caller_;
    int state_;
} tn_cancel_token_hook;

/* 0: hook->call (set by the caller) is called at the cancellation, unless it is removed before. TN_ECANCELED: the token is
 * cancelled already, and it is not called.
 * Suspends: no. Callable from: anywhere. Ownership: the memory is lent until tn_cancel_token_hook_remove, and so is the token.
 * Cancellation: no checkpoint. */
TN_API int tn_cancel_token_hook_add(tn_cancel_token *token, tn_cancel_token_hook *hook);

/* When this returns nobody touches the hook, and it is not being called. True: it has not been and will not be called.
 * Suspends: no, but waits for a call of this hook that another thread makes. Callable from: anywhere but the hook's own call
 * (asserted). Cancellation: no checkpoint. */
TN_API bool tn_cancel_token_hook_remove(tn_cancel_token_hook *hook);

/* A scope (tn/scope.h) that is cancelled with a token: between enter and leave each checkpoint answers TN_ECANCELED once the
 * token is cancelled. */
typedef struct tn_cancel_token_scope {
    tn_scope scope;
    tn_cancel_token_hook hook;
} tn_cancel_token_scope;

/* As tn_scope_enter; cancelled from the start if the token is.
 * Suspends: no. Callable from: a fiber, a plain thread. Ownership: `scope` is in use until tn_cancel_token_scope_leave, and
 * does not move; the token is borrowed until then. Errors: none. Cancellation: no checkpoint. */
TN_API void tn_cancel_token_scope_enter(tn_cancel_token_scope *scope, uint64_t deadline_ns, tn_cancel_token *token);

/* As tn_scope_leave. Suspends: no. Callable from: the task or thread that entered it. Errors: none. Cancellation: no
 * checkpoint. */
TN_API void tn_cancel_token_scope_leave(tn_cancel_token_scope *scope);

/* Declares and enters one that is left where its block is, however it is. A statement of its own. */
#define TN_CANCEL_TOKEN_SCOPE(name, deadline_ns, token) \
    tn_cancel_token_scope name __attribute__((cleanup(tn_cancel_token_scope_leave))); \
    tn_cancel_token_scope_enter(&(name), (deadline_ns), (token))

#ifdef __cplusplus
}
#endif

#endif
