/* SPDX-License-Identifier: MIT */
/* The twin of os/os_socket.c: the calls on sockets of the simulated network. */
#include "sim/os_socket_sim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "os/os_error.h"
#include "os/os_loop.h"
#include "os/os_socket.h"
#include "sim/sim_names.h"
#include "sim/sim_run.h"
#include "sim/sim_socket.h"
#include "sim/sim_thread.h"
#include "sim/sim_trace.h"

#define LOOPBACK_INDEX 1

static void release(tni_sim_file *file)
{
    tni_sim_socket_free(tni_container_of(file, tni_sim_socket, file));
}

static const tni_sim_file_ops ops = {tni_sim_socket_ready, release};

/* A call on a socket begins. NULL: the number is no open socket. */
static tni_sim_socket *enter(int fd)
{
    tni_sim_file *file;

    tni_sim_thread_call();
    file = tni_sim_file_find(fd);
    return file != NULL && file->ops == &ops ? tni_container_of(file, tni_sim_socket, file) : NULL;
}

static bool lacks_buffers(void)
{
    return tni_sim_choice_happens(TNI_SIM_BUFFERS) || tni_sim_choice_happens(TNI_SIM_CALL);
}

/* --- Opening, listening, connecting ----------------------------------------------------------------------------------------- */

int tni_os_socket(int domain, int type, int protocol)
{
    tni_sim_socket *self;
    int fd;

    tni_sim_thread_call();
    if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX)
        return -EAFNOSUPPORT;
    if (type != SOCK_STREAM)
        tni_sim_run_fail("refused", "tni_os_socket: the simulated machine has stream sockets alone");
    if (lacks_buffers())
        return -ENOBUFS;
    self = tni_sim_socket_new(domain, type, domain == AF_UNIX ? 0 : protocol == 0 ? IPPROTO_TCP : protocol);
    if (self == NULL)
        return -ENOMEM;
    fd = tni_sim_file_open(&self->file, &ops);
    if (fd < 0)
        tni_sim_socket_free(self);
    tni_sim_trace(TNI_SIM_TRACE_SOCKET, fd, 0);
    return fd;
}

int tni_os_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    tni_sim_socket *self = enter(fd);
    tni_sim_address parsed;
    int rc;

    if (self == NULL)
        return -EBADF;
    if (!tni_sim_address_read(&parsed, address, length))
        return -EINVAL;
    rc = lacks_buffers() ? -ENOBUFS : tni_sim_names_bind(self, &parsed);
    tni_sim_trace(TNI_SIM_TRACE_BIND, fd, rc < 0 ? rc : self->local.port);
    return rc;
}

int tni_os_listen(int fd, int backlog)
{
    tni_sim_socket *self = enter(fd);

    if (self == NULL)
        return -EBADF;
    if (self->state != TNI_SIM_SOCKET_FRESH || !self->bound)
        return -EINVAL;
    if (lacks_buffers())
        return -ENOBUFS;
    self->state = TNI_SIM_SOCKET_LISTENING;
    self->backlog_max = backlog < 0 ? 0 : (unsigned)backlog;
    tni_sim_trace(TNI_SIM_TRACE_LISTEN, fd, backlog);
    return 0;
}

/* A connect that has not arrived yet is refused. */
int tni_os_refuse_connections(int fd, bool tcp)
{
    tni_sim_socket *self = enter(fd);

    (void)tcp;
    if (self == NULL)
        return -EBADF;
    if (self->state != TNI_SIM_SOCKET_LISTENING)
        return -EINVAL;
    if (tni_sim_choice_happens(TNI_SIM_CALL))
        return -ENOMEM;
    tni_sim_names_unbind(self);
    tni_sim_trace(TNI_SIM_TRACE_SHUTDOWN, fd, SHUT_RD);
    return 0;
}

