/* SPDX-License-Identifier: MIT */
/* Accepting connections. An error of one connection is skipped. An error that lasts is waited out, with growing pauses and one
 * line in the log: new connections stay in the backlog, and accepted ones continue. It lasts if files or memory are short, or
 * if many connections in a row have failed, as when a filter of system calls denies accept(2).
 */
#include <tn/stream_future.h>

#include "endpoint/attempt_poll.h"
#include "listener/listener.h"
#include "sched/runtime.h"
#include "time/deadline.h"

#define PAUSE_MIN_NS (10 * TN_MS)
#define PAUSE_MAX_NS (1 * TN_S)

/* After so many failed connections in a row the error is not of a connection. */
#define FAILED_MAX 64

/* Linux reports errors of the new connection from accept (accept(2)); they do not concern the listener. EPERM: a firewall. */
static bool concerns_one_connection(int error)
{
    switch (-error) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM:
        return true;
    default:
        return false;
    }
}

static bool is_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

/* Whether the error of an attempt to accept concerns the next attempt too. */
static bool lasts(tn_listener *listener, int error)
{
    if (concerns_one_connection(error) && ++listener->failed >= FAILED_MAX) {
        listener->failed = 0;
        return true;
    }
    return is_shortage(error);
}

/* --- A pause that the close of the listener also ends ----------------------------------------------------------------------- */

typedef struct {
    tn_future base;
    tn_listener *listener;
    uint64_t deadline_ns;
} pause_future;

/* Returns 0: the pause is over; TN_EBADF: the listener is closed; TN_PENDING. */
static int poll_pause(tn_listener *listener, uint64_t deadline_ns, tn_waker *waker)
{
    if (tni_task_clock_ns() >= deadline_ns)
        return tni_endpoint_is_closing(&listener->endpoint) ? TN_EBADF : 0;
    /* Arm before checking: see wait.h. The closer sets CLOSING, then wakes. */
    tni_wait_arm(&listener->pause, waker);
    if (tni_endpoint_is_closing(&listener->endpoint))
        return TN_EBADF;
    tni_deadline_ask(waker, deadline_ns);
    return TN_PENDING;
}

static int pause_poll(tn_future *self, tn_waker *waker)
{
    pause_future *future = tni_container_of(self, pause_future, base);

    return poll_pause(future->listener, future->deadline_ns, waker);
}

static void pause_drop(tn_future *self)
{
    pause_future *future = tni_container_of(self, pause_future, base);

    (void)tni_wait_disarm(&future->listener->pause);
}

/* Ends the accept, because the code of the fiber that would end it never runs. */
static void pause_abandon(tn_future *self, tn_task *task)
{
    pause_future *future = tni_container_of(self, pause_future, base);

    (void)task;
    pause_drop(self);
    tni_endpoint_end(&future->listener->endpoint, TNI_OPERATION_READ);
}

static const tn_future_ops pause_ops = {pause_poll, pause_drop, "accept, after an error", pause_abandon};

/* Chooses the length of the next pause, and returns its end. Logs a line if it is the first. */
static uint64_t next_pause(tn_listener *listener, int error)
{
    if (listener->pause_ns == 0) {
        tni_log_write(&listener->endpoint.runtime->log, TN_LOG_WARNING,
                      "accept: %s; new connections wait in the backlog until it succeeds again%s", tn_strerror(error),
                      error == -EMFILE ? ": raise the limit of open files (ulimit -n)" : "");
        listener->pause_ns = PAUSE_MIN_NS;
    } else if (listener->pause_ns < PAUSE_MAX_NS / 2) {
        listener->pause_ns *= 2;
    } else {
        listener->pause_ns = PAUSE_MAX_NS;
    }
    return tni_task_clock_ns() + listener->pause_ns;
}

static int pause_after(tn_listener *listener, int error)
{
    pause_future future = {{&pause_ops}, listener, next_pause(listener, error)};

    return tn_await(&future.base);
}

/* --- Accepting -------------------------------------------------------------------------------------------------------------- */

/* Allocates before it accepts, because a connection cannot be put back into the backlog. `arg`: where to put the stream. */
static ssize_t run_accept(tni_endpoint *endpoint, void *arg)
{
    tn_listener *listener = tni_container_of(endpoint, tn_listener, endpoint);
    tn_stream **out = arg;
    int fd;

    if (listener->next_stream == NULL)
        listener->next_stream = tni_stream_alloc(endpoint->runtime);
    if (listener->next_stream == NULL)
        return TN_ENOMEM;
    /* Relaxed: partner: tn_listener_fd (listener.c). */
    if (endpoint->given || tni_a32_load(&listener->fd_is_known, TNI_RELAXED) != 0)
        (void)tni_os_set_nonblocking(endpoint->fd); /* another owner of the socket may have changed its mode */
    fd = tni_os_accept(endpoint->fd);
    if (fd < 0)
        return fd;
    if (endpoint->tcp)
        (void)tni_os_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* fails if the peer has gone; the first read reports that */
    listener->pause_ns = 0;
    listener->failed = 0;
    tni_stream_init(listener->next_stream, endpoint->runtime, fd, endpoint->tcp);
    *out = listener->next_stream;
    listener->next_stream = NULL;
    return 0;
}

