/* SPDX-License-Identifier: MIT */
/* The acceptor of a listener: waits for a free slot and for a connection, accepts it, and starts its session. */
#include "base/tls.h"
#include "sched/runtime.h"
#include "serve/serve.h"
#include "task/budget.h"
#include "time/deadline.h"

#define PAUSE_MIN_NS (10 * TN_MS)
#define PAUSE_MAX_NS (1 * TN_S)

/* If the kernel cannot refuse connections, so many are accepted at the drain. */
#define UNREFUSED_MAX 4096

typedef struct {
    tni_serve_part *part;
    tni_serve_phase phase;  /* a change of the phase ends its waits */
    uint64_t until_ns;      /* a wait for a connection ends then; 0: there is none, the accept shows whether one is there */
    uint64_t pause_ns;      /* length of the last pause; 0: the last accept did not fail */
    uint64_t not_before_ns; /* the pause lasts until then; 0: there is none */
} acceptor;

/* --- Waiting for a connection ----------------------------------------------------------------------------------------------- */

/* Ready, with 0, when there is a free slot and a connection. TN_ESHUTDOWN: the phase has changed. TN_ETIME: no connection came in
 * time. */
typedef struct {
    tn_future base;
    acceptor *acceptor;
    bool in_flight; /* it is the listener's reader */
    bool armed;     /* and has waited for the close alone */
} connection_future;

static tni_endpoint *endpoint_of(const connection_future *future)
{
    return &future->acceptor->part->listener->endpoint;
}

static int begin_reading(connection_future *future)
{
    int rc = future->in_flight ? 0 : tni_endpoint_begin(endpoint_of(future), TNI_OPERATION_READ);

    if (rc == 0)
        future->in_flight = true;
    return rc;
}

static void stop_reading(connection_future *future)
{
    future->in_flight = false;
    if (future->armed)
        (void)tni_wait_disarm(&future->acceptor->part->listener->pause);
    tni_endpoint_end(endpoint_of(future), TNI_OPERATION_READ);
}

static int poll_listener(connection_future *future, tn_waker *waker)
{
    acceptor *self = future->acceptor;
    int rc;

    if (self->until_ns == 0)
        return 0;
    rc = tni_endpoint_poll(endpoint_of(future), TNI_READ, waker);
    if (rc == TN_PENDING && self->until_ns != TN_NEVER) {
        if (tni_task_clock_ns() >= self->until_ns)
            return TN_ETIME;
        tni_deadline_ask(waker, self->until_ns);
    }
    return rc;
}

/* While no connection is wanted: only the close of the listener ends the wait, as in a pause of tn_accept. */
static int poll_close(connection_future *future, tn_waker *waker)
{
    /* Arm before checking: see wait.h. The closer sets CLOSING, then wakes. */
    future->armed = true;
    tni_wait_arm(&future->acceptor->part->listener->pause, waker);
    return tni_endpoint_is_closing(endpoint_of(future)) ? TN_EBADF : TN_PENDING;
}

static bool is_pausing(acceptor *self, tn_waker *waker)
{
    if (self->not_before_ns == 0)
        return false;
    if (tni_task_clock_ns() >= self->not_before_ns) {
        self->not_before_ns = 0;
        return false;
    }
    tni_deadline_ask(waker, self->not_before_ns);
    return true;
}

static int connection_poll(tn_future *self, tn_waker *waker)
{
    connection_future *future = tni_container_of(self, connection_future, base);
    tni_server *server = future->acceptor->part->server;
    bool pausing;
    int rc;

    if (tni_serve_phase_of(server) != future->acceptor->phase)
        return TN_ESHUTDOWN;
    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    pausing = is_pausing(future->acceptor, waker);
    rc = begin_reading(future);
    if (rc == 0)
        rc = pausing || tni_serve_is_full(server) ? poll_close(future, waker) : poll_listener(future, waker);
    else if (pausing && rc != TN_EBADF)
        return TN_PENDING; /* the error for which it pauses */
    if (rc == 0)
        stop_reading(future); /* else the drop does */
    return tni_budget_poll_leave(waker, rc);
}

static void connection_drop(tn_future *self)
{
    connection_future *future = tni_container_of(self, connection_future, base);

    if (!future->in_flight)
        return;
    tni_endpoint_unregister(endpoint_of(future), TNI_READ);
    stop_reading(future);
}

