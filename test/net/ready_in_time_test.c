/* SPDX-License-Identifier: MIT */
/* A ready socket is never reported as late because the task's budget is used up, and polls of a socket that is always ready let
 * others run. */
#include <tn/combine.h>
#include <tn/mutex.h>
#include <tn/scope.h>

#include "process_support.h"
#include "serve_support.h"
#include "task/task.h"

enum { PAST_NS = 1, BYTES = 3 * TNI_BUDGET };

/* Starts with a whole budget, and spends `units` of it. */
static void spend(int units)
{
    tn_mutex mutex = TN_MUTEX_INIT;

    tt_check_eq(tn_yield(), 0);
    for (int i = 0; i < units; i++) {
        tt_check_eq(tn_mutex_lock(&mutex), 0);
        tn_mutex_unlock(&mutex);
    }
}

static void *accept_each(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    tn_stream *clients[2];
    tn_stream *conn;

    tt_check_eq(tn_tcp_connect(NULL, &clients[0], address), 0);
    for (int units = 0; units <= TNI_BUDGET; units++) { /* at any time one connection more waits than is accepted */
        tn_scope scope;
        tt_check_eq(tn_tcp_connect(NULL, &clients[1], address), 0);
        spend(units);
        tn_scope_enter(&scope, PAST_NS);
        tt_check_eq(tn_accept(listener, &conn), 0);
        tn_scope_leave(&scope);
        tn_stream_close(conn);
        tn_stream_close(clients[0]);
        clients[0] = clients[1];
    }
    tn_stream_close(clients[0]);
    tn_listener_close(listener);
    return arg;
}

Test(ready_in_time, accept)
{
    tt_run(accept_each, NULL);
}

static void *read_and_write(void *arg)
{
    char bytes[BYTES] = {0};
    tn_stream *ends[2];

    ns_unix_pair(ends);
    tt_check_eq(tn_write_all(ends[0], bytes, BYTES), 0);
    tt_check_eq(tn_wait_readable(ends[1]), 0);
    for (int units = 0; units <= TNI_BUDGET; units++) {
        tn_ready_future ready;
        tn_scope scope;
        tn_ready_init(&ready, ends[1], TN_READABLE);
        spend(units);
        tt_check_eq(tn_timeout(&ready.base, units == 0 ? TN_NEVER : PAST_NS), 0); /* the first one discovers that it is ready */
        spend(units);
        tn_scope_enter(&scope, PAST_NS);
        tt_check_eq(tn_read(ends[1], bytes, 1), 1);
        tn_scope_leave(&scope);
        spend(units);
        tn_scope_enter(&scope, PAST_NS);
        tt_check_eq(tn_write(ends[0], bytes, 1), 1);
        tn_scope_leave(&scope);
    }
    ns_close_pair(ends);
    return arg;
}

Test(ready_in_time, read_and_write)
{
    tt_run(read_and_write, NULL);
}

/* Takes byte after byte; all of them have arrived. */
typedef struct {
    tn_future base;
    tn_stream *stream;
    tn_ready_future ready;
    int left;
    int in_a_row; /* bytes taken without letting others run */
} taker;

static int take(tn_future *self, tn_waker *waker)
{
    taker *t = (taker *)(void *)self;
    char byte;

    for (t->in_a_row = 0; t->left > 0; t->left--) {
        if (tn_future_poll(&t->ready.base, waker) == TN_PENDING)
            return TN_PENDING;
        tn_future_drop(&t->ready.base);
        tt_check_eq(tn_try_read(t->stream, &byte, 1), 1);
        tn_ready_init(&t->ready, t->stream, TN_READABLE);
        tt_check(++t->in_a_row <= TNI_BUDGET);
    }
    return 0;
}

static void stop_taking(tn_future *self)
{
    tn_future_drop(&((taker *)(void *)self)->ready.base);
}

static void *take_all(void *arg)
{
    static const tn_future_ops ops = {take, stop_taking, "bytes"};
    static const char bytes[BYTES];
    taker t = {.base = {&ops}, .left = BYTES};
    tn_stream *ends[2];
    tn_task *task;

    ns_unix_pair(ends);
    t.stream = ends[1];
    tt_check_eq(tn_write_all(ends[0], bytes, BYTES), 0);
    tn_ready_init(&t.ready, t.stream, TN_READABLE);
    tt_check_eq(tn_spawn_future(NULL, NULL, &task, &t.base), 0);
    tt_check_eq((intptr_t)tt_join(task), 0);
    ns_close_pair(ends);
    return arg;
}

Test(ready_in_time, polls_of_a_stream_that_is_always_ready_let_others_run)
{
    tt_run(take_all, NULL);
}

static void wait_each(tn_session *session, tn_stream *stream, void *arg)
{
    (void)stream;
    tt_check_eq(tn_session_wait_request(session), 0); /* the first bytes, which stay */
    for (int units = 0; units <= TNI_BUDGET; units++) {
        tn_scope scope;
        spend(units);
        tn_scope_enter(&scope, PAST_NS);
        tt_check_eq(tn_session_wait_request(session), 0);
        tn_scope_leave(&scope);
    }
    ss_drain(arg);
}

static void *wait_for_requests(void *arg)
{
    ss_server server;
    tn_stream *client;

    ss_open(&server, wait_each, &server);
    ss_start(&server);
    client = ss_connect(&server);
    ss_send(client);
    tt_check_eq(ss_join(&server), 0);
    tt_check_eq(server.result.finished, 1);
    tn_stream_close(client);
    return arg;
}

Test(ready_in_time, request)
{
    tt_run(wait_for_requests, NULL);
}

/* A child that has ended, and a pipe with bytes. */
static void *wait_for_child(void *arg)
{
    tn_process_options options = tn_process_options_default();
    tn_process *process;
    char byte;
    tn_io out;

    options.out = TN_PROCESS_PIPE;
    process = ps_start("printf %200s x", &options);
    out = tn_process_take_pipe(process, 1);
    tt_check_eq(tn_process_wait(process, NULL), 0);
    tt_check_eq(tn_io_wait(out, TN_READABLE), 0);
    for (int units = 0; units <= TNI_BUDGET; units++) {
        tn_scope scope;
        spend(units);
        tn_scope_enter(&scope, PAST_NS);
        tt_check_eq(tn_process_wait(process, NULL), 0);
        tn_scope_leave(&scope);
        spend(units);
        tn_scope_enter(&scope, PAST_NS);
        tt_check_eq(tn_io_read(out, &byte, 1), 1);
        tn_scope_leave(&scope);
    }
    tn_io_close(out);
    tn_process_close(process);
    return arg;
}

Test(ready_in_time, child)
{
    tt_run(wait_for_child, NULL);
    ps_expect_no_children();
}
