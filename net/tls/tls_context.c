/* SPDX-License-Identifier: MIT */
/* Contexts: certificates and rules, names, reload. */
#include "tls/tls_context.h"

#include <string.h>
#include <strings.h>

#include <openssl/rand.h>

#include <tn/blocking.h>

#include "tls/tls_bytes.h"
#include "tls/tls_error.h"
#include "tls/tls_load.h"
#include "tls/tls_options.h"
#include "tls/tls_session.h"

#define PROTOCOLS_BYTES 1024
#define TICKET_KEYS 80

struct tn_tls_context {
    atomic_uint references;
    tn_mutex change; /* held by a call that makes a new generation, so that none is lost */
    tn_mutex lock;   /* for `generation` */
    tni_tls_generation *generation;
    tn_tls_context_options options;           /* constant; its texts are the context's */
    unsigned char protocols[PROTOCOLS_BYTES]; /* constant, as ALPN sends them */
    unsigned protocols_size;
    unsigned char ticket_keys[TICKET_KEYS]; /* constant: a reload keeps tickets valid */
};

/* --- Generations ----------------------------------------------------------------------------------------------------------- */

/* A source may be the text of a private key. */
static void key_free(const char *key)
{
    OPENSSL_clear_free((char *)(uintptr_t)key, key != NULL ? strlen(key) : 0);
}

static void name_free(tni_tls_name *name)
{
    OPENSSL_free(name->name);
    OPENSSL_free(name->certificate);
    key_free(name->key);
    SSL_CTX_free(name->ctx);
    OPENSSL_free(name);
}

void tni_tls_generation_release(tni_tls_generation *generation)
{
    tni_tls_name *next;

    /* Release: publishes this holder's accesses to the one that frees; acquire: that one observes those of the others. */
    if (generation == NULL || atomic_fetch_sub_explicit(&generation->references, 1, memory_order_acq_rel) != 1)
        return;
    for (tni_tls_name *name = generation->names; name != NULL; name = next) {
        next = name->next;
        name_free(name);
    }
    SSL_CTX_free(generation->ctx);
    BIO_meth_free(generation->method);
    OPENSSL_free(generation);
}

tni_tls_generation *tni_tls_context_generation(tn_tls_context *context)
{
    tni_tls_generation *generation;

    tn_mutex_lock_always(&context->lock);
    generation = context->generation;
    /* Relaxed: the context's own reference keeps it while the lock is held. */
    atomic_fetch_add_explicit(&generation->references, 1, memory_order_relaxed);
    tn_mutex_unlock(&context->lock);
    return generation;
}

static bool matches(const char *pattern, const char *name)
{
    if (strncmp(pattern, "*.", 2) != 0)
        return strcasecmp(pattern, name) == 0;
    name = strchr(name, '.');
    return name != NULL && strcasecmp(pattern + 1, name) == 0;
}

/* Exact names go before those with a star. */
static const tni_tls_name *find_name(const tni_tls_generation *generation, const char *asked)
{
    const tni_tls_name *found = NULL;

    for (const tni_tls_name *name = generation->names; name != NULL; name = name->next) {
        if (matches(name->name, asked) && (found == NULL || name->name[0] != '*'))
            found = name;
    }
    return found;
}

static int choose_name(SSL *ssl, int *alert, void *arg)
{
    const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const tni_tls_name *name = asked != NULL ? find_name(arg, asked) : NULL;

    (void)alert;
    if (name != NULL && SSL_set_SSL_CTX(ssl, name->ctx) == NULL)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size, const unsigned char *in,
                           unsigned in_size, void *arg)
{
    const tn_tls_context *context = arg;
    unsigned char *chosen;

    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_size, context->protocols, context->protocols_size, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen; /* in one of the two lists, of which OpenSSL makes a copy */
    return SSL_TLSEXT_ERR_OK;
}

static int number_of(tn_tls_version version)
{
    return version == TN_TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

static void set_sessions(SSL_CTX *ctx, const tn_tls_context *context)
{
    const tn_tls_context_options *options = &context->options;
    unsigned char keys[TICKET_KEYS];

    SSL_CTX_set_timeout(ctx, options->session_lifetime_s != 0 ? (long)options->session_lifetime_s : 7200);
    if (options->role == TN_TLS_CLIENT) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, tni_tls_session_keep_ticket);
        return;
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
    if (options->sessions_max != 0)
        SSL_CTX_sess_set_cache_size(ctx, (long)options->sessions_max);
    memcpy(keys, context->ticket_keys, sizeof keys);
    (void)SSL_CTX_set_tlsext_ticket_keys(ctx, keys, sizeof keys);
    OPENSSL_cleanse(keys, sizeof keys);
    (void)SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"tournant", 8);
}