static const tn_future_ops connection_ops = {connection_poll, connection_drop, "connection", NULL};

/* --- Accepting -------------------------------------------------------------------------------------------------------------- */

/* Returns 0, also if another acceptor has taken the slot or a connection was refused; or an error. */
static int accept_one(acceptor *self)
{
    connection_future future = {.base = {&connection_ops}, .acceptor = self};
    tni_server *server = self->part->server;
    tn_stream *stream;
    int rc = tn_await(&future.base);

    if (rc != 0)
        return rc;
    if (!tni_serve_take_slot(server))
        return 0;
    rc = tn_try_accept(self->part->listener, &stream);
    /* Relaxed: it is a measurement, and orders nothing. */
    if (rc == 0 && (self->phase != TNI_SERVE_SERVING || tni_a32_load(&server->shedding, TNI_RELAXED) == 0))
        return tni_session_start(server, stream);
    if (rc == 0) {
        tn_stream_close(stream);
        tni_serve_refused(server);
    }
    tni_serve_give_slot(server);
    return rc;
}

static void pause_after(acceptor *self, int error)
{
    if (self->pause_ns == 0)
        tni_log_write(&self->part->server->runtime->log, TN_LOG_WARNING,
                      "tn_serve: accept: %s; new connections wait in the backlog until it succeeds again%s", tn_strerror(error),
                      error == TN_EMFILE ? ": raise the limit of open files (ulimit -n)" : "");
    self->pause_ns = self->pause_ns == 0 ? PAUSE_MIN_NS : self->pause_ns * 2 < PAUSE_MAX_NS ? self->pause_ns * 2 : PAUSE_MAX_NS;
    self->not_before_ns = tni_deadline_after(self->pause_ns);
}

static bool ends_loop(int rc, bool fatal)
{
    if (rc == TN_ESHUTDOWN || rc == TN_ETIME || rc == TN_EBADF || rc == TN_ECANCELED)
        return true;
    return fatal && rc != TN_EMFILE && rc != -ENFILE && rc != TN_ENOMEM && rc != -ENOBUFS;
}

/* Accepts until the phase changes, or no connection came in time, or the program has closed the listener, or this task is
 * cancelled. `fatal`: these other errors end it too. Returns the error. */
static int accept_all(acceptor *self, bool fatal)
{
    int rc;

    for (;;) {
        rc = accept_one(self);
        if (rc == 0 && self->until_ns != TN_NEVER)
            self->until_ns = tni_deadline_after(self->part->server->options.backlog_ns);
        if (rc == 0 || rc == TN_EAGAIN)
            self->pause_ns = rc == 0 ? 0 : self->pause_ns;
        else if (ends_loop(rc, fatal))
            return rc;
        else
            pause_after(self, rc);
    }
}

/* Accepts what the kernel has completed, and what it is completing. */
static void drain_backlog(acceptor *self)
{
    tni_server *server = self->part->server;
    unsigned left = UNREFUSED_MAX;

    self->phase = TNI_SERVE_DRAINING;
    if (server->options.shared_listeners)
        return; /* they are for the other processes */
    if (tni_listener_refuse(self->part->listener) == 0) {
        self->until_ns = tni_deadline_after(server->options.backlog_ns);
        (void)accept_all(self, true);
        return;
    }
    self->until_ns = 0;
    while (left-- > 0 && accept_one(self) == 0)
        ;
}

void *tni_accept_loop_main(void *arg)
{
    tni_serve_part *part = arg;
    acceptor self = {.part = part, .phase = TNI_SERVE_SERVING, .until_ns = TN_NEVER};
    int rc;

    tni_serve_part_begins(part);
    rc = accept_all(&self, false);
    if (rc == TN_ESHUTDOWN && tni_serve_phase_of(part->server) == TNI_SERVE_DRAINING)
        drain_backlog(&self);
    return NULL;
}

/* The end hook of its task: also called if the fiber never began, or was abandoned. */
void tni_accept_loop_over(void *arg)
{
    tni_serve_part *part = arg;
    tni_server *server = part->server;

    tn_listener_close(part->listener);
    part->listener = NULL;
    tn_wait_group_done(&server->acceptors);
    tni_serve_part_ends(part);
}
