/* SPDX-License-Identifier: MIT */
/* RESP, the protocol of Redis: requests are read from a tn_reader, replies are written to a tn_writer. */
#ifndef RESP_H
#define RESP_H

#include <tn.h>

enum { RESP_SMALL = 512 }; /* bytes of a request that needs no memory of its own */

typedef struct resp_request {
    tn_bytes *arguments; /* valid until the next resp_read or resp_free */
    size_t count;
    const char *error; /* what breaks the protocol, if resp_read has returned TN_EBADMSG; NULL: the stream has ended early */
    size_t capacity;   /* the rest is private */
    struct resp_block *blocks;
    char *free;
    size_t free_size;
    char small[RESP_SMALL], message[64];
} resp_request;

void resp_init(resp_request *request);
void resp_free(resp_request *request);

/* Reads a request; its count may be 0. Returns 1; 0 at the end of the stream; TN_EBADMSG, or an error of the reader. */
int resp_read(resp_request *request, tn_reader *from);

/* Parses a decimal number as Redis does: no space, no '+', no zero in front. */
bool resp_number(tn_bytes text, int64_t *out);

/* Replies. They return what tn_writer_write returns. */
int resp_text(tn_writer *to, const char *line);         /* `line`: with the mark of its kind, without its end */
int resp_head(tn_writer *to, char kind, int64_t value); /* ':' an integer, '*' an array of so many, '$' -1: null */
int resp_bulk(tn_writer *to, tn_bytes bytes);

#endif
