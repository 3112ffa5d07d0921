/* SPDX-License-Identifier: MIT */
/* Sessions of TLS against each other: what a handshake agrees on, and what it refuses. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "support/runtime.h"
#include "tls/tls_support.h"

static void run(void *(*entry)(void *arg))
{
    tt_run(entry, NULL);
}

/* Has both handshakes with these options; each result is returned in the pair. */
static void handshake_with(tt_pair *pair, const tn_tls_context_options *server, const tn_tls_context_options *client,
                           const tn_tls_options *options)
{
    tn_tls_context *of_server = tt_context(server);
    tn_tls_context *of_client = tt_context(client);

    tt_pair_open(pair, of_server, of_client, 0, options);
    tn_tls_context_release(of_server); /* the sessions keep what they need */
    tn_tls_context_release(of_client);
    tt_pair_handshake(pair);
}

static tn_tls_info info_of(tn_tls *tls)
{
    tn_tls_info info = {.size = sizeof info};

    tt_check_eq(tn_tls_get_info(tls, &info), 0);
    return info;
}

/* --- What it agrees on ----------------------------------------------------------------------------------------------------- */

static void agree(const tt_identities *all, tn_tls_version version)
{
    static const char *const of_server[] = {"h2", "http/1.1", NULL};
    static const char *const of_client[] = {"other", "http/1.1", NULL};
    tn_tls_context_options server = tt_server_options(all);
    tn_tls_context_options client = tt_client_options(all);
    tt_pair pair;

    server.protocols = of_server;
    client.protocols = of_client;
    client.version_max = version;
    handshake_with(&pair, &server, &client, NULL);
    tt_check_eq(pair.server_rc, 0);
    tt_check_eq(pair.client_rc, 0);
    tt_check_eq(info_of(pair.server).version, version);
    tt_check_eq(info_of(pair.client).version, version);
    tt_check(strcmp(info_of(pair.server).protocol, "http/1.1") == 0);
    tt_check(strcmp(info_of(pair.client).protocol, "http/1.1") == 0);
    tt_check(strcmp(info_of(pair.server).host_name, "server.test") == 0);
    tt_check(strstr(info_of(pair.client).peer_subject, "server.test") != NULL);
    tt_check(info_of(pair.server).peer_subject[0] == '\0');
    tt_check(info_of(pair.client).cipher[0] != '\0' && !info_of(pair.client).resumed);
    tt_exchange(pair.client, pair.server, "to the server");
    tt_exchange(pair.server, pair.client, "to the client");
    tt_check_eq(tn_tls_handshake(pair.client), 0); /* it is over */
    tt_pair_end(&pair);
}

static void *agrees(void *arg)
{
    tt_identities all;

    (void)arg;
    tt_identities_make(&all);
    agree(&all, TN_TLS_1_2);
    agree(&all, TN_TLS_1_3);
    tt_identities_free(&all);
    return NULL;
}

Test(tls, agrees_on_version_protocol_and_name)
{
    run(agrees);
}

static void *no_common(void *arg)
{
    static const char *const of_server[] = {"h2", NULL};
    static const char *const of_client[] = {"other", NULL};
    tt_identities all;
    tn_tls_context_options server;
    tn_tls_context_options client;
    tt_pair pair;

    (void)arg;
    tt_identities_make(&all);
    server = tt_server_options(&all);
    client = tt_client_options(&all);
    server.protocols = of_server;
    client.protocols = of_client;
    handshake_with(&pair, &server, &client, NULL);
    tt_check_eq(pair.server_rc, TN_EPROTO);
    tt_check_eq(pair.client_rc, TN_EPROTO);
    tt_check_error(pair.client, TN_EPROTO, "server.test", "no application protocol"); /* the alert has been sent */
    tt_check_eq(tn_io_write(tn_tls_io(pair.client), "a", 1), TN_EPROTO);              /* the error stays */
    tt_check_eq(tn_tls_handshake(pair.client), TN_EPROTO);
    tt_pair_close(&pair);

    server.protocols = client.protocols = NULL;
    server.version_min = TN_TLS_1_3;
    client.version_max = TN_TLS_1_2;
    handshake_with(&pair, &server, &client, NULL);
    tt_check_eq(pair.server_rc, TN_EPROTO);
    tt_check_eq(pair.client_rc, TN_EPROTO);
    tt_check_error(pair.server, TN_EPROTO, "a client", "unsupported protocol");
    tt_pair_close(&pair);
    tt_identities_free(&all);
    return NULL;
}

