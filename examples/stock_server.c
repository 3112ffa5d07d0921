/* SPDX-License-Identifier: MIT */
/* stock_server: sells 1000 things, and is tested on a simulated machine.
 *
 * It shows requests with deadlines: a client that is slow, or a warehouse, ends its own connection, and delays no other client
 * for longer than that. docs/simulation.md shows how simulation/stock_simulation.c tests it.
 *
 * Run:   stock_server --port 7000
 * See:   stock_server: listening on 127.0.0.1:7000
 *        and the line `take 3`, typed into `nc 127.0.0.1 7000`, gives `left 997`
 */
#include "server.h"
#include "stock.h"

static stock things;

static int fetch(unsigned count)
{
    return tn_sleep(count * TN_MS);
}

static void sell(tn_session *session, tn_stream *conn, void *arg)
{
    stock_serve(arg, session, conn);
}

int main(int argc, char **argv)
{
    server_options options = {
        .name = "stock_server",
        .summary = "sells 1000 things: requests with deadlines",
        .port = 7000,
    };

    stock_init(&things, 1000, fetch);
    return server_main(&options, argc, argv, "", sell, &things);
}
