/* SPDX-License-Identifier: MIT */
/* A connection, and the commands it can give. */
#ifndef SESSION_H
#define SESSION_H

#include "resp.h"

typedef struct session {
    tn_session *self;
    tn_stream *stream;
    bool between; /* no byte of the next request has been waited for */
    tn_reader reader;
    const tn_bytes *arg; /* the request: `count` arguments, the name of the command first */
    size_t count;
    resp_replies out;
    tn_mpsc *queue;      /* of messages to a connection that subscribes; NULL: it does not */
    GPtrArray *channels; /* that it subscribes */
} session;

typedef void command_fn(session *s);

command_fn get, mget, set, del, incr, expire, ttl; /* keys.c */
command_fn publish, subscribe;                     /* pubsub.c */

/* The beginning of what is in a hash table. Its hash is computed before a lock is taken. */
typedef struct key {
    tn_bytes name;
    guint hash;
} key;

key key_of(tn_bytes name);
GHashTable *key_table(GDestroyNotify destroy); /* a set of what begins with a key */

void keys_init(void);
size_t keys_count(void);
void *keys_sweep(void *arg); /* a fiber: frees what has expired, for ever */

void pubsub_init(void);
/* Of a connection that subscribes: sends messages until the client has sent something. Returns 0; or why the session ends. */
int pubsub_wait(session *s);
/* Ends all subscriptions, and sends what is in the queue. */
void pubsub_leave(session *s);

#endif