int tni_os_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    tni_sim_socket *self = enter(fd);
    tni_sim_address parsed;
    int rc;

    if (self == NULL)
        return -EBADF;
    if (!tni_sim_address_read(&parsed, address, length))
        return -EINVAL;
    if (parsed.family != self->domain)
        return -EAFNOSUPPORT;
    rc = lacks_buffers() ? -ENOBUFS : tni_sim_socket_connect(self, &parsed);
    tni_sim_trace(TNI_SIM_TRACE_CONNECT, fd, rc);
    return rc;
}

static int accept_from(tni_sim_socket *listener)
{
    tni_sim_socket *accepted;
    int rc;

    if (listener->state != TNI_SIM_SOCKET_LISTENING)
        return -EINVAL;
    if (TAILQ_EMPTY(&listener->backlog))
        return -EAGAIN;
    if (lacks_buffers())
        return -ENOBUFS;
    if (tni_sim_choice_happens(TNI_SIM_ABORT)) {
        accepted = tni_sim_socket_accept(listener);
        tni_sim_socket_reset_other(accepted);
        tni_sim_socket_free(accepted);
        return -ECONNABORTED;
    }
    accepted = TAILQ_FIRST(&listener->backlog);
    rc = tni_sim_file_open(&accepted->file, &ops);
    if (rc >= 0)
        (void)tni_sim_socket_accept(listener);
    return rc;
}

int tni_os_accept(int fd)
{
    tni_sim_socket *self = enter(fd);
    int rc = self == NULL ? -EBADF : accept_from(self);

    tni_sim_trace(TNI_SIM_TRACE_ACCEPT, fd, rc);
    return rc;
}

int tni_os_socket_sim_pair(int type, int fds[2])
{
    tni_sim_socket *other;

    fds[0] = tni_os_socket(AF_UNIX, type, 0);
    if (fds[0] < 0)
        return fds[0];
    fds[1] = tni_os_socket(AF_UNIX, type, 0);
    if (fds[1] < 0) {
        tni_os_close(fds[0]);
        return fds[1];
    }
    other = enter(fds[1]);
    tni_sim_socket_join(enter(fds[0]), other);
    return 0;
}

/* --- Moving bytes ----------------------------------------------------------------------------------------------------------- */

/* What a call reports before it does anything; clears it. */
static int take_error(tni_sim_socket *self)
{
    int error = self->error;

    self->error = 0;
    return tni_os_error(error);
}

static ssize_t receive(tni_sim_socket *self, void *buf, size_t size)
{
    if (self->state == TNI_SIM_SOCKET_CONNECTING)
        return -EAGAIN;
    if (self->in.arrived > 0)
        return size == 0 ? 0 : (ssize_t)tni_sim_socket_receive(self, buf, size);
    if (self->error != 0)
        return take_error(self);
    if (self->state != TNI_SIM_SOCKET_CONNECTED && self->state != TNI_SIM_SOCKET_BROKEN)
        return -ENOTCONN;
    return self->in.end || self->read_shut ? 0 : -EAGAIN;
}

ssize_t tni_os_recv(int fd, void *buf, size_t size)
{
    tni_sim_socket *self = enter(fd);
    ssize_t n = self == NULL ? -EBADF : tni_sim_choice_happens(TNI_SIM_CALL) ? -ENOMEM : receive(self, buf, size);

    tni_sim_trace(TNI_SIM_TRACE_RECV, fd, n);
    return n;
}

ssize_t tni_os_recvv(int fd, const struct iovec *iov, size_t count)
{
    tni_sim_socket *self = enter(fd);
    ssize_t received = self == NULL ? -EBADF : tni_sim_choice_happens(TNI_SIM_CALL) ? -ENOMEM : 0;

    for (size_t i = 0; received >= 0 && i < count; i++) {
        if (received > 0 && self->in.arrived == 0)
            break; /* an error that is pending is for the next call */
        ssize_t n = iov[i].iov_len == 0 ? 0 : receive(self, iov[i].iov_base, iov[i].iov_len);
        if (n < 0 && received == 0)
            received = n;
        if (n > 0)
            received += n;
        if (n < (ssize_t)iov[i].iov_len)
            break;
    }
    tni_sim_trace(TNI_SIM_TRACE_RECV, fd, received);
    return received;
}

