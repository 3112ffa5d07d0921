/* SPDX-License-Identifier: MIT */
/* The attachment of a runtime once nothing more can be attached: it does nothing. */
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

static void fini_nothing(tni_attachment *self)
{
    (void)self;
}

tni_attachment tni_attachment_closed = {stop_nothing, maintain_nothing, fini_nothing};
