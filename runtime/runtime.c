/* Starting and stopping. README.md ("Shutdown") has the order and why. */
#include "runtime.h"

#include <string.h>

#include "cpus.h"
#include "local.h"
#include "overflow.h"
#include "schedule.h"

/* How long destroy waits, after it has given up on tasks, for workers that are not inside one. */
#define STOP_GRACE_NS UINT64_C(200000000)

/* --- Options ---------------------------------------------------------------------------------------------------------------- */

tn_options tn_options_default(void)
{
    tn_options options;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    return options;
}

static int refuse(const tn_options *options, const char *what)
{
    tni_log log = {.fn = options->log, .ctx = options->log_ctx};

    tni_log_write(&log, TN_LOG_ERROR, "tn_runtime_create: %s", what);
    return TN_EINVAL;
}

static int check_options(const tn_options *options)
{
    if (options->size == 0 || options->size > sizeof *options)
        return refuse(options, "options.size is wrong: start from tn_options_default()");
    if (options->flavour != TN_MULTI_THREAD && options->flavour != TN_CURRENT_THREAD)
        return refuse(options, "options.flavour is neither TN_MULTI_THREAD nor TN_CURRENT_THREAD");
    if (options->workers > TNI_WORKERS_MAX)
        return refuse(options, "options.workers is over 1024: use 0 for the CPUs of this process");
    if (options->flavour == TN_CURRENT_THREAD && options->workers > 1)
        return refuse(options, "a current-thread runtime has one worker: leave options.workers at 0");
    if (options->stack_size_bytes > TNI_STACK_MAX_BYTES)
        return refuse(options, "options.stack_size_bytes is over 64 MiB");
    if (options->guard > TN_GUARD_NONE)
        return refuse(options, "options.guard is none of TN_GUARD_*");
    if (options->allocator != NULL && (options->allocator->alloc == NULL || options->allocator->free == NULL))
        return refuse(options, "options.allocator lacks a function");
    return 0;
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

    if (options->flavour == TN_CURRENT_THREAD)
        return 1;
    if (count == 0)
        count = tni_cpus_usable();
    return count < TNI_WORKERS_MAX ? count : TNI_WORKERS_MAX;
}

/* --- Overflow report -------------------------------------------------------------------------------------------------------- */

/* In a signal handler of the faulting thread. */
static bool find_overflow(const void *fault_address, tni_overflow_info *out)
{
    tn_task *task = tni_local_get()->task;

    if (task == NULL || task->kind != TNI_TASK_FIBER || task->body.fiber.stack == NULL ||
        !tni_stack_owns_guard(task->body.fiber.stack, fault_address))
        return false;
    out->task_name = task->name;
    out->stack_size_bytes = tni_stack_size(task->body.fiber.stack);
    return true;
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
        .unguarded_fallback = options->guard_fallback,
        .stacks_max = options->stacks_max,
        .measure = options->measure_stacks,
        .log = log_from_stacks,
        .log_arg = runtime,
    };
    int rc = tni_stack_pool_init(&runtime->stacks, &config);

    if (rc == -ENOTSUP)
        tni_log_write(&runtime->log, TN_LOG_ERROR,
                      "this kernel has no light stack guards (Linux 6.13 has): use TN_GUARD_DEFAULT or TN_GUARD_MPROTECT");
    return rc;
}

static void free_cores(tn_runtime *runtime)
{
    for (unsigned i = 0; i < runtime->core_count && runtime->cores[i] != NULL; i++) {
        tni_stack_cache_flush(&runtime->stacks, &runtime->cores[i]->stacks);
        tni_core_fini(runtime->cores[i]);
        tni_free(&runtime->allocator, runtime->cores[i], sizeof(tni_core));
        runtime->cores[i] = NULL;
    }
}

static int init_cores(tn_runtime *runtime)
{
    for (unsigned i = 0; i < runtime->core_count; i++) {
        tni_core *core = tni_alloc(&runtime->allocator, sizeof *core, _Alignof(tni_core));
        int rc = core == NULL ? TN_ENOMEM : tni_core_init(core, runtime, i);
        if (rc != 0) {
            tni_free(&runtime->allocator, core, sizeof *core);
            return rc; /* the cores so far go with the runtime */
        }
        runtime->cores[i] = core;
    }
    return 0;
}

