/* SPDX-License-Identifier: MIT */
/* The task header and its state word.
 *
 * State word: flags in the low byte, the reference count above. Who may touch a field and when:
 *   A  the scheduler or the running task, while ACTIVE is set: exactly one thread at a time, handed over by the queues
 *   S  written at the spawn, constant afterwards
 *   W  a word with its own protocol
 * A header lives in a slab and its memory stays a header until the runtime is gone, so a registry walk may look at any of them;
 * everyone else holds a counted reference.
 */
#ifndef TNI_TASK_H
#define TNI_TASK_H

#include <tn/task.h>

#include "base/config.h"
#include "base/parker.h"
#include "base/prim.h"
#include "fiber/context.h"
#include "task/timer_node.h"
#include "task/wait.h"

/* The scheduler owns the task: it is queued or running. Whoever sets it has to queue the task. */
#define TNI_TASK_ACTIVE UINT64_C(1)
/* Woken while ACTIVE: it has to be run once more before it may rest. */
#define TNI_TASK_NOTIFIED UINT64_C(2)
/* It has ended, and whoever joins has been told. Never set together with ACTIVE; never cleared but by the next spawn in this
 * header. */
#define TNI_TASK_COMPLETE UINT64_C(4)
/* tn_cancel was called. Stays set. */
#define TNI_TASK_CANCELLED UINT64_C(8)
/* The runtime has been destroyed, and the header waits for its last reference. */
#define TNI_TASK_ORPHAN UINT64_C(16)
/* Destroy gave up on it. Set with COMPLETE, and until the header is freed. */
#define TNI_TASK_ABANDONED UINT64_C(32)
/* It is in the log that the task keeps its thread. Stays set. */
#define TNI_TASK_REPORTED UINT64_C(64)
/* One reference: the scheduler's from spawn to end, a handle's, a waker's. */
#define TNI_TASK_REF UINT64_C(256)

typedef enum {
    TNI_TASK_FIBER,
    TNI_TASK_FUTURE,
    /* From here on they are never run by a worker. */
    TNI_TASK_THREAD, /* a plain thread that waits: woken by its parker */
    TNI_TASK_MEMBER, /* a future in a future set: woken onto its set's list */
} tni_task_kind;

/* What a run of a task ended in; set by the task before it leaves. */
typedef enum {
    TNI_RUN_YIELDED,
    TNI_RUN_YIELDED_IN_WAIT, /* a fiber that is about to wait, or in the middle of an operation; `awaited` says which */
    TNI_RUN_SUSPENDED,       /* a fiber: `awaited` is pending */
    TNI_RUN_ENDED,
} tni_run_result;

typedef struct tni_worker tni_worker;
typedef struct tni_core tni_core;
typedef struct tni_task_hook tni_task_hook;

/* What each run touches stands first, together: a task that rested among thousands comes back from memory line by line. */
struct tn_task {
    tni_a64 state;       /* W: flags and references */
    tn_runtime *runtime; /* S */
    tn_future *awaited;  /* A: from where a fiber suspends to where it goes on: what it waits for; see run_result */
    tni_worker *home;    /* A: the worker a pinned task stays on, from its first run */
    union {
        uint64_t deadline_ns; /* A: earliest moment that the polls of this run asked for; TNI_FOREVER: none */
        uint64_t since_ns;    /* A: while it rests, and is a worker's to run: since when, by its core's last look at the clock */
        tn_task *queue_next;  /* A: in the injector, a mailbox, the list of those that wait for a stack; free: next free header */
    };
    uint8_t kind;           /* S: tni_task_kind */
    uint8_t pinned : 1;     /* S */
    uint8_t stack_log2 : 7; /* S: the power of two that its stack has to have at least; 0: the runtime's choice */
    uint8_t run_result;     /* A: tni_run_result */
    uint8_t budget;         /* A: operations that may still be ready at once in this run; 1: used up, see budget.h */
    uint16_t last_core;     /* A: index of the core it last ran on */
    int16_t error;          /* A; after COMPLETE constant: why the entry never ran, or 0 */
    union {
        struct {
            tni_context context;     /* A: where it goes on */
            struct tni_scope *scope; /* A: the innermost it is inside of; see scope.h */
            tni_stack *stack;        /* A: from the first run to the end */
            tn_entry_fn entry;       /* S */
        } fiber;
        tn_future *future; /* S: until its drop */
        tni_parker parker; /* W: where a plain thread sleeps */
    } body;
    tni_wait join;            /* W: who waits for the end */
    void *result;             /* A; of a fiber before its first run: the argument; after COMPLETE: constant */
    tni_timer timer;          /* its driver's timer lock */
    tni_aptr armed_in;        /* W: tni_timers * whose wheel holds `timer`; NULL: none does; see timer.h */
    uint64_t id;              /* S */
    tni_task_hook *extras;    /* A; after COMPLETE the last owner's: see task_hooks.h */
    const void *spawn_site;   /* S: where the spawn was called */
    char name[TNI_NAME_SIZE]; /* S */
};

