/* SPDX-License-Identifier: MIT */
/* tournant_server: the fixed HTTP answer on tournant, one fiber a connection.
 *
 * --buffer held (the default): a connection's 4 KiB are on its stack, also while it waits; none: it has a buffer only from the
 * moment there is something to read until it is answered. On the stack it would be free for others in name only: pages once
 * touched stay.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <tn.h>

#include "fixed.h"

static fixed_options options;

/* False: the connection is over. */
static bool answer(tn_stream *conn, unsigned *matched, const char *data, size_t size)
{
    size_t count = fixed_count_requests(matched, data, size);

    fixed_block_some(&options, count);
    while (count > 0) {
        size_t now = count < FIXED_REQUESTS_MAX ? count : FIXED_REQUESTS_MAX;
        if (tn_write_all(conn, fixed_answers, now * FIXED_ANSWER_SIZE) != 0)
            return false;
        count -= now;
    }
    return true;
}

static bool read_and_answer(tn_stream *conn, unsigned *matched)
{
    char *buf = malloc(FIXED_READ_SIZE);
    ssize_t n = buf != NULL ? tn_read(conn, buf, FIXED_READ_SIZE) : 0;
    bool going_on = n > 0 && answer(conn, matched, buf, (size_t)n);

    free(buf);
    return going_on;
}

static void *session_bare(void *arg)
{
    tn_stream *conn = arg;
    unsigned matched = 0;

    while (tn_wait_readable(conn) == 0 && read_and_answer(conn, &matched))
        ;
    tn_stream_close(conn);
    return NULL;
}

static void *session_held(void *arg)
{
    tn_stream *conn = arg;
    unsigned matched = 0;
    char buf[FIXED_READ_SIZE];
    ssize_t n;

    while ((n = tn_read(conn, buf, sizeof buf)) > 0 && answer(conn, &matched, buf, (size_t)n))
        ;
    tn_stream_close(conn);
    return NULL;
}

static void *block(void *arg)
{
    bool declares = options.block == FIXED_BLOCK_DECLARED;

    (void)arg;
    do {
        if (declares)
            tn_block_begin(TN_BLOCK_EAGER);
        fixed_block_thread(options.block);
        if (declares)
            tn_block_end();
    } while (tn_sleep(FIXED_BLOCK_MS * TN_MS) == 0);
    return NULL;
}

static void *serve(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener;
    tn_stream *conn;
    int rc;

    (void)arg;
    snprintf(address, sizeof address, "127.0.0.1:%u", options.port);
    rc = tn_tcp_listen(&listener, address, NULL);
    if (rc < 0)
        return fprintf(stderr, "%s: listen: %s\n", options.name, tn_strerror(rc)), NULL;
    tn_listener_address(listener, address, sizeof address);
    fprintf(stderr, "%s: listening on http://%s/\n", options.name, address);
    for (unsigned i = 0; i < options.workers && fixed_has_blocking_tasks(&options); i++)
        if ((rc = tn_spawn(NULL, block, NULL)) != 0)
            return fprintf(stderr, "%s: spawn: %s\n", options.name, tn_strerror(rc)), NULL;
    while (tn_accept(listener, &conn) == 0)
        if (tn_spawn(NULL, options.held_buffer ? session_held : session_bare, conn) != 0)
            tn_stream_close(conn);
    tn_listener_close(listener);
    return NULL;
}

int main(int argc, char **argv)
{
    tn_options runtime = tn_options_default();

    options = fixed_parse("tournant", argc, argv);
    runtime.workers = options.workers;
    (void)tn_run(serve, NULL, &runtime);
    return 1; /* it serves until it is killed */
}
