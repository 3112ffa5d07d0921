/* SPDX-License-Identifier: MIT */
/* epoll_server: the HTTP server of the examples on a bare epoll loop a thread: the limit that the runtime is compared with.
 *
 * Everything that costs a system call is done once: each connection is registered once, edge-triggered, for reading and writing,
 * and lives on one thread; a request is one epoll_wait (shared by all connections that are ready), one recv and one send. A short
 * read ends the reading, without the recv that would answer EAGAIN.
 *
 * The main thread accepts, blocking, and deals connections out in turn. Neither SO_REUSEPORT (a hash: 64 connections on two
 * threads fall as unevenly as 26 to 38) nor one listener with EPOLLEXCLUSIVE (the thread that wakes first drains the queue)
 * spreads them evenly, and the fullest thread sets the result. The steady state is the same, without a listener in the loops.
 *
 * Run:   epoll_server --port 8080 --threads 2
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"
#include "server_options.h"
#include "tcp_listen.h"

enum {
    EVENTS_MAX = 512,
    READS_MAX = 16,                  /* of one connection, before the others get their turn */
    DRAIN_MAX = 64 * HTTP_READ_SIZE, /* thrown away after garbage, before the connection is closed */
    WATCHED = EPOLLIN | EPOLLOUT | EPOLLRDHUP,
    ENDED = EPOLLRDHUP | EPOLLHUP | EPOLLERR, /* an end may be behind a short read, and is not reported again */
};

/* What a client that does not read has made us keep: the rest of the output, and the input that was not parsed yet. */
struct stall {
    size_t out_at;
    size_t out_size;
    size_t in_at;
    size_t in_size;
    char out[HTTP_OUTPUT_MAX];
    char in[HTTP_READ_SIZE];
};

struct connection {
    int fd;
    bool lingering; /* the last answer is out; what still comes is thrown away */
    size_t drained;
    struct stall *stall;
    http_session session;
};

struct loop {
    pthread_t thread;
    int epoll_fd;
    char in[HTTP_READ_SIZE];
    char out[HTTP_OUTPUT_MAX];
};

enum outcome { GO_ON, WAIT, FINISHED };

static void connection_free(struct connection *conn)
{
    close(conn->fd); /* takes it out of the epoll too */
    free(conn->stall);
    free(conn);
}

/* How much of `data` the socket took: less than `size` when it is full. -1: the connection is dead. */
static ssize_t send_some(int fd, const char *data, size_t size)
{
    size_t sent = 0;

    while (sent < size) {
        ssize_t n = send(fd, data + sent, size - sent, MSG_NOSIGNAL);

        if (n > 0)
            sent += (size_t)n;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            return -1;
    }
    return (ssize_t)sent;
}

static enum outcome stall(struct connection *conn, const char *out, size_t out_size, const char *in, size_t in_size)
{
    struct stall *stall = conn->stall != NULL ? conn->stall : malloc(sizeof *stall);

    if (stall == NULL)
        return FINISHED;
    conn->stall = stall;
    memmove(stall->out, out, out_size); /* `in` may be the stall's own */
    memmove(stall->in, in, in_size);
    stall->out_at = stall->in_at = 0;
    stall->out_size = out_size;
    stall->in_size = in_size;
    return WAIT;
}

/* The last answer is out. Unread bytes would turn the close into a reset, which takes the answer from the client. */
static enum outcome finish(struct connection *conn, bool more_coming)
{
    if (!more_coming)
        return FINISHED;
    shutdown(conn->fd, SHUT_WR);
    conn->lingering = true;
    return GO_ON;
}

static enum outcome answer(struct loop *loop, struct connection *conn, const char *in, size_t in_size)
{
    http_session *session = &conn->session;
    size_t used = 0;

    while (used < in_size && !session->closing) {
        used += http_feed(session, in + used, in_size - used);
        size_t out_size = http_take(session, loop->out);
        ssize_t sent = out_size == 0 ? 0 : send_some(conn->fd, loop->out, out_size);

        if (sent < 0)
            return FINISHED;
        if ((size_t)sent < out_size)
            return stall(conn, loop->out + sent, out_size - (size_t)sent, in + used, in_size - used);
    }
    return session->closing ? finish(conn, session->failed || used < in_size) : GO_ON;
}

