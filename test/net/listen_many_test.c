/* SPDX-License-Identifier: MIT */
/* Several listeners on one port, and listeners of descriptors that were made elsewhere. */
/* ctest: timeout=120 */
#include <netinet/in.h>
#include <sys/un.h>

#include <tn.h>

#include "net_support.h"

enum { LISTENERS = 4, CONNECTIONS = 200 };

/* --- One port -------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_listener *listener;
    unsigned accepted;
} acceptor;

static void *accept_all(void *arg)
{
    acceptor *self = arg;
    tn_stream *conn;
    int rc;

    while ((rc = tn_accept(self->listener, &conn)) == 0) {
        self->accepted++;
        tt_check_eq(tn_write(conn, "a", 1), 1);
        tn_stream_close(conn);
    }
    tt_check_eq(rc, TN_EBADF);
    tn_listener_release(self->listener);
    return NULL;
}

static void expect_service(const char *address, int connections)
{
    for (int i = 0; i < connections; i++) {
        tn_stream *client;
        char byte;
        tt_check_eq(tn_tcp_connect(NULL, &client, address), 0);
        tt_check_eq(tn_read(client, &byte, 1), 1);
        tn_stream_close(client);
    }
}

static void *one_port(void *arg)
{
    tn_listener *listeners[LISTENERS];
    acceptor acceptors[LISTENERS];
    tn_task *tasks[LISTENERS];
    char address[TN_ADDRESS_SIZE];
    char other[TN_ADDRESS_SIZE];
    unsigned accepted = 0;
    unsigned busy = 0;

    tt_check_eq(tn_tcp_listen_shared(listeners, LISTENERS, "127.0.0.1:0", NULL), 0);
    tt_check_eq(tn_listener_address(listeners[0], address, sizeof address), 0);
    for (int i = 0; i < LISTENERS; i++) {
        tt_check_eq(tn_listener_address(listeners[i], other, sizeof other), 0);
        tt_check_eq(strcmp(address, other), 0);
        acceptors[i] = (acceptor){tn_listener_retain(listeners[i]), 0};
        tasks[i] = tt_spawn(accept_all, &acceptors[i]);
    }
    expect_service(address, CONNECTIONS);
    for (int i = 0; i < LISTENERS; i++)
        tn_listener_close(listeners[i]);
    for (int i = 0; i < LISTENERS; i++) {
        tt_join(tasks[i]);
        accepted += acceptors[i].accepted;
        busy += acceptors[i].accepted > 0;
    }
    tt_check_eq(accepted, CONNECTIONS);
    tt_check(busy > 1); /* the kernel chooses by the addresses: with 200 connections it does not choose one alone */
    return arg;
}

Test(listen_many, connections_spread_over_the_listeners_of_a_port)
{
    tt_run(one_port, NULL);
}

/* The port is free when all are closed, and new connections go to the others while one is closed. */
static void *closed_one_by_one(void *arg)
{
    tn_listener *listeners[2];
    acceptor last;
    tn_task *task;
    char address[TN_ADDRESS_SIZE];
    tn_listener *again;

    tt_check_eq(tn_tcp_listen_shared(listeners, 2, "127.0.0.1:0", NULL), 0);
    tt_check_eq(tn_listener_address(listeners[0], address, sizeof address), 0);
    tn_listener_close(listeners[0]); /* it has not waited, so its socket is closed at once */
    last = (acceptor){tn_listener_retain(listeners[1]), 0};
    task = tt_spawn(accept_all, &last);
    expect_service(address, 50);
    tt_check_eq(tn_tcp_listen(&again, address, NULL), TN_EADDRINUSE);
    tn_listener_close(listeners[1]);
    tt_join(task);
    tt_check_eq(last.accepted, 50);
    return arg;
}

Test(listen_many, the_others_go_on)
{
    ns_log log;

    ns_run_logged(&log, closed_one_by_one, NULL);
    cr_assert_eq(log.lines, 1);
}

