/* SPDX-License-Identifier: MIT */
/* Tests of closing and cancelling: waiters are woken, late calls fail, no file stays open and nothing is freed early. */
/* ctest: timeout=60 */
#include <pthread.h>

#include "net_support.h"
#include "support/runtime.h"

static char unix_kind[] = "unix";

static void open_pair(tn_stream *ends[2], const void *kind)
{
    if (kind == NULL)
        ns_tcp_pair(ends);
    else
        ns_unix_pair(ends);
}

static void *read_one(void *arg)
{
    char byte;

    return (void *)(intptr_t)tn_read(arg, &byte, 1);
}

static void *wait_one(void *arg)
{
    return (void *)(intptr_t)tn_wait_readable(arg);
}

static void *write_until_error(void *arg)
{
    static char zeroes[65536];
    ssize_t n;

    while ((n = tn_write(arg, zeroes, sizeof zeroes)) > 0)
        ;
    return (void *)n;
}

static void *write_all_of_much(void *arg)
{
    static char zeroes[32 << 20];

    return (void *)(intptr_t)tn_write_all(arg, zeroes, sizeof zeroes);
}

/* Every kind of call that waits, each with the reference that it needs. */
static void *close_wakes(void *arg)
{
    static const tn_entry_fn readers[] = {read_one, wait_one};
    static const tn_entry_fn writers[] = {write_until_error, write_all_of_much};

    for (int i = 0; i < 4; i++) {
        tn_stream *ends[2];
        tn_task *reader;
        tn_task *writer;
        char byte;

        open_pair(ends, arg);
        reader = tt_spawn(readers[i % 2], tn_stream_retain(ends[0]));
        writer = tt_spawn(writers[i / 2], ends[0]);
        ns_until_rests(reader); /* a try before that could make its read fail */
        ns_until_rests(writer);
        tt_check_eq(tn_try_read(ends[0], &byte, 1), TN_EBUSY);
        tt_check_eq(tn_try_write(ends[0], &byte, 1), TN_EBUSY);
        tt_check(!tn_task_is_finished(reader) && !tn_task_is_finished(writer));
        tt_check_eq(tn_read(ends[0], &byte, 1), TN_EBUSY);
        tt_check_eq(tn_try_read(ends[0], &byte, 1), TN_EBUSY);
        tt_check_eq(tn_wait_readable(ends[0]), TN_EBUSY);
        tt_check_eq(tn_write(ends[0], &byte, 1), TN_EBUSY);
        tt_check_eq(tn_write_all(ends[0], &byte, 1), TN_EBUSY);
        tt_check_eq(tn_try_write(ends[0], &byte, 1), TN_EBUSY);
        tn_stream_close(ends[0]);
        tt_check_eq((intptr_t)tt_join(reader), TN_EBADF);
        tt_check_eq((intptr_t)tt_join(writer), TN_EBADF);
        tt_check_eq(tn_read(ends[0], &byte, 1), TN_EBADF);
        tn_stream_release(ends[0]);
        tn_stream_close(ends[1]);
    }
    return NULL;
}

Test(close, wakes_reader_and_writer)
{
    tt_run(close_wakes, NULL);
    tt_run(close_wakes, unix_kind);
}

