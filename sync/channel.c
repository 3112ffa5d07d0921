/* SPDX-License-Identifier: MIT */
/* The options of the channels. */
#include "channel.h"

#include "base/options.h"
#include "sched/runtime.h"

int tni_channel_options_copy(tni_channel_options *out, const tn_channel_options *given, const char *call)
{
    tn_channel_options options = tn_channel_options_default();
    int rc = tni_options_read(&options, allocator, given, tni_runtime_log_here(), call);

    if (rc == 0)
        rc = tni_options_check_allocator(options.allocator, tni_runtime_log_here(), call);
    if (rc != 0)
        return rc;
    out->discard = options.discard;
    out->retain = options.retain;
    out->allocator = options.allocator != NULL ? *options.allocator : tni_alloc_default;
    return 0;
}
