/* SPDX-License-Identifier: MIT */
/* HTTP/1.1 of the admin server: one request per connection, and a response in chunks, or until the end of the connection for a
 * client of HTTP/1.0. */
#ifndef TNI_ADMIN_HTTP_H
#define TNI_ADMIN_HTTP_H

#include <stdbool.h>

#include <tn/net.h>

#include "admin/admin_request.h"

/* Reads a request. Returns 0; TN_EBADMSG: it is invalid, or its head is too long; or an error: the client has left, or it is too
 * slow. A request that is refused is set as far as it was read. */
int tni_admin_http_read(tn_stream *stream, tni_admin_request *out);

/* A response in progress. */
typedef struct {
    tn_stream *stream;
    bool head_only;
    bool in_chunks;
    int rc; /* the first error of a write: what follows is dropped */
    size_t used;
    char buffer[4096];
} tni_admin_response;

/* Writes the status line, such as "200 OK", and the headers. The response to a HEAD has no body, whatever is printed. */
void tni_admin_http_begin(tni_admin_response *self, tn_stream *stream, const tni_admin_request *request, const char *status,
                          const char *type);

/* Adds text to the body. */
__attribute__((format(printf, 2, 3))) void tni_admin_http_print(tni_admin_response *self, const char *format, ...);

/* Writes what is left, and the end of the body. */
void tni_admin_http_end(tni_admin_response *self);

#endif
