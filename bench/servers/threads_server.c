/* SPDX-License-Identifier: MIT */
/* threads_server: the fixed HTTP answer with one thread a connection, which blocks in recv(). */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fixed.h"
#include "tcp_listen.h"

enum { STACK_SIZE = 64 * 1024 };

static fixed_options options;

static bool send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
    return true;
}

static bool answer(int fd, size_t count)
{
    fixed_block_some(&options, count);
    while (count > 0) {
        size_t now = count < FIXED_REQUESTS_MAX ? count : FIXED_REQUESTS_MAX;

        if (!send_all(fd, fixed_answers, now * FIXED_ANSWER_SIZE))
            return false;
        count -= now;
    }
    return true;
}

static void *session(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buf[FIXED_READ_SIZE];
    unsigned matched = 0;
    ssize_t n;

    do
        n = recv(fd, buf, sizeof buf, 0);
    while ((n < 0 && errno == EINTR) || (n > 0 && answer(fd, fixed_count_requests(&matched, buf, (size_t)n))));
    close(fd);
    return NULL;
}

static void *block(void *arg)
{
    for (;;) {
        struct timespec rest = {.tv_nsec = FIXED_BLOCK_MS * 1000000L};

        fixed_block_thread(options.block);
        nanosleep(&rest, NULL);
    }
    return arg;
}

static int start(void *(*entry)(void *), void *arg)
{
    pthread_attr_t attr;
    pthread_t thread;
    int rc;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    rc = pthread_create(&thread, &attr, entry, arg);
    pthread_attr_destroy(&attr);
    if (rc != 0)
        fprintf(stderr, "%s: cannot start a thread: %s\n", options.name, strerror(rc));
    return rc;
}

int main(int argc, char **argv)
{
    server_options accepting = {.name = "threads"};
    int listener;

    options = fixed_parse("threads", argc, argv);
    for (unsigned i = 0; i < options.workers && fixed_has_blocking_tasks(&options); i++)
        if (start(block, NULL) != 0)
            return 1;
    listener = fixed_listen(&options);
    for (;;) {
        int fd = tcp_accept(&accepting, listener, 0);

        if (start(session, (void *)(intptr_t)fd) != 0)
            close(fd);
    }
}