int tni_os_socket_ready(int fd, bool to_write)
{
    tni_sim_socket *self = enter(fd);

    if (self == NULL)
        return -EBADF;
    if (self->error != 0 && (to_write || self->in.arrived == 0))
        return take_error(self);
    return tni_sim_socket_ready(&self->file) & (to_write ? TNI_OS_WRITABLE : TNI_OS_READABLE) ? 0 : -EAGAIN;
}

/* 0: it can be sent. */
static int check_send(tni_sim_socket *self)
{
    if (self->error != 0)
        return take_error(self);
    if (self->state == TNI_SIM_SOCKET_CONNECTING)
        return -EAGAIN;
    if (self->write_shut || self->state == TNI_SIM_SOCKET_BROKEN)
        return -EPIPE;
    if (self->state != TNI_SIM_SOCKET_CONNECTED)
        return self->domain == AF_UNIX ? -ENOTCONN : -EPIPE;
    return self->domain == AF_UNIX && self->other == NULL ? -EPIPE : 0;
}

ssize_t tni_os_sendv(int fd, const struct iovec *iov, size_t count)
{
    tni_sim_socket *self = enter(fd);
    ssize_t sent = self == NULL ? -EBADF : tni_sim_choice_happens(TNI_SIM_CALL) ? -ENOMEM : check_send(self);
    size_t wanted = 0;

    if (sent == 0) {
        for (size_t i = 0; i < count; i++) {
            size_t n = iov[i].iov_len == 0 ? 0 : tni_sim_socket_send(self, iov[i].iov_base, iov[i].iov_len);
            wanted += iov[i].iov_len;
            sent += (ssize_t)n;
            if (n < iov[i].iov_len)
                break;
        }
        if (sent == 0 && wanted > 0)
            sent = -EAGAIN;
    }
    tni_sim_trace(TNI_SIM_TRACE_SEND, fd, sent);
    return sent;
}

ssize_t tni_os_send(int fd, const void *buf, size_t size)
{
    struct iovec iov = {(void *)(uintptr_t)buf, size}; /* const is cast away: it is only read */

    return tni_os_sendv(fd, &iov, 1);
}

int tni_os_shutdown(int fd, int how)
{
    tni_sim_socket *self = enter(fd);

    if (self == NULL)
        return -EBADF;
    tni_sim_trace(TNI_SIM_TRACE_SHUTDOWN, fd, how);
    if (self->state == TNI_SIM_SOCKET_LISTENING && how != SHUT_WR) {
        tni_sim_names_unbind(self);
        tni_sim_socket_stop_listening(self);
        return 0;
    }
    if (self->state != TNI_SIM_SOCKET_CONNECTED)
        return -ENOTCONN;
    if (how != SHUT_WR)
        self->read_shut = true;
    if (how != SHUT_RD && !self->write_shut)
        tni_sim_socket_send_end(self);
    return 0;
}

void tni_os_close(int fd)
{
    tni_sim_thread_call();
    tni_sim_file_close(fd);
}

/* --- Options and addresses -------------------------------------------------------------------------------------------------- */

static tni_sim_socket_option *find_option(tni_sim_socket *self, int level, int name)
{
    for (unsigned i = 0; i < self->option_count; i++)
        if (self->options[i].level == level && self->options[i].name == name)
            return &self->options[i];
    return NULL;
}

static int get_socket_option(tni_sim_socket *self, int name)
{
    const tni_sim_socket_option *option;
    int error;

    switch (name) {
    case SO_ERROR:
        error = self->error;
        self->error = 0;
        return error;
    case SO_TYPE:
        return self->type;
    case SO_DOMAIN:
        return self->domain;
    case SO_PROTOCOL:
        return self->protocol;
    case SO_ACCEPTCONN:
        return self->state == TNI_SIM_SOCKET_LISTENING;
    default:
        option = find_option(self, SOL_SOCKET, name);
        return option != NULL ? option->value : 0;
    }
}

