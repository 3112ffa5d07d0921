/* SPDX-License-Identifier: MIT */
/* What the monitor keeps in cores, in workers and in the runtime, and what these call of it. Defined in monitor.c, stuck.c,
 * stuck_report.c and stack_sampler.c, above them. */
#ifndef TNI_MONITOR_STATE_H
#define TNI_MONITOR_STATE_H

#include <tn/task.h>

#include "base/atomic.h"
#include "base/thread.h"

typedef struct tni_core tni_core;
typedef struct tni_worker tni_worker;
typedef struct tni_stack_sampler tni_stack_sampler; /* stack_sampler.h */

/* What the monitor keeps of a core. */
typedef struct {
    uint64_t polls;             /* driver polls at its last look */
    uint64_t runs;              /* runs at its last look */
    uint64_t clock_read_ns;     /* when that was */
    uint64_t polled_ns;         /* it first saw that number of polls then */
    uint64_t since_ns;          /* about when that run began */
    uint64_t clocked_ns;        /* its thread's clock was read first then; 0: not yet */
    uint64_t cpu_ns;            /* and said this */
    bool needed;                /* somebody has waited for the core since */
    uint64_t check_interval_ns; /* the core was taken lately, and is looked at so often; 0: not */
    uint64_t again_ns;          /* then next */
} tni_core_record;

/* What the monitor keeps of a worker, if it is to report who keeps a thread: the run that it was in at the last look. */
typedef struct {
    tn_task *task;        /* NULL: none, or one that has said that it blocks */
    const tni_core *core; /* NULL: it had lost its core */
    uint64_t runs;        /* of that core */
    uint32_t rounds;      /* the worker's */
    uint64_t since_ns;    /* it first saw that run then */
} tni_run_record;

/* What it has said lately, and is about to say. */
typedef struct {
    uint64_t minute_ns; /* when the present minute began */
    unsigned reports;   /* in it */
    uint64_t spares_ns; /* when it said that there are no replacement threads; 0: never */
    tn_task *task;      /* about to be reported, with a reference; NULL: none */
    uint64_t kept_ns;   /* for so long by then */
    uint64_t until_ns;  /* its stack is waited for until then */
    bool asking;        /* the sampler is ours */
} tni_stuck_log;

/* Of a runtime: its thread. */
typedef struct {
    tni_thread thread;
    bool started;
    tni_cache_aligned tni_a32 resting; /* 1: it sleeps for good; whoever starts to work wakes it */
    tni_a32 stop;
} tni_monitor;

/* A worker leaves its park: if the monitor rests, it is woken. */
void tni_monitor_notice(tn_runtime *runtime);

/* A worker thread: takes the signal from now on; will soon be gone. Nothing happens without a sampler. */
void tni_stack_sampler_open(tni_worker *worker);
void tni_stack_sampler_close(tni_worker *worker);

#endif
