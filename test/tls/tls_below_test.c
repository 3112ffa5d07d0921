/* SPDX-License-Identifier: MIT */
/* Sessions over streams that do what is rare: errors of their own that are numbered like those of scopes, records in parts,
 * resets between records, peers that never read. What each error says. It runs on the simulated machine too. */
#include <string.h>

#include "support/runtime.h"
#include "tls/tls_session.h"
#include "tls/tls_support.h"

typedef struct {
    tt_identities all;
    tn_tls_context *server;
    tn_tls_context *client;
} sides;

/* Its certificate, which is in the server's tickets, does not fit one record of 512 bytes. */
#define LONG_NAME "a-client-whose-name-makes-the-tickets-of-the-server-long.test"

/* `verify`: clients have a certificate. */
static void sides_open(sides *s, tn_tls_version most, bool verify)
{
    tn_tls_context_options options;

    tt_identities_make(&s->all);
    tt_identity_free(&s->all.client);
    s->all.client = tt_identity_make(LONG_NAME, &s->all.authority, 30);
    options = tt_server_options(&s->all);
    options.version_max = most;
    if (verify) {
        options.verify = TN_TLS_VERIFY_REQUIRED;
        options.authorities = s->all.authority.certificate;
    }
    s->server = tt_context(&options);
    options = tt_client_options(&s->all);
    options.certificate = s->all.client.certificate;
    options.key = s->all.client.key;
    s->client = tt_context(&options);
}

static void sides_close(sides *s)
{
    tn_tls_context_release(s->server);
    tn_tls_context_release(s->client);
    tt_identities_free(&s->all);
}

static void run(void *(*entry)(void *arg), tn_tls_version most, bool verify)
{
    sides s;

    sides_open(&s, most, verify);
    tt_run(entry, &s);
    sides_close(&s);
}

/* --- Errors of the stream -------------------------------------------------------------------------------------------------- */

static void connect_over(tt_pair *pair, const sides *s, tt_fault *fault)
{
    tn_tls_options options = tn_tls_options_default();

    options.host_name = "server.test";
    tt_check_eq(tn_duplex_open(pair->ends, NULL), 0);
    tt_check_eq(tn_tls_open(&pair->client, s->client, pair->ends[1], &options), 0);
    fault->below = pair->ends[0];
    options = tn_tls_options_default();
    options.peer = "a client";
    tt_check_eq(tn_tls_open(&pair->server, s->server, tt_fault_io(fault), &options), 0);
    tt_pair_handshake(pair);
    tt_check_eq(pair->server_rc, 0);
    tt_check_eq(pair->client_rc, 0);
}

/* The connection of the kernel has ended by a timeout of its own (TCP_USER_TIMEOUT), or the stream below by a cancellation. */
static void own_error(const sides *s, int error)
{
    tt_fault fault = {.most = SIZE_MAX, .left = SIZE_MAX, .error = error};
    tt_pair pair;
    char byte;

    connect_over(&pair, s, &fault);
    fault.left = 0;
    tt_check_eq(tn_io_write(tn_tls_io(pair.server), "x", 1), error); /* no count: the byte will never be sent */
    tt_check_error(pair.server, error, "a client", tn_strerror(error));
    tt_check_eq(tn_io_write(tn_tls_io(pair.server), "x", 1), error);
    tt_check_eq(tn_io_wait(tn_tls_io(pair.server), TN_WRITABLE), error);
    tt_check_eq(tn_io_close_write(tn_tls_io(pair.server)), error);
    tt_check_eq(tn_io_write(tn_tls_io(pair.client), "y", 1), 1);
    tt_check_eq(tn_io_read(tn_tls_io(pair.server), &byte, 1), 1); /* reading goes on */
    fault.read_error = error;
    {
        TN_SCOPE(scope, tn_now() + 20 * TN_S);
        tt_check_eq(tn_io_read(tn_tls_io(pair.server), &byte, 1), error); /* at once, and not asked for again and again */
        tt_check(tn_now() < tn_scope_deadline());
    }
    tt_check_error(pair.server, error, "a client", tn_strerror(error));
    tt_pair_close(&pair);
}