static void init_words(tn_runtime *runtime)
{
    tni_a32_init(&runtime->closing, 0);
    tni_a32_init(&runtime->cancelling, 0);
    tni_a32_init(&runtime->stopping, 0);
    tni_a32_init(&runtime->any_core, 0);
    tni_a32_init(&runtime->driven, 0);
    tni_a32_init(&runtime->threads, 0);
    tni_a32_init(&runtime->references, 1);
    tni_a32_init(&runtime->guests, 0);
    tni_a32_init(&runtime->pins, 1);
    tni_a32_init(&runtime->quiet, 0);
    tni_idle_init(&runtime->idle, runtime->core_count);
    tni_injector_init(&runtime->injector);
    tni_mutex_init(&runtime->lock);
    runtime->stack_waiters_end = &runtime->stack_waiters;
    tni_mutex_init(&runtime->foreign_lock);
    tni_slab_cache_init(&runtime->foreign_slabs, &runtime->allocator, runtime->core_count, runtime->core_count + 1);
}

static void fini_words(tn_runtime *runtime)
{
    tni_slab_cache_fini(&runtime->foreign_slabs);
    tni_mutex_fini(&runtime->foreign_lock);
    tni_mutex_fini(&runtime->lock);
    tni_injector_fini(&runtime->injector);
}

static void walk_tasks(tn_runtime *runtime, void (*visit)(void *arg, tn_task *task))
{
    for (unsigned i = 0; i < runtime->core_count && runtime->cores[i] != NULL; i++)
        tni_slab_walk(&runtime->cores[i]->slabs, visit, runtime);
    tni_slab_walk(&runtime->foreign_slabs, visit, runtime);
}

static void fini_drivers(tn_runtime *runtime)
{
    for (unsigned i = 0; i < runtime->core_count && runtime->cores[i] != NULL; i++)
        tni_driver_fini(&runtime->cores[i]->driver);
}

/* Nobody is left who knows of it. */
static void free_runtime(tn_runtime *runtime)
{
    tn_allocator allocator = runtime->allocator;

    while (runtime->workers != NULL) {
        tni_worker *worker = runtime->workers;
        runtime->workers = worker->next_worker;
        tni_free(&allocator, worker, sizeof *worker);
    }
    free_cores(runtime);
    tni_stack_pool_fini(&runtime->stacks);
    fini_words(runtime);
    if (runtime->options.report_overflow)
        tni_overflow_uninstall();
    tni_free(&allocator, runtime, sizeof *runtime);
}

void tni_runtime_unpin(tn_runtime *runtime)
{
    /* Acq_rel: the last one sees everybody's last access. */
    if (tni_a32_fetch_sub(&runtime->pins, 1, TNI_ACQ_REL) == 1)
        free_runtime(runtime);
}

/* A task that was left behind: it never runs again, and its stack goes, whatever was on it. */
static void abandon(void *arg, tn_task *task)
{
    tn_runtime *runtime = arg;

    if (tni_task_has_ended(task))
        return;
    tni_task_abandon(task);
    if (task->kind != TNI_TASK_FIBER || task->body.fiber.stack == NULL)
        return;
    if (task->body.fiber.context.sp != NULL)
        tni_context_fini(&task->body.fiber.context);
    tni_stack_put(&runtime->stacks, NULL, task->body.fiber.stack);
    task->body.fiber.stack = NULL;
}

static void pin_orphan(void *arg, tn_task *task)
{
    tn_runtime *runtime = arg;

    if (tni_task_orphan(task))
        (void)tni_a32_fetch_add(&runtime->pins, 1, TNI_RELAXED); /* relaxed: we hold one */
}

static void wait_for_guests(tn_runtime *runtime)
{
    /* Acquire: what the guests did; partner: tni_runtime_guest_end. They are on their way out. */
    while (tni_a32_load(&runtime->guests, TNI_ACQUIRE) != 0)
        tni_thread_yield();
}

/* No worker is left. Handles and wakers may be, anywhere: each pins the runtime until it is given back.
 * 1. All tasks are ended, so that a wake from outside does nothing any more; those that had begun are waited for.
 * 2. The loops go, and with them the wakers they hold.
 * 3. Headers that are still held are counted. Who gives one back as a guest before is waited for. */
