/* SPDX-License-Identifier: MIT */
/* Tests of tn_serve: what it serves, and each stage of its end. */
/* ctest: timeout=120 */
#include <tn/semaphore.h>

#include "serve_support.h"

#define SHORT_NS (50 * TN_MS)
#define LONG_NS (60 * TN_S) /* never reached */

/* --- Serving ---------------------------------------------------------------------------------------------------------------- */

static void *serves(void *arg)
{
    ss_server server;
    tn_stream *clients[3];

    ss_open(&server, ss_respond, NULL);
    ss_start(&server);
    for (unsigned i = 0; i < 3; i++)
        clients[i] = ss_connect(&server);
    for (unsigned i = 0; i < 30; i++)
        tt_check_eq(ss_exchange(clients[i % 3]), SS_KEPT);
    for (unsigned i = 0; i < 3; i++)
        tn_stream_close(clients[i]);
    ss_drain(&server);
    tt_check_eq(ss_join(&server), 0);
    tt_check_eq(server.result.accepted, 3);
    tt_check_eq(server.result.finished, 3);
    tt_check_eq(server.result.refused, 0);
    return arg;
}

Test(serve, responds_on_kept_connections)
{
    tt_run(serves, NULL);
}

static void *several_listeners(void *arg)
{
    ss_server server;
    tn_listener *listeners[3];
    char addresses[3][TN_ADDRESS_SIZE];
    tn_cancel_token *drain;

    (void)server;
    tt_check_eq(tn_cancel_token_create(&drain, NULL, NULL), 0);
    for (unsigned i = 0; i < 3; i++)
        listeners[i] = ns_listen(addresses[i]);
    for (unsigned i = 0; i < 3; i++) {
        tn_stream *stream;
        tt_check_eq(tn_tcp_connect(NULL, &stream, addresses[i]), 0);
        ss_send(stream);
        tn_stream_close(stream);
    }
    server.options = tn_serve_options_default();
    server.options.drain = drain;
    server.options.connections_max = 1; /* a waiting acceptor holds no slot */
    tn_cancel_token_cancel(drain);      /* what the backlogs hold is accepted */
    tt_check_eq(tn_serve(listeners, 3, ss_respond, NULL, &server.options, &server.result), 0);
    tt_check_eq(server.result.finished, 3);
    tn_cancel_token_release(drain);
    return arg;
}

Test(serve, accepts_from_several_listeners)
{
    tt_run(several_listeners, NULL);
}

static void greet(tn_session *session, tn_stream *stream, void *arg)
{
    tt_check_eq(tn_write(stream, "+", 1), 1);
    ss_respond(session, stream, arg);
}

static void *speaks_first(void *arg)
{
    ss_server server;
    tn_stream *client;

    ss_open(&server, greet, NULL);
    server.options.handler_first = true;
    ss_start(&server);
    client = ss_connect(&server);
    tt_check_eq(ss_receive(client), '+');
    tt_check_eq(ss_exchange(client), SS_KEPT);
    tn_stream_close(client);
    ss_drain(&server);
    tt_check_eq(ss_join(&server), 0);
    return arg;
}

Test(serve, handler_may_speak_first)
{
    tt_run(speaks_first, NULL);
}

/* --- The drain -------------------------------------------------------------------------------------------------------------- */

enum { WAITING = 50 };

/* Connections that were complete before the server began to drain get a response, although no one had accepted them. */
static void *backlog(void *arg)
{
    ss_server server;
    tn_stream *clients[WAITING];
    tn_stream *late;

    ss_open(&server, ss_respond, NULL);
    for (unsigned i = 0; i < WAITING; i++)
        clients[i] = ss_connect(&server);
    server.options.connections_max = 7;
    ss_drain(&server);
    ss_start(&server);
    for (unsigned i = 0; i < WAITING; i++) {
        ss_send(clients[i]);
        tt_check_eq(ss_receive(clients[i]), SS_LAST);
        tt_check_eq(ss_receive(clients[i]), 0);
        tn_stream_close(clients[i]);
    }
    tt_check_eq(ss_join(&server), 0);
    tt_check_eq(server.result.finished, WAITING);
    tt_check_eq(tn_tcp_connect(NULL, &late, server.address), TN_ECONNREFUSED);
    return arg;
}

Test(serve, the_backlog_is_served)
{
    tt_run(backlog, NULL);
}

