/* SPDX-License-Identifier: MIT */
/* Stack samples: the stack of a task that a thread is inside of, for the monitor or a dump. If the thread sleeps, the requester
 * reads the stack. Otherwise the thread itself does, in a signal handler. Only in runtimes with report_stuck_ns. README.md ("The
 * stack of a task that runs") has the protocol. */
#ifndef TNI_STACK_SAMPLER_H
#define TNI_STACK_SAMPLER_H

#include "fiber/frames.h"
#include "os/os_thread_signal.h"
#include "sched/monitor_state.h"
#include "task/task.h"

/* Most words of a stack that a sample has. */
#define TNI_STACK_SAMPLE_WORDS 1024
/* Most bytes that are copied of the stack of a thread that sleeps. Of a deeper one only the innermost frames are found. */
#define TNI_STACK_COPY_BYTES ((size_t)1024 * 1024)

typedef struct {
    bool inside;      /* the thread was still inside this task */
    bool asleep;      /* the thread slept in the kernel */
    tni_frames stack; /* without a pc: it was not inside, or not on the task's stack */
    const void *word[TNI_STACK_SAMPLE_WORDS];
} tni_stack_sample;

struct tni_stack_sampler {
    tni_a32 busy;            /* 1: a thread uses the sampler */
    tni_aptr target;         /* tni_worker * whose handler must respond; the handler takes it out, or the requester */
    tni_a32 responses;       /* number of the last request that has a response */
    uint32_t number;         /* number of the last request; the requester writes it before `target` */
    const tn_task *task;     /* the task of the last request; written like `number` */
    void *copy;              /* the requester's: TNI_STACK_COPY_BYTES for the stack of a thread that sleeps */
    tni_stack_sample sample; /* the handler's from when it takes `target` out until it stores `responses` */
};

/* Called at the end of tn_runtime_create. Returns 0 or a negative errno value. */
int tni_stack_sampler_install(tn_runtime *runtime);
void tni_stack_sampler_uninstall(tn_runtime *runtime);

/* One user at a time. True: the sampler is the caller's until tni_stack_sampler_end. False: at `until_ns` another thread had
 * it, or there is no sampler. */
bool tni_stack_sampler_begin(tn_runtime *runtime, uint64_t until_ns);

/* Requests the stack of a task to which the caller holds a reference. False: no thread that can be signaled is inside the
 * task. */
bool tni_stack_sampler_ask(tn_runtime *runtime, const tn_task *task);

/* Returns the response to the request. `until_ns`: waits until then; 0: does not wait. NULL: there is none yet. Valid until
 * tni_stack_sampler_end. */
const tni_stack_sample *tni_stack_sampler_result(tn_runtime *runtime, uint64_t until_ns);

/* Asks, and waits for the response until then. NULL: there is none. */
const tni_stack_sample *tni_stack_sampler_take(tn_runtime *runtime, const tn_task *task, uint64_t until_ns);

/* Gives up the sampler. Takes back a request that has no response. */
void tni_stack_sampler_end(tn_runtime *runtime);

#endif