static void retire(tn_runtime *runtime)
{
    walk_tasks(runtime, abandon);
    wait_for_guests(runtime);
    fini_drivers(runtime);
    walk_tasks(runtime, pin_orphan);
    wait_for_guests(runtime);
    tni_runtime_unpin(runtime);
}

bool tni_runtime_at_home(const tn_runtime *runtime)
{
    const tni_worker *worker = tni_local_get()->worker;

    return worker != NULL && worker->runtime == runtime;
}

void tni_runtime_guest_begin(tn_runtime *runtime)
{
    /* Relaxed: the read-modify-write of a task's state word that follows publishes it to tni_task_abandon and tni_task_orphan. */
    (void)tni_a32_fetch_add(&runtime->guests, 1, TNI_RELAXED);
}

void tni_runtime_guest_end(tn_runtime *runtime)
{
    /* Release: our accesses are over; partner: wait_for_guests. */
    (void)tni_a32_fetch_sub(&runtime->guests, 1, TNI_RELEASE);
}

static void release(tn_runtime *runtime)
{
    /* Acq_rel: the last one sees everybody's last access. */
    if (tni_a32_fetch_sub(&runtime->references, 1, TNI_ACQ_REL) == 1)
        retire(runtime);
}

void tni_runtime_thread_ended(tn_runtime *runtime)
{
    /* Release: what the thread did is done; partner: wait_for_threads. The word may be gone after the last reference, so the wake
     * comes before that. */
    (void)tni_a32_fetch_sub(&runtime->threads, 1, TNI_RELEASE);
    tni_futex_wake(&runtime->threads, 1);
    release(runtime);
}

/* Tells all workers and the monitor to stop. */
static void stop_threads(tn_runtime *runtime)
{
    tni_monitor_stop(runtime);
    tni_mutex_lock(&runtime->lock);
    /* Release: partner: tni_runtime_is_stopping. Under the lock, so that no worker is started unseen. */
    tni_a32_store(&runtime->stopping, 1, TNI_RELEASE);
    for (tni_worker *worker = runtime->workers; worker != NULL; worker = worker->next_worker)
        tni_worker_unpark(worker);
    tni_mutex_unlock(&runtime->lock);
}

/* Waits until no worker thread runs any more; false: the time was up. */
static bool wait_for_threads(tn_runtime *runtime, uint64_t deadline_ns)
{
    for (;;) {
        /* Acquire: what the threads did; partner: tni_runtime_thread_ended. */
        uint32_t threads = tni_a32_load(&runtime->threads, TNI_ACQUIRE);
        if (threads == 0)
            return true;
        if (deadline_ns != TNI_FOREVER && tni_clock_ns() >= deadline_ns)
            return false;
        tni_futex_wait(&runtime->threads, threads, deadline_ns);
    }
}

/* Joins the threads that have ended; nobody will join the others. */
static void part_from_threads(tn_runtime *runtime)
{
    for (tni_worker *worker = runtime->workers; worker != NULL; worker = worker->next_worker) {
        if (!worker->owns_thread)
            continue;
        /* Acquire: partner: worker_main. */
        if (tni_a32_load(&worker->ended, TNI_ACQUIRE) != 0)
            tni_thread_join(&worker->thread);
        else
            tni_thread_detach(&worker->thread);
    }
}

static int start_workers(tn_runtime *runtime)
{
    tni_worker *worker;
    int rc = 0;

    if (runtime->options.flavour == TN_CURRENT_THREAD)
        return tni_worker_adopt(runtime, runtime->cores[0], &worker);
    for (unsigned i = 0; i < runtime->core_count && rc == 0; i++)
        rc = tni_worker_start(runtime, runtime->cores[i], &worker);
    if (rc == 0)
        rc = tni_monitor_start(runtime);
    if (rc != 0) {
        tni_log_write(&runtime->log, TN_LOG_ERROR, "tn_runtime_create: cannot start %u threads: %s; lower options.workers",
                      runtime->core_count + 1, tn_strerror(rc));
        stop_threads(runtime);
        (void)wait_for_threads(runtime, TNI_FOREVER);
        part_from_threads(runtime);
    }
    return rc;
}