/* A request that comes within the grace is served, and its response says that it is the last. */
static void *grace(void *arg)
{
    ss_server server;
    tn_stream *clients[2];

    ss_open(&server, ss_respond, NULL);
    server.options.grace_ns = TN_NEVER;
    ss_start(&server);
    for (unsigned i = 0; i < 2; i++) {
        clients[i] = ss_connect(&server);
        tt_check_eq(ss_exchange(clients[i]), SS_KEPT);
    }
    ss_drain(&server);
    ns_settle();
    for (unsigned i = 0; i < 2; i++) {
        tt_check_eq(ss_exchange(clients[i]), SS_LAST);
        tt_check_eq(ss_receive(clients[i]), 0);
        tn_stream_close(clients[i]);
    }
    tt_check_eq(ss_join(&server), 0);
    tt_check_eq(server.result.finished, 2);
    return arg;
}

Test(serve, a_request_on_its_way_is_served)
{
    tt_run(grace, NULL);
}

/* Idle sessions end after the grace, long before the drain's deadline. */
static void *idle_ends(void *arg)
{
    ss_server server;
    tn_stream *clients[2];

    ss_open(&server, ss_respond, NULL);
    server.options.grace_ns = SHORT_NS;
    server.options.drain_ns = LONG_NS;
    ss_start(&server);
    clients[0] = ss_connect(&server); /* has not sent anything */
    clients[1] = ss_connect(&server);
    tt_check_eq(ss_exchange(clients[1]), SS_KEPT);
    ss_drain(&server);
    for (unsigned i = 0; i < 2; i++) {
        tt_check_eq(ss_receive(clients[i]), 0);
        tn_stream_close(clients[i]);
    }
    tt_check_eq(ss_join(&server), 0);
    tt_check_eq(server.result.cancelled, 0);
    tt_check_eq(server.result.left, 0);
    return arg;
}

Test(serve, idle_sessions_end)
{
    tt_run(idle_ends, NULL);
}

/* A client that sends without a pause, and is never told that a response is the last one, does not keep the server. */
static void respond_silently(tn_session *session, tn_stream *stream, void *arg)
{
    char byte;

    (void)arg;
    while (tn_session_wait_request(session) == 0 && tn_read(stream, &byte, 1) == 1)
        if (tn_write(stream, &byte, 1) != 1)
            break;
}

static void *eager_client(void *arg)
{
    ss_server server;
    tn_stream *client;
    unsigned long exchanges = 0;

    ss_open(&server, respond_silently, NULL);
    server.options.grace_ns = SHORT_NS;
    server.options.drain_ns = LONG_NS;
    ss_start(&server);
    client = ss_connect(&server);
    tt_check_eq(ss_exchange(client), SS_REQUEST);
    ss_drain(&server);
    for (char byte = SS_REQUEST; tn_write(client, &byte, 1) == 1 && tn_read(client, &byte, 1) == 1;)
        exchanges++;
    tt_check(exchanges > 0);
    tn_stream_close(client);
    tt_check_eq(ss_join(&server), 0);
    tt_check_eq(server.result.finished, 1);
    return arg;
}

Test(serve, an_eager_client_does_not_keep_it)
{
    tt_run(eager_client, NULL);
}

/* The same with requests that do not wait for their responses, so that bytes are always there. */
static void *send_without_pause(void *arg)
{
    char bytes[256];
    tn_stream *client = arg;

    memset(bytes, SS_REQUEST, sizeof bytes);
    while (tn_write(client, bytes, sizeof bytes) > 0)
        ;
    return arg;
}

static void *pipelining_client(void *arg)
{
    ss_server server;
    tn_stream *client;
    tn_task *sender;
    char bytes[256];

    ss_open(&server, respond_silently, NULL);
    server.options.grace_ns = SHORT_NS;
    server.options.drain_ns = LONG_NS;
    server.options.finish_ns = SHORT_NS;
    ss_start(&server);
    client = ss_connect(&server);
    sender = tt_spawn(send_without_pause, client);
    tt_check(tn_read(client, bytes, sizeof bytes) > 0);
    ss_drain(&server);
    while (tn_read(client, bytes, sizeof bytes) > 0)
        ;
    tt_check_eq(ss_join(&server), 0);
    tt_check_eq(server.result.finished, 1);
    tt_join(sender);
    tn_stream_close(client);
    return arg;
}

Test(serve, a_pipelining_client_does_not_keep_it)
{
    tt_run(pipelining_client, NULL);
}

typedef struct {
    tn_semaphore begun;
    tn_semaphore may_end;
    int result; /* of the wait */
    bool shielded;
} work;

static void work_init(work *self, bool shielded)
{
    tn_semaphore_init(&self->begun, 0);
    tn_semaphore_init(&self->may_end, 0);
    self->result = 1;
    self->shielded = shielded;
}

static void work_fini(work *self)
{
    tn_semaphore_fini(&self->begun);
    tn_semaphore_fini(&self->may_end);
}

