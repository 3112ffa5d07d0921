/* SPDX-License-Identifier: MIT */
/* Each allocation, each system call and each start of a thread that a function of net makes fails in turn: listeners, streams,
 * their futures, servers, and services of systemd. */
#include <netinet/in.h>
#include <sys/un.h>

#include <tn.h>

#include "net_support.h"
#include "support/each_failure.h"

static char folder[] = "/tmp/tn-each-connection-XXXXXX";
static char path[sizeof folder + 10];

/* 0: `result` is `wanted`; or the error that it is. */
static int expect(int64_t result, int64_t wanted)
{
    tt_check(result < 0 || result == wanted);
    return result < 0 ? (int)result : 0;
}

/* --- A server and its client: one of them meets the failure, and the other one the end of the connection ----------------- */

typedef struct {
    tn_listener *listener;
    int (*talk)(tn_stream *stream);
    int rc;
} server;

static bool is_consequence(int rc)
{
    return rc == TN_ECANCELED || rc == TN_EBADMSG || rc == TN_ECONNRESET || rc == TN_EPIPE || rc == TN_ENOTCONN;
}

/* After an error it accepts again, and only closes: the client would wait for ever. */
static void *accept_one(void *arg)
{
    server *self = arg;
    tn_stream *stream;
    int rc = tn_accept(self->listener, &stream);

    if (rc == 0) {
        self->rc = self->talk(stream);
        tn_stream_close(stream);
        return NULL;
    }
    self->rc = rc;
    if (rc != TN_ECANCELED && tn_accept(self->listener, &stream) == 0)
        tn_stream_close(stream);
    return NULL;
}

static int serve(tn_stream *stream)
{
    char buf[4];
    size_t done = 0;
    int rc = tn_read_exact(stream, buf, 4, &done);

    return rc == 0 ? tn_write_all(stream, buf, 4) : rc;
}

static int ask(tn_stream *stream)
{
    struct iovec two[2] = {{(char[]){"so"}, 2}, {(char[]){"up"}, 2}};
    char buf[4];
    size_t done = 0;
    int rc = tn_writev_all(stream, two, 2);

    rc = rc == 0 ? tn_wait_readable(stream) : rc;
    rc = rc == 0 ? tn_read_exact(stream, buf, 4, &done) : rc;
    tt_check(rc != 0 || memcmp(buf, "soup", 4) == 0);
    return rc;
}

/* `finish`: in order, which takes the peer's end. */
static int connect_to(server *peer, const char *address, int (*talk)(tn_stream *stream), bool finish)
{
    tn_stream *stream;
    tn_task *task;
    int rc = tn_spawn(&task, accept_one, peer);

    if (rc != 0)
        return rc;
    rc = address[0] == '/' ? tn_unix_connect(NULL, &stream, address) : tn_tcp_connect(NULL, &stream, address);
    if (rc == 0) {
        int closed = 0;
        rc = talk(stream);
        if (finish)
            closed = tn_stream_finish(stream);
        else
            tn_stream_close(stream);
        rc = rc == 0 ? closed : rc;
    } else {
        tn_cancel(task);
    }
    tt_check_eq(tn_join(task, NULL), 0);
    return peer->rc != 0 && (rc == 0 || !is_consequence(peer->rc)) ? peer->rc : rc;
}

static int use_connection(void)
{
    server peer = {.talk = serve};
    char address[TN_ADDRESS_SIZE];
    int rc = tn_tcp_listen(&peer.listener, "127.0.0.1:0", NULL);

    if (rc != 0)
        return rc;
    rc = tn_listener_address(peer.listener, address, sizeof address);
    rc = rc == 0 ? connect_to(&peer, address, ask, true) : rc;
    tn_listener_close(peer.listener);
    return rc;
}

/* A name has more than one address. */
static int use_connection_by_name(void)
{
    server peer = {.talk = serve};
    char address[TN_ADDRESS_SIZE];
    char name[40];
    int rc = tn_tcp_listen(&peer.listener, "127.0.0.1:0", NULL);

    if (rc != 0)
        return rc;
    rc = tn_listener_address(peer.listener, address, sizeof address);
    if (rc == 0) {
        (void)snprintf(name, sizeof name, "localhost%s", strrchr(address, ':'));
        rc = connect_to(&peer, name, ask, true);
    }
    tn_listener_close(peer.listener);
    return rc;
}

