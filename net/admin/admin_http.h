/* SPDX-License-Identifier: MIT */
/* HTTP/1.1 of the admin server: one request per connection, parsed by libhttp-parser, and a response in chunks. */
#ifndef TNI_ADMIN_HTTP_H
#define TNI_ADMIN_HTTP_H

#include <stdbool.h>

#include <tn/net.h>

#define TNI_ADMIN_TARGET_SIZE 1024
#define TNI_ADMIN_HOST_SIZE 256

/* A request whose head has been read. */
typedef struct {
    char target[TNI_ADMIN_TARGET_SIZE]; /* path and query; empty: it was too long */
    char host[TNI_ADMIN_HOST_SIZE];     /* of the header Host, as sent; empty: none, or too long */
    unsigned hosts;                     /* how many such headers there were */
    bool is_get;
    bool is_head;
} tni_admin_request;

/* Reads a request. Returns 0; -EBADMSG: it is invalid, or its head is too long; 1: the connection has ended; or an error. */
int tni_admin_http_read(tn_stream *stream, tni_admin_request *out);

/* A response in progress. */
typedef struct {
    tn_stream *stream;
    bool head_only;
    int rc; /* the first error of a write: what follows is dropped */
    size_t used;
    char buffer[4096];
} tni_admin_response;

/* Writes the status line, such as "200 OK", and the headers. */
void tni_admin_http_begin(tni_admin_response *self, tn_stream *stream, bool head_only, const char *status, const char *type);

/* Adds text to the body. */
__attribute__((format(printf, 2, 3))) void tni_admin_http_print(tni_admin_response *self, const char *format, ...);

/* Writes what is left, and the end of the body. */
void tni_admin_http_end(tni_admin_response *self);

/* Whether the target's query has a parameter of that name. */
bool tni_admin_http_has(const tni_admin_request *request, const char *name);

/* Copies the value of a parameter of the target's query, decoded. False: it is not there, or too long. */
bool tni_admin_http_parameter(const tni_admin_request *request, const char *name, char *out, size_t size);

/* Whether the target has this path. */
bool tni_admin_http_is_path(const tni_admin_request *request, const char *path);

/* Whether Host names the loopback interface. */
bool tni_admin_http_is_local(const tni_admin_request *request);

#endif
