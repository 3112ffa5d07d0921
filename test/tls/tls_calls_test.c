/* SPDX-License-Identifier: MIT */
/* Calls of a session beside other tasks: those that are ready let others run, and are not late because a budget is used up. A
 * session whose fiber was abandoned can be closed. */
#include <string.h>

#include "support/abandoned.h"
#include "support/others_run.h"
#include "support/runtime.h"
#include "task/budget.h"
#include "tls/tls_support.h"

typedef struct {
    tt_identities all;
    tn_tls_context *server;
    tn_tls_context *client;
} sides;

static void sides_open(sides *s)
{
    tn_tls_context_options options;

    tt_identities_make(&s->all);
    options = tt_server_options(&s->all);
    s->server = tt_context(&options);
    options = tt_client_options(&s->all);
    s->client = tt_context(&options);
}

static void sides_close(sides *s)
{
    tn_tls_context_release(s->server);
    tn_tls_context_release(s->client);
    tt_identities_free(&s->all);
}

static void run(void *(*entry)(void *arg))
{
    tn_options options = tn_options_default();
    sides s;

    options.workers = 1;
    options.stuck_after_ns = UINT64_MAX; /* no replacement thread: one task at a time */
    sides_open(&s);
    cr_assert_eq(tn_run(entry, &s, &options), 0);
    sides_close(&s);
}

/* --- Ready calls ----------------------------------------------------------------------------------------------------------- */

enum { RECORD = 16000, SPACE = 1 << 20 };

static int read_byte(const tt_pair *pair)
{
    char byte;

    return (int)tn_io_read(tn_tls_io(pair->server), &byte, 1) - 1;
}

static int wait_for_byte(const tt_pair *pair)
{
    return tn_io_wait(tn_tls_io(pair->server), TN_READABLE);
}

static int write_byte(const tt_pair *pair)
{
    return (int)tn_io_write(tn_tls_io(pair->server), "x", 1) - 1;
}

typedef int (*call_fn)(const tt_pair *pair);

static const call_fn calls[] = {read_byte, wait_for_byte, write_byte};

enum { CALLS = sizeof calls / sizeof calls[0] };

/* The server has a record of the client, and space for more than a test writes. */
static void connect_ready(tt_pair *pair, const sides *s)
{
    char bytes[RECORD] = "";

    tt_pair_connect(pair, s->server, s->client, SPACE);
    tt_check_eq(tn_io_write(tn_tls_io(pair->client), bytes, RECORD), RECORD);
    tt_check_eq(read_byte(pair), 0);
}

typedef struct {
    const tt_pair *pair;
    call_fn call;
} tried;

static void call_tried(void *arg)
{
    const tried *it = arg;

    tt_check_eq(it->call(it->pair), 0);
}

static void *let_run(void *arg)
{
    tt_pair pair;

    connect_ready(&pair, arg);
    for (unsigned i = 0; i < CALLS; i++)
        tt_others_run(call_tried, &(tried){.pair = &pair, .call = calls[i]});
    tt_pair_close(&pair);
    return NULL;
}

Test(tls_calls, that_are_ready_let_others_run)
{
    run(let_run);
}

/* Reads and waits in a scope whose deadline is over, after each number of operations. A write awaits the stream below too. */
static void *are_in_time(void *arg)
{
    tn_mutex mutex = TN_MUTEX_INIT;
    tt_pair pair;

    connect_ready(&pair, arg);
    for (int units = 0; units <= TNI_BUDGET; units++) {
        for (unsigned i = 0; i < 2; i++) {
            tt_check_eq(tn_yield(), 0);
            for (int spent = 0; spent < units; spent++) {
                tt_check_eq(tn_mutex_lock(&mutex), 0);
                tn_mutex_unlock(&mutex);
            }
            TN_SCOPE(scope, 1);
            tt_check_eq(calls[i](&pair), 0);
        }
    }
    tt_pair_close(&pair);
    return NULL;
}

Test(tls_calls, that_are_ready_are_not_late)
{
    run(are_in_time);
}

/* --- Abandoned fibers ------------------------------------------------------------------------------------------------------ */

static void *never(void)
{
    tt_check(false);
    return NULL;
}

static void *in_handshake(void *arg)
{
    (void)tn_tls_handshake(arg);
    return never();
}

/* The client never sends: the fiber waits in the handshake while its runtime is destroyed. */
Test(tls_calls, abandoned_in_a_handshake)
{
    tt_abandoned left;
    tt_pair pair;
    sides s;

    sides_open(&s);
    tt_pair_open(&pair, s.server, s.client, 0, NULL);
    tt_abandon_begin(&left, in_handshake, pair.server);
    tt_abandon_end(&left);
    tt_check_eq(tn_tls_handshake(pair.server), TN_EBUSY); /* the fiber's operation is never over */
    tt_check_error(pair.server, TN_EBUSY, "a client", ": ");
    tt_pair_close(&pair);
    sides_close(&s);
}
