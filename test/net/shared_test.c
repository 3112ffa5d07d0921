/* SPDX-License-Identifier: MIT */
/* Tests of sockets that the program made or shares: their options, their other holders, and calls that it interposes. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/syscall.h>

#include "listener/listener.h"
#include "net_support.h"

/* --- Interposed calls ------------------------------------------------------------------------------------------------------ */

static unsigned received;
static unsigned sent;
static unsigned polled;

/* This program's own functions, as LD_PRELOAD brings them. */
ssize_t recv(int fd, void *buf, size_t size, int flags)
{
    __atomic_fetch_add(&received, 1, __ATOMIC_RELAXED);
    return syscall(SYS_recvfrom, fd, buf, size, flags, NULL, NULL);
}

ssize_t send(int fd, const void *buf, size_t size, int flags)
{
    __atomic_fetch_add(&sent, 1, __ATOMIC_RELAXED);
    return syscall(SYS_sendto, fd, buf, size, flags, NULL, 0);
}

int poll(struct pollfd *files, nfds_t count, int timeout_ms)
{
    struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

    if (count == 1) /* the monitor asks about several */
        __atomic_fetch_add(&polled, 1, __ATOMIC_RELAXED);
    return (int)syscall(SYS_ppoll, files, count, timeout_ms < 0 ? NULL : &timeout, NULL, 0);
}

static void *interposed(void *arg)
{
    tn_stream *ends[2];
    char byte = 'x';

    (void)arg;
    ns_tcp_pair(ends);
    for (unsigned i = 0; i < 10; i++) {
        tt_check_eq(tn_write_all(ends[0], &byte, 1), 0);
        tt_check_eq(tn_read(ends[1], &byte, 1), 1);
    }
    ns_close_pair(ends);
    return NULL;
}

Test(shared, interposed_calls_see_every_byte)
{
    tt_run(interposed, NULL);
    cr_assert_geq(received, 10);
    cr_assert_geq(sent, 10);
}

/* --- Calls that are not needed ---------------------------------------------------------------------------------------------- */

/* Only a call that waits registers the socket. */
static void register_stream(tn_stream *stream)
{
    TN_SCOPE(soon, tn_now() + TN_MS);
    tt_check_eq(tn_wait_readable(stream), TN_ETIMEDOUT);
}

/* Whether a short write has been followed by a write that made no call, because there is no space. A report in between, about
 * space that has become free, makes it call. */
static bool short_write_is_believed(tn_stream *stream)
{
    static char block[4 << 20];
    unsigned before;
    ssize_t n;

    do {
        n = tn_try_write(stream, block, sizeof block);
        before = sent;
    } while (n == (ssize_t)sizeof block);
    return n > 0 && tn_try_write(stream, block, sizeof block) == TN_EAGAIN && sent == before;
}

static void *write_to_half_closed(void *arg)
{
    bool *believed = arg;

    for (unsigned i = 0; i < 50 && !*believed; i++) {
        tn_stream *ends[2];
        char byte;
        ns_tcp_pair(ends);
        tt_check_eq(tn_write(ends[0], "x", 1), 1);
        tt_check_eq(tn_read(ends[1], &byte, 1), 1);
        register_stream(ends[0]);
        tt_check_eq(tn_stream_shutdown_write(ends[1]), 0);
        tt_check_eq(tn_read(ends[0], &byte, 1), 0);
        *believed = short_write_is_believed(ends[0]);
        ns_close_pair(ends);
    }
    return NULL;
}

/* That the peer sends no more says nothing about the space for what is written. */
Test(shared, a_short_write_after_the_end_saves_a_call)
{
    bool believed = false;

    tt_run(write_to_half_closed, &believed);
    cr_assert(believed);
}

/* The first wait may ask the socket. Until the next read there is nothing to ask for. */
static void *wait_again(void *arg)
{
    tn_stream *ends[2];
    unsigned before;

    (void)arg;
    ns_tcp_pair(ends);
    register_stream(ends[0]);
    tt_check_eq(tn_write(ends[1], "x", 1), 1);
    tt_check_eq(tn_wait_readable(ends[0]), 0);
    before = polled;
    tt_check_eq(tn_wait_readable(ends[0]), 0);
    tt_check(polled - before <= 1);
    before = polled;
    for (unsigned i = 0; i < 10; i++)
        tt_check_eq(tn_wait_readable(ends[0]), 0);
    tt_check_eq(polled - before, 0);
    ns_close_pair(ends);
    return NULL;
}

Test(shared, a_wait_for_what_is_there_asks_once)
{
    tt_run(wait_again, NULL);
}

/* --- A close that would linger ---------------------------------------------------------------------------------------------- */

#define LINGER_S 5

/* A stream with unsent data, of a socket with SO_LINGER, and its peer, which reads nothing. */
static tn_stream *lingering(int *peer, int seconds)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tn_stream *stream;

    tt_check_eq(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    tt_check_eq(listen(listener, 1), 0);
    tt_check_eq(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    tt_check_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    tt_check((*peer = accept(listener, NULL, NULL)) >= 0);
    close(listener);
    tt_check_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, seconds}, sizeof(struct linger)), 0);
    stream = ns_open(fd);
    (void)ns_fill(stream);
    return stream;
}

