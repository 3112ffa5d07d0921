/* SPDX-License-Identifier: MIT */
/* The OS layer for sockets, on Linux. accept4 and SOCK_NONBLOCK save a system call each. MSG_NOSIGNAL saves a signal
 * handler. */
#include "os/os_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <linux/filter.h>
#include <net/if.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "os/os_error.h"
#include "os/os_symbol.h"

_Static_assert(TNI_OS_INTERFACE_NAME_SIZE >= IF_NAMESIZE, "an interface name must fit");

int tni_os_socket(int domain, int type, int protocol)
{
    int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    return fd >= 0 ? fd : -errno;
}

/* accept(2), where accept4 is denied. A process that is started between the calls inherits the descriptor. */
static int accept_in_steps(int listener)
{
    int fd = accept(listener, NULL, NULL);
    int rc;

    if (fd < 0)
        return -errno;
    rc = fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? tni_os_set_nonblocking(fd) : -errno;
    if (rc == 0)
        return fd;
    (void)close(fd);
    return rc;
}

int tni_os_accept(int fd)
{
    int rc;

    do {
        rc = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        rc = rc >= 0 ? rc : -errno;
        /* A filter of system calls may deny it with these. EPERM may also be a firewall's, and about one connection; then the
         * next one is accepted. */
        if (rc == -ENOSYS || rc == -EPERM)
            rc = accept_in_steps(fd);
    } while (rc == -EINTR);
    return rc >= 0 ? rc : tni_os_error(-rc);
}

int tni_os_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    return bind(fd, address, length) == 0 ? 0 : -errno;
}

int tni_os_listen(int fd, int backlog)
{
    return listen(fd, backlog) == 0 ? 0 : -errno;
}

/* The filter drops the first segment of each new connection, which the peer sends again after a while. All other segments pass,
 * so a handshake that has begun is completed. */
static int drop_new_connections(int fd)
{
    enum { FLAGS_OFFSET = 13, SYN = 0x02, SYN_ACK = 0x12 };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_OFFSET),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN_ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 ? 0 : -errno;
}

/* A Unix listener that is shut down refuses connects, and what its queue holds can still be accepted. On TCP, and on other
 * protocols over IP such as MPTCP, a shutdown would reset what the queue holds. */
int tni_os_refuse_connections(int fd, bool tcp)
{
    int domain;
    int rc;

    if (tcp)
        return drop_new_connections(fd);
    rc = tni_os_get_option(fd, SOL_SOCKET, SO_DOMAIN, &domain);
    if (rc != 0)
        return rc;
    return domain == AF_UNIX ? tni_os_shutdown(fd, SHUT_RD) : -EOPNOTSUPP;
}

int tni_os_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    if (connect(fd, address, length) == 0)
        return 0;
    /* An interrupted connect continues in the kernel, and a second call would only report that. */
    return errno == EINTR ? -EINPROGRESS : tni_os_error(errno);
}

/* --- Reading and writing ---------------------------------------------------------------------------------------------------- */

/* The two system calls of each request are made directly, unless a program or a library interposes recv or send, as LD_PRELOAD
 * does. The functions of the C library are pthread cancellation points, which costs more than the rest of them, and a thread
 * that was cancelled in them would leave its stream busy for ever. An interposed function sees every byte, as its author
 * expects. The sanitizers interpose both, to see what the kernel reads and writes. */
enum { ROUTE_UNKNOWN, ROUTE_DIRECT, ROUTE_LINKED };

/* ROUTE_*. Any thread finds out; all find the same. */
static tni_a32 route;

/* Whether the dynamic linker sends calls of `function` to the C library. If that cannot be found out, it does not. */
static bool is_of_libc(const void *function)
{
    /* No program has a reason to interpose the second one. */
    return tni_os_symbol_same_object(function, (const void *)(uintptr_t)gnu_get_libc_version);
}

__attribute__((noinline, cold)) static uint32_t find_route(void)
{
    bool direct = is_of_libc((const void *)(uintptr_t)recv) && is_of_libc((const void *)(uintptr_t)send);
    uint32_t found = direct ? ROUTE_DIRECT : ROUTE_LINKED;

    /* Relaxed: the word is all there is. */
    tni_a32_store(&route, found, TNI_RELAXED);
    return found;
}

static bool is_direct(void)
{
    /* Relaxed: see find_route. */
    uint32_t known = tni_a32_load(&route, TNI_RELAXED);

    if (tni_unlikely(known == ROUTE_UNKNOWN))
        known = find_route();
    return tni_likely(known == ROUTE_DIRECT);
}

