/* SPDX-License-Identifier: MIT */
/* Certificates made for a test, and pairs of sessions over a connection in memory. */
#include "tls/tls_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* --- Certificates ---------------------------------------------------------------------------------------------------------- */

static char *text_of(BIO *bio)
{
    char *bytes;
    long size = BIO_get_mem_data(bio, &bytes);
    char *text = malloc((size_t)size + 1);

    tt_check(text != NULL && size > 0);
    memcpy(text, bytes, (size_t)size);
    text[size] = '\0';
    BIO_free(bio);
    return text;
}

static void add_extension(X509 *certificate, int which, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, which, value);
    tt_check(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static X509 *read_certificate(const char *text)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    X509 *found = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    tt_check(found != NULL);
    return found;
}

static EVP_PKEY *read_key(const char *text)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    EVP_PKEY *found = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

    BIO_free(bio);
    tt_check(found != NULL);
    return found;
}

tt_identity tt_identity_make(const char *name, const tt_identity *signer, int days)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    EVP_PKEY *signing = signer != NULL ? read_key(signer->key) : key;
    X509 *by = signer != NULL ? read_certificate(signer->certificate) : NULL;
    X509 *made = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    tt_identity identity;
    char alternative[300];

    tt_check(key != NULL && made != NULL);
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1000000 + 100 * (long)strlen(name) + days);
    X509_gmtime_adj(X509_getm_notBefore(made), -30 * 86400L);
    X509_gmtime_adj(X509_getm_notAfter(made), days * 86400L);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(made, by != NULL ? X509_get_subject_name(by) : X509_get_subject_name(made));
    X509_set_pubkey(made, key);
    if (signer == NULL) {
        add_extension(made, NID_basic_constraints, "critical,CA:TRUE");
    } else {
        (void)snprintf(alternative, sizeof alternative, "DNS:%s", name);
        add_extension(made, NID_subject_alt_name, alternative);
    }
    tt_check(X509_sign(made, signing, NULL) > 0);
    tt_check(PEM_write_bio_X509(bio, made) == 1);
    if (by != NULL)
        tt_check(PEM_write_bio_X509(bio, by) == 1);
    identity.certificate = text_of(bio);
    bio = BIO_new(BIO_s_mem());
    tt_check(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    identity.key = text_of(bio);
    if (signer != NULL)
        EVP_PKEY_free(signing);
    EVP_PKEY_free(key);
    X509_free(made);
    X509_free(by);
    return identity;
}

void tt_identity_free(tt_identity *identity)
{
    free(identity->certificate);
    free(identity->key);
}

void tt_identities_make(tt_identities *all)
{
    all->authority = tt_identity_make("authority.test", NULL, 30);
    all->server = tt_identity_make("server.test", &all->authority, 30);
    all->client = tt_identity_make("client.test", &all->authority, 30);
}

void tt_identities_free(tt_identities *all)
{
    tt_identity_free(&all->authority);
    tt_identity_free(&all->server);
    tt_identity_free(&all->client);
}

/* --- Contexts -------------------------------------------------------------------------------------------------------------- */

tn_tls_context_options tt_server_options(const tt_identities *all)
{
    tn_tls_context_options options = tn_tls_context_options_default();

    options.role = TN_TLS_SERVER;
    options.certificate = all->server.certificate;
    options.key = all->server.key;
    return options;
}

tn_tls_context_options tt_client_options(const tt_identities *all)
{
    tn_tls_context_options options = tn_tls_context_options_default();

    options.authorities = all->authority.certificate;
    return options;
}

tn_tls_context *tt_context(const tn_tls_context_options *options)
{
    tn_tls_context *context = NULL;
    tn_tls_error error;
    int rc = tn_tls_context_open(&context, options, &error);

    if (rc != 0)
        (void)fprintf(stderr, "%s\n", error.text);
    tt_check_eq(rc, 0);
    return context;
}

/* --- Pairs ----------------------------------------------------------------------------------------------------------------- */

void tt_pair_open(tt_pair *pair, tn_tls_context *server, tn_tls_context *client, size_t capacity, const tn_tls_options *options)
{
    tn_duplex_options duplex = tn_duplex_options_default();
    tn_tls_options usual = tn_tls_options_default();
    tn_tls_options of_server = tn_tls_options_default();

    usual.host_name = "server.test";
    of_server.peer = "a client";
    duplex.capacity = capacity;
    tt_check_eq(tn_duplex_open(pair->ends, &duplex), 0);
    tt_check_eq(tn_tls_open(&pair->server, server, pair->ends[0], &of_server), 0);
    tt_check_eq(tn_tls_open(&pair->client, client, pair->ends[1], options != NULL ? options : &usual), 0);
}

static void *server_handshake(void *arg)
{
    tt_pair *pair = arg;

    pair->server_rc = tn_tls_handshake(pair->server);
    return NULL;
}

void tt_pair_handshake(tt_pair *pair)
{
    tn_task *task = tt_spawn(server_handshake, pair);

    pair->client_rc = tn_tls_handshake(pair->client);
    tt_join(task);
}

void tt_pair_connect(tt_pair *pair, tn_tls_context *server, tn_tls_context *client, size_t capacity)
{
    tt_pair_open(pair, server, client, capacity, NULL);
    tt_pair_handshake(pair);
    tt_check_eq(pair->server_rc, 0);
    tt_check_eq(pair->client_rc, 0);
}

