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
    uint64_t since_ns; /* it first saw that run then */
    uint64_t clocked_ns; /* its thread's clock was read first then; 0: not yet */
    uint64_t cpu_ns;     /* and said this */
    bool needed;       /* somebody has waited for the core since */
    bool reported;     /* that run is in the log */
} tni_watch;

/* Keeps the log readable. */
typedef struct {
    uint64_t minute_ns; /* when the present minute began */
    unsigned reports;   /* in it */
} tni_stuck_log;

/* Monitor: looks at a core. True: a spare thread is wanted for it, now or at the next look. */
bool tni_stuck_observe(tni_core *core, uint64_t now_ns);

/* Monitor: tasks keep their threads, and there may be no more threads. */
void tni_stuck_no_spares(tn_runtime *runtime, uint64_t now_ns);

#endif
