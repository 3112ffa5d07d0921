/* SPDX-License-Identifier: MIT */
/* Handshakes that clients have begun and do not finish: what each costs the server, and that its deadline ends it. The time is
 * paused: it passes when all tasks wait. */
#include <stdio.h>
#include <stdlib.h>

#include <tn/time.h>

#include "support/runtime.h"
#include "tls/tls_support.h"

enum { HELLO_MAX = 2048, RING = 4096 };

typedef struct {
    tn_tls_context *server;
    char hello[HELLO_MAX]; /* a client's first record */
    size_t hello_size;
    uint64_t deadline_ns;
} setting;

typedef struct {
    const setting *setting;
    tn_io ends[2]; /* the server's, the client's */
    tn_task *task;
    uint64_t ended_ns;
} half_open;

/* --- The clients ----------------------------------------------------------------------------------------------------------- */

static void make_hello(setting *s, const tt_identities *all)
{
    tn_tls_context_options of_client = tt_client_options(all);
    tn_tls_context *client = tt_context(&of_client);
    tt_pair pair;
    ssize_t n;

    tt_pair_open(&pair, s->server, client, 0, NULL);
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check_eq(tn_tls_handshake(pair.client), TN_ETIMEDOUT);
    }
    n = tn_io_read(pair.ends[0], s->hello, sizeof s->hello);
    tt_check(n > 100 && n < HELLO_MAX);
    s->hello_size = (size_t)n;
    tt_pair_close(&pair);
    tt_pair_connect(&pair, s->server, client, 0); /* what OpenSSL keeps for all sessions is made */
    tt_pair_end(&pair);
    tn_tls_context_release(client);
}

/* A connection whose memory is in use before it is counted. It has `size` bytes of the client. */
static void connection_open(half_open *h, size_t size)
{
    tn_duplex_options options = tn_duplex_options_default();
    char buf[RING] = "";
    size_t done;

    options.capacity = RING;
    tt_check_eq(tn_duplex_open(h->ends, &options), 0);
    for (unsigned i = 0; i < 2; i++) {
        done = 0;
        tt_check_eq(tn_io_write_all(h->ends[i], buf, RING), 0);
        tt_check_eq(tn_io_read_exact(h->ends[1 - i], buf, RING, &done), 0);
    }
    tt_check_eq(tn_io_write_all(h->ends[1], h->setting->hello, size), 0);
}

/* --- The server ------------------------------------------------------------------------------------------------------------ */

static void *serve(void *arg)
{
    half_open *h = arg;
    tn_tls_options options = tn_tls_options_default();
    tn_tls *tls;

    options.peer = "192.0.2.1:1234";
    tt_check_eq(tn_tls_open(&tls, h->setting->server, h->ends[0], &options), 0);
    {
        TN_SCOPE(scope, h->setting->deadline_ns);
        tt_check_eq(tn_tls_handshake(tls), TN_ETIMEDOUT);
    }
    h->ended_ns = tn_now();
    tt_check_error(tls, TN_ETIMEDOUT, "192.0.2.1:1234", tn_strerror(TN_ETIMEDOUT));
    tn_io_close(tn_tls_io(tls));
    return NULL;
}

static void begin(const setting *s, half_open *all, unsigned count, size_t size)
{
    for (unsigned i = 0; i < count; i++) {
        all[i].setting = s;
        connection_open(&all[i], size);
    }
}

static void hold(setting *s, unsigned count, size_t size, size_t limit)
{
    half_open *all = calloc(count, sizeof *all);
    size_t before;
    size_t each;

    tt_check(all != NULL);
    begin(s, all, count, size);
    before = tt_resident_bytes();
    s->deadline_ns = tn_now() + 10 * TN_S;
    for (unsigned i = 0; i < count; i++)
        all[i].task = tt_spawn(serve, &all[i]);
    tt_check_eq(tn_sleep(TN_S), 0); /* all wait, the time is paused */
    each = (tt_resident_bytes() - before) / count;
    (void)fprintf(stderr, "%u handshakes, %zu bytes received of each: %zu bytes\n", count, size, each);
    tt_check(TT_SANITIZED || each <= limit);
    for (unsigned i = 0; i < count; i++) {
        tt_join(all[i].task);
        tt_check(all[i].ended_ns >= s->deadline_ns && all[i].ended_ns < s->deadline_ns + TN_S);
        tn_io_close(all[i].ends[1]);
    }
    free(all);
}

typedef struct {
    bool whole; /* the first record of each client */
    size_t limit;
} part;

static void *half_opens(void *arg)
{
    const part *p = arg;
    tn_tls_context_options options;
    tt_identities all;
    setting s;

    tt_identities_make(&all);
    options = tt_server_options(&all);
    s.server = tt_context(&options);
    make_hello(&s, &all);
    tt_check_eq(tn_time_pause(), 0);
    hold(&s, (unsigned)tt_scaled(1000), p->whole ? s.hello_size : s.hello_size / 2, p->limit);
    tn_tls_context_release(s.server);
    tt_identities_free(&all);
    return NULL;
}

static void run(bool whole, size_t limit)
{
    tn_options options = tn_options_default();
    part p = {whole, limit};

    options.flavor = TN_CURRENT_THREAD;
    cr_assert_eq(tn_run(half_opens, &p, &options), 0);
}

/* The server waits for the rest of the first record. */
Test(tls_half_open, half_a_record)
{
    run(false, (size_t)20 * 1024);
}

/* It has replied, and waits for the client's last message. In this state OpenSSL 3.0 alone holds 42 KiB: 21 for the message that
 * is being read, 8 to collect a flight, 8 in the object itself. */
Test(tls_half_open, a_whole_record)
{
    run(true, (size_t)52 * 1024);
}