static void *own_errors(void *arg)
{
    own_error(arg, TN_ETIMEDOUT);
    own_error(arg, TN_ECANCELED);
    own_error(arg, TN_EIO);
    return NULL;
}

Test(tls_below, reports_timeouts_that_are_the_streams)
{
    run(own_errors, TN_TLS_VERSION_DEFAULT, false);
}

/* --- What errors say ------------------------------------------------------------------------------------------------------- */

static void *reads_until_aborted(void *arg)
{
    char byte;
    ssize_t n;

    while ((n = tn_io_read(tn_tls_io(arg), &byte, 1)) == TN_EBUSY) /* the other task waits for input just then */
        tn_yield();
    tt_check_eq(n, TN_EBADF);
    return NULL;
}

static void *texts(void *arg)
{
    const sides *s = arg;
    tn_task *reader;
    tt_pair pair;
    char byte;
    int rc;

    tt_pair_open(&pair, s->server, s->client, 0, NULL);
    tt_check_eq(tn_io_write(tn_tls_io(pair.client), "x", 1), TN_ENOTCONN);
    tt_check_error(pair.client, TN_ENOTCONN, "server.test", tn_strerror(TN_ENOTCONN));
    tt_pair_handshake(&pair);
    tt_check_eq(pair.client_rc, 0);
    {
        TN_SCOPE(scope, tn_now());
        tt_check_eq(tn_io_read(tn_tls_io(pair.client), &byte, 1), TN_ETIMEDOUT);
    }
    tt_check_error(pair.client, TN_ETIMEDOUT, "server.test", tn_strerror(TN_ETIMEDOUT));
    tt_check_eq(tn_io_close_write(tn_tls_io(pair.client)), 0);
    tt_check_eq(tn_io_write(tn_tls_io(pair.client), "x", 1), TN_EPIPE);
    tt_check_error(pair.client, TN_EPIPE, "server.test", tn_strerror(TN_EPIPE));
    tt_check_eq(tn_tls_update_keys(pair.client), TN_EPIPE);
    reader = tt_spawn(reads_until_aborted, pair.client);
    do { /* until it waits */
        tn_yield();
        TN_SCOPE(scope, tn_now() + TN_MS);
        rc = tn_io_wait(tn_tls_io(pair.client), TN_READABLE);
    } while (rc != TN_EBUSY);
    tt_check_error(pair.client, TN_EBUSY, "server.test", tn_strerror(TN_EBUSY));
    tt_check_eq(tn_io_abort(tn_tls_io(pair.client)), 0);
    tt_join(reader);
    tt_check_eq(tn_tls_handshake(pair.client), TN_EBADF);
    tt_check_error(pair.client, TN_EBADF, "server.test", tn_strerror(TN_EBADF));
    tt_pair_close(&pair);
    return NULL;
}

Test(tls_below, each_error_has_a_text)
{
    run(texts, TN_TLS_VERSION_DEFAULT, false);
}

static void *cancelled_contexts(void *arg)
{
    const sides *s = arg;
    tn_tls_context_options options = tt_server_options(&s->all);
    tn_tls_context *context;
    tn_tls_error error;

    TN_SCOPE(scope, tn_now());
    tt_check_eq(tn_tls_context_open(&context, &options, &error), TN_ETIMEDOUT);
    tt_check_eq(error.code, TN_ETIMEDOUT);
    tt_check(strstr(error.text, tn_strerror(TN_ETIMEDOUT)) != NULL);
    tt_check_eq(tn_tls_context_reload(s->server, &error), TN_ETIMEDOUT);
    tt_check_eq(error.code, TN_ETIMEDOUT);
    tt_check(strstr(error.text, "tn_tls_context_reload") != NULL);
    tt_check_eq(tn_tls_context_add_name(s->server, "x", s->all.server.certificate, s->all.server.key, &error), TN_ETIMEDOUT);
    tt_check(strstr(error.text, "tn_tls_context_add_name") != NULL);
    return NULL;
}

