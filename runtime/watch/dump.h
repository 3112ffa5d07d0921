/* SPDX-License-Identifier: MIT */
/* Dumps: what tasks are doing, as lines of text. See dump.c. */
#ifndef TNI_DUMP_H
#define TNI_DUMP_H

#include <tn/runtime.h>

#include "watch/stack_sampler.h"
#include "watch/symbol_cache.h"
#include "watch/task_inspect.h"

/* Bytes for a name of code or of a wait. */
#define TNI_DUMP_NAME_SIZE 256

/* Where the lines of a dump go. */
typedef struct {
    tn_runtime *runtime;
    tn_dump_fn line;
    void *ctx;
    tni_symbol_cache *names; /* NULL: none */
    uint64_t now_ns;
    uint64_t until_ns; /* end of the wait for stacks of running tasks */
} tni_dump;

__attribute__((format(printf, 2, 3))) void tni_dump_print(const tni_dump *d, const char *format, ...);

/* What kind of task it is: tn_task.kind. */
const char *tni_dump_kind(uint8_t kind);

/* What a task waits for whose future has these functions: the future's name, or that of its poll function. */
void tni_dump_wait(const tni_dump *d, const tn_future_ops *ops, char out[TNI_DUMP_NAME_SIZE]);

/* Prints where a task comes from. The caller holds a reference to it. */
void tni_dump_origin(const tni_dump *d, const tn_task *task);

/* Prints what is known of a task's stack, which has a pc. */
void tni_dump_stack(const tni_dump *d, const tni_frames *stack);

/* Prints a task that was found waiting: what it waits for, where it comes from, its stack. The caller holds a reference to it. */
void tni_dump_waiting(const tni_dump *d, const tn_task *task, const tni_task_inspect_snapshot *was);

/* A dump whose lines go to the runtime's log. */
tni_dump tni_dump_to_log(tn_runtime *runtime);

#endif