static int set_verification(SSL_CTX *ctx, const tn_tls_context_options *options, tn_tls_error *error)
{
    int mode = SSL_VERIFY_NONE;

    if (options->verify == TN_TLS_VERIFY_OPTIONAL)
        mode = SSL_VERIFY_PEER;
    if (options->verify == TN_TLS_VERIFY_REQUIRED)
        mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(ctx, mode, NULL);
    if (options->authorities != NULL)
        return tni_tls_load_authorities(ctx, options->authorities, options->role == TN_TLS_SERVER, error);
    return mode != SSL_VERIFY_NONE ? tni_tls_load_machine_authorities(ctx, error) : 0;
}

/* Everything but the names. */
static int ctx_make(SSL_CTX **out, tn_tls_context *context, const char *certificate, const char *key, tn_tls_error *error)
{
    const tn_tls_context_options *options = &context->options;
    SSL_CTX *ctx;
    int rc = 0;

    tni_tls_error_begin();
    ctx = SSL_CTX_new(options->role == TN_TLS_SERVER ? TLS_server_method() : TLS_client_method());
    if (ctx == NULL)
        return tni_tls_error_take(error, TN_ENOMEM, "tn_tls_context", "SSL_CTX_new");
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_min_proto_version(ctx, options->version_min != 0 ? number_of(options->version_min) : TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(ctx, options->version_max != 0 ? number_of(options->version_max) : TLS1_3_VERSION);
    set_sessions(ctx, context);
    if (context->protocols_size > 0 && options->role == TN_TLS_SERVER)
        SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, context);
    if (context->protocols_size > 0 && options->role == TN_TLS_CLIENT &&
        SSL_CTX_set_alpn_protos(ctx, context->protocols, context->protocols_size) != 0)
        rc = TN_ENOMEM;
    if (rc == 0 && certificate != NULL)
        rc = tni_tls_load_identity(ctx, certificate, key, error);
    if (rc == 0)
        rc = set_verification(ctx, options, error);
    if (rc == 0)
        *out = ctx;
    else
        SSL_CTX_free(ctx);
    return rc;
}

static char *copy_text(const char *text)
{
    return OPENSSL_strdup(text);
}

static int add_name(tn_tls_context *context, tni_tls_generation *generation, const tni_tls_name *from, tn_tls_error *error)
{
    tni_tls_name *name = OPENSSL_zalloc(sizeof *name);
    int rc;

    if (name == NULL)
        return TN_ENOMEM;
    name->name = copy_text(from->name);
    name->certificate = copy_text(from->certificate);
    name->key = copy_text(from->key);
    if (name->name == NULL || name->certificate == NULL || name->key == NULL) {
        name_free(name);
        return TN_ENOMEM;
    }
    rc = ctx_make(&name->ctx, context, name->certificate, name->key, error);
    if (rc != 0) {
        name_free(name);
        return rc;
    }
    name->next = generation->names;
    generation->names = name;
    return 0;
}

/* Everything anew, with the names of `old` (NULL: none) and one more (NULL: none). */
static int generation_make(tni_tls_generation **out, tn_tls_context *context, const tni_tls_generation *old,
                           const tni_tls_name *more, tn_tls_error *error)
{
    tni_tls_generation *generation = OPENSSL_zalloc(sizeof *generation);
    int rc;

    if (generation == NULL)
        return TN_ENOMEM;
    atomic_init(&generation->references, 1);
    generation->role = context->options.role;
    generation->verify = context->options.verify;
    generation->method = tni_tls_bytes_method();
    rc = generation->method != NULL ? 0 : TN_ENOMEM;
    if (rc == 0)
        rc = ctx_make(&generation->ctx, context, context->options.certificate, context->options.key, error);
    for (const tni_tls_name *name = old != NULL ? old->names : NULL; rc == 0 && name != NULL; name = name->next) {
        if (more == NULL || strcasecmp(name->name, more->name) != 0)
            rc = add_name(context, generation, name, error);
    }
    if (rc == 0 && more != NULL)
        rc = add_name(context, generation, more, error);
    if (rc != 0) {
        tni_tls_generation_release(generation);
        return rc;
    }
    if (generation->role == TN_TLS_SERVER) {
        SSL_CTX_set_tlsext_servername_callback(generation->ctx, choose_name);
        SSL_CTX_set_tlsext_servername_arg(generation->ctx, generation);
    }
    *out = generation;
    return 0;
}

