/* SPDX-License-Identifier: MIT */
/* Requests of HTTP/1.1 over any byte stream, for https_server and json_api.
 *
 * libhttp-parser parses them. Its project has ended, and Debian 12 has no other parser of its kind in a package. So this is
 * the only file of the two servers that knows it: another parser would replace web.c. */
#ifndef WEB_H
#define WEB_H

#include <http_parser.h>
#include <tn.h>

enum { WEB_TARGET_MAX = 1024, WEB_VALUE_MAX = 128, WEB_BODY_MAX = 65536, WEB_BUFFER = 4096 };

typedef struct web_request {
    unsigned method; /* HTTP_GET … of http_parser.h */
    char target[WEB_TARGET_MAX];
    char range[WEB_VALUE_MAX]; /* the header; "": it is missing. So are the next two */
    char if_none_match[WEB_VALUE_MAX];
    char if_modified_since[WEB_VALUE_MAX];
    bool accepts_gzip;
    bool keep_alive;
    bool too_long; /* a part that does not fit: the response is 431, 414 or 413 */
    size_t body_size;
    char *body; /* WEB_BODY_MAX bytes; NULL: there was none */
} web_request;

/* A connection, used by one task. */
typedef struct web_conn {
    tn_io io;
    http_parser parser;
    web_request *request; /* that is being read */
    char field[24];       /* of the header that is being read, in small letters */
    char value[WEB_VALUE_MAX];
    size_t field_size;
    size_t value_size;
    bool in_value;
    bool expects_continue;
    bool head_complete;
    bool complete;
    size_t begin; /* buf[begin … end) was read and not parsed */
    size_t end;
    char buf[WEB_BUFFER];
} web_conn;

void web_init(web_conn *conn, tn_io io);

/* Whether bytes of the next request are there already. */
bool web_has_input(const web_conn *conn);

/* Reads the next request with its body, and sends 100 Continue if the client waits for it. Returns 1; 0 at the end; or an error.
 * TN_EBADMSG: it is no request. Call web_request_fini in every case. */
int web_read(web_conn *conn, web_request *request);
void web_request_fini(web_request *request);

/* Sends a response with a body, NULL for a HEAD. `more`: headers, each with its CRLF. */
int web_respond(web_conn *conn, const web_request *request, const char *status, const char *more, const void *body, size_t size);

/* Reads the digits at *text, and moves it behind them. Returns false if there are none, or too many. */
bool web_number(const char **text, uint64_t *out);

#endif
