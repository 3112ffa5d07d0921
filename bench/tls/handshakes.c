/* SPDX-License-Identifier: MIT */
/* Handshakes of TLS 1.3, both sides in one thread and in memory: by sessions of tournant_tls, and by a loop around OpenSSL.
 *
 * Run:   handshakes tournant|openssl full|resumed COUNT CERTIFICATE KEY AUTHORITIES
 * See:   the processor time of one, both sides together, in nanoseconds
 *
 * After each handshake the server sends a byte, with which the client also gets its tickets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tn.h>
#include <tn/tls.h>

#include <openssl/ssl.h>

#define HOST "localhost"

typedef struct {
    const char *certificate;
    const char *key;
    const char *authorities;
    unsigned long count;
    bool resumed;
    double ns; /* out: of one */
} setting;

static void expect(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "handshakes: %s failed\n", what);
    exit(1);
}

/* One kind of handshakes, made one after the other. */
typedef struct {
    /* Makes one, by `ticket` or in full (NULL). Returns the ticket for the next one. */
    void *(*connect)(void *sides, void *ticket);
    void (*release)(void *ticket);
    void *sides;
} maker;

static double processor_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Each handshake uses the ticket of the one before, or none. The first one is not counted. */
static void make_all(setting *s, const maker *by)
{
    void *ticket = by->connect(by->sides, NULL);
    double began = processor_ns();

    for (unsigned long i = 0; i < s->count; i++) {
        void *next = by->connect(by->sides, s->resumed ? ticket : NULL);
        by->release(ticket);
        ticket = next;
    }
    s->ns = (processor_ns() - began) / (double)s->count;
    by->release(ticket);
}

/* --- By tournant_tls ------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_tls_context *context;
    tn_io below;
} server_side;

static void *serve(void *arg)
{
    const server_side *side = arg;
    tn_tls *tls;

    expect(tn_tls_open(&tls, side->context, side->below, NULL) == 0, "tn_tls_open");
    expect(tn_tls_handshake(tls) == 0 && tn_io_write(tn_tls_io(tls), "x", 1) == 1, "the server's handshake");
    tn_io_close(tn_tls_io(tls));
    return NULL;
}

typedef struct {
    tn_tls_context *server;
    tn_tls_context *client;
} contexts;

static void *connect_once(void *sides, void *ticket)
{
    const contexts *both = sides;
    tn_tls_options options = tn_tls_options_default();
    tn_tls_info info = {.size = sizeof info};
    tn_tls_ticket *next;
    server_side side = {.context = both->server};
    tn_io ends[2];
    tn_task *task;
    tn_tls *tls;
    char byte;

    options.host_name = HOST;
    options.ticket = ticket;
    expect(tn_duplex_open(ends, NULL) == 0, "tn_duplex_open");
    expect(tn_tls_open(&tls, both->client, ends[0], &options) == 0, "tn_tls_open");
    side.below = ends[1];
    expect(tn_spawn(&task, serve, &side) == 0, "tn_spawn");
    expect(tn_tls_handshake(tls) == 0 && tn_io_read(tn_tls_io(tls), &byte, 1) == 1, "the client's handshake");
    expect(tn_tls_get_info(tls, &info) == 0 && info.resumed == (ticket != NULL), "resumption");
    next = tn_tls_take_ticket(tls);
    tn_io_close(tn_tls_io(tls));
    expect(tn_join(task, NULL) == 0, "tn_join");
    return next;
}

static void release_ticket(void *ticket)
{
    tn_tls_ticket_release(ticket);
}

static void *by_tournant(void *arg)
{
    contexts both;
    const maker by = {.connect = connect_once, .release = release_ticket, .sides = &both};
    setting *s = arg;
    tn_tls_context_options options = tn_tls_context_options_default();

    options.authorities = s->authorities;
    expect(tn_tls_context_open(&both.client, &options, NULL) == 0, "the client's context");
    options = tn_tls_context_options_default();
    options.role = TN_TLS_SERVER;
    options.certificate = s->certificate;
    options.key = s->key;
    expect(tn_tls_context_open(&both.server, &options, NULL) == 0, "the server's context");
    make_all(s, &by);
    tn_tls_context_release(both.server);
    tn_tls_context_release(both.client);
    return NULL;
}

/* --- By OpenSSL alone ------------------------------------------------------------------------------------------------------ */

