/* SPDX-License-Identifier: MIT */
/* Tests of streams: all data arrives, reads and writes wait, ends and errors. */
/* ctest: timeout=120 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>

#include "net_support.h"
#include "stream/stream.h"
#include "support/runtime.h"

/* The argument of a test that runs over Unix sockets; NULL: over TCP. */
static char unix_kind[] = "unix";

/* --- Echo over each kind --------------------------------------------------------------------------------------------------- */

static void *accept_and_echo(void *arg)
{
    tn_stream *stream;

    tt_check_eq(tn_accept(arg, &stream), 0);
    return ns_echo(stream);
}

static void exchange(tn_stream *stream)
{
    char out[3000];
    char in[3000];

    for (unsigned i = 0; i < 50; i++) {
        memset(out, (int)('a' + i % 26), sizeof out);
        tt_check_eq(tn_write_all(stream, out, i * 61), 0);
        ns_read_all(stream, in, i * 61);
        tt_check(memcmp(in, out, i * 61) == 0);
    }
    tt_check_eq(tn_stream_shutdown_write(stream), 0);
    tt_check_eq(tn_read(stream, in, sizeof in), 0);
    tt_check_eq(tn_read(stream, in, sizeof in), 0);
}

static void *echo_tcp(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    char peer[TN_ADDRESS_SIZE];
    char local[TN_ADDRESS_SIZE];
    tn_listener *listener;
    tn_stream *stream;
    tn_task *task;

    tt_check_eq(tn_tcp_listen(&listener, arg, NULL), 0);
    tt_check_eq(tn_listener_address(listener, address, sizeof address), 0);
    tt_check(strncmp(address, arg, strlen(arg) - 1) == 0);
    task = tt_spawn(accept_and_echo, listener);
    tt_check_eq(tn_tcp_connect(NULL, &stream, address), 0);
    tt_check_eq(tn_stream_peer_address(stream, peer, sizeof peer), 0);
    tt_check(strcmp(peer, address) == 0);
    tt_check_eq(tn_stream_local_address(stream, local, sizeof local), 0);
    tt_check(strcmp(local, peer) != 0 && strncmp(local, arg, strlen(arg) - 1) == 0);
    tt_check_eq(tn_stream_local_address(stream, local, TN_ADDRESS_SIZE - 1), TN_EINVAL);
    exchange(stream);
    tt_join(task);
    tn_stream_close(stream);
    tn_listener_close(listener);
    return NULL;
}

Test(stream, echo_tcp4)
{
    char address[] = "127.0.0.1:0";

    tt_run(echo_tcp, address);
}

Test(stream, echo_tcp6)
{
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    char address[] = "[::1]:0";
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};

    if (fd < 0 || bind(fd, (struct sockaddr *)&loopback, sizeof loopback) != 0)
        cr_skip_test("no IPv6 here");
    close(fd);
    tt_run(echo_tcp, address);
}

static void *echo_unix(void *arg)
{
    char text[TN_ADDRESS_SIZE];
    tn_listener *listener;
    tn_stream *stream;
    tn_task *task;

    tt_check_eq(tn_unix_listen(&listener, arg, NULL), 0);
    tt_check_eq(tn_listener_address(listener, text, sizeof text), 0);
    tt_check(strcmp(text, arg) == 0);
    task = tt_spawn(accept_and_echo, listener);
    tt_check_eq(tn_unix_connect(NULL, &stream, text), 0);
    tt_check_eq(tn_stream_peer_address(stream, text, sizeof text), 0);
    tt_check(strcmp(text, arg) == 0);
    tt_check_eq(tn_stream_local_address(stream, text, sizeof text), 0);
    tt_check(strcmp(text, "") == 0);
    exchange(stream);
    tt_join(task);
    tn_stream_close(stream);
    tn_listener_close(listener);
    return NULL;
}

Test(stream, echo_unix)
{
    char path[64];

    snprintf(path, sizeof path, "/tmp/tn-stream-test-%d", (int)getpid());
    tt_run(echo_unix, path);
    cr_assert_neq(access(path, F_OK), 0, "the path was left behind");
}

