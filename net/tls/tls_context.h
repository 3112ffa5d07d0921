/* SPDX-License-Identifier: MIT */
/* Contexts, and their generations: what one load of the files has made. README.md ("Nothing is freed early") has the argument. */
#ifndef TNI_TLS_CONTEXT_H
#define TNI_TLS_CONTEXT_H

#include <stdatomic.h>

#include <openssl/ssl.h>

#include <tn/mutex.h>
#include <tn/tls.h>

/* A name with a certificate of its own. */
typedef struct tni_tls_name {
    struct tni_tls_name *next;
    char *name;        /* may begin with "*." */
    char *certificate; /* the source */
    char *key;
    SSL_CTX *ctx;
} tni_tls_name;

/* Constant once a session may have it. */
typedef struct tni_tls_generation {
    atomic_uint references;
    SSL_CTX *ctx;
    tni_tls_name *names;
    BIO_METHOD *method;
    tn_tls_role role;
    tn_tls_verify verify;
} tni_tls_generation;

/* Takes a reference to the newest generation. */
tni_tls_generation *tni_tls_context_generation(tn_tls_context *context);

void tni_tls_generation_release(tni_tls_generation *generation);

#endif