static int use_unix_connection(void)
{
    server peer = {.talk = serve};
    int rc = tn_unix_listen(&peer.listener, path, NULL);

    if (rc == 0) {
        rc = connect_to(&peer, path, ask, false);
        tn_listener_close(peer.listener);
    }
    (void)syscall(SYS_unlink, path);
    return rc;
}

/* --- One stream ---------------------------------------------------------------------------------------------------------- */

static int set_and_ask(tn_stream *stream)
{
    char address[TN_ADDRESS_SIZE];
    int rc = tn_stream_set_nodelay(stream, true);

    rc = rc == 0 ? tn_stream_set_keepalive(stream, 30) : rc;
    rc = rc == 0 ? tn_stream_local_address(stream, address, sizeof address) : rc;
    return rc == 0 ? tn_stream_peer_address(stream, address, sizeof address) : rc;
}

static int wait_for_end(tn_stream *stream)
{
    char byte;

    return expect(tn_read(stream, &byte, 1), 0);
}

static int use_options(void)
{
    server peer = {.talk = wait_for_end};
    char address[TN_ADDRESS_SIZE];
    int rc = tn_tcp_listen(&peer.listener, "127.0.0.1:0", NULL);

    if (rc != 0)
        return rc;
    rc = tn_listener_address(peer.listener, address, sizeof address);
    rc = rc == 0 ? connect_to(&peer, address, set_and_ask, false) : rc;
    tn_listener_close(peer.listener);
    return rc;
}

/* Two streams, by descriptors that the program has opened. */
static int open_pair(tn_stream *ends[2])
{
    int fds[2];
    int rc;

    tt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    rc = tn_stream_open(NULL, &ends[0], fds[0]);
    if (rc != 0) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        return rc;
    }
    rc = tn_stream_open(NULL, &ends[1], fds[1]);
    if (rc != 0) {
        (void)close(fds[1]);
        tn_stream_close(ends[0]);
    }
    return rc;
}

static int talk_in_turn(tn_stream *a, tn_stream *b)
{
    struct iovec two[2] = {{(char[]){"ab"}, 2}, {(char[]){"cd"}, 2}};
    tn_peer_credentials peer;
    char buf[4];
    int rc = expect(tn_write(a, "ab", 2), 2);

    rc = rc == 0 ? expect(tn_read(b, buf, 4), 2) : rc;
    rc = rc == 0 ? expect(tn_writev(a, two, 2), 4) : rc;
    rc = rc == 0 ? expect(tn_readv(b, two, 2), 4) : rc;
    rc = rc == 0 ? expect(tn_try_write(a, "ab", 2), 2) : rc;
    rc = rc == 0 ? expect(tn_try_read(b, buf, 4), 2) : rc;
    rc = rc == 0 ? tn_stream_peer_credentials(a, &peer) : rc;
    return rc == 0 ? tn_stream_shutdown_write(a) : rc;
}

static int use_stream(void)
{
    tn_stream *ends[2];
    int rc = open_pair(ends);

    if (rc != 0)
        return rc;
    rc = talk_in_turn(ends[0], ends[1]);
    tn_stream_close(ends[0]);
    tn_stream_close(ends[1]);
    return rc;
}

static int send_file(tn_stream *to)
{
    tn_file *file;
    int rc = tn_file_open(&file, "/proc/self/exe", O_RDONLY, 0);

    if (rc != 0)
        return rc;
    rc = expect(tn_sendfile(to, file, 0, 1000), 1000);
    tn_file_close(file);
    return rc;
}

static int use_sendfile(void)
{
    tn_stream *ends[2];
    int rc = open_pair(ends);

    if (rc != 0)
        return rc;
    rc = send_file(ends[0]);
    tn_stream_close(ends[0]);
    tn_stream_close(ends[1]);
    return rc;
}

/* --- Futures ------------------------------------------------------------------------------------------------------------- */

