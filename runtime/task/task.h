/* SPDX-License-Identifier: MIT */
/* The task header and its state word.
 *
 * State word: flags in the low byte, the reference count above. A task is *resting* if neither ACTIVE nor COMPLETE is set: it
 * waits for a wake. The letter at each field says when it may be accessed:
 *   A  while ACTIVE is set, by the scheduler or the running task: exactly one thread at a time, handed over by the queues
 *   S  written by the spawn, constant afterwards
 *   W  a word with its own protocol
 * A header is in a slab, and its memory stays a header until the runtime is freed, so a walk over the registry may read any of
 * them. All other code holds a counted reference.
 */
#ifndef TNI_TASK_H
#define TNI_TASK_H

#include <tn/task.h>

#include "base/atomic.h"
#include "base/config.h"
#include "base/inbox.h"
#include "base/parker.h"
#include "base/sampler.h"
#include "fiber/context.h"
#include "task/timer_node.h"
#include "task/wait.h"

/* The scheduler owns the task: it is queued or running. The thread that sets the flag must queue the task. */
#define TNI_TASK_ACTIVE UINT64_C(1)
/* Woken while ACTIVE: it must run once more before it may rest. */
#define TNI_TASK_NOTIFIED UINT64_C(2)
/* It has ended, and the joiner's waker was taken. Never set together with ACTIVE. Only the next spawn in this header clears
 * it. */
#define TNI_TASK_COMPLETE UINT64_C(4)
/* tn_cancel was called. Stays set. */
#define TNI_TASK_CANCELLED UINT64_C(8)
/* The header outlives its runtime: that was destroyed, and the header waits for the release of its last reference. */
#define TNI_TASK_OUTLIVES UINT64_C(16)
/* tn_runtime_destroy abandoned it. Set with COMPLETE, until the header is freed. */
#define TNI_TASK_ABANDONED UINT64_C(32)
/* The log has reported that the task does not return control to its worker. Stays set. */
#define TNI_TASK_REPORTED UINT64_C(64)
/* ACTIVE, and in the list of fibers that wait for a stack. Set and cleared under the runtime's lock. */
#define TNI_TASK_WAITS_FOR_STACK UINT64_C(128)
/* One reference: of the scheduler (from spawn to end), of a handle, or of a waker. */
#define TNI_TASK_REF UINT64_C(256)

typedef enum {
    TNI_TASK_FIBER,
    TNI_TASK_FUTURE,
    /* The kinds below are never run by a worker. */
    TNI_TASK_THREAD, /* a plain thread that waits: a wake unparks it */
    TNI_TASK_MEMBER, /* a future in a future set: a wake pushes it on the set's list */
} tni_task_kind;

/* How a run of a task ended. The task sets it before it leaves. */
typedef enum {
    TNI_RUN_YIELDED,
    TNI_RUN_YIELDED_IN_WAIT, /* a fiber, where a wait begins or between two parts of an operation; `awaited` is its future */
    TNI_RUN_SUSPENDED,       /* a fiber: `awaited` is pending */
    TNI_RUN_ENDED,
} tni_run_result;

typedef struct tni_worker tni_worker;
typedef struct tni_core tni_core;
typedef struct tni_task_hook tni_task_hook;

