/* SPDX-License-Identifier: MIT */
/* Scopes inside: a chain a task, innermost first, in its owner's frames. README.md ("Scopes") has the argument.
 *
 * Who may touch what: the chain, deadlines and marks are the owner's alone. `state` is a word: others set CANCELLED and then wake
 * the owner, the owner sets EXPIRED. A scope with a source is linked there, under the source's lock.
 */
#ifndef TNI_SCOPE_H
#define TNI_SCOPE_H

#include <tn/scope.h>

#include "base/tls.h"
#include "task/task.h"

/* Others, then the owner is woken; stays. */
#define TNI_SCOPE_CANCELLED 1u
/* The owner has seen that the deadline is over; stays. */
#define TNI_SCOPE_EXPIRED 2u

typedef struct tni_scope tni_scope;
typedef struct tni_cancel_source tni_cancel_source;

/* What hangs on a scope. Called last of all when the scope is left; or, `abandoned`, from outside when its fiber is abandoned and
 * none of the fiber's code runs any more (README.md, "Shutdown"). Must not suspend. */
typedef void (*tni_scope_end_fn)(tn_scope *scope, bool abandoned);

struct tni_scope {
    uintptr_t mark;            /* a function of the address while it is entered */
    tni_scope *parent;         /* the one around it */
    tni_scope **top;           /* where the owner's innermost one stands */
    tn_task *owner;            /* NULL: a plain thread */
    uint64_t deadline_ns;      /* that of all around it considered, up to a shield */
    tni_a32 state;             /* TNI_SCOPE_* */
    bool shield;               /* what is around it does not count */
    tni_wait waiter;           /* a plain thread that waits inside: there is no constant task to wake */
    tni_scope_end_fn end;      /* or NULL */
    tni_cancel_source *source; /* tn_scope_enter_with; the two links are under its lock */
    tni_scope *source_prev;
    tni_scope *source_next;
};

struct tni_cancel_source {
    tni_os_mutex lock;
    tni_a32 cancelled; /* 1: used; set under the lock */
    tni_scope *scopes; /* lock: entered with it and not left */
};

_Static_assert(sizeof(tni_scope) <= sizeof(tn_scope), "tn_scope is too small");
_Static_assert(sizeof(tni_cancel_source) <= sizeof(tn_cancel_source), "tn_cancel_source is too small");

static inline tni_cancel_source *tni_scope_source_of(tn_cancel_source *source)
{
    return (tni_cancel_source *)(void *)source;
}

/* What checkpoints inside `scope` answer, without a look at the clock: 0, TN_ECANCELED or TN_ETIMEDOUT. `cancelled`: the task has
 * been, which counts outside shields. */
int tni_scope_check(const tni_scope *scope, bool cancelled);

/* Owner: looks at the clock, if there is a deadline, and notes what is over. Then as tni_scope_check. */
int tni_scope_check_clock(tni_scope *scope, bool cancelled);

/* Fiber, its poll has returned TN_PENDING: asks for the timer, so that it may suspend now. Not 0: it must not, and the wait ends
 * with this. `whole`: the poll began with a whole budget, after the fiber had let others run; so the clock is read. */
int tni_scope_suspend(tn_task *task, bool whole);

/* Owner, between enter and leave: sets what is called at the end of the scope. One a scope. */
void tni_scope_on_end(tn_scope *scope, tni_scope_end_fn end);

/* As tn_scope_cancel, of a scope that is entered or about to be left: its end function has not returned. */
void tni_scope_cancel(tni_scope *scope);

/* The fiber is abandoned: ends what hangs on its scopes, the innermost first. Their frames are still there. */
void tni_scopes_abandon(const tn_task *task);

/* A plain thread begins to wait inside `scope`: cancelling wakes `waker` from now on; and does not wait any more. */
void tni_scope_arm(tni_scope *scope, tn_waker *waker);
void tni_scope_disarm(tni_scope *scope);

/* The fiber (NULL: a job, on its thread) has returned from its entry function inside a scope: ends the process. */
_Noreturn void tni_scope_left_open(const tn_task *task);

/* The innermost scope of the calling task or thread. */
static inline tni_scope *tni_scope_of(const tni_tls *local)
{
    if (local->task == NULL)
        return local->scope;
    return local->task->kind == TNI_TASK_FIBER ? local->task->body.fiber.scope : NULL;
}

/* Fiber: what a checkpoint answers, without a look at the clock. */
static inline int tni_scope_check_fiber(const tn_task *task)
{
    bool cancelled = tni_task_is_cancelled(task);

    if (tni_likely(task->body.fiber.scope == NULL))
        return cancelled ? TN_ECANCELED : 0;
    return tni_scope_check(task->body.fiber.scope, cancelled);
}

#endif