Test(stream, echo_abstract)
{
    char path[64];

    snprintf(path, sizeof path, "@tn-stream-test-%d", (int)getpid());
    tt_run(echo_unix, path);
}

/* --- Ends and errors ------------------------------------------------------------------------------------------------------- */

static void *read_once(void *arg)
{
    char buf[16];

    return (void *)(intptr_t)tn_read(arg, buf, sizeof buf);
}

static void *peer_closes(void *arg)
{
    tn_stream *ends[2];
    tn_task *task;
    char byte = 'x';

    if (arg == NULL)
        ns_tcp_pair(ends);
    else
        ns_unix_pair(ends);
    task = tt_spawn(read_once, ends[0]);
    ns_settle();
    tn_stream_close(ends[1]);
    tt_check_eq((intptr_t)tt_join(task), 0);
    tt_check_eq(tn_wait_readable(ends[0]), 0);
    tt_check_eq(tn_try_read(ends[0], &byte, 1), 0);
    for (int i = 0; i < 100 && tn_write(ends[0], &byte, 1) == 1; i++) /* TCP learns of the close from the reply */
        ns_settle();
    tt_check_eq(tn_write(ends[0], &byte, 1), TN_EPIPE);
    tt_check_eq(tn_write_all(ends[0], &byte, 1), TN_EPIPE);
    tn_stream_close(ends[0]);
    return NULL;
}

Test(stream, peer_closes_while_waited_for)
{
    tt_run(peer_closes, NULL);
    tt_run(peer_closes, unix_kind);
}

static void *half_close(void *arg)
{
    tn_stream *ends[2];
    tn_task *task;
    char text[TN_ADDRESS_SIZE];
    char buf[8];

    (void)arg;
    ns_tcp_pair(ends);
    task = tt_spawn(read_once, ends[1]);
    ns_settle();
    tt_check_eq(tn_stream_shutdown_write(ends[0]), 0);
    tt_check_eq((intptr_t)tt_join(task), 0);
    tt_check_eq(tn_write(ends[0], "x", 1), TN_EPIPE);
    task = tt_spawn(read_once, ends[0]); /* the other direction stays open, and waits */
    ns_settle();
    tt_check(!tn_task_is_finished(task));
    tt_check_eq(tn_write_all(ends[1], "answer", 6), 0);
    tt_check_eq((intptr_t)tt_join(task), 6);
    tt_check_eq(tn_read(ends[1], buf, sizeof buf), 0);
    tn_stream_close(ends[1]);
    tt_check_eq(tn_read(ends[0], buf, sizeof buf), 0);
    tt_check_eq(tn_stream_shutdown_write(ends[0]), TN_ENOTCONN);
    tt_check_eq(tn_stream_peer_address(ends[0], text, sizeof text), TN_ENOTCONN);
    tn_stream_close(ends[0]);
    return NULL;
}

Test(stream, half_close)
{
    tt_run(half_close, NULL);
}

/* The reset arrives while one task waits to read, and another to write. */
static void *reset(void *arg)
{
    static char zeroes[65536];
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    tn_stream *ends[2];
    tn_task *reader;
    ssize_t n = 0;
    int fd;

    (void)arg;
    ns_tcp_pair(ends);
    fd = ends[1]->endpoint.fd;
    reader = tt_spawn(read_once, ends[0]);
    ns_settle();
    tt_check_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    tn_stream_close(ends[1]);
    tt_check_eq((intptr_t)tt_join(reader), TN_ECONNRESET);
    n = tn_write(ends[0], zeroes, sizeof zeroes);
    tt_check(n == TN_EPIPE || n == TN_ECONNRESET);
    tt_check_eq(tn_read(ends[0], zeroes, 1), 0);
    tn_stream_close(ends[0]);
    return NULL;
}

Test(stream, reset_while_reading)
{
    tt_run(reset, NULL);
}

static void *write_forever(void *arg)
{
    static char zeroes[65536];
    ssize_t n;

    while ((n = tn_write(arg, zeroes, sizeof zeroes)) > 0)
        ;
    return (void *)n;
}

