/* SPDX-License-Identifier: MIT */
/* Making sessions, the handshake, and what it has agreed on. */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include <openssl/x509v3.h>

#include <tn/task.h>

#include "tls/tls_error.h"
#include "tls/tls_options.h"
#include "tls/tls_session.h"

enum { HOST_MAX = 255 }; /* bytes of a name in SNI */

/* --- Making ---------------------------------------------------------------------------------------------------------------- */

static bool is_address(const char *name)
{
    unsigned char address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* The name that is asked for, and that the certificate must have. */
static bool set_host_name(tn_tls *tls, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);

    if (is_address(name))
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 && SSL_set_tlsext_host_name(tls->ssl, name) == 1;
}

static bool ssl_make(tn_tls *tls, const tn_tls_options *options)
{
    BIO *bio;

    tls->ssl = SSL_new(tls->generation->ctx);
    if (tls->ssl == NULL)
        return false;
    bio = tni_tls_bytes_bio(tls->generation->method, &tls->pair);
    if (bio == NULL)
        return false;
    SSL_set_bio(tls->ssl, bio, bio); /* one reference stands for both directions */
    if (SSL_set_app_data(tls->ssl, tls) != 1)
        return false;
    if (tls->generation->role == TN_TLS_SERVER) {
        SSL_set_accept_state(tls->ssl);
        return true;
    }
    SSL_set_connect_state(tls->ssl);
    if (options->host_name != NULL && !set_host_name(tls, options->host_name))
        return false;
    return options->ticket == NULL || SSL_set_session(tls->ssl, options->ticket->session) == 1;
}

static void tls_free(tn_tls *tls)
{
    /* Without these marks SSL_free takes the session for a broken one, and the ticket that was taken from it would be useless. */
    if (tls->ssl != NULL && tls->open && tls->failed == 0)
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->ssl);
    tni_tls_bytes_free(&tls->pair.in);
    tni_tls_bytes_free(&tls->pair.out);
    tni_tls_bytes_free(&tls->sending);
    tn_tls_ticket_release(tls->ticket);
    tni_tls_generation_release(tls->generation);
    tn_tls_context_release(tls->context);
    OPENSSL_free(tls->peer);
    OPENSSL_free(tls->host);
    OPENSSL_free(tls);
}

void tni_tls_session_free(tn_tls *tls)
{
    tn_mutex_fini(&tls->lock);
    tn_notify_fini(&tls->changed);
    tls_free(tls);
}

static bool same_host(const char *one, const char *other)
{
    return one == NULL || other == NULL ? one == other : strcasecmp(one, other) == 0;
}

static bool options_allowed(const tn_tls *tls, const tn_tls_options *options)
{
    const tn_tls_ticket *ticket = options->ticket;
    size_t length = options->host_name != NULL ? strlen(options->host_name) : 0;

    if (tls->generation->role == TN_TLS_SERVER)
        return true;
    if (options->host_name != NULL && (length == 0 || length > HOST_MAX))
        return false;
    if (options->host_name == NULL && tls->generation->verify == TN_TLS_VERIFY_REQUIRED)
        return false;
    return ticket == NULL || (ticket->context == tls->context && same_host(ticket->host, options->host_name));
}

int tn_tls_open(tn_tls **out, tn_tls_context *context, tn_io below, const tn_tls_options *options)
{
    tn_tls_options chosen = tn_tls_options_default();
    const char *peer;
    tn_tls *tls;

    if (!tni_tls_options_read(&chosen, sizeof chosen, sizeof chosen, options))
        return TN_EINVAL;
    tls = OPENSSL_zalloc(sizeof *tls);
    if (tls == NULL)
        return TN_ENOMEM;
    tn_mutex_init(&tls->lock);
    tn_notify_init(&tls->changed);
    atomic_init(&tls->aborted, false);
    tls->below = below;
    tls->keep_below = chosen.keep_below;
    tls->block_size = TNI_TLS_BYTES_SMALL;
    tls->context = tn_tls_context_retain(context);
    tls->generation = tni_tls_context_generation(context);
    peer = chosen.peer != NULL ? chosen.peer : chosen.host_name != NULL ? chosen.host_name : "peer";
    tls->peer = OPENSSL_strdup(peer);
    tls->host = chosen.host_name != NULL ? OPENSSL_strdup(chosen.host_name) : NULL;
    if (!options_allowed(tls, &chosen)) {
        tls_free(tls);
        return TN_EINVAL;
    }
    tni_tls_call_begin();
    if (tls->peer == NULL || (chosen.host_name != NULL && tls->host == NULL) || !ssl_make(tls, &chosen)) {
        (void)tni_tls_error_take(NULL, TN_ENOMEM, "", "");
        tls_free(tls);
        return TN_ENOMEM;
    }
    *out = tls;
    return 0;
}

/* --- The handshake --------------------------------------------------------------------------------------------------------- */