Test(tls, refuses_what_is_not_common)
{
    run(no_common);
}

/* --- Names ----------------------------------------------------------------------------------------------------------------- */

static void ask_for(const tt_identities *all, tn_tls_context *server, const char *name, const char *subject)
{
    tn_tls_context_options of_client = tt_client_options(all);
    tn_tls_options options = tn_tls_options_default();
    tn_tls_context *client;
    tt_pair pair;

    of_client.verify = TN_TLS_VERIFY_NONE;
    client = tt_context(&of_client);
    options.host_name = name;
    tt_pair_open(&pair, server, client, 0, &options);
    tt_pair_handshake(&pair);
    tt_check_eq(pair.client_rc, 0);
    tt_check(strstr(info_of(pair.client).peer_subject, subject) != NULL);
    tt_pair_close(&pair);
    tn_tls_context_release(client);
}

static void *names(void *arg)
{
    tt_identities all;
    tt_identity exact;
    tt_identity star;
    tn_tls_context_options options;
    tn_tls_context *server;
    tn_tls_error error;

    (void)arg;
    tt_identities_make(&all);
    exact = tt_identity_make("exact.example.test", &all.authority, 30);
    star = tt_identity_make("star.test", &all.authority, 30);
    options = tt_server_options(&all);
    server = tt_context(&options);
    tt_check_eq(tn_tls_context_add_name(server, "exact.example.test", exact.certificate, exact.key, NULL), 0);
    tt_check_eq(tn_tls_context_add_name(server, "*.example.test", star.certificate, star.key, NULL), 0);
    ask_for(&all, server, "EXACT.example.test", "exact.example.test");
    ask_for(&all, server, "other.example.test", "star.test");
    ask_for(&all, server, "a.b.example.test", "server.test");
    ask_for(&all, server, "example.test", "server.test");
    ask_for(&all, server, "127.0.0.1", "server.test"); /* an address is not sent */
    tt_check_eq(tn_tls_context_add_name(server, "*.EXAMPLE.test", exact.certificate, exact.key, NULL), 0);
    ask_for(&all, server, "other.example.test", "exact.example.test");
    tt_check_eq(tn_tls_context_add_name(server, "x.test", exact.certificate, star.key, &error), TN_EINVAL);
    tt_check(strstr(error.text, "key") != NULL);
    ask_for(&all, server, "x.test", "server.test");
    tn_tls_context_release(server);
    tt_identity_free(&exact);
    tt_identity_free(&star);
    tt_identities_free(&all);
    return NULL;
}

Test(tls, presents_a_certificate_for_each_name)
{
    run(names);
}

/* --- Verification ---------------------------------------------------------------------------------------------------------- */

static void refused(const tt_identities *all, const tt_identity *identity, const char *authorities, const char *name, long result,
                    const char *reason)
{
    tn_tls_context_options server = tt_server_options(all);
    tn_tls_context_options client = tt_client_options(all);
    tn_tls_options options = tn_tls_options_default();
    tn_tls_error error;
    tt_pair pair;
    char byte;

    server.certificate = identity->certificate;
    server.key = identity->key;
    client.authorities = authorities;
    options.host_name = name;
    options.peer = "192.0.2.1:443";
    handshake_with(&pair, &server, &client, &options);
    tt_check_eq(pair.client_rc, TN_EPROTO);
    tt_check_error(pair.client, TN_EPROTO, "192.0.2.1:443", reason);
    tn_tls_last_error(pair.client, &error);
    tt_check_eq(error.verify_result, result);
    /* The alert that says so has been sent: in TLS 1.3 the server's handshake waits for the client's last message. */
    tt_check_eq(pair.server_rc, TN_EPROTO);
    tt_check_error(pair.server, TN_EPROTO, "a client", "alert");
    tt_check_eq(tn_io_read(tn_tls_io(pair.server), &byte, 1), TN_EPROTO);
    tt_pair_close(&pair);
}

