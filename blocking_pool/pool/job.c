/* SPDX-License-Identifier: MIT */
/* Blocking jobs with a counted handle: spawn, cancel, join. The pool has one reference, from the spawn to job_complete; each
 * handle is another. */
#include "pool/job.h"

#include <tn/blocking.h>
#include <tn/scope.h>

#include "base/options.h"
#include "base/tls.h"
#include "pool/done.h"
#include "task/budget.h"

struct tn_job {
    tni_work base;
    tni_done done; /* set: `result` and `error` are valid */
    tni_a32 references;
    int error;      /* written before `done` is set; 0, or why there is no result */
    tni_pool *pool; /* may be freed: dereferenced only by tni_pool_withdraw, otherwise compared */
    tn_job_fn fn;
    void *arg;
    void *result; /* written before `done` is set */
    tn_job_drop_fn drop;
    tn_allocator allocator; /* a copy: a handle may outlive the runtime */
};

static void free_job(tn_job *job)
{
    tn_allocator allocator = job->allocator;

    tni_free(&allocator, job, sizeof *job);
}

static void unref(tn_job *job)
{
    /* Publishes this holder's accesses, observes those of all others for the last one, which frees. Partner: unref. */
    uint32_t old = tni_a32_fetch_sub(&job->references, 1, TNI_ACQ_REL);

    tni_assert(old != 0, "a job is released more often than retained");
    if (old == 1)
        free_job(job);
}

/* --- Creation and completion ------------------------------------------------------------------------------------------------ */

static bool job_run(tni_work *base)
{
    tn_job *job = tni_container_of(base, tn_job, base);

    job->result = job->fn(job->arg);
    return false;
}

/* Completes a job that has not run. The caller has ensured that it never will. */
static void complete_unrun(tn_job *job, int error)
{
    if (job->drop != NULL)
        job->drop(job->arg);
    job->error = error;
    tni_done_set(&job->done);
}

static void job_complete(tni_work *base, int error)
{
    tn_job *job = tni_container_of(base, tn_job, base);

    if (error == 0)
        tni_done_set(&job->done);
    else
        complete_unrun(job, error);
    unref(job);
}

static const tni_work_ops job_ops = {job_run, job_complete};

static tn_job *make(tni_pool *pool, tni_pool_class kind, const tn_blocking_options *options, tn_job_fn fn, void *arg)
{
    tn_runtime *runtime = pool->runtime;
    tn_job *job = runtime->allocator.alloc(runtime->allocator.ctx, sizeof *job, _Alignof(tn_job)); /* not zeroed */

    if (tni_unlikely(job == NULL))
        job = tni_reclaim_alloc(runtime, sizeof *job, _Alignof(tn_job));
    if (job == NULL)
        return NULL;
    tni_pool_work_init(&job->base, &job_ops, kind);
    job->base.mandatory = options->mandatory;
    tni_done_init(&job->done);
    tni_a32_init(&job->references, 2); /* the pool and the caller */
    job->error = 0;
    job->pool = pool;
    job->fn = fn;
    job->arg = arg;
    job->result = NULL;
    job->drop = options->drop;
    job->allocator = runtime->allocator;
    return job;
}

/* A job must not wait for a slot in its own pool: if all threads did, none would free one. */
static bool may_wait_for_slot(const tni_pool *pool)
{
    const tni_tls *local = tni_tls_get();
    const tni_pool_thread *thread = tni_pool_current_thread_of(local);

    if (thread != NULL && thread->pool == pool)
        return false;
    return local->task != NULL ? local->task->kind == TNI_TASK_FIBER : local->worker == NULL;
}

static int reserve(tni_pool *pool, tni_pool_class kind, tn_when_full when_full)
{
    bool waits = when_full == TN_FULL_WAIT && may_wait_for_slot(pool);
    int rc = waits ? tni_pool_reserve_waiting(pool, kind) : tni_pool_reserve(pool, kind);

    return rc == TN_EBUSY ? TN_ENOBUFS : rc;
}

/* A fiber's stack may be too small for a job. */
static void *run_in_caller(tni_pool *pool, tn_job_fn fn, void *arg)
{
    const tn_task *task = tni_tls_get()->task;

    return task != NULL && task->kind == TNI_TASK_FIBER ? tni_inplace_run_as_thread(pool, fn, arg) : fn(arg);
}

/* The slot is reserved first: a fiber that waits for one owns no memory, because it may be abandoned there. */
int tni_job_spawn(tni_pool *pool, tni_pool_class kind, const tn_blocking_options *options, tn_job **out, tn_job_fn fn, void *arg)
{
    int rc = reserve(pool, kind, options->when_full);
    bool caller_runs = (rc == TN_EAGAIN || rc == TN_ENOBUFS) && options->when_full == TN_FULL_CALLER_RUNS;
    tn_job *job;

    if (rc != 0 && !caller_runs)
        return rc;
    job = make(pool, kind, options, fn, arg);
    if (job == NULL) {
        if (!caller_runs)
            tni_pool_unreserve(pool, kind);
        return TN_ENOMEM;
    }
    if (caller_runs) {
        tni_a32_init(&job->base.state, TNI_WORK_STARTED); /* no other thread knows the job yet */
        job->result = run_in_caller(pool, fn, arg);
        job_complete(&job->base, 0);
    } else {
        tni_pool_push(pool, &job->base);
    }
    if (out != NULL)
        *out = job;
    else
        unref(job);
    return 0;
}

