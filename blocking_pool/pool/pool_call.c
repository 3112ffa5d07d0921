/* SPDX-License-Identifier: MIT */
#include "pool/pool_call.h"

#include <tn/scope.h>

#include "base/tls.h"

void tni_pool_call_done(tni_work *job, int error)
{
    tni_pool_call *lent = tni_container_of(job, tni_pool_call, base);

    lent->error = error;
    tni_done_set(&lent->done); /* it may be gone now */
}

typedef struct {
    tn_future base;
    tni_pool_call *lent;
    tn_waker *mine;
} lent_future;

static int lent_poll(tn_future *self, tn_waker *waker)
{
    lent_future *future = tni_container_of(self, lent_future, base);

    return tni_done_poll(&future->lent->done, &future->mine, waker);
}

static void lent_drop(tn_future *self)
{
    lent_future *future = tni_container_of(self, lent_future, base);

    tni_done_unregister(&future->lent->done, &future->mine); /* nothing, once it has been seen to be done */
}

static const tn_future_ops lent_future_ops = {lent_poll, lent_drop, "blocking call"};

static int await_lent(tni_pool_call *lent)
{
    lent_future future = {{&lent_future_ops}, lent, NULL};

    return tn_await(&future.base);
}

/* The frame is lent: if the wait is cut short and the job has started, the caller waits until the pool is done with it. */
static int wait_for(tni_pool *pool, tni_pool_call *lent)
{
    tn_scope shield;
    int rc = await_lent(lent);

    if (rc == 0)
        return lent->error;
    if (tni_pool_withdraw_or_stop(pool, &lent->base))
        return rc;
    tn_shield_enter(&shield, TN_NEVER);
    (void)await_lent(lent);
    tn_scope_leave(&shield);
    return lent->error;
}

static int submit(tni_pool *pool, tni_pool_call *lent, const tni_work_ops *ops, tni_pool_class kind)
{
    int rc = tni_pool_reserve_waiting(pool, kind);

    if (rc != 0)
        return rc;
    tni_pool_work_init(&lent->base, ops, kind);
    tni_done_init(&lent->done);
    lent->error = 0;
    tni_pool_push(pool, &lent->base);
    return 0;
}

static void run_here(tni_pool_call *lent, const tni_work_ops *ops)
{
    while (ops->run(&lent->base))
        ;
}

static tn_task *calling_fiber(void)
{
    const tni_tls *local = tni_tls_get();

    tni_assert(local->task != NULL || local->worker == NULL,
               "a call on files or names in a hook of the runtime: only fibers, jobs and plain threads may wait");
    tni_assert(local->task == NULL || local->task->kind == TNI_TASK_FIBER,
               "a call on files or names in a poll function: give it to tn_spawn_blocking, and poll that job");
    return local->task;
}

int tni_pool_call_run_on(tn_runtime *runtime, tni_pool_call *lent, const tni_work_ops *ops, tni_pool_class kind)
{
    tni_pool *pool;
    int rc;

    (void)calling_fiber();
    rc = tn_checkpoint();
    if (rc != 0)
        return rc;
    if (tni_pool_thread_current() != NULL) { /* it may block; and waiting for the threads of its own pool might never end */
        run_here(lent, ops);
        return 0;
    }
    pool = tni_pool_of(runtime, &rc);
    if (pool == NULL)
        return rc;
    rc = submit(pool, lent, ops, kind);
    if (rc != 0)
        return rc;
    return wait_for(pool, lent);
}

int tni_pool_call_run(tni_pool_call *lent, const tni_work_ops *ops, tni_pool_class kind)
{
    tn_task *task = calling_fiber();
    int rc = TN_EAGAIN;

    if (task != NULL)
        rc = tni_pool_call_run_on(task->runtime, lent, ops, kind);
    if (rc != TN_EAGAIN && rc != TN_ENOMEM)
        return rc;
    run_here(lent, ops);
    return 0;
}

/* --- Any function ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    tni_pool_call lent;
    tn_job_fn fn;
    void *arg;
    void *result;
} call;

static bool call_run(tni_work *job)
{
    call *self = tni_container_of(tni_container_of(job, tni_pool_call, base), call, lent);
    tni_pool_thread *thread = tni_pool_thread_current(); /* NULL: none could be had, or the caller is a plain one */
    uint64_t began_ns = tni_clock_ns();

    self->result = self->fn(self->arg);
    if (thread != NULL)
        tni_inline_stats_record(&thread->pool->brief, self->fn, tni_clock_ns() - began_ns);
    return false;
}

static const tni_work_ops call_ops = TNI_POOL_CALL_OPS(call_run);

int tn_run_blocking(tn_job_fn fn, void *arg, void **result)
{
    call self = {.fn = fn, .arg = arg};
    tni_inplace here;
    int rc = 0;

    if (tni_inplace_begin_call(&here, fn)) {
        self.result = tni_inplace_call(&here, fn, arg);
        tni_inplace_end(&here);
    } else {
        rc = tni_pool_call_run(&self.lent, &call_ops, TNI_POOL_JOBS);
    }
    if (rc == 0 && result != NULL)
        *result = self.result;
    return rc;
}
