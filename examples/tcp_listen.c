/* SPDX-License-Identifier: MIT */
/* A listening socket without tournant; see tcp_listen.h. */
#include "tcp_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BACKLOG = 4096, PAUSE_MIN_MS = 10, PAUSE_MAX_MS = 1000 };

int tcp_listen(const server_options *options)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)options->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof address;
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
        server_cannot_listen(options, strerror(errno));
        exit(1);
    }
    fprintf(stderr, "%s: listening on http://127.0.0.1:%u/\n", options->name, (unsigned)ntohs(address.sin_port));
    return fd;
}

static void pause_ms(unsigned ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

int tcp_accept(const server_options *options, int listener, int flags)
{
    unsigned ms = 0;
    int on = 1;
    int fd;

    while ((fd = accept4(listener, NULL, NULL, flags | SOCK_CLOEXEC)) < 0) {
        if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
            continue; /* an error of that connection only */
        if (ms == 0)
            fprintf(stderr, "%s: accept: %s; new connections wait\n", options->name, strerror(errno));
        ms = ms == 0 ? PAUSE_MIN_MS : ms * 2 < PAUSE_MAX_MS ? ms * 2 : PAUSE_MAX_MS;
        pause_ms(ms);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails if the connection is gone: then read fails too */
    return fd;
}
