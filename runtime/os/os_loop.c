/* SPDX-License-Identifier: MIT */
/* The event loop, by libuv. This file relies on details of its sources, which were read from 1.44 to 1.52:
 *
 * A uv_poll handle is level-triggered, and stopping and starting it costs three epoll_ctl. So a handle is started once, for all
 * events. After its first report (which comes at once, because a fresh socket is writable) one EPOLL_CTL_MOD on the loop's own
 * epoll makes it edge-triggered. libuv never changes the registration of an fd again unless the handle is started anew, which
 * never happens here. bench/arming.c compares this with the alternatives.
 *
 * From 1.45 on libuv may collect the changes of its epoll in an io_uring, an EPOLL_CTL_ADD or an EPOLL_CTL_MOD for each. It
 * hands them over before each epoll_pwait, and waits until they are done. So when a poll is reported, the kernel has its
 * registration and no change of it is outstanding: this layer's MOD finds it and comes last. test/runtime/os_loop_test.c checks
 * that for the libuv it runs with: it reads the registration from /proc.
 *
 * After an EPOLLERR libuv stops the handle for good. But the socket may be healthy: its error queue has an entry (a timestamp,
 * the end of a zero-copy send), which stays until the program takes it, and ends each level-triggered wait at once. So the
 * socket moves to a second epoll, edge-triggered, which libuv watches as one level-triggered descriptor. Nothing of the socket
 * is read here, so the error queue remains usable.
 *
 * A thread that sleeps inside uv_run owns the loop during the sleep, and also while it then waits for a processor. So a sleep is
 * an epoll_wait on the loop's epoll instead, which accesses nothing of libuv. It removes edges from the kernel's list, so it must
 * also report them. The kernel returns 64 bits per event, of which libuv sets and reads 32, the fd. The MOD writes a generation
 * into the other 32. By the generation the owner checks later whether libuv's watcher of that fd is still the same poll. All
 * other events are of libuv's own descriptors, and of polls that have not been reported yet. They are level-triggered, so uv_run
 * finds them again.
 *
 * libuv skips events whose fd is -1. So the eventfd of wakes can be in its epoll, level-triggered, without a handle. Only a sleep
 * reads the eventfd, so no other thread can consume a wake. The epoll of borrowed descriptors is there in the same way: while one
 * of them is ready it ends each sleep, and a sleep reports only that.
 */
#include "os/os_loop.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "base/config.h"
#include "os/os_event.h"

#define EVERYTHING (UV_READABLE | UV_WRITABLE | UV_DISCONNECT | UV_PRIORITIZED)

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the fd is the lower half of the data of an event");

/* What libuv takes for events that it has to skip. */
#define WAKE_DATA UINT64_C(0xffffffff)
#define BORROWED_DATA UINT64_C(0x1ffffffff)

static uint64_t data_of(int fd, uint32_t generation)
{
    return (uint64_t)generation << 32 | (uint32_t)fd;
}

/* Checks that all descriptors of a loop are free: without them libuv leaks one or aborts (it needs the pipe of the process), so
 * it is not called. */
static int check_files(void)
{
    int fds[TNI_OS_LOOP_FILES];
    int count = 0;
    int rc = 0;

    while (count < TNI_OS_LOOP_FILES && rc == 0) {
        fds[count] = tni_os_event_open();
        if (fds[count] >= 0)
            count++;
        else
            rc = fds[count];
    }
    while (count > 0)
        tni_os_event_close(fds[--count]);
    return rc;
}

static void on_apart(uv_poll_t *handle, int status, int events);

/* The handle does not keep the loop alive while the epoll is empty: uv_run then makes no system call for it. */
static int open_apart(tni_os_loop *loop)
{
    int rc;

    loop->apart_polls = 0;
    loop->apart_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->apart_fd < 0)
        return -errno;
    rc = uv_poll_init(&loop->loop, &loop->apart, loop->apart_fd);
    if (rc != 0) {
        (void)close(loop->apart_fd);
        return rc;
    }
    rc = uv_poll_start(&loop->apart, UV_READABLE, on_apart);
    tni_assert(rc == 0, "uv_poll_start failed"); /* it only queues the watcher */
    uv_unref((uv_handle_t *)&loop->apart);
    return 0;
}

static void close_apart(tni_os_loop *loop)
{
    uv_close((uv_handle_t *)&loop->apart, NULL);
    (void)uv_run(&loop->loop, UV_RUN_DEFAULT);
    (void)close(loop->apart_fd);
}

static int open_wake(tni_os_loop *loop)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKE_DATA};
    int rc;

    loop->wake_fd = tni_os_event_open();
    if (loop->wake_fd < 0)
        return loop->wake_fd;
    if (epoll_ctl(uv_backend_fd(&loop->loop), EPOLL_CTL_ADD, loop->wake_fd, &event) == 0)
        return 0;
    rc = -errno;
    tni_os_event_close(loop->wake_fd);
    return rc;
}