/* A long request: it ends when the test lets it, or, unless it is shielded, when it is cancelled. */
static void work_long(tn_session *session, tn_stream *stream, void *arg)
{
    work *self = arg;
    tn_scope shield;
    char byte;

    tt_check_eq(tn_session_wait_request(session), 0);
    tt_check_eq(tn_read(stream, &byte, 1), 1);
    if (self->shielded)
        tn_shield_enter(&shield, TN_NEVER);
    tn_semaphore_release(&self->begun, 1);
    self->result = tn_semaphore_acquire(&self->may_end, 1);
    if (self->shielded)
        tn_scope_leave(&shield);
    byte = SS_LAST;
    (void)tn_write(stream, &byte, 1);
    tn_semaphore_release(&self->begun, 1);
}

static void *busy_finishes(void *arg)
{
    work request;
    ss_server server;
    tn_stream *client;

    work_init(&request, false);
    ss_open(&server, work_long, &request);
    server.options.grace_ns = 1;
    ss_start(&server);
    client = ss_connect(&server);
    ss_send(client);
    tt_check_eq(tn_semaphore_acquire(&request.begun, 1), 0);
    ss_drain(&server);
    ns_settle();
    tn_semaphore_release(&request.may_end, 1);
    tt_check_eq(ss_receive(client), SS_LAST);
    tn_stream_close(client);
    tt_check_eq(ss_join(&server), 0);
    tt_check_eq(request.result, 0);
    tt_check_eq(server.result.finished, 1);
    work_fini(&request);
    return arg;
}

Test(serve, a_busy_session_finishes)
{
    tt_run(busy_finishes, NULL);
}

/* --- The hard end ----------------------------------------------------------------------------------------------------------- */

typedef enum { AT_DEADLINE, BY_TOKEN, BY_TOKEN_IN_DRAIN, BY_CALLER } cause;

static void *cancelled(void *arg)
{
    cause why = *(cause *)arg;
    work request;
    ss_server server;
    tn_stream *client;

    work_init(&request, false);
    ss_open(&server, work_long, &request);
    server.options.drain_ns = why == AT_DEADLINE ? SHORT_NS : LONG_NS;
    ss_start(&server);
    client = ss_connect(&server);
    ss_send(client);
    tt_check_eq(tn_semaphore_acquire(&request.begun, 1), 0);
    if (why == AT_DEADLINE || why == BY_TOKEN_IN_DRAIN)
        ss_drain(&server);
    if (why == BY_TOKEN_IN_DRAIN)
        ns_settle();
    if (why == BY_TOKEN || why == BY_TOKEN_IN_DRAIN)
        tn_cancel_token_cancel(server.end);
    if (why == BY_CALLER)
        tn_cancel(server.task);
    tt_check_eq(ss_join(&server), why == BY_CALLER ? TN_ECANCELED : 0);
    tt_check_eq(request.result, TN_ECANCELED);
    tt_check_eq(server.result.cancelled, 1);
    tn_stream_close(client);
    work_fini(&request);
    return arg;
}

Test(serve, sessions_are_cancelled_at_the_deadline)
{
    cause why = AT_DEADLINE;
    tt_run(cancelled, &why);
}

Test(serve, sessions_are_cancelled_by_the_token)
{
    cause why = BY_TOKEN;
    tt_run(cancelled, &why);
}

Test(serve, sessions_are_cancelled_in_the_drain)
{
    cause why = BY_TOKEN_IN_DRAIN;
    tt_run(cancelled, &why);
}

Test(serve, sessions_are_cancelled_with_the_caller)
{
    cause why = BY_CALLER;
    tt_run(cancelled, &why);
}

/* A handler that does not end is counted, and not waited for. */
static void *never_ends(void *arg)
{
    work request;
    ss_server server;
    tn_stream *client;

    work_init(&request, true);
    ss_open(&server, work_long, &request);
    server.options.drain_ns = SHORT_NS;
    server.options.cancel_ns = SHORT_NS;
    ss_start(&server);
    client = ss_connect(&server);
    ss_send(client);
    tt_check_eq(tn_semaphore_acquire(&request.begun, 1), 0);
    ss_drain(&server);
    tt_check_eq(ss_join(&server), 0);
    tt_check_eq(server.result.left, 1);
    tt_check_eq(request.result, 1);
    tn_semaphore_release(&request.may_end, 1);
    tt_check_eq(tn_semaphore_acquire(&request.begun, 1), 0);
    tn_stream_close(client);
    return arg;
}

Test(serve, a_handler_that_never_ends_is_left)
{
    tt_run(never_ends, NULL);
}

/* --- Tokens ----------------------------------------------------------------------------------------------------------------- */

