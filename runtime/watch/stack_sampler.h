/* SPDX-License-Identifier: MIT */
/* The stack of a task while it runs: taken by its own thread, in a signal handler, for somebody who asks. Only in runtimes with
 * report_stuck_ns. README.md ("Stuck workers") has the protocol. */
#ifndef TNI_STACK_SAMPLER_H
#define TNI_STACK_SAMPLER_H

#include "os/os_thread_signal.h"
#include "sched/monitor_state.h"
#include "task/task.h"

/* Frames, and words between the stack pointer and the first of them, that are kept. */
#define TNI_STACK_SAMPLE_FRAMES 32
#define TNI_STACK_SAMPLE_WORDS 1024

typedef struct {
    bool inside;    /* the thread was still inside this task */
    const void *pc; /* NULL: it was not, or not on its stack */
    unsigned frames;
    void *frame[TNI_STACK_SAMPLE_FRAMES]; /* return addresses by the chain of frame pointers, innermost first */
    unsigned words;
    const void
        *word[TNI_STACK_SAMPLE_WORDS]; /* what lies below the first frame: calls of code without frame pointers are in there */
} tni_stack_sample;

struct tni_stack_sampler {
    tni_a32 busy;            /* 1: somebody asks */
    tni_aptr asked;          /* the tni_worker that is to answer; it takes it out, or who asked */
    tni_a32 answers;         /* the number of the last request that was answered */
    uint32_t number;         /* of the last request; who asks, before `asked` */
    const tn_task *task;     /* whose stack is wanted; as above */
    tni_stack_sample sample; /* the handler's from the moment it takes `asked` out until it counts its answer */
};

/* create, at its end: 0 or a negative errno value. `number`: the signal. */
int tni_stack_sampler_install(tn_runtime *runtime);
void tni_stack_sampler_uninstall(tn_runtime *runtime);

/* One at a time: true when the sampler is the caller's until tni_stack_sampler_end. False: it is somebody else's at `until_ns`,
 * or there is none. */
bool tni_stack_sampler_begin(tn_runtime *runtime, uint64_t until_ns);

/* Asks for the stack of a task that the caller has a reference to. False: no thread is inside it that could be asked. */
bool tni_stack_sampler_ask(tn_runtime *runtime, const tn_task *task);

/* Has it been answered? `until_ns`: waits until then; 0: does not wait. NULL: it has not. Valid until tni_stack_sampler_end. */
const tni_stack_sample *tni_stack_sampler_result(tn_runtime *runtime, uint64_t until_ns);

/* Takes back what is asked and was not answered. */
void tni_stack_sampler_end(tn_runtime *runtime);

#endif