static void *reset_of_writer(void *arg)
{
    tn_stream *ends[2];
    tn_task *writer;
    intptr_t n;

    (void)arg;
    ns_tcp_pair(ends);
    writer = tt_spawn(write_forever, ends[0]);
    tt_check_eq(tn_sleep(50 * TN_MS), 0);
    tn_stream_close(ends[1]); /* with unread data: a reset */
    n = (intptr_t)tt_join(writer);
    tt_check(n == TN_EPIPE || n == TN_ECONNRESET);
    tn_stream_close(ends[0]);
    return NULL;
}

Test(stream, reset_while_writing)
{
    tt_run(reset_of_writer, NULL);
}

/* The main thread does not block SIGPIPE: the write itself must prevent the signal. */
Test(stream, no_sigpipe)
{
    tn_runtime *runtime = tt_runtime_create();
    char text[] = "x";
    struct iovec iov = {text, 1};
    tn_stream *stream;
    int fds[2];

    cr_assert_eq(sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, NULL), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    close(fds[1]);
    cr_assert_eq(tn_stream_open(runtime, &stream, fds[0]), 0);
    cr_assert_eq(tn_write(stream, "x", 1), TN_EPIPE);
    cr_assert_eq(tn_writev(stream, &iov, 1), TN_EPIPE);
    cr_assert_eq(tn_try_write(stream, "x", 1), TN_EPIPE);
    tn_stream_close(stream);
    tt_runtime_destroy(runtime);
}

/* --- Single calls ---------------------------------------------------------------------------------------------------------- */

static void *small_calls(void *arg)
{
    tn_stream *ends[2];
    char text[] = "abcde";
    struct iovec iov[3] = {{text, 2}, {text, 0}, {text + 2, 3}};
    struct iovec huge[2] = {{text, SSIZE_MAX}, {text, 1}};
    char buf[16];

    (void)arg;
    ns_tcp_pair(ends);
    tt_check_eq(tn_read(ends[0], buf, 0), 0);
    tt_check_eq(tn_try_read(ends[0], buf, 0), 0);
    tt_check_eq(tn_write(ends[0], buf, 0), 0);
    tt_check_eq(tn_try_write(ends[0], buf, 0), 0);
    tt_check_eq(tn_write_all(ends[0], buf, 0), 0);
    tt_check_eq(tn_writev(ends[0], NULL, 0), 0);
    tt_check_eq(tn_writev(ends[0], iov + 1, 1), 0);
    tt_check_eq(tn_try_read(ends[1], buf, sizeof buf), TN_EAGAIN);
    tt_check_eq(tn_writev(ends[0], iov, -1), TN_EINVAL);
    tt_check_eq(tn_writev(ends[0], iov, 1025), TN_EINVAL);
    tt_check_eq(tn_writev(ends[0], huge, 2), TN_EINVAL);
    tt_check_eq(tn_writev(ends[0], iov, 3), 5);
    ns_read_all(ends[1], buf, 5);
    tt_check(memcmp(buf, "abcde", 5) == 0);
    tt_check_eq(tn_try_write(ends[0], "xyz", 3), 3);
    tt_check_eq(tn_wait_readable(ends[1]), 0);
    tt_check_eq(tn_try_read(ends[1], buf, sizeof buf), 3);
    tt_check_eq(tn_try_read(ends[1], buf, sizeof buf), TN_EAGAIN);
    ns_close_pair(ends);
    return NULL;
}

Test(stream, small_calls)
{
    tt_run(small_calls, NULL);
}

static void *wait_readable(void *arg)
{
    return (void *)(intptr_t)tn_wait_readable(arg);
}

static void expect_to_wait(tn_stream *ends[2])
{
    tn_task *task = tt_spawn(wait_readable, ends[0]);

    ns_settle();
    tt_check(!tn_task_is_finished(task));
    tt_check_eq(tn_write_all(ends[1], "1234", 4), 0);
    tt_check_eq((intptr_t)tt_join(task), 0);
    tt_check_eq(tn_wait_readable(ends[0]), 0); /* a second time: the wait takes nothing */
}

