/* SPDX-License-Identifier: MIT */
/* Sockets whose mode another owner of the socket changes: O_NONBLOCK belongs to the socket, not to the descriptor. No call waits
 * in the kernel because of that, so each of these ends at its deadline. */
/* ctest: timeout=60 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/net_support.h"
#include "support/runtime.h"

#define MUCH ((size_t)8 << 20)

/* What another process does that has the socket. */
static void make_blocking(int fd)
{
    tt_check_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
}

static void *read_and_write(void *arg)
{
    static char much[MUCH];
    struct iovec parts[2] = {{.iov_base = much, .iov_len = MUCH / 2}, {.iov_base = much, .iov_len = MUCH / 2}};
    tn_stream *ends[2];
    tn_scope scope;
    char byte;

    ns_unix_pair(ends);
    make_blocking(tn_stream_fd(ends[0]));
    tn_scope_enter_for(&scope, 20 * TN_MS);
    tt_check_eq(tn_read(ends[0], &byte, 1), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tn_scope_enter_for(&scope, 20 * TN_MS);
    tt_check_eq(tn_write_all(ends[0], much, MUCH), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tn_scope_enter_for(&scope, 20 * TN_MS);
    tt_check_eq(tn_writev_all(ends[0], parts, 2), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    ns_close_pair(ends);
    return arg;
}

Test(mode, reads_and_writes_end_at_their_deadline)
{
    tt_run(read_and_write, NULL);
}

static void *send_file(void *arg)
{
    int fd = memfd_create("much", MFD_CLOEXEC);
    tn_stream *ends[2];
    tn_file *file;
    tn_scope scope;

    tt_check(fd >= 0 && ftruncate(fd, 8 * (off_t)MUCH) == 0);
    tt_check_eq(tn_file_adopt(&file, fd), 0);
    ns_tcp_pair(ends);
    make_blocking(tn_stream_fd(ends[0]));
    tn_scope_enter_for(&scope, 50 * TN_MS);
    tt_check(tn_sendfile(ends[0], file, 0, 8 * MUCH) < (ssize_t)(8 * MUCH));
    tn_scope_leave(&scope);
    tn_file_close(file);
    ns_close_pair(ends);
    return arg;
}

Test(mode, sendfile_ends_at_its_deadline)
{
    tt_run(send_file, NULL);
}

static void *accept_none(void *arg)
{
    const int *fd = arg;
    tn_listener *listener;
    tn_stream *stream;
    tn_scope scope;

    tt_check_eq(tn_listener_open(NULL, &listener, dup(*fd)), 0);
    make_blocking(*fd);
    tt_check_eq(tn_try_accept(listener, &stream), TN_EAGAIN);
    make_blocking(*fd);
    tn_scope_enter_for(&scope, 20 * TN_MS);
    tt_check_eq(tn_accept(listener, &stream), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tn_listener_close(listener);
    return NULL;
}

/* By a program that has asked for the descriptor of a listener that the library has made. */
static void *accept_none_after_asking(void *arg)
{
    tn_listener *listener;
    tn_stream *stream;
    tn_scope scope;

    tt_check_eq(tn_tcp_listen(&listener, "127.0.0.1:0", NULL), 0);
    make_blocking(tn_listener_fd(listener));
    tt_check_eq(tn_try_accept(listener, &stream), TN_EAGAIN);
    make_blocking(tn_listener_fd(listener));
    tn_scope_enter_for(&scope, 20 * TN_MS);
    tt_check_eq(tn_accept(listener, &stream), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tn_listener_close(listener);
    return arg;
}

Test(mode, accept_ends_at_its_deadline_if_the_descriptor_was_given_out)
{
    tt_run(accept_none_after_asking, NULL);
}

/* Another process accepts from the socket, and its streams have the option. */
static void *close_listener(void *arg)
{
    struct linger linger = {1, 5};
    socklen_t length = sizeof linger;
    const int *fd = arg;
    tn_listener *listener;

    tt_check_eq(setsockopt(*fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    tt_check_eq(tn_listener_open(NULL, &listener, dup(*fd)), 0);
    tn_listener_close(listener);
    tt_check_eq(getsockopt(*fd, SOL_SOCKET, SO_LINGER, &linger, &length), 0);
    tt_check(linger.l_onoff && linger.l_linger == 5);
    return NULL;
}

Test(mode, accept_ends_at_its_deadline)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un any = {.sun_family = AF_UNIX};

    cr_assert(fd >= 0 && bind(fd, (const struct sockaddr *)&any, sizeof any.sun_family) == 0 && listen(fd, 8) == 0);
    tt_run(accept_none, &fd);
    tt_run(close_listener, &fd);
    close(fd);
}