Test(tls_below, errors_of_contexts_have_a_text)
{
    run(cancelled_contexts, TN_TLS_VERSION_DEFAULT, false);
}

/* --- Records in parts ------------------------------------------------------------------------------------------------------ */

typedef struct {
    tt_middle *middle;
    unsigned from;
    atomic_int *left;
    tn_cancel_source *until; /* NULL: the end */
} passing;

static void *pass(void *arg)
{
    passing *p = arg;
    tn_scope scope;

    if (p->until != NULL)
        tn_scope_enter_with(&scope, TN_NEVER, p->until);
    tt_middle_pass(p->middle, p->from, p->left);
    if (p->until != NULL)
        tn_scope_leave(&scope);
    return NULL;
}

/* Has the handshake and one exchange in each direction; then nothing is under way. */
static void middle_connect(tt_middle *middle)
{
    tn_cancel_source until;
    passing passings[2];
    tn_task *tasks[2];

    tn_cancel_source_init(&until);
    for (unsigned i = 0; i < 2; i++) {
        passings[i] = (passing){middle, i, NULL, &until};
        tasks[i] = tt_spawn(pass, &passings[i]);
    }
    tt_pair_handshake(&middle->pair);
    tt_check_eq(middle->pair.server_rc, 0);
    tt_check_eq(middle->pair.client_rc, 0);
    tt_exchange(middle->pair.client, middle->pair.server, "ping");
    tt_exchange(middle->pair.server, middle->pair.client, "pong");
    tn_cancel_source_cancel(&until);
    for (unsigned i = 0; i < 2; i++)
        tt_join(tasks[i]);
    tn_cancel_source_fini(&until);
}

/* Two records of the client to the server, of the second one `part` bytes. Returns how many are left in `record`. */
static void give_two(tt_middle *middle, unsigned char *record, size_t part)
{
    size_t first = tt_middle_take(middle, TT_OF_CLIENT, record);
    size_t second = tt_middle_take(middle, TT_OF_CLIENT, record + first);

    tt_check(part <= second);
    tt_middle_give(middle, TT_OF_CLIENT, record, first + (part > 0 ? part : second));
    memmove(record, record + first + part, second - part);
}

static void reads_three(tn_tls *tls, const char *text)
{
    char buf[16];

    tt_check_eq(tn_io_read(tn_tls_io(tls), buf, sizeof buf), 3);
    tt_check(memcmp(buf, text, 3) == 0);
}

static void writes_three(tn_tls *tls, const char *text)
{
    tt_check_eq(tn_io_write(tn_tls_io(tls), text, 3), 3);
}

static void *parts(void *arg)
{
    static unsigned char record[2 * TT_RECORD];
    const sides *s = arg;
    tt_middle middle;
    tn_tls *server;
    tn_tls *client;
    char byte;

    tt_middle_open(&middle, s->server, s->client);
    server = middle.pair.server;
    client = middle.pair.client;
    middle_connect(&middle);

    writes_three(client, "abc");
    writes_three(client, "def");
    give_two(&middle, record, 7); /* the header and two bytes */
    reads_three(server, "abc");
    tt_check(!tn_tls_has_input(server));
    {
        TN_SCOPE(scope, tn_now() + 2 * TN_MS);
        tt_check_eq(tn_io_wait(tn_tls_io(server), TN_READABLE), TN_ETIMEDOUT);
    }
    tt_check(!tn_tls_has_input(server));
    tt_middle_give(&middle, TT_OF_CLIENT, record, 5 + 3 + 17 - 7); /* with the type and the tag */
    tt_check_eq(tn_io_wait(tn_tls_io(server), TN_READABLE), 0);
    tt_check(tn_tls_has_input(server));
    reads_three(server, "def");
    tt_check(!tn_tls_has_input(server));

    writes_three(client, "ghi"); /* a whole record, without bytes for the program */
    tt_check_eq(tn_tls_update_keys(client), 0);
    give_two(&middle, record, 0);
    reads_three(server, "ghi");
    tt_check(!tn_tls_has_input(server));

    writes_three(client, "jkl");
    tt_check_eq(tn_io_close_write(tn_tls_io(client)), 0);
    give_two(&middle, record, 0);
    reads_three(server, "jkl");
    tt_check(tn_tls_has_input(server)); /* the end */
    tt_check_eq(tn_io_read(tn_tls_io(server), &byte, 1), 0);
    tt_check(tn_tls_has_input(server));
    tt_middle_close(&middle);
    return NULL;
}