static int read_options(tn_blocking_options *out, const tn_blocking_options *given, const tni_log *log)
{
    int rc = tni_options_read(out, mandatory, given, log, "tn_spawn_blocking_on");

    if (rc == 0 && out->when_full > TN_FULL_CALLER_RUNS)
        return tni_options_refuse(log, "tn_spawn_blocking_on", "when_full is none of TN_FULL_*: use TN_FULL_WAIT");
    return rc;
}

int tn_spawn_blocking_on(tn_runtime *runtime, const tn_blocking_options *given, tn_job **out, tn_job_fn fn, void *arg)
{
    tn_blocking_options options = tn_blocking_options_default();
    tni_pool *pool;
    int rc;

    if (out != NULL)
        *out = NULL;
    if (runtime == NULL)
        runtime = tni_pool_current_runtime();
    if (runtime == NULL)
        return TN_EINVAL;
    if (tni_unlikely(given != NULL) && read_options(&options, given, &runtime->log) != 0)
        return TN_EINVAL;
    pool = tni_pool_of(runtime, &rc);
    return pool == NULL ? rc : tni_job_spawn(pool, TNI_POOL_JOBS, &options, out, fn, arg);
}

int tn_spawn_blocking(tn_job **out, tn_job_fn fn, void *arg)
{
    return tn_spawn_blocking_on(NULL, NULL, out, fn, arg);
}

/* --- Handles ---------------------------------------------------------------------------------------------------------------- */

tn_job *tn_job_retain(tn_job *job)
{
    /* Relaxed: the caller holds a reference; one more publishes nothing. */
    (void)tni_a32_fetch_add(&job->references, 1, TNI_RELAXED);
    return job;
}

void tn_job_release(tn_job *job)
{
    if (job != NULL)
        unref(job);
}

bool tn_job_cancel(tn_job *job)
{
    if (!tni_pool_withdraw(job->pool, &job->base))
        return false;
    complete_unrun(job, TN_ENODATA);
    unref(job); /* the pool's reference */
    return true;
}

bool tn_job_is_finished(const tn_job *job)
{
    return tni_done_is_set(&job->done);
}

/* --- Joining ---------------------------------------------------------------------------------------------------------------- */

static int future_poll(tn_future *self, tn_waker *waker)
{
    tn_job_future *future = tni_container_of(self, tn_job_future, base);
    int rc;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    rc = tni_done_poll(&future->job->done, &future->mine, waker);
    if (rc != 0)
        return rc;
    future->over = true;
    future->result = future->job->result;
    return tni_budget_poll_leave(waker, future->job->error);
}

static void future_drop(tn_future *self)
{
    tn_job_future *future = tni_container_of(self, tn_job_future, base);

    if (!future->over)
        tni_done_unregister(&future->job->done, &future->mine);
}

static const tn_future_ops future_ops = {future_poll, future_drop, "blocking job"};

void tn_job_init(tn_job_future *future, tn_job *job)
{
    future->base.ops = &future_ops;
    future->job = job;
    future->result = NULL;
    future->mine = NULL;
    future->over = false;
}

/* A join made by a job of the same pool. */
typedef struct {
    tn_future base;
    tn_job_future *join;
    tni_pool_thread *thread;
    tn_scope scope;
    bool waits; /* counted by tni_pool_join_begin */
} nested_join;

/* Only a join that waits is counted: one that returns at once, also with TN_EBUSY, is no part of a deadlock. */
static int nested_poll(tn_future *self, tn_waker *waker)
{
    nested_join *nested = tni_container_of(self, nested_join, base);
    int rc = future_poll(&nested->join->base, waker);

    if (rc == TN_PENDING && !nested->waits) {
        nested->waits = true;
        tni_pool_join_begin(nested->thread, &nested->join->job->done, &nested->scope);
    }
    return rc;
}

static void nested_drop(tn_future *self)
{
    future_drop(&tni_container_of(self, nested_join, base)->join->base);
}

static const tn_future_ops nested_ops = {nested_poll, nested_drop, "blocking job"};

static int join_in_job(tni_pool_thread *thread, tn_job_future *future)
{
    nested_join nested = {.base = {&nested_ops}, .join = future, .thread = thread};
    bool deadlocked;
    int rc;

    tn_scope_enter(&nested.scope, TN_NEVER);
    rc = tn_await(&nested.base);
    deadlocked = nested.waits && tni_pool_join_end(thread);
    tn_scope_leave(&nested.scope);
    return deadlocked && rc == TN_ECANCELED ? TN_EDEADLK : rc;
}

int tn_job_join(tn_job *job, void **result)
{
    tni_pool_thread *thread = tni_pool_current_thread();
    tn_job_future future;
    int rc;

    tn_job_init(&future, job);
    if (thread == NULL || thread->is_worker || thread->pool != job->pool)
        rc = tn_await(&future.base);
    else
        rc = join_in_job(thread, &future);
    if (!future.over)
        return rc;
    if (result != NULL)
        *result = future.result;
    unref(job);
    return rc;
}