static void take_options(tn_runtime *runtime, const tn_options *options)
{
    runtime->options = *options;
    strncpy(runtime->name, options->name != NULL ? options->name : "tn", sizeof runtime->name - 1);
    runtime->log = (tni_log){.fn = options->log, .ctx = options->log_ctx};
    runtime->asymmetric = tni_fence_asymmetric_init();
    runtime->core_count = choose_cores(options);
}

int tn_runtime_create(tn_runtime **out, const tn_options *given)
{
    tn_options options = tn_options_default();
    tn_allocator allocator;
    tn_runtime *runtime;
    int rc;

    *out = NULL;
    if (given != NULL) {
        rc = check_options(given);
        if (rc != 0)
            return rc;
        memcpy(&options, given, given->size);
    }
    allocator = options.allocator != NULL ? *options.allocator : tni_alloc_default;
    runtime = tni_alloc(&allocator, sizeof *runtime, _Alignof(tn_runtime));
    if (runtime == NULL)
        return TN_ENOMEM;
    runtime->allocator = allocator;
    take_options(runtime, &options);
    init_words(runtime);
    rc = init_stacks(runtime);
    if (rc != 0)
        goto no_stacks;
    rc = options.report_overflow ? tni_overflow_install(find_overflow) : 0;
    if (rc != 0)
        goto no_overflow;
    rc = init_cores(runtime);
    if (rc == 0)
        rc = start_workers(runtime);
    if (rc != 0) {
        retire(runtime);
        return rc;
    }
    *out = runtime;
    return 0;
no_overflow:
    tni_stack_pool_fini(&runtime->stacks);
no_stacks:
    fini_words(runtime);
    tni_free(&allocator, runtime, sizeof *runtime);
    return rc;
}

/* --- Destroying ------------------------------------------------------------------------------------------------------------- */

uint64_t tni_runtime_live(const tn_runtime *runtime)
{
    uint64_t finished;
    uint64_t spawned;

    /* Acquire: who sees an end counted sees the beginnings that came before it; partner: tni_count. All ends are read before any
     * beginning, so the difference is never too small; it is 0 only if it was 0 at the moment between. */
    finished = tni_a64_load(&runtime->foreign.finished, TNI_ACQUIRE);
    for (unsigned i = 0; i < runtime->core_count; i++)
        finished += tni_a64_load(&runtime->cores[i]->counts.finished, TNI_ACQUIRE); /* acquire: as above */
    spawned = tni_a64_load(&runtime->foreign.spawned, TNI_ACQUIRE);                 /* acquire: as above */
    for (unsigned i = 0; i < runtime->core_count; i++)
        spawned += tni_a64_load(&runtime->cores[i]->counts.spawned, TNI_ACQUIRE); /* acquire: as above */
    return spawned - finished;
}

static void become_quiet(tn_runtime *runtime)
{
    /* Release: destroy sees what the tasks did; partner: tni_runtime_is_quiet. */
    tni_a32_store(&runtime->quiet, 1, TNI_RELEASE);
    tni_futex_wake(&runtime->quiet, 1);
}

void tni_runtime_task_ended(tn_runtime *runtime)
{
    /* Orders the count of this end before the look, against the heavy fence in tn_runtime_destroy. */
    tni_fence_light(runtime->asymmetric);
    /* Relaxed: behind the fence. */
    if (tni_likely(tni_a32_load(&runtime->closing, TNI_RELAXED) == 0))
        return;
    /* Two last tasks may end on two cores at once: each one's count comes before its sum, so one of them sees both. */
    tni_fence_full();
    if (tni_runtime_live(runtime) == 0)
        become_quiet(runtime);
}

static void cancel_if_alive(void *arg, tn_task *task)
{
    (void)arg;
    if (!tni_task_ref_if_alive(task))
        return;
    tn_cancel(task);
    tni_task_unref(task);
}

static void wait_until_quiet(tn_runtime *runtime, uint64_t deadline_ns)
{
    if (runtime->options.flavour == TN_CURRENT_THREAD) {
        tni_worker_drive(runtime->workers, NULL, deadline_ns);
        return;
    }
    while (!tni_runtime_is_quiet(runtime) && (deadline_ns == TNI_FOREVER || tni_clock_ns() < deadline_ns))
        tni_futex_wait(&runtime->quiet, 0, deadline_ns);
}

