/* SPDX-License-Identifier: MIT */
/* The event loop, by libuv 1.44. This file relies on details of its sources:
 *
 * A uv_poll handle is level-triggered, and stopping and starting it costs three epoll_ctl. So a handle is started once, for all
 * events. After its first report (which comes at once, because a fresh socket is writable) one EPOLL_CTL_MOD on the loop's own
 * epoll makes it edge-triggered. libuv never changes the registration of an fd again unless the handle is started anew, which
 * never happens here. bench/arming.c compares this with the alternatives.
 *
 * After an EPOLLERR libuv stops the handle and reports UV_EBADF. The loop then reports TNI_OS_BROKEN, and the next read or
 * write returns the error.
 */
#include "os/os_loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVERYTHING (UV_READABLE | UV_WRITABLE | UV_DISCONNECT | UV_PRIORITIZED)

static void on_wake(uv_async_t *async)
{
    (void)async; /* its only use is to make uv_run return */
}

/* uv_run runs its timers before it polls. If the thread lost its processor for the whole timeout before that, the timer fires
 * there and is not active any more, and the poll would never end. uv_stop makes the poll's timeout 0. uv_run clears the flag
 * when it returns. */
static void on_timeout(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

/* Descriptors that libuv opens for a loop: two, and four more for the first loop of a process. */
#define FILES_NEEDED 6

/* Checks that so many descriptors are free: without them libuv 1.44 leaks one or aborts, so it is not called. */
static int check_files(void)
{
    int fds[FILES_NEEDED];
    int count = 0;
    int rc = 0;

    while (count < FILES_NEEDED && rc == 0) {
        fds[count] = eventfd(0, EFD_CLOEXEC);
        if (fds[count] >= 0)
            count++;
        else
            rc = -errno;
    }
    while (count > 0)
        (void)close(fds[--count]);
    return rc;
}

int tni_os_loop_open(tni_os_loop *loop)
{
    int rc = check_files();

    if (rc == 0)
        rc = uv_loop_init(&loop->loop);
    if (rc != 0)
        return rc;
    loop->open_polls = 0;
    rc = uv_async_init(&loop->loop, &loop->wake, on_wake);
    if (rc != 0) {
        (void)uv_loop_close(&loop->loop);
        return rc;
    }
    rc = uv_timer_init(&loop->loop, &loop->timeout); /* cannot fail */
    tni_assert(rc == 0, "uv_timer_init failed");
    return 0;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    tni_os_loop *loop = arg;

    if (uv_is_closing(handle))
        return;
    if (handle->type == UV_POLL)
        tni_os_poll_close(loop, tni_container_of((uv_poll_t *)handle, tni_os_poll, handle));
    else
        uv_close(handle, NULL);
}

void tni_os_loop_close(tni_os_loop *loop)
{
    int rc;

    uv_walk(&loop->loop, close_handle, loop);
    (void)uv_run(&loop->loop, UV_RUN_DEFAULT);
    rc = uv_loop_close(&loop->loop);
    tni_assert(rc == 0, "a loop is closed while it has handles");
}

void tni_os_loop_run(tni_os_loop *loop, uint64_t timeout_ns)
{
    if (timeout_ns == 0) {
        (void)uv_run(&loop->loop, UV_RUN_NOWAIT);
        return;
    }
    if (timeout_ns != UINT64_MAX) {
        /* libuv counts whole milliseconds from a cached time: update that, and round up. */
        uv_update_time(&loop->loop);
        (void)uv_timer_start(&loop->timeout, on_timeout, timeout_ns / 1000000 + (timeout_ns % 1000000 != 0), 0);
    }
    (void)uv_run(&loop->loop, UV_RUN_ONCE);
    if (timeout_ns != UINT64_MAX)
        (void)uv_timer_stop(&loop->timeout);
}

void tni_os_loop_wake(tni_os_loop *loop)
{
    int rc = uv_async_send(&loop->wake);
    tni_assert(rc == 0, "uv_async_send failed");
}

static uint32_t translate(int status, int events)
{
    uint32_t out = 0;

    if (status < 0)
        return TNI_OS_BROKEN;
    if (events & UV_READABLE)
        out |= TNI_OS_READABLE;
    if (events & UV_WRITABLE)
        out |= TNI_OS_WRITABLE;
    if (events & UV_DISCONNECT)
        out |= TNI_OS_READABLE | TNI_OS_READ_CLOSED;
    if (events & UV_PRIORITIZED)
        out |= TNI_OS_URGENT;
    return out;
}

static void report(uv_poll_t *handle, int status, int events)
{
    const tni_os_poll_ops *ops = handle->data;

    ops->ready(tni_container_of(handle, tni_os_poll, handle), translate(status, events));
}

/* The first report is level-triggered, and switches the handle to edge-triggered. If that fails (no memory), the handle stays
 * level-triggered and the next report tries again: slower, but correct. */
static void on_first_report(uv_poll_t *handle, int status, int events)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET};
    int fd = handle->io_watcher.fd;

    event.data.fd = fd; /* the value that libuv uses */
    if (status == 0 && epoll_ctl(uv_backend_fd(handle->loop), EPOLL_CTL_MOD, fd, &event) == 0)
        handle->poll_cb = report;
    report(handle, status, events);
}

int tni_os_poll_open(tni_os_loop *loop, tni_os_poll *poll, int fd, const tni_os_poll_ops *ops)
{
    int rc = uv_poll_init(&loop->loop, &poll->handle, fd);

    if (rc != 0)
        return rc;
    poll->handle.data = (void *)(uintptr_t)ops;
    loop->open_polls++;
    rc = uv_poll_start(&poll->handle, EVERYTHING, on_first_report);
    tni_assert(rc == 0, "uv_poll_start failed"); /* it only queues the watcher */
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    const tni_os_poll_ops *ops = handle->data;

    ops->closed(tni_container_of((uv_poll_t *)handle, tni_os_poll, handle));
}

void tni_os_poll_close(tni_os_loop *loop, tni_os_poll *poll)
{
    loop->open_polls--;
    uv_close((uv_handle_t *)&poll->handle, on_closed);
}
