/* SPDX-License-Identifier: MIT */
/* Bytes through sessions: a reader and a writer at the same time, ends, truncation, cancellation, broken streams. It runs on the
 * simulated machine too. */
#include <string.h>

#include "support/runtime.h"
#include "tls/tls_support.h"

typedef struct {
    tt_identities all;
    tn_tls_context *server;
    tn_tls_context *client;
} sides;

static void sides_open(sides *s, tn_tls_version most)
{
    tn_tls_context_options options;

    tt_identities_make(&s->all);
    options = tt_server_options(&s->all);
    options.version_max = most;
    s->server = tt_context(&options);
    options = tt_client_options(&s->all);
    s->client = tt_context(&options);
}

static void sides_close(sides *s)
{
    tn_tls_context_release(s->server);
    tn_tls_context_release(s->client);
    tt_identities_free(&s->all);
}

/* Runs `entry` with contexts for both sides. */
static void run(void *(*entry)(void *arg))
{
    sides s;

    sides_open(&s, TN_TLS_VERSION_DEFAULT);
    tt_run(entry, &s);
    sides_close(&s);
}

/* --- Flows ----------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_tls *tls;
    size_t total;
    unsigned seed;
    unsigned key_updates; /* after each quarter */
} flow;

static size_t next_piece(flow *f, size_t done, size_t most)
{
    size_t piece;

    f->seed = f->seed * 1103515245 + 12345;
    piece = 1 + (f->seed >> 16) % most;
    return piece < f->total - done ? piece : f->total - done;
}

static unsigned char byte_at(size_t position)
{
    return (unsigned char)(position ^ (position >> 8) * 31);
}

static void *send_all(void *arg)
{
    flow *f = arg;
    unsigned char buf[3000];
    size_t quarter = f->total / 4;

    for (size_t done = 0; done < f->total;) {
        size_t piece = next_piece(f, done, sizeof buf);
        for (size_t i = 0; i < piece; i++)
            buf[i] = byte_at(done + i);
        tt_check_eq(tn_io_write_all(tn_tls_io(f->tls), buf, piece), 0);
        done += piece;
        if (f->key_updates > 0 && done > quarter) {
            tt_check_eq(tn_tls_update_keys(f->tls), 0);
            f->key_updates--;
            quarter += f->total / 4;
        }
    }
    tt_check_eq(tn_io_close_write(tn_tls_io(f->tls)), 0);
    tt_check_eq(tn_io_close_write(tn_tls_io(f->tls)), 0); /* once is enough */
    tt_check_eq(tn_io_write(tn_tls_io(f->tls), "x", 1), TN_EPIPE);
    return NULL;
}

static void *receive_all(void *arg)
{
    flow *f = arg;
    unsigned char buf[2000];
    size_t done = 0;
    ssize_t n;

    for (;;) {
        if (f->seed % 3 == 0)
            tt_check_eq(tn_io_wait(tn_tls_io(f->tls), TN_READABLE), 0);
        n = tn_io_read(tn_tls_io(f->tls), buf, next_piece(f, 0, sizeof buf));
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++)
            tt_check_eq(buf[i], byte_at(done + (size_t)i));
        done += (size_t)n;
    }
    tt_check_eq(n, 0);
    tt_check_eq(done, f->total);
    tt_check_eq(tn_io_read(tn_tls_io(f->tls), buf, 1), 0);
    return NULL;
}

static void flow_through(const tt_pair *through, size_t total, unsigned key_updates)
{
    tt_pair pair = *through;
    flow flows[4];
    tn_task *tasks[4];

    for (unsigned i = 0; i < 4; i++) {
        flows[i] = (flow){i % 2 == 0 ? pair.server : pair.client, total, 17 + i, key_updates};
        tasks[i] = tt_spawn(i < 2 ? send_all : receive_all, &flows[i]);
    }
    for (unsigned i = 0; i < 4; i++)
        tt_join(tasks[i]);
    tt_pair_close(&pair);
}

static void flow_both_ways(const sides *s, size_t capacity, size_t total, unsigned key_updates)
{
    tt_pair pair;

    tt_pair_connect(&pair, s->server, s->client, capacity);
    flow_through(&pair, total, key_updates);
}

