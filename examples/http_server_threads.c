/* SPDX-License-Identifier: MIT */
/* http_server_threads: the same HTTP server as http_server, with one thread per connection.
 *
 * It shows what straight-line code costs without a task runtime: each connection has its own kernel thread, which blocks in
 * read. Parser and responses are the same as in http_server, so that the two can be compared (tools/demo does that).
 *
 * Run:   http_server_threads --port 8080
 * See:   http_server_threads: listening on http://127.0.0.1:8080/
 *        and with `curl -i http://127.0.0.1:8080/` the page "Hello, world!"
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"
#include "server_options.h"
#include "tcp_listen.h"

enum { STACK_SIZE = 256 * 1024 };

/* A connection is represented by its file descriptor. */
static int fd_of(void *conn)
{
    return (int)(intptr_t)conn;
}

static ssize_t socket_read(void *conn, void *buf, size_t size)
{
    ssize_t n;

    while ((n = recv(fd_of(conn), buf, size, 0)) < 0 && errno == EINTR)
        ;
    return n;
}

static int socket_write_all(void *conn, const void *buf, size_t size)
{
    const char *at = buf;

    while (size > 0) {
        ssize_t n = send(fd_of(conn), at, size, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

static void socket_shutdown_write(void *conn)
{
    shutdown(fd_of(conn), SHUT_WR);
}

static const http_io socket_io = {
    .read = socket_read,
    .write_all = socket_write_all,
    .shutdown_write = socket_shutdown_write,
};

static void *session(void *conn)
{
    http_serve(&socket_io, conn);
    close(fd_of(conn));
    return NULL;
}

int main(int argc, char **argv)
{
    server_options options = {
        .name = "http_server_threads",
        .summary = "an HTTP server with one thread per connection, to compare http_server with",
        .port = 8080,
    };
    pthread_attr_t attr;
    pthread_t thread;

    server_options_parse(&options, argc, argv);
    if (pthread_attr_init(&attr) != 0 || pthread_attr_setstacksize(&attr, STACK_SIZE) != 0 ||
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) != 0) {
        fprintf(stderr, "%s: cannot set the attributes of threads\n", options.name);
        return 1;
    }
    int listener = tcp_listen(&options);
    for (;;) {
        int fd = tcp_accept(&options, listener, 0);
        int rc = pthread_create(&thread, &attr, session, (void *)(intptr_t)fd);

        if (rc != 0) {
            fprintf(stderr, "%s: cannot start a thread for a connection: %s; it is closed\n", options.name, strerror(rc));
            close(fd);
        }
    }
}