/* In flight. */
static int accept_waiting(tn_listener *listener, tn_stream **out)
{
    tni_attempt accept = {run_accept, out, 0};

    for (;;) {
        int rc = (int)tni_attempt_waiting(&listener->endpoint, TNI_READ, &accept);
        if (rc == 0)
            return 0;
        if (tni_endpoint_is_closing(&listener->endpoint))
            return TN_EBADF;
        if (lasts(listener, rc))
            rc = pause_after(listener, rc);
        else if (concerns_one_connection(rc))
            /* Failed connections must not keep other tasks from running, nor this one from being cancelled. */
            rc = tni_endpoint_go_on(&listener->endpoint, TNI_READ);
        if (rc != 0)
            return rc;
    }
}

int tn_accept(tn_listener *listener, tn_stream **out)
{
    int rc = tni_attempt_begin(&listener->endpoint, TNI_READ);

    if (rc != 0)
        return rc;
    rc = accept_waiting(listener, out);
    tni_endpoint_end(&listener->endpoint, TNI_OPERATION_READ);
    return rc;
}

int tn_try_accept(tn_listener *listener, tn_stream **out)
{
    tni_attempt accept = {run_accept, out, 0};
    int rc = tni_endpoint_begin(&listener->endpoint, TNI_OPERATION_READ);

    if (rc != 0)
        return rc;
    do {
        rc = (int)tni_attempt_once(&listener->endpoint, TNI_READ, &accept);
    } while (!lasts(listener, rc) && concerns_one_connection(rc));
    if (rc != 0 && tni_endpoint_is_closing(&listener->endpoint))
        rc = TN_EBADF;
    tni_endpoint_end(&listener->endpoint, TNI_OPERATION_READ);
    return rc;
}

/* --- As a future ------------------------------------------------------------------------------------------------------------ */

/* In flight. What accept_waiting does, in polls. */
static int accept_in_polls(tn_accept_future *future, tn_waker *waker)
{
    tn_listener *listener = future->listener;
    tni_attempt accept = {run_accept, future->out, 0};

    for (;;) {
        int rc = future->pause_until_ns == 0 ? 0 : poll_pause(listener, future->pause_until_ns, waker);
        if (rc != 0)
            return rc;
        future->pause_until_ns = 0;
        rc = tni_attempt_poll(&listener->endpoint, TNI_READ, &accept, &future->waiting, waker);
        if (rc == 0 || rc == TN_PENDING)
            return rc;
        if (tni_endpoint_is_closing(&listener->endpoint))
            return TN_EBADF;
        if (lasts(listener, rc)) {
            future->pause_until_ns = next_pause(listener, rc);
        } else if (concerns_one_connection(rc)) {
            /* Failed connections must not keep other tasks from running. */
            (void)tni_budget_poll_leave(waker, rc);
            if (!tni_budget_poll_enter(waker))
                return TN_PENDING;
        } else {
            return rc;
        }
    }
}

static void stop_accepting(tn_accept_future *future)
{
    if (future->in_flight)
        (void)tni_wait_disarm(&future->listener->pause);
    tni_attempt_poll_end(&future->listener->endpoint, TNI_READ, &future->in_flight, &future->waiting);
}

static int accept_poll(tn_future *self, tn_waker *waker)
{
    tn_accept_future *future = tni_container_of(self, tn_accept_future, base);
    int rc;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    rc = tni_attempt_poll_begin(&future->listener->endpoint, TNI_READ, &future->in_flight);
    if (rc == 0)
        rc = accept_in_polls(future, waker);
    if (rc != TN_PENDING)
        stop_accepting(future);
    return tni_budget_poll_leave(waker, rc);
}

static void accept_drop(tn_future *self)
{
    stop_accepting(tni_container_of(self, tn_accept_future, base));
}

void tn_accept_init(tn_accept_future *future, tn_listener *listener, tn_stream **out)
{
    static const tn_future_ops ops = {accept_poll, accept_drop, "accept"};

    *future = (tn_accept_future){{&ops}, listener, out, 0, false, false};
}
