/* SPDX-License-Identifier: MIT */
/* tn_async: wakes a task from a signal handler. The handler may not touch a task, so it sets a word and writes to an eventfd;
 * the event loop then wakes the task.
 *
 * States: `posted` is 1 after a send until a wait takes it. `waiting` is 1 while a task waits.
 *
 * Steps:
 *   send:  1. posted = 1;  2. write to the eventfd
 *   wait:  1. load the readiness;  2. drain the eventfd;  3. exchange posted with 0: if it was 1, the wait is over;
 *          4. clear the readiness if it is still the one of step 1;  5. poll the registration
 *
 * No send is lost. Either the exchange reads its 1, or its write comes after the drain, and the loop reports that write. If the
 * loop reports it before step 4, the clear leaves the readiness, and the poll finds it. If it reports it later, it wakes the
 * waiter.
 */
#include <tn/async.h>

#include "base/order.h"
#include "io/driver.h"
#include "os/os_event.h"
#include "sched/runtime.h"
#include "task/budget.h"

struct tn_async {
    tn_allocator allocator;
    tni_registration *registration;
    int fd;
    tni_a32 posted;
    tni_a32 waiting; /* 1: a task waits */
};

int tn_async_open(tn_async **out, tn_runtime *runtime)
{
    tn_async *async;
    int rc;

    *out = NULL;
    if (runtime == NULL)
        runtime = tn_runtime_current();
    if (runtime == NULL)
        return TN_EINVAL;
    async = tni_alloc(&runtime->allocator, sizeof *async, _Alignof(tn_async));
    if (async == NULL)
        return TN_ENOMEM;
    async->allocator = runtime->allocator;
    tni_a32_init(&async->posted, 0);
    tni_a32_init(&async->waiting, 0);
    async->fd = tni_os_event_open();
    rc = async->fd;
    if (rc >= 0) {
        rc = tni_registration_make(runtime, async->fd, &async->registration);
        if (rc == 0)
            tni_registration_watch(async->registration);
        else
            tni_os_event_close(async->fd);
    }
    if (rc < 0)
        tni_free(&runtime->allocator, async, sizeof *async);
    else
        *out = async;
    return rc;
}

void tn_async_send(tn_async *async)
{
    tni_order_release();
    /* Publishes what the caller wrote; partner: take_post. It comes before the write that makes the fd readable. A
     * read-modify-write: a store could come before one of another sender that has been taken already, and be lost with it. */
    (void)tni_a32_exchange(&async->posted, 1, TNI_RELEASE);
    tni_os_event_post(async->fd);
}

static bool take_post(tn_async *async)
{
    /* Acquire: observes what the sender wrote; partner: tn_async_send. A read-modify-write, so that a concurrent send is not
     * lost. */
    bool taken = tni_a32_exchange(&async->posted, 0, TNI_ACQUIRE) != 0;

    tni_order_acquire();
    return taken;
}

static int wait_poll(tn_future *self, tn_waker *waker)
{
    tn_async_future *future = tni_container_of(self, tn_async_future, base);
    tn_async *async = future->signal;
    uint32_t none = 0;
    int rc;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    /* Acquire: observes the registration as the previous waiter left it; partner: wait_drop. */
    if (!future->waiting && !tni_a32_cas(&async->waiting, &none, 1, TNI_ACQUIRE))
        return TN_EBUSY;
    future->waiting = true;
    if (tni_registration_is_inherited(async->registration)) {
        tni_fork_log_refusal("a wait for an event"); /* before the drain: the eventfd is the parent's too */
        return TN_ESHUTDOWN;
    }
    do {
        uint64_t seen = tni_registration_readiness(async->registration);
        tni_os_event_drain(async->fd);
        if (take_post(async))
            return tni_budget_poll_leave(waker, 0);
        (void)tni_registration_clear(async->registration, TNI_READ, seen);
        rc = tni_registration_poll(async->registration, TNI_READ, waker);
    } while (rc == 0);
    return rc;
}

static void wait_drop(tn_future *self)
{
    tn_async_future *future = tni_container_of(self, tn_async_future, base);

    if (!future->waiting)
        return;
    tni_registration_unregister(future->signal->registration, TNI_READ);
    future->waiting = false;
    /* Release: publishes the accesses of this waiter to the next one; partner: wait_poll. */
    tni_a32_store(&future->signal->waiting, 0, TNI_RELEASE);
}

static const tn_future_ops wait_ops = {.poll = wait_poll, .drop = wait_drop, .name = "async"};

void tn_async_wait_init(tn_async_future *future, tn_async *async)
{
    future->base.ops = &wait_ops;
    future->signal = async;
    future->waiting = false;
}

int tn_async_wait(tn_async *async)
{
    tn_async_future future;

    tn_async_wait_init(&future, async);
    return tn_await(&future.base);
}

void tn_async_close(tn_async *async)
{
    tn_allocator allocator;

    if (async == NULL)
        return;
    allocator = async->allocator;
    tni_registration_close(async->registration); /* closes the fd too */
    tni_free(&allocator, async, sizeof *async);
}
