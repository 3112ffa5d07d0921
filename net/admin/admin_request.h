/* SPDX-License-Identifier: MIT */
/* The head of an HTTP request to the admin server, parsed by libhttp-parser from pieces of any size. */
#ifndef TNI_ADMIN_REQUEST_H
#define TNI_ADMIN_REQUEST_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>

#define TNI_ADMIN_TARGET_SIZE 1024
#define TNI_ADMIN_HOST_SIZE 256

/* A request whose head has been read. */
typedef struct {
    char target[TNI_ADMIN_TARGET_SIZE]; /* path and query; empty: it was too long */
    char host[TNI_ADMIN_HOST_SIZE];     /* of the header Host, as sent; empty: none, or too long */
    unsigned hosts;                     /* how many such headers there were */
    bool is_get;
    bool is_head;
    bool is_old; /* before HTTP/1.1: the client knows no chunks */
} tni_admin_request;

/* A head that is being parsed. It must not move. */
typedef struct {
    http_parser parser;
    tni_admin_request *request;
    size_t total; /* bytes so far */
    size_t target_length;
    size_t host_length;
    char field[8]; /* the beginning of the present header's name */
    size_t field_length;
    bool in_value;
    bool done;
} tni_admin_parsing;

void tni_admin_request_begin(tni_admin_parsing *self, tni_admin_request *out);

/* Returns 1: the head is complete, and what follows is not parsed; 0: more is needed; -EBADMSG: it is invalid, or too long. */
int tni_admin_request_feed(tni_admin_parsing *self, const char *bytes, size_t size);

/* Whether the target has this path. */
bool tni_admin_request_is_path(const tni_admin_request *request, const char *path);

/* Whether the target's query has a parameter of that name. */
bool tni_admin_request_has(const tni_admin_request *request, const char *name);

/* Copies the value of a parameter of the target's query, decoded. False: it is not there, or too long. */
bool tni_admin_request_parameter(const tni_admin_request *request, const char *name, char *out, size_t size);

/* Whether Host names the loopback interface. */
bool tni_admin_request_is_local(const tni_admin_request *request);

#endif
