/* SPDX-License-Identifier: MIT */
/* A connection, and the commands it can give. */
#ifndef SESSION_H
#define SESSION_H

#include "resp.h"

enum { CHANNELS_MAX = 64 };

typedef struct session {
    tn_session *self;
    tn_stream *stream;
    bool between; /* no byte of the next request has been waited for */
    tn_reader reader;
    tn_writer writer; /* to the stream; to the queue, while there is one */
    resp_request request;
    tn_mpsc *queue; /* of tn_slice: what a connection that subscribes is sent; NULL: it does not */
    tn_task *sender;
    struct link *links[CHANNELS_MAX]; /* one for each channel that it subscribes */
    unsigned channels;
} session;

/* A command: replies to the session's writer. `arg` has `count` elements, the name of the command first. Returns 0, or an error
 * that ends the session. */
typedef int command_fn(session *s, const tn_bytes *arg, size_t count);

command_fn echo, get, mget, set, del, incr, expire, ttl; /* strings.c */
command_fn publish, subscribe;                           /* pubsub.c */

void pubsub_init(void);
/* Ends all subscriptions. It waits until what is in the queue has been sent, or the stream has ended. */
void pubsub_leave(session *s);

#endif
