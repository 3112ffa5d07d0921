/* SPDX-License-Identifier: MIT */
/* plain_epoll_server: the fixed HTTP answer on a bare epoll loop a thread: what the system itself costs.
 *
 * Each connection is registered once, edge-triggered, and lives on one thread; a request is one epoll_wait (shared by all
 * connections that are ready), one recv and one send; a short read ends the reading. The main thread accepts and deals
 * connections out in turn (why: see ../epoll_server.c). What an answer cannot be written at once, which no load generator here
 * provokes, ends the connection.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "fixed.h"
#include "tcp_listen.h"

enum { EVENTS_MAX = 512 };

typedef struct {
    int fd;
    unsigned matched;
} connection;

typedef struct {
    pthread_t thread;
    int epoll_fd;
    connection timer; /* of a loop that blocks */
} loop;

static fixed_options options;
static loop *loops;

static void close_connection(connection *conn)
{
    close(conn->fd); /* takes it out of the epoll too */
    free(conn);
}

static bool answer(const connection *conn, size_t count)
{
    fixed_block_some(&options, count);
    while (count > 0) {
        size_t now = count < FIXED_REQUESTS_MAX ? count : FIXED_REQUESTS_MAX;
        ssize_t n = send(conn->fd, fixed_answers, now * FIXED_ANSWER_SIZE, MSG_NOSIGNAL);

        if (n != (ssize_t)(now * FIXED_ANSWER_SIZE))
            return false;
        count -= now;
    }
    return true;
}

/* An end may be behind a short read, and is not reported again: then it reads on. */
static void on_readable(connection *conn, bool ended)
{
    char buf[FIXED_READ_SIZE];
    ssize_t n;

    do {
        n = recv(conn->fd, buf, sizeof buf, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0 || !answer(conn, fixed_count_requests(&conn->matched, buf, (size_t)n))) {
            close_connection(conn);
            return;
        }
    } while (ended || n == (ssize_t)sizeof buf);
}

/* The loop's blocking task: a callback of a timer. */
static void on_timer(const connection *timer)
{
    struct itimerspec again = {.it_value = {.tv_nsec = FIXED_BLOCK_MS * 1000000L}};
    uint64_t expired;

    if (read(timer->fd, &expired, sizeof expired) < 0)
        return;
    fixed_block_thread(options.block);
    timerfd_settime(timer->fd, 0, &again, NULL);
}

static void *run_loop(void *arg)
{
    loop *self = arg;
    struct epoll_event events[EVENTS_MAX];

    for (;;) {
        int count = epoll_wait(self->epoll_fd, events, EVENTS_MAX, -1);

        for (int i = 0; i < count; i++) {
            connection *conn = events[i].data.ptr;
            if (conn == &self->timer)
                on_timer(conn);
            else
                on_readable(conn, (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
        }
    }
    return NULL;
}

static int watch(const loop *self, connection *conn)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = conn};

    return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event);
}

static int start_loop(loop *self)
{
    struct itimerspec first = {.it_value = {.tv_nsec = 1}};

    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll_fd < 0)
        return -1;
    if (fixed_has_blocking_tasks(&options)) {
        self->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        if (self->timer.fd < 0 || watch(self, &self->timer) < 0 || timerfd_settime(self->timer.fd, 0, &first, NULL) < 0)
            return -1;
    }
    return pthread_create(&self->thread, NULL, run_loop, self) == 0 ? 0 : -1;
}

static void give(const loop *self, int fd)
{
    connection *conn = calloc(1, sizeof *conn);

    if (conn == NULL) {
        close(fd);
        return;
    }
    conn->fd = fd;
    if (watch(self, conn) < 0)
        close_connection(conn);
}

int main(int argc, char **argv)
{
    server_options accepting = {.name = "epoll"};
    int listener;

    options = fixed_parse("epoll", argc, argv);
    loops = calloc(options.workers, sizeof *loops);
    for (unsigned i = 0; i < options.workers; i++)
        if (loops == NULL || start_loop(&loops[i]) < 0) {
            fprintf(stderr, "epoll: cannot start loop %u: %s\n", i + 1, strerror(errno));
            return 1;
        }
    listener = fixed_listen(&options);
    for (unsigned next = 0;; next = (next + 1) % options.workers)
        give(&loops[next], tcp_accept(&accepting, listener, SOCK_NONBLOCK));
}
