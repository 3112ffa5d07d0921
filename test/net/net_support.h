/* SPDX-License-Identifier: MIT */
/* Helpers for the tests of net. A failed check in a task ends the process: a task may run on any thread, and Criterion can
 * leave a test only from its own thread. */
#ifndef NET_SUPPORT_H
#define NET_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <tn/net.h>

#include "support/runtime.h"
#include "task/task.h"

/* tt_scaled; under a sanitizer a twentieth of that. */
static inline unsigned long ns_scaled(unsigned long count)
{
    return tt_scaled(TT_SANITIZED ? (count + 19) / 20 : count);
}

/* Sleeps long enough for another task to reach its wait. */
static inline void ns_settle(void)
{
    tt_check_eq(tn_sleep(20 * TN_MS), 0);
}

/* Sleeps until the task waits, or has ended. */
static inline void ns_until_rests(const tn_task *task)
{
    do
        ns_settle();
    while (tni_a64_load(&task->state, TNI_ACQUIRE) & TNI_TASK_ACTIVE);
}

/* Fills the stream, so that the next write waits. Returns how many bytes it holds. The kernel widens the window of a receiver
 * that has just been filled, so it is filled again until it stays full. */
static inline size_t ns_fill(tn_stream *stream)
{
    static const char zeroes[1 << 16];
    size_t total = 0;
    size_t before;

    do {
        ssize_t n;

        before = total;
        while ((n = tn_try_write(stream, zeroes, sizeof zeroes)) > 0)
            total += (size_t)n;
        ns_settle();
    } while (total != before);
    return total;
}

static inline tn_stream *ns_open(int fd)
{
    tn_stream *stream;

    tt_check_eq(tn_stream_open(NULL, &stream, fd), 0);
    return stream;
}

/* Two ends of a Unix connection. */
static inline void ns_unix_pair(tn_stream *ends[2])
{
    int fds[2];

    tt_check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    ends[0] = ns_open(fds[0]);
    ends[1] = ns_open(fds[1]);
}

static inline tn_listener *ns_listen(char address[TN_ADDRESS_SIZE])
{
    tn_listener *listener;

    tt_check_eq(tn_tcp_listen(&listener, "127.0.0.1:0", NULL), 0);
    tt_check_eq(tn_listener_address(listener, address, TN_ADDRESS_SIZE), 0);
    return listener;
}

/* Two ends of a TCP connection; the first is the one that connected. */
static inline void ns_tcp_pair(tn_stream *ends[2])
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);

    tt_check_eq(tn_tcp_connect(NULL, &ends[0], address), 0);
    tt_check_eq(tn_accept(listener, &ends[1]), 0);
    tn_listener_close(listener);
}

static inline void ns_close_pair(tn_stream *ends[2])
{
    tn_stream_close(ends[0]);
    tn_stream_close(ends[1]);
}

/* Reads exactly `size` bytes. */
static inline void ns_read_all(tn_stream *stream, void *buf, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = tn_read(stream, (char *)buf + done, size - done);
        tt_check(n > 0);
        done += (size_t)n;
    }
}

/* Sends back all bytes until the end, then closes. */
static inline void *ns_echo(void *arg)
{
    tn_stream *stream = arg;
    char buf[16384];
    ssize_t n;

    while ((n = tn_read(stream, buf, sizeof buf)) > 0)
        tt_check_eq(tn_write_all(stream, buf, (size_t)n), 0);
    tt_check_eq(n, 0);
    tn_stream_close(stream);
    return NULL;
}

/* Waits up to 2 s until `count` files are open: a loop may keep a closed file for a moment. Returns the number. */
static inline unsigned ns_files_become(unsigned count)
{
    for (int i = 0; i < 200 && tt_files() != count; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    return tt_files();
}

static inline void *ns_nothing(void *arg)
{
    return arg;
}

/* The number of files that are open while no runtime exists. At the first loop libuv opens a pair for the process, and keeps
 * it. */
static inline unsigned ns_files_of_no_runtime(void)
{
    tt_run(ns_nothing, NULL);
    return tt_files();
}

/* Collects the lines of a log. */
typedef struct {
    char text[8192];
    unsigned lines;
} ns_log;

static inline void ns_log_write(void *ctx, tn_log_level level, const char *message)
{
    ns_log *log = ctx;
    size_t used = strlen(log->text);

    (void)level;
    snprintf(log->text + used, sizeof log->text - used, "%s\n", message);
    __atomic_fetch_add(&log->lines, 1, __ATOMIC_RELAXED);
}

/* Like tt_run, but `log` gets the runtime's lines. */
static inline void ns_run_logged(ns_log *log, tn_entry_fn entry, void *arg)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    memset(log, 0, sizeof *log);
    options.log = ns_log_write;
    options.log_ctx = log;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, entry, arg, NULL), 0);
    tt_runtime_destroy(runtime);
}

#endif
