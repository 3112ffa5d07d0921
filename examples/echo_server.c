/* SPDX-License-Identifier: MIT */
/* echo_server: sends back all that it receives, one fiber per connection.
 *
 * It shows a complete server in a few lines: read and write here, the rest in server.c.
 *
 * Run:   echo_server --port 7000
 * See:   echo_server: listening on 127.0.0.1:7000
 *        and each line typed into `nc 127.0.0.1 7000` comes back
 */
#include <tn.h>

#include "server.h"

/* One connection, until its end or an error. The error affects no other connection. */
static void echo(tn_session *session, tn_stream *conn, void *arg)
{
    char buf[4096];
    ssize_t n;

    (void)arg;
    while (tn_session_wait_request(session) == 0 && (n = tn_read(conn, buf, sizeof buf)) > 0 &&
           tn_write_all(conn, buf, (size_t)n) == 0)
        ;
}

int main(int argc, char **argv)
{
    server_options options = {
        .name = "echo_server",
        .summary = "sends back all that it receives, one fiber per connection",
        .port = 7000,
    };

    return server_main(&options, argc, argv, "", echo, NULL);
}
