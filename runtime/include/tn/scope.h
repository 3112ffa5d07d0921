/* SPDX-License-Identifier: MIT */
/* tournant: cancel scopes: a deadline and a cancellation for the code between enter and leave. */
#ifndef TN_SCOPE_H
#define TN_SCOPE_H

#include <tn/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* No deadline. */
#define TN_NEVER UINT64_MAX

/* A cancel scope. While a task is inside a scope whose deadline has passed, each of its cancellation points returns
 * TN_ETIMEDOUT. Inside a scope that was cancelled, each returns TN_ECANCELED, which takes precedence if both hold. So no call
 * needs a timeout of its own, and one deadline holds for everything that is called below.
 *
 * A scope inherits: a scope inside another ends no later than the outer one, and is cancelled with it. Only a shield does not
 * inherit.
 *
 * A task does not inherit: a task that is spawned inside a scope begins without one. The scope is for the code between its
 * enter and its leave. Give a child the deadline (tn_scope_deadline) if it must have it. Or spawn the child into a group, which
 * is left before its frame goes, and then cancels what still runs.
 *
 * A deadline is checked at these points:
 *
 * - When the task suspends and wakes again. If what it waits for comes at the same time, that wins, and the next wait reports
 *   the deadline.
 * - At tn_checkpoint and tn_yield.
 * - After 128 operations that were ready at once; in a plain thread after each one. Such an operation succeeds. The next one in
 *   the scope reports the deadline, even if it is ready.
 *
 * Once the deadline has been reported, every cancellation point reports it, until the scope is left.
 *
 * Two questions may remain after TN_ECANCELED or TN_ETIMEDOUT. tn_checkpoint helps with both:
 *
 * - Was it this scope, or one around it? Leave the scope, and call tn_checkpoint. It returns 0 if nothing around the scope has
 *   ended. Otherwise the caller must end too.
 * - Was it a scope at all? Some calls also return an error of the program: the result of a future in tn_await, of a task in
 *   tn_group_wait, of `make` in tn_once_run, or the timeout of tn_timeout. Call tn_checkpoint before any scope is left. It
 *   returns 0 if no scope and no cancellation has ended the call.
 *
 * A scope is in memory of the caller, usually on its stack. The task that entered scopes leaves them, in the reverse order. If
 * a frame returns without leaving its scope, the process ends with a message that names the task. */
typedef struct tn_scope {
    uint64_t opaque[12]; /* private */
} tn_scope;

/* A source of cancellation that outlives the scopes it cancels. It is the safe way to cancel a scope of another task, which may
 * be leaving the scope at the same time. */
typedef struct tn_cancel_source {
    uint64_t opaque[12]; /* private */
} tn_cancel_source;

/* Enters a cancel scope that ends at `deadline_ns`, a time of tn_now; TN_NEVER: no later than the scope around it. No timer is
 * armed until the task suspends.
 *
 * Suspends: no.
 * Callable from: a fiber, a plain thread.
 * Ownership: `scope` is in use until tn_scope_leave, and must not move.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_scope_enter(tn_scope *scope, uint64_t deadline_ns);

/* Enters a cancel scope that ends `timeout_ns` nanoseconds from now. It reads the clock once.
 *
 * Suspends: no.
 * Callable from: a fiber, a plain thread.
 * Ownership: `scope` is in use until tn_scope_leave, and must not move.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_scope_enter_for(tn_scope *scope, uint64_t timeout_ns);

/* Enters a cancel scope that ends at `deadline_ns`, like tn_scope_enter, and that `source` cancels too. If the source has been
 * used already, the scope is cancelled from the start.
 *
 * Suspends: no.
 * Callable from: a fiber, a plain thread.
 * Ownership: `scope` is in use until tn_scope_leave, and must not move. `source` is borrowed until then.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_scope_enter_with(tn_scope *scope, uint64_t deadline_ns, tn_cancel_source *source);

/* Enters a shield: a cancel scope for clean-up, which inherits nothing. Until it is left, deadlines and cancellations of the
 * scopes around it have no effect. A cancellation of the task itself has no effect either. Give the shield its own deadline.
 *
 * Suspends: no.
 * Callable from: a fiber, a plain thread.
 * Ownership: `scope` is in use until tn_scope_leave, and must not move.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_shield_enter(tn_scope *scope, uint64_t deadline_ns);

/* Enters a shield, like tn_shield_enter, that `source` cancels. So clean-up that takes long can be ended after all. If the source
 * has been used already, the shield is cancelled from the start.
 *
 * Suspends: no.
 * Callable from: a fiber, a plain thread.
 * Ownership: `scope` is in use until tn_scope_leave, and must not move. `source` is borrowed until then.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_shield_enter_with(tn_scope *scope, uint64_t deadline_ns, tn_cancel_source *source);

/* Leaves the scope. It must be the one that was entered last.
 *
 * Suspends: no.
 * Callable from: the task or thread that entered it.
 * Ownership: the memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_scope_leave(tn_scope *scope);

/* Cancels the scope. The cancellation points of the task inside it return TN_ECANCELED until the task leaves it.
 *
 * Suspends: no.
 * Callable from: the task that is inside the scope. Elsewhere only if it is certain that the scope is not left before this
 * returns, as in a child that is joined inside it. In all other cases use a tn_cancel_source.
 * Ownership: borrows the scope.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_scope_cancel(tn_scope *scope);

/* Returns the deadline that holds for the caller now, with regard to all scopes around it; TN_NEVER: none.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: none.
 * Errors: none.
 * Cancellation: no. */
TN_API uint64_t tn_scope_deadline(void);

/* Declares a scope and enters it. It is left at the end of the block, however the block is left. The macro is a statement of
 * its own. */
#define TN_SCOPE(name, deadline_ns) \
    tn_scope name __attribute__((cleanup(tn_scope_leave))); \
    tn_scope_enter(&(name), (deadline_ns))

/* Declares a shield and enters it, in the same way. */
#define TN_SHIELD(name, deadline_ns) \
    tn_scope name __attribute__((cleanup(tn_scope_leave))); \
    tn_shield_enter(&(name), (deadline_ns))

/* Prepares a source that has not been used.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's; tn_cancel_source_fini must be called in the end.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_cancel_source_init(tn_cancel_source *source);

/* Ends the use of a source. No scope that was entered with it may still be entered.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's again.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_cancel_source_fini(tn_cancel_source *source);

/* Cancels every scope that was entered with the source and is not left yet, and those that will be entered. A scope that is
 * being left at the same time has been left already, or is cancelled before it is left. When this returns, it touches no scope
 * any more.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: borrows the source.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_cancel_source_cancel(tn_cancel_source *source);

/* Returns whether the source has been used.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows the source.
 * Errors: none.
 * Cancellation: no. */
TN_API bool tn_cancel_source_is_cancelled(const tn_cancel_source *source);

#ifdef __cplusplus
}
#endif

#endif
