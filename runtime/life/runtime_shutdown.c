/* SPDX-License-Identifier: MIT */
/* Stopping, destroying and retiring a runtime. README.md ("Shutdown") has the steps and the argument. */
#include "life/runtime_life.h"

#include "sched/schedule.h"
#include "sched/worker_cpus.h"
#include "scope/scope.h"
#include "task/abandon.h"
#include "task/task_hooks.h"
#include "time/deadline.h"
#include "watch/monitor.h"
#include "watch/reporter.h"
#include "watch/stack_sampler.h"
#include "watch/wait_graph.h"

/* How long tn_runtime_destroy waits, after it has given up, for threads that are not inside a task or a job. */
#define STOP_GRACE_NS UINT64_C(200000000)
/* How long for threads that are: a short task or job ends meanwhile. */
#define STUCK_GRACE_NS UINT64_C(5000000)

/* Where the kernel refuses the fence of tn_runtime_destroy: how often it checks whether tasks are left. */
#define CHECK_AGAIN_NS UINT64_C(2000000)

/* --- Freeing ---------------------------------------------------------------------------------------------------------------- */

static void free_cores(tn_runtime *runtime)
{
    for (unsigned i = 0; i < runtime->core_count && runtime->cores[i] != NULL; i++) {
        tni_core_fini(runtime->cores[i]);
        tni_free(&runtime->allocator, runtime->cores[i], sizeof(tni_core));
        runtime->cores[i] = NULL;
    }
}

static void fini_state(tn_runtime *runtime)
{
    tni_slab_cache_fini(&runtime->external_slabs);
    tni_task_clock_fini(&runtime->clock);
    tni_os_mutex_fini(&runtime->lock);
    tni_injector_fini(&runtime->injector);
}

static void fini_drivers(tn_runtime *runtime)
{
    for (unsigned i = 0; i < runtime->core_count && runtime->cores[i] != NULL; i++)
        tni_driver_fini(&runtime->cores[i]->driver);
}

static void fini_attachment(tn_runtime *runtime)
{
    /* Relaxed: no other thread uses the runtime any more. */
    tni_attachment *attachment = tni_aptr_load(&runtime->attachment, TNI_RELAXED);

    if (attachment != NULL)
        attachment->fini(attachment);
}

/* Frees the runtime. No reference to it is left. */
static void free_runtime(tn_runtime *runtime)
{
    tn_allocator allocator = runtime->allocator;

    while (runtime->workers != NULL) {
        tni_worker *worker = runtime->workers;
        runtime->workers = worker->next_worker;
        tni_free(&allocator, worker, sizeof *worker);
    }
    fini_attachment(runtime);
    free_cores(runtime);
    fini_state(runtime);
    if (runtime->options.report_overflow)
        tni_stack_overflow_uninstall();
    tni_stack_sampler_uninstall(runtime);
    tni_wait_graph_destroy(runtime);
    tni_worker_cpus_fini(runtime);
    tni_free(&allocator, runtime, sizeof *runtime);
}

void tni_runtime_unpin(tn_runtime *runtime)
{
    /* Acq_rel: publishes the accesses of this thread; the thread that removes the last pin observes those of all others. */
    if (tni_a32_fetch_sub(&runtime->pins, 1, TNI_ACQ_REL) != 1)
        return;
    tni_runtime_wait_for_externals(runtime); /* a thread that released an earlier reference may still be inside */
    free_runtime(runtime);
}

/* Step 1 of retiring: marks a task that has not ended. It never runs again. */
static void abandon(void *arg, tn_task *task)
{
    (void)arg;
    if (tni_task_is_complete(task))
        return;
    task->error = TN_ESHUTDOWN;
    task->result = NULL;
    tni_task_abandon(task);
}

/* Step 3: unlinks an abandoned task from everything that can lead other threads to it. Its future is dropped (exactly once),
 * and the end functions of its scopes are called, the innermost first. All frames are still allocated. */
static void drop_waits(void *arg, tn_task *task)
{
    (void)arg;
    if (!tni_task_is_abandoned(task))
        return;
    if (task->kind == TNI_TASK_FUTURE) {
        task->body.future->ops->drop(task->body.future);
        return;
    }
    if (task->body.fiber.context.sp == NULL)
        return; /* the fiber has not begun */
    if (task->run_result != TNI_RUN_YIELDED)
        tni_abandon_future(task->awaited, task);
    tni_scopes_abandon(task);
}

/* Step 4: ends an abandoned task. This comes after step 2, because an external wake may link its task behind an abandoned one
 * in the injector. The stack is only set aside: an exit hook of another task may still use it. */
static void discard(void *arg, tn_task *task)
{
    tn_runtime *runtime = arg;
    tni_stack *stack;
    tn_waker *joiner;

    if (!tni_task_is_abandoned(task))
        return;
    stack = task->kind == TNI_TASK_FIBER ? task->body.fiber.stack : NULL;
    if (stack != NULL) {
        if (task->body.fiber.context.sp != NULL)
            tni_context_fini(&task->body.fiber.context);
        stack->next = runtime->abandoned_stacks;
        runtime->abandoned_stacks = stack;
    }
    if (task->hooks != NULL)
        tni_task_hooks_at_exit(task);
    joiner = tni_wait_end(&task->join); /* a thread, or a task of another runtime, may wait */
    if (joiner != NULL)
        tn_waker_wake(joiner);
    tni_task_unref(task);
}

