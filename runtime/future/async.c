/* SPDX-License-Identifier: MIT */
/* A signal handler may not touch a task: it sets a word and writes to an eventfd, whose loop wakes the task.
 *
 *   post:  posted = 1;  write
 *   wait:  look at the readiness;  drain;  posted -> 0? then it is ready;  clear the readiness, if it is still the one looked at
 *
 * No post is lost: either the exchange of `posted` sees it, or the post's write comes after the drain, and the loop reports it:
 * after the look, so the clear leaves it and the poll is ready, or after the clear, and wakes the waiter.
 */
#include <tn/async.h>

#include "io/driver.h"
#include "os/os_event.h"
#include "sched/runtime.h"
#include "task/budget.h"

struct tn_async {
    tn_allocator allocator;
    tni_registration *registration;
    int fd;
    tni_a32 posted;
    tni_a32 waiting; /* 1: somebody waits */
};

int tn_async_open(tn_async **out, tn_runtime *runtime)
{
    tn_async *signal;
    int rc;

    *out = NULL;
    if (runtime == NULL)
        runtime = tn_runtime_current();
    if (runtime == NULL)
        return TN_EINVAL;
    signal = tni_alloc(&runtime->allocator, sizeof *signal, _Alignof(tn_async));
    if (signal == NULL)
        return TN_ENOMEM;
    signal->allocator = runtime->allocator;
    tni_a32_init(&signal->posted, 0);
    tni_a32_init(&signal->waiting, 0);
    signal->fd = tni_os_event_open();
    rc = signal->fd;
    if (rc >= 0) {
        rc = tni_registration_make(runtime, signal->fd, &signal->registration);
        if (rc == 0)
            tni_registration_watch(signal->registration);
        else
            tni_os_event_close(signal->fd);
    }
    if (rc < 0)
        tni_free(&runtime->allocator, signal, sizeof *signal);
    else
        *out = signal;
    return rc;
}

void tn_async_send(tn_async *signal)
{
    /* Publishes what the caller wrote, and comes before the write that makes the fd readable; partner: the exchange in
     * wait_poll. */
    tni_a32_store(&signal->posted, 1, TNI_RELEASE);
    tni_os_event_post(signal->fd);
}

static bool take_post(tn_async *signal)
{
    /* Acquire: what the poster wrote. A read-modify-write, so that a post of this very moment is not written over. */
    return tni_a32_exchange(&signal->posted, 0, TNI_ACQUIRE) != 0;
}

static int wait_poll(tn_future *self, tn_waker *waker)
{
    tn_async_future *future = tni_container_of(self, tn_async_future, base);
    tn_async *signal = future->signal;
    uint32_t nobody = 0;
    int rc;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    /* Acquire: as the waiter before us left it; partner: wait_drop. */
    if (!future->waiting && !tni_a32_cas(&signal->waiting, &nobody, 1, TNI_ACQUIRE))
        return TN_EBUSY;
    future->waiting = true;
    do {
        uint64_t seen = tni_registration_readiness(signal->registration);
        tni_os_event_drain(signal->fd);
        if (take_post(signal))
            return tni_budget_poll_leave(waker, 0);
        (void)tni_registration_clear(signal->registration, TNI_READ, seen);
        rc = tni_registration_poll(signal->registration, TNI_READ, waker);
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
    /* Release: the next waiter; partner: wait_poll. */
    tni_a32_store(&future->signal->waiting, 0, TNI_RELEASE);
}

static const tn_future_ops wait_ops = {.poll = wait_poll, .drop = wait_drop, .name = "signal"};

void tn_async_wait_init(tn_async_future *future, tn_async *signal)
{
    future->base.ops = &wait_ops;
    future->signal = signal;
    future->waiting = false;
}

int tn_async_wait(tn_async *signal)
{
    tn_async_future future;

    tn_async_wait_init(&future, signal);
    return tn_await(&future.base);
}

void tn_async_close(tn_async *signal)
{
    tn_allocator allocator;

    if (signal == NULL)
        return;
    allocator = signal->allocator;
    tni_registration_close(signal->registration); /* which closes the fd */
    tni_free(&allocator, signal, sizeof *signal);
}
