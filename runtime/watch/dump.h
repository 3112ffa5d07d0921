/* SPDX-License-Identifier: MIT */
/* What tasks are doing, in lines. See dump.c. */
#ifndef TNI_DUMP_H
#define TNI_DUMP_H

#include <tn/runtime.h>

#include "watch/stack_sampler.h"

/* Where the lines go. */
typedef struct {
    tn_runtime *runtime;
    tn_dump_fn line;
    void *ctx;
    uint64_t now_ns;
    uint64_t until_ns; /* stacks of tasks that run are waited for until then */
} tni_dump;

__attribute__((format(printf, 2, 3))) void tni_dump_say(const tni_dump *d, const char *format, ...);

/* Of whose task the caller has a reference: where it comes from. */
void tni_dump_origin(const tni_dump *d, const tn_task *task);

/* The stack of a task that ran. */
void tni_dump_sample(const tni_dump *d, const tni_stack_sample *sample);

/* Lines for a runtime's log. */
tni_dump tni_dump_to_log(tn_runtime *runtime);

#endif
