/* SPDX-License-Identifier: MIT */
/* Waits for the descriptors of streams, whose bytes tn_try_read and tn_try_write move: what a library does with its own
 * sockets. Also on the simulated machine. */
/* ctest: timeout=120 */
#include <string.h>

#include "fd_support.h"
#include "net_support.h"
#include "support/runtime.h"

enum { PAIRS = 20, ROUNDS = 50, LENGTH = 100 };

typedef struct {
    tn_stream *ends[2];
    unsigned number;
} pair;

static void read_all(tn_stream *stream, char *buf, size_t size)
{
    size_t got = 0;

    while (got < size) {
        ssize_t n = tn_try_read(stream, buf + got, size - got);
        if (n == TN_EAGAIN) {
            int ready = tn_fd_wait(tn_stream_fd(stream), TN_FD_READABLE);
            tt_check(ready > 0);
            continue;
        }
        tt_check(n > 0);
        got += (size_t)n;
    }
}

static void write_all(tn_stream *stream, const char *buf, size_t size)
{
    size_t put = 0;

    while (put < size) {
        ssize_t n = tn_try_write(stream, buf + put, size - put);
        if (n == TN_EAGAIN) {
            int ready = tn_fd_wait(tn_stream_fd(stream), TN_FD_WRITABLE);
            tt_check(ready > 0);
            continue;
        }
        tt_check(n > 0);
        put += (size_t)n;
    }
}

static void *echo(void *arg)
{
    pair *p = arg;
    char buf[LENGTH];

    for (unsigned long i = tt_scaled(ROUNDS); i > 0; i--) {
        read_all(p->ends[1], buf, LENGTH);
        write_all(p->ends[1], buf, LENGTH);
    }
    return arg;
}

static void *ask(void *arg)
{
    pair *p = arg;
    tn_task *peer = tt_spawn(echo, p);
    char buf[LENGTH];

    for (unsigned long i = tt_scaled(ROUNDS); i > 0; i--) {
        memset(buf, (int)(p->number + i), LENGTH);
        write_all(p->ends[0], buf, LENGTH);
        memset(buf, 0, LENGTH);
        read_all(p->ends[0], buf, LENGTH);
        for (unsigned k = 0; k < LENGTH; k++)
            tt_check_eq((unsigned char)buf[k], (unsigned char)(p->number + i));
    }
    tt_join(peer);
    tn_stream_close(p->ends[0]);
    tn_stream_close(p->ends[1]);
    return arg;
}

static void *talk(void *arg)
{
    pair pairs[PAIRS];
    tn_task *tasks[PAIRS];

    for (unsigned i = 0; i < PAIRS; i++) {
        pairs[i].number = i;
        ns_tcp_pair(pairs[i].ends);
        tasks[i] = tt_spawn(ask, &pairs[i]);
    }
    for (unsigned i = 0; i < PAIRS; i++)
        tt_join(tasks[i]);
    return arg;
}

Test(fd_stream, talk)
{
    tt_run(talk, NULL);
}

typedef struct {
    tn_stream *stream;
    int result;
} waiting;

static void *wait_readable(void *arg)
{
    waiting *w = arg;

    w->result = tn_fd_wait(tn_stream_fd(w->stream), TN_FD_READABLE);
    return arg;
}

/* Forgotten or cancelled, and the stream is closed after it; the next stream has the same number. */
static void *forget_and_cancel(void *arg)
{
    for (int round = 0; round < 10; round++) {
        tn_stream *ends[2];
        waiting w[2];
        tn_task *task[2];
        ns_tcp_pair(ends);
        for (int i = 0; i < 2; i++) {
            w[i].stream = ends[i];
            task[i] = tt_spawn(wait_readable, &w[i]);
            fd_await_rest(task[i]);
        }
        tt_check_eq(tn_fd_forget(NULL, tn_stream_fd(ends[0])), 0);
        tn_cancel(task[1]);
        for (int i = 0; i < 2; i++) {
            tt_join(task[i]);
            tt_check_eq(w[i].result, TN_ECANCELED);
            tn_stream_close(ends[i]);
        }
    }
    return arg;
}

Test(fd_stream, forget_and_cancel)
{
    tt_run(forget_and_cancel, NULL);
}