void tt_pair_close(tt_pair *pair)
{
    tn_io_close(tn_tls_io(pair->server));
    tn_io_close(tn_tls_io(pair->client));
}

void tt_exchange(tn_tls *from, tn_tls *to, const char *text)
{
    char buf[256];
    size_t done = 0;

    tt_check_eq(tn_io_write_all(tn_tls_io(from), text, strlen(text)), 0);
    tt_check_eq(tn_io_read_exact(tn_tls_io(to), buf, strlen(text), &done), 0);
    tt_check(memcmp(buf, text, strlen(text)) == 0);
}

void tt_pair_end(tt_pair *pair)
{
    char byte;

    tt_check_eq(tn_io_close_write(tn_tls_io(pair->client)), 0);
    tt_check_eq(tn_io_read(tn_tls_io(pair->server), &byte, 1), 0);
    tt_check_eq(tn_io_close_write(tn_tls_io(pair->server)), 0);
    tt_check_eq(tn_io_read(tn_tls_io(pair->client), &byte, 1), 0);
    tt_pair_close(pair);
}

void tt_check_error(tn_tls *tls, int code, const char *peer, const char *reason)
{
    tn_tls_error error;

    tn_tls_last_error(tls, &error);
    tt_check_eq(error.code, code);
    if (strstr(error.text, peer) == NULL || strstr(error.text, reason) == NULL)
        (void)fprintf(stderr, "%s\n", error.text);
    tt_check(strstr(error.text, peer) != NULL && strstr(error.text, reason) != NULL);
}

/* --- What goes wrong below ------------------------------------------------------------------------------------------------- */

static ssize_t fault_read(void *object, void *buf, size_t size)
{
    const tt_fault *fault = object;

    if (fault->read_error != 0)
        return fault->read_error;
    return tn_io_read(fault->below, buf, size < fault->most ? size : fault->most);
}

static ssize_t fault_write(void *object, const void *buf, size_t size)
{
    tt_fault *fault = object;
    ssize_t n;

    if (fault->left == 0) {
        if (fault->error == TN_ECONNRESET)
            (void)tn_io_abort(fault->below);
        return fault->error;
    }
    if (size > fault->most)
        size = fault->most;
    n = tn_io_write(fault->below, buf, size < fault->left ? size : fault->left);
    if (n > 0) {
        fault->left -= (size_t)n;
        fault->passed += (size_t)n;
    }
    return n;
}

static int fault_wait(void *object, tn_direction direction)
{
    const tt_fault *fault = object;

    return direction == TN_READABLE && fault->read_error != 0 ? 0 : tn_io_wait(fault->below, direction);
}

static void fault_close(void *object)
{
    const tt_fault *fault = object;

    tn_io_close(fault->below);
}

tn_io tt_fault_io(tt_fault *fault)
{
    static const tn_io_ops ops = {
        .size = sizeof ops, .read = fault_read, .write = fault_write, .wait = fault_wait, .close = fault_close};

    return (tn_io){&ops, fault};
}

/* --- In the middle --------------------------------------------------------------------------------------------------------- */

void tt_middle_open(tt_middle *middle, tn_tls_context *server, tn_tls_context *client)
{
    tn_tls_options options = tn_tls_options_default();
    tn_io ends[2];

    options.host_name = "server.test";
    tt_check_eq(tn_duplex_open(ends, NULL), 0);
    middle->inner[TT_OF_CLIENT] = ends[1];
    tt_check_eq(tn_tls_open(&middle->pair.client, client, ends[0], &options), 0);
    options = tn_tls_options_default();
    options.peer = "a client";
    tt_check_eq(tn_duplex_open(ends, NULL), 0);
    middle->inner[TT_OF_SERVER] = ends[1];
    tt_check_eq(tn_tls_open(&middle->pair.server, server, ends[0], &options), 0);
}

void tt_middle_close(tt_middle *middle)
{
    tt_pair_close(&middle->pair);
    tn_io_close(middle->inner[0]);
    tn_io_close(middle->inner[1]);
}

ssize_t tt_record_read(tn_io from, unsigned char *record)
{
    size_t done = 0;
    int rc = tn_io_read_exact(from, record, 5, &done);

    if (rc != 0)
        return done == 0 && rc == TN_EBADMSG ? 0 : rc;
    rc = tn_io_read_exact(from, record, 5 + ((size_t)record[3] << 8) + record[4], &done);
    return rc != 0 ? rc : (ssize_t)done;
}

size_t tt_middle_take(tt_middle *middle, unsigned from, unsigned char *record)
{
    ssize_t n = tt_record_read(middle->inner[from], record);

    tt_check(n > 0);
    return (size_t)n;
}

void tt_middle_give(tt_middle *middle, unsigned from, const void *bytes, size_t size)
{
    tt_check_eq(tn_io_write_all(middle->inner[1 - from], bytes, size), 0);
}

void tt_middle_pass(tt_middle *middle, unsigned from, atomic_int *left)
{
    unsigned char *record = malloc(TT_RECORD);
    ssize_t n;

    tt_check(record != NULL);
    while ((n = tt_record_read(middle->inner[from], record)) > 0) {
        if (left != NULL && atomic_fetch_sub(left, 1) <= 0) {
            (void)tn_io_abort(middle->inner[0]);
            (void)tn_io_abort(middle->inner[1]);
        }
        if (tn_io_write_all(middle->inner[1 - from], record, (size_t)n) != 0)
            break;
    }
    if (n == 0)
        (void)tn_io_close_write(middle->inner[1 - from]);
    free(record);
}