static void *late_calls(void *arg)
{
    tn_stream *ends[2];
    tn_ready_future ready;
    char text[TN_ADDRESS_SIZE];
    struct iovec iov = {text, 1};
    tn_peer_credentials peer;
    size_t done = 0;

    (void)arg;
    ns_tcp_pair(ends);
    tn_stream_close(tn_stream_retain(ends[0]));
    tt_check_eq(tn_read(ends[0], text, 1), TN_EBADF);
    tt_check_eq(tn_readv(ends[0], &iov, 1), TN_EBADF);
    tt_check_eq(tn_read_exact(ends[0], text, 1, &done), TN_EBADF);
    tt_check_eq(tn_writev_all(ends[0], &iov, 1), TN_EBADF);
    tt_check_eq(tn_stream_fd(ends[0]), TN_EBADF);
    tt_check_eq(tn_stream_peer_credentials(ends[0], &peer), TN_EBADF);
    tt_check_eq(tn_read(ends[0], text, 0), TN_EBADF);
    tt_check_eq(tn_write(ends[0], text, 1), TN_EBADF);
    tt_check_eq(tn_writev(ends[0], &iov, 1), TN_EBADF);
    tt_check_eq(tn_write_all(ends[0], text, 1), TN_EBADF);
    tt_check_eq(tn_try_read(ends[0], text, 1), TN_EBADF);
    tt_check_eq(tn_try_write(ends[0], text, 1), TN_EBADF);
    tt_check_eq(tn_wait_readable(ends[0]), TN_EBADF);
    tt_check_eq(tn_stream_shutdown_write(ends[0]), TN_EBADF);
    tt_check_eq(tn_stream_set_nodelay(ends[0], true), TN_EBADF);
    tt_check_eq(tn_stream_set_keepalive(ends[0], 1), TN_EBADF);
    tt_check_eq(tn_stream_local_address(ends[0], text, sizeof text), TN_EBADF);
    tt_check_eq(tn_stream_peer_address(ends[0], text, sizeof text), TN_EBADF);
    tn_ready_init(&ready, ends[0], TN_READABLE);
    tt_check_eq(tn_await(&ready.base), TN_EBADF);
    tt_check_eq(tn_read(ends[1], text, 1), 0);  /* the stream is closed, though a reference is held */
    tn_stream_close(tn_stream_retain(ends[0])); /* closing twice is one close */
    tn_stream_release(ends[0]);
    tn_stream_close(ends[1]);
    tn_stream_close(NULL);
    tn_listener_close(NULL);
    return NULL;
}

Test(close, late_calls)
{
    tt_run(late_calls, NULL);
}

static void *last_release_closes(void *arg)
{
    tn_stream *ends[2];
    char byte;

    (void)arg;
    ns_tcp_pair(ends);
    tn_stream_release(tn_stream_retain(ends[0]));
    tt_check_eq(tn_try_read(ends[1], &byte, 1), TN_EAGAIN);
    tn_stream_release(ends[0]);
    tt_check_eq(tn_read(ends[1], &byte, 1), 0);
    tn_stream_close(ends[1]);
    return NULL;
}

Test(close, last_release_closes)
{
    tt_run(last_release_closes, NULL);
}

/* Not promised, but cheap to support: the only reference is closed while a task waits with it. */
static void *close_the_only_reference(void *arg)
{
    tn_stream *ends[2];
    tn_task *task;

    (void)arg;
    ns_tcp_pair(ends);
    task = tt_spawn(read_one, ends[0]);
    ns_until_rests(task);
    tn_stream_close(ends[0]);
    tt_check_eq((intptr_t)tt_join(task), TN_EBADF);
    tn_stream_close(ends[1]);
    return NULL;
}

Test(close, the_only_reference)
{
    tt_run(close_the_only_reference, NULL);
}

/* --- Cancelling ------------------------------------------------------------------------------------------------------------ */

static void *cancel_waits(void *arg)
{
    static const tn_entry_fn entries[] = {read_one, wait_one, write_until_error, write_all_of_much};
    tn_stream *ends[2];

    open_pair(ends, arg);
    for (int i = 0; i < 4; i++) {
        tn_task *task = tt_spawn(entries[i], ends[0]);
        ns_until_rests(task);
        tt_check(!tn_task_is_finished(task));
        tn_cancel(task);
        tt_check_eq((intptr_t)tt_join(task), TN_ECANCELED);
    }
    ns_close_pair(ends); /* nothing is in flight any more */
    return NULL;
}

Test(close, cancelled_while_waiting)
{
    tt_run(cancel_waits, NULL);
    tt_run(cancel_waits, unix_kind);
}

