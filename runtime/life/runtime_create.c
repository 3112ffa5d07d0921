/* SPDX-License-Identifier: MIT */
/* Creating a runtime, and running tasks in it: tn_runtime_create, tn_block_on, tn_run. */
#include "life/runtime_life.h"

#include <string.h>

#include <tn/scope.h>

#include "base/options.h"
#include "base/tls.h"
#include "fiber/announce.h"
#include "fiber/stack_overflow.h"
#include "future/signal.h"
#include "os/cpus.h"
#include "os/os_sigaction.h"
#include "sched/schedule.h"
#include "sched/worker_cpus.h"
#include "scope/scope.h"
#include "watch/monitor.h"
#include "watch/reporter.h"
#include "watch/stack_sampler.h"
#include "watch/wait_graph.h"

/* --- Options ---------------------------------------------------------------------------------------------------------------- */

static int refuse(const tn_options *options, const char *problem)
{
    tni_log log = {.fn = options->log, .ctx = options->log_ctx};

    return tni_options_refuse(&log, "tn_runtime_create", problem);
}

static int check_threads(const tn_options *options)
{
    if (options->flavor != TN_MULTI_THREAD && options->flavor != TN_CURRENT_THREAD)
        return refuse(options, "flavor is neither TN_MULTI_THREAD nor TN_CURRENT_THREAD: begin with tn_options_default()");
    if (options->workers > TNI_WORKERS_MAX)
        return refuse(options, "workers is over 1024: use 0 for the CPUs of this process");
    if (options->flavor == TN_CURRENT_THREAD && options->workers > 1)
        return refuse(options, "workers is over 1, and a current-thread runtime has one: use 0");
    if (options->replacement_threads_max > TNI_BLOCKING_THREADS_MAX)
        return refuse(options, "replacement_threads_max is over 10000: use 0 for 64");
    if (options->blocking_threads > TNI_BLOCKING_THREADS_MAX)
        return refuse(options, "blocking_threads is over 10000: use 0 for 512");
    if (options->file_threads > TNI_BLOCKING_THREADS_MAX)
        return refuse(options, "file_threads is over 10000: use 0 for 64");
    if (options->name_threads > TNI_BLOCKING_THREADS_MAX)
        return refuse(options, "name_threads is over 10000: use 0 for 16");
    return 0;
}

static int check_options(const tn_options *options)
{
    if (options->stack_size_bytes > TNI_STACK_MAX_BYTES)
        return refuse(options, "stack_size_bytes is over 64 MiB: use 0 for 256 KiB");
    if (options->guard_size_bytes > TNI_STACK_MAX_BYTES / 2)
        return refuse(options, "guard_size_bytes is over 32 MiB: use 0 for a quarter of the stack, at most 64 KiB");
    if (options->guard > TN_GUARD_NONE)
        return refuse(options, "guard is none of TN_GUARD_*: use TN_GUARD_DEFAULT");
    return check_threads(options);
}

static int read_options(tn_options *out, const tn_options *given)
{
    tni_log log = {.fn = NULL};
    int rc;

    if (given != NULL && given->size >= TNI_OPTIONS_END(given, log_ctx) && given->size <= TNI_OPTIONS_MAX_BYTES)
        log = (tni_log){.fn = given->log, .ctx = given->log_ctx};
    *out = tn_options_default();
    rc = tni_options_read(out, thread_hook_ctx, given, &log, "tn_runtime_create");
    if (rc == 0)
        rc = tni_options_check_allocator(out->allocator, &log, "tn_runtime_create");
    return rc != 0 ? rc : check_options(out);
}

static tni_guard_kind guard_kind(tn_guard guard)
{
    switch (guard) {
    case TN_GUARD_LIGHT:
        return TNI_GUARD_LIGHT;
    case TN_GUARD_MPROTECT:
        return TNI_GUARD_MPROTECT;
    case TN_GUARD_NONE:
        return TNI_GUARD_NONE;
    case TN_GUARD_DEFAULT:
        break;
    }
    return TNI_GUARD_AUTO;
}

