/* SPDX-License-Identifier: MIT */
/* A client of the admin server, over plain sockets. */
#ifndef ADMIN_CLIENT_H
#define ADMIN_CLIENT_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <tn/admin.h>

#include "support/runtime.h"

typedef struct {
    char text[4 * 1024 * 1024];
    size_t length;
} reply;

static inline int connect_to(const tn_admin *admin)
{
    const char *address = tn_admin_address(admin);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    const struct timeval limit = {.tv_sec = 20};
    bool is_unix = strncmp(address, "unix:", 5) == 0;
    int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0);

    cr_assert_geq(fd, 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    if (is_unix) {
        (void)strncpy(un.sun_path, address + 5, sizeof un.sun_path - 1);
        cr_assert_eq(connect(fd, (const struct sockaddr *)&un, sizeof un), 0);
    } else {
        in.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
        cr_assert_eq(connect(fd, (const struct sockaddr *)&in, sizeof in), 0);
    }
    return fd;
}

static inline void read_reply(int fd, reply *out)
{
    ssize_t n;

    out->length = 0;
    while (out->length < sizeof out->text - 1 && (n = read(fd, out->text + out->length, sizeof out->text - 1 - out->length)) > 0)
        out->length += (size_t)n;
    out->text[out->length] = '\0';
    (void)close(fd);
}

/* Sends `text` and reads until the server closes. */
static inline void exchange(const tn_admin *admin, const char *text, reply *out)
{
    int fd = connect_to(admin);

    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    read_reply(fd, out);
}

/* Joins the chunks of the body in place. */
static inline char *body_of(reply *r)
{
    char *body = strstr(r->text, "\r\n\r\n");
    char *from;
    char *to;

    cr_assert_not_null(body, "%s", r->text);
    body += 4;
    for (from = to = body;;) {
        size_t size = strtoul(from, &from, 16);
        cr_assert_eq(strncmp(from, "\r\n", 2), 0, "a chunk is broken");
        if (size == 0)
            break;
        memmove(to, from + 2, size);
        to += size;
        from += 2 + size + 2;
    }
    *to = '\0';
    return body;
}

static inline bool status_is(const reply *r, const char *status)
{
    return strncmp(r->text, "HTTP/1.1 ", 9) == 0 && strncmp(r->text + 9, status, strlen(status)) == 0;
}

static inline char *get(const tn_admin *admin, const char *target, reply *r)
{
    char text[2048];

    (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", target);
    exchange(admin, text, r);
    cr_assert(status_is(r, "200"), "%s: %s", target, r->text);
    return body_of(r);
}

/* A runtime whose stacks can be taken. */
static inline tn_runtime *create(void)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.report_stuck_ns = 3600 * TN_S;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    return runtime;
}

static inline tn_admin *start(tn_runtime *runtime)
{
    tn_admin *admin;

    cr_assert_eq(tn_admin_start(&admin, runtime, "127.0.0.1:0", NULL), 0);
    return admin;
}

#endif