/* A cancelled task: each of its cancellation points reports that first. */
static void *cancelled_at_entry(void *arg)
{
    tn_stream **ends = arg;
    tn_stream *none = NULL;
    char byte = 0;

    while (tn_checkpoint() == 0)
        (void)tn_yield();
    tt_check_eq(tn_read(ends[0], &byte, 1), TN_ECANCELED);
    tt_check_eq(tn_write(ends[0], &byte, 1), TN_ECANCELED);
    tt_check_eq(tn_write_all(ends[0], &byte, 1), TN_ECANCELED);
    tt_check_eq(tn_wait_readable(ends[0]), TN_ECANCELED);
    tt_check_eq(tn_tcp_connect(NULL, &none, "127.0.0.1:1"), TN_ECANCELED);
    tt_check_eq(tn_try_write(ends[0], "x", 1), 1); /* no cancellation point */
    tt_check(none == NULL);
    ns_close_pair(ends);
    return NULL;
}

static void *cancel_at_entry(void *arg)
{
    tn_stream *ends[2];
    tn_task *task;

    (void)arg;
    ns_tcp_pair(ends);
    tt_check_eq(tn_write(ends[1], "y", 1), 1);
    task = tt_spawn(cancelled_at_entry, ends);
    tn_cancel(task);
    tt_join(task);
    return NULL;
}

Test(close, cancelled_at_entry)
{
    tt_run(cancel_at_entry, NULL);
}

/* --- Ready futures --------------------------------------------------------------------------------------------------------- */

static void *await_ready(void *arg)
{
    return (void *)(intptr_t)tn_await(arg);
}

static void *close_ready_future(void *arg)
{
    tn_stream *ends[2];
    tn_ready_future futures[2];
    tn_task *tasks[2];

    open_pair(ends, arg);
    (void)ns_fill(ends[0]);
    tn_ready_init(&futures[0], ends[0], TN_READABLE);
    tn_ready_init(&futures[1], ends[0], TN_WRITABLE);
    for (int i = 0; i < 2; i++)
        tasks[i] = tt_spawn(await_ready, &futures[i].base);
    for (int i = 0; i < 2; i++)
        ns_until_rests(tasks[i]);
    tt_check(!tn_task_is_finished(tasks[0]));
    tt_check(!tn_task_is_finished(tasks[1]));
    tn_stream_close(tn_stream_retain(ends[0]));
    for (int i = 0; i < 2; i++)
        tt_check_eq((intptr_t)tt_join(tasks[i]), TN_EBADF);
    tn_stream_release(ends[0]);
    tn_stream_close(ends[1]);
    return NULL;
}

Test(close, wakes_ready_futures)
{
    tt_run(close_ready_future, NULL);
    tt_run(close_ready_future, unix_kind);
}

/* Polls once, so that the future waits, and leaves the future to the caller, not dropped. */
typedef struct {
    tn_future base;
    tn_future *inner;
} poll_once;

static int poll_once_poll(tn_future *self, tn_waker *waker)
{
    poll_once *future = (poll_once *)(void *)self;

    return future->inner->ops->poll(future->inner, waker) == TN_PENDING ? 1 : 0;
}

static void poll_once_drop(tn_future *self)
{
    (void)self;
}

static const tn_future_ops poll_once_ops = {poll_once_poll, poll_once_drop};

/* While a future waits, a close leaves the descriptor open, so its number is not reused. */
static void *future_keeps_fd(void *arg)
{
    tn_stream *ends[2];
    tn_ready_future ready;
    poll_once once = {{&poll_once_ops}, &ready.base};
    unsigned before;

    (void)arg;
    tt_check_eq(tn_sleep(TN_MS), 0); /* what the runtime opens late is open afterwards */
    ns_unix_pair(ends);
    before = tt_files();
    tn_ready_init(&ready, ends[0], TN_READABLE);
    tt_check_eq(tn_await(&once.base), 1);
    tn_stream_close(tn_stream_retain(ends[0]));
    ns_settle();
    tt_check_eq(tt_files(), before);
    ready.base.ops->drop(&ready.base);
    tt_check_eq(ns_files_become(before - 1), before - 1);
    tn_stream_release(ends[0]);
    tn_stream_close(ends[1]);
    return NULL;
}

Test(close, waiting_future_keeps_the_fd)
{
    tt_run(future_keeps_fd, NULL);
}

/* --- Listeners ------------------------------------------------------------------------------------------------------------- */