static int talk_by_futures(tn_stream *a, tn_stream *b)
{
    tn_ready_future ready;
    tn_write_future write;
    tn_read_future read;
    char buf[4];
    int rc;

    tn_write_init(&write, a, "ab", 2);
    rc = expect(tn_await(&write.base), 2);
    tn_ready_init(&ready, b, TN_READABLE);
    rc = rc == 0 ? tn_await(&ready.base) : rc;
    tn_read_init(&read, b, buf, sizeof buf);
    rc = rc == 0 ? expect(tn_await(&read.base), 2) : rc;
    tn_write_all_init(&write, a, "ab", 2);
    return rc == 0 ? tn_await(&write.base) : rc;
}

static int use_stream_futures(void)
{
    tn_stream *ends[2];
    int rc = open_pair(ends);

    if (rc != 0)
        return rc;
    rc = talk_by_futures(ends[0], ends[1]);
    tn_stream_close(ends[0]);
    tn_stream_close(ends[1]);
    return rc;
}

static int use_accept_future(void)
{
    char address[TN_ADDRESS_SIZE];
    tn_accept_future accept;
    tn_listener *listener;
    tn_stream *ends[2];
    int rc = tn_tcp_listen(&listener, "127.0.0.1:0", NULL);

    if (rc != 0)
        return rc;
    rc = tn_listener_address(listener, address, sizeof address);
    rc = rc == 0 ? tn_tcp_connect(NULL, &ends[0], address) : rc;
    if (rc == 0) {
        tn_accept_init(&accept, listener, &ends[1]);
        rc = tn_await(&accept.base);
        if (rc == 0)
            tn_stream_close(ends[1]);
        tn_stream_close(ends[0]);
    }
    tn_listener_close(listener);
    return rc;
}

/* --- Listeners ----------------------------------------------------------------------------------------------------------- */

static int use_shared_listeners(void)
{
    tn_listener *listeners[3];
    tn_stream *stream;
    int rc = tn_tcp_listen_shared(listeners, 3, "127.0.0.1:0", NULL);

    if (rc != 0)
        return rc;
    rc = tn_try_accept(listeners[0], &stream);
    for (unsigned i = 0; i < 3; i++)
        tn_listener_close(listeners[i]);
    return rc == TN_EAGAIN ? 0 : rc;
}

/* A socket that listens, made without calls that fail. */
static int listening_socket(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    tt_check(fd >= 0);
    tt_check(syscall(SYS_bind, fd, &address, sizeof address) == 0);
    tt_check(syscall(SYS_listen, fd, 5) == 0);
    return fd;
}

/* A descriptor that could not be taken over is still open. */
static int use_descriptor(void)
{
    tn_listener *listener;
    int fd = listening_socket();
    int rc = tn_listener_open(NULL, &listener, fd);

    if (rc == 0)
        tn_listener_close(listener);
    else
        tt_check(close(fd) == 0);
    return rc;
}

/* --- Servers ------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_listener *listener;
    tn_serve_options options;
    tn_serve_result result;
    int rc;
    int session_rc; /* of the handler; 0: it was not called */
    bool handled;
} service;

static void handle(tn_session *session, tn_stream *stream, void *arg)
{
    service *self = arg;
    int rc = tn_session_wait_request(session);

    self->handled = true;
    self->session_rc = rc == 0 ? serve(stream) : rc;
}

static void *run_service(void *arg)
{
    service *self = arg;

    self->rc = tn_serve(&self->listener, 1, handle, self, &self->options, &self->result);
    return NULL;
}

/* Asks, and ends the server whatever the result. */
static int ask_and_drain(service *self)
{
    char address[TN_ADDRESS_SIZE];
    tn_stream *stream;
    tn_task *task;
    int rc = tn_listener_address(self->listener, address, sizeof address);

    if (rc == 0)
        rc = tn_spawn(&task, run_service, self);
    if (rc != 0) {
        tn_listener_close(self->listener);
        return rc;
    }
    rc = tn_tcp_connect(NULL, &stream, address);
    if (rc == 0) {
        rc = ask(stream);
        tn_stream_close(stream);
    }
    tn_cancel_token_cancel(self->options.drain);
    tt_check_eq(tn_join(task, NULL), 0);
    tt_check_eq(self->result.left, 0);
    if (self->rc != 0)
        return self->rc;
    /* A connection is closed if it gets no session, or if the session cannot wait for its first bytes. */
    tt_check_eq(self->result.accepted + self->result.refused, self->handled || is_consequence(rc));
    return is_consequence(rc) && (!self->handled || self->session_rc != 0) ? self->session_rc : rc;
}