static void *verification(void *arg)
{
    tt_identities all;
    tt_identity expired;
    tt_identity other;
    tn_tls_context_options client;
    tn_tls_context *context;
    tn_tls *tls;
    tn_io ends[2];

    (void)arg;
    tt_identities_make(&all);
    expired = tt_identity_make("server.test", &all.authority, -1);
    other = tt_identity_make("other authority", NULL, 30);
    refused(&all, &all.server, all.authority.certificate, "wrong.test", X509_V_ERR_HOSTNAME_MISMATCH, "hostname mismatch");
    refused(&all, &all.server, all.authority.certificate, "192.0.2.1", X509_V_ERR_IP_ADDRESS_MISMATCH, "IP address mismatch");
    refused(&all, &expired, all.authority.certificate, "server.test", X509_V_ERR_CERT_HAS_EXPIRED, "expired");
    refused(&all, &all.server, other.certificate, "server.test", X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "self-signed");
    client = tt_client_options(&all);
    context = tt_context(&client);
    tt_check_eq(tn_duplex_open(ends, NULL), 0);
    tt_check_eq(tn_tls_open(&tls, context, ends[0], NULL), TN_EINVAL); /* nothing to verify the name by */
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
    tn_tls_context_release(context);
    tt_identity_free(&expired);
    tt_identity_free(&other);
    tt_identities_free(&all);
    return NULL;
}

Test(tls, a_client_verifies_the_server)
{
    run(verification);
}

static void client_presents(const tt_identities *all, tn_tls_verify verify, const tt_identity *identity, int result,
                            const char *reason)
{
    tn_tls_context_options server = tt_server_options(all);
    tn_tls_context_options client = tt_client_options(all);
    tt_pair pair;
    char byte;

    server.verify = verify;
    server.authorities = all->authority.certificate;
    if (identity != NULL) {
        client.certificate = identity->certificate;
        client.key = identity->key;
    }
    handshake_with(&pair, &server, &client, NULL);
    tt_check_eq(pair.server_rc, result);
    tt_check_eq(pair.client_rc, 0); /* it learns of a refusal in its first read */
    if (result == 0) {
        tt_check((strstr(info_of(pair.server).peer_subject, "client.test") != NULL) == (identity != NULL));
        tt_exchange(pair.client, pair.server, "hello");
        tt_pair_end(&pair);
        return;
    }
    tt_check_error(pair.server, TN_EPROTO, "a client", reason);
    tt_check_eq(tn_io_read(tn_tls_io(pair.client), &byte, 1), TN_EPROTO);
    tt_check_error(pair.client, TN_EPROTO, "server.test", "alert");
    tt_pair_close(&pair);
}

static void *client_certificates(void *arg)
{
    tt_identities all;
    tt_identity other;
    tt_identity expired;

    (void)arg;
    tt_identities_make(&all);
    other = tt_identity_make("client.test", NULL, 30);
    expired = tt_identity_make("client.test", &all.authority, -1);
    client_presents(&all, TN_TLS_VERIFY_REQUIRED, &all.client, 0, NULL);
    client_presents(&all, TN_TLS_VERIFY_REQUIRED, NULL, TN_EPROTO, "did not return a certificate");
    client_presents(&all, TN_TLS_VERIFY_REQUIRED, &other, TN_EPROTO, "self-signed");
    client_presents(&all, TN_TLS_VERIFY_OPTIONAL, NULL, 0, NULL);
    client_presents(&all, TN_TLS_VERIFY_OPTIONAL, &all.client, 0, NULL);
    client_presents(&all, TN_TLS_VERIFY_OPTIONAL, &expired, TN_EPROTO, "expired");
    tt_identity_free(&other);
    tt_identity_free(&expired);
    tt_identities_free(&all);
    return NULL;
}

Test(tls, a_server_verifies_clients)
{
    run(client_certificates);
}

/* --- Continued sessions, reload -------------------------------------------------------------------------------------------- */

/* Connects with `ticket`; returns the next one. */
static tn_tls_ticket *connect_again(tn_tls_context *server, tn_tls_context *client, const tn_tls_ticket *ticket)
{
    tn_tls_options options = tn_tls_options_default();
    tn_tls_ticket *next;
    tt_pair pair;

    options.host_name = "server.test";
    options.ticket = ticket;
    tt_pair_open(&pair, server, client, 0, &options);
    tt_pair_handshake(&pair);
    tt_check_eq(pair.server_rc, 0);
    tt_check_eq(pair.client_rc, 0);
    tt_check_eq(info_of(pair.server).resumed, ticket != NULL);
    tt_check_eq(info_of(pair.client).resumed, ticket != NULL);
    tt_exchange(pair.server, pair.client, "the ticket comes before");
    next = tn_tls_take_ticket(pair.client);
    tt_check(next != NULL);
    tt_check(tn_tls_take_ticket(pair.client) == NULL);
    tt_pair_end(&pair);
    return next;
}

