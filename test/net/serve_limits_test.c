/* SPDX-License-Identifier: MIT */
/* The limits of tn_serve: connections at once, silent and idle clients, tasks that wait long. */
/* ctest: timeout=120 */
#include "serve_support.h"

#define SHORT_NS (50 * TN_MS)
#define LONG_NS (60 * TN_S) /* never reached */

/* --- Limits ----------------------------------------------------------------------------------------------------------------- */

static unsigned live;
static unsigned live_max;

static void respond_counted(tn_session *session, tn_stream *stream, void *arg)
{
    unsigned now = __atomic_add_fetch(&live, 1, __ATOMIC_ACQ_REL);

    tt_check(now <= *(unsigned *)arg);
    if (now > __atomic_load_n(&live_max, __ATOMIC_RELAXED))
        __atomic_store_n(&live_max, now, __ATOMIC_RELAXED);
    ss_respond(session, stream, NULL);
    __atomic_fetch_sub(&live, 1, __ATOMIC_ACQ_REL);
}

/* The clients that are not accepted wait in the backlog, and are served when others have gone. */
static void *full(void *arg)
{
    unsigned limit = 2;
    ss_server server;
    tn_stream *clients[6];

    ss_open(&server, respond_counted, &limit);
    server.options.connections_max = limit;
    ss_start(&server);
    for (unsigned i = 0; i < 6; i++) {
        clients[i] = ss_connect(&server);
        ss_send(clients[i]);
    }
    for (unsigned i = 0; i < 6; i++) {
        tt_check_eq(ss_receive(clients[i]), SS_KEPT);
        tn_stream_close(clients[i]);
    }
    ss_drain(&server);
    tt_check_eq(ss_join(&server), 0);
    tt_check_eq(server.result.finished, 6);
    tt_check(live_max <= limit);
    return arg;
}

Test(serve_limits, a_full_server_accepts_no_more)
{
    tt_run(full, NULL);
}

static void *silent_client(void *arg)
{
    ss_server server;
    tn_stream *client;

    ss_open(&server, ss_respond, NULL);
    server.options.first_bytes_ns = SHORT_NS;
    server.options.idle_ns = LONG_NS;
    ss_start(&server);
    client = ss_connect(&server);
    tt_check_eq(ss_receive(client), 0);
    tn_stream_close(client);
    ss_drain(&server);
    tt_check_eq(ss_join(&server), 0);
    tt_check_eq(server.result.finished, 1);
    return arg;
}

Test(serve_limits, a_silent_client_is_closed)
{
    tt_run(silent_client, NULL);
}

static void *idle_client(void *arg)
{
    ss_server server;
    tn_stream *client;

    ss_open(&server, ss_respond, NULL);
    server.options.first_bytes_ns = LONG_NS;
    server.options.idle_ns = SHORT_NS;
    ss_start(&server);
    client = ss_connect(&server);
    tt_check_eq(ss_exchange(client), SS_KEPT);
    tt_check_eq(ss_receive(client), 0);
    tn_stream_close(client);
    ss_drain(&server);
    tt_check_eq(ss_join(&server), 0);
    return arg;
}

Test(serve_limits, an_idle_client_is_closed)
{
    tt_run(idle_client, NULL);
}

/* --- Overload --------------------------------------------------------------------------------------------------------------- */

enum { HOGS = 8 };

/* Keeps its worker for 3 ms at a time. */
static void *hog(void *arg)
{
    const bool *stop = arg;

    while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE)) {
        for (uint64_t end_ns = tn_now() + 3 * TN_MS; tn_now() < end_ns;)
            ;
        tt_check_eq(tn_yield(), 0);
    }
    return arg;
}

/* Returns whether a new connection gets a response. */
static bool is_served(const ss_server *server)
{
    tn_stream *client = ss_connect(server);
    char byte = SS_REQUEST;
    bool served = tn_write(client, &byte, 1) == 1 && tn_read(client, &byte, 1) == 1;

    tn_stream_close(client);
    return served;
}

static void *overload(void *arg)
{
    bool stop = false;
    ss_server server;
    tn_task *hogs[HOGS * 4];
    unsigned count = HOGS * tn_runtime_workers(tn_runtime_current());

    count = count < HOGS * 4 ? count : HOGS * 4;
    ss_open(&server, ss_respond, NULL);
    server.options.queue_delay_max_ns = TN_MS;
    ss_start(&server);
    for (unsigned i = 0; i < count; i++)
        hogs[i] = tt_spawn(hog, &stop);
    while (is_served(&server))
        ;
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < count; i++)
        tt_join(hogs[i]);
    server.options.queue_delay_max_ns = 0; /* of the test's copy */
    while (!is_served(&server))
        tt_check_eq(tn_sleep(TN_MS), 0);
    ss_drain(&server);
    tt_check_eq(ss_join(&server), 0);
    tt_check(server.result.refused > 0);
    return arg;
}

Test(serve_limits, refuses_while_tasks_wait_long)
{
    ns_log log;

    ns_run_logged(&log, overload, NULL);
    cr_assert_not_null(strstr(log.text, "new connections are refused"), "%s", log.text);
}
