/* SPDX-License-Identifier: MIT */
#include "sched/worker_cpus.h"

#include <string.h>

#include "base/options.h"
#include "os/cpus.h"

static int refuse(const tn_runtime *runtime, const char *problem)
{
    return tni_options_refuse(&runtime->log, "tn_runtime_create", problem);
}

int tni_worker_cpus_init(tn_runtime *runtime, const tn_options *options)
{
    size_t count = options->worker_cpu_count;

    runtime->worker_cpus = NULL;
    if (count == 0 && options->worker_cpus == NULL)
        return 0;
    if (count == 0 || options->worker_cpus == NULL)
        return refuse(runtime, "worker_cpus and worker_cpu_count: set both, or none");
    if (options->flavor == TN_CURRENT_THREAD)
        return refuse(runtime, "worker_cpus is set, and a current-thread runtime has no thread of its own: bind the caller");
    if (count > TNI_WORKERS_MAX)
        return refuse(runtime, "worker_cpu_count is over 1024");
    if (!tni_cpus_may_use(options->worker_cpus, count))
        return refuse(runtime, "worker_cpus has a processor on which this process may not run: see sched_getaffinity(2)");
    runtime->worker_cpus = tni_alloc(&runtime->allocator, count * sizeof *runtime->worker_cpus, _Alignof(void *));
    if (runtime->worker_cpus == NULL)
        return TN_ENOMEM;
    memcpy(runtime->worker_cpus, options->worker_cpus, count * sizeof *runtime->worker_cpus);
    return 0;
}

void tni_worker_cpus_fini(tn_runtime *runtime)
{
    if (runtime->worker_cpus != NULL)
        tni_free(&runtime->allocator, runtime->worker_cpus, runtime->options.worker_cpu_count * sizeof *runtime->worker_cpus);
}

static void bind_to(const tni_worker *worker, const unsigned *cpus, size_t count)
{
    if (!tni_cpus_bind(cpus, count))
        tni_log_write(&worker->runtime->log, TN_LOG_WARNING, "%s may no longer run on its processor of options.worker_cpus",
                      worker->name);
}

void tni_worker_bind(tni_worker *worker)
{
    const tn_runtime *runtime = worker->runtime;
    /* Relaxed: its index is constant; if the core is taken at this moment, the thread roams when it waits for another. */
    const tni_core *core = tni_aptr_load(&worker->core, TNI_RELAXED);

    if (runtime->worker_cpus == NULL)
        return;
    worker->is_bound = core != NULL;
    if (core != NULL)
        bind_to(worker, &runtime->worker_cpus[core->index % runtime->options.worker_cpu_count], 1);
    else
        bind_to(worker, runtime->worker_cpus, runtime->options.worker_cpu_count);
}

void tni_worker_roam(tni_worker *worker)
{
    if (!worker->is_bound)
        return;
    worker->is_bound = false;
    bind_to(worker, worker->runtime->worker_cpus, worker->runtime->options.worker_cpu_count);
}
