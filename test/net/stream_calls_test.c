/* SPDX-License-Identifier: MIT */
/* The calls of a stream beside read and write: vectors, exact counts, ending in order and from another task, the descriptor. */
#include "net_support.h"
#include "support/runtime.h"

/* --- Vectors and exact counts ----------------------------------------------------------------------------------------------- */

static void *read_vectors(void *arg)
{
    tn_stream *ends[2];
    char a[3] = "", b[4] = "";
    struct iovec iov[3] = {{a, 2}, {NULL, 0}, {b, 3}};
    struct iovec huge[2] = {{a, SSIZE_MAX}, {b, 1}};

    (void)arg;
    ns_tcp_pair(ends);
    tt_check_eq(tn_write_all(ends[0], "abcde", 5), 0);
    tt_check_eq(tn_wait_readable(ends[1]), 0);
    tt_check_eq(tn_readv(ends[1], iov, 3), 5);
    tt_check(strcmp(a, "ab") == 0 && strcmp(b, "cde") == 0);
    tt_check_eq(tn_write_all(ends[0], "xyz", 3), 0);
    tt_check_eq(tn_readv(ends[1], iov, 3), 3); /* fewer than there is space for */
    tt_check(strcmp(a, "xy") == 0 && b[0] == 'z');
    tt_check_eq(tn_readv(ends[1], iov + 1, 1), 0);
    tt_check_eq(tn_readv(ends[1], iov, 0), 0);
    tt_check_eq(tn_readv(ends[1], iov, -1), TN_EINVAL);
    tt_check_eq(tn_readv(ends[1], iov, 1025), TN_EINVAL);
    tt_check_eq(tn_readv(ends[1], huge, 2), TN_EINVAL);
    tt_check_eq(tn_stream_shutdown_write(ends[0]), 0);
    tt_check_eq(tn_readv(ends[1], iov, 3), 0);
    ns_close_pair(ends);
    return NULL;
}

Test(stream_calls, read_vectors)
{
    tt_run(read_vectors, NULL);
}

static int exact_within(tn_stream *stream, char *buf, size_t size, size_t *done, uint64_t ns)
{
    TN_SCOPE(scope, tn_now() + ns);

    return tn_read_exact(stream, buf, size, done);
}

static void *read_exactly(void *arg)
{
    tn_stream *ends[2];
    char buf[8] = "";
    size_t done = 0;

    (void)arg;
    ns_tcp_pair(ends);
    tt_check_eq(tn_write_all(ends[0], "abc", 3), 0);
    while (done < 3)
        tt_check_eq(exact_within(ends[1], buf, 5, &done, TN_MS), TN_ETIMEDOUT);
    tt_check_eq(done, 3);
    tt_check_eq(tn_write_all(ends[0], "defg", 4), 0);
    tt_check_eq(tn_read_exact(ends[1], buf, 5, &done), 0);
    tt_check_eq(done, 5);
    tt_check_eq(strcmp(buf, "abcde"), 0);
    tt_check_eq(tn_stream_shutdown_write(ends[0]), 0);
    done = 0;
    tt_check_eq(tn_read_exact(ends[1], buf, 5, &done), TN_EBADMSG);
    tt_check_eq(done, 2);
    ns_close_pair(ends);
    return NULL;
}

Test(stream_calls, an_exact_read_continues_after_a_deadline)
{
    tt_run(read_exactly, NULL);
}

enum { PART = 600000 };

static void *expect_numbers(void *arg)
{
    tn_stream *stream = arg;
    unsigned char buf[4096];
    size_t total = 0;
    ssize_t n;

    while ((n = tn_read(stream, buf, sizeof buf)) > 0)
        for (ssize_t i = 0; i < n; i++, total++)
            tt_check_eq(buf[i], (unsigned char)(total % 251));
    tt_check_eq(n, 0);
    return (void *)total;
}

static int writev_within(tn_stream *stream, struct iovec *iov, int count, uint64_t ns)
{
    TN_SCOPE(scope, tn_now() + ns);

    return tn_writev_all(stream, iov, count);
}

static void *write_vectors(void *arg)
{
    unsigned char *bytes = malloc(2 * PART);
    struct iovec iov[3] = {{bytes, PART}, {bytes, 0}, {bytes + PART, PART}};
    tn_stream *ends[2];
    tn_task *reader;
    int rc;

    (void)arg;
    for (size_t i = 0; i < 2 * PART; i++)
        bytes[i] = (unsigned char)(i % 251);
    ns_unix_pair(ends);
    tt_check_eq(writev_within(ends[0], iov, 3, TN_MS), TN_ETIMEDOUT); /* there is no reader yet */
    reader = tt_spawn(expect_numbers, ends[1]);
    while ((rc = writev_within(ends[0], iov, 3, 200 * TN_US)) == TN_ETIMEDOUT)
        ;
    tt_check_eq(rc, 0);
    tt_check_eq(tn_stream_shutdown_write(ends[0]), 0);
    tt_check_eq((uintptr_t)tt_join(reader), 2 * PART);
    ns_close_pair(ends);
    free(bytes);
    return NULL;
}