static void is_no_option(tn_tls_context *context, const char *host, const tn_tls_ticket *ticket)
{
    tn_tls_options options = tn_tls_options_default();
    tn_tls *tls;
    tn_io ends[2];

    options.host_name = host;
    options.ticket = ticket;
    tt_check_eq(tn_duplex_open(ends, NULL), 0);
    tt_check_eq(tn_tls_open(&tls, context, ends[0], &options), TN_EINVAL);
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
}

static void resume(const tt_identities *all, tn_tls_version version)
{
    tn_tls_context_options of_server = tt_server_options(all);
    tn_tls_context_options of_client = tt_client_options(all);
    tn_tls_context *server;
    tn_tls_context *client;
    tn_tls_context *other;
    tn_tls_ticket *first;
    tn_tls_ticket *second;

    of_client.version_max = version;
    server = tt_context(&of_server);
    client = tt_context(&of_client);
    first = connect_again(server, client, NULL);
    tt_check_eq(tn_tls_context_reload(server, NULL), 0); /* a ticket outlives it */
    second = connect_again(server, client, first);
    other = tt_context(&of_client);
    is_no_option(client, "other.test", second); /* no certificate of that name was verified */
    is_no_option(other, "server.test", second);
    is_no_option(client, "", NULL);
    tn_tls_context_release(other);
    tn_tls_ticket_release(first);
    tn_tls_ticket_release(second);
    tn_tls_context_release(server);
    tn_tls_context_release(client);
}

static void *resumes(void *arg)
{
    tt_identities all;

    (void)arg;
    tt_identities_make(&all);
    resume(&all, TN_TLS_1_3);
    tt_identities_free(&all);
    return NULL;
}

Test(tls, continues_a_session)
{
    run(resumes);
}

static void write_file(const char *name, const char *text)
{
    tt_check_eq(tn_fs_write_file(name, text, strlen(text), 0600), 0);
}

static void *reloads(void *arg)
{
    char certificate[64];
    char key[64];
    tt_identities all;
    tt_identity renewed;
    tn_tls_context_options options;
    tn_tls_context *server;
    tn_tls_context *client;
    tn_tls_error error;
    tt_pair before;

    (void)arg;
    tt_identities_make(&all);
    renewed = tt_identity_make("renewed.test", &all.authority, 30);
    (void)snprintf(certificate, sizeof certificate, "/tmp/tournant-%d.crt", (int)getpid());
    (void)snprintf(key, sizeof key, "/tmp/tournant-%d.key", (int)getpid());
    write_file(certificate, all.server.certificate);
    write_file(key, all.server.key);
    options = tt_server_options(&all);
    options.certificate = certificate;
    options.key = key;
    server = tt_context(&options);
    options = tt_client_options(&all);
    client = tt_context(&options);
    tt_pair_connect(&before, server, client, 0);
    write_file(key, "no key");
    tt_check_eq(tn_tls_context_reload(server, &error), TN_EINVAL);
    tt_check(strstr(error.text, key) != NULL);
    ask_for(&all, server, "server.test", "server.test"); /* all is as before */
    write_file(certificate, renewed.certificate);
    write_file(key, renewed.key);
    tt_check_eq(tn_tls_context_reload(server, &error), 0);
    ask_for(&all, server, "server.test", "renewed.test");
    tt_exchange(before.client, before.server, "open sessions go on");
    tt_pair_end(&before);
    (void)unlink(certificate);
    tt_check_eq(tn_tls_context_reload(server, &error), TN_EINVAL);
    tt_check(strstr(error.text, certificate) != NULL && strstr(error.text, "o such file") != NULL);
    (void)unlink(key);
    tn_tls_context_release(server);
    tn_tls_context_release(client);
    tt_identity_free(&renewed);
    tt_identities_free(&all);
    return NULL;
}

Test(tls, reloads_certificates)
{
    run(reloads);
}

/* --- Misuse ---------------------------------------------------------------------------------------------------------------- */