Test(tls_below, a_part_of_a_record_is_no_input)
{
    run(parts, TN_TLS_VERSION_DEFAULT, false);
}

static void *broken_input(void *arg)
{
    static unsigned char record[2 * TT_RECORD];
    const sides *s = arg;
    tt_middle middle;
    size_t size;
    char byte;

    tt_middle_open(&middle, s->server, s->client);
    middle_connect(&middle);
    writes_three(middle.pair.client, "abc");
    size = tt_middle_take(&middle, TT_OF_CLIENT, record);
    memcpy(record + size, record, size); /* it does not decrypt a second time */
    tt_middle_give(&middle, TT_OF_CLIENT, record, 2 * size);
    reads_three(middle.pair.server, "abc");
    tt_check(tn_tls_has_input(middle.pair.server)); /* an error, and the alert is sent */
    size = tt_middle_take(&middle, TT_OF_SERVER, record);
    tt_middle_give(&middle, TT_OF_SERVER, record, size);
    tt_check_eq(tn_io_read(tn_tls_io(middle.pair.server), &byte, 1), TN_EPROTO);
    tt_check_error(middle.pair.server, TN_EPROTO, "a client", "bad record mac");
    tt_check_eq(tn_io_read(tn_tls_io(middle.pair.client), &byte, 1), TN_EPROTO);
    tt_check_error(middle.pair.client, TN_EPROTO, "server.test", "alert bad record mac");
    tt_middle_close(&middle);
    return NULL;
}

Test(tls_below, input_may_be_an_error)
{
    run(broken_input, TN_TLS_VERSION_DEFAULT, false);
}

static void *first_record(void *arg)
{
    static unsigned char record[TT_RECORD];
    const sides *s = arg;
    tt_middle middle;
    size_t size;

    tt_middle_open(&middle, s->server, s->client);
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check_eq(tn_tls_handshake(middle.pair.client), TN_ETIMEDOUT); /* it has sent its first record */
    }
    size = tt_middle_take(&middle, TT_OF_CLIENT, record);
    for (size_t part = 3; part < 50; part += 40) { /* in the header, and behind it */
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_middle_give(&middle, TT_OF_CLIENT, record, part);
        size -= part;
        memmove(record, record + part, size);
        tt_check_eq(tn_tls_handshake(middle.pair.server), TN_ETIMEDOUT);
        tt_check_error(middle.pair.server, TN_ETIMEDOUT, "a client", tn_strerror(TN_ETIMEDOUT));
    }
    tt_middle_give(&middle, TT_OF_CLIENT, record, size);
    middle_connect(&middle); /* no byte is lost */
    tt_middle_close(&middle);
    return NULL;
}

Test(tls_below, a_deadline_in_the_first_record_loses_nothing)
{
    run(first_record, TN_TLS_VERSION_DEFAULT, false);
}

/* --- A ticket in parts ----------------------------------------------------------------------------------------------------- */

static void *server_handshake(void *arg)
{
    tt_pair *pair = arg;

    pair->server_rc = tn_tls_handshake(pair->server);
    return NULL;
}

