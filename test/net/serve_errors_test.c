/* SPDX-License-Identifier: MIT */
/* A server while accept fails, one whose listener other processes share, and one that is abandoned. */
/* ctest: timeout=120 serial */
#include <netinet/in.h>
#include <sys/resource.h>

#include "serve_support.h"
#include "support/abandoned.h"

/* --- Out of files ----------------------------------------------------------------------------------------------------------- */

static rlim_t set_file_limit(rlim_t limit)
{
    struct rlimit files;
    rlim_t before;

    tt_check_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    before = files.rlim_cur;
    files.rlim_cur = limit;
    tt_check_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    return before;
}

typedef struct {
    ns_log log;
    bool recovers; /* before it is told to drain */
} shortage;

static void *out_of_files(void *arg)
{
    shortage *self = arg;
    ss_server server;
    tn_stream *client;
    rlim_t before;

    ss_open(&server, ss_respond, NULL);
    server.options.drain_ns = 100 * TN_MS;
    client = ss_connect(&server);
    tn_stream_close(ss_connect(&server)); /* the loops have opened their files */
    before = set_file_limit(3);
    ss_start(&server);
    ss_until(&self->log.lines, 1);
    if (self->recovers) {
        tt_check_eq(tn_sleep(50 * TN_MS), 0); /* several pauses */
        (void)set_file_limit(before);
        tt_check_eq(ss_exchange(client), SS_KEPT);
    }
    ss_drain(&server);
    tt_check_eq(ss_join(&server), 0);
    (void)set_file_limit(before);
    tt_check_eq(server.result.accepted, self->recovers ? 2 : 0);
    tn_stream_close(client);
    return NULL;
}

static void run_shortage(bool recovers)
{
    static shortage self;

    self.recovers = recovers;
    ns_run_logged(&self.log, out_of_files, &self);
    cr_assert_eq(self.log.lines, 1, "%s", self.log.text);
    cr_assert_not_null(strstr(self.log.text, "raise the limit of open files"));
}

Test(serve_errors, out_of_files_for_a_while)
{
    run_shortage(true);
}

/* The pause of the acceptor does not outlive the end. */
Test(serve_errors, out_of_files_to_the_end)
{
    run_shortage(false);
}

/* --- Shared listeners ------------------------------------------------------------------------------------------------------- */

/* What another process would have: a descriptor of the same socket. */
static void *shared(void *arg)
{
    ss_server server;
    tn_stream *client;
    int other;
    int fd;

    ss_open(&server, ss_respond, NULL);
    other = dup(tn_listener_fd(server.listener));
    server.options.shared_listeners = true;
    ss_start(&server);
    client = ss_connect(&server);
    tt_check_eq(ss_exchange(client), SS_KEPT);
    tn_stream_close(client);
    ss_drain(&server);
    tt_check_eq(ss_join(&server), 0);
    client = ss_connect(&server);
    fd = accept(other, NULL, NULL);
    tt_check(fd >= 0);
    tn_stream_close(client);
    close(fd);
    close(other);
    return arg;
}

Test(serve_errors, a_shared_listener_goes_on)
{
    tt_run(shared, NULL);
}

/* --- Other protocols -------------------------------------------------------------------------------------------------------- */

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* The kernel cannot refuse connections for MPTCP. What its backlog holds is served nevertheless. */
static void *mptcp(void *arg)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
    ss_server server;
    tn_stream *client;

    if (fd < 0)
        return arg; /* this kernel does not have it */
    ss_open(&server, ss_respond, NULL);
    tn_listener_close(server.listener);
    tt_check_eq(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    tt_check_eq(listen(fd, 16), 0);
    tt_check_eq(tn_listener_open(NULL, &server.listener, fd), 0);
    tt_check_eq(tn_listener_address(server.listener, server.address, sizeof server.address), 0);
    client = ss_connect(&server);
    ss_drain(&server);
    ss_start(&server);
    tt_check_eq(ss_exchange(client), SS_LAST);
    tn_stream_close(client);
    tt_check_eq(ss_join(&server), 0);
    tt_check_eq(server.result.finished, 1);
    return arg;
}

Test(serve_errors, the_backlog_of_mptcp_is_served)
{
    tt_run(mptcp, NULL);
}

/* --- Abandoned -------------------------------------------------------------------------------------------------------------- */

static void *serve_for_ever(void *arg)
{
    ss_server *server = arg;

    ss_open(server, ss_respond, NULL);
    (void)ss_main(server);
    tt_check(false);
    return NULL;
}

/* The caller of tn_serve, its acceptor and its probe are abandoned: all memory and files are given back. */
Test(serve_errors, an_abandoned_server_leaves_nothing)
{
    unsigned before = ns_files_of_no_runtime();
    ss_server server;
    tt_abandoned abandoned;

    tt_abandon_begin(&abandoned, serve_for_ever, &server);
    tt_abandon_end_with(&abandoned, 1);
    cr_assert_eq(atomic_load(&abandoned.allocator.blocks), 0);
    cr_assert_eq(ns_files_become(before), before);
    tn_cancel_token_release(server.drain);
    tn_cancel_token_release(server.end);
}

typedef struct {
    ss_server server;
    unsigned begun;
} with_session;

static void wait_for_ever(tn_session *session, tn_stream *stream, void *arg)
{
    (void)stream;
    __atomic_store_n(&((with_session *)arg)->begun, 1, __ATOMIC_RELEASE);
    tn_cancel_token_wait(tn_session_token(session));
    tt_check(false);
}

static void *connect_and_wait(void *arg)
{
    with_session *self = arg;
    tn_stream *client;

    ss_open(&self->server, wait_for_ever, self);
    ss_start(&self->server);
    client = ss_connect(&self->server);
    ss_send(client);
    ss_until(&self->begun, 1);
    tn_stream_close(client);
    return arg;
}

/* The same with a session that waits for its token. */
Test(serve_errors, an_abandoned_session_leaves_its_server)
{
    tn_runtime *runtime = tt_runtime_create();
    with_session self = {.begun = 0};
    tn_task *task = tt_spawn_on(runtime, connect_and_wait, &self);

    tt_join(task);
    cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, TN_MS), 3);
    tn_task_release(self.server.task);
    tn_cancel_token_release(self.server.drain);
    tn_cancel_token_release(self.server.end);
}
