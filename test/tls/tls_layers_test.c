/* SPDX-License-Identifier: MIT */
/* What stands on a byte stream, over a session: it can neither be tried nor waited for by a future, and all of it works. */
#include <string.h>

#include "support/runtime.h"
#include "tls/tls_support.h"

typedef struct {
    tn_tls_context *server;
    tn_tls_context *client;
} sides;

static void run(tn_entry_fn entry)
{
    tn_tls_context_options options;
    tt_identities all;
    sides s;

    tt_identities_make(&all);
    options = tt_server_options(&all);
    s.server = tt_context(&options);
    options = tt_client_options(&all);
    s.client = tt_context(&options);
    tt_run(entry, &s);
    tn_tls_context_release(s.server);
    tn_tls_context_release(s.client);
    tt_identities_free(&all);
}

/* --- Calls that it does not have ------------------------------------------------------------------------------------------- */

static void *no_tries(void *arg)
{
    const sides *s = arg;
    tn_io_wait_future future;
    tt_pair pair;
    char byte = 'x';

    tt_pair_connect(&pair, s->server, s->client, 0);
    tt_exchange(pair.client, pair.server, "there is something");
    tt_check_eq(tn_io_try_read(tn_tls_io(pair.server), &byte, 1), TN_ENOTSUP);
    tt_check_eq(tn_io_try_write(tn_tls_io(pair.server), &byte, 1), TN_ENOTSUP);
    for (int direction = TN_READABLE; direction <= TN_WRITABLE; direction++) {
        tn_io_wait_init(&future, tn_tls_io(pair.server), (tn_direction)direction);
        tt_check_eq(tn_await(&future.base), TN_ENOTSUP);
    }
    tt_pair_end(&pair);
    return NULL;
}

Test(tls_layers, cannot_be_tried)
{
    run(no_tries);
}

/* --- A write queue --------------------------------------------------------------------------------------------------------- */

enum { WRITERS = 4, MESSAGES = 50, MESSAGE = 100 };

typedef struct {
    tn_write_queue *queue;
    char letter;
} writer;

static void *write_messages(void *arg)
{
    const writer *self = arg;
    char message[MESSAGE];

    memset(message, self->letter, sizeof message);
    for (unsigned i = 0; i < MESSAGES; i++)
        tt_check_eq(tn_write_queue_write(self->queue, message, sizeof message), 0);
    return NULL;
}

static void *queue_messages(void *arg)
{
    const sides *s = arg;
    unsigned counts[WRITERS] = {0};
    char expected[MESSAGE];
    char message[MESSAGE];
    writer writers[WRITERS];
    tn_task *tasks[WRITERS];
    tn_write_queue queue;
    tt_pair pair;

    tt_pair_connect(&pair, s->server, s->client, 0);
    tn_write_queue_init_io(&queue, tn_tls_io(pair.server));
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (writer){&queue, (char)('a' + i)};
        tasks[i] = tt_spawn(write_messages, &writers[i]);
    }
    for (unsigned i = 0; i < WRITERS * MESSAGES; i++) {
        size_t done = 0;
        tt_check_eq(tn_io_read_exact(tn_tls_io(pair.client), message, sizeof message, &done), 0);
        memset(expected, message[0], sizeof expected);
        tt_check(memcmp(message, expected, sizeof message) == 0); /* whole, and not mixed with another one */
        tt_check(message[0] >= 'a' && message[0] < 'a' + WRITERS);
        counts[message[0] - 'a']++;
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        tt_join(tasks[i]);
        tt_check_eq(counts[i], MESSAGES);
    }
    tt_pair_end(&pair);
    return NULL;
}

Test(tls_layers, messages_of_a_write_queue_are_whole)
{
    run(queue_messages);
}

/* --- A copy ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_io plain;
    tn_io tls;
    uint64_t bytes[2];
} copying;

static void *copy(void *arg)
{
    copying *self = arg;

    tt_check_eq(tn_copy_both(self->plain, self->tls, NULL, self->bytes), 0);
    return NULL;
}

enum { LARGE = 300 * 1000 }; /* more than all that can be under way */

typedef struct {
    tn_io to;
    const char *bytes;
} sending;

static void *send_all(void *arg)
{
    const sending *self = arg;

    tt_check_eq(tn_io_write_all(self->to, self->bytes, LARGE), 0);
    tt_check_eq(tn_io_close_write(self->to), 0);
    return NULL;
}

/* A client without TLS talks to the server by a copy, and ends its direction first. */
static void *copy_both(void *arg)
{
    static char sent[LARGE];
    static char received[LARGE];
    const sides *s = arg;
    tn_io plain[2];
    copying self;
    size_t done = 0;
    sending server;
    tn_task *other;
    tn_task *task;
    tt_pair pair;

    tt_pair_connect(&pair, s->server, s->client, 0);
    tt_check_eq(tn_duplex_open(plain, NULL), 0);
    self = (copying){.plain = plain[1], .tls = tn_tls_io(pair.client)};
    task = tt_spawn(copy, &self);
    tt_check_eq(tn_io_write_all(plain[0], "request", 7), 0);
    tt_check_eq(tn_io_read_exact(tn_tls_io(pair.server), received, 7, &done), 0);
    tt_check(memcmp(received, "request", 7) == 0);
    tt_check_eq(tn_io_close_write(plain[0]), 0);
    tt_check_eq(tn_io_read(tn_tls_io(pair.server), received, 1), 0); /* the end is passed on, by close_notify */
    for (size_t i = 0; i < LARGE; i++)
        sent[i] = (char)(i % 251);
    server = (sending){tn_tls_io(pair.server), sent};
    other = tt_spawn(send_all, &server);
    done = 0;
    tt_check_eq(tn_io_read_exact(plain[0], received, LARGE, &done), 0);
    tt_check(memcmp(sent, received, LARGE) == 0);
    tt_join(other);
    tt_check_eq(tn_io_read(plain[0], received, 1), 0);
    tt_join(task);
    tt_check_eq(self.bytes[0], 7);
    tt_check_eq(self.bytes[1], LARGE);
    tn_io_close(plain[0]);
    tn_io_close(plain[1]);
    tt_pair_close(&pair);
    return NULL;
}

Test(tls_layers, a_copy_passes_bytes_and_ends_on)
{
    run(copy_both);
}
