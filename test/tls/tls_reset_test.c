/* SPDX-License-Identifier: MIT */
/* Sessions over TCP connections that are reset (SO_LINGER 0): behind each record of a conversation, and inside each one. */
#include <sys/socket.h>

#include "net/net_support.h"
#include "support/runtime.h"
#include "tls/tls_support.h"

enum { TEXT = 10, RECORDS_MOST = 1000, LIMIT_S = 60 };

/* Where in a record: nothing of it is passed on, a part of its header, all but its last byte. */
enum { NOTHING, IN_HEADER, IN_BODY, PLACES };

typedef struct {
    tn_tls_context *server;
    tn_tls_context *client;
} sides;

/* A conversation whose records pass through the test, over two connections. */
typedef struct {
    tt_pair pair;
    tn_stream *inner[2]; /* the other ends, in the order of TT_OF_SERVER, TT_OF_CLIENT */
    tn_cancel_source over;
    atomic_int left; /* records that are passed on before the reset */
    int place;
} conversation;

typedef struct {
    conversation *c;
    unsigned from;
} passing;

static void connect_to_inner(tn_stream **outer, tn_stream **inner)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    tn_stream *ends[2];

    ns_tcp_pair(ends);
    *outer = ends[0];
    *inner = ends[1];
    tt_check_eq(setsockopt(tn_io_descriptor(tn_stream_io(ends[1]), TN_READABLE), SOL_SOCKET, SO_LINGER, &linger, sizeof linger),
                0);
}

static void conversation_open(conversation *c, const sides *s)
{
    tn_tls_options options = tn_tls_options_default();
    tn_stream *outer[2];

    for (unsigned i = 0; i < 2; i++)
        connect_to_inner(&outer[i], &c->inner[i]);
    tn_cancel_source_init(&c->over);
    options.host_name = "server.test";
    tt_check_eq(tn_tls_open(&c->pair.client, s->client, tn_stream_io(outer[TT_OF_CLIENT]), &options), 0);
    options = tn_tls_options_default();
    options.peer = "a client";
    tt_check_eq(tn_tls_open(&c->pair.server, s->server, tn_stream_io(outer[TT_OF_SERVER]), &options), 0);
}

/* --- In the middle --------------------------------------------------------------------------------------------------------- */

static size_t part_of(size_t size, int place)
{
    return place == NOTHING ? 0 : place == IN_HEADER ? 3 : size - 1;
}

static void pass_on(const passing *p, unsigned char *record)
{
    conversation *c = p->c;
    tn_io to = tn_stream_io(c->inner[1 - p->from]);
    ssize_t n;

    while ((n = tt_record_read(tn_stream_io(c->inner[p->from]), record)) > 0) {
        if (atomic_fetch_sub(&c->left, 1) <= 0) {
            size_t part = part_of((size_t)n, c->place);
            (void)tn_io_write_all(to, record, part);
            tn_cancel_source_cancel(&c->over);
            return;
        }
        if (tn_io_write_all(to, record, (size_t)n) != 0)
            return;
    }
    if (n == 0)
        (void)tn_io_close_write(to);
}

static void *pass(void *arg)
{
    const passing *p = arg;
    unsigned char *record = malloc(TT_RECORD);
    tn_scope scope;

    tt_check(record != NULL);
    tn_scope_enter_with(&scope, TN_NEVER, &p->c->over);
    pass_on(p, record);
    tn_scope_leave(&scope);
    free(record);
    return NULL;
}

/* Passes records on until one is cut, or both sides have ended; then resets both connections. */
static void *pass_both(void *arg)
{
    conversation *c = arg;
    passing passings[2] = {{c, TT_OF_SERVER}, {c, TT_OF_CLIENT}};
    tn_task *task = tt_spawn(pass, &passings[0]);

    (void)pass(&passings[1]);
    tt_join(task);
    ns_close_pair(c->inner);
    return NULL;
}

/* --- At the ends ----------------------------------------------------------------------------------------------------------- */

/* Ends in order, as a server and a client do, and reads until the peer has ended. */
static int converse(tn_tls *tls)
{
    char buf[64];
    ssize_t n = 1;
    int rc = tn_tls_handshake(tls);

    if (rc == 0)
        rc = tn_io_write_all(tn_tls_io(tls), "0123456789", TEXT);
    if (rc == 0)
        rc = tn_io_close_write(tn_tls_io(tls));
    while (rc == 0 && n > 0)
        n = tn_io_read(tn_tls_io(tls), buf, sizeof buf);
    return rc != 0 ? rc : (int)n;
}

static void *server_side(void *arg)
{
    tt_pair *pair = arg;

    pair->server_rc = converse(pair->server);
    return NULL;
}

/* Returns how many records have been passed on. */
static int converse_and_reset(const sides *s, int records, int place, int *server_rc, int *client_rc)
{
    conversation c = {.place = place};
    tn_task *server;
    tn_task *middle;

    atomic_init(&c.left, records);
    conversation_open(&c, s);
    middle = tt_spawn(pass_both, &c);
    server = tt_spawn(server_side, &c.pair);
    *client_rc = converse(c.pair.client);
    tt_join(server);
    *server_rc = c.pair.server_rc;
    if (*client_rc != 0)
        tt_check_error(c.pair.client, *client_rc, "server.test", ": ");
    if (*server_rc != 0)
        tt_check_error(c.pair.server, *server_rc, "a client", ": ");
    tt_pair_close(&c.pair);
    tt_join(middle);
    tn_cancel_source_fini(&c.over);
    return records - atomic_load(&c.left);
}

/* The error of a side, or 0: it has read the peer's close_notify before. */
static bool is_expected(int rc)
{
    return rc == 0 || rc == TN_ECONNRESET || rc == TN_EPIPE || rc == TN_EBADMSG;
}

static void *reset_everywhere(void *arg)
{
    unsigned files;
    int server_rc;
    int client_rc;
    int all = converse_and_reset(arg, RECORDS_MOST, NOTHING, &server_rc, &client_rc);

    TN_SCOPE(scope, tn_now() + LIMIT_S * TN_S);
    tt_check_eq(server_rc, 0);
    tt_check_eq(client_rc, 0);
    tt_check(all >= 8);
    files = tt_files();
    for (int records = 0; records < all; records++)
        for (int place = NOTHING; place < PLACES; place++) {
            (void)converse_and_reset(arg, records, place, &server_rc, &client_rc);
            tt_check(server_rc != 0 || client_rc != 0); /* one of them lacks a record */
            tt_check(is_expected(server_rc) && is_expected(client_rc));
        }
    tt_check_eq(tt_files(), files);
    return NULL;
}

static void run(tn_tls_version most)
{
    tn_tls_context_options options;
    tt_identities all;
    sides s;

    tt_identities_make(&all);
    options = tt_server_options(&all);
    options.version_max = most;
    s.server = tt_context(&options);
    options = tt_client_options(&all);
    s.client = tt_context(&options);
    tt_run(reset_everywhere, &s);
    tn_tls_context_release(s.server);
    tn_tls_context_release(s.client);
    tt_identities_free(&all);
}

Test(tls_reset, at_each_record)
{
    run(TN_TLS_1_3);
}

Test(tls_reset, at_each_record_of_tls_1_2)
{
    run(TN_TLS_1_2);
}
