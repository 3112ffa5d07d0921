/* SPDX-License-Identifier: MIT */
/* one_second: consumes a stream for at most one second.
 *
 * It shows tn_select: a sleep that is prepared outside of the loop keeps its deadline, while the other future is prepared anew
 * for each round. A task of the same program sends a line every 100 ms, for ever. The consumer reads until its second is over,
 * and closes the connection.
 *
 * Run:   one_second
 * See:   line 1 … line 10 or so, and "10 lines in 1000 ms"
 */
#include <stdio.h>
#include <string.h>
#include <tn.h>

/* Sends a line at each tick, until the other side has closed. */
static void *send_lines(void *arg)
{
    tn_stream *conn = arg;
    tn_interval interval;
    char line[32];

    tn_interval_init(&interval, tn_now() + 50 * TN_MS, 100 * TN_MS, TN_MISSED_SKIP);
    for (int i = 1; tn_interval_tick(&interval, NULL) == 0; i++) {
        int length = snprintf(line, sizeof line, "line %d\n", i);

        if (tn_write_all(conn, line, (size_t)length) < 0)
            break;
    }
    tn_stream_close(conn);
    return NULL;
}

/* Waits for the stream's readiness or the end of the second, whichever comes first. Returns the number of lines. */
static unsigned consume(tn_stream *conn)
{
    tn_sleep_future second;
    tn_ready_future readable;
    tn_future *const either[] = {&second.base, &readable.base};
    unsigned lines = 0;
    char buf[256];
    ssize_t n = 1;

    tn_sleep_init(&second, tn_now() + TN_S);
    tn_ready_init(&readable, conn, TN_READABLE);
    while (n > 0 && tn_select_biased(either, 2, NULL) == 1) {
        tn_future_drop(&readable.base); /* it was ready; it is prepared anew for the next round */
        n = tn_try_read(conn, buf, sizeof buf);
        for (ssize_t i = 0; i < n; i++)
            lines += buf[i] == '\n';
        if (n > 0)
            (void)fwrite(buf, 1, (size_t)n, stdout);
        n = n == TN_EAGAIN ? 1 : n;
        tn_ready_init(&readable, conn, TN_READABLE);
    }
    tn_future_drop(&readable.base);
    tn_future_drop(&second.base);
    return lines;
}

static int connect_to_self(tn_stream **in, tn_stream **out)
{
    tn_listener *listener;
    char address[TN_ADDRESS_SIZE];
    int rc = tn_tcp_listen(&listener, "127.0.0.1:0", NULL);

    if (rc < 0)
        return rc;
    rc = tn_listener_address(listener, address, sizeof address);
    if (rc >= 0)
        rc = tn_tcp_connect(NULL, in, address);
    if (rc >= 0) {
        rc = tn_accept(listener, out);
        if (rc < 0)
            tn_stream_close(*in);
    }
    tn_listener_close(listener);
    return rc;
}

static void *run(void *arg)
{
    tn_stream *in;
    tn_stream *out;
    uint64_t began_ns;
    unsigned lines;
    int rc = connect_to_self(&in, &out);

    (void)arg;
    if (rc < 0)
        return fprintf(stderr, "one_second: %s\n", tn_strerror(rc)), NULL;
    if (tn_spawn(NULL, send_lines, out) != 0)
        tn_stream_close(out);
    began_ns = tn_now();
    lines = consume(in);
    printf("%u lines in %u ms\n", lines, (unsigned)((tn_now() - began_ns) / TN_MS));
    tn_stream_close(in);
    return NULL;
}

int main(void)
{
    return tn_run(run, NULL, NULL) == 0 ? 0 : 1;
}
