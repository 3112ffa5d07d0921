/* SPDX-License-Identifier: MIT */
/* Cancel scopes: deadlines and cancellation of the code between enter and leave. README.md ("Cancel scopes") has the argument.
 *
 * The scopes of a task form a chain, innermost first, in the frames of their owner. Only the owner touches the chain, the
 * deadlines and the magic words. `state` is atomic: any thread sets CANCELLED and then wakes the owner; the owner sets EXPIRED.
 * A scope with a source is linked to it, under the source's lock.
 */
#ifndef TNI_SCOPE_H
#define TNI_SCOPE_H

#include <tn/scope.h>

#include "base/list.h"
#include "base/tls.h"
#include "task/task.h"

/* Set by any thread, which then wakes the owner. Stays set. */
#define TNI_SCOPE_CANCELLED 1u
/* The owner has read the clock, and the deadline has passed. Stays set. */
#define TNI_SCOPE_EXPIRED 2u

/* What a cancellation of the scope comes from. */
typedef enum { TNI_SCOPE_PLAIN, TNI_SCOPE_OF_SOURCE, TNI_SCOPE_OF_TOKEN } tni_scope_origin;

typedef struct tni_scope tni_scope;
typedef struct tni_cancel_source tni_cancel_source;

/* The end function of a scope, called as the last step of leaving it. Or, with `abandoned`, called by the thread that retires
 * the runtime, for a fiber whose code never runs again (README.md, "Shutdown"). It must not suspend. */
typedef void (*tni_scope_end_fn)(tn_scope *scope, bool abandoned);

struct tni_scope {
    uintptr_t magic;           /* a function of the address while the scope is entered */
    tni_scope *parent;         /* the scope around it */
    tni_scope **top;           /* the owner's pointer to its innermost scope */
    tn_task *owner;            /* NULL: a plain thread */
    uint64_t deadline_ns;      /* the earliest of its own and those of the scopes around it, up to a shield */
    tni_a32 state;             /* TNI_SCOPE_* */
    bool shield;               /* the scopes around it have no effect inside */
    uint8_t origin;            /* tni_scope_origin: what may cancel it */
    tni_wait waiter;           /* a plain thread that waits inside; each of its waits has a task of its own */
    tni_scope_end_fn end;      /* or NULL */
    tni_cancel_source *source; /* of tn_scope_enter_with */
    tni_list_node node;        /* of the source's scopes; under its lock */
    const void *site;          /* code address of the enter */
};

struct tni_cancel_source {
    tni_os_mutex lock;
    tni_a32 cancelled; /* 1: cancelled; set under the lock */
    tni_list scopes;   /* lock: the scopes entered with it and not left */
};

_Static_assert(sizeof(tni_scope) <= sizeof(tn_scope), "tn_scope is too small");
_Static_assert(sizeof(tni_cancel_source) <= sizeof(tn_cancel_source), "tn_cancel_source is too small");

static inline tni_cancel_source *tni_scope_source_of(tn_cancel_source *source)
{
    return (tni_cancel_source *)(void *)source;
}

/* The result of a cancellation point inside `innermost`, without reading the clock: 0, TN_ECANCELED or TN_ETIMEDOUT. `cancelled`:
 * the task has been cancelled, which has no effect inside a shield. An error is recorded for tn_why: the caller is the owner, and
 * returns it. */
int tni_scope_check(const tni_scope *innermost, bool cancelled);

/* The same, but nothing is recorded: for other threads, and for a call that does not return the error. */
int tni_scope_peek(const tni_scope *innermost, bool cancelled);

/* Owner: reads the clock if there is a deadline, and sets EXPIRED where it has passed, so that the next check returns it. */
void tni_scope_read_clock(tni_scope *scope);

/* Owner: tni_scope_read_clock, then tni_scope_check. */
int tni_scope_check_clock(tni_scope *scope, bool cancelled);

/* A fiber calls this when its poll has returned TN_PENDING. Returns 0 after it has asked for the timer: the fiber may suspend.
 * Any other value ends the wait with that error. `full_budget`: the poll began with a full budget, after other tasks ran, so
 * the clock is read. */
int tni_scope_suspend(tn_task *task, bool full_budget);

/* Owner, between enter and leave: sets the end function, one per scope. */
void tni_scope_on_end(tn_scope *scope, tni_scope_end_fn end);

/* Owner, between enter and leave: records for tn_why what the scope belongs to, and where the program entered it. */
void tni_scope_set_origin(tn_scope *scope, tni_scope_origin origin, const void *site);

/* As tn_scope_cancel. The scope is entered, or it is being left and its end function has not returned. */
void tni_scope_cancel(tni_scope *scope);

/* In a child of fork: makes the scopes of the calling fiber those of a plain thread, whose innermost one `*top` is. Returns that
 * one. */
tni_scope *tni_scopes_leave_task(const tn_task *task, tni_scope **top);

/* Calls the end functions of the scopes of an abandoned fiber, the innermost first. Their frames are still allocated. */
void tni_scopes_abandon(const tn_task *task);

/* Called by a plain thread that begins to wait inside `scope`: from now on cancelling wakes `waker`. Disarm is called when it
 * has stopped waiting. */
void tni_scope_arm(tni_scope *scope, tn_waker *waker);
void tni_scope_disarm(tni_scope *scope);

/* Aborts the process: the entry function of the fiber (NULL: of a job on its thread) has returned inside a scope. */
_Noreturn void tni_scope_left_open(const tn_task *task);

/* The innermost scope of the calling task or thread. */
static inline tni_scope *tni_scope_of(const tni_tls *local)
{
    if (local->task == NULL)
        return local->scope;
    return local->task->kind == TNI_TASK_FIBER ? local->task->body.fiber.scope : NULL;
}

/* The result of a cancellation point in the fiber, without reading the clock. */
static inline int tni_scope_check_fiber(const tn_task *task)
{
    bool cancelled = tni_task_is_cancelled(task);

    if (tni_likely(task->body.fiber.scope == NULL && !cancelled))
        return 0;
    return tni_scope_check(task->body.fiber.scope, cancelled);
}

#endif