/* Step 6: frees all stacks. Pins keep headers, not stacks. */
static void free_stacks(tn_runtime *runtime)
{
    while (runtime->abandoned_stacks != NULL) {
        tni_stack *stack = runtime->abandoned_stacks;
        runtime->abandoned_stacks = stack->next;
        tni_stack_put(&runtime->stacks, NULL, stack);
    }
    for (unsigned i = 0; i < runtime->core_count && runtime->cores[i] != NULL; i++)
        tni_stack_cache_flush(&runtime->stacks, &runtime->cores[i]->stacks);
    tni_stack_pool_fini(&runtime->stacks);
}

void tni_runtime_keep_frames(tn_runtime *runtime, uint32_t count)
{
    /* Relaxed, both: the caller holds one of each already. It is the thread that retires, or a task of a group that spawns
     * another one. */
    (void)tni_a32_fetch_add(&runtime->frames, count, TNI_RELAXED);
    (void)tni_a32_fetch_add(&runtime->pins, count, TNI_RELAXED);
}

/* Releases the frames; the last holder frees the stacks. */
static void release_frames(tn_runtime *runtime)
{
    /* Release: publishes this thread's last access to a frame. Acquire: the last holder, which frees them, observes all
     * others. */
    if (tni_a32_fetch_sub(&runtime->frames, 1, TNI_ACQ_REL) == 1)
        free_stacks(runtime);
}

void tni_runtime_release_frames(tn_runtime *runtime)
{
    release_frames(runtime);
    tni_runtime_unpin(runtime);
}

static void pin_outliving(void *arg, tn_task *task)
{
    tn_runtime *runtime = arg;

    tni_runtime_pin(runtime); /* before the flag: a thread that sees that may release the header, and remove the pin, at once */
    if (!tni_task_mark_outliving(task))
        (void)tni_a32_fetch_sub(&runtime->pins, 1, TNI_RELAXED); /* relaxed: this thread holds a pin of its own */
}

/* Called when no thread of the runtime is left. Handles and wakers may still be held anywhere: each pins the runtime until it
 * is released. README.md ("Shutdown") has the argument. */
void tni_runtime_retire(tn_runtime *runtime)
{
    tni_runtime_walk_tasks(runtime, abandon, runtime);
    tni_runtime_wait_for_externals(runtime);
    tni_runtime_walk_tasks(runtime, drop_waits, runtime);
    tni_runtime_walk_tasks(runtime, discard, runtime);
    tni_reporter_fini(runtime); /* may release results, which may close what is in the loops */
    fini_drivers(runtime);
    tni_monitor_fini(&runtime->monitor);
    release_frames(runtime);
    tni_runtime_walk_tasks(runtime, pin_outliving, runtime);
    tni_runtime_wait_for_externals(runtime);
    tni_runtime_unpin(runtime);
}

/* Ends the monitor, then the threads that work for it, and signals all workers to stop. */
static void stop_threads(tn_runtime *runtime)
{
    tni_monitor_stop(runtime);
    tni_starter_stop(runtime);
    tni_reporter_stop(runtime);
    tni_os_mutex_lock(&runtime->lock);
    /* Release: partner: tni_runtime_is_stopping. Under the lock, so that no worker is started that this loop misses. */
    tni_a32_store(&runtime->stopping, 1, TNI_RELEASE);
    for (tni_worker *worker = runtime->workers; worker != NULL; worker = worker->next_worker)
        tni_worker_unpark(worker);
    tni_os_mutex_unlock(&runtime->lock);
}

/* Waits until no worker thread runs any more, or until `deadline_ns`. */
static void wait_for_threads(tn_runtime *runtime, uint64_t deadline_ns)
{
    for (;;) {
        /* Acquire: observes what the threads wrote; partner: tni_runtime_thread_ended. */
        uint32_t threads = tni_a32_load(&runtime->threads, TNI_ACQUIRE);
        if (threads == 0 || (deadline_ns != TNI_FOREVER && tni_clock_ns() >= deadline_ns))
            return;
        tni_futex_wait(&runtime->threads, threads, deadline_ns);
    }
}

/* Whether a worker thread still runs that is not inside a task. It leaves soon; the others may stay for ever. */
static bool one_leaves_soon(tn_runtime *runtime)
{
    bool leaves = false;

    tni_os_mutex_lock(&runtime->lock);
    for (const tni_worker *worker = runtime->workers; worker != NULL && !leaves; worker = worker->next_worker)
        /* Relaxed, both: hints. A worker that ends a task meanwhile is seen at the next check, or is detached. */
        leaves = worker->owns_thread && tni_a32_load(&worker->ended, TNI_RELAXED) == 0 &&
                 tni_aptr_load(&worker->current, TNI_RELAXED) == NULL;
    tni_os_mutex_unlock(&runtime->lock);
    return leaves;
}

