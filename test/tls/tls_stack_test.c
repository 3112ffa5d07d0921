/* SPDX-License-Identifier: MIT */
/* How much stack the calls of TLS need, with OpenSSL's part of it: they work on the smallest fibers. */
/* ctest: timeout=120 */
#include "support/stack_use.h"
#include "tls/tls_support.h"

static tt_identities all;
static tn_tls_context *server;
static tn_tls_context *client;
static tt_pair pair;

static void *handshake_of(void *arg)
{
    tt_check_eq(tn_tls_handshake(arg), 0);
    return NULL;
}

/* The handshake of one side, while a task makes that of the other one. */
static void handshake(tn_tls *mine, tn_tls *other)
{
    tn_task *task = tt_spawn(handshake_of, other);

    tt_check_eq(tn_tls_handshake(mine), 0);
    (void)tt_join(task);
}

static void open_context(void)
{
    tn_tls_context_options options = tt_server_options(&all);

    tn_tls_context_release(tt_context(&options));
}

static void open_client(void)
{
    tt_pair_open(&pair, server, client, 0, NULL);
    handshake(pair.client, pair.server);
}

static void use_pair(void)
{
    tn_tls_info info = {.size = sizeof info};

    tt_exchange(pair.client, pair.server, "a request");
    tt_check_eq(tn_tls_update_keys(pair.client), 0);
    tt_exchange(pair.server, pair.client, "a reply");
    tt_check_eq(tn_tls_get_info(pair.client, &info), 0);
    tt_pair_end(&pair);
}

static void open_server(void)
{
    tt_pair_open(&pair, server, client, 0, NULL);
    handshake(pair.server, pair.client);
    tt_exchange(pair.client, pair.server, "a request");
    tt_pair_close(&pair);
}

static const tt_stack_step steps[] = {
    {"open_context", open_context},
    {"open_client", open_client},
    {"use_pair", use_pair},
    {"open_server", open_server},
};

enum { STEPS = sizeof steps / sizeof steps[0] };

static void begin(void)
{
    tn_tls_context_options options;

    tt_identities_make(&all);
    options = tt_server_options(&all);
    server = tt_context(&options);
    options = tt_client_options(&all);
    client = tt_context(&options);
}

static void end(void)
{
    tn_tls_context_release(server);
    tn_tls_context_release(client);
    tt_identities_free(&all);
}

Test(tls_stack, of_the_calls_is_small, .disabled = TT_SANITIZED, .init = begin, .fini = end) /* frames are larger there */
{
    tt_stack_use_check(steps, STEPS);
}
