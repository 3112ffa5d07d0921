/* SPDX-License-Identifier: MIT */
/* tn_fd_wait and its future: waits for descriptors of other libraries. */
#include <tn/fd.h>

#include "base/log.h"
#include "base/tls.h"
#include "io/driver_upcalls.h"
#include "sched/runtime.h"
#include "scope/scope.h"
#include "task/budget.h"

_Static_assert(TN_FD_READABLE == TNI_OS_BORROWED_READ && TN_FD_WRITABLE == TNI_OS_BORROWED_WRITE, "the OS layer's bits");
_Static_assert(TN_FD_PRIORITY == TNI_OS_BORROWED_PRIORITY, "the OS layer's bits");
_Static_assert(TN_FD_ERROR == TNI_OS_BORROWED_ERROR && TN_FD_HANGUP == TNI_OS_BORROWED_HANGUP, "the OS layer's bits");
_Static_assert(sizeof(tni_fd_wait) <= sizeof((tn_fd_future){0}.opaque), "tn_fd_future is too small");

#define EVENTS (TN_FD_READABLE | TN_FD_PRIORITY | TN_FD_WRITABLE)

/* How long a plain thread may take to find out that its scope has been cancelled. */
#define SLICE_NS (20 * TN_MS)

static tni_fd_wait *wait_of(tn_fd_future *future)
{
    return (tni_fd_wait *)(void *)future->opaque;
}

static int check(int fd, unsigned events)
{
    if (events & ~(unsigned)EVENTS)
        return TN_EINVAL;
    return fd < 0 ? TN_EBADF : 0;
}

static int begin(tn_fd_future *future, tn_waker *waker)
{
    tn_runtime *runtime = future->runtime != NULL ? future->runtime : tn_runtime_current();
    tni_fd_wait *wait = wait_of(future);
    int rc = check(future->fd, future->events);

    if (rc != 0)
        return rc;
    if (runtime == NULL) {
        tni_log_write(NULL, TN_LOG_ERROR, "tn_fd_future: awaited outside a task: pass the runtime to tn_fd_init");
        return TN_EINVAL;
    }
    wait->fd = future->fd;
    wait->events = future->events;
    return tni_fd_waits_begin(&tni_core_choose_driver(runtime)->fd_waits, wait, waker);
}

static int fd_poll(tn_future *self, tn_waker *waker)
{
    tn_fd_future *future = tni_container_of(self, tn_fd_future, base);
    tni_fd_wait *wait = wait_of(future);

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    return tni_budget_poll_leave(waker, wait->set == NULL ? begin(future, waker) : tni_fd_waits_check(wait, waker));
}

static void fd_drop(tn_future *self)
{
    tni_fd_waits_end(wait_of(tni_container_of(self, tn_fd_future, base)));
}

static const tn_future_ops fd_ops = {fd_poll, fd_drop, "descriptor"};

void tn_fd_init(tn_fd_future *future, tn_runtime *runtime, int fd, unsigned events)
{
    future->base.ops = &fd_ops;
    future->runtime = runtime;
    future->fd = fd;
    future->events = events;
    wait_of(future)->set = NULL;
}

/* --- Plain threads -------------------------------------------------------------------------------------------------------- */

/* Milliseconds, rounded up, until the deadline; at most a slice. Without a scope there is no end. */
static int timeout_ms(const tni_scope *scope)
{
    uint64_t now_ns = tni_clock_ns();
    uint64_t ns = SLICE_NS;

    if (scope == NULL)
        return -1;
    if (scope->deadline_ns < now_ns + ns)
        ns = scope->deadline_ns > now_ns ? scope->deadline_ns - now_ns : 0;
    return (int)((ns + TN_MS - 1) / TN_MS);
}

static int wait_in_thread(int fd, unsigned events, tni_scope *scope)
{
    int rc = check(fd, events);

    while (rc == 0) {
        rc = tni_scope_check(scope, false);
        if (rc == 0)
            rc = tni_os_borrowed_poll(fd, events, timeout_ms(scope));
        if (rc == 0 && scope != NULL)
            rc = tni_scope_check_clock(scope, false);
    }
    return rc;
}

/* --- Waiting -------------------------------------------------------------------------------------------------------------- */

/* Whether the deadline of the fiber has passed, and no call has returned that yet. */
static bool is_late(const tn_task *task)
{
    const tni_scope *scope = task != NULL && task->kind == TNI_TASK_FIBER ? task->body.fiber.scope : NULL;

    return scope != NULL && scope->deadline_ns != TNI_FOREVER && tni_scope_peek(scope, tni_task_is_cancelled(task)) == 0 &&
           tni_task_clock_ns() >= scope->deadline_ns;
}

/* A descriptor that is ready wins over a deadline, as everywhere. But the loop reports it to the fiber later than a deadline
 * that passed before the call. */
static int check_late(int fd, unsigned events)
{
    int rc = tni_os_borrowed_poll(fd, events, 0);

    return rc > 0 ? rc : TN_ETIMEDOUT;
}

int tn_fd_wait(int fd, unsigned events)
{
    const tni_tls *local = tni_tls_get();
    tn_fd_future future;
    bool late;
    int rc;

    if (local->task == NULL && local->worker == NULL)
        return wait_in_thread(fd, events, local->scope);
    late = is_late(local->task);
    tn_fd_init(&future, NULL, fd, events);
    rc = tn_await(&future.base);
    return tni_unlikely(late) && rc == TN_ETIMEDOUT ? check_late(fd, events) : rc;
}

/* --- Forgetting ----------------------------------------------------------------------------------------------------------- */

int tn_fd_forget(tn_runtime *runtime, int fd)
{
    if (runtime == NULL)
        runtime = tn_runtime_current();
    if (runtime == NULL) {
        tni_log_write(NULL, TN_LOG_ERROR, "tn_fd_forget: called outside a task: pass the runtime in the call");
        return TN_EINVAL;
    }
    for (unsigned i = 0; i < runtime->core_count; i++)
        tni_fd_waits_forget(&runtime->cores[i]->driver.fd_waits, fd);
    return 0;
}
