/* SPDX-License-Identifier: MIT */
/* Certificates and keys from files in PEM, or from the text of such files. The calls may block, so they run on the pool. */
#ifndef TNI_TLS_LOAD_H
#define TNI_TLS_LOAD_H

#include <openssl/ssl.h>

#include <tn/tls.h>

/* Puts the certificate, those that follow it in the file, and its key into `ctx`. Returns 0 or an error. */
int tni_tls_load_identity(SSL_CTX *ctx, const char *certificate, const char *key, tn_tls_error *error);

/* Makes the certificates in `authorities` those that peers must be signed by. `names`: also send their names to clients. Returns
 * 0 or an error. */
int tni_tls_load_authorities(SSL_CTX *ctx, const char *authorities, bool names, tn_tls_error *error);

/* Makes those of the machine the ones that peers must be signed by: all that OpenSSL's usual file and folders hold now. OpenSSL
 * itself would search the folders in each handshake, which blocks the worker. Returns 0 or an error. */
int tni_tls_load_machine_authorities(SSL_CTX *ctx, tn_tls_error *error);

#endif