static unsigned choose_cores(const tn_options *options)
{
    unsigned count = options->workers;

    if (options->flavor == TN_CURRENT_THREAD)
        return 1;
    if (count == 0)
        count = options->worker_cpu_count != 0 ? (unsigned)options->worker_cpu_count : tni_cpus_usable();
    return count < TNI_WORKERS_MAX ? count : TNI_WORKERS_MAX;
}

/* Whether the number of workers follows the CPU quota. Without a number from the program it does from the beginning. */
static bool follows_quota(const tn_options *options)
{
    return options->follow_cpu_quota || (options->workers == 0 && options->worker_cpu_count == 0);
}

/* --- Signal handlers -------------------------------------------------------------------------------------------------------- */

/* Called in a signal handler on the thread that faulted. */
static bool find_overflow(const void *fault_address, tni_stack_overflow_info *out)
{
    tn_task *task = tni_tls_get()->task;

    if (task == NULL || task->kind != TNI_TASK_FIBER || task->body.fiber.stack == NULL ||
        !tni_stack_owns_guard(task->body.fiber.stack, fault_address))
        return false;
    out->task_name = task->name;
    out->stack_size_bytes = tni_stack_slot_size(task->body.fiber.stack);
    return true;
}

static int install_handlers(tn_runtime *runtime)
{
    int rc = tni_stack_sampler_install(runtime);

    if (rc == TN_EINVAL)
        return refuse(&runtime->options, "stuck_signal is no signal that can be caught: use 0 for SIGURG");
    if (rc == 0 && runtime->options.report_overflow) {
        rc = tni_stack_overflow_install(find_overflow);
        if (rc != 0)
            tni_stack_sampler_uninstall(runtime);
    }
    return rc;
}

/* --- Forks ------------------------------------------------------------------------------------------------------------------ */

/* In a child of fork: the thread that called fork is a plain thread there, whatever it was in the parent. A fiber that it is
 * inside of continues on its stack, with the scopes that it has entered, and never suspends. */
static void become_plain_thread(void)
{
    tni_tls *local = tni_tls_get();
    tni_scope *scope = local->scope;

    if (local->task != NULL && local->task->kind == TNI_TASK_FIBER)
        scope = tni_scopes_leave_task(local->task, &local->scope);
    *local = (tni_tls){.scope = scope}; /* with a new seed for the generator */
    tni_os_sigaction_in_child();
    tni_announce_in_child();
    tni_signal_in_child();
}

/* --- Creating --------------------------------------------------------------------------------------------------------------- */

static void log_from_stacks(void *arg, const char *message)
{
    tn_runtime *runtime = arg;

    tni_log_write(&runtime->log, TN_LOG_WARNING, "%s", message);
}

static int init_stacks(tn_runtime *runtime)
{
    const tn_options *options = &runtime->options;
    tni_stack_config config = {
        .stack_size_bytes = options->stack_size_bytes,
        .guard = guard_kind(options->guard),
        .guard_size_bytes = options->guard_size_bytes,
        .unguarded_fallback = options->guard_fallback,
        .stacks_max = options->stacks_max,
        .measure = options->measure_stacks,
        .log = log_from_stacks,
        .log_arg = runtime,
    };
    int rc = tni_stack_pool_init(&runtime->stacks, &config);

    if (rc == -ENOTSUP)
        tni_log_write(&runtime->log, TN_LOG_ERROR,
                      "this kernel has no light stack guards (Linux 6.13 has), or refuses them because this process locks its "
                      "memory: use TN_GUARD_DEFAULT or TN_GUARD_MPROTECT");
    return rc;
}

static int init_cores(tn_runtime *runtime)
{
    for (unsigned i = 0; i < runtime->core_count; i++) {
        tni_core *core = tni_alloc(&runtime->allocator, sizeof *core, _Alignof(tni_core));
        int rc = core == NULL ? TN_ENOMEM : tni_core_init(core, runtime, i);
        if (rc != 0) {
            tni_free(&runtime->allocator, core, sizeof *core);
            return rc; /* the cores created so far are freed with the runtime */
        }
        runtime->cores[i] = core;
    }
    return 0;
}

