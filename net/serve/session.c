/* SPDX-License-Identifier: MIT */
/* The sessions of a server: from the accepted connection to its close. */
#include "base/tls.h"
#include "sched/budget_fiber.h"
#include "sched/runtime.h"
#include "sched/spawn.h"
#include "serve/serve.h"
#include "task/budget.h"
#include "time/deadline.h"

/* --- Waiting for a request -------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_future base;
    tn_session *session;
    uint64_t idle_until_ns; /* 0: not known yet */
    bool in_flight;         /* it is the stream's reader */
} request_future;

static void stop_reading(request_future *future)
{
    future->in_flight = false;
    tni_endpoint_end(&future->session->stream->endpoint, TNI_OPERATION_READ);
}

/* The server drains, and the time in which the session would have got a request is over. The time begins with the first call. */
static bool grace_is_over(tn_session *session)
{
    if (tni_serve_phase_of(session->server) == TNI_SERVE_SERVING)
        return false;
    if (session->grace_ns == 0)
        session->grace_ns = tni_deadline_after(session->server->options.grace_ns);
    return tni_task_clock_ns() >= session->grace_ns;
}

/* No byte is there. Returns TN_PENDING, or TN_ESHUTDOWN if none is waited for any more. Before a drain, the first poll of
 * a wait reads the clock once. */
static int wait_on(request_future *future, tn_waker *waker)
{
    tn_session *session = future->session;
    const tn_serve_options *options = &session->server->options;
    bool over = false;
    uint64_t until_ns;

    if (future->idle_until_ns == 0)
        future->idle_until_ns = tni_deadline_after(session->waited ? options->idle_ns : options->first_bytes_ns);
    else
        over = tni_task_clock_ns() >= future->idle_until_ns;
    if (over || grace_is_over(session))
        return TN_ESHUTDOWN;
    until_ns = future->idle_until_ns;
    if (session->grace_ns != 0 && session->grace_ns < until_ns)
        until_ns = session->grace_ns;
    tni_deadline_ask(waker, until_ns);
    return TN_PENDING;
}

static int request_poll(tn_future *self, tn_waker *waker)
{
    request_future *future = tni_container_of(self, request_future, base);
    tn_session *session = future->session;
    int rc;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    if (!future->in_flight) {
        rc = tni_endpoint_begin(&session->stream->endpoint, TNI_OPERATION_READ);
        if (rc != 0)
            return rc;
        future->in_flight = true;
    }
    rc = tni_stream_poll_readable(session->stream, waker);
    if (rc == TN_PENDING)
        rc = wait_on(future, waker);
    else
        stop_reading(future);
    return tni_budget_poll_leave(waker, rc);
}

static void request_drop(tn_future *self)
{
    request_future *future = tni_container_of(self, request_future, base);

    if (!future->in_flight)
        return;
    tni_endpoint_unregister(&future->session->stream->endpoint, TNI_READ);
    stop_reading(future);
}

static const tn_future_ops request_ops = {request_poll, request_drop, "request", NULL};

static int wait_request(tn_session *session)
{
    request_future future = {.base = {&request_ops}, .session = session};
    int rc = tn_await(&future.base);

    if (rc == 0)
        session->waited = true;
    return rc;
}

int tn_session_wait_request(tn_session *session)
{
    int rc;

    if (session->has_bytes) {
        session->has_bytes = false;
        return tni_budget_enter();
    }
    /* A session that has had its grace ends, even if its client sends without a pause. This is also where the grace begins. */
    if (session->told || grace_is_over(session))
        return TN_ESHUTDOWN;
    if (session->work == NULL)
        return wait_request(session);
    tn_work_end(session->work);
    rc = wait_request(session);
    if (rc == 0)
        tn_work_begin(session->work, "request");
    return rc;
}

bool tn_session_is_ending(tn_session *session)
{
    if (tni_serve_phase_of(session->server) == TNI_SERVE_SERVING)
        return false;
    session->told = true;
    return true;
}