static void wait_for_token(tn_session *session, tn_stream *stream, void *arg)
{
    (void)stream;
    tt_check(!tn_session_is_ending(session));
    tn_semaphore_release(&((work *)arg)->begun, 1);
    tt_check_eq(tn_cancel_token_wait(tn_session_token(session)), 0);
    tt_check(tn_session_is_ending(session));
    tt_check_eq(tn_session_wait_request(session), 0); /* the first bytes, which it has not used */
    tt_check_eq(tn_session_wait_request(session), TN_ESHUTDOWN);
}

static void *token(void *arg)
{
    work request;
    ss_server server;
    tn_stream *client;

    work_init(&request, false);
    ss_open(&server, wait_for_token, &request);
    ss_start(&server);
    client = ss_connect(&server);
    ss_send(client);
    tt_check_eq(tn_semaphore_acquire(&request.begun, 1), 0);
    ss_drain(&server);
    tt_check_eq(ss_receive(client), 0);
    tn_stream_close(client);
    tt_check_eq(ss_join(&server), 0);
    tt_check_eq(server.result.finished, 1);
    work_fini(&request);
    return arg;
}

Test(serve, sessions_learn_of_the_drain)
{
    tt_run(token, NULL);
}

static void *closed_listener(void *arg)
{
    ss_server server;
    tn_listener *listener;

    ss_open(&server, ss_respond, NULL);
    listener = tn_listener_retain(server.listener);
    ss_start(&server);
    ns_settle();
    tn_listener_close(listener);
    tt_check_eq(ss_join(&server), 0);
    return arg;
}

Test(serve, drains_when_the_program_closes_the_listener)
{
    tt_run(closed_listener, NULL);
}

/* The same while all slots are taken, so that the acceptor does not wait for connections. */
static void *closed_when_full(void *arg)
{
    work request;
    ss_server server;
    tn_listener *listener;
    tn_stream *client;

    work_init(&request, false);
    ss_open(&server, work_long, &request);
    server.options.connections_max = 1;
    server.options.drain_ns = SHORT_NS;
    listener = tn_listener_retain(server.listener);
    ss_start(&server);
    client = ss_connect(&server);
    ss_send(client);
    tt_check_eq(tn_semaphore_acquire(&request.begun, 1), 0);
    ns_settle();
    tn_listener_close(listener);
    tt_check_eq(ss_join(&server), 0);
    tt_check_eq(request.result, TN_ECANCELED);
    tn_stream_close(client);
    work_fini(&request);
    return arg;
}

Test(serve, a_full_server_drains_when_the_program_closes_the_listener)
{
    tt_run(closed_when_full, NULL);
}

/* --- Arguments -------------------------------------------------------------------------------------------------------------- */

static void *refused_options(void *arg)
{
    tn_serve_options options = tn_serve_options_default();
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    tn_stream *stream;

    options.reserved[3] = 1;
    tt_check_eq(tn_serve(&listener, 1, ss_respond, NULL, &options, NULL), TN_EINVAL);
    tt_check_eq(tn_tcp_connect(NULL, &stream, address), TN_ECONNREFUSED); /* the listener was consumed */
    tt_check_eq(tn_serve(NULL, 0, ss_respond, NULL, NULL, NULL), TN_EINVAL);
    options.reserved[3] = 0;
    options.stack_size_bytes = 65 * 1024 * 1024;
    listener = ns_listen(address);
    tt_check_eq(tn_serve(&listener, 1, ss_respond, NULL, &options, NULL), TN_EINVAL);
    return arg;
}

Test(serve, refused_options)
{
    ns_log log;

    ns_run_logged(&log, refused_options, NULL);
    cr_assert_eq(log.lines, 3, "%s", log.text);
}

static void *end_soon(void *arg)
{
    tt_check_eq(tn_sleep(20 * TN_MS), 0);
    tn_cancel_token_cancel(arg);
    return arg;
}

Test(serve, a_plain_thread_may_call_it)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_serve_options options = tn_serve_options_default();
    tn_listen_options listen = tn_listen_options_default();
    tn_listener *listener;
    tn_serve_result result;
    tn_task *task;

    cr_assert_eq(tn_serve(&listener, 0, ss_respond, NULL, NULL, NULL), TN_EINVAL);
    options.runtime = runtime;
    listen.runtime = runtime;
    cr_assert_eq(tn_cancel_token_create(&options.drain, NULL, NULL), 0);
    cr_assert_eq(tn_tcp_listen(&listener, "127.0.0.1:0", &listen), 0);
    task = tt_spawn_on(runtime, end_soon, options.drain);
    cr_assert_eq(tn_serve(&listener, 1, ss_respond, NULL, &options, &result), 0);
    cr_assert_eq(result.accepted, 0);
    tt_join(task);
    tt_runtime_destroy(runtime);
    tn_cancel_token_release(options.drain);
}