/* One byte a packet, in both directions. */
static void flow_by_bytes(const sides *s, size_t total)
{
    tn_tls_options options = tn_tls_options_default();
    tt_fault below[2] = {{.left = SIZE_MAX, .most = 1}, {.left = SIZE_MAX, .most = 1}};
    tn_io ends[2];
    tt_pair pair;

    options.host_name = "server.test";
    tt_check_eq(tn_duplex_open(ends, NULL), 0);
    for (unsigned i = 0; i < 2; i++)
        below[i].below = ends[i];
    tt_check_eq(tn_tls_open(&pair.server, s->server, tt_fault_io(&below[0]), NULL), 0);
    tt_check_eq(tn_tls_open(&pair.client, s->client, tt_fault_io(&below[1]), &options), 0);
    tt_pair_handshake(&pair);
    tt_check_eq(pair.server_rc, 0);
    tt_check_eq(pair.client_rc, 0);
    flow_through(&pair, total, 1);
}

static void *flows(void *arg)
{
    flow_both_ways(arg, 0, tt_scaled(400000), 0);
    flow_both_ways(arg, 1000, tt_scaled(50000), 3);
    flow_by_bytes(arg, tt_scaled(2000));
    return NULL;
}

Test(tls_flow, has_a_reader_and_a_writer_at_once)
{
    run(flows);
}

static void *flows_of_1_2(void *arg)
{
    tt_pair pair;

    flow_both_ways(arg, 1000, tt_scaled(50000), 0);
    tt_pair_connect(&pair, ((sides *)arg)->server, ((sides *)arg)->client, 0);
    tt_check_eq(tn_tls_update_keys(pair.client), TN_ENOTSUP);
    tt_pair_end(&pair);
    return NULL;
}