_Static_assert(sizeof(tni_context) > 8 || sizeof(tn_task) <= 184, "a million sleeping tasks have to fit");

/* For tni_stack_get. */
static inline size_t tni_task_stack_size(const tn_task *task)
{
    return task->stack_log2 == 0 ? 0 : (size_t)1 << task->stack_log2;
}

/* --- Named transitions ------------------------------------------------------------------------------------------------------ */

/* Header fresh from the slab -> ACTIVE with `references`. Release: a registry walk that acquires the word sees the header
 * whole. */
static inline void tni_task_birth(tn_task *task, unsigned references)
{
    tni_a64_store(&task->state, TNI_TASK_ACTIVE | references * TNI_TASK_REF, TNI_RELEASE);
}

/* A wake. True: it rested, and the caller has to queue it. `spent`: the references that go with it, 0 or TNI_TASK_REF; they are
 * left for tni_task_unref when the task has ended (then *ended is set). */
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
        /* Release: publishes what the waker wrote to the run that follows, also when NOTIFIED was set already (so the exchange
         * is made even if it changes nothing); partners: tni_task_begin_run, tni_task_rest. Acquire: whoever queues the task
         * hands on the registers that tni_task_rest published. */
    } while (!tni_a64_cas(&task->state, &old, wanted, TNI_ACQ_REL));
    return !(old & TNI_TASK_ACTIVE);
}

static inline bool tni_task_notify(tn_task *task)
{
    bool ended;

    return tni_task_notify_spending(task, 0, &ended);
}

/* Before a run: the wakes so far are answered by this run. */
static inline void tni_task_begin_run(tn_task *task)
{
    /* Relaxed: a wake that is missed here stays set and makes tni_task_rest answer false. */
    uint64_t state = tni_a64_load(&task->state, TNI_RELAXED);

    tni_assert((state & (TNI_TASK_ACTIVE | TNI_TASK_COMPLETE)) == TNI_TASK_ACTIVE, "the scheduler does not own the task it runs");
    if (tni_unlikely(state & TNI_TASK_NOTIFIED)) {
        /* Observes what those wakers wrote; partner: tni_task_notify. Without acquire the run could miss it, and no other would
         * follow. */
        (void)tni_a64_fetch_and(&task->state, ~TNI_TASK_NOTIFIED, TNI_ACQUIRE);
    }
}

/* After a run that suspended: ACTIVE -> resting. False: it was woken meanwhile and stays ACTIVE; the caller has to queue it. From
 * the moment this answers true the task belongs to whoever wakes it. */
static inline bool tni_task_rest(tn_task *task)
{
    /* Relaxed: the CAS checks it. */
    uint64_t old = tni_a64_load(&task->state, TNI_RELAXED);
    uint64_t wanted;

    do {
        tni_assert((old & (TNI_TASK_ACTIVE | TNI_TASK_COMPLETE)) == TNI_TASK_ACTIVE, "a task suspends that was not running");
        if (old & TNI_TASK_NOTIFIED)
            return false;
        wanted = old & ~TNI_TASK_ACTIVE;
        /* Release: publishes the saved registers and all the run wrote to the next run; partner: tni_task_notify. Weaker, another
         * worker could resume the fiber with a stale stack pointer. This is the commit: it comes after the switch. */
    } while (!tni_a64_cas(&task->state, &old, wanted, TNI_RELEASE));
    return true;
}

/* After the last run: ACTIVE -> COMPLETE, giving back `spent` (0 or TNI_TASK_REF) in the same step. Answers the word as it
 * was. */
