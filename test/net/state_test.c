/* SPDX-License-Identifier: MIT */
/* Only the socket knows its state: entries in its error queue, bytes that the program reads itself, resets. */
#include <linux/net_tstamp.h>
#include <netinet/in.h>

#include "net_support.h"

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * TN_S + (uint64_t)now.tv_nsec;
}

/* Two ends of a TCP connection as file descriptors. */
static void connect_pair(int fds[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tt_check_eq(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    tt_check_eq(listen(listener, 1), 0);
    tt_check_eq(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    tt_check_eq(connect(fds[0], (struct sockaddr *)&at, sizeof at), 0);
    tt_check((fds[1] = accept(listener, NULL, NULL)) >= 0);
    close(listener);
}

/* --- The error queue -------------------------------------------------------------------------------------------------------- */

static void ask_for_timestamps(int fd)
{
    int flags = SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY | SOF_TIMESTAMPING_OPT_ID;

    tt_check_eq(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags), 0);
}

/* Takes an entry. Returns whether there was one. */
static bool take_entry(int fd)
{
    char control[256];
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};

    return recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0;
}

static int wait_by_read(tn_stream *stream)
{
    char byte;

    return (int)tn_read(stream, &byte, 1);
}

static int wait_by_future(tn_stream *stream)
{
    tn_ready_future future;

    tn_ready_init(&future, stream, TN_READABLE);
    return tn_await(&future.base);
}

typedef int (*wait_fn)(tn_stream *stream);
static const wait_fn waits[] = {wait_by_read, tn_wait_readable, wait_by_future};

static int wait_for(wait_fn wait, tn_stream *stream, uint64_t limit_ns)
{
    TN_SCOPE(limit, tn_now() + limit_ns);
    return wait(stream);
}

/* `before`: the entry is there before the stream waits for the first time. */
static void check_error_queue(wait_fn wait, bool before)
{
    tn_stream *stream;
    uint64_t cpu;
    int fds[2];

    connect_pair(fds);
    ask_for_timestamps(fds[0]);
    stream = ns_open(fds[0]);
    if (!before)
        tt_check_eq(wait_for(wait, stream, 20 * TN_MS), TN_ETIMEDOUT);
    tt_check_eq(tn_write(stream, "x", 1), 1); /* its acknowledgement is an entry */
    if (before)
        ns_settle();
    cpu = cpu_ns();
    tt_check_eq(wait_for(wait, stream, 300 * TN_MS), TN_ETIMEDOUT);
    tt_check(cpu_ns() - cpu < 100 * TN_MS * (TT_SANITIZED ? 3 : 1));
    tt_check_eq(tn_write(stream, "x", 1), 1); /* one more, and then a byte to read */
    tt_check_eq(wait_for(wait, stream, 50 * TN_MS), TN_ETIMEDOUT);
    tt_check_eq(send(fds[1], "y", 1, 0), 1);
    tt_check(wait_for(wait, stream, 10 * TN_S) >= 0);
    tt_check(take_entry(fds[0]) && take_entry(fds[0])); /* the program's own */
    tn_stream_close(stream);
    close(fds[1]);
}

static void *error_queues(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < sizeof waits / sizeof *waits; i++)
        for (int before = 0; before < 2; before++)
            check_error_queue(waits[i], before);
    return NULL;
}

Test(state, an_entry_in_the_error_queue_ends_no_wait)
{
    tt_run(error_queues, NULL);
}

/* --- Bytes that the program reads itself ------------------------------------------------------------------------------------ */

static void check_foreign_reads(wait_fn wait)
{
    tn_stream *stream;
    char byte;
    int fds[2];

    tt_check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    stream = ns_open(fds[0]);
    for (int i = 0; i < 4; i++) {
        tt_check_eq(send(fds[1], "x", 1, 0), 1);
        tt_check_eq(wait_for(wait, stream, 10 * TN_S), 0);
        tt_check_eq(recv(fds[0], &byte, 1, MSG_DONTWAIT), 1);
        tt_check_eq(wait_for(wait, stream, 30 * TN_MS), TN_ETIMEDOUT);
    }
    tn_stream_close(stream);
    close(fds[1]);
}

static int wait_writable(tn_stream *stream)
{
    tn_ready_future future;

    tn_ready_init(&future, stream, TN_WRITABLE);
    return tn_await(&future.base);
}

/* The program fills the socket itself. */
static void check_foreign_writes(void)
{
    static char block[65536];
    tn_stream *stream;
    int fds[2];

    tt_check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    stream = ns_open(fds[0]);
    for (int i = 0; i < 4; i++) {
        tt_check_eq(wait_for(wait_writable, stream, 10 * TN_S), 0);
        while (send(fds[0], block, sizeof block, MSG_DONTWAIT) > 0)
            ;
        tt_check_eq(wait_for(wait_writable, stream, 30 * TN_MS), TN_ETIMEDOUT);
        while (recv(fds[1], block, sizeof block, MSG_DONTWAIT) > 0)
            ;
    }
    tn_stream_close(stream);
    close(fds[1]);
}

static void *foreign_uses(void *arg)
{
    (void)arg;
    check_foreign_reads(tn_wait_readable);
    check_foreign_reads(wait_by_future);
    check_foreign_writes();
    return NULL;
}

Test(state, what_the_program_reads_itself_ends_no_later_wait)
{
    tt_run(foreign_uses, NULL);
}

/* --- Resets ----------------------------------------------------------------------------------------------------------------- */

/* A wait does not take the error away from the read. */
static void *reset_while_waiting(void *arg)
{
    (void)arg;
    for (unsigned i = 1; i < sizeof waits / sizeof *waits; i++) {
        tn_stream *stream;
        char byte;
        int fds[2];

        connect_pair(fds);
        stream = ns_open(fds[0]);
        tt_check_eq(wait_for(waits[i], stream, 20 * TN_MS), TN_ETIMEDOUT);
        tt_check_eq(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)), 0);
        close(fds[1]);
        tt_check_eq(wait_for(waits[i], stream, 10 * TN_S), 0);
        tt_check_eq(tn_read(stream, &byte, 1), TN_ECONNRESET);
        tt_check_eq(tn_read(stream, &byte, 1), 0);
        tn_stream_close(stream);
    }
    return NULL;
}

Test(state, a_reset_is_reported_by_the_read)
{
    tt_run(reset_while_waiting, NULL);
}

/* A short read together with the end: the end is not waited for. */
static void *short_read_and_end(void *arg)
{
    tn_stream *ends[2];
    char buf[16];

    (void)arg;
    ns_tcp_pair(ends);
    {
        TN_SCOPE(limit, tn_now() + 20 * TN_MS);
        tt_check_eq(tn_read(ends[0], buf, sizeof buf), TN_ETIMEDOUT);
    }
    tt_check_eq(tn_write(ends[1], "abc", 3), 3);
    tt_check_eq(tn_stream_shutdown_write(ends[1]), 0);
    ns_settle();
    tt_check_eq(tn_read(ends[0], buf, sizeof buf), 3);
    {
        TN_SCOPE(limit, tn_now() + 10 * TN_S);
        tt_check_eq(tn_read(ends[0], buf, sizeof buf), 0);
        tt_check_eq(tn_read(ends[0], buf, sizeof buf), 0);
    }
    ns_close_pair(ends);
    return NULL;
}

Test(state, the_end_behind_a_short_read)
{
    tt_run(short_read_and_end, NULL);
}