/* MSG_DONTWAIT in all of these: the mode belongs to the socket, and another process that has it may change that. */
static ssize_t receive(int fd, void *buf, size_t size)
{
    return is_direct() ? syscall(SYS_recvfrom, fd, buf, size, MSG_DONTWAIT, NULL, NULL) : recv(fd, buf, size, MSG_DONTWAIT);
}

static ssize_t transmit(int fd, const void *buf, size_t size)
{
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT;

    return is_direct() ? syscall(SYS_sendto, fd, buf, size, flags, NULL, 0) : send(fd, buf, size, flags);
}

ssize_t tni_os_recv(int fd, void *buf, size_t size)
{
    ssize_t n;

    do {
        n = receive(fd, buf, size);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : tni_os_error(errno);
}

ssize_t tni_os_recvv(int fd, const struct iovec *iov, size_t count)
{
    /* The cast is safe: recvmsg writes to the buffers, and not to the array. */
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};
    ssize_t n;

    do {
        n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : tni_os_error(errno);
}

int tni_os_socket_ready(int fd, bool to_write)
{
    struct pollfd question = {.fd = fd, .events = to_write ? POLLOUT : POLLIN | POLLRDHUP};
    int rc;

    do {
        rc = poll(&question, 1, 0);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return -errno;
    if (question.revents & ~POLLERR)
        return 0;
    if (!(question.revents & POLLERR))
        return -EAGAIN;
    rc = tni_os_take_error(fd); /* 0: it is only an entry in the error queue */
    return rc != 0 ? rc : -EAGAIN;
}

ssize_t tni_os_send(int fd, const void *buf, size_t size)
{
    ssize_t n;

    do {
        n = transmit(fd, buf, size);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : tni_os_error(errno);
}

ssize_t tni_os_sendv(int fd, const struct iovec *iov, size_t count)
{
    /* The cast is safe: sendmsg only reads them, but its struct is shared with recvmsg. */
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};
    ssize_t n;

    do {
        n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : tni_os_error(errno);
}

int tni_os_shutdown(int fd, int how)
{
    return shutdown(fd, how) == 0 ? 0 : -errno;
}

int tni_os_get_option(int fd, int level, int name, int *out)
{
    socklen_t length = sizeof *out;

    *out = 0;
    return getsockopt(fd, level, name, out, &length) == 0 ? 0 : -errno;
}

int tni_os_take_error(int fd)
{
    int error;
    int rc = tni_os_get_option(fd, SOL_SOCKET, SO_ERROR, &error);

    return rc != 0 ? rc : tni_os_error(error);
}

int tni_os_set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0 ? 0 : -errno;
}

int tni_os_local_address(int fd, struct sockaddr *address, socklen_t *length)
{
    return getsockname(fd, address, length) == 0 ? 0 : -errno;
}

int tni_os_peer_address(int fd, struct sockaddr *address, socklen_t *length)
{
    return getpeername(fd, address, length) == 0 ? 0 : -errno;
}

int tni_os_peer_credentials(int fd, tni_os_credentials *out)
{
    struct ucred peer;
    socklen_t length = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
        return -errno;
    *out = (tni_os_credentials){peer.pid, peer.uid, peer.gid};
    return 0;
}

int tni_os_set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return -errno;
    if (flags & O_NONBLOCK)
        return 0;
    return fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 ? 0 : -errno;
}

void tni_os_stop_lingering(int fd)
{
    struct linger linger;
    socklen_t length = sizeof linger;

    if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length) != 0 || !linger.l_onoff || linger.l_linger == 0)
        return;
    linger = (struct linger){0, 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger); /* if it fails the close waits */
}

void tni_os_close(int fd)
{
    /* Linux frees the number before anything can fail: a second close after EINTR would close a file of another thread. */
    (void)close(fd);
}

int tni_os_path_id(const char *path, tni_os_file_id *out)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return -errno;
    out->device = (uint64_t)status.st_dev;
    out->inode = (uint64_t)status.st_ino;
    return 0;
}

int tni_os_unlink(const char *path)
{
    return unlink(path) == 0 ? 0 : -errno;
}

unsigned tni_os_interface_index(const char *name)
{
    return if_nametoindex(name);
}

bool tni_os_interface_name(unsigned index, char *name)
{
    return if_indextoname(index, name) != NULL;
}