/* Some tasks or jobs are left. */
static void wait_for_threads_outside_tasks(tn_runtime *runtime)
{
    uint64_t last_ns = tni_deadline_after(STOP_GRACE_NS);

    do
        wait_for_threads(runtime, tni_deadline_after(STUCK_GRACE_NS));
    while (one_leaves_soon(runtime) && tni_clock_ns() < last_ns);
}

/* Joins the threads that have ended, and detaches the others. */
static void join_or_detach_threads(tn_runtime *runtime)
{
    for (tni_worker *worker = runtime->workers; worker != NULL; worker = worker->next_worker) {
        if (!worker->owns_thread)
            continue;
        /* Acquire: observes the end of the thread; partner: tni_worker_main. */
        if (tni_a32_load(&worker->ended, TNI_ACQUIRE) != 0)
            tni_thread_join(&worker->thread);
        else
            tni_thread_detach(&worker->thread);
    }
}

void tni_runtime_stop(tn_runtime *runtime, bool all)
{
    stop_threads(runtime);
    if (all)
        wait_for_threads(runtime, TNI_FOREVER);
    else
        wait_for_threads_outside_tasks(runtime);
    join_or_detach_threads(runtime);
}

/* --- Destroying ------------------------------------------------------------------------------------------------------------- */

static void cancel_if_alive(void *arg, tn_task *task)
{
    (void)arg;
    if (!tni_task_ref_if_alive(task))
        return;
    tn_cancel(task);
    tni_task_unref(task);
}

/* Called after `closing` was set, and again if the fence after that failed. */
static void check_quiet(tn_runtime *runtime, tn_shutdown how)
{
    if (how == TN_SHUTDOWN_CANCEL)
        tni_runtime_walk_tasks(runtime, cancel_if_alive, runtime);
    if (tni_runtime_live(runtime) == 0)
        tni_runtime_become_quiet(runtime);
}

/* `ordered`: each task that ends or is spawned sees `closing` and `cancelling`, or check_quiet has seen what it did. Otherwise
 * the kernel has refused the fence, and this checks again from time to time. */
static void wait_until_quiet(tn_runtime *runtime, tn_shutdown how, bool ordered, uint64_t deadline_ns)
{
    if (runtime->options.flavor == TN_CURRENT_THREAD) {
        tni_worker_drive(runtime->workers, NULL, deadline_ns); /* this thread runs the tasks, so it needs no order */
        return;
    }
    while (!tni_runtime_is_quiet(runtime) && (deadline_ns == TNI_FOREVER || tni_clock_ns() < deadline_ns)) {
        uint64_t again_ns = ordered ? TNI_FOREVER : tni_clock_ns() + CHECK_AGAIN_NS;
        tni_futex_wait(&runtime->quiet, 0, again_ns < deadline_ns ? again_ns : deadline_ns);
        if (!ordered)
            check_quiet(runtime, how);
    }
}

/* Returns the number of jobs left. */
static size_t stop_attachment(tn_runtime *runtime, uint64_t deadline_ns)
{
    void *attachment = NULL;

    /* Acquire: observes the attachment as it was created; partner: make (pool.c). From now on none can be attached. */
    if (tni_aptr_cas(&runtime->attachment, &attachment, &tni_attachment_closed, TNI_ACQUIRE))
        return 0;
    return ((tni_attachment *)attachment)->stop(attachment, deadline_ns);
}

size_t tn_runtime_destroy(tn_runtime *runtime, tn_shutdown how, uint64_t timeout_ns)
{
    uint64_t deadline_ns = tni_deadline_after(timeout_ns);
    bool ordered;
    size_t left;

    if (tni_runtime_is_inherited(runtime)) {
        tni_fork_log_refusal("tn_runtime_destroy");
        return (size_t)tni_runtime_live(runtime);
    }
    tni_assert(tn_runtime_current() != runtime, "tn_runtime_destroy in one of the runtime's own tasks");
    /* Relaxed: it only detects misuse. */
    tni_assert(tni_a32_load(&runtime->driven, TNI_RELAXED) == 0, "tn_runtime_destroy while another thread is in tn_block_on");
    tni_injector_close(&runtime->injector);
    /* Relaxed: the heavy fence orders them; partners: the light fences in tni_runtime_task_ended and
     * build (spawn.c). */
    tni_a32_store(&runtime->closing, 1, TNI_RELAXED);
    if (how == TN_SHUTDOWN_CANCEL)
        tni_a32_store(&runtime->cancelling, 1, TNI_RELAXED);
    ordered = tni_fence_heavy(runtime->asymmetric);
    check_quiet(runtime, how);
    wait_until_quiet(runtime, how, ordered, deadline_ns);
    left = (size_t)tni_runtime_live(runtime);
    left += stop_attachment(runtime, deadline_ns);
    tni_runtime_stop(runtime, left == 0);
    tni_runtime_release(runtime);
    return left;
}
