/* SPDX-License-Identifier: MIT */
/* The state of the calling thread: the library's only thread-local variable.
 *
 * A fiber may resume on another thread. The compiler does not know that, and may keep the address of a thread-local variable in
 * a register across a switch. So the variable is reached by this one out-of-line call, and its result is never kept across a
 * suspension.
 */
#ifndef TNI_TLS_H
#define TNI_TLS_H

#include <tn/runtime.h>
#include <tn/task.h>

#include "base/defs.h"
#include "base/sampler.h"

typedef struct tni_worker tni_worker;

/* The most that a thread holds at a time. */
#define TNI_TLS_HELD_MAX 16

typedef struct tni_tls {
    tni_worker *worker;        /* NULL: the thread is not a worker */
    const tn_runtime *runtime; /* that of `worker`, or NULL */
    tn_task *task;             /* the task that runs on this thread */
    struct tni_scope *scope;   /* the innermost cancel scope of a plain thread */
    uint64_t why[10];          /* a tni_why (scope/why.h) of a plain thread; all zero: none */
    tni_worker *native_worker; /* the worker of this thread while that runs a call as a plain thread (native.h) */
    void *pool_thread;         /* the record of a blocking pool thread; NULL: the thread is not one */
    uint64_t random;           /* state of the generator; 0: not seeded yet */
    tni_sampler sampler;       /* of tasks that this thread makes runnable without a core (sched/meter.h) */
    /* The clock of the tasks that this thread runs; NULL: the monotonic clock (time/task_clock.h). */
    struct tni_task_clock *clock;
    struct tni_log_sink *log_sink; /* of a thread that must not call the program's log function (log.h); NULL: another one */
#ifndef NDEBUG
    unsigned held_count;
    const void *held[TNI_TLS_HELD_MAX]; /* what the thread holds (held.h), newest last */
#endif
} tni_tls;

tni_tls *tni_tls_get(void);

/* Whether the calling thread is a worker of the runtime, which is not NULL. Each worker holds a reference, so the runtime is not
 * retired meanwhile. */
static inline bool tni_tls_is_worker_of(const tn_runtime *runtime)
{
    return tni_tls_get()->runtime == runtime;
}

#endif