static inline uint64_t tni_task_complete(tn_task *task, uint64_t spent)
{
    /* Release: all we did is over for who frees the header. Acquire: if that is us, so is all that every other owner did. */
    uint64_t old = tni_a64_fetch_add(&task->state, TNI_TASK_COMPLETE - TNI_TASK_ACTIVE - spent, TNI_ACQ_REL);
    tni_assert((old & (TNI_TASK_ACTIVE | TNI_TASK_COMPLETE)) == TNI_TASK_ACTIVE, "a task ends that was not running");
    return old;
}

/* A look at a task that rests: resting -> ACTIVE, so that nobody else runs it or touches what it owns; tni_task_rest ends the
 * look, and if that answers false the caller has to queue the task. False: it runs, is queued, or has ended. */
static inline bool tni_task_borrow(tn_task *task)
{
    /* Relaxed: the CAS checks it. */
    uint64_t old = tni_a64_load(&task->state, TNI_RELAXED);

    do {
        if (old & (TNI_TASK_ACTIVE | TNI_TASK_COMPLETE))
            return false;
        /* Acquire: the registers and all the last run wrote; partner: tni_task_rest. */
    } while (!tni_a64_cas(&task->state, &old, old | TNI_TASK_ACTIVE, TNI_ACQUIRE));
    return true;
}

/* Destroy, no worker is left: a task that has not ended never will. The scheduler's reference is the caller's now. */
void tni_task_abandon(tn_task *task);

/* For the thread that abandoned it, until it is freed. */
static inline bool tni_task_is_abandoned(const tn_task *task)
{
    /* Relaxed: we set it ourselves. */
    return tni_a64_load(&task->state, TNI_RELAXED) & TNI_TASK_ABANDONED;
}

/* Destroy, after that: true when somebody still holds the header; the last one to give it back then calls tni_runtime_unpin. */
bool tni_task_orphan(tn_task *task);

/* For who holds a handle: has it ended, and does its result stand? */
static inline bool tni_task_has_ended(const tn_task *task)
{
    return tni_wait_is_over(&task->join);
}

/* For a walk over the registry, which may look at free headers too. */
static inline bool tni_task_is_complete(const tn_task *task)
{
    /* Observes the header as its end left it; partner: tni_task_complete. */
    return tni_a64_load(&task->state, TNI_ACQUIRE) & TNI_TASK_COMPLETE;
}

static inline bool tni_task_is_cancelled(const tn_task *task)
{
    /* Observes what the canceller wrote before; partner: tni_task_set_cancelled. It may miss a cancellation of this very
     * moment: then the wake that follows it leads to another look. */
    return tni_unlikely(tni_a64_load(&task->state, TNI_ACQUIRE) & TNI_TASK_CANCELLED);
}

static inline void tni_task_set_cancelled(tn_task *task)
{
    /* Publishes the canceller's writes; partner: tni_task_is_cancelled. */
    (void)tni_a64_fetch_or(&task->state, TNI_TASK_CANCELLED, TNI_RELEASE);
}

/* True the first time. For who has a reference. */
static inline bool tni_task_set_reported(tn_task *task)
{
    /* Relaxed: the monitor's own mark. */
    return !(tni_a64_fetch_or(&task->state, TNI_TASK_REPORTED, TNI_RELAXED) & TNI_TASK_REPORTED);
}

static inline bool tni_task_is_reported(const tn_task *task)
{
    /* Relaxed: as above. */
    return tni_a64_load(&task->state, TNI_RELAXED) & TNI_TASK_REPORTED;
}

static inline void tni_task_ref(tn_task *task)
{
    /* Relaxed: the caller has a reference already, nothing is published by one more. */
    (void)tni_a64_fetch_add(&task->state, TNI_TASK_REF, TNI_RELAXED);
}

/* A reference for who has none yet (a walk over the registry); false when the header is free or the task has ended. */
bool tni_task_ref_if_alive(tn_task *task);

/* Gives back a reference; the last one frees the header. */
void tni_task_unref(tn_task *task);
/* Frees the header of a task that has ended and whose last reference is the caller's. */
void tni_task_free(tn_task *task);

/* Makes a task runnable and, if it rested, queues it: the body of every wake. */
void tni_task_wake(tn_task *task);

static inline tn_task *tni_task_of(tn_waker *waker)
{
    return (tn_task *)(void *)waker;
}

static inline tn_waker *tni_task_waker(tn_task *task)
{
    return (tn_waker *)(void *)task;
}

#endif
