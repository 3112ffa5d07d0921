/* SPDX-License-Identifier: MIT */
/* A server is told to end in the middle of its load, ten times in a row. No client sees an error: neither those that keep their
 * connection, with pauses of 0 to 50 ms, nor those that connect anew for each request. */
/* ctest: timeout=300 */
#include <tn/wait_group.h>

#include "serve_support.h"

enum { KEPT = 24, FRESH = 8, ROUNDS = 10, PAUSE_MAX_MS = 50 };

typedef struct {
    ss_server server;
    bool is_unix;
    unsigned responses; /* atomic */
    unsigned last;      /* atomic: that said that they are the last */
    tn_wait_group clients;
} load;

typedef struct {
    load *of;
    uint64_t random;
} client;

static uint64_t pause_ns(client *self)
{
    self->random = self->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (self->random >> 33) % (PAUSE_MAX_MS * 1000 + 1) * 1000;
}

static int connect_to(const load *of, tn_stream **out)
{
    return of->is_unix ? tn_unix_connect(NULL, out, of->server.address) : tn_tcp_connect(NULL, out, of->server.address);
}

/* Returns whether more requests may follow. */
static bool exchange(load *of, tn_stream *stream)
{
    int response = ss_exchange(stream);

    tt_check(response == SS_KEPT || response == SS_LAST);
    __atomic_fetch_add(&of->responses, 1, __ATOMIC_RELAXED);
    if (response == SS_KEPT)
        return true;
    __atomic_fetch_add(&of->last, 1, __ATOMIC_RELAXED);
    tt_check_eq(ss_receive(stream), 0); /* closed after the response, not before */
    return false;
}

static void *keep(void *arg)
{
    client *self = arg;
    tn_stream *stream;

    tt_check_eq(connect_to(self->of, &stream), 0);
    while (exchange(self->of, stream))
        tt_check_eq(tn_sleep(pause_ns(self)), 0);
    tn_stream_close(stream);
    tn_wait_group_done(&self->of->clients);
    return arg;
}

static void *connect_anew(void *arg)
{
    client *self = arg;
    tn_stream *stream;
    int rc;

    while ((rc = connect_to(self->of, &stream)) == 0) {
        (void)exchange(self->of, stream);
        tn_stream_close(stream);
        tt_check_eq(tn_sleep(pause_ns(self) / 4), 0);
    }
    tt_check(rc == TN_ECONNREFUSED || (self->of->is_unix && rc == -ENOENT)); /* the server has ended */
    tn_wait_group_done(&self->of->clients);
    return arg;
}

static void one_round(load *self, unsigned round)
{
    client clients[KEPT + FRESH];
    unsigned wanted = 2 * (KEPT + FRESH) + round * 7;

    self->responses = self->last = 0;
    tn_wait_group_init(&self->clients);
    tn_wait_group_add(&self->clients, KEPT + FRESH);
    self->server.options.grace_ns = 20 * TN_S; /* on a loaded machine a client may be late */
    self->server.options.drain_ns = 60 * TN_S;
    ss_start(&self->server);
    for (unsigned i = 0; i < KEPT + FRESH; i++) {
        clients[i] = (client){self, round * 1000 + i};
        tt_check_eq(tn_spawn(NULL, i < KEPT ? keep : connect_anew, &clients[i]), 0);
    }
    ss_until(&self->responses, wanted);
    ss_drain(&self->server);
    tt_check_eq(ss_join(&self->server), 0);
    tt_check_eq(tn_wait_group_wait(&self->clients), 0);
    tn_wait_group_fini(&self->clients);
    tt_check_eq(self->server.result.cancelled, 0);
    tt_check_eq(self->server.result.left, 0);
    tt_check_eq(self->server.result.refused, 0);
    tt_check(self->last >= KEPT); /* each kept connection was told */
}

static void *tcp_load(void *arg)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        load self = {.is_unix = false};
        ss_open(&self.server, ss_respond, NULL);
        one_round(&self, round);
    }
    return arg;
}

Test(serve_drain, no_client_sees_an_error)
{
    tt_run(tcp_load, NULL);
}

static void *unix_load(void *arg)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        load self = {.is_unix = true};
        ss_open(&self.server, ss_respond, NULL);
        tn_listener_close(self.server.listener);
        snprintf(self.server.address, sizeof self.server.address, "@tn-serve-drain-%d", (int)getpid());
        while (tn_unix_listen(&self.server.listener, self.server.address, NULL) != 0)
            tt_check_eq(tn_sleep(TN_MS), 0); /* that of the last round is still being closed */
        one_round(&self, round);
    }
    return arg;
}

Test(serve_drain, no_client_of_a_unix_socket_sees_an_error)
{
    tt_run(unix_load, NULL);
}