static void *accept_one(void *arg)
{
    tn_stream *stream;
    int rc = tn_accept(arg, &stream);

    if (rc == 0)
        tn_stream_close(stream);
    return (void *)(intptr_t)rc;
}

/* The loop may keep the closed socket for a moment. */
static int listen_again(tn_listener **out, const char *address)
{
    int rc = TN_EADDRINUSE;

    for (int i = 0; i < 2000 && rc == TN_EADDRINUSE; i++) {
        rc = tn_tcp_listen(out, address, NULL);
        if (rc == TN_EADDRINUSE)
            tt_check_eq(tn_sleep(TN_MS), 0);
    }
    return rc;
}

static void *close_listener(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    tn_listener *again;
    tn_stream *stream;
    tn_task *task;

    (void)arg;
    task = tt_spawn(accept_one, listener);
    ns_until_rests(task);
    tt_check(!tn_task_is_finished(task));
    tt_check_eq(tn_accept(listener, &stream), TN_EBUSY);
    tt_check_eq(tn_try_accept(listener, &stream), TN_EBUSY);
    tn_cancel(task);
    tt_check_eq((intptr_t)tt_join(task), TN_ECANCELED);
    task = tt_spawn(accept_one, listener);
    ns_until_rests(task);
    tn_listener_close(tn_listener_retain(listener));
    tt_check_eq((intptr_t)tt_join(task), TN_EBADF);
    tt_check_eq(listen_again(&again, address), 0);
    tn_listener_close(again);
    tt_check_eq(tn_accept(listener, &stream), TN_EBADF);
    tt_check_eq(tn_try_accept(listener, &stream), TN_EBADF);
    tt_check_eq(tn_listener_address(listener, address, sizeof address), TN_EBADF);
    tn_listener_release(listener);
    return NULL;
}

Test(close, listener)
{
    tt_run(close_listener, NULL);
}

/* --- No file is left ------------------------------------------------------------------------------------------------------- */

static void *many_rounds(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ns_scaled(300); i++) {
        tn_stream *ends[2];
        tn_task *reader;
        intptr_t result;

        open_pair(ends, i % 2 == 0 ? NULL : unix_kind);
        reader = tt_spawn(read_one, tn_stream_retain(ends[0]));
        if (i % 3 == 0)
            (void)tn_yield();
        if (i % 5 == 0)
            tn_cancel(reader);
        tn_stream_close(ends[0]);
        tt_check((result = (intptr_t)tt_join(reader)) == TN_ECANCELED || result == TN_EBADF);
        tn_stream_release(ends[0]);
        tn_stream_close(ends[1]);
    }
    return NULL;
}

Test(close, no_file_is_left)
{
    unsigned before = ns_files_of_no_runtime();

    tt_run(many_rounds, NULL);
    cr_assert_eq(tt_files(), before);
}

/* Two threads close and release while a third one reads: the memory is freed once, after the last of them. */
static void *release_it(void *arg)
{
    tn_stream_release(arg);
    return NULL;
}

static void *close_it(void *arg)
{
    tn_stream_close(arg);
    return NULL;
}

static void *concurrent_ends(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ns_scaled(5000); i++) {
        tn_stream *ends[2];
        tn_task *tasks[3];

        ns_unix_pair(ends);
        tn_stream_retain(tn_stream_retain(ends[0]));
        tasks[0] = tt_spawn(read_one, ends[0]);
        tasks[1] = tt_spawn(i % 2 == 0 ? close_it : release_it, ends[0]);
        tasks[2] = tt_spawn(close_it, ends[0]);
        if (i % 4 == 1)
            tn_stream_close(ends[1]);
        for (int t = 0; t < 3; t++) {
            intptr_t n = (intptr_t)tt_join(tasks[t]);
            tt_check(t != 0 || n == 0 || n == TN_EBADF || n == TN_ECANCELED);
        }
        tn_stream_release(ends[0]);
        if (i % 4 != 1)
            tn_stream_close(ends[1]);
    }
    return NULL;
}

Test(close, concurrent_ends)
{
    unsigned before = ns_files_of_no_runtime();

    tt_run(concurrent_ends, NULL);
    cr_assert_eq(tt_files(), before);
}