/* The call waits whenever a read would: after a short read, after a read that took exactly what was there, and after a read
 * that found nothing. */
static void *wait_readable_cases(void *arg)
{
    tn_stream *ends[2];
    char buf[16];

    if (arg == NULL)
        ns_tcp_pair(ends);
    else
        ns_unix_pair(ends);
    expect_to_wait(ends);
    tt_check_eq(tn_read(ends[0], buf, sizeof buf), 4);
    expect_to_wait(ends);
    tt_check_eq(tn_read(ends[0], buf, 4), 4);
    expect_to_wait(ends);
    tt_check_eq(tn_read(ends[0], buf, 3), 3);
    tt_check_eq(tn_wait_readable(ends[0]), 0);
    tt_check_eq(tn_read(ends[0], buf, 3), 1);
    tt_check_eq(tn_try_read(ends[0], buf, 1), TN_EAGAIN);
    expect_to_wait(ends);
    ns_close_pair(ends);
    return NULL;
}

Test(stream, wait_readable)
{
    tt_run(wait_readable_cases, NULL);
    tt_run(wait_readable_cases, unix_kind);
}

/* Cases in which a short read does not mean that nothing is left: a Unix stream with a passed file in the middle, TCP with
 * urgent data. The stream is registered and everything is reported before the first read. */
static void read_in_two(tn_stream *ends[2], const char *first, const char *second)
{
    char buf[16];

    ns_settle();
    tt_check_eq(tn_read(ends[0], buf, sizeof buf), strlen(first));
    tt_check(memcmp(buf, first, strlen(first)) == 0);
    tt_check_eq(tn_read(ends[0], buf, sizeof buf), strlen(second));
    tt_check(memcmp(buf, second, strlen(second)) == 0);
}

static void send_with_file(int to, int file)
{
    char text[] = "ab";
    struct iovec iov = {text, 2};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

    control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), &file, sizeof file);
    tt_check_eq(sendmsg(to, &message, 0), 2);
}

static void *short_reads(void *arg)
{
    tn_stream *ends[2];

    (void)arg;
    ns_unix_pair(ends);
    expect_to_wait(ends);
    tt_check_eq(tn_read(ends[0], (char[16]){0}, 16), 4);
    send_with_file(ends[1]->endpoint.fd, ends[1]->endpoint.fd);
    tt_check_eq(tn_write(ends[1], "cde", 3), 3);
    read_in_two(ends, "ab", "cde");
    ns_close_pair(ends);
    ns_tcp_pair(ends);
    expect_to_wait(ends);
    tt_check_eq(tn_read(ends[0], (char[16]){0}, 16), 4);
    tt_check_eq(tn_write(ends[1], "ab", 2), 2);
    tt_check_eq(send(ends[1]->endpoint.fd, "!", 1, MSG_OOB), 1);
    tt_check_eq(tn_write(ends[1], "cde", 3), 3);
    read_in_two(ends, "ab", "cde");
    ns_close_pair(ends);
    return NULL;
}

Test(stream, short_reads_that_leave_something)
{
    tt_run(short_reads, NULL);
}

static int option_of(tn_stream *stream, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;

    tt_check_eq(getsockopt(stream->endpoint.fd, level, name, &value, &length), 0);
    return value;
}