static int open_borrowed(tni_os_loop *loop)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = BORROWED_DATA};
    int rc;

    loop->borrowed_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->borrowed_fd < 0)
        return -errno;
    if (epoll_ctl(uv_backend_fd(&loop->loop), EPOLL_CTL_ADD, loop->borrowed_fd, &event) == 0)
        return 0;
    rc = -errno;
    (void)close(loop->borrowed_fd);
    return rc;
}

/* What this layer has beside libuv. */
static int open_own(tni_os_loop *loop)
{
    int rc = open_borrowed(loop);

    if (rc != 0)
        return rc;
    rc = open_wake(loop);
    if (rc != 0)
        (void)close(loop->borrowed_fd);
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
    loop->generation = 0;
    rc = open_apart(loop);
    if (rc == 0) {
        rc = open_own(loop);
        if (rc != 0)
            close_apart(loop);
    }
    if (rc != 0)
        (void)uv_loop_close(&loop->loop);
    return rc;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    tni_os_loop *loop = arg;

    if (uv_is_closing(handle) || handle == (uv_handle_t *)&loop->apart)
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
    close_apart(loop);
    rc = uv_loop_close(&loop->loop);
    tni_assert(rc == 0, "a loop is closed while it has handles");
    tni_os_event_close(loop->wake_fd);
    (void)close(loop->borrowed_fd);
}

void tni_os_loop_run(tni_os_loop *loop)
{
    (void)uv_run(&loop->loop, UV_RUN_NOWAIT);
}

static inline void tell(tni_os_poll *poll, uint32_t events)
{
    const tni_os_poll_ops *ops = poll->handle.data;

    ops->ready(poll, events);
}

__attribute__((noinline)) static uint32_t translate_rare(uint32_t events)
{
    uint32_t out = 0;

    if (events & (EPOLLERR | EPOLLHUP))
        out |= TNI_OS_READABLE | TNI_OS_WRITABLE;
    if (events & EPOLLERR)
        out |= TNI_OS_ERROR;
    if (events & (EPOLLRDHUP | EPOLLHUP))
        out |= TNI_OS_READABLE | TNI_OS_HANGUP;
    if (events & EPOLLPRI)
        out |= TNI_OS_URGENT;
    return out;
}

static inline uint32_t translate(uint32_t events)
{
    uint32_t out = (events & EPOLLIN ? TNI_OS_READABLE : 0) | (events & EPOLLOUT ? TNI_OS_WRITABLE : 0);

    return tni_unlikely(events & ~(uint32_t)(EPOLLIN | EPOLLOUT)) ? out | translate_rare(events) : out;
}

/* What libuv passes: it has stopped the handle after an EPOLLERR, or the events are these. */
static uint32_t translate_of_libuv(int status, int events)
{
    uint32_t out = status < 0 ? EPOLLERR : 0;

    out |= events & UV_READABLE ? EPOLLIN : 0;
    out |= events & UV_WRITABLE ? EPOLLOUT : 0;
    out |= events & UV_DISCONNECT ? EPOLLRDHUP : 0;
    out |= events & UV_PRIORITIZED ? EPOLLPRI : 0;
    return translate(out);
}

#define EDGES (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET)

static void on_first_report(uv_poll_t *handle, int status, int events);

/* For a handle that libuv has stopped. libuv has not removed the fd from its epoll. If the second epoll does not take it (no
 * memory), the handle starts again, level-triggered, and its next report tries again: slower, but correct. */