/* A call that has wanted input. Output goes first: the peer waits for it. */
static int exchange_locked(tn_tls *tls)
{
    uint64_t slice_ns = 0;
    int rc;

    if (tls->in_ended) {
        tls->failed = TN_EBADMSG;
        return tni_tls_session_say_locked(tls, TN_EBADMSG, "the stream has ended in the handshake");
    }
    rc = tni_tls_session_drain_locked(tls);
    if (rc == 0)
        rc = tni_tls_session_need_input_locked(tls, &slice_ns);
    return rc;
}

/* Whether a client's first record is complete, or bytes are there that OpenSSL refuses. */
static bool has_first_record(const tni_tls_bytes *in)
{
    size_t count = tni_tls_bytes_count(in);
    const unsigned char *bytes;
    size_t size;

    if (count < SSL3_RT_HEADER_LENGTH)
        return false;
    bytes = (const unsigned char *)in->memory + in->begin;
    size = (size_t)bytes[3] << 8 | bytes[4];
    return bytes[0] != SSL3_RT_HANDSHAKE || size > SSL3_RT_MAX_PLAIN_LENGTH || count - SSL3_RT_HEADER_LENGTH >= size;
}

/* OpenSSL allocates all that a handshake needs with the first byte. So it is not called for a client that has sent less than a
 * record. */
static int wait_first_record_locked(tn_tls *tls)
{
    uint64_t slice_ns = 0;
    int rc = 0;

    while (rc == 0 && !tls->in_ended && !has_first_record(&tls->pair.in))
        rc = tni_tls_session_need_input_locked(tls, &slice_ns);
    return rc;
}

typedef struct {
    tn_tls *tls;
    tni_tls_result result;
} step;

static void *step_run(void *arg)
{
    step *self = arg;

    tni_tls_call_begin();
    self->result = tni_tls_call_result(self->tls, SSL_do_handshake(self->tls->ssl));
    return NULL;
}

/* One call of OpenSSL, on the thread's stack: signatures and certificates need more stack than all else that a session does, and
 * what a fiber has once used of its stack it keeps while it waits for the peer. */
static tni_tls_result step_locked(tn_tls *tls)
{
    step self = {.tls = tls};

    (void)tn_call_native(step_run, &self);
    return self.result;
}

static int handshake_locked(tn_tls *tls)
{
    tni_tls_result result;
    int rc = 0;

    if (tls->generation->role == TN_TLS_SERVER && SSL_in_before(tls->ssl) && tls->failed == 0)
        rc = wait_first_record_locked(tls);
    if (rc != 0)
        return rc;
    for (;;) {
        if (tls->failed != 0)
            return tls->failed;
        result = step_locked(tls);
        if (result == TNI_TLS_DONE)
            break;
        if (result != TNI_TLS_WANTS_INPUT)
            return tni_tls_session_fail_locked(tls, "handshake");
        rc = exchange_locked(tls);
        if (rc != 0)
            return rc;
    }
    rc = tni_tls_session_drain_locked(tls);
    if (rc == 0)
        tls->open = true;
    return rc;
}

int tn_tls_handshake(tn_tls *tls)
{
    int rc = tni_tls_session_enter(tls, TNI_TLS_HANDSHAKE);

    if (rc != 0)
        return rc;
    if (!tls->open)
        rc = handshake_locked(tls);
    return (int)tni_tls_session_leave_locked(tls, TNI_TLS_HANDSHAKE, rc);
}

/* --- What it has agreed on ------------------------------------------------------------------------------------------------- */

static void copy_name(char *out, size_t size, const char *name, size_t count)
{
    if (name == NULL)
        count = 0;
    if (count > size - 1)
        count = size - 1;
    if (count > 0)
        memcpy(out, name, count);
    out[count] = '\0';
}

static void copy_text(char *out, size_t size, const char *text)
{
    copy_name(out, size, text, text != NULL ? strlen(text) : 0);
}

static void info_locked(tn_tls *tls, tn_tls_info *info)
{
    const unsigned char *protocol;
    unsigned protocol_size;
    X509 *peer = SSL_get0_peer_certificate(tls->ssl);

    info->version = SSL_version(tls->ssl) == TLS1_2_VERSION ? TN_TLS_1_2 : TN_TLS_1_3;
    info->resumed = SSL_session_reused(tls->ssl) == 1;
    SSL_get0_alpn_selected(tls->ssl, &protocol, &protocol_size);
    copy_name(info->protocol, sizeof info->protocol, (const char *)protocol, protocol_size);
    copy_text(info->cipher, sizeof info->cipher, SSL_get_cipher_name(tls->ssl));
    copy_text(info->host_name, sizeof info->host_name, SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name));
    if (peer != NULL)
        (void)X509_NAME_oneline(X509_get_subject_name(peer), info->peer_subject, (int)sizeof info->peer_subject);
}

int tn_tls_get_info(tn_tls *tls, tn_tls_info *info)
{
    tn_tls_info found = {.size = info->size};

    if (info->size < sizeof(tn_tls_version) + sizeof(size_t) || info->size > sizeof found)
        return TN_EINVAL;
    tni_tls_lock(tls);
    tni_tls_call_begin();
    if (tls->open)
        info_locked(tls, &found);
    tni_tls_unlock(tls);
    memcpy(info, &found, info->size);
    return 0;
}