Test(tls_flow, of_tls_1_2)
{
    sides s;

    sides_open(&s, TN_TLS_1_2);
    tt_run(flows_of_1_2, &s);
    sides_close(&s);
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------ */

static void *truncation(void *arg)
{
    const sides *s = arg;
    tn_tls_error error;
    tt_pair pair;
    char buf[8];

    tt_pair_connect(&pair, s->server, s->client, 0);
    tt_check_eq(tn_io_write(tn_tls_io(pair.client), "abc", 3), 3);
    tn_io_close(tn_tls_io(pair.client));
    tt_check_eq(tn_io_read(tn_tls_io(pair.server), buf, sizeof buf), 3);
    for (int i = 0; i < 2; i++)
        tt_check_eq(tn_io_read(tn_tls_io(pair.server), buf, sizeof buf), TN_EBADMSG);
    tt_check_eq(tn_io_wait(tn_tls_io(pair.server), TN_READABLE), TN_EBADMSG);
    tn_tls_last_error(pair.server, &error);
    tt_check(strstr(error.text, "a client: the stream has ended without close_notify") != NULL);
    tt_check_eq(tn_io_write(tn_tls_io(pair.server), "x", 1), TN_EPIPE);
    tn_io_close(tn_tls_io(pair.server));

    /* In the middle of a record, and in the handshake. */
    tt_pair_connect(&pair, s->server, s->client, 0);
    tt_check_eq(tn_io_write(pair.ends[1], "\x17\x03\x03\x00\x30xyz", 8), 8);
    tt_check_eq(tn_io_close_write(pair.ends[1]), 0);
    tt_check_eq(tn_io_read(tn_tls_io(pair.server), buf, sizeof buf), TN_EBADMSG);
    tt_pair_close(&pair);
    tt_pair_open(&pair, s->server, s->client, 0, NULL);
    tt_check_eq(tn_io_close_write(pair.ends[1]), 0);
    tt_check_eq(tn_tls_handshake(pair.server), TN_EBADMSG);
    tt_check_eq(tn_tls_handshake(pair.server), TN_EBADMSG);
    tt_pair_close(&pair);
    return NULL;
}

Test(tls_flow, reports_a_truncation)
{
    run(truncation);
}

static void *garbage(void *arg)
{
    const sides *s = arg;
    unsigned char alert[7];
    size_t done = 0;
    tt_pair pair;
    char byte;

    tt_pair_open(&pair, s->server, s->client, 0, NULL);
    tt_check_eq(tn_io_write(tn_tls_io(pair.server), "x", 1), TN_ENOTCONN);
    tt_check_eq(tn_io_read(tn_tls_io(pair.server), &byte, 1), TN_ENOTCONN);
    tt_check_eq(tn_io_write(pair.ends[1], "GET / HTTP/1.1\r\n\r\n", 18), 18);
    tt_check_eq(tn_tls_handshake(pair.server), TN_EPROTO);
    tt_check_eq(tn_io_write(tn_tls_io(pair.server), "x", 1), TN_EPROTO);
    tt_pair_close(&pair);

    tt_pair_connect(&pair, s->server, s->client, 0); /* a record that does not decrypt */
    tt_check_eq(tn_io_write(pair.ends[1],
                            "\x17\x03\x03\x00\x14"
                            "01234567890123456789",
                            25),
                25);
    tt_check_eq(tn_io_read(tn_tls_io(pair.server), &byte, 1), TN_EPROTO);
    tt_check_eq(tn_io_read(tn_tls_io(pair.server), &byte, 1), TN_EPROTO);
    tt_check_eq(tn_io_read(tn_tls_io(pair.client), &byte, 1), TN_EPROTO); /* the alert has been sent */
    tt_check_eq(tn_io_write(tn_tls_io(pair.client), "x", 1), TN_EPROTO);
    tt_pair_close(&pair);

    tt_pair_open(&pair, s->server, s->client, 0, NULL); /* a record that is too long */
    tt_check_eq(tn_io_write(pair.ends[1], "\x16\x03\x01\xff\xff", 5), 5);
    tt_check_eq(tn_tls_handshake(pair.server), TN_EPROTO);
    tt_check_eq(tn_io_read_exact(pair.ends[1], alert, sizeof alert, &done), 0);
    tt_check_eq(alert[0], 0x15);
    tt_pair_close(&pair);
    return NULL;
}

Test(tls_flow, refuses_garbage_with_an_alert)
{
    run(garbage);
}

static void *client_side(void *arg)
{
    tt_pair *pair = arg;
    char buf[64];

    pair->client_rc = tn_tls_handshake(pair->client);
    while (pair->client_rc >= 0) {
        ssize_t n = tn_io_read(tn_tls_io(pair->client), buf, sizeof buf);
        pair->client_rc = (int)n;
        if (n == 0)
            break;
    }
    (void)tn_io_close_write(tn_tls_io(pair->client));
    tn_io_close(tn_tls_io(pair->client));
    return NULL;
}

/* A conversation whose server breaks after so many bytes. Returns how many were passed on; `*rc`: how it ended. */
static size_t converse(const sides *s, size_t left, int *rc)
{
    tn_tls_options options = tn_tls_options_default();
    tt_fault below = {.left = left, .most = SIZE_MAX, .error = TN_ECONNRESET};
    tn_io ends[2];
    tt_pair pair;
    tn_task *task;

    options.host_name = "server.test";
    tt_check_eq(tn_duplex_open(ends, NULL), 0);
    below.below = ends[0];
    tt_check_eq(tn_tls_open(&pair.server, s->server, tt_fault_io(&below), NULL), 0);
    tt_check_eq(tn_tls_open(&pair.client, s->client, ends[1], &options), 0);
    task = tt_spawn(client_side, &pair);
    *rc = tn_tls_handshake(pair.server);
    for (int i = 0; i < 3 && *rc == 0; i++)
        *rc = tn_io_write_all(tn_tls_io(pair.server), "0123456789", 10);
    if (*rc == 0)
        *rc = tn_io_close_write(tn_tls_io(pair.server));
    if (*rc != 0)
        tt_check(tn_io_write(tn_tls_io(pair.server), "x", 1) < 0);
    tn_io_close(tn_tls_io(pair.server));
    tt_join(task);
    tt_check(*rc == 0 ? pair.client_rc == 0 : pair.client_rc < 0);
    return below.passed;
}

static void *breaks(void *arg)
{
    int rc;
    size_t whole = converse(arg, SIZE_MAX, &rc);
    size_t step = 1 + whole / tt_scaled(40);

    tt_check_eq(rc, 0);
    for (size_t left = 0; left + step < whole; left += step) {
        tt_check_eq(converse(arg, left, &rc), left);
        tt_check_eq(rc, TN_ECONNRESET);
    }
    return NULL;
}

Test(tls_flow, reports_a_stream_that_breaks_anywhere)
{
    run(breaks);
}

/* --- Scopes ---------------------------------------------------------------------------------------------------------------- */

static void *silent_peer(void *arg)
{
    const sides *s = arg;
    tt_pair pair;

    tt_pair_open(&pair, s->server, s->client, 0, NULL);
    {
        TN_SCOPE(scope, tn_now() + 5 * TN_MS);
        tt_check_eq(tn_tls_handshake(pair.server), TN_ETIMEDOUT);
        tt_check_eq(tn_tls_handshake(pair.server), TN_ETIMEDOUT);
    }
    tt_pair_handshake(&pair); /* nothing is lost */
    tt_check_eq(pair.server_rc, 0);
    tt_check_eq(pair.client_rc, 0);
    {
        TN_SCOPE(scope, tn_now() + 5 * TN_MS);
        char byte;
        tt_check_eq(tn_io_read(tn_tls_io(pair.server), &byte, 1), TN_ETIMEDOUT);
        tt_check_eq(tn_io_write(tn_tls_io(pair.server), &byte, 1), TN_ETIMEDOUT); /* it begins with a check */
    }
    tt_exchange(pair.client, pair.server, "all is well");
    tt_pair_end(&pair);
    return NULL;
}

Test(tls_flow, a_deadline_leaves_the_session_usable)
{
    run(silent_peer);
}

/* Writes until a deadline; returns how many bytes the calls have taken. */
static size_t write_until_full(tn_tls *tls)
{
    unsigned char buf[1000];
    size_t done = 0;
    ssize_t n;

    TN_SCOPE(scope, tn_now() + 20 * TN_MS);
    do {
        for (size_t i = 0; i < sizeof buf; i++)
            buf[i] = byte_at(done + i);
        n = tn_io_write(tn_tls_io(tls), buf, sizeof buf);
        done += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    tt_check_eq(n, TN_ETIMEDOUT);
    return done;
}

static void read_and_check(tn_tls *tls, size_t total)
{
    unsigned char buf[700];

    for (size_t done = 0; done < total;) {
        ssize_t n = tn_io_read(tn_tls_io(tls), buf, sizeof buf < total - done ? sizeof buf : total - done);
        tt_check(n > 0);
        for (ssize_t i = 0; i < n; i++)
            tt_check_eq(buf[i], byte_at(done + (size_t)i));
        done += (size_t)n;
    }
}

static void *reads_one(void *arg)
{
    char byte;

    tt_check_eq(tn_io_read(tn_tls_io(arg), &byte, 1), 1);
    tt_check_eq(tn_io_read(tn_tls_io(arg), &byte, 1), 0);
    return NULL;
}

/* The peer reads nothing for a while. What a cancelled write has taken arrives later, by itself if a task reads. */
static void *slow_peer(void *arg)
{
    const sides *s = arg;
    tn_task *reader;
    tt_pair pair;
    size_t total;

    tt_pair_connect(&pair, s->server, s->client, 3000);
    reader = tt_spawn(reads_one, pair.server);
    total = write_until_full(pair.server);
    read_and_check(pair.client, total); /* the server's reader sends what is left */
    tt_check_eq(tn_io_write(tn_tls_io(pair.client), "x", 1), 1);
    tt_check_eq(tn_io_close_write(tn_tls_io(pair.client)), 0);
    tt_join(reader);
    tt_pair_close(&pair);

    tt_pair_connect(&pair, s->server, s->client, 3000);
    total = write_until_full(pair.server);
    reader = tt_spawn(reads_one, pair.server); /* the same if it begins later */
    read_and_check(pair.client, total);
    tt_check_eq(tn_io_write(tn_tls_io(pair.client), "x", 1), 1);
    tt_check_eq(tn_io_close_write(tn_tls_io(pair.client)), 0);
    tt_join(reader);
    tt_pair_close(&pair);
    return NULL;
}

Test(tls_flow, a_cancelled_write_loses_nothing)
{
    run(slow_peer);
}

/* --- Other tasks ----------------------------------------------------------------------------------------------------------- */

static void *reads_until_aborted(void *arg)
{
    char byte;
    ssize_t n;

    while ((n = tn_io_read(tn_tls_io(arg), &byte, 1)) == TN_EBUSY) /* the other task waits for input just then */
        tn_yield();
    tt_check_eq(n, TN_EBADF);
    return NULL;
}

static void *writes_until_aborted(void *arg)
{
    char buf[1000] = "";
    ssize_t n;

    do
        n = tn_io_write(tn_tls_io(arg), buf, sizeof buf);
    while (n > 0);
    tt_check_eq(n, TN_EBADF);
    return NULL;
}

static void *abort_beside(void *arg)
{
    const sides *s = arg;
    tn_task *reader;
    tn_task *writer;
    tt_pair pair;
    char byte;
    int rc;

    tt_pair_connect(&pair, s->server, s->client, 3000);
    reader = tt_spawn(reads_until_aborted, pair.server);
    writer = tt_spawn(writes_until_aborted, pair.server);
    do { /* until both wait */
        tn_yield();
        TN_SCOPE(scope, tn_now() + TN_MS);
        rc = tn_io_wait(tn_tls_io(pair.server), TN_READABLE);
    } while (rc != TN_EBUSY);
    tt_check_eq(tn_io_descriptor(tn_tls_io(pair.server), TN_READABLE), TN_ENOTSUP);
    tt_check_eq(tn_io_abort(tn_tls_io(pair.server)), 0);
    tt_join(reader);
    tt_join(writer);
    tt_check_eq(tn_io_read(tn_tls_io(pair.server), &byte, 1), TN_EBADF);
    tt_check_eq(tn_io_close_write(tn_tls_io(pair.server)), TN_EBADF);
    tt_pair_close(&pair);
    return NULL;
}

Test(tls_flow, an_abort_ends_the_calls_of_other_tasks)
{
    run(abort_beside);
}

/* --- Small calls ----------------------------------------------------------------------------------------------------------- */

static void *vectors(void *arg)
{
    static char large[20000];
    const sides *s = arg;
    struct iovec iov[3] = {{(void *)"ab", 2}, {large, 0}, {(void *)"cde", 3}};
    char buf[64];
    tt_pair pair;

    tt_pair_connect(&pair, s->server, s->client, 0);
    tt_check_eq(tn_io_writev(tn_tls_io(pair.client), iov, 3), 5);
    tt_check(!tn_tls_has_input(pair.server));
    tt_check_eq(tn_io_read(tn_tls_io(pair.server), buf, 3), 3); /* one record */
    tt_check(tn_tls_has_input(pair.server));
    tt_check_eq(tn_io_read(tn_tls_io(pair.server), buf + 3, sizeof buf - 3), 2);
    tt_check(!tn_tls_has_input(pair.server));
    tt_check(memcmp(buf, "abcde", 5) == 0);
    iov[0] = (struct iovec){large, sizeof large};
    tt_check_eq(tn_io_writev(tn_tls_io(pair.client), iov, 3), 16128);
    tt_check_eq(tn_io_write(tn_tls_io(pair.client), large, sizeof large), 16128);
    tt_check_eq(tn_io_write(tn_tls_io(pair.client), large, 0), 0);
    tt_check_eq(tn_io_read(tn_tls_io(pair.server), buf, 0), 0);
    tt_check_eq(tn_io_wait(tn_tls_io(pair.client), TN_WRITABLE), 0);
    for (size_t done = 0; done < 2 * 16128;)
        done += (size_t)tn_io_read(tn_tls_io(pair.server), large, sizeof large);
    tt_pair_end(&pair);
    return NULL;
}

Test(tls_flow, a_write_is_one_record)
{
    run(vectors);
}
