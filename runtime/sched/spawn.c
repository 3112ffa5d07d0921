/* SPDX-License-Identifier: MIT */
/* Creating tasks: builds the header and makes the task runnable. */
#include "sched/spawn.h"

#include <string.h>

#include "base/options.h"
#include "base/order.h"
#include "base/tls.h"
#include "sched/pinned.h"
#include "sched/runtime.h"
#include "sched/schedule.h"
#include "task/task_hooks.h"

/* What a new task is made from. */
typedef struct {
    tni_task_kind kind;
    tn_entry_fn entry;    /* fiber */
    void *arg;            /* fiber */
    tn_future *future;    /* stackless */
    tni_task_hook *extra; /* a hook that the task has from its creation, or NULL */
    const void *site;     /* code address of the spawn */
    uint64_t parent;      /* the id of the task that spawns; 0: none */
    const tn_spawn_options *options;
} blueprint;

/* Rounded up; 0 for sizes 0 and 1. */
static unsigned log2_of(size_t size)
{
    return size <= 1 ? 0 : 64 - (unsigned)__builtin_clzll((unsigned long long)size - 1);
}

/* The options that the header keeps. */
static void build_options(tn_task *task, const tn_spawn_options *options)
{
    task->pinned |= options->pinned & 1;
    task->stack_log2 = log2_of(options->stack_size_bytes) & 0x1f;
    if (options->name != NULL) {
        strncpy(task->name, options->name, sizeof task->name - 1);
        task->name[sizeof task->name - 1] = '\0';
    }
}

/* Inline: on the path of each spawn. */
__attribute__((always_inline)) static inline void build(tn_runtime *runtime, tn_task *task, const blueprint *plan,
                                                        bool with_handle)
{
    task->runtime = runtime;
    tni_wait_init(&task->join);
    if (plan->kind == TNI_TASK_FIBER) {
        task->body.fiber.entry = plan->entry;
        task->body.fiber.scope = NULL;
        task->body.fiber.stack = NULL;
        memset(&task->body.fiber.context, 0, sizeof task->body.fiber.context); /* made at the first run */
    } else {
        task->body.future = plan->future;
    }
    task->result = plan->arg;
    task->pinned_worker = NULL;
    task->timer.prev = NULL; /* in no wheel; the rest is set when it is armed */
    tni_aptr_init(&task->armed_in, NULL);
    task->kind = (uint8_t)plan->kind;
    task->pinned = runtime->options.no_migration & 1;
    task->measured = 0;
    task->accounted = 0;
    task->stack_log2 = 0;
    task->run_result = TNI_RUN_YIELDED; /* until it has waited */
    task->error = 0;
    task->hooks = plan->extra;
    task->spawn_site = plan->site;
    tni_a64_init(&task->name_words[0], 0); /* the whole word: it is read as one */
    task->parent = plan->parent;
    tni_aptr_init(&task->note, NULL);
    if (tni_unlikely(plan->options != NULL))
        build_options(task, plan->options);
    tni_task_publish(task, with_handle ? 2 : 1);
    /* Orders the creation before the load, against the heavy fence in tn_runtime_destroy: either this load sees destroy's
     * decision or destroy's walk sees the task. */
    tni_fence_light(runtime->asymmetric);
    /* Relaxed: behind the fence. */
    if (tni_unlikely(tni_a32_load(&runtime->cancelling, TNI_RELAXED) != 0 || (plan->extra != NULL && plan->extra->cancels)))
        tni_task_set_cancelled(task);
}

/* Called when the core has no header, and there is no memory for more. */
__attribute__((noinline)) static tn_task *alloc_in_need(tni_core *core)
{
    tn_runtime *runtime = core->runtime;
    tn_task *task;

    tni_reclaim_memory(runtime, core);
    task = tni_slab_alloc(&core->slabs);
    if (task == NULL)
        task = tni_reclaim_header(runtime, &core->slabs);
    if (task == NULL)
        tni_reclaim_found_nothing(runtime);
    return task;
}