static uint64_t deadline_after(uint64_t ns)
{
    uint64_t now_ns = tni_clock_ns();

    return ns >= TNI_FOREVER - now_ns ? TNI_FOREVER : now_ns + ns;
}

size_t tn_runtime_destroy(tn_runtime *runtime, tn_shutdown how, uint64_t timeout_ns)
{
    uint64_t deadline_ns = deadline_after(timeout_ns);
    size_t left;

    tni_assert(tn_runtime_current() != runtime, "tn_runtime_destroy in one of the runtime's own tasks");
    /* Relaxed: to find misuse. */
    tni_assert(tni_a32_load(&runtime->driven, TNI_RELAXED) == 0, "tn_runtime_destroy while another thread is in tn_block_on");
    tni_injector_close(&runtime->injector);
    /* Relaxed: the heavy fence orders them; partners: the light fences in tni_runtime_task_ended and at a task's birth. */
    tni_a32_store(&runtime->closing, 1, TNI_RELAXED);
    if (how == TN_SHUTDOWN_CANCEL)
        tni_a32_store(&runtime->cancelling, 1, TNI_RELAXED);
    tni_fence_heavy(runtime->asymmetric);
    if (how == TN_SHUTDOWN_CANCEL)
        walk_tasks(runtime, cancel_if_alive);
    if (tni_runtime_live(runtime) == 0)
        become_quiet(runtime);
    wait_until_quiet(runtime, deadline_ns);
    left = (size_t)tni_runtime_live(runtime);
    stop_threads(runtime);
    (void)wait_for_threads(runtime, left == 0 ? TNI_FOREVER : deadline_after(STOP_GRACE_NS));
    part_from_threads(runtime);
    release(runtime);
    return left;
}

/* --- Running ---------------------------------------------------------------------------------------------------------------- */

static int drive(tn_runtime *runtime, tn_task *task, void **result)
{
    tni_worker_drive(runtime->workers, task, TNI_FOREVER);
    /* Release: the next driver sees what this one left; partner: the CAS in tn_block_on. */
    tni_a32_store(&runtime->driven, 0, TNI_RELEASE);
    return tn_join(task, result);
}

int tn_block_on(tn_runtime *runtime, tn_entry_fn entry, void *arg, void **result)
{
    bool drives = runtime->options.flavour == TN_CURRENT_THREAD;
    uint32_t free_word = 0;
    tn_task *task;
    int rc;

    tni_assert(!drives || tni_local_get()->task == NULL, "tn_block_on in a task: spawn and join instead");
    /* Acquire: the core as the last driver left it. */
    if (drives && !tni_a32_cas(&runtime->driven, &free_word, 1, TNI_ACQUIRE))
        return TN_EBUSY;
    rc = tn_spawn_on(runtime, NULL, &task, entry, arg);
    if (rc == 0)
        return drives ? drive(runtime, task, result) : tn_join(task, result);
    if (drives)
        tni_a32_store(&runtime->driven, 0, TNI_RELEASE); /* release: as in drive */
    return rc;
}

int tn_run(tn_entry_fn entry, void *arg, const tn_options *options)
{
    tn_options own = tn_options_default();
    tn_runtime *runtime;
    int rc;

    if (options != NULL) {
        rc = check_options(options);
        if (rc != 0)
            return rc;
        memcpy(&own, options, options->size);
    }
    own.report_overflow = true;
    rc = tn_runtime_create(&runtime, &own);
    if (rc != 0)
        return rc;
    rc = tn_block_on(runtime, entry, arg, NULL);
    (void)tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, TNI_FOREVER);
    return rc;
}

/* --- Looking ---------------------------------------------------------------------------------------------------------------- */

tn_runtime *tn_runtime_current(void)
{
    tni_local *local = tni_local_get();

    if (local->task != NULL)
        return local->task->runtime;
    return local->worker != NULL ? local->worker->runtime : NULL;
}

unsigned tn_runtime_workers(const tn_runtime *runtime)
{
    return runtime->core_count;
}

size_t tn_runtime_tasks(const tn_runtime *runtime)
{
    return (size_t)tni_runtime_live(runtime);
}

