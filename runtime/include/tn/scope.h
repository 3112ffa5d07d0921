/* SPDX-License-Identifier: MIT */
/* tournant: scopes: a deadline and a cancellation for the code between enter and leave. */
#ifndef TN_SCOPE_H
#define TN_SCOPE_H

#include <tn/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* No deadline. */
#define TN_NEVER UINT64_MAX

/* While a task is inside a scope whose deadline has passed, each of its checkpoints answers TN_ETIMEDOUT; inside one that was
 * cancelled, TN_ECANCELED (which goes first if both hold). So no call needs a timeout of its own, and one deadline holds for
 * everything that is called below.
 *
 * Inherited: a scope inside another ends no later than that one, and is cancelled with it. Only a shield starts afresh.
 * Not inherited: a task that is spawned inside a scope begins without one. The scope is for the code between its enter and its
 * leave; give a child the deadline (tn_scope_deadline) if it is to have it, or put it into a group, which is left before its
 * frame goes and cancels what still runs.
 *
 * A deadline is checked when the task suspends and wakes again (if what it waits for comes at the same time, that wins, and
 * the next wait reports the deadline), at tn_checkpoint and tn_yield, and after 128 operations that were ready at once, in a
 * plain thread after each one. Such an operation succeeds; the next one in the scope reports the deadline, even if it is
 * ready. Once it has been reported, every checkpoint reports it, until the scope is left.
 *
 * Scopes lie on the caller's stack (or wherever it likes), and are left in the reverse order, by the task that entered them. One
 * whose frame has returned without leaving it ends the process with the task's name. */
typedef struct tn_scope {
    uint64_t opaque[12];
} tn_scope;

/* A source of cancellation that outlives the scopes it cancels: the safe way to cancel a scope of another task, which may be
 * leaving it at the moment. */
typedef struct tn_cancel_source {
    uint64_t opaque[12];
} tn_cancel_source;

/* Enters a scope that ends at `deadline_ns` (tn_now; TN_NEVER: no later than the one around it). Nothing is armed until the task
 * suspends.
 * Suspends: no. Callable from: a fiber, a plain thread. Ownership: `scope` is in use until tn_scope_leave, and does not move.
 * Cancellation: no checkpoint. */
TN_API void tn_scope_enter(tn_scope *scope, uint64_t deadline_ns);

/* As tn_scope_enter, ending `timeout_ns` from now: the same and one look at the clock. */
TN_API void tn_scope_enter_for(tn_scope *scope, uint64_t timeout_ns);

/* As tn_scope_enter; `source` cancels it too. If it has been used already, the scope is cancelled from the start.
 * Ownership: `source` is borrowed until the scope is left. */
TN_API void tn_scope_enter_with(tn_scope *scope, uint64_t deadline_ns, tn_cancel_source *source);

/* As tn_scope_enter, for clean-up: what is around it does not count until it is left, neither deadlines nor cancellations, nor
 * that the task itself was cancelled. Give it a deadline of its own. */
TN_API void tn_shield_enter(tn_scope *scope, uint64_t deadline_ns);

/* Leaves the scope; it must be the one entered last.
 * Suspends: no. Callable from: the task or thread that entered it. Ownership: the memory is the caller's again. Errors: none.
 * Cancellation: no checkpoint. */
TN_API void tn_scope_leave(tn_scope *scope);

/* Cancels the scope: the checkpoints of the task that is inside it answer TN_ECANCELED until it leaves.
 * Suspends: no. Callable from: the task itself; anyone who knows that it is not left before this returns (a child that is joined
 * inside it). Who does not know uses a tn_cancel_source. Ownership: borrows the scope. Cancellation: no checkpoint. */
TN_API void tn_scope_cancel(tn_scope *scope);

/* The deadline that holds for the caller at the moment, all scopes around it considered; TN_NEVER: none.
 * Suspends: no. Callable from: anywhere. */
TN_API uint64_t tn_scope_deadline(void);

/* Declares and enters a scope that is left where its block is, however it is. A statement of its own. */
#define TN_SCOPE(name, deadline_ns) \
    tn_scope name __attribute__((cleanup(tn_scope_leave))); \
    tn_scope_enter(&(name), (deadline_ns))
#define TN_SHIELD(name, deadline_ns) \
    tn_scope name __attribute__((cleanup(tn_scope_leave))); \
    tn_shield_enter(&(name), (deadline_ns))

/* Suspends: no. Callable from: anywhere. Ownership: the caller's memory; to be ended by tn_cancel_source_fini. */
TN_API void tn_cancel_source_init(tn_cancel_source *source);

/* No scope that names it may be entered any more. Suspends: no. Callable from: anywhere. */
TN_API void tn_cancel_source_fini(tn_cancel_source *source);

/* Cancels every scope that was entered with it and is not left yet, and those that will be. A scope that is being left at the
 * same time has been left, or is cancelled before it is: when this returns nobody touches a scope any more.
 * Suspends: no. Callable from: anywhere but a signal handler. Ownership: borrows it. Cancellation: no checkpoint. */
TN_API void tn_cancel_source_cancel(tn_cancel_source *source);

/* Has it been used? Suspends: no. Callable from: anywhere. Ownership: borrows it. */
TN_API bool tn_cancel_source_is_cancelled(const tn_cancel_source *source);

#ifdef __cplusplus
}
#endif

#endif
