/* SPDX-License-Identifier: MIT */
/* A stock of things that clients take from: the requests and responses of stock_server, and their deadlines.
 *
 * Request: "take N\n". Response: "left M\n" when N things were taken and M are left, "sold out\n" when there are fewer than N.
 * A request that cannot be served in time ends the connection without a response. */
#ifndef STOCK_H
#define STOCK_H

#include <tn.h>

#define STOCK_REQUEST_NS (2 * TN_S) /* from the first byte of a request until its response is written */

enum { STOCK_SOLD_OUT = 1 };

typedef struct stock {
    tn_mutex lock; /* of `left` */
    unsigned left;
    /* Brings `count` things from the warehouse, which takes time. Returns 0, or an error such as TN_ETIMEDOUT. */
    int (*fetch)(unsigned count);
} stock;

void stock_init(stock *self, unsigned count, int (*fetch)(unsigned count));
void stock_fini(stock *self);

/* Takes `count` things. Returns 0 and sets *left, STOCK_SOLD_OUT, or an error: then nothing was taken. */
int stock_take(stock *self, unsigned count, unsigned *left);

/* Serves one connection. */
void stock_serve(stock *self, tn_session *session, tn_stream *conn);

#endif
