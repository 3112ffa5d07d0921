/* SPDX-License-Identifier: MIT */
/* RESP, the protocol of Redis: requests are read from a tn_reader, replies are written to a tn_writer. */
#ifndef RESP_H
#define RESP_H

#include <glib.h>
#include <tn.h>

typedef struct resp_request {
    GArray *arguments; /* of tn_bytes, valid until the next resp_read or resp_free */
    GByteArray *bytes; /* private: those of the arguments, one after the other */
    const char *error; /* what breaks the protocol, if resp_read has returned TN_EBADMSG; NULL: the stream has ended early */
    char message[32];
} resp_request;

void resp_init(resp_request *request);
void resp_free(resp_request *request);

/* Reads a request, which may have no arguments. Returns 1; 0 at the end of the stream; TN_EBADMSG, or an error of the reader. */
int resp_read(resp_request *request, tn_reader *from);

bool resp_is(tn_bytes text, const char *word); /* in any case */
/* Parses a decimal number as Redis does: no space, no '+', no zero in front. */
bool resp_number(tn_bytes text, int64_t *out);

/* After an error nothing more is written. */
typedef struct resp_replies {
    tn_writer writer;
    int rc; /* 0, or the first error */
} resp_replies;

void resp_text(resp_replies *to, const char *text); /* the same */
/* Makes spaces of line ends. */
void resp_error(resp_replies *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
void resp_head(resp_replies *to, char kind, int64_t value); /* ':' an integer, '*' an array of so many, '$' -1: null */
void resp_bulk(resp_replies *to, tn_bytes bytes);
int resp_flush(resp_replies *to); /* sends them; returns `rc` */

#endif