int tni_os_get_option(int fd, int level, int name, int *out)
{
    tni_sim_socket *self = enter(fd);
    const tni_sim_socket_option *option;

    *out = 0;
    if (self == NULL)
        return -EBADF;
    if (tni_sim_choice_happens(TNI_SIM_CALL))
        return -ENOBUFS;
    if (level == SOL_SOCKET) {
        *out = get_socket_option(self, name);
        return 0;
    }
    option = find_option(self, level, name);
    *out = option != NULL ? option->value : 0;
    return 0;
}

int tni_os_take_error(int fd)
{
    tni_sim_socket *self = enter(fd);

    return self == NULL ? -EBADF : take_error(self);
}

/* The simulated close never waits. */
void tni_os_stop_lingering(int fd)
{
    (void)enter(fd);
}

int tni_os_set_option(int fd, int level, int name, int value)
{
    tni_sim_socket *self = enter(fd);
    tni_sim_socket_option *option;

    if (self == NULL)
        return -EBADF;
    if (tni_sim_choice_happens(TNI_SIM_CALL))
        return -ENOBUFS;
    option = find_option(self, level, name);
    if (option == NULL && self->option_count == TNI_SIM_SOCKET_OPTIONS_MAX)
        return -ENOMEM;
    if (option == NULL)
        option = &self->options[self->option_count++];
    *option = (tni_sim_socket_option){level, name, value};
    return 0;
}

int tni_os_local_address(int fd, struct sockaddr *address, socklen_t *length)
{
    tni_sim_socket *self = enter(fd);

    if (self == NULL)
        return -EBADF;
    tni_sim_address_write(&self->local, self->domain, address, length);
    return 0;
}

int tni_os_peer_address(int fd, struct sockaddr *address, socklen_t *length)
{
    tni_sim_socket *self = enter(fd);

    if (self == NULL)
        return -EBADF;
    if (self->state != TNI_SIM_SOCKET_CONNECTED)
        return -ENOTCONN;
    tni_sim_address_write(&self->peer, self->domain, address, length);
    return 0;
}

/* All peers are one process of root. */
int tni_os_peer_credentials(int fd, tni_os_credentials *out)
{
    *out = (tni_os_credentials){1, 0, 0};
    return enter(fd) == NULL ? -EBADF : 0;
}

int tni_os_set_nonblocking(int fd)
{
    return enter(fd) == NULL ? -EBADF : 0;
}

/* --- Paths and interfaces --------------------------------------------------------------------------------------------------- */

/* Paths name sockets alone. */
static bool read_path(const char *path, tni_sim_address *out)
{
    memset(out, 0, sizeof *out);
    out->family = AF_UNIX;
    out->path_length = (socklen_t)strlen(path);
    if (out->path_length >= sizeof out->path)
        return false;
    memcpy(out->path, path, out->path_length);
    return true;
}

int tni_os_path_id(const char *path, tni_os_file_id *out)
{
    tni_sim_address address;

    tni_sim_thread_call();
    out->device = 1;
    out->inode = read_path(path, &address) ? tni_sim_names_path_number(&address) : 0;
    return out->inode != 0 ? 0 : -ENOENT;
}

int tni_os_unlink(const char *path)
{
    tni_sim_address address;

    tni_sim_thread_call();
    return read_path(path, &address) && tni_sim_names_path_remove(&address) ? 0 : -ENOENT;
}

unsigned tni_os_interface_index(const char *name)
{
    return strcmp(name, "lo") == 0 ? LOOPBACK_INDEX : 0;
}

bool tni_os_interface_name(unsigned index, char *name)
{
    (void)snprintf(name, TNI_OS_INTERFACE_NAME_SIZE, "lo");
    return index == LOOPBACK_INDEX;
}
