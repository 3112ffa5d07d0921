/* SPDX-License-Identifier: MIT */
/* The model's twin of runtime/os/os_socket.h: sockets of the server, and clients outside that are connected to them. A socket
 * is a file of os_loop_model.c, whose numbers are reused as early as possible. Each call is one step and orders no memory. */
#include "os/os_socket.h"

#include <errno.h>
#include <string.h>

#include "engine.h"
#include "os/os_loop.h"

#define CLIENTS 8
#define QUEUE_BYTES 8

typedef struct {
    char bytes[QUEUE_BYTES];
    unsigned count;
    unsigned room; /* capacity */
    bool ended;    /* nothing more comes */
} queue;

/* A connection: a client outside and, once accepted, a file here. */
typedef struct {
    bool exists;
    int listener; /* the file on which it waits for accept; -1: accepted */
    int fd;       /* -1: not yet, or closed */
    queue in;     /* from the client */
    queue out;
} connection;

static connection connections[CLIENTS];

void os_socket_model_reset(void)
{
    memset(connections, 0, sizeof connections);
}

static connection *connection_of(int fd)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (connections[i].exists && connections[i].fd == fd && fd >= 0)
            return &connections[i];
    return NULL;
}

static bool has_backlog(int fd)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (connections[i].exists && connections[i].listener == fd && fd >= 0)
            return true;
    return false;
}

uint32_t model_socket_ready(int fd)
{
    const connection *c = connection_of(fd);
    uint32_t ready = has_backlog(fd) ? TNI_OS_READABLE : 0;

    if (c == NULL)
        return ready;
    if (c->in.count > 0)
        ready |= TNI_OS_READABLE;
    if (c->in.ended)
        ready |= TNI_OS_READABLE | TNI_OS_HANGUP;
    if (c->out.count < c->out.room)
        ready |= TNI_OS_WRITABLE;
    return ready;
}

void model_socket_closed(int fd)
{
    connection *c = connection_of(fd);

    if (c == NULL)
        return;
    c->fd = -1;
    c->out.ended = true;
}

/* --- Clients ---------------------------------------------------------------------------------------------------------------- */

int model_connect(int listener)
{
    int client = 0;

    model_kernel_step();
    while (client < CLIENTS && connections[client].exists)
        client++;
    if (client == CLIENTS)
        model_fail("leak", "the scenario has more than %d clients", CLIENTS);
    connections[client] = (connection){.exists = true,
                                       .listener = listener,
                                       .fd = listener < 0 ? model_file_new() : -1,
                                       .in = {.room = QUEUE_BYTES},
                                       .out = {.room = 1}};
    trace_add(MODEL_PC, "client %d connects: file %d", client, connections[client].fd);
    if (listener >= 0)
        model_file_event(listener, TNI_OS_READABLE);
    return client;
}

int model_client_fd(int client)
{
    return connections[client].fd;
}

void model_client_send(int client, char byte)
{
    queue *in = &connections[client].in;

    model_kernel_step();
    if (in->count == in->room)
        model_fail("assertion", "client %d sends too much", client);
    in->bytes[in->count++] = byte;
    trace_add(MODEL_PC, "client %d sends %d", client, byte);
    model_file_event(connections[client].fd, TNI_OS_READABLE);
}

int model_client_receive(int client)
{
    queue *out = &connections[client].out;
    int byte;

    model_kernel_step();
    if (out->count == 0)
        return out->ended ? -1 : -2;
    byte = out->bytes[0];
    memmove(out->bytes, out->bytes + 1, --out->count);
    trace_add(MODEL_PC, "client %d receives %d", client, byte);
    model_file_event(connections[client].fd, TNI_OS_WRITABLE);
    return byte;
}

void model_client_end(int client)
{
    model_kernel_step();
    connections[client].in.ended = true;
    trace_add(MODEL_PC, "client %d sends its end", client);
    model_file_event(connections[client].fd, TNI_OS_READABLE | TNI_OS_HANGUP);
}

void model_client_error_queue(int client)
{
    model_kernel_step();
    trace_add(MODEL_PC, "an entry in the error queue of client %d", client);
    model_file_event(connections[client].fd, TNI_OS_READABLE | TNI_OS_WRITABLE | TNI_OS_ERROR);
}

/* --- Calls ------------------------------------------------------------------------------------------------------------------ */

/* A caller that names a file that is not open might have named the file of another one. */
static connection *enter(int fd, const void *pc)
{
    model_kernel_step();
    if (!model_fd_is_open(fd))
        model_fail("assertion", "%s uses file %d, which is not open", trace_place(pc), fd);
    return connection_of(fd);
}

ssize_t tni_os_recv(int fd, void *buf, size_t size)
{
    connection *c = enter(fd, MODEL_PC);
    size_t n;

    if (c == NULL)
        return -ENOTCONN;
    n = c->in.count < size ? c->in.count : size;
    trace_add(MODEL_PC, "recv of file %d: %d bytes", fd, (int)n);
    if (n == 0)
        return c->in.ended ? 0 : -EAGAIN;
    if (arena_contains(buf))
        race_access(buf, n, RACE_WRITE, MODEL_PC);
    memcpy(buf, c->in.bytes, n);
    c->in.count -= (unsigned)n;
    memmove(c->in.bytes, c->in.bytes + n, c->in.count);
    return (ssize_t)n;
}

