/* SPDX-License-Identifier: MIT */
/* HTTP/1.1 for the example servers. All of them use the same parser and the same responses, so a comparison of two servers
 * compares only how they wait.
 *
 * libhttp-parser parses the requests. GET and HEAD of "/" get a fixed page, other paths get 404, and other methods get 405.
 * Bodies are read and discarded. An invalid request gets 400, and a header that is too long gets 431; then the connection ends.
 * Connections are kept alive. The responses to requests that arrive together are written together.
 *
 * Left out, to stay small: a Date header, a check for the Host header, Expect: 100-continue (clients continue by themselves
 * after a while), time limits for slow clients.
 */
#ifndef HTTP_H
#define HTTP_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    HTTP_READ_SIZE = 4096,   /* bytes that a server reads at once */
    HTTP_RESPONSES_MAX = 64, /* responses that are collected before they are written */
    HTTP_RESPONSE_MAX = 160, /* bytes of the longest response */
    HTTP_OUTPUT_MAX = HTTP_RESPONSES_MAX * HTTP_RESPONSE_MAX,
};

/* --- For servers that wait in straight-line code: fibers and threads ---------------------------------------------------- */

/* The operations of a connection that http_serve uses. Errors are negative. */
typedef struct http_io {
    ssize_t (*read)(void *conn, void *buf, size_t size);        /* waits for a byte; returns 0 at the end */
    int (*write_all)(void *conn, const void *buf, size_t size); /* waits until all is written; returns 0 */
    /* The client reads the end; reading remains possible. NULL: the caller closes with care, as tn_stream_finish does. */
    void (*shutdown_write)(void *conn);
    /* Waits for the first byte of the next request. Returns 0, or an error: then the connection ends. NULL: the read waits. */
    int (*wait_request)(void *conn);
    bool (*is_ending)(void *conn); /* whether the response that begins now is the last one; NULL: it is not */
} http_io;

/* Responds to the requests of one connection until it ends. The caller closes the connection afterwards. */
void http_serve(const http_io *io, void *conn);

/* --- For servers that wait in an event loop ----------------------------------------------------------------------------- */

/* One connection: the part of the current request that has been parsed, and the responses that are not written yet. It must not
 * move. */
typedef struct http_session {
    http_parser parser;
    uint8_t target; /* state of the parser of request targets: enum target in http.c */
    bool closing;   /* the last response has been queued: write it and close */
    bool failed;    /* that response reports an invalid request: more input may follow */
    uint8_t count;
    uint8_t responses[HTTP_RESPONSES_MAX];
    bool in_request; /* a part of a request has been parsed */
    bool (*is_ending)(void *conn);
    void *conn; /* of is_ending */
} http_session;

/* Prepares the session of a new connection. The program may set is_ending and conn afterwards. */
void http_session_init(http_session *session);

/* Parses `data` and queues the responses. Returns how many bytes it used. If that is less than `size`, the connection is
 * closing, or the queue is full: then take the responses and call it again with the rest. */
size_t http_feed(http_session *session, const char *data, size_t size);

/* Moves the queued responses to `out`, of HTTP_OUTPUT_MAX bytes. Returns how many bytes they are. */
size_t http_take(http_session *session, char *out);

#endif