/* A client whose certificate makes the tickets longer than a record of this server. */
static void connect_up_to_tickets(tt_middle *middle)
{
    static unsigned char record[TT_RECORD];
    tn_cancel_source until;
    passing of_server = {middle, TT_OF_SERVER, NULL, &until};
    passing of_client = {middle, TT_OF_CLIENT, NULL, &until};
    tn_task *server;
    tn_task *task;

    tt_check_eq(SSL_set_max_send_fragment(middle->pair.server->ssl, 512), 1);
    tn_cancel_source_init(&until);
    server = tt_spawn(server_handshake, &middle->pair);
    task = tt_spawn(pass, &of_server);
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check_eq(tn_tls_handshake(middle->pair.client), TN_ETIMEDOUT); /* it has sent its first record */
    }
    tt_middle_give(middle, TT_OF_CLIENT, record, tt_middle_take(middle, TT_OF_CLIENT, record));
    tt_check_eq(tn_tls_handshake(middle->pair.client), 0);
    tn_cancel_source_cancel(&until);
    tt_join(task);
    tn_cancel_source_fini(&until);

    tn_cancel_source_init(&until);
    task = tt_spawn(pass, &of_client);
    tt_join(server);
    tt_check_eq(middle->pair.server_rc, 0);
    tn_cancel_source_cancel(&until);
    tt_join(task);
    tn_cancel_source_fini(&until);
}

static void *split_ticket(void *arg)
{
    static unsigned char record[TT_RECORD];
    const sides *s = arg;
    tn_tls_ticket *ticket;
    tt_middle middle;
    tn_task *task;
    char byte;

    tt_middle_open(&middle, s->server, s->client);
    connect_up_to_tickets(&middle);
    tt_middle_give(&middle, TT_OF_SERVER, record, tt_middle_take(&middle, TT_OF_SERVER, record));
    {
        TN_SCOPE(scope, tn_now() + 2 * TN_MS);
        tt_check_eq(tn_io_read(tn_tls_io(middle.pair.client), &byte, 1), TN_ETIMEDOUT);
    }
    tt_check(tn_tls_take_ticket(middle.pair.client) == NULL);
    tt_check(SSL_in_init(middle.pair.client->ssl)); /* in the middle of the message */
    {
        TN_SCOPE(scope, tn_now() + 2 * TN_MS);
        tt_check_eq(tn_io_close_write(tn_tls_io(middle.pair.client)), TN_ETIMEDOUT);
    }
    passing of_server = {&middle, TT_OF_SERVER, NULL, NULL};
    passing of_client = {&middle, TT_OF_CLIENT, NULL, NULL};
    task = tt_spawn(pass, &of_server);
    tt_check_eq(tn_io_close_write(tn_tls_io(middle.pair.client)), 0);
    ticket = tn_tls_take_ticket(middle.pair.client);
    tt_check(ticket != NULL);
    tn_tls_ticket_release(ticket);
    tn_task *other = tt_spawn(pass, &of_client);
    tt_check_eq(tn_io_read(tn_tls_io(middle.pair.server), &byte, 1), 0);
    writes_three(middle.pair.server, "abc");
    reads_three(middle.pair.client, "abc"); /* reading goes on */
    tt_check_eq(tn_io_close_write(tn_tls_io(middle.pair.server)), 0);
    tt_check_eq(tn_io_read(tn_tls_io(middle.pair.client), &byte, 1), 0);
    for (unsigned i = 0; i < 2; i++)
        tt_check_eq(tn_io_abort(middle.inner[i]), 0);
    tt_join(task);
    tt_join(other);
    tt_middle_close(&middle);
    return NULL;
}

Test(tls_below, an_end_waits_for_the_rest_of_a_ticket)
{
    run(split_ticket, TN_TLS_1_3, true);
}

/* --- Resets between records ------------------------------------------------------------------------------------------------ */

static int finish(tn_tls *tls, int rc)
{
    char buf[64];
    ssize_t n = 1;

    if (rc == 0)
        rc = tn_io_write_all(tn_tls_io(tls), "0123456789", 10);
    if (rc == 0)
        rc = tn_io_close_write(tn_tls_io(tls));
    while (rc == 0 && n > 0)
        n = tn_io_read(tn_tls_io(tls), buf, sizeof buf);
    return rc != 0 ? rc : (int)n;
}