ssize_t tni_os_recvv(int fd, const struct iovec *iov, size_t count)
{
    return count == 0 ? 0 : tni_os_recv(fd, iov[0].iov_base, iov[0].iov_len);
}

int tni_os_socket_ready(int fd, bool to_write)
{
    const connection *c = enter(fd, MODEL_PC);

    trace_add(MODEL_PC, "asks whether file %d is ready", fd);
    if (c == NULL)
        return -ENOTCONN;
    return model_socket_ready(fd) & (to_write ? TNI_OS_WRITABLE : TNI_OS_READABLE) ? 0 : -EAGAIN;
}

ssize_t tni_os_send(int fd, const void *buf, size_t size)
{
    connection *c = enter(fd, MODEL_PC);
    size_t n;

    if (c == NULL)
        return -ENOTCONN;
    n = c->out.room - c->out.count < size ? c->out.room - c->out.count : size;
    trace_add(MODEL_PC, "send on file %d: %d bytes", fd, (int)n);
    if (c->out.ended)
        return -EPIPE;
    if (n == 0)
        return -EAGAIN;
    if (arena_contains(buf))
        race_access(buf, n, RACE_READ, MODEL_PC);
    memcpy(c->out.bytes + c->out.count, buf, n);
    c->out.count += (unsigned)n;
    return (ssize_t)n;
}

/* Weak: a scenario may define one that takes what the scenario wants. */
__attribute__((weak)) ssize_t tni_os_sendv(int fd, const struct iovec *iov, size_t count)
{
    return count == 0 ? 0 : tni_os_send(fd, iov[0].iov_base, iov[0].iov_len);
}

int tni_os_accept(int fd)
{
    (void)enter(fd, MODEL_PC);
    for (unsigned i = 0; i < CLIENTS; i++) {
        connection *c = &connections[i];
        if (!c->exists || c->listener != fd)
            continue;
        c->fd = model_file_new();
        if (c->fd < 0)
            return -EMFILE;
        c->listener = -1;
        trace_add(MODEL_PC, "accepts client %u: file %d", i, c->fd);
        return c->fd;
    }
    trace_add(MODEL_PC, "no client to accept");
    return -EAGAIN;
}

int tni_os_shutdown(int fd, int how)
{
    connection *c = enter(fd, MODEL_PC);

    if (c != NULL && how != SHUT_RD)
        c->out.ended = true;
    trace_add(MODEL_PC, "shutdown of file %d", fd);
    return 0;
}

int tni_os_get_option(int fd, int level, int name, int *out)
{
    (void)enter(fd, MODEL_PC);
    (void)level;
    *out = name == SO_TYPE ? SOCK_STREAM : name == SO_PROTOCOL ? IPPROTO_TCP : 0;
    return 0;
}

int tni_os_take_error(int fd)
{
    (void)enter(fd, MODEL_PC);
    return 0;
}

int tni_os_set_option(int fd, int level, int name, int value)
{
    (void)enter(fd, MODEL_PC);
    (void)level;
    (void)name;
    (void)value;
    return 0;
}

void tni_os_stop_lingering(int fd)
{
    (void)enter(fd, MODEL_PC);
}

int tni_os_set_nonblocking(int fd)
{
    (void)enter(fd, MODEL_PC);
    return 0;
}

/* --- Making a listener ------------------------------------------------------------------------------------------------------ */

int tni_os_socket(int domain, int type, int protocol)
{
    int fd;

    (void)domain;
    (void)type;
    (void)protocol;
    model_kernel_step();
    fd = model_file_new();
    return fd < 0 ? -EMFILE : fd;
}

int tni_os_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    (void)address;
    (void)length;
    (void)enter(fd, MODEL_PC);
    return 0;
}

int tni_os_listen(int fd, int backlog)
{
    (void)backlog;
    (void)enter(fd, MODEL_PC);
    return 0;
}

int tni_os_refuse_connections(int fd, bool tcp)
{
    (void)fd;
    (void)tcp;
    return -ENOTSUP;
}

int tni_os_path_id(const char *path, tni_os_file_id *out)
{
    (void)path;
    (void)out;
    return -ENOENT;
}

int tni_os_unlink(const char *path)
{
    (void)path;
    return -ENOENT;
}

int tni_os_local_address(int fd, struct sockaddr *address, socklen_t *length)
{
    (void)fd;
    (void)address;
    (void)length;
    return -ENOTCONN;
}

int tni_os_peer_address(int fd, struct sockaddr *address, socklen_t *length)
{
    (void)fd;
    (void)address;
    (void)length;
    return -ENOTCONN;
}

int tni_os_peer_credentials(int fd, tni_os_credentials *out)
{
    (void)fd;
    (void)out;
    return -ENOTCONN;
}

unsigned tni_os_interface_index(const char *name)
{
    (void)name;
    return 0;
}

bool tni_os_interface_name(unsigned index, char *name)
{
    (void)index;
    (void)name;
    return false;
}