static void *refused(void *arg)
{
    tn_listener *listeners[2] = {NULL, NULL};
    tn_listen_options options = tn_listen_options_default();
    char address[TN_ADDRESS_SIZE];
    tn_listener *alone = ns_listen(address);
    unsigned files = tt_files();

    tt_check_eq(tn_tcp_listen_shared(listeners, 0, "127.0.0.1:0", NULL), TN_EINVAL);
    tt_check_eq(tn_tcp_listen_shared(listeners, 2, "nonsense", NULL), TN_EINVAL);
    tt_check_eq(tn_tcp_listen_shared(listeners, 2, address, NULL), TN_EADDRINUSE); /* of one that does not share */
    options.backlog = -1;
    tt_check_eq(tn_tcp_listen_shared(listeners, 2, address, &options), TN_EINVAL);
    tt_check_eq(tt_files(), files);
    tn_listener_close(alone);
    return arg;
}

Test(listen_many, refuses)
{
    ns_log log;

    ns_run_logged(&log, refused, NULL);
    cr_assert_eq(log.lines, 3, "%s", log.text);
}

/* --- Inherited ------------------------------------------------------------------------------------------------------------- */

static int listening_socket(struct sockaddr *address, socklen_t size)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    tt_check_eq(bind(fd, address, size), 0);
    tt_check_eq(listen(fd, 16), 0);
    return fd;
}

static void *inherited_tcp(void *arg)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = listening_socket((struct sockaddr *)&any, sizeof any);
    char address[TN_ADDRESS_SIZE];
    acceptor self = {NULL, 0};
    tn_listener *listener;
    tn_task *task;

    tt_check_eq(tn_listener_open(NULL, &listener, fd), 0);
    tt_check_eq(tn_listener_fd(listener), fd);
    tt_check_eq(tn_listener_address(listener, address, sizeof address), 0);
    self.listener = tn_listener_retain(listener);
    task = tt_spawn(accept_all, &self);
    expect_service(address, 20);
    tn_listener_close(listener);
    tt_join(task);
    tt_check_eq(self.accepted, 20);
    return arg;
}

Test(listen_many, an_inherited_socket)
{
    tt_run(inherited_tcp, NULL);
}

static void *inherited_unix(void *arg)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    tn_listener *listener;
    tn_stream *ends[2];

    snprintf(local.sun_path, sizeof local.sun_path, "/tmp/tn-listen-many-%d", (int)getpid());
    tt_check_eq(tn_listener_open(NULL, &listener, listening_socket((struct sockaddr *)&local, sizeof local)), 0);
    tt_check_eq(tn_unix_connect(NULL, &ends[0], local.sun_path), 0);
    tt_check_eq(tn_accept(listener, &ends[1]), 0);
    ns_close_pair(ends);
    tn_listener_close(listener);
    tt_check_eq(access(local.sun_path, F_OK), 0); /* its path is the supervisor's */
    tt_check_eq(unlink(local.sun_path), 0);
    return arg;
}

Test(listen_many, the_path_of_an_inherited_socket_stays)
{
    tt_run(inherited_unix, NULL);
}

static void *not_listening(void *arg)
{
    int stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    tn_listener *listener;

    tt_check_eq(tn_listener_open(NULL, &listener, stream), TN_EINVAL);
    tt_check_eq(tn_listener_open(NULL, &listener, datagrams), TN_EINVAL);
    tt_check_eq(tn_listener_open(NULL, &listener, STDIN_FILENO), TN_EINVAL);
    tt_check_eq(tn_listener_open(NULL, &listener, -1), TN_EINVAL);
    tt_check_eq(close(stream), 0); /* they are still the caller's */
    tt_check_eq(close(datagrams), 0);
    return arg;
}

Test(listen_many, what_does_not_listen_is_refused)
{
    ns_log log;

    ns_run_logged(&log, not_listening, NULL);
    cr_assert_eq(log.lines, 4);
    cr_assert_not_null(strstr(log.text, "that listens"), "%s", log.text);
}
