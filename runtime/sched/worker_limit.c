/* SPDX-License-Identifier: MIT */
#include "sched/worker_limit.h"

#include "os/cpus.h"
#include "sched/pinned.h"
#include "sched/runtime.h"
#include "sched/schedule.h"

void tni_worker_limit_init(tn_runtime *runtime, bool follows)
{
    runtime->limit.follows = follows && runtime->core_count > 1;
    runtime->limit.read_ns = 0; /* the first check asks for it: it may be smaller than the number of workers */
    tni_a32_init(&runtime->limit.quota, 0);
}

void tni_worker_limit_request(tn_runtime *runtime, uint64_t now_ns)
{
    tni_worker_limit *limit = &runtime->limit;

    if (!limit->follows || (limit->read_ns != 0 && now_ns - limit->read_ns < TNI_QUOTA_PERIOD_NS))
        return;
    limit->read_ns = now_ns;
    tni_starter_request(runtime, TNI_STARTER_QUOTA);
}

/* How many workers should be awake with that quota, if none is stuck. */
static unsigned limit_by(const tn_runtime *runtime, unsigned quota)
{
    return quota != 0 && quota < runtime->core_count ? quota : runtime->core_count;
}

void tni_worker_limit_read(tn_runtime *runtime)
{
    /* Relaxed, both: one number, which publishes nothing. */
    unsigned before = tni_a32_load(&runtime->limit.quota, TNI_RELAXED);
    unsigned quota;
    unsigned used;

    if (!tni_cpus_quota_at("", &quota) || quota == before)
        return;                                               /* one that is unknown is taken for unchanged */
    tni_a32_store(&runtime->limit.quota, quota, TNI_RELAXED); /* relaxed: as above */
    used = limit_by(runtime, quota);
    if (used == limit_by(runtime, before))
        return;
    if (used < runtime->core_count)
        tni_log_write(&runtime->log, TN_LOG_INFO, "the CPU quota is now %u: of %u workers that many are used", quota,
                      runtime->core_count);
    else
        tni_log_write(&runtime->log, TN_LOG_INFO, "no CPU quota is below the number of workers any more: all %u are used",
                      runtime->core_count);
}

void tni_worker_limit_pass_on(tn_runtime *runtime)
{
    if (tni_schedule_any_work(runtime))
        tni_schedule_wake_one(runtime);
}

void tni_worker_limit_set(tn_runtime *runtime, unsigned stuck)
{
    unsigned quota = tni_a32_load(&runtime->limit.quota, TNI_RELAXED); /* relaxed: as in tni_worker_limit_read */
    unsigned before = tni_idle_limit(&runtime->idle);
    unsigned limit = limit_by(runtime, quota);

    limit = stuck < runtime->core_count - limit ? limit + stuck : runtime->core_count;
    if (limit == before)
        return;
    tni_idle_set_limit(&runtime->idle, limit);
    if (limit < before)
        return; /* the workers find it at their next check */
    /* Submits that read the former limit have woken no worker of the cores that were added. Orders the limit before the check;
     * partner: the fence in tni_schedule_wake_one. */
    tni_fence_full();
    tni_worker_limit_pass_on(runtime);
}

tn_task *tni_worker_limit_find(tni_worker *worker, tni_core *core)
{
    tni_core_assert_holder(core);
    tni_schedule_evacuate(core);
    tni_fence_full(); /* orders the move before the check, as in a submit */
    tni_worker_limit_pass_on(worker->runtime);
    tni_a32_store(&core->ticks_left, 0, TNI_RELAXED); /* relaxed: own word; each further task comes after a check */
    return tni_pinned_take_mail(worker);
}