/* The fields that each run touches come first: a task that rested among thousands is loaded from memory line by line. */
struct tn_task {
    tni_a64 state;             /* W: flags and references */
    tn_runtime *runtime;       /* S */
    tn_future *awaited;        /* A: the future that a suspended fiber waits for; see run_result */
    tni_worker *pinned_worker; /* A: the worker that runs a pinned task, from its first run on */
    union {
        uint64_t deadline_ns; /* A: the earliest time at which a poll of this run asked to be polled again; TNI_FOREVER: none */
        uint64_t since_ns;    /* A: of a resting task that workers run: since when, by its core's last reading of the clock */
        tn_task *queue_next;  /* A: link in the injector or the stack waiters */
        tni_inbox_node inbox_node; /* A: link in a mailbox; in a free header: link in the slab */
    };
    uint8_t kind;           /* S: tni_task_kind */
    uint8_t pinned : 1;     /* S */
    uint8_t measured : 1;   /* A: `queued_at` is set; the next run takes it (sched/meter.h) */
    uint8_t accounted : 1;  /* A: it is inside a marked work (sched/work.h) */
    uint8_t stack_log2 : 5; /* S: its stack has at least two to this power bytes; 0: the runtime's default */
    uint8_t run_result;     /* A: tni_run_result */
    uint8_t budget;         /* A: operations that may still complete at once in this run; 1: used up, see budget.h */
    uint16_t last_core;     /* A: index of the core it last ran on */
    int16_t error;          /* A; constant after COMPLETE: why the entry never ran, or 0 */
    union {
        struct {
            tni_context context;     /* A: where it resumes */
            struct tni_scope *scope; /* A: the innermost cancel scope around it; see scope.h */
            tni_stack *stack;        /* A: from the first run to the end */
            tn_entry_fn entry;       /* S */
        } fiber;
        tn_future *future; /* S: valid until it is dropped */
        tni_parker parker; /* W: a plain thread sleeps on it */
    } body;
    tni_wait join;          /* W: the waiter for the end */
    void *result;           /* A; of a fiber before its first run: the argument; constant after COMPLETE */
    tni_timer timer;        /* protected by the timer lock of the core that it is armed in */
    tni_aptr armed_in;      /* W: tni_timers * whose wheel holds `timer`; NULL: none does; see timer.h */
    uint64_t id;            /* S */
    tni_task_hook *hooks;   /* A; after COMPLETE: of the thread that frees the header; see task_hooks.h */
    const void *spawn_site; /* S: the address that called the spawn */
    union {
        char name[TNI_NAME_SIZE];                             /* written by the spawn and the task itself */
        tni_a64 name_words[TNI_NAME_SIZE / sizeof(uint64_t)]; /* the same, as other threads read it */
    };
    uint64_t parent; /* S: the id of the task that spawned it; 0: none */
    tni_aptr note;   /* W: a text that the task has set (tn/inspect.h) */
    union {
        tni_stamp queued_at;   /* A: when a measured task became runnable */
        struct tni_work *work; /* A: of an accounted task: its innermost work, which has `queued_at` */
    };
};

_Static_assert(sizeof(tni_context) > 8 || sizeof(tn_task) <= 208, "the header is small enough for a million sleeping tasks");

/* The size in bytes to pass to tni_stack_get. */
static inline size_t tni_task_stack_size(const tn_task *task)
{
    return task->stack_log2 == 0 ? 0 : (size_t)1 << task->stack_log2;
}

/* --- Named transitions ------------------------------------------------------------------------------------------------------ */

/* Publishes a new header: free -> ACTIVE with `references`. Release: a walk over the registry that acquires the word
 * (tni_task_ref_if_alive) observes the whole header. */
static inline void tni_task_publish(tn_task *task, unsigned references)
{
    tni_a64_store(&task->state, TNI_TASK_ACTIVE | references * TNI_TASK_REF, TNI_RELEASE);
}

/* Releases a reference; the last one frees the header. */
void tni_task_unref(tn_task *task);

/* A wake. The caller has called tni_order_release. True: the task rested, and the caller must queue it. `spent`: the references
 * that are released in the same step, 0 or TNI_TASK_REF. If the task has ended, *ended is set, nothing is released, and the
 * caller calls tni_task_unref. */
static inline bool tni_task_notify_spending(tn_task *task, uint64_t spent, bool *ended)
{
    /* Relaxed: the CAS checks it. */
    uint64_t old = tni_a64_load(&task->state, TNI_RELAXED);
    uint64_t wanted;

    do {
        *ended = old & TNI_TASK_COMPLETE;
        if (*ended)
            return false;
        wanted = (old | (old & TNI_TASK_ACTIVE ? TNI_TASK_NOTIFIED : TNI_TASK_ACTIVE)) - spent;
        /* Release: publishes the waker's writes to the run that follows, even if NOTIFIED was set already; so the CAS is made
         * even if it changes nothing. Partners: tni_task_begin_run, tni_task_rest. Acquire: the thread that queues the task
         * passes on the registers that tni_task_rest published. */
    } while (!tni_a64_cas(&task->state, &old, wanted, TNI_ACQ_REL));
    return !(old & TNI_TASK_ACTIVE);
}

static inline bool tni_task_notify(tn_task *task)
{
    bool ended;

    return tni_task_notify_spending(task, 0, &ended);
}

/* A wake by a worker of the task's runtime that gives up a reference, after tni_order_release. The reference is released in the
 * same step. It is not the last one: the scheduler has one until the task ends, and the task does not end before this thread
 * has queued it. True: the task rested, and the caller must queue it. */
static inline bool tni_task_spend_waker(tn_task *task)
{
    bool ended;

    if (tni_task_notify_spending(task, TNI_TASK_REF, &ended))
        return true;
    if (ended)
        tni_task_unref(task);
    return false;
}

