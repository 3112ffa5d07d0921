/* SPDX-License-Identifier: MIT */
/* A server for tests: requests of one byte, responses of one byte, and clients that check each response. */
#ifndef SERVE_SUPPORT_H
#define SERVE_SUPPORT_H

#include <tn/serve.h>

#include "net_support.h"

#define SS_REQUEST 'q'
#define SS_KEPT 'k' /* a response: more requests may follow */
#define SS_LAST 'l' /* a response: it is the last one */

typedef struct {
    tn_listener *listener;
    char address[TN_ADDRESS_SIZE];
    tn_cancel_token *drain;
    tn_cancel_token *end;
    tn_serve_options options;
    tn_session_fn handler;
    void *arg;
    tn_task *task;
    tn_serve_result result;
} ss_server;

/* Responds to requests until there is none. */
static inline void ss_respond(tn_session *session, tn_stream *stream, void *arg)
{
    char byte;

    (void)arg;
    while (tn_session_wait_request(session) == 0 && tn_read(stream, &byte, 1) == 1) {
        tt_check_eq(byte, SS_REQUEST);
        byte = tn_session_is_ending(session) ? SS_LAST : SS_KEPT;
        if (tn_write(stream, &byte, 1) != 1)
            break;
    }
}

/* Listens; the options have the tokens, and may be changed before ss_start. */
static inline void ss_open(ss_server *self, tn_session_fn handler, void *arg)
{
    memset(self, 0, sizeof *self);
    self->listener = ns_listen(self->address);
    tt_check_eq(tn_cancel_token_create(&self->drain, NULL, NULL), 0);
    tt_check_eq(tn_cancel_token_create(&self->end, NULL, NULL), 0);
    self->options = tn_serve_options_default();
    self->options.drain = self->drain;
    self->options.end = self->end;
    self->handler = handler;
    self->arg = arg;
}

static inline void *ss_main(void *arg)
{
    ss_server *self = arg;

    return (void *)(intptr_t)tn_serve(&self->listener, 1, self->handler, self->arg, &self->options, &self->result);
}

static inline void ss_start(ss_server *self)
{
    self->task = tt_spawn(ss_main, self);
}

/* Waits for the end of the server, and checks that the counts add up. */
static inline int ss_join(ss_server *self)
{
    int rc = (int)(intptr_t)tt_join(self->task);
    const tn_serve_result *result = &self->result;

    tt_check_eq(result->accepted, result->finished + result->cancelled + result->left);
    tn_cancel_token_release(self->drain);
    tn_cancel_token_release(self->end);
    return rc;
}

static inline void ss_drain(ss_server *self)
{
    tn_cancel_token_cancel(self->drain);
}

static inline tn_stream *ss_connect(const ss_server *self)
{
    tn_stream *stream;

    tt_check_eq(tn_tcp_connect(NULL, &stream, self->address), 0);
    return stream;
}

static inline void ss_send(tn_stream *stream)
{
    char byte = SS_REQUEST;

    tt_check_eq(tn_write(stream, &byte, 1), 1);
}

/* Returns the byte of the response, or 0 at the end. */
static inline int ss_receive(tn_stream *stream)
{
    char byte;
    ssize_t n = tn_read(stream, &byte, 1);

    tt_check(n >= 0);
    return n == 0 ? 0 : byte;
}

static inline int ss_exchange(tn_stream *stream)
{
    ss_send(stream);
    return ss_receive(stream);
}

/* Waits until `count` reaches `wanted`; aborts after 60 s. */
static inline void ss_until(unsigned *count, unsigned wanted)
{
    for (unsigned i = 0; __atomic_load_n(count, __ATOMIC_ACQUIRE) < wanted; i++) {
        tt_check(i < 60000);
        tt_check_eq(tn_sleep(TN_MS), 0);
    }
}

#endif
