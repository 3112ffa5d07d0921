/* SPDX-License-Identifier: MIT */
/* stock_simulation: the server of stock.c and its clients on a simulated machine; docs/simulation.md explains it.
 *
 * Run:   stock_simulation --seeds 1000
 * See:   1000 runs, 0 failed
 *        and stock_broken, the same with an error in stock_take, fails and prints a line that repeats the run
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tn.h>
#include <tn/sim.h>

#include "stock.h"

#define ADDRESS "10.0.0.1:7000"
#define STOCK 50
#define CLIENT_NS (100 * TN_S) /* longer than the server may take: a client that waits so long has lost its peer */

static stock things;
static tn_listener *listener;
static tn_cancel_token *drain; /* of the server */
static uint64_t slowest_ns;    /* of the warehouse */

static struct {
    unsigned served;
    unsigned sold_out;
    unsigned unknown; /* requests without a response: whether they were served is not known */
} counts;

/* --- The server ------------------------------------------------------------------------------------------------------------- */

/* Sometimes longer than a request may take. */
static int fetch(unsigned count)
{
    (void)count;
    return tn_sleep(slowest_ns > 0 ? tn_sim_choose((uint32_t)(slowest_ns / TN_MS)) * TN_MS : 0);
}

static void sell(tn_session *session, tn_stream *conn, void *arg)
{
    stock_serve(arg, session, conn);
}

/* All sessions have to end by themselves. */
static void *serve(void *arg)
{
    tn_serve_options options = tn_serve_options_default();
    tn_serve_result result;

    options.drain = drain;
    tn_sim_check(tn_serve(&listener, 1, sell, &things, &options, &result) == 0);
    tn_sim_check(result.finished == result.accepted);
    return arg;
}

/* --- The clients ------------------------------------------------------------------------------------------------------------ */

/* Reads one line of less than `size` bytes. */
static bool read_line(tn_stream *stream, char *line, size_t size)
{
    for (size_t count = 0; count < size; count++) {
        if (tn_read(stream, line + count, 1) != 1)
            return false;
        if (line[count] == '\n') {
            line[count] = '\0';
            return true;
        }
    }
    return false;
}

/* Sends "take 1", sometimes with a pause in it that is too long, and reads the response. */
static bool exchange(tn_stream *stream, char *line, size_t size)
{
    static const char request[] = "take 1\n";
    size_t first = tn_sim_choose(sizeof request);

    if (tn_write_all(stream, request, first) != 0)
        return false;
    if (tn_sim_choose(4) == 0 && tn_sleep(tn_sim_choose(4000) * TN_MS) != 0)
        return false;
    return tn_write_all(stream, request + first, sizeof request - 1 - first) == 0 && read_line(stream, line, size);
}

/* Returns whether there was a response. */
static bool request(tn_stream *stream)
{
    char line[64];
    unsigned long left;
    char *end;

    if (!exchange(stream, line, sizeof line)) {
        counts.unknown++;
        return false;
    }
    if (strcmp(line, "sold out") == 0) {
        counts.sold_out++;
        return true;
    }
    tn_sim_check(strncmp(line, "left ", 5) == 0);
    left = strtoul(line + 5, &end, 10);
    tn_sim_check(end > line + 5 && *end == '\0' && left < STOCK);
    counts.served++;
    return true;
}

static void *client(void *arg)
{
    uint64_t requests = tn_sim_size("requests", 4);
    tn_stream *stream;
    tn_scope scope;

    tn_scope_enter_for(&scope, CLIENT_NS);
    if (tn_tcp_connect(NULL, &stream, ADDRESS) == 0) {
        for (uint64_t i = 0; i < requests && request(stream); i++)
            ;
        tn_stream_close(stream);
    }
    tn_scope_leave(&scope);
    return arg;
}

/* --- What must hold --------------------------------------------------------------------------------------------------------- */

static void run_clients(uint64_t count)
{
    tn_group clients;

    tn_group_enter(&clients, NULL);
    for (uint64_t i = 0; i < count; i++)
        tn_sim_check(tn_group_spawn(&clients, NULL, client, NULL) == 0);
    tn_sim_check(tn_group_wait(&clients) == 0);
    tn_group_leave(&clients);
}

/* 1. Faults, a slow warehouse, slow clients: nothing is sold twice. 2. Then one more client, without any of that, is served.
 * 3. Then all sessions end by themselves. */
static void *simulate(void *arg)
{
    unsigned before;
    tn_task *server;
    uint64_t began_ns;

    stock_init(&things, STOCK, fetch);
    tn_sim_check(tn_tcp_listen(&listener, ADDRESS, NULL) == 0);
    tn_sim_check(tn_cancel_token_create(&drain, NULL, NULL) == 0);
    tn_sim_check(tn_spawn(&server, serve, NULL) == 0);
    tn_sim_allow_faults(TN_SIM_FAULT_RESET | TN_SIM_FAULT_HALF_OPEN | TN_SIM_FAULT_REFUSE | TN_SIM_FAULT_ABORT);
    slowest_ns = 4 * TN_S;
    run_clients(tn_sim_size("clients", 20));

    tn_sim_allow_faults(0);
    slowest_ns = 0;
    before = counts.served + counts.sold_out;
    tn_sim_check(tn_sleep(10 * TN_S) == 0);
    tn_sim_note("the last client");
    for (int attempt = 0; attempt < 20 && counts.served + counts.sold_out == before; attempt++)
        run_clients(1);
    tn_sim_check(counts.served + counts.sold_out > before);

    tn_cancel_token_cancel(drain);
    began_ns = tn_now();
    tn_sim_check(tn_join(server, NULL) == 0);
    tn_sim_check(tn_now() - began_ns < STOCK_REQUEST_NS + 4 * TN_S);
    tn_cancel_token_release(drain);
    tn_sim_check(STOCK - things.left >= counts.served && STOCK - things.left <= counts.served + counts.unknown);
    stock_fini(&things);
    return arg;
}

static void run(void *arg)
{
    tn_sim_check(tn_run(simulate, arg, NULL) == 0);
}

int main(int argc, char **argv)
{
    return tn_sim_main(argc, argv, run, NULL);
}
