/* SPDX-License-Identifier: MIT */
/* Blocking calls on behalf of a fiber that waits for them: files, names, and tn_run_blocking. */
#include "pool/pool_call.h"

#include <tn/scope.h>

#include "base/tls.h"

void tni_pool_call_done(tni_work *job, int error)
{
    tni_pool_call *call = tni_container_of(job, tni_pool_call, base);

    call->error = error;
    tni_done_set(&call->done); /* the call's memory may be freed now */
}

typedef struct {
    tn_future base;
    tni_pool_call *call;
    tn_waker *registered;
} call_future;

static int call_poll(tn_future *self, tn_waker *waker)
{
    call_future *future = tni_container_of(self, call_future, base);

    return tni_done_poll(&future->call->done, &future->registered, waker);
}

static void call_drop(tn_future *self)
{
    call_future *future = tni_container_of(self, call_future, base);

    tni_done_unregister(&future->call->done, &future->registered); /* does nothing after a poll that has seen it done */
}

static const tn_future_ops call_future_ops = {call_poll, call_drop, "blocking call"};

static int await_call(tni_pool_call *call)
{
    call_future future = {{&call_future_ops}, call, NULL};

    return tn_await(&future.base);
}

/* The job is in the caller's frame: if the wait is cut short and the job has started, waits until the pool is done with it. */
static int wait_for_call(tni_pool *pool, tni_pool_call *call)
{
    tn_scope shield;
    int rc = await_call(call);

    if (rc == 0)
        return call->error;
    if (tni_pool_withdraw_or_stop(pool, &call->base))
        return rc;
    tn_shield_enter(&shield, TN_NEVER);
    (void)await_call(call);
    tn_scope_leave(&shield);
    return call->error;
}

static int submit(tni_pool *pool, tni_pool_call *call, const tni_work_ops *ops, tni_pool_class kind)
{
    int rc = tni_pool_reserve_waiting(pool, kind);

    if (rc != 0)
        return rc;
    tni_pool_work_init(&call->base, ops, kind);
    tni_done_init(&call->done);
    call->error = 0;
    tni_pool_push(pool, &call->base);
    return 0;
}

typedef struct {
    tni_pool_call *call;
    const tni_work_ops *ops;
} caller_run;

static void *run_parts(void *arg)
{
    const caller_run *self = arg;

    while (self->ops->run(&self->call->base))
        ;
    return NULL;
}

/* For a fiber without a thread of the pool: the worker runs the call, on its own stack, because a fiber's may be too small for
 * what is meant for a thread. */
static void run_on_worker(tn_runtime *runtime, tni_pool_call *call, const tni_work_ops *ops)
{
    caller_run self = {call, ops};
    int error;

    (void)tni_inplace_run_as_thread(tni_pool_of(runtime, &error), run_parts, &self);
}

static tn_task *calling_fiber(void)
{
    const tni_tls *local = tni_tls_get();

    tni_assert(local->task != NULL || local->worker == NULL,
               "a call on files or names in a hook of the runtime: only fibers, blocking jobs and plain threads may block");
    tni_assert(local->task == NULL || local->task->kind == TNI_TASK_FIBER,
               "a call on files or names in a poll function: run it with tn_spawn_blocking, and poll that job");
    return local->task;
}

int tni_pool_call_run_on(tn_runtime *runtime, tni_pool_call *call, const tni_work_ops *ops, tni_pool_class kind)
{
    tni_pool *pool;
    int rc;

    (void)calling_fiber();
    rc = tn_checkpoint();
    if (rc != 0)
        return rc;
    if (tni_pool_current_thread() != NULL) { /* it may block; waiting for other threads of its pool could deadlock */
        (void)run_parts(&(caller_run){call, ops});
        return 0;
    }
    pool = tni_pool_of(runtime, &rc);
    if (pool == NULL)
        return rc;
    rc = submit(pool, call, ops, kind);
    if (rc != 0)
        return rc;
    return wait_for_call(pool, call);
}

int tni_pool_call_run(tni_pool_call *call, const tni_work_ops *ops, tni_pool_class kind)
{
    tn_task *task = calling_fiber();
    int rc;

    if (task == NULL) {
        rc = tn_checkpoint();
        if (rc == 0)
            (void)run_parts(&(caller_run){call, ops});
        return rc;
    }
    rc = tni_pool_call_run_on(task->runtime, call, ops, kind);
    if (rc != TN_EAGAIN && (rc != TN_ENOMEM || kind == TNI_POOL_JOBS)) /* a function needs the pool to find its runtime */
        return rc;
    run_on_worker(task->runtime, call, ops);
    return 0;
}

/* --- tn_run_blocking -------------------------------------------------------------------------------------------------------- */

typedef struct {
    tni_pool_call base;
    tn_job_fn fn;
    void *arg;
    void *result;
} function_call;

static bool function_run(tni_work *job)
{
    function_call *self = tni_container_of(tni_container_of(job, tni_pool_call, base), function_call, base);
    tni_pool_thread *thread = tni_pool_current_thread(); /* NULL: a plain thread */
    uint64_t began_ns = tni_clock_ns();

    self->result = self->fn(self->arg);
    if (thread != NULL)
        tni_inline_stats_record(&thread->pool->inline_stats, self->fn, tni_clock_ns() - began_ns);
    return false;
}

static const tni_work_ops function_ops = TNI_POOL_CALL_OPS(function_run);

int tn_run_blocking(tn_job_fn fn, void *arg, void **result)
{
    function_call self = {.fn = fn, .arg = arg};
    tni_inplace here;
    int rc = 0;

    if (tni_inplace_begin_call(&here, fn)) {
        self.result = tni_inplace_call(&here, fn, arg);
        tni_inplace_end(&here);
    } else {
        rc = tni_pool_call_run(&self.base, &function_ops, TNI_POOL_JOBS);
    }
    if (rc == 0 && result != NULL)
        *result = self.result;
    return rc;
}