Test(stream_calls, a_vector_is_written_on_after_a_deadline)
{
    tt_run(write_vectors, NULL);
}

/* --- The end ---------------------------------------------------------------------------------------------------------------- */

/* Sends something, reads to the end, and sends something more: a close with unread bytes would have reset the connection. */
static void *answer_late(void *arg)
{
    tn_stream *stream = arg;
    char buf[8192];
    size_t total = 0;
    ssize_t n;

    tt_check_eq(tn_write_all(stream, "unread", 6), 0);
    while ((n = tn_read(stream, buf, sizeof buf)) > 0)
        total += (size_t)n;
    tt_check_eq(n, 0);
    tt_check_eq(tn_write_all(stream, "more", 4), 0);
    tn_stream_close(stream);
    return (void *)total;
}

static void *finish(void *arg)
{
    tn_stream *ends[2];
    tn_task *peer;
    char *text = calloc(1, 100000);

    (void)arg;
    ns_tcp_pair(ends);
    peer = tt_spawn(answer_late, ends[1]);
    tt_check_eq(tn_write_all(ends[0], text, 100000), 0);
    tt_check_eq(tn_stream_finish(ends[0]), 0);
    tt_check_eq((uintptr_t)tt_join(peer), 100000);
    free(text);
    return NULL;
}

Test(stream_calls, a_finish_loses_no_byte)
{
    tt_run(finish, NULL);
}

static int finish_within(tn_stream *stream, uint64_t ns)
{
    TN_SCOPE(scope, tn_now() + ns);

    return tn_stream_finish(stream);
}

static void *finish_in_vain(void *arg)
{
    tn_stream *ends[2];
    char byte;

    (void)arg;
    ns_tcp_pair(ends);
    tt_check_eq(finish_within(ends[0], TN_MS), TN_ETIMEDOUT); /* it is closed nevertheless: no memory or file is left */
    tt_check_eq(tn_read(ends[1], &byte, 1), 0);
    tn_stream_close(ends[1]);
    return NULL;
}

Test(stream_calls, a_finish_has_a_deadline)
{
    unsigned files = ns_files_of_no_runtime();

    tt_run(finish_in_vain, NULL);
    cr_assert_eq(ns_files_become(files), files);
}

static void *read_one(void *arg)
{
    char byte;

    return (void *)(intptr_t)tn_read(arg, &byte, 1);
}

static void *abort_reader(void *arg)
{
    tn_stream *ends[2];
    tn_task *reader;
    char byte;

    (void)arg;
    ns_tcp_pair(ends);
    reader = tt_spawn(read_one, ends[0]);
    tt_check_eq(tn_yield(), 0);
    tn_stream_abort(ends[0]);
    tt_check_eq((intptr_t)tt_join(reader), TN_EBADF);
    tt_check_eq(tn_read(ends[1], &byte, 1), 0);
    ns_close_pair(ends);
    return NULL;
}

Test(stream_calls, an_aborted_stream_is_closed_by_its_owner)
{
    tt_run(abort_reader, NULL);
}

/* --- Descriptor and credentials --------------------------------------------------------------------------------------------- */

static void *descriptors(void *arg)
{
    tn_stream *ends[2];
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    tn_peer_credentials peer = {0, 0, 0};
    int on = 0;
    socklen_t length = sizeof on;

    (void)arg;
    tt_check_eq(getsockopt(tn_listener_fd(listener), SOL_SOCKET, SO_ACCEPTCONN, &on, &length), 0);
    tt_check_eq(on, 1);
    tn_listener_close(tn_listener_retain(listener));
    tt_check_eq(tn_listener_fd(listener), TN_EBADF);
    tn_listener_release(listener);
    ns_unix_pair(ends);
    tt_check_eq(tn_stream_peer_credentials(ends[0], &peer), 0);
    tt_check(peer.process == getpid() && peer.user == geteuid() && peer.group == getegid());
    tt_check_eq(write(tn_stream_fd(ends[0]), "a", 1), 1);
    tt_check_eq(tn_read(ends[1], address, 1), 1);
    ns_close_pair(ends);
    ns_tcp_pair(ends);
    tt_check_eq(tn_stream_peer_credentials(ends[0], &peer), TN_EINVAL);
    ns_close_pair(ends);
    return NULL;
}

Test(stream_calls, descriptors_and_credentials)
{
    tt_run(descriptors, NULL);
}
