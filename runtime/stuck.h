/* Workers that are inside one task for long: their loop is polled for them, and then their core is given to a spare thread. See
 * stuck.c. */
#ifndef TNI_STUCK_H
#define TNI_STUCK_H

#include "prim.h"
#include "tn_task.h"

typedef struct tni_core tni_core;

/* What the monitor keeps of a core. */
typedef struct {
    uint64_t polls;    /* driver polls at its last look */
    uint64_t runs;     /* runs at its last look */
    uint64_t looked_ns; /* when that was */
    uint64_t polled_ns; /* it first saw that number of polls then */
    uint64_t since_ns; /* about when that run began */
    uint64_t clocked_ns; /* its thread's clock was read first then; 0: not yet */
    uint64_t cpu_ns;     /* and said this */
    bool needed;       /* somebody has waited for the core since */
    uint64_t hurry_ns; /* the core was taken lately, and is looked at so often; 0: not */
    uint64_t again_ns; /* then next */
} tni_watch;

/* What the monitor keeps of a worker, if it is to report who keeps a thread: the run that it was in at the last look. */
typedef struct {
    tn_task *task;        /* NULL: none, or one that has said that it blocks */
    const tni_core *core; /* NULL: it had lost its core */
    uint64_t runs;        /* of that core */
    uint32_t rounds;      /* the worker's */
    uint64_t since_ns;    /* it first saw that run then */
} tni_stay;

/* What it has said lately, and is about to say. */
typedef struct {
    uint64_t minute_ns;  /* when the present minute began */
    unsigned reports;    /* in it */
    uint64_t spares_ns;  /* when it said that there are no spare threads; 0: never */
    tn_task *task;       /* about to be reported, with a reference; NULL: none */
    uint64_t kept_ns;    /* for so long by then */
    uint64_t until_ns;   /* its stack is waited for until then */
    bool asking;         /* the sampler is ours */
} tni_stuck_log;

/* Monitor: looks at a core. True: a spare thread is wanted for it, now or at the next look. *due_ns is lowered to the moment at
 * which the core is to be looked at again, to be taken. */
bool tni_stuck_observe(tni_core *core, uint64_t now_ns, uint64_t *due_ns);

/* stuck_report.c, of the monitor: looks at all workers, and puts into the log which tasks keep their threads. True: it wants to
 * look again, though all cores may be parked. */
bool tni_stuck_report(tn_runtime *runtime, uint64_t now_ns);
/* The last look. */
void tni_stuck_report_end(tn_runtime *runtime);

/* As above: tasks keep their threads, and there may be no more threads. */
void tni_stuck_no_spares(tn_runtime *runtime, uint64_t now_ns);

#endif