int tn_runtime_counters(const tn_runtime *runtime, unsigned index, tn_counters *out)
{
    const tni_counts *counts;

    if (index > runtime->core_count)
        return TN_EINVAL;
    counts = index == runtime->core_count ? &runtime->foreign : &runtime->cores[index]->counts;
    /* Relaxed, all of them: numbers for people. */
    out->spawned = tni_a64_load(&counts->spawned, TNI_RELAXED);
    out->finished = tni_a64_load(&counts->finished, TNI_RELAXED);
    out->polls = tni_a64_load(&counts->polls, TNI_RELAXED);
    out->steals = tni_a64_load(&counts->steals, TNI_RELAXED);
    /* Relaxed: as above. */
    out->steal_attempts = tni_a64_load(&counts->steal_attempts, TNI_RELAXED);
    out->parks = tni_a64_load(&counts->parks, TNI_RELAXED);
    out->wakes = tni_a64_load(&counts->wakes, TNI_RELAXED);
    out->overflows = tni_a64_load(&counts->overflows, TNI_RELAXED);
    /* Relaxed: as above. */
    out->injector_takes = tni_a64_load(&counts->injector_takes, TNI_RELAXED);
    out->driver_polls = tni_a64_load(&counts->driver_polls, TNI_RELAXED);
    out->timers_fired = tni_a64_load(&counts->timers_fired, TNI_RELAXED);
    out->stack_used_max_bytes = tni_a64_load(&counts->stack_used_max_bytes, TNI_RELAXED);
    /* Relaxed: as above. */
    out->driver_events = index == runtime->core_count ? 0 : tni_a64_load(&runtime->cores[index]->driver.events, TNI_RELAXED);
    return 0;
}

/* --- Shared by the cores ---------------------------------------------------------------------------------------------------- */

tni_core *tni_runtime_any_core(tn_runtime *runtime)
{
    /* Relaxed: any choice is right. */
    return runtime->cores[tni_a32_fetch_add(&runtime->any_core, 1, TNI_RELAXED) % runtime->core_count];
}

int tni_runtime_wait_for_stack(tn_runtime *runtime, tn_task *task)
{
    int rc;

    /* This try is under the lock, and who brings a stack back takes the lock before it looks into the list: so it finds the task
     * there, or this try finds the stack. */
    tni_mutex_lock(&runtime->lock);
    tni_stack_wait_begin(&runtime->stacks);
    rc = tni_stack_get(&runtime->stacks, NULL, (size_t)task->stack_kib * 1024, &task->body.fiber.stack);
    if (rc == TN_EAGAIN) {
        task->queue_next = NULL;
        *runtime->stack_waiters_end = task;
        runtime->stack_waiters_end = &task->queue_next;
    } else {
        tni_stack_wait_end(&runtime->stacks);
    }
    tni_mutex_unlock(&runtime->lock);
    if (rc != TN_EAGAIN)
        return rc;
    /* Workers that sleep may have stacks in their caches. The fence orders our wish before the look whether they sleep, against
     * theirs between saying that they will and their last look. */
    tni_fence_full();
    for (unsigned i = 0; i < runtime->core_count; i++)
        tni_worker_kick(runtime->cores[i]);
    return 1;
}

/* Lock held: takes the first task out of the list that there is a stack for, and gives it that; or that will never have one. */
static tn_task *serve_stack_waiter(tn_runtime *runtime)
{
    for (tn_task **link = &runtime->stack_waiters; *link != NULL; link = &(*link)->queue_next) {
        tn_task *task = *link;
        int rc = tni_stack_get(&runtime->stacks, NULL, (size_t)task->stack_kib * 1024, &task->body.fiber.stack);
        if (rc == TN_EAGAIN)
            continue; /* it wants a larger one, perhaps; another may be content */
        if (rc < 0)
            task->error = rc;
        *link = task->queue_next;
        if (runtime->stack_waiters_end == &task->queue_next)
            runtime->stack_waiters_end = link;
        tni_stack_wait_end(&runtime->stacks);
        return task;
    }
    return NULL;
}

void tni_runtime_stacks_came_back(tn_runtime *runtime, unsigned count)
{
    while (count > 0) {
        tn_task *task;

        tni_mutex_lock(&runtime->lock);
        task = serve_stack_waiter(runtime);
        tni_mutex_unlock(&runtime->lock);
        if (task == NULL)
            return;
        if (task->error == 0)
            count--; /* who goes without leaves it to the next */
        tni_sched_inject(runtime, task, task, 1);
    }
}