/* Whether the task begins on another core in turn. Otherwise all pinned children of a task could begin where it runs, and would
 * stay there. */
static bool spreads(const tn_runtime *runtime, const blueprint *plan)
{
    return tni_unlikely(plan->options != NULL) && plan->options->pinned && runtime->core_count > 1;
}

static void start_in_turn(tn_task *task)
{
    tni_core *core = tni_pinned_next_core(task->runtime);

    tni_pinned_push(core, task);
    tni_pinned_wake(core);
}

/* Inline: as build. */
__attribute__((always_inline)) static inline int spawn_on_core(tni_core *core, const blueprint *plan, tn_task **out)
{
    tn_task *task = tni_slab_alloc(&core->slabs);

    if (tni_unlikely(task == NULL)) {
        task = alloc_in_need(core);
        if (task == NULL)
            return TN_ENOMEM;
    }
    tni_count(&core->counts.spawned, 1);
    build(core->runtime, task, plan, out != NULL);
    if (out != NULL)
        *out = task;
    if (tni_unlikely(spreads(core->runtime, plan)))
        start_in_turn(task);
    else
        tni_schedule_push(core, task);
    return 0;
}

/* Called when threads without a core have no header, under the injector's lock, which is released meanwhile: the monitor and the
 * workers need it, and another thread may hold the lock of the allocator for long. Returns 0 with the lock, and with a header or
 * NULL in *task; or TN_ESHUTDOWN without it. */
__attribute__((noinline)) static int alloc_external(tn_runtime *runtime, bool inside, tn_task **task)
{
    tni_slab_cache *slabs = &runtime->external_slabs;
    tni_slab_block *block;

    tni_injector_commit(&runtime->injector, NULL, &runtime->external.spawned);
    block = tni_slab_block_alloc(slabs);
    if (block == NULL) {
        tni_reclaim_memory(runtime, NULL);
        block = tni_slab_block_alloc(slabs);
    }
    if (!tni_injector_begin(&runtime->injector, inside)) {
        if (block != NULL)
            tni_slab_block_free(slabs, block);
        return TN_ESHUTDOWN;
    }
    if (block != NULL)
        tni_slab_block_add(slabs, block);
    *task = tni_slab_take(slabs);
    if (*task == NULL)
        *task = tni_reclaim_header(runtime, slabs);
    if (*task == NULL)
        tni_reclaim_found_nothing(runtime);
    return 0;
}

/* The last step of a spawn_external of a pinned task, under the injector's lock, as tni_injector_commit. */
static void commit_in_turn(tn_runtime *runtime, tn_task *task)
{
    tni_core *core = tni_pinned_next_core(runtime);

    tni_count(&runtime->external.spawned, 1);
    tni_pinned_push(core, task);
    tni_injector_commit(&runtime->injector, NULL, &runtime->external.spawned);
    tni_pinned_wake(core);
}

/* `inside`: the spawn is by one of the runtime's own tasks, on a thread that has no core at the moment. Inline, with its two
 * callers: a plan without options is constant. */
__attribute__((always_inline)) static inline int spawn_external(tn_runtime *runtime, bool inside, const blueprint *plan,
                                                                tn_task **out)
{
    tn_task *task;

    if (!tni_injector_begin(&runtime->injector, inside))
        return TN_ESHUTDOWN;
    task = tni_slab_take(&runtime->external_slabs);
    if (tni_unlikely(task == NULL) && alloc_external(runtime, inside, &task) != 0)
        return TN_ESHUTDOWN;
    if (task != NULL) {
        build(runtime, task, plan, out != NULL);
        tni_meter_queued_outside(&runtime->outside, task);
        if (out != NULL)
            *out = task;
        if (spreads(runtime, plan)) {
            commit_in_turn(runtime, task);
            return 0;
        }
    }
    tni_injector_commit(&runtime->injector, task, &runtime->external.spawned);
    if (task == NULL)
        return TN_ENOMEM;
    tni_schedule_wake_one(runtime);
    return 0;
}