static void init_state(tn_runtime *runtime)
{
    tni_a32_init(&runtime->closing, 0);
    tni_a32_init(&runtime->cancelling, 0);
    tni_a32_init(&runtime->stopping, 0);
    tni_a32_init(&runtime->any_core, 0);
    tni_a32_init(&runtime->next_start, 0);
    tni_a32_init(&runtime->unrun, 0);
    tni_a32_init(&runtime->seeds, 0);
    tni_a64_init(&runtime->slow_reports, 0);
    tni_a32_init(&runtime->driven, 0);
    tni_a32_init(&runtime->holds, 0);
    runtime->deadlock_seen = UINT64_MAX;
    runtime->trimmed_ns = tni_clock_ns();
    runtime->external_trim_again = false;
    tni_a32_init(&runtime->threads, 0);
    tni_a32_init(&runtime->references, 1);
    tni_a32_init(&runtime->externals, 0);
    tni_a32_init(&runtime->pins, 1);
    tni_a32_init(&runtime->frames, 1);
    tni_a32_init(&runtime->quiet, 0);
    tni_aptr_init(&runtime->attachment, NULL);
    tni_reclaim_init(&runtime->reclaim);
    tni_idle_init(&runtime->idle, runtime->core_count);
    tni_worker_limit_init(runtime, follows_quota(&runtime->options));
    tni_injector_init(&runtime->injector);
    tni_monitor_init(&runtime->monitor);
    tni_starter_init(&runtime->starter);
    tni_reporter_init(&runtime->reporter);
    tni_os_mutex_init(&runtime->lock);
    runtime->stack_waiters_end = &runtime->stack_waiters;
    tni_slab_cache_init(&runtime->external_slabs, &runtime->allocator, runtime->core_count, runtime->core_count + 1);
}

static int start_workers(tn_runtime *runtime)
{
    tni_worker *worker;
    int rc = 0;

    if (runtime->options.flavor == TN_CURRENT_THREAD)
        return tni_worker_adopt(runtime, runtime->cores[0], &worker);
    for (unsigned i = 0; i < runtime->core_count && rc == 0; i++)
        rc = tni_worker_start(runtime, runtime->cores[i], &worker);
    if (rc == 0)
        rc = tni_reporter_start(runtime);
    if (rc == 0)
        rc = tni_starter_start(runtime);
    if (rc == 0)
        rc = tni_monitor_start(runtime);
    if (rc != 0) {
        tni_log_write(&runtime->log, TN_LOG_ERROR, "tn_runtime_create: cannot start %u threads: %s; lower options.workers",
                      runtime->core_count + 3, tn_strerror(rc));
        tni_runtime_stop(runtime, true);
    }
    return rc;
}

static void take_options(tn_runtime *runtime, const tn_options *options)
{
    runtime->options = *options;
    strncpy(runtime->name, options->name != NULL ? options->name : "tn", sizeof runtime->name - 1);
    runtime->log = (tni_log){.fn = options->log, .ctx = options->log_ctx};
    runtime->fork_generation = tni_fork_generation;
    tni_thread_mask_get(&runtime->mask);
    runtime->asymmetric = tni_fence_asymmetric_init();
    runtime->special_wakes = options->force_migration || options->report_slow_ns != 0;
    runtime->core_count = choose_cores(options);
}