static void *options(void *arg)
{
    tn_stream *ends[2];

    (void)arg;
    ns_tcp_pair(ends);
    tt_check(option_of(ends[0], IPPROTO_TCP, TCP_NODELAY) != 0);
    tt_check(option_of(ends[1], IPPROTO_TCP, TCP_NODELAY) != 0);
    tt_check_eq(tn_stream_set_nodelay(ends[1], false), 0);
    tt_check_eq(option_of(ends[1], IPPROTO_TCP, TCP_NODELAY), 0);
    tt_check_eq(tn_stream_set_nodelay(ends[1], true), 0);
    tt_check(option_of(ends[1], IPPROTO_TCP, TCP_NODELAY) != 0);
    tt_check_eq(tn_stream_set_keepalive(ends[0], 33), 0);
    tt_check(option_of(ends[0], SOL_SOCKET, SO_KEEPALIVE) != 0);
    tt_check_eq(option_of(ends[0], IPPROTO_TCP, TCP_KEEPIDLE), 33);
    tt_check_eq(option_of(ends[0], IPPROTO_TCP, TCP_KEEPINTVL), 10);
    tt_check_eq(option_of(ends[0], IPPROTO_TCP, TCP_KEEPCNT), 3);
    tt_check_eq(option_of(ends[0], IPPROTO_TCP, TCP_USER_TIMEOUT), 63000);
    tt_check_eq(tn_stream_set_keepalive(ends[0], 0), 0);
    tt_check_eq(option_of(ends[0], IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    tt_check_eq(option_of(ends[0], SOL_SOCKET, SO_KEEPALIVE), 0);
    tt_check_eq(tn_stream_set_keepalive(ends[0], UINT_MAX), TN_EINVAL);
    tt_check_eq(tn_stream_set_keepalive(ends[0], 1000000), TN_EINVAL);
    tt_check(fcntl(ends[0]->endpoint.fd, F_GETFD) & FD_CLOEXEC);
    tt_check(fcntl(ends[1]->endpoint.fd, F_GETFD) & FD_CLOEXEC);
    ns_close_pair(ends);
    ns_unix_pair(ends);
    tt_check_eq(tn_stream_set_nodelay(ends[0], true), TN_EINVAL);
    tt_check_eq(tn_stream_set_keepalive(ends[0], 10), TN_EINVAL);
    ns_close_pair(ends);
    return NULL;
}

Test(stream, options)
{
    tt_run(options, NULL);
}

static void *open_refuses(void *arg)
{
    int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int pipes[2];
    tn_stream *stream = NULL;

    (void)arg;
    tt_check_eq(pipe(pipes), 0);
    tt_check_eq(tn_stream_open(NULL, &stream, udp), TN_EINVAL);
    tt_check_eq(tn_stream_open(NULL, &stream, pipes[0]), TN_EINVAL);
    tt_check_eq(tn_stream_open(NULL, &stream, -1), TN_EINVAL);
    tt_check(stream == NULL);
    tt_check(fcntl(udp, F_GETFD) >= 0 && fcntl(pipes[0], F_GETFD) >= 0); /* still the caller's */
    close(udp);
    close(pipes[0]);
    close(pipes[1]);
    return NULL;
}

Test(stream, open_refuses)
{
    ns_log log;

    ns_run_logged(&log, open_refuses, NULL);
    cr_assert_eq(log.lines, 3);
    cr_assert_not_null(strstr(log.text, "is not a socket"));
}

/* --- Plain threads --------------------------------------------------------------------------------------------------------- */

static void *thread_echo(void *arg)
{
    return ns_echo(arg);
}

/* Listens, connects, accepts, reads and writes on threads that belong to no runtime. */
Test(stream, plain_threads)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_listen_options options = tn_listen_options_default();
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener;
    tn_stream *ends[2];
    pthread_t thread;

    cr_assert_eq(tn_tcp_listen(&listener, "127.0.0.1:0", NULL), TN_EINVAL);
    cr_assert_eq(tn_tcp_connect(NULL, &ends[0], "127.0.0.1:1"), TN_EINVAL);
    options.runtime = runtime;
    cr_assert_eq(tn_tcp_listen(&listener, "127.0.0.1:0", &options), 0);
    cr_assert_eq(tn_listener_address(listener, address, sizeof address), 0);
    cr_assert_eq(tn_try_accept(listener, &ends[1]), TN_EAGAIN);
    cr_assert_eq(tn_tcp_connect(runtime, &ends[0], address), 0);
    cr_assert_eq(tn_accept(listener, &ends[1]), 0);
    tn_listener_close(listener);
    cr_assert_eq(pthread_create(&thread, NULL, thread_echo, ends[1]), 0);
    exchange(ends[0]);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    tn_stream_close(ends[0]);
    tt_runtime_destroy(runtime);
}