static void expect_refused(tn_tls_context_options *options, const char *text)
{
    tn_tls_context *context = NULL;
    tn_tls_error error;

    tt_check_eq(tn_tls_context_open(&context, options, &error), TN_EINVAL);
    tt_check_eq(error.code, TN_EINVAL);
    tt_check(strstr(error.text, text) != NULL);
    tt_check_eq(tn_tls_context_open(&context, options, NULL), TN_EINVAL);
}

/* What begins with something else is a text too: no part of it is in the message, and a key in it is found. */
static void refuses_texts(const tn_tls_context_options *good)
{
    static const char *const before[] = {"\n", "# my key\n", "Bag Attributes\n    localKeyID: 01\n"};
    char text[8192];

    for (unsigned i = 0; i < 3; i++) {
        tn_tls_context_options options = *good;
        tn_tls_context *context = NULL;
        tn_tls_error error;
        (void)snprintf(text, sizeof text, "%s%s", before[i], good->key);
        options.key = text;
        tt_check_eq(tn_tls_context_open(&context, &options, &error), 0);
        tn_tls_context_release(context);
        (void)snprintf(text, sizeof text, "%ssecret\n", before[i]);
        tt_check_eq(tn_tls_context_open(&context, &options, &error), TN_EINVAL);
        tt_check(strstr(error.text, "secret") == NULL && strstr(error.text, "key") != NULL);
        (void)snprintf(text, sizeof text, "  -----BEGIN secret");
        tt_check_eq(tn_tls_context_open(&context, &options, &error), TN_EINVAL);
        tt_check(strstr(error.text, "secret") == NULL && strstr(error.text, "key") != NULL);
    }
}

static void *refuses(void *arg)
{
    static const char *const empty[] = {"", NULL};
    tt_identities all;
    tn_tls_context_options good;
    tn_tls_context_options options;

    (void)arg;
    tt_identities_make(&all);
    good = tt_server_options(&all);
    options = good;
    options.size = 3;
    expect_refused(&options, "another version");
    options = good;
    options.role = (tn_tls_role)7;
    expect_refused(&options, "role");
    options = good;
    options.certificate = options.key = NULL;
    expect_refused(&options, "certificate is missing");
    options = good;
    options.key = NULL;
    expect_refused(&options, "set both or none");
    options = good;
    options.key = all.client.key;
    expect_refused(&options, "key");
    options = good;
    options.certificate = "/nonexistent";
    expect_refused(&options, "/nonexistent");
    options = good;
    options.authorities = "-----BEGIN NONSENSE-----\n";
    expect_refused(&options, "authorities");
    refuses_texts(&good);
    options = good;
    options.verify = (tn_tls_verify)9;
    expect_refused(&options, "verify");
    options = good;
    options.version_min = TN_TLS_1_3;
    options.version_max = TN_TLS_1_2;
    expect_refused(&options, "version_min");
    options = good;
    options.protocols = empty;
    expect_refused(&options, "protocols");
    tt_identities_free(&all);
    return NULL;
}

Test(tls, refuses_options)
{
    run(refuses);
}

static void *error_queue(void *arg)
{
    tt_identities all;
    tn_tls_context_options server;
    tn_tls_context_options client;
    tt_pair pair;

    (void)arg;
    tt_identities_make(&all);
    server = tt_server_options(&all);
    client = tt_client_options(&all);
    ERR_raise(ERR_LIB_USER, 1); /* the program's own error is not taken for one of a session */
    handshake_with(&pair, &server, &client, NULL);
    tt_check_eq(pair.client_rc, 0);
    ERR_raise(ERR_LIB_USER, 1);
    tt_exchange(pair.client, pair.server, "hello");
    ERR_clear_error();
    tt_pair_end(&pair);
    tt_identities_free(&all);
    return NULL;
}

Test(tls, takes_no_error_of_others)
{
    run(error_queue);
}

Test(tls, works_in_a_plain_thread)
{
    tt_identities all;
    tn_tls_context_options options;
    tn_tls_context *context;

    tt_identities_make(&all);
    options = tt_server_options(&all);
    context = tt_context(&options);
    cr_assert_eq(tn_tls_context_reload(context, NULL), 0);
    tn_tls_context_release(tn_tls_context_retain(context));
    tn_tls_context_release(context);
    tn_tls_context_release(NULL);
    tn_tls_ticket_release(NULL);
    tt_identities_free(&all);
}
