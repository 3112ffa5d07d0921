/* SPDX-License-Identifier: MIT */
/* HTTP/1.1 for the example servers: one parser and one set of answers for all of them, so that a comparison of two servers
 * compares how they wait and nothing else.
 *
 * Requests are parsed by libhttp-parser. GET and HEAD of "/" get a fixed page, other paths 404, other methods 405; bodies are
 * read and thrown away; garbage gets 400 and headers that are too long 431, then the connection ends. Connections are kept
 * alive, and requests that arrive together are answered together.
 *
 * Left out, to stay small: a Date header, a check for the Host header, Expect: 100-continue (clients go on by themselves after a
 * moment), time limits for slow clients.
 */
#ifndef HTTP_H
#define HTTP_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    HTTP_READ_SIZE = 4096, /* what a server reads at once */
    HTTP_ANSWERS_MAX = 64, /* answers that are collected before they are written */
    HTTP_ANSWER_MAX = 160, /* bytes of the longest answer */
    HTTP_OUTPUT_MAX = HTTP_ANSWERS_MAX * HTTP_ANSWER_MAX,
};

/* --- For servers that wait in straight-line code: fibers and threads ---------------------------------------------------- */

/* What http_serve needs of a connection. Errors are negative. */
typedef struct http_io {
    ssize_t (*read)(void *conn, void *buf, size_t size);        /* waits for a byte; 0 at the end */
    int (*write_all)(void *conn, const void *buf, size_t size); /* waits until all is written; 0 */
    void (*shutdown_write)(void *conn);                         /* the client sees the end, reading goes on */
    int (*wait_readable)(void *conn);                           /* 0 when a read would not wait; NULL: the read itself waits */
} http_io;

/* Answers the requests of one connection until it ends. The connection is then the caller's to close. */
void http_serve(const http_io *io, void *conn);

/* --- For servers that wait in an event loop ----------------------------------------------------------------------------- */

/* One connection: what has been parsed of the current request, and the answers that are not written yet. It must not move. */
typedef struct http_session {
    http_parser parser;
    uint8_t target; /* what has been seen of the request target, an enum of http.c */
    bool closing;   /* the last answer has been queued: write it and close */
    bool failed;    /* that answer says the client sent garbage: there may be more of it on the way */
    uint8_t count;
    uint8_t answers[HTTP_ANSWERS_MAX];
} http_session;

void http_session_init(http_session *session);

/* Parses `data` and queues the answers; tells how many bytes it used. Less than `size`: the queue is full (take the answers and
 * come back with the rest) or the connection is closing. */
size_t http_feed(http_session *session, const char *data, size_t size);

/* Moves the queued answers to `out`, of HTTP_OUTPUT_MAX bytes; tells how many bytes they are. */
size_t http_take(http_session *session, char *out);

#endif
