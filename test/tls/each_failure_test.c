/* SPDX-License-Identifier: MIT */
/* Each allocation that a context or session makes fails in turn; it makes no system call. */
#include <openssl/crypto.h>
#include <stdlib.h>

#include "support/each_failure.h"
#include "tls/tls_support.h"

static tt_identities identities;

/* --- Allocations --------------------------------------------------------------------------------------------------------- */

static atomic_long left; /* at 1, one fails; 0: none */

/* OpenSSL's own allocations do not fail: it does not always say that memory was the reason. */
static bool fails(const void *caller)
{
    long now = is_own(caller) ? atomic_load(&left) : 0;

    while (now > 0)
        if (atomic_compare_exchange_weak(&left, &now, now - 1))
            return now == 1;
    return false;
}

FAILING_ORIGINAL(void *, CRYPTO_malloc, size_t, const char *, int)
FAILING_ORIGINAL(void *, CRYPTO_zalloc, size_t, const char *, int)

void *CRYPTO_malloc(size_t size, const char *file, int line)
{
    return fails(__builtin_return_address(0)) ? NULL : original_CRYPTO_malloc()(size, file, line);
}

void *CRYPTO_zalloc(size_t size, const char *file, int line)
{
    return fails(__builtin_return_address(0)) ? NULL : original_CRYPTO_zalloc()(size, file, line);
}

static void fail_crypto(long nth)
{
    atomic_store(&left, nth);
}

static bool crypto_failed(void)
{
    return atomic_load(&left) == 0;
}

/* --- Functions ----------------------------------------------------------------------------------------------------------- */

static int use_context(void)
{
    tn_tls_context_options options = tt_server_options(&identities);
    tn_tls_context *context;
    tn_tls_error error;
    int rc = tn_tls_context_open(&context, &options, &error);

    if (rc != 0)
        return rc;
    rc = tn_tls_context_add_name(context, "client.test", identities.client.certificate, identities.client.key, &error);
    rc = rc == 0 ? tn_tls_context_reload(context, &error) : rc;
    tn_tls_context_release(context);
    return rc;
}

static bool is_consequence(int rc)
{
    return rc == 0 || rc == TN_EBADMSG || rc == TN_EPIPE || rc == TN_EPROTO;
}

static void *shake(void *arg)
{
    tt_pair *pair = arg;

    pair->server_rc = tn_tls_handshake(pair->server);
    if (pair->server_rc != 0)
        (void)tn_io_close_write(pair->ends[0]); /* the client would wait for ever */
    return NULL;
}

/* Both handshakes, and some bytes with other keys. */
static int talk(tt_pair *pair)
{
    char buf[4];
    size_t done = 0;
    tn_task *task;
    int rc = tn_spawn(&task, shake, pair);

    if (rc != 0)
        return rc;
    rc = tn_tls_handshake(pair->client);
    if (rc != 0)
        (void)tn_io_close_write(pair->ends[1]);
    tt_check_eq(tn_join(task, NULL), 0);
    if (rc != 0 || pair->server_rc != 0)
        return is_consequence(rc) ? pair->server_rc : rc;
    rc = tn_tls_update_keys(pair->client);
    rc = rc == 0 ? tn_io_write_all(tn_tls_io(pair->client), "soup", 4) : rc;
    return rc == 0 ? tn_io_read_exact(tn_tls_io(pair->server), buf, 4, &done) : rc;
}

static int use_sessions_of(tn_tls_context *server, tn_tls_context *client)
{
    tn_tls_options options = tn_tls_options_default();
    tt_pair pair;
    int rc = tn_duplex_open(pair.ends, NULL);

    if (rc != 0)
        return rc;
    rc = tn_tls_open(&pair.server, server, pair.ends[0], &options);
    if (rc != 0) {
        tn_io_close(pair.ends[0]);
        tn_io_close(pair.ends[1]);
        return rc;
    }
    options.host_name = "server.test";
    rc = tn_tls_open(&pair.client, client, pair.ends[1], &options);
    if (rc == 0) {
        rc = talk(&pair);
        tn_io_close(tn_tls_io(pair.client));
    } else {
        tn_io_close(pair.ends[1]);
    }
    tn_io_close(tn_tls_io(pair.server));
    return rc;
}

static tn_tls_context *server;
static tn_tls_context *client;

static int use_sessions(void)
{
    return use_sessions_of(server, client);
}

static const tt_function functions[] = {
    {"context", use_context, 0},
    {"sessions", use_sessions, 0},
};

static void fail_each_of(tt_failing what)
{
    tn_tls_context_options options;

    tt_identities_make(&identities);
    options = tt_server_options(&identities);
    server = tt_context(&options);
    options = tt_client_options(&identities);
    client = tt_context(&options);
    tt_fail_all(&(tt_failures){.what = what,
                               .functions = functions,
                               .count = sizeof functions / sizeof functions[0],
                               .fail_other = fail_crypto,
                               .other_failed = crypto_failed,
                               .error = TN_ENOMEM});
    tn_tls_context_release(server);
    tn_tls_context_release(client);
    tt_identities_free(&identities);
}

Test(each_failure_of_tls, of_an_allocation)
{
    fail_each_of(TT_OTHER);
}