/* The same for the thread of the caller, which has no core. */
__attribute__((always_inline)) static inline int spawn_off_core(tn_runtime *runtime, bool inside, const blueprint *plan,
                                                                tn_task **out)
{
    int rc;

    tni_runtime_external_begin(runtime);
    rc = spawn_external(runtime, inside, plan, out);
    tni_runtime_external_end(runtime);
    return rc;
}

/* The options are valid or NULL, and `runtime` is not NULL. */
static int spawn_task(const tni_tls *local, tn_runtime *runtime, tn_task **out, const blueprint *plan)
{
    tni_core *core = NULL;
    int rc;

    if (local->runtime == runtime)
        core = tni_worker_enter(local->worker);
    if (core != NULL) {
        rc = spawn_on_core(core, plan, out);
        tni_worker_leave(local->worker);
    } else {
        rc = spawn_off_core(runtime, local->task != NULL && local->task->runtime == runtime, plan, out);
    }
    if (rc != 0 && out != NULL)
        *out = NULL;
    return rc;
}

/* Adds the hook that drops the result to the plan, as the last of its chain. Returns it, or NULL: no memory. */
static tni_task_hook *add_drop_hook(tn_runtime *runtime, blueprint *plan)
{
    tni_task_hook *drop = tni_task_hook_new(runtime, TNI_TASK_HOOK_DROP_RESULT, NULL);

    if (drop == NULL)
        return NULL;
    drop->fn = plan->options->drop_result;
    if (plan->extra != NULL)
        plan->extra->next = drop;
    else
        plan->extra = drop;
    return drop;
}

static int read_options(const tn_runtime *runtime, const blueprint *plan, const tn_spawn_options *given, tn_spawn_options *out)
{
    const char *call = plan->kind == TNI_TASK_FUTURE ? "tn_spawn_future" : "tn_spawn_on";
    int rc;

    if (plan->extra != NULL)
        call = "tn_group_spawn";
    rc = tni_options_read(out, pinned, given, &runtime->log, call);
    if (rc == 0 && out->stack_size_bytes > TNI_STACK_MAX_BYTES)
        return tni_options_refuse(&runtime->log, call, "stack_size_bytes is over 64 MiB: use 0 for the size in tn_options");
    return rc;
}

/* There is no runtime whose log could have the line. */
static int refuse_without_runtime(const blueprint *plan)
{
    if (plan->kind == TNI_TASK_FUTURE)
        tni_log_write(NULL, TN_LOG_ERROR, "tn_spawn_future: there is no runtime: name one, because this thread runs no task");
    else
        tni_log_write(NULL, TN_LOG_ERROR, "tn_spawn: this thread runs no task: use tn_spawn_on and name the runtime");
    return TN_EINVAL;
}

/* Out of line: a spawn without options needs no space for a copy of them. */
__attribute__((noinline)) static int spawn_with_options(const tni_tls *local, tn_runtime *runtime, const tn_spawn_options *given,
                                                        tn_task **out, blueprint *plan)
{
    tn_spawn_options options = {0};
    tni_task_hook *drop = NULL;
    int rc = read_options(runtime, plan, given, &options);

    if (rc != 0)
        return rc;
    plan->options = &options;
    if (options.drop_result != NULL) {
        drop = add_drop_hook(runtime, plan);
        rc = drop == NULL ? TN_ENOMEM : 0;
    }
    if (rc == 0)
        rc = spawn_task(local, runtime, out, plan);
    plan->options = NULL;
    if (tni_unlikely(rc != 0) && drop != NULL)
        tni_task_hook_free(runtime, drop);
    return rc;
}