static void move_apart(tni_os_loop *loop, tni_os_poll *poll)
{
    struct epoll_event event = {.events = EDGES, .data.ptr = poll};
    int fd = poll->handle.io_watcher.fd;

    if (epoll_ctl(loop->apart_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        (void)uv_poll_start(&poll->handle, EVERYTHING, on_first_report);
        return;
    }
    (void)epoll_ctl(uv_backend_fd(&loop->loop), EPOLL_CTL_DEL, fd, &event); /* a close tries it again, and ignores errors */
    poll->apart = true;
    if (loop->apart_polls++ == 0)
        uv_ref((uv_handle_t *)&loop->apart);
}

static void leave_apart(tni_os_loop *loop, tni_os_poll *poll)
{
    struct epoll_event event = {.events = 0};

    (void)epoll_ctl(loop->apart_fd, EPOLL_CTL_DEL, poll->handle.io_watcher.fd, &event);
    poll->apart = false;
    if (--loop->apart_polls == 0)
        uv_unref((uv_handle_t *)&loop->apart);
}

/* A report closes no poll, so the pointers stay valid. What is left is reported by the next run. */
static void on_apart(uv_poll_t *handle, int status, int events)
{
    tni_os_loop *loop = tni_container_of(handle->loop, tni_os_loop, loop);
    struct epoll_event ready[TNI_OS_FETCH_MAX];
    int count = epoll_wait(loop->apart_fd, ready, TNI_OS_FETCH_MAX, 0);

    (void)status;
    (void)events;
    for (int i = 0; i < count; i++)
        tell(ready[i].data.ptr, translate(ready[i].events));
}

static void report(uv_poll_t *handle, int status, int events)
{
    tni_os_poll *poll = tni_container_of(handle, tni_os_poll, handle);

    if (status < 0)
        move_apart(tni_container_of(handle->loop, tni_os_loop, loop), poll);
    tell(poll, translate_of_libuv(status, events));
}

static uint32_t next_generation(tni_os_loop *loop)
{
    loop->generation++;
    if (loop->generation == 0)
        loop->generation = 1;
    return loop->generation;
}

/* The first report is level-triggered, and switches the handle to edge-triggered. If that fails (no memory), the handle stays
 * level-triggered and the next report tries again: slower, but correct. */
static void on_first_report(uv_poll_t *handle, int status, int events)
{
    tni_os_loop *loop = tni_container_of(handle->loop, tni_os_loop, loop);
    struct epoll_event event = {.events = EDGES};
    int fd = handle->io_watcher.fd;
    uint32_t generation = next_generation(loop);

    event.data.u64 = data_of(fd, generation);
    if (status == 0 && epoll_ctl(uv_backend_fd(&loop->loop), EPOLL_CTL_MOD, fd, &event) == 0) {
        handle->poll_cb = report;
        tni_container_of(handle, tni_os_poll, handle)->generation = generation;
    }
    report(handle, status, events);
}

int tni_os_poll_open(tni_os_loop *loop, tni_os_poll *poll, int fd, const tni_os_poll_ops *ops)
{
    int rc = uv_poll_init(&loop->loop, &poll->handle, fd);

    if (rc != 0)
        return rc;
    poll->generation = 0;
    poll->apart = false;
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
    if (poll->apart)
        leave_apart(loop, poll);
    uv_close((uv_handle_t *)&poll->handle, on_closed);
}

/* --- Sleeping --------------------------------------------------------------------------------------------------------------- */

void tni_os_loop_wake(tni_os_loop *loop)
{
    tni_os_event_post(loop->wake_fd);
}

/* Whole milliseconds, rounded up. */
static int timeout_ms(uint64_t timeout_ns)
{
    uint64_t ms = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);

    return timeout_ns == UINT64_MAX ? -1 : ms < INT_MAX ? (int)ms : INT_MAX;
}

int tni_os_loops_poll(const tni_os_loop *const *loops, unsigned count, int event, uint64_t timeout_ns, bool *ready)
{
    struct pollfd fds[TNI_WORKERS_MAX + 1];
    int rc;

    for (unsigned i = 0; i < count; i++)
        fds[i] = (struct pollfd){.fd = loops[i] != NULL ? uv_backend_fd(&loops[i]->loop) : -1, .events = POLLIN};
    fds[count] = (struct pollfd){.fd = event, .events = POLLIN};
    rc = poll(fds, count + 1, timeout_ms(timeout_ns));
    for (unsigned i = 0; i < count; i++)
        ready[i] = rc > 0 && fds[i].revents != 0;
    return rc >= 0 || errno == EINTR ? 0 : -errno;
}

void tni_os_loop_sleep(tni_os_loop *loop, uint64_t timeout_ns, tni_os_fetched *fetched)
{
    int count = epoll_wait(uv_backend_fd(&loop->loop), fetched->events, TNI_OS_FETCH_MAX, timeout_ms(timeout_ns));

    tni_assert(count >= 0 || errno == EINTR, "epoll_wait failed");
    fetched->count = 0;
    fetched->full = count == TNI_OS_FETCH_MAX; /* the wake counts too */
    fetched->borrowed = false;
    for (int i = 0; i < count; i++) {
        if (fetched->events[i].data.u64 == WAKE_DATA)
            tni_os_event_drain(loop->wake_fd);
        else if (fetched->events[i].data.u64 == BORROWED_DATA)
            fetched->borrowed = true;
        else
            fetched->events[fetched->count++] = fetched->events[i];
    }
}

/* Returns the poll of an event. NULL: a descriptor of libuv's own, a poll that has not been reported yet, or one that has been
 * closed since. libuv keeps its own descriptors open as long as the loop, so a number that had a generation is never one of
 * them. */
static tni_os_poll *poll_of(const tni_os_loop *loop, uint64_t data)
{
    uint32_t generation = (uint32_t)(data >> 32);
    uint32_t fd = (uint32_t)data;
    uv__io_t *watcher = generation != 0 && fd < loop->loop.nwatchers ? loop->loop.watchers[fd] : NULL;
    tni_os_poll *poll;

    if (watcher == NULL)
        return NULL;
    poll = tni_container_of(watcher, tni_os_poll, handle.io_watcher);
    return poll->generation == generation ? poll : NULL;
}

bool tni_os_loop_report(tni_os_loop *loop, tni_os_fetched *fetched)
{
    bool all = !fetched->full;

    for (unsigned i = 0; i < fetched->count; i++) {
        tni_os_poll *poll = poll_of(loop, fetched->events[i].data.u64);
        if (poll != NULL)
            tell(poll, translate(fetched->events[i].events));
        else
            all = false;
    }
    fetched->count = 0;
    fetched->full = false;
    return all;
}