static void *close_lingering(void *arg)
{
    bool *registered = arg;
    uint64_t began;
    int peer;
    tn_stream *stream = lingering(&peer, LINGER_S);

    if (*registered) {
        TN_SCOPE(soon, tn_now() + 10 * TN_MS);
        tt_check_eq(tn_wait_readable(stream), TN_ETIMEDOUT);
    }
    began = tn_now();
    tn_stream_close(stream);
    tt_check(tn_now() - began < 2 * TN_S);
    close(peer);
    return NULL;
}

Test(shared, a_close_does_not_linger)
{
    tt_run(close_lingering, &(bool){false});
    tt_run(close_lingering, &(bool){true});
}

/* A linger time of 0 asks for a reset, and gets it. */
static void *reset_by_close(void *arg)
{
    char byte;
    int peer;

    (void)arg;
    tn_stream_close(lingering(&peer, 0));
    while (recv(peer, &byte, 1, 0) > 0)
        ;
    tt_check_eq(errno, ECONNRESET);
    close(peer);
    return NULL;
}

Test(shared, a_linger_time_of_0_resets)
{
    tt_run(reset_by_close, NULL);
}

static void *leave_open(void *arg)
{
    tn_stream *stream = lingering(arg, LINGER_S);

    TN_SCOPE(soon, tn_now() + 10 * TN_MS);
    tt_check_eq(tn_wait_readable(stream), TN_ETIMEDOUT);
    return NULL;
}

/* The runtime closes the socket of a stream that is left open; the stream itself stays. */
Test(shared, a_runtime_does_not_linger_at_its_end, .disabled = TT_SANITIZED)
{
    uint64_t began;
    int peer;
    tn_options options = tt_options();
    tn_runtime *runtime;

    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, leave_open, &peer, NULL), 0);
    began = tn_now();
    tt_runtime_destroy(runtime);
    cr_assert_lt(tn_now() - began, 2 * TN_S);
    close(peer);
}

/* --- The kernel gives up ---------------------------------------------------------------------------------------------------- */

/* The error of the kernel is told apart from a deadline of the task, and a close from a cancellation (close_test.c). */
static void *kernel_gives_up(void *arg)
{
    static char block[65536];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    unsigned limit_ms = 100;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tn_stream *stream;
    int rc;

    (void)arg;
    tt_check_eq(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    tt_check_eq(listen(listener, 1), 0);
    tt_check_eq(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    tt_check_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    tt_check_eq(setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof limit_ms), 0);
    stream = ns_open(fd);
    {
        TN_SCOPE(limit, tn_now() + 30 * TN_S);
        do /* the peer reads nothing */
            rc = tn_write_all(stream, block, sizeof block);
        while (rc == 0);
    }
    tt_check_eq(rc, TN_ETIME);
    tt_check(strcmp(tn_strerror(rc), tn_strerror(TN_ETIMEDOUT)) != 0);
    tn_stream_close(stream);
    close(listener);
    return NULL;
}

Test(shared, the_kernel_gives_up)
{
    tt_run(kernel_gives_up, NULL);
}

/* --- A listening socket with another holder --------------------------------------------------------------------------------- */

static int connect_to(const char *address)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
    tt_check_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void *accept_until_closed(void *arg)
{
    tn_stream *stream;

    return (void *)(intptr_t)tn_accept(arg, &stream);
}

static void *shared_listener(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    int held = fcntl(listener->endpoint.fd, F_DUPFD_CLOEXEC, 3);
    tn_task *acceptor = tt_spawn(accept_until_closed, listener);
    int fds[2];

    (void)arg;
    ns_until_rests(acceptor);
    tn_listener_close(listener);
    tt_check((intptr_t)tt_join(acceptor) < 0);
    for (int i = 0; i < 2; i++)
        fds[i] = connect_to(address);
    for (int i = 0; i < 2; i++) {
        int fd = accept(held, NULL, NULL);
        tt_check(fd >= 0);
        close(fd);
        close(fds[i]);
    }
    close(held);
    return NULL;
}

Test(shared, a_listener_with_another_holder_stays_open)
{
    tt_run(shared_listener, NULL);
}

/* The port is free when the calls on the listener have returned. */
static void *listen_again(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    tn_task *acceptor = tt_spawn(accept_until_closed, listener);
    int rc = TN_EADDRINUSE;

    (void)arg;
    ns_until_rests(acceptor);
    tn_listener_close(listener);
    tt_check((intptr_t)tt_join(acceptor) < 0);
    for (int i = 0; i < 1000 && rc == TN_EADDRINUSE; i++) { /* the loop may keep the socket for a moment */
        rc = tn_tcp_listen(&listener, address, NULL);
        if (rc != 0)
            tt_check_eq(tn_sleep(TN_MS), 0);
    }
    tt_check_eq(rc, 0);
    tn_listener_close(listener);
    return NULL;
}

Test(shared, the_port_of_a_closed_listener_is_free)
{
    tt_run(listen_again, NULL);
}
