/* SPDX-License-Identifier: MIT */
/* Certificates and keys from files in PEM, or from their text. */
#include "tls/tls_load.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include <tn/fs.h>

#include "tls/tls_error.h"

/* Other lines may precede those in PEM. No name of a file in use has more than one line. */
static bool is_text(const char *source)
{
    return strstr(source, "-----BEGIN") != NULL || strchr(source, '\n') != NULL;
}

/* What stands for the source in messages. A text may be a private key, so it is not printed. */
static const char *name_of(const char *source, const char *kind)
{
    return is_text(source) ? kind : source;
}

static BIO *open_source(const char *source)
{
    if (!is_text(source))
        return BIO_new_file(source, "r");
    if (strlen(source) > INT_MAX)
        return NULL;
    return BIO_new_mem_buf(source, -1);
}

/* Instead of OpenSSL's question at the terminal: a key with a password is refused. */
static int no_password(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

/* Whether the last read has only met the end of the file. Then the error is taken away. */
static bool is_end(void)
{
    unsigned long last = ERR_peek_last_error();

    if (ERR_GET_LIB(last) != ERR_LIB_PEM || ERR_GET_REASON(last) != PEM_R_NO_START_LINE)
        return false;
    ERR_clear_error();
    return true;
}

static int read_chain(SSL_CTX *ctx, BIO *bio)
{
    X509 *first = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL);
    X509 *next;
    int good = first != NULL && SSL_CTX_use_certificate(ctx, first) == 1 && SSL_CTX_clear_chain_certs(ctx) == 1;

    X509_free(first);
    while (good && (next = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
        good = SSL_CTX_add0_chain_cert(ctx, next) == 1;
        if (!good)
            X509_free(next);
    }
    return good && is_end();
}

static int read_key(SSL_CTX *ctx, BIO *bio)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    int good = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;

    EVP_PKEY_free(key);
    return good;
}

int tni_tls_load_identity(SSL_CTX *ctx, const char *certificate, const char *key, tn_tls_error *error)
{
    int good;
    BIO *bio;

    tni_tls_error_begin();
    bio = open_source(certificate);
    good = bio != NULL && read_chain(ctx, bio);
    BIO_free(bio);
    if (!good)
        return tni_tls_error_take(error, TN_EINVAL, name_of(certificate, "certificate"), "the certificate cannot be used");
    bio = open_source(key);
    good = bio != NULL && read_key(ctx, bio);
    BIO_free(bio);
    if (!good)
        return tni_tls_error_take(error, TN_EINVAL, name_of(key, "key"), "the key cannot be used");
    return 0;
}

/* Returns how many there are; -1: an error. */
static int read_authorities(SSL_CTX *ctx, BIO *bio, bool names)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    int count = 0;
    X509 *next;

    while ((next = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL)) != NULL) {
        int good = X509_STORE_add_cert(store, next) == 1 && (!names || SSL_CTX_add_client_CA(ctx, next) == 1);
        X509_free(next);
        if (!good)
            return -1;
        count++;
    }
    return is_end() ? count : -1;
}

int tni_tls_load_authorities(SSL_CTX *ctx, const char *authorities, bool names, tn_tls_error *error)
{
    BIO *bio;
    int count;

    tni_tls_error_begin();
    bio = open_source(authorities);
    count = bio != NULL ? read_authorities(ctx, bio, names) : -1;
    BIO_free(bio);
    if (count > 0)
        return 0;
    return tni_tls_error_take(error, TN_EINVAL, name_of(authorities, "authorities"),
                              count == 0 ? "there is no certificate in it" : "a certificate cannot be used");
}

/* --- Authorities of the machine -------------------------------------------------------------------------------------------- */

/* The variable of the environment if it is set, as OpenSSL does it. */
static const char *setting(const char *variable, const char *otherwise)
{
    const char *value = secure_getenv(variable);

    return value != NULL ? value : otherwise;
}

/* Whether OpenSSL would find a certificate in a file of this name: eight hexadecimal digits, a dot, digits. */
static bool is_hash(const char *name)
{
    size_t digits = strspn(name, "0123456789abcdef");

    return digits == 8 && name[8] == '.' && name[9] != '\0' && name[9 + strspn(name + 9, "0123456789")] == '\0';
}

/* Files that cannot be used are left out, as OpenSSL does it. */
static int load_folder(X509_STORE *store, const char *folder)
{
    char path[PATH_MAX];
    tn_entry entry;
    tn_dir *dir;
    int rc = tn_dir_open(&dir, folder);

    if (rc != 0)
        return rc == TN_ENOMEM ? rc : 0; /* most machines have either the file or the folder */
    while ((rc = tn_dir_next(dir, &entry)) == 1) {
        int size = snprintf(path, sizeof path, "%s/%s", folder, entry.name);
        if (is_hash(entry.name) && size > 0 && (size_t)size < sizeof path)
            (void)X509_STORE_load_file(store, path);
    }
    tn_dir_close(dir);
    return rc == TN_ENOMEM ? rc : 0;
}

int tni_tls_load_machine_authorities(SSL_CTX *ctx, tn_tls_error *error)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    char *folders = OPENSSL_strdup(setting(X509_get_default_cert_dir_env(), X509_get_default_cert_dir()));
    char *next = folders;
    char *folder;
    int rc = folders != NULL ? 0 : TN_ENOMEM;

    tni_tls_error_begin();
    if (rc == 0)
        (void)X509_STORE_load_file(store, setting(X509_get_default_cert_file_env(), X509_get_default_cert_file()));
    while (rc == 0 && (folder = strsep(&next, ":")) != NULL)
        rc = load_folder(store, folder);
    OPENSSL_free(folders);
    tni_tls_error_begin(); /* what was left out is no error */
    return rc == 0 ? 0 : tni_tls_error_say(error, rc, "authorities of the machine", tn_strerror(rc));
}
