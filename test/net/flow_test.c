/* SPDX-License-Identifier: MIT */
/* Tests of streams with much data, with little data, and with readers slower than writers. */
/* ctest: timeout=120 */
#include "net_flow.h"
#include "support/runtime.h"

static char unix_kind[] = "unix"; /* the argument of a test that runs over Unix sockets; NULL: over TCP */

/* Both directions at once, the readers slower than the writers: data on its way stays in the kernel's buffers, not in the
 * library's. */
static void big_both_ways(tn_stream *ends[2], bool slow)
{
    nf_flow flows[4] = {
        {.stream = ends[0], .chunk = NF_CHUNK},
        {.stream = ends[1], .chunk = NF_CHUNK / 4, .slow = slow},
        {.stream = ends[1], .chunk = 3 * NF_CHUNK + 1},
        {.stream = ends[0], .chunk = NF_CHUNK / 4 + 1, .slow = slow},
    };
    tn_task *tasks[4];
    size_t before = tt_resident_bytes();

    for (int i = 0; i < 4; i++)
        tasks[i] = tt_spawn(i % 2 == 0 ? nf_send_big : nf_receive_big, &flows[i]);
    for (int i = 0; i < 4; i++)
        tt_join(tasks[i]);
    nf_compare(&flows[0], &flows[1]);
    nf_compare(&flows[2], &flows[3]);
    if (!TT_SANITIZED) /* sanitizers keep freed memory */
        tt_check(tt_resident_bytes() < before + NF_BIG / 2);
    ns_close_pair(ends);
}

static void *big_tcp(void *arg)
{
    tn_stream *ends[2];

    (void)arg;
    ns_tcp_pair(ends);
    big_both_ways(ends, true);
    return NULL;
}

Test(flow, big_tcp_slow_reader)
{
    tt_run(big_tcp, NULL);
}

static void *big_unix(void *arg)
{
    tn_stream *ends[2];

    (void)arg;
    ns_unix_pair(ends);
    big_both_ways(ends, false);
    return NULL;
}

Test(flow, big_unix)
{
    tt_run(big_unix, NULL);
}

static void *send_bytes(void *arg)
{
    tn_stream *stream = arg;

    for (unsigned i = 0; i < ns_scaled(30000); i++) {
        unsigned char byte = nf_pattern(i);
        tt_check_eq(tn_write(stream, &byte, 1), 1);
    }
    tt_check_eq(tn_stream_shutdown_write(stream), 0);
    return NULL;
}

static void *bytes_one_by_one(void *arg)
{
    tn_stream *ends[2];
    tn_task *task;
    unsigned count = 0;
    unsigned char buf[7];
    ssize_t n;

    if (arg == NULL)
        ns_tcp_pair(ends);
    else
        ns_unix_pair(ends);
    task = tt_spawn(send_bytes, ends[0]);
    while ((n = tn_read(ends[1], buf, 1 + count % sizeof buf)) > 0)
        for (ssize_t i = 0; i < n; i++)
            tt_check_eq(buf[i], nf_pattern(count++));
    tt_check_eq(n, 0);
    tt_check_eq(count, ns_scaled(30000));
    tt_join(task);
    ns_close_pair(ends);
    return NULL;
}

Test(flow, one_byte_packets_tcp)
{
    tt_run(bytes_one_by_one, NULL);
}

Test(flow, one_byte_packets_unix)
{
    tt_run(bytes_one_by_one, unix_kind);
}

/* A writer whose peer does not read waits, and does nothing meanwhile. */
static void *write_until_cancelled(void *arg)
{
    static char zeroes[NF_CHUNK];
    size_t total = 0;
    ssize_t n;

    while ((n = tn_write(arg, zeroes, sizeof zeroes)) > 0)
        total += (size_t)n;
    tt_check_eq(n, TN_ECANCELED);
    return (void *)total;
}

static void *writer_waits(void *arg)
{
    tn_stream *ends[2];
    tn_task *task;
    size_t sent;
    size_t got = 0;
    ssize_t n;
    char buf[4096];

    (void)arg;
    ns_tcp_pair(ends);
    task = tt_spawn(write_until_cancelled, ends[0]);
    tt_check_eq(tn_sleep(100 * TN_MS), 0);
    tt_check(!tn_task_is_finished(task));
    tn_cancel(task);
    sent = (size_t)tt_join(task);
    tt_check(sent > 0 && sent < (64u << 20));
    tn_stream_close(ends[0]);
    while ((n = tn_read(ends[1], buf, sizeof buf)) > 0)
        got += (size_t)n;
    tt_check_eq(n, 0);
    tt_check_eq(got, sent); /* a cancelled write has written nothing */
    tn_stream_close(ends[1]);
    return NULL;
}

Test(flow, writer_waits_and_cancelled_write_wrote_nothing)
{
    tt_run(writer_waits, NULL);
}