tn_cancel_token *tn_session_token(tn_session *session)
{
    return session->server->token;
}

/* --- The life of a session -------------------------------------------------------------------------------------------------- */

/* Each request is a marked work. A function of its own, so that sessions that are not measured need no stack for it. */
__attribute__((noinline)) static void handle_measured(tn_session *session)
{
    tn_work work;

    session->work = &work;
    tn_work_begin(&work, "request");
    session->server->handler(session, session->stream, session->server->arg);
    tn_work_end(&work);
    session->work = NULL;
}

static void handle(tn_session *session)
{
    if (session->server->runtime->options.report_slow_ns != 0)
        handle_measured(session);
    else
        session->server->handler(session, session->stream, session->server->arg);
}

static void *session_main(void *arg)
{
    tn_session *session = arg;
    tni_server *server = session->server;
    tn_stream *stream = session->stream;
    tn_scope scope;
    tn_scope finish;
    bool begins = server->options.handler_first;

    tni_os_mutex_lock(&server->lock);
    session->task = tni_tls_get()->task;
    tni_list_append(&server->started, &session->node);
    tni_os_mutex_unlock(&server->lock);

    tn_scope_enter_with(&scope, TN_NEVER, &server->sessions);
    if (!begins)
        begins = session->has_bytes = wait_request(session) == 0;
    /* A server that ends all sessions may not wait for one that begins so late: `arg` may be gone soon. */
    if (begins && tni_serve_phase_of(server) != TNI_SERVE_ENDING)
        handle(session);
    session->returned = true;
    session->stream = NULL;
    tn_scope_enter_for(&finish, server->options.finish_ns);
    (void)tn_stream_finish(stream);
    tn_scope_leave(&finish);
    tn_scope_leave(&scope);
    return NULL;
}

static void count_end_locked(tn_session *session)
{
    tni_server *server = session->server;

    tni_os_mutex_assert_held(&server->lock);
    if (session->task == NULL) { /* there was no stack for it */
        server->counts.accepted--;
        server->counts.refused++;
        return;
    }
    tni_list_remove(&server->started, &session->node);
    if (tni_serve_phase_of(server) == TNI_SERVE_ENDING || !session->returned)
        server->counts.cancelled++;
    else
        server->counts.finished++;
}

/* The end hook of its task: also called if the fiber never began, or was abandoned. */
static void session_over(void *arg)
{
    tn_session *session = arg;
    tni_server *server = session->server;

    tn_stream_close(session->stream);
    tni_os_mutex_lock(&server->lock);
    count_end_locked(session);
    tni_os_mutex_unlock(&server->lock);
    tni_free(&server->allocator, session, sizeof *session);
    tni_serve_give_slot(server);
    tn_task_tracker_leave(&server->live);
    tni_serve_release(server);
}

static int start(tni_server *server, tn_session *session)
{
    tn_spawn_options options = tn_spawn_options_default();

    options.name = "session";
    options.stack_size_bytes = server->options.stack_size_bytes;
    return tni_spawn_with(server->runtime, &options, NULL, session_main, session, &session->hook,
                          (const void *)(uintptr_t)server->handler);
}

int tni_session_start(tni_server *server, tn_stream *stream)
{
    tn_session *session = tni_reclaim_alloc(server->runtime, sizeof *session, _Alignof(tn_session));
    int rc = session == NULL ? TN_ENOMEM : 0;

    if (rc == 0) {
        *session = (tn_session){.server = server, .stream = stream};
        session->hook.kind = TNI_TASK_HOOK_BORROWED;
        session->hook.fn = session_over;
        session->hook.arg = session;
        tni_serve_session_begins(server);
        rc = start(server, session);
        if (rc == 0)
            return 0;
        tni_serve_session_failed(server);
        tni_free(&server->allocator, session, sizeof *session);
    }
    tn_stream_close(stream);
    tni_serve_refused(server);
    tni_serve_give_slot(server);
    return rc;
}