/* Before a run: clears NOTIFIED, because this run observes all wakes so far. */
static inline void tni_task_begin_run(tn_task *task)
{
    /* Relaxed: a wake that is missed here stays set and makes tni_task_rest return false. */
    uint64_t state = tni_a64_load(&task->state, TNI_RELAXED);

    if (tni_unlikely((state & (TNI_TASK_ACTIVE | TNI_TASK_COMPLETE | TNI_TASK_NOTIFIED)) != TNI_TASK_ACTIVE)) {
        tni_assert((state & (TNI_TASK_ACTIVE | TNI_TASK_COMPLETE)) == TNI_TASK_ACTIVE,
                   "the scheduler does not own the task it runs");
        /* Observes what those wakers wrote; partner: tni_task_notify. Without acquire this run could miss it, and no other run
         * would follow. */
        (void)tni_a64_fetch_and(&task->state, ~TNI_TASK_NOTIFIED, TNI_ACQUIRE);
    }
}

/* After a run that suspended: ACTIVE -> resting. False: it was woken meanwhile and stays ACTIVE, and the caller must queue it.
 * Once this has returned true, the task belongs to the thread that wakes it. */
static inline bool tni_task_rest(tn_task *task)
{
    /* Relaxed: the CAS checks it. */
    uint64_t old = tni_a64_load(&task->state, TNI_RELAXED);
    uint64_t wanted;

    do {
        if (tni_unlikely((old & (TNI_TASK_ACTIVE | TNI_TASK_COMPLETE | TNI_TASK_NOTIFIED)) != TNI_TASK_ACTIVE)) {
            tni_assert((old & (TNI_TASK_ACTIVE | TNI_TASK_COMPLETE)) == TNI_TASK_ACTIVE, "a task suspends but was not running");
            return false; /* NOTIFIED */
        }
        wanted = old & ~TNI_TASK_ACTIVE;
        /* Release: publishes the saved registers and all that the run wrote to the next run; partner: tni_task_notify. Weaker:
         * another worker could resume the fiber with a stale stack pointer. It comes after the switch, so the registers are
         * saved. */
    } while (!tni_a64_cas(&task->state, &old, wanted, TNI_RELEASE));
    return true;
}

/* After the last run: ACTIVE -> COMPLETE, and releases `spent` references (0 or TNI_TASK_REF) in the same step. Returns the old
 * word. */
static inline uint64_t tni_task_complete(tn_task *task, uint64_t spent)
{
    /* Release: publishes the accesses of this thread to the thread that frees the header (partner: drop_reference). Acquire: if
     * that is this thread, it observes the accesses of all earlier owners. */
    uint64_t old = tni_a64_fetch_add(&task->state, TNI_TASK_COMPLETE - TNI_TASK_ACTIVE - spent, TNI_ACQ_REL);
    tni_assert((old & (TNI_TASK_ACTIVE | TNI_TASK_COMPLETE)) == TNI_TASK_ACTIVE, "a task ends but was not running");
    return old;
}

/* Makes the header of a task that has ended a free one. The caller has the last reference. */
static inline void tni_task_set_free(tn_task *task)
{
    /* The count becomes 0 too: tni_task_is_last_reference() leaves the last reference in it. No walk takes a reference to an
     * ended task. Release: the walk of retiring, which finds the header free, observes tni_runtime_external_begin() of this
     * thread; partner: tni_task_mark_outliving. A relaxed store would end the release sequence of drop_reference, and the runtime
     * could be freed while this thread uses it. */
    tni_a64_store(&task->state, TNI_TASK_COMPLETE, TNI_RELEASE);
}

/* Borrows a resting task to inspect it: resting -> ACTIVE, so that no other thread runs it or touches what it owns.
 * tni_task_rest ends the borrow; if that returns false, the caller must queue the task. Returns false if the task runs, is
 * queued, or has ended. */
static inline bool tni_task_borrow(tn_task *task)
{
    /* Relaxed: the CAS checks it. */
    uint64_t old = tni_a64_load(&task->state, TNI_RELAXED);

    do {
        if (old & (TNI_TASK_ACTIVE | TNI_TASK_COMPLETE))
            return false;
        /* Acquire: the registers and all that the last run wrote; partner: tni_task_rest. Release: publishes the hold of the
         * runtime (task_inspect.c) to a thread that wakes the task and then releases its own; partner: tni_task_notify. */
    } while (!tni_a64_cas(&task->state, &old, old | TNI_TASK_ACTIVE, TNI_ACQ_REL));
    return true;
}

/* Called by tn_runtime_destroy when no worker is left: marks a task that has not ended as COMPLETE and ABANDONED. The
 * scheduler's reference now belongs to the caller. */
void tni_task_abandon(tn_task *task);

