/* SPDX-License-Identifier: MIT */
/* The placeholder that tn_runtime_destroy stores in runtime->attachment if the runtime has no blocking pool, so that none can
 * be created any more. It does nothing. */
#include "sched/runtime.h"

static size_t stop_nothing(tni_attachment *self, uint64_t deadline_ns)
{
    (void)self;
    (void)deadline_ns;
    return 0;
}

static bool maintain_nothing(tni_attachment *self, uint64_t now_ns)
{
    (void)self;
    (void)now_ns;
    return false;
}

static bool wants_nothing(const tni_attachment *self)
{
    (void)self;
    return false;
}

static void measure_nothing(const tni_attachment *self, tn_metrics *out)
{
    (void)self;
    (void)out;
}

static void fini_nothing(tni_attachment *self)
{
    (void)self;
}

tni_attachment tni_attachment_closed = {stop_nothing, maintain_nothing, wants_nothing, measure_nothing, fini_nothing};