/* A socket that was full may take more. */
static enum outcome go_on_after_stall(struct loop *loop, struct connection *conn)
{
    struct stall *stall = conn->stall;
    ssize_t sent = send_some(conn->fd, stall->out + stall->out_at, stall->out_size - stall->out_at);

    if (sent < 0)
        return FINISHED;
    stall->out_at += (size_t)sent;
    if (stall->out_at < stall->out_size)
        return WAIT;
    if (conn->session.closing)
        return finish(conn, conn->session.failed || stall->in_size > 0);
    enum outcome outcome = answer(loop, conn, stall->in, stall->in_size);
    if (outcome == GO_ON) {
        conn->stall = NULL;
        free(stall);
    }
    return outcome;
}

static enum outcome read_all(struct loop *loop, struct connection *conn, unsigned events)
{
    struct epoll_event again = {.events = WATCHED | EPOLLET, .data.ptr = conn};

    for (int i = 0; i < READS_MAX; i++) {
        ssize_t n = recv(conn->fd, loop->in, sizeof loop->in, 0);
        enum outcome outcome = GO_ON;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return WAIT;
        if (n <= 0)
            return FINISHED;
        if (conn->lingering)
            outcome = (conn->drained += (size_t)n) < DRAIN_MAX ? GO_ON : FINISHED;
        else
            outcome = answer(loop, conn, loop->in, (size_t)n);
        if (outcome != GO_ON)
            return outcome;
        if ((size_t)n < sizeof loop->in && !(events & ENDED))
            return WAIT;
    }
    /* There is more: be told again after the others. */
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, conn->fd, &again) == 0 ? WAIT : FINISHED;
}

static void on_event(struct loop *loop, struct connection *conn, unsigned events)
{
    enum outcome outcome = conn->stall != NULL ? go_on_after_stall(loop, conn) : GO_ON;

    if (outcome == GO_ON)
        outcome = read_all(loop, conn, events);
    if (outcome == FINISHED)
        connection_free(conn);
}

static void *run_loop(void *arg)
{
    struct loop *loop = arg;
    struct epoll_event events[EVENTS_MAX];

    for (;;) {
        int count = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, -1);

        for (int i = 0; i < count; i++)
            on_event(loop, events[i].data.ptr, events[i].events);
    }
    return NULL;
}

/* From here on the connection belongs to the loop's thread. */
static void give(struct loop *loop, int fd)
{
    struct connection *conn = calloc(1, sizeof *conn);
    struct epoll_event event = {.events = WATCHED | EPOLLET, .data.ptr = conn};

    if (conn == NULL) {
        close(fd);
        return;
    }
    conn->fd = fd;
    http_session_init(&conn->session);
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        connection_free(conn);
}

static struct loop *start_loops(const server_options *options)
{
    struct loop *loops = calloc(options->workers, sizeof *loops);

    for (unsigned i = 0; loops != NULL && i < options->workers; i++) {
        loops[i].epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        int rc = loops[i].epoll_fd < 0 ? errno : pthread_create(&loops[i].thread, NULL, run_loop, &loops[i]);

        if (rc != 0) {
            fprintf(stderr, "%s: cannot start thread %u: %s; try fewer with --threads N\n", options->name, i + 1, strerror(rc));
            exit(1);
        }
    }
    return loops;
}

int main(int argc, char **argv)
{
    server_options options = {
        .name = "epoll_server",
        .summary = "an HTTP server on a bare epoll loop a thread, to compare http_server with",
        .workers_option = "threads",
        .workers_help = "run N event loops, a thread each",
        .port = 8080,
    };
    cpu_set_t cpus;

    server_options_parse(&options, argc, argv);
    if (options.workers == 0)
        options.workers = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus) : 1;
    struct loop *loops = start_loops(&options);
    if (loops == NULL) {
        fprintf(stderr, "%s: no memory for %u threads\n", options.name, options.workers);
        return 1;
    }
    int listener = tcp_listen(&options);
    for (unsigned next = 0;; next = (next + 1) % options.workers)
        give(&loops[next], tcp_accept(&options, listener, SOCK_NONBLOCK));
}
