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

/* A cancellation that happens once, and that tasks can wait for. Tokens form trees: cancelling a token cancels all its
 * descendants, and never its parent. Tokens are counted; a child keeps its parent alive. */
typedef struct tn_cancel_token tn_cancel_token;

/* Creates a token. `parent`: NULL for the root of a new tree; a child of a cancelled token is cancelled from the start.
 * `allocator`: NULL for that of the parent, or the C library's if there is no parent.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: on success the caller owns a reference.
 * Errors: TN_ENOMEM.
 * Cancellation: no. */
TN_API int tn_cancel_token_create(tn_cancel_token **out, tn_cancel_token *parent, const tn_allocator *allocator);

/* Adds a reference. Returns `token`.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the caller owns one more reference.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_cancel_token *tn_cancel_token_retain(tn_cancel_token *token);

/* Gives up a reference; the last one frees the token. It asserts that no call waits for that token, and that no hook is added to
 * it. NULL is allowed.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes a reference.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_cancel_token_release(tn_cancel_token *token);

/* Cancels the token and all its descendants; a second call does nothing.
 *
 * When it returns, each of them is cancelled, and each wait for it is ready. This includes tokens that another call cancels at
 * the same time. Each hook has been called. A hook may not have returned yet if another thread calls it, or if this call was
 * made from it. A task that another thread wakes may not have been woken yet.
 *
 * Suspends: no; it waits for no hook that another thread calls.
 * Callable from: anywhere, also in a hook.
 * Ownership: borrows `token`.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_cancel_token_cancel(tn_cancel_token *token);

/* Returns whether the token is cancelled. If it is, what the canceller wrote before is visible.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows `token`.
 * Errors: none.
 * Cancellation: no. */
TN_API bool tn_cancel_token_is_cancelled(const tn_cancel_token *token);

/* Waits until the token is cancelled, and returns 0 then.
 *
 * Suspends: until the token is cancelled; also when the task's budget is used up.
 * Callable from: a fiber, a plain thread.
 * Ownership: borrows `token`.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT: of the calling task.
 * Cancellation: yes; nothing changes. */
TN_API int tn_cancel_token_wait(tn_cancel_token *token);

/* A future that is ready, with 0, when the token is cancelled. */
typedef struct tn_cancel_token_future {
    tn_future base;
    tn_cancel_token *token;
    tn_waiter waiter; /* private */
} tn_cancel_token_future;

/* Prepares `future` to wait for the cancellation. Nothing happens until it is polled.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `future` is in the caller's memory; it borrows `token` until it is ready or dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_cancel_token_wait_init(tn_cancel_token_future *future, tn_cancel_token *token);

/* A function that is called once when the token is cancelled, in a thread that cancels it. In the caller's memory.
 *
 * The function must be short and must not suspend. It may wake and cancel tasks. It may cancel, create and release tokens,
 * including its own. Hooks that cancel each other's tokens nest on one stack. */
typedef struct tn_cancel_token_hook {
    void (*call)(struct tn_cancel_token_hook *hook); /* set by the caller */
    tn_cancel_token *token;                          /* set by tn_cancel_token_hook_add */
    struct tn_cancel_token_hook *next_;
    struct tn_cancel_token_hook *previous_;
    void *caller_;
    int state_;
} tn_cancel_token_hook;

/* Adds a hook: hook->call is called when the token is cancelled, unless the hook is removed before. The caller sets hook->call.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the hook and the token are borrowed until tn_cancel_token_hook_remove returns.
 * Errors: TN_ECANCELED: the token is already cancelled, and hook->call is not called.
 * Cancellation: no. */
TN_API int tn_cancel_token_hook_add(tn_cancel_token *token, tn_cancel_token_hook *hook);

/* Removes a hook. When it returns, no thread accesses the hook and hook->call is not running. Returns true if hook->call has
 * not been and will not be called. It asserts that it is not called in the hook's own call.
 *
 * Suspends: no; but it waits for a call of this hook that another thread makes.
 * Callable from: anywhere except in the hook's own call.
 * Ownership: the memory of the hook is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API bool tn_cancel_token_hook_remove(tn_cancel_token_hook *hook);

/* A cancel scope (tn/scope.h) that a token cancels. Once the token is cancelled, each cancellation point between enter and
 * leave returns TN_ECANCELED. */
typedef struct tn_cancel_token_scope {
    tn_scope scope;
    tn_cancel_token_hook hook; /* private */
} tn_cancel_token_scope;

/* Enters a cancel scope that ends at `deadline_ns` (see tn_scope_enter) and that the token cancels. If the token is already
 * cancelled, the scope is cancelled from the start.
 *
 * Suspends: no.
 * Callable from: a fiber, a plain thread.
 * Ownership: `scope` is in use until tn_cancel_token_scope_leave and must not move; `token` is borrowed until then.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_cancel_token_scope_enter(tn_cancel_token_scope *scope, uint64_t deadline_ns, tn_cancel_token *token);

/* Leaves the scope; it must be the one that was entered last.
 *
 * Suspends: no; but it waits for another thread that is cancelling the scope.
 * Callable from: the task or thread that entered the scope.
 * Ownership: the memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_cancel_token_scope_leave(tn_cancel_token_scope *scope);

/* Declares and enters a scope that is left at every exit from the enclosing block. Use it as a statement of its own. */
#define TN_CANCEL_TOKEN_SCOPE(name, deadline_ns, token) \
    tn_cancel_token_scope name __attribute__((cleanup(tn_cancel_token_scope_leave))); \
    tn_cancel_token_scope_enter(&(name), (deadline_ns), (token))

#ifdef __cplusplus
}
#endif

#endif
