/* SPDX-License-Identifier: MIT */
/* The monitor thread, as this folder sees it: the data that it keeps in cores, in workers and in the runtime, and the functions
 * that these call. The functions are defined in a higher folder, in watch/monitor.c and watch/stack_sampler.c. */
#ifndef TNI_MONITOR_STATE_H
#define TNI_MONITOR_STATE_H

#include <tn/task.h>

#include "base/atomic.h"
#include "base/inbox.h"
#include "base/log.h"
#include "base/thread.h"

typedef struct tni_core tni_core;
typedef struct tni_worker tni_worker;
typedef struct tni_stack_sampler tni_stack_sampler; /* stack_sampler.h */
typedef struct tni_wait_graph tni_wait_graph;       /* wait_graph.h */

/* What the monitor remembers of a core between two checks. */
typedef struct {
    uint64_t polls;         /* driver polls at the last check */
    uint64_t runs;          /* runs at the last check */
    uint64_t parks;         /* sleeps in the loop at the last check */
    uint64_t clock_read_ns; /* time of the last check */
    bool moved;             /* between the last two checks the worker ran a task, polled or slept */
    bool asleep;            /* at the last check the worker slept, and nothing waited for it */
    uint64_t polled_ns;     /* about this time or later the loop was polled, or had nothing to report */
    uint64_t run_began_ns;  /* approximate start of the present run */
    uint64_t cpu_read_ns;   /* time of the first reading of the thread's clock in that run; 0: not yet */
    uint64_t cpu_ns;        /* that reading */
    bool needed;            /* another task or thread has waited for the core since */
    bool held;              /* a task has kept the worker for 4 ms, others wait for it, and it is too early to take the core */
    uint64_t check_interval_ns; /* the core was taken recently, and is checked at this interval; 0: it was not */
    uint64_t next_check_ns;     /* time of the next such check */
} tni_core_record;

/* What the monitor remembers of a worker, if stuck tasks are reported: the run in which the worker was at the last check. */
typedef struct {
    tn_task *task;        /* NULL: no task, or one that has declared that it blocks */
    const tni_core *core; /* NULL: the worker had lost its core */
    uint64_t runs;        /* the core's number of runs */
    uint32_t rounds;      /* the worker's number of rounds */
    uint64_t seen_ns;     /* time of the last check that saw that run */
    uint64_t cpu_ns;      /* processor time of the thread at that check */
    uint64_t kept_ns;     /* processor time and sleep in that run since the first check that saw it */
    uint64_t rest_ns;     /* of the time since the check before: added to kept_ns if the thread sleeps; 0: nothing to ask */
} tni_run_record;

/* Reports of stuck tasks: what was logged recently, and the report in progress. */
typedef struct {
    uint64_t minute_ns;         /* start of the present minute */
    unsigned reports;           /* reports in that minute */
    uint64_t no_replacement_ns; /* time of the last warning that no replacement thread is left; 0: never */
    tn_task *task;              /* the task of the report in progress, with a reference; NULL: none */
    uint64_t kept_ns;           /* how long it had kept its thread */
    uint64_t until_ns;          /* the report waits for the stack until then */
    bool sampling;              /* the report holds the sampler */
} tni_stuck_log;

/* The report of a stuck task, as the monitor gives it to the reporter. */
typedef struct {
    uint64_t kept_ns; /* how long the task had kept its thread; 0: there is nothing to report */
    bool sampling;    /* the report holds the sampler */
} tni_stuck_details;

/* Lines that wait for the reporter. */
#define TNI_REPORTER_LINES 128

typedef struct {
    unsigned level; /* a tn_log_level */
    char text[TNI_LOG_LINE_SIZE];
} tni_report_line;

/* The thread that calls the program's functions for reports (watch/reporter.h). */
typedef struct {
    tni_log_sink sink;      /* constant: of the monitor and the starter */
    tni_report_line *lines; /* constant: memory for TNI_REPORTER_LINES */
    tni_thread thread;
    tni_a32 started; /* 1: the thread has been started, and not joined; any thread reads it */
    tni_os_mutex lock;
    unsigned first;                 /* lock: index of the oldest line */
    unsigned count;                 /* lock: lines */
    unsigned dropped;               /* lock: lines that were dropped since the last one that was logged */
    unsigned deadlocks;             /* lock: deadlocks to report */
    tni_cache_aligned tni_a32 news; /* bits: there is something to report; end. The thread sleeps on it */
    tni_aptr task;                  /* tn_task *: to report, and a reference to release; NULL: the slot is free */
    tni_stuck_details stuck;        /* what to report of it; the monitor writes it before `task` */
    tni_inbox ended;                /* tasks whose last reference the thread releases */
} tni_reporter;

/* The monitor's thread, one per runtime. */
typedef struct {
    tni_thread thread;
    bool started;
    int bell;                          /* constant: an event that ends the monitor's rest; -1: none */
    tni_cache_aligned tni_a32 resting; /* 1: it sleeps without a timeout; a worker that begins to work wakes it */
    tni_a32 stop;
} tni_monitor;

/* Wakes the monitor if it rests. Called by a worker that leaves its park, and by a thread whose change the monitor must not
 * miss. */
void tni_monitor_notice(tn_runtime *runtime);

/* Called by a worker thread: `open` when it begins to take the sampler's signal, `close` when it is about to end. Without a
 * sampler they do nothing. */
void tni_stack_sampler_open(tni_worker *worker);
void tni_stack_sampler_close(tni_worker *worker);

#endif