/* Whether the calling thread has abandoned it. Valid until the header is freed. */
static inline bool tni_task_is_abandoned(const tn_task *task)
{
    /* Relaxed: this thread set it itself. */
    return tni_a64_load(&task->state, TNI_RELAXED) & TNI_TASK_ABANDONED;
}

/* Called by tn_runtime_destroy after that: sets OUTLIVES. True if the header is still referenced; then the thread that releases
 * the last reference calls tni_runtime_unpin. */
bool tni_task_mark_outliving(tn_task *task);

/* Whether the task has ended and its result is published. The caller holds a handle. */
static inline bool tni_task_has_ended(const tn_task *task)
{
    return tni_wait_is_over(&task->join);
}

/* The same for a walk over the registry, which visits free headers too. */
static inline bool tni_task_is_complete(const tn_task *task)
{
    /* Observes the header as tni_task_complete() left it. */
    return tni_a64_load(&task->state, TNI_ACQUIRE) & TNI_TASK_COMPLETE;
}

static inline bool tni_task_is_cancelled(const tn_task *task)
{
    /* Observes what the canceller wrote before; partner: tni_task_set_cancelled. It may miss a concurrent cancellation: the
     * wake that follows that leads to another check. */
    return tni_unlikely(tni_a64_load(&task->state, TNI_ACQUIRE) & TNI_TASK_CANCELLED);
}

static inline void tni_task_set_cancelled(tn_task *task)
{
    /* Publishes the canceller's writes; partner: tni_task_is_cancelled. */
    (void)tni_a64_fetch_or(&task->state, TNI_TASK_CANCELLED, TNI_RELEASE);
}

/* Sets REPORTED; true the first time. The caller has a reference. */
static inline bool tni_task_set_reported(tn_task *task)
{
    /* Relaxed: a flag of the monitor that guards no data. */
    return !(tni_a64_fetch_or(&task->state, TNI_TASK_REPORTED, TNI_RELAXED) & TNI_TASK_REPORTED);
}

static inline bool tni_task_is_reported(const tn_task *task)
{
    /* Relaxed: as above. */
    return tni_a64_load(&task->state, TNI_RELAXED) & TNI_TASK_REPORTED;
}

static inline void tni_task_set_waits_for_stack(tn_task *task)
{
    /* Relaxed: for dumps alone; it guards no data. The same holds for the other two. */
    (void)tni_a64_fetch_or(&task->state, TNI_TASK_WAITS_FOR_STACK, TNI_RELAXED);
}

static inline void tni_task_clear_waits_for_stack(tn_task *task)
{
    (void)tni_a64_fetch_and(&task->state, ~TNI_TASK_WAITS_FOR_STACK, TNI_RELAXED); /* as above */
}

static inline bool tni_task_waits_for_stack(const tn_task *task)
{
    return tni_a64_load(&task->state, TNI_RELAXED) & TNI_TASK_WAITS_FOR_STACK; /* as above */
}

static inline void tni_task_ref(tn_task *task)
{
    /* Relaxed: the caller has a reference already, and one more publishes nothing. */
    (void)tni_a64_fetch_add(&task->state, TNI_TASK_REF, TNI_RELAXED);
}

/* Takes a reference without having one (a walk over the registry). Returns false if the header is free or the task has
 * ended. */
bool tni_task_ref_if_alive(tn_task *task);

/* Whether the caller has the only reference to a task that has ended. No thread can take another one, so it need not be
 * released. */
static inline bool tni_task_is_last_reference(const tn_task *task)
{
    /* Acquire: observes the last accesses of all other owners; partner: drop_reference (task.c). */
    uint64_t state = tni_a64_load(&task->state, TNI_ACQUIRE);

    return state / TNI_TASK_REF == 1 && (state & TNI_TASK_COMPLETE);
}

/* Releases a reference unless it is the last one. False: it is, and the task has ended. So no other thread uses the header. */
bool tni_task_unref_unless_last(tn_task *task);
/* Frees the header of a task that has ended. The caller has the last reference. */
void tni_task_free(tn_task *task);

/* Wakes a task: makes it runnable and, if it rested, queues it. */
void tni_task_wake(tn_task *task);

static inline tn_task *tni_task_of(tn_waker *waker)
{
    return (tn_task *)(void *)waker;
}

static inline tn_waker *tni_task_waker(tn_task *task)
{
    return (tn_waker *)(void *)task;
}

/* The error code that an entry function has returned as a pointer; 0: its result is none. */
static inline int tni_task_error_in(const void *result)
{
    intptr_t number = (intptr_t)result;

    return number < 0 && number > TN_PENDING ? (int)number : 0;
}

#endif