static int keep(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION **ticket = SSL_get_app_data(ssl);

    SSL_SESSION_free(*ticket);
    *ticket = session;
    return 1;
}

static SSL *side_of(SSL_CTX *ctx, BIO *bio)
{
    SSL *ssl = SSL_new(ctx);

    expect(ssl != NULL && bio != NULL, "SSL_new");
    SSL_set_bio(ssl, bio, bio);
    return ssl;
}

typedef struct {
    SSL_CTX *server;
    SSL_CTX *client;
} bare_contexts;

static void *connect_bare(void *both_sides, void *ticket)
{
    const bare_contexts *both = both_sides;
    SSL_SESSION *next = NULL;
    BIO *ends[2];
    SSL *sides[2];
    char byte;

    expect(BIO_new_bio_pair(&ends[0], 65536, &ends[1], 65536) == 1, "BIO_new_bio_pair");
    sides[0] = side_of(both->server, ends[0]);
    sides[1] = side_of(both->client, ends[1]);
    SSL_set_accept_state(sides[0]);
    SSL_set_connect_state(sides[1]);
    expect(SSL_set_tlsext_host_name(sides[1], HOST) == 1 && SSL_set1_host(sides[1], HOST) == 1, "SSL_set1_host");
    SSL_set_app_data(sides[1], &next);
    if (ticket != NULL)
        expect(SSL_set_session(sides[1], ticket) == 1, "SSL_set_session");
    while (!SSL_is_init_finished(sides[0]) || !SSL_is_init_finished(sides[1])) {
        (void)SSL_do_handshake(sides[1]);
        (void)SSL_do_handshake(sides[0]);
    }
    expect(SSL_write(sides[0], "x", 1) == 1 && SSL_read(sides[1], &byte, 1) == 1, "the byte");
    expect(SSL_session_reused(sides[1]) == (ticket != NULL), "resumption");
    for (unsigned i = 0; i < 2; i++) {
        SSL_set_shutdown(sides[i], SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(sides[i]);
    }
    return next;
}

static void release_session(void *session)
{
    SSL_SESSION_free(session);
}

static void by_openssl(setting *s)
{
    bare_contexts both = {.server = SSL_CTX_new(TLS_server_method()), .client = SSL_CTX_new(TLS_client_method())};
    const maker by = {.connect = connect_bare, .release = release_session, .sides = &both};

    expect(SSL_CTX_use_certificate_chain_file(both.server, s->certificate) == 1, "the certificate");
    expect(SSL_CTX_use_PrivateKey_file(both.server, s->key, SSL_FILETYPE_PEM) == 1, "the key");
    expect(SSL_CTX_load_verify_file(both.client, s->authorities) == 1, "the authorities");
    SSL_CTX_set_verify(both.client, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(both.client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(both.client, keep);
    make_all(s, &by);
    SSL_CTX_free(both.server);
    SSL_CTX_free(both.client);
}

int main(int argc, char **argv)
{
    tn_options options = tn_options_default();
    setting s;

    if (argc != 7) {
        fprintf(stderr, "usage: handshakes tournant|openssl full|resumed COUNT CERTIFICATE KEY AUTHORITIES\n");
        return 2;
    }
    s = (setting){
        .certificate = argv[4],
        .key = argv[5],
        .authorities = argv[6],
        .count = strtoul(argv[3], NULL, 10),
        .resumed = strcmp(argv[2], "resumed") == 0,
    };
    options.flavor = TN_CURRENT_THREAD;
    if (strcmp(argv[1], "tournant") == 0)
        expect(tn_run(by_tournant, &s, &options) == 0, "tn_run");
    else
        by_openssl(&s);
    printf("%.0f\n", s.ns);
    return 0;
}