int tn_runtime_create(tn_runtime **out, const tn_options *given)
{
    tn_options options;
    tn_allocator allocator;
    tn_runtime *runtime;
    int rc;

    *out = NULL;
    rc = read_options(&options, given);
    tni_announce_init(); /* before a lock or a context is made */
    if (rc == 0)
        rc = tni_fork_watch(become_plain_thread);
    if (rc != 0)
        return rc;
    allocator = options.allocator != NULL ? *options.allocator : tni_alloc_default;
    runtime = tni_alloc(&allocator, sizeof *runtime, _Alignof(tn_runtime));
    if (runtime == NULL)
        return TN_ENOMEM;
    runtime->allocator = allocator;
    take_options(runtime, &options);
    rc = tni_worker_cpus_init(runtime, &options);
    if (rc == 0)
        rc = init_stacks(runtime);
    if (rc == 0) {
        rc = install_handlers(runtime);
        if (rc != 0)
            tni_stack_pool_fini(&runtime->stacks);
    }
    if (rc != 0) {
        tni_worker_cpus_fini(runtime);
        tni_free(&allocator, runtime, sizeof *runtime);
        return rc;
    }
    init_state(runtime);
    rc = init_cores(runtime);
    if (rc == 0)
        rc = tni_wait_graph_create(runtime);
    if (rc == 0)
        rc = start_workers(runtime);
    if (rc != 0)
        tni_runtime_retire(runtime);
    else
        *out = runtime;
    return rc;
}

/* --- Running ---------------------------------------------------------------------------------------------------------------- */

/* Joins inside a shield, so that no scope of the calling thread can end the wait: otherwise the handle would leak. */
static int join_shielded(tn_task *task, void **result)
{
    tn_scope shield;
    int rc;

    tn_shield_enter(&shield, TN_NEVER);
    rc = tn_join(task, result);
    tn_scope_leave(&shield);
    return rc;
}

static int drive(tn_runtime *runtime, tn_task *task, void **result)
{
    tni_worker_drive(runtime->workers, task, TNI_FOREVER);
    /* Release: publishes the state of the core to the next thread that drives it; partner: the CAS in tn_block_on. */
    tni_a32_store(&runtime->driven, 0, TNI_RELEASE);
    return join_shielded(task, result);
}

/* The calling thread drives the runtime and is not in its loop, so no other code can give what its core does not use. */
static void give_core(tn_runtime *runtime)
{
    tni_core *core = tni_worker_enter(runtime->workers);

    tni_reclaim_give(core);
    tni_worker_leave(runtime->workers);
}

int tn_block_on(tn_runtime *runtime, tn_entry_fn entry, void *arg, void **result)
{
    bool drives = runtime->options.flavor == TN_CURRENT_THREAD;
    uint32_t free_word = 0;
    tn_task *task;
    int rc;

    if (tni_runtime_is_inherited(runtime)) {
        tni_fork_log_refusal("tn_block_on");
        return TN_ESHUTDOWN;
    }
    tni_assert(!drives || tni_tls_get()->task == NULL, "tn_block_on in a task: spawn and join instead");
    /* Acquire: observes the core as the previous driving thread left it; partner: drive. */
    if (drives && !tni_a32_cas(&runtime->driven, &free_word, 1, TNI_ACQUIRE))
        return TN_EBUSY;
    rc = tn_spawn_on(runtime, NULL, &task, entry, arg);
    if (rc == TN_ENOMEM && drives) {
        give_core(runtime);
        rc = tn_spawn_on(runtime, NULL, &task, entry, arg);
    }
    if (rc == 0)
        return drives ? drive(runtime, task, result) : join_shielded(task, result);
    if (drives)
        tni_a32_store(&runtime->driven, 0, TNI_RELEASE); /* release: as in drive */
    return rc;
}

int tn_run(tn_entry_fn entry, void *arg, const tn_options *options)
{
    tn_options own;
    tn_runtime *runtime;
    void *result = NULL;
    int rc = read_options(&own, options);

    if (rc != 0)
        return rc;
    own.report_overflow = own.report_overflow || !own.no_overflow_report;
    own.report_deadlock = true;
    rc = tn_runtime_create(&runtime, &own);
    if (rc != 0)
        return rc;
    rc = tn_block_on(runtime, entry, arg, &result);
    (void)tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, TNI_FOREVER);
    return rc != 0 ? rc : tni_task_error_in(result);
}