/* The call on the pool. */
typedef struct {
    tn_tls_context *context;
    const tni_tls_name *more;
    tni_tls_generation *old;
    tni_tls_generation *made;
    tn_tls_error error;
    int rc;
} load_job;

static void *load(void *arg)
{
    load_job *job = arg;

    job->rc = generation_make(&job->made, job->context, job->old, job->more, &job->error);
    return NULL;
}

/* Has the job done on the pool. */
static int run_job(load_job *job, tn_tls_error *error)
{
    int rc = tn_run_blocking(load, job, NULL);

    if (rc == 0)
        rc = job->rc;
    if (rc != 0 && error != NULL)
        *error = job->error;
    return rc;
}

/* Gives an error without a text one. Returns `rc`. */
static int explain(tn_tls_error *error, int rc, const char *where)
{
    if (rc != 0 && error != NULL && error->code != rc)
        (void)tni_tls_error_say(error, rc, where, tn_strerror(rc));
    return rc;
}

/* Makes a new generation and exchanges it. `change` is held. */
static int exchange_locked(tn_tls_context *context, const tni_tls_name *more, tn_tls_error *error)
{
    load_job job = {.context = context, .more = more, .old = context->generation}; /* only a holder of `change` changes it */
    int rc = run_job(&job, error);

    if (rc != 0)
        return rc;
    tn_mutex_lock_always(&context->lock);
    context->generation = job.made;
    tn_mutex_unlock(&context->lock);
    tni_tls_generation_release(job.old);
    return 0;
}

static int exchange(tn_tls_context *context, const tni_tls_name *more, tn_tls_error *error, const char *where)
{
    int rc;

    if (error != NULL)
        *error = (tn_tls_error){0};
    rc = tn_mutex_lock(&context->change);
    if (rc == 0) {
        rc = exchange_locked(context, more, error);
        tn_mutex_unlock(&context->change);
    }
    return explain(error, rc, where);
}

/* --- The calls ------------------------------------------------------------------------------------------------------------- */

static int refuse(tn_tls_error *error, const char *what)
{
    return tni_tls_error_say(error, TN_EINVAL, "tn_tls_context_open", what);
}

static int check_options(const tn_tls_context_options *options, tn_tls_error *error)
{
    tn_tls_version least = options->version_min;
    tn_tls_version most = options->version_max;

    if (options->role != TN_TLS_CLIENT && options->role != TN_TLS_SERVER)
        return refuse(error, "role is neither client nor server");
    if (options->role == TN_TLS_SERVER && options->certificate == NULL)
        return refuse(error, "certificate is missing: a server needs one");
    if ((options->certificate == NULL) != (options->key == NULL))
        return refuse(error, "certificate and key: set both or none");
    if (options->verify < TN_TLS_VERIFY_DEFAULT || options->verify > TN_TLS_VERIFY_REQUIRED)
        return refuse(error, "verify is none of its values");
    if (options->role == TN_TLS_CLIENT && options->verify == TN_TLS_VERIFY_OPTIONAL)
        return refuse(error, "verify: optional is for servers; a server always has a certificate");
    if ((least != 0 && least != TN_TLS_1_2 && least != TN_TLS_1_3) || (most != 0 && most != TN_TLS_1_2 && most != TN_TLS_1_3) ||
        (least != 0 && most != 0 && least > most))
        return refuse(error, "version_min and version_max are no range of 1.2 and 1.3");
    return 0;
}

