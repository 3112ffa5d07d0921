/* SPDX-License-Identifier: MIT */
/* What stands where something was attached to a runtime, or never was, once nothing can be attached any more. */
#include "sched/runtime.h"

static size_t stop_nothing(tni_attachment *self, uint64_t deadline_ns)
{
    (void)self;
    (void)deadline_ns;
    return 0;
}

static bool tend_nothing(tni_attachment *self, uint64_t now_ns)
{
    (void)self;
    (void)now_ns;
    return false;
}

static void fini_nothing(tni_attachment *self)
{
    (void)self;
}

tni_attachment tni_attachment_closed = {stop_nothing, tend_nothing, fini_nothing};