static void *server_side(void *arg)
{
    tt_pair *pair = arg;

    pair->server_rc = finish(pair->server, tn_tls_handshake(pair->server));
    return NULL;
}

/* A conversation that is cut after so many records. Returns how many are left of them. */
static int cut_after(const sides *s, int records, int *server_rc, int *client_rc)
{
    atomic_int left = records;
    passing passings[2];
    tn_task *tasks[3];
    tt_middle middle;

    tt_middle_open(&middle, s->server, s->client);
    for (unsigned i = 0; i < 2; i++) {
        passings[i] = (passing){&middle, i, &left, NULL};
        tasks[i] = tt_spawn(pass, &passings[i]);
    }
    tasks[2] = tt_spawn(server_side, &middle.pair);
    *client_rc = finish(middle.pair.client, tn_tls_handshake(middle.pair.client));
    tt_join(tasks[2]);
    *server_rc = middle.pair.server_rc;
    if (*client_rc != 0)
        tt_check_error(middle.pair.client, *client_rc, "server.test", ": ");
    if (*server_rc != 0)
        tt_check_error(middle.pair.server, *server_rc, "a client", ": ");
    tt_pair_close(&middle.pair);
    for (unsigned i = 0; i < 2; i++)
        tt_join(tasks[i]);
    tn_io_close(middle.inner[0]);
    tn_io_close(middle.inner[1]);
    return atomic_load(&left);
}

static void *cuts(void *arg)
{
    int server_rc;
    int client_rc;
    int all = 1000 - cut_after(arg, 1000, &server_rc, &client_rc);

    tt_check_eq(server_rc, 0);
    tt_check_eq(client_rc, 0);
    tt_check(all >= 8);
    for (int records = 0; records < all; records++) {
        (void)cut_after(arg, records, &server_rc, &client_rc);
        tt_check(server_rc < 0 || client_rc < 0);
        tt_check(server_rc == 0 || server_rc == TN_EBADMSG || server_rc == TN_EPIPE);
        tt_check(client_rc == 0 || client_rc == TN_EBADMSG || client_rc == TN_EPIPE);
    }
    return NULL;
}

Test(tls_below, a_cut_between_records_is_no_clean_end)
{
    run(cuts, TN_TLS_1_3, true);
}

Test(tls_below, a_cut_between_records_of_tls_1_2)
{
    run(cuts, TN_TLS_1_2, false);
}

/* --- A peer that never reads ----------------------------------------------------------------------------------------------- */

static void *never_reads(void *arg)
{
    const sides *s = arg;
    char buf[1000] = "";
    size_t taken = 0;
    tt_pair pair;
    ssize_t n;

    tt_pair_connect(&pair, s->server, s->client, 3000);
    {
        TN_SCOPE(scope, tn_now() + 10 * TN_MS);
        while ((n = tn_io_write(tn_tls_io(pair.server), buf, sizeof buf)) > 0)
            taken += (size_t)n;
        tt_check_eq(n, TN_ETIMEDOUT);
        tt_check_eq(tn_io_close_write(tn_tls_io(pair.server)), TN_ETIMEDOUT);
    }
    tt_check(taken <= 3000 + sizeof buf); /* no more is taken than one record beyond what the stream has */
    tt_check_error(pair.server, TN_ETIMEDOUT, "a client", tn_strerror(TN_ETIMEDOUT));
    {
        TN_SCOPE(scope, tn_now() + 10 * TN_MS);
        tt_check_eq(tn_io_close_write(tn_tls_io(pair.server)), TN_ETIMEDOUT);
    }
    tt_pair_close(&pair);
    return NULL;
}

Test(tls_below, a_peer_that_never_reads_costs_one_record)
{
    run(never_reads, TN_TLS_VERSION_DEFAULT, false);
}