static int use_server(void)
{
    service self = {.options = tn_serve_options_default()};
    int rc = tn_tcp_listen(&self.listener, "127.0.0.1:0", NULL);

    if (rc != 0)
        return rc;
    self.options.backlog_ns = self.options.grace_ns = TN_MS;
    rc = tn_cancel_token_create(&self.options.drain, NULL, &memory.as_option);
    if (rc != 0) {
        tn_listener_close(self.listener);
        return rc;
    }
    rc = ask_and_drain(&self);
    tn_cancel_token_release(self.options.drain);
    return rc;
}

/* --- Services of systemd ------------------------------------------------------------------------------------------------- */

enum { FIRST = 3, KEPT = 200 }; /* the first descriptor that a service is given; that one's place meanwhile */

static int manager; /* receives what a service reports */

static int use_given_listeners(void)
{
    tn_listener *listeners[2];
    int count = tn_systemd_listeners(NULL, NULL, listeners, 2);

    if (count < 0)
        return count;
    tt_check_eq(count, 1);
    tn_listener_close(listeners[0]);
    return 0;
}

static int use_reports(void)
{
    char text[200];
    int rc = expect(tn_systemd_ready(), 1);

    rc = rc == 0 ? expect(tn_systemd_reloading(), 1) : rc;
    rc = rc == 0 ? expect(tn_systemd_status("%d", 17), 1) : rc;
    rc = rc == 0 ? expect(tn_systemd_main_pid(1), 1) : rc;
    rc = rc == 0 ? expect(tn_systemd_stopping(), 1) : rc;
    while (syscall(SYS_read, manager, text, sizeof text) > 0)
        continue;
    return rc;
}

static void become_a_service(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listening = listening_socket();
    char text[30];

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/m", folder);
    manager = (int)syscall(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert_eq(syscall(SYS_bind, manager, &address, sizeof address), 0);
    if (listening != FIRST) { /* the test's runner uses it */
        cr_assert_eq(dup2(FIRST, KEPT), KEPT);
        cr_assert_eq(dup2(listening, FIRST), FIRST);
        (void)close(listening);
    }
    (void)snprintf(text, sizeof text, "%d", (int)getpid());
    cr_assert_eq(setenv("NOTIFY_SOCKET", address.sun_path, 1) | setenv("LISTEN_PID", text, 1) | setenv("LISTEN_FDS", "1", 1), 0);
}

static void leave_service(void)
{
    (void)close(FIRST);
    if (dup2(KEPT, FIRST) == FIRST)
        (void)close(KEPT);
    (void)close(manager);
    (void)unlink(getenv("NOTIFY_SOCKET"));
}

static const tt_function functions[] = {
    {"connection", use_connection, 0},
    {"connection by name", use_connection_by_name, 0},
    {"connection by path", use_unix_connection, 0},
    {"options", use_options, 0},
    {"stream", use_stream, 0},
    {"sendfile", use_sendfile, 0},
    {"stream futures", use_stream_futures, 0},
    {"accept future", use_accept_future, 0},
    {"shared listeners", use_shared_listeners, 0},
    {"descriptor", use_descriptor, 0},
    {"server", use_server, 0},
    {"given listeners", use_given_listeners, 0},
    {"reports", use_reports, 0},
};

static void fail_each_of(tt_failing what)
{
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/path", folder);
    become_a_service();
    tt_fail_each(what, functions, sizeof functions / sizeof functions[0]);
    leave_service();
    cr_assert_eq(rmdir(folder), 0); /* nothing else was left in it */
}

Test(each_connection_failure, of_an_allocation)
{
    fail_each_of(TT_ALLOCATION);
}

Test(each_connection_failure, of_a_system_call)
{
    fail_each_of(TT_CALL);
}

Test(each_connection_failure, of_the_start_of_a_thread)
{
    fail_each_of(TT_THREAD);
}
