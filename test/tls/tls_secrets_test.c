/* SPDX-License-Identifier: MIT */
/* Where certificates and keys are: those of the machine are read once, and no private key stays in memory that was freed. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "support/runtime.h"
#include "tls/tls_support.h"

/* --- Keys ------------------------------------------------------------------------------------------------------------------ */

static unsigned frees;      /* by the library, not by OpenSSL itself */
static unsigned freed_keys; /* those whose memory still holds a key */
static char needle[2][24];  /* a part of each key */
static bool is_counting;

static void *count_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return malloc(size);
}

static void *count_realloc(void *memory, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return realloc(memory, size);
}

static void count_free(void *memory, const char *file, int line)
{
    (void)line;
    if (is_counting && memory != NULL && strstr(file, "net/tls/") != NULL) {
        size_t size = malloc_usable_size(memory);
        frees++;
        for (unsigned i = 0; i < 2; i++)
            freed_keys += memmem(memory, size, needle[i], sizeof needle[i]) != NULL;
    }
    free(memory);
}

static int is_set;

/* OpenSSL takes other functions only before its first allocation, and Criterion uses it too. */
__attribute__((constructor)) static void set_functions(void)
{
    is_set = CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free);
}

static void *keys(void *arg)
{
    tt_identities all;
    tn_tls_context_options options;
    tn_tls_context *context;

    (void)arg;
    tt_identities_make(&all);
    memcpy(needle[0], strchr(all.server.key, '\n') + 30, sizeof needle[0]);
    memcpy(needle[1], strchr(all.client.key, '\n') + 30, sizeof needle[1]);
    is_counting = true;
    options = tt_server_options(&all);
    context = tt_context(&options);
    tt_check_eq(tn_tls_context_add_name(context, "name.test", all.client.certificate, all.client.key, NULL), 0);
    tt_check_eq(tn_tls_context_reload(context, NULL), 0);
    tn_tls_context_release(context);
    is_counting = false;
    tt_check(frees > 0);
    tt_check_eq(freed_keys, 0);
    tt_identities_free(&all);
    return NULL;
}

Test(tls_secrets, no_key_stays_in_freed_memory)
{
    cr_assert_eq(is_set, 1);
    tt_run(keys, NULL);
}

/* --- Authorities of the machine -------------------------------------------------------------------------------------------- */

static void *machine_authorities(void *arg)
{
    char folder[] = "/tmp/tournant-tls-XXXXXX";
    char folders[64];
    char path[96];
    tt_identities all;
    tn_tls_context_options options;
    tn_tls_context *server;
    tn_tls_context *client;
    tt_pair pair;
    X509 *authority;
    BIO *bio;

    (void)arg;
    tt_identities_make(&all);
    bio = BIO_new_mem_buf(all.authority.certificate, -1);
    authority = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    tt_check(authority != NULL && mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof path, "%s/%08lx.0", folder, X509_subject_name_hash(authority));
    (void)snprintf(folders, sizeof folders, "/nonexistent:%s", folder);
    X509_free(authority);
    BIO_free(bio);
    tt_check_eq(tn_fs_write_file(path, all.authority.certificate, strlen(all.authority.certificate), 0600), 0);
    tt_check_eq(setenv("SSL_CERT_FILE", "/nonexistent", 1), 0);
    tt_check_eq(setenv("SSL_CERT_DIR", folders, 1), 0);
    options = tt_server_options(&all);
    server = tt_context(&options);
    options = tn_tls_context_options_default(); /* verifies by the authorities of the machine */
    client = tt_context(&options);
    (void)unlink(path); /* no handshake reads it */
    (void)rmdir(folder);
    tt_pair_connect(&pair, server, client, 0);
    tt_pair_end(&pair);
    tn_tls_context_release(client);
    client = tt_context(&options);
    tt_pair_open(&pair, server, client, 0, NULL);
    tt_pair_handshake(&pair);
    tt_check_eq(pair.client_rc, TN_EPROTO); /* there is no authority any more */
    tt_pair_close(&pair);
    tn_tls_context_release(server);
    tn_tls_context_release(client);
    tt_identities_free(&all);
    return NULL;
}

Test(tls_secrets, authorities_of_the_machine_are_read_with_the_context)
{
    tt_run(machine_authorities, NULL);
}