static int copy_protocols(tn_tls_context *context, const char *const *names, tn_tls_error *error)
{
    for (; names != NULL && *names != NULL; names++) {
        size_t size = strlen(*names);
        if (size == 0 || size > 255 || size + 1 > sizeof context->protocols - context->protocols_size)
            return refuse(error, "protocols: a name has no byte or more than 255, or they are too many");
        context->protocols[context->protocols_size] = (unsigned char)size;
        memcpy(context->protocols + context->protocols_size + 1, *names, size);
        context->protocols_size += (unsigned)size + 1;
    }
    return 0;
}

static void context_free(tn_tls_context *context)
{
    tni_tls_generation_release(context->generation);
    OPENSSL_free((char *)context->options.certificate);
    key_free(context->options.key);
    OPENSSL_free((char *)context->options.authorities);
    OPENSSL_cleanse(context->ticket_keys, sizeof context->ticket_keys);
    OPENSSL_free(context);
}

static int copy_options(tn_tls_context *context, const tn_tls_context_options *options, tn_tls_error *error)
{
    bool complete;

    context->options = *options;
    context->options.certificate = options->certificate != NULL ? copy_text(options->certificate) : NULL;
    context->options.key = options->key != NULL ? copy_text(options->key) : NULL;
    context->options.authorities = options->authorities != NULL ? copy_text(options->authorities) : NULL;
    context->options.protocols = NULL;
    if (options->verify == TN_TLS_VERIFY_DEFAULT)
        context->options.verify = options->role == TN_TLS_CLIENT ? TN_TLS_VERIFY_REQUIRED : TN_TLS_VERIFY_NONE;
    complete = (context->options.certificate != NULL) == (options->certificate != NULL) &&
               (context->options.key != NULL) == (options->key != NULL) &&
               (context->options.authorities != NULL) == (options->authorities != NULL);
    if (!complete)
        return TN_ENOMEM;
    return copy_protocols(context, options->protocols, error);
}

static int open_context(tn_tls_context **out, const tn_tls_context_options *options, tn_tls_error *error)
{
    tn_tls_context *context = OPENSSL_zalloc(sizeof *context);
    load_job job = {.context = context};
    int rc;

    if (context == NULL)
        return TN_ENOMEM;
    atomic_init(&context->references, 1);
    tn_mutex_init(&context->change);
    tn_mutex_init(&context->lock);
    rc = copy_options(context, options, error);
    if (rc == 0 && RAND_bytes(context->ticket_keys, TICKET_KEYS) != 1)
        rc = tni_tls_error_take(error, TN_ENOMEM, "tn_tls_context_open", "there are no random numbers");
    if (rc == 0)
        rc = run_job(&job, error);
    if (rc != 0) {
        context_free(context);
        return rc;
    }
    context->generation = job.made;
    *out = context;
    return 0;
}

int tn_tls_context_open(tn_tls_context **out, const tn_tls_context_options *options, tn_tls_error *error)
{
    tn_tls_context_options chosen = tn_tls_context_options_default();
    int rc;

    if (error != NULL)
        *error = (tn_tls_error){0};
    if (!tni_tls_options_read(&chosen, sizeof chosen, sizeof chosen, options))
        return refuse(error, "the options are of another version, or have no size");
    rc = check_options(&chosen, error);
    if (rc == 0)
        rc = open_context(out, &chosen, error);
    return explain(error, rc, "tn_tls_context_open");
}

int tn_tls_context_add_name(tn_tls_context *context, const char *name, const char *certificate, const char *key,
                            tn_tls_error *error)
{
    tni_tls_name more = {.name = (char *)name, .certificate = (char *)certificate, .key = (char *)key};

    if (context->options.role != TN_TLS_SERVER || name == NULL || name[0] == '\0' || certificate == NULL || key == NULL)
        return tni_tls_error_say(error, TN_EINVAL, "tn_tls_context_add_name",
                                 "the context is a client's, or name, certificate or key are missing");
    return exchange(context, &more, error, "tn_tls_context_add_name");
}

int tn_tls_context_reload(tn_tls_context *context, tn_tls_error *error)
{
    return exchange(context, NULL, error, "tn_tls_context_reload");
}

tn_tls_context *tn_tls_context_retain(tn_tls_context *context)
{
    /* Relaxed: the caller's reference keeps it. */
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    return context;
}

void tn_tls_context_release(tn_tls_context *context)
{
    /* Release: publishes this holder's accesses to the one that frees; acquire: that one observes those of the others. */
    if (context != NULL && atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) == 1)
        context_free(context);
}