/* Out of line: what is not on the path of a spawn without options in a task of the runtime that has a core. */
__attribute__((noinline)) static int spawn_slowly(tn_runtime *runtime, const tn_spawn_options *options, tn_task **out,
                                                  tn_entry_fn entry, void *arg, const void *site, tni_task_kind kind,
                                                  tn_future *future, tni_task_hook *extra)
{
    blueprint plan = {.kind = kind, .entry = entry, .arg = arg, .future = future, .extra = extra, .site = site};
    const tni_tls *local = tni_tls_get();

    if (out != NULL)
        *out = NULL;
    if (local->task != NULL)
        plan.parent = local->task->id;
    if (runtime == NULL && local->task != NULL)
        runtime = local->task->runtime;
    if (tni_unlikely(runtime == NULL))
        return refuse_without_runtime(&plan);
    if (tni_runtime_is_inherited(runtime)) {
        tni_fork_log_refusal("a spawn");
        return TN_ESHUTDOWN;
    }
    tni_order_release();
    if (options != NULL)
        return spawn_with_options(local, runtime, options, out, &plan);
    return spawn_task(local, runtime, out, &plan);
}

/* A fiber without options, by a plain thread: the usual spawn from outside. Out of line, with so few arguments that it is the
 * last call of its caller. */
__attribute__((noinline)) static int spawn_outside(tn_runtime *runtime, tn_task **out, tn_entry_fn entry, void *arg,
                                                   const void *site)
{
    blueprint plan = {.kind = TNI_TASK_FIBER, .entry = entry, .arg = arg, .site = site};
    int rc;

    if (tni_unlikely(tni_runtime_is_inherited(runtime)))
        return spawn_slowly(runtime, NULL, out, entry, arg, site, plan.kind, NULL, NULL);
    tni_order_release();
    rc = spawn_off_core(runtime, false, &plan, out);
    if (tni_unlikely(rc != 0) && out != NULL)
        *out = NULL;
    return rc;
}

/* Inline: so that a plan needs no memory. */
__attribute__((always_inline)) static inline int spawn(tn_runtime *runtime, const tn_spawn_options *options, tn_task **out,
                                                       blueprint plan)
{
    const tni_tls *local = tni_tls_get();
    tni_worker *worker = local->worker;
    tni_core *core = NULL;
    int rc;

    if (plan.kind == TNI_TASK_FIBER && plan.extra == NULL && options == NULL && worker == NULL && local->task == NULL &&
        runtime != NULL)
        return spawn_outside(runtime, out, plan.entry, plan.arg, plan.site);
    /* A thread in a child of fork is no worker, so the runtime of a worker is not inherited. */
    if (tni_likely(options == NULL && local->task != NULL && (runtime == NULL || local->runtime == runtime)))
        core = tni_worker_enter(worker);
    if (tni_unlikely(core == NULL))
        return spawn_slowly(runtime, options, out, plan.entry, plan.arg, plan.site, plan.kind, plan.future, plan.extra);
    tni_order_release();
    plan.parent = local->task->id;
    rc = spawn_on_core(core, &plan, out);
    tni_worker_leave(worker);
    if (tni_unlikely(rc != 0) && out != NULL)
        *out = NULL;
    return rc;
}

int tni_spawn_with(tn_runtime *runtime, const tn_spawn_options *options, tn_task **out, tn_entry_fn entry, void *arg,
                   tni_task_hook *extra, const void *site)
{
    blueprint plan = {.kind = TNI_TASK_FIBER, .entry = entry, .arg = arg, .extra = extra, .site = site};

    return spawn(runtime, options, out, plan);
}

int tn_spawn_on(tn_runtime *runtime, const tn_spawn_options *options, tn_task **out, tn_entry_fn entry, void *arg)
{
    blueprint plan = {.kind = TNI_TASK_FIBER, .entry = entry, .arg = arg, .site = __builtin_return_address(0)};

    return spawn(runtime, options, out, plan);
}

int tn_spawn(tn_task **out, tn_entry_fn entry, void *arg)
{
    blueprint plan = {.kind = TNI_TASK_FIBER, .entry = entry, .arg = arg, .site = __builtin_return_address(0)};

    return spawn(NULL, NULL, out, plan);
}

int tn_spawn_future(tn_runtime *runtime, const tn_spawn_options *options, tn_task **out, tn_future *future)
{
    blueprint plan = {.kind = TNI_TASK_FUTURE, .future = future, .site = __builtin_return_address(0)};

    return spawn(runtime, options, out, plan);
}
