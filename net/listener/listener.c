/* SPDX-License-Identifier: MIT */
/* Listeners: making the listening socket, and removing it and its path at the close. */
#include "listener/listener.h"

#include <string.h>

#include "base/options.h"
#include "sched/runtime.h"

#define BACKLOG_DEFAULT 4096
#define PRIVILEGED_PORTS 1024

/* --- The end ---------------------------------------------------------------------------------------------------------------- */

/* Removes the path only if it still names the file that this listener made: another program may have replaced it. */
static void remove_path(const tn_listener *listener)
{
    tni_os_file_id now;

    if (listener->path[0] == '\0' || tni_os_path_id(listener->path, &now) != 0)
        return;
    if (now.device == listener->file.device && now.inode == listener->file.inode)
        (void)tni_os_unlink(listener->path);
}

static void closing(tni_endpoint *endpoint)
{
    tn_listener *listener = tni_container_of(endpoint, tn_listener, endpoint);

    if (tni_runtime_is_inherited(endpoint->runtime))
        return; /* the parent of this child of fork continues to listen */
    remove_path(listener);
    /* The socket is not shut down, because another process may share it: it would stop accepting too. */
    (void)tni_wait_wake(&listener->pause);
}

static void release(tni_endpoint *endpoint)
{
    tn_listener *listener = tni_container_of(endpoint, tn_listener, endpoint);

    tni_stream_free(endpoint->runtime, listener->next_stream);
    tni_free(&endpoint->runtime->allocator, listener, sizeof *listener);
}

static const tni_endpoint_ops listener_ops = {closing, release, true};

/* --- Making ----------------------------------------------------------------------------------------------------------------- */

static int read_options(tn_listen_options *out, const tn_listen_options *given, const char *call)
{
    int rc;

    *out = tn_listen_options_default();
    rc = tni_options_read(out, runtime, given, tni_runtime_log_here(), call);
    if (rc != 0)
        return rc;
    out->runtime = tni_endpoint_runtime(out->runtime, call);
    if (out->runtime == NULL)
        return TN_EINVAL;
    if (out->backlog < 0)
        return tni_options_refuse(&out->runtime->log, call, "backlog is negative: use 0 for 4096");
    if (out->backlog == 0)
        out->backlog = BACKLOG_DEFAULT;
    return 0;
}

static int set_tcp_options(int fd, int domain, const tn_listen_options *options)
{
    int rc = 0;

    if (options->reuse_address)
        rc = tni_os_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && options->reuse_port)
        rc = tni_os_set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0 && domain == AF_INET6)
        rc = tni_os_set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->ipv6_only);
    return rc;
}

/* Returns a listening fd, or a negative errno value. */
static int listen_on(const tni_address *address, const tn_listen_options *options)
{
    int domain = address->socket.any.sa_family;
    int fd = tni_os_socket(domain, SOCK_STREAM, 0);
    int rc = 0;

    if (fd < 0)
        return fd;
    if (domain != AF_UNIX)
        rc = set_tcp_options(fd, domain, options);
    if (rc == 0)
        rc = tni_os_bind(fd, &address->socket.any, address->length);
    if (rc == 0)
        rc = tni_os_listen(fd, options->backlog);
    if (rc == 0)
        return fd;
    tni_os_close(fd);
    return rc;
}

/* Takes over the fd. Returns 0 or TN_ENOMEM. `path`: what the socket was bound to; NULL: nothing is removed at the close. */
static int make(tn_listener **out, tn_runtime *runtime, int fd, bool tcp, const char *path)
{
    tn_listener *listener = tni_reclaim_alloc(runtime, sizeof *listener, _Alignof(tn_listener));

    if (listener == NULL)
        return TN_ENOMEM;
    tni_endpoint_init(&listener->endpoint, runtime, &listener_ops, fd, tcp);
    tni_wait_init(&listener->pause);
    tni_a32_init(&listener->fd_is_known, 0);
    if (path != NULL && tni_os_path_id(path, &listener->file) == 0)
        memcpy(listener->path, path, strlen(path) + 1);
    *out = listener;
    return 0;
}

/* Undoes listen_on if there is no memory. */
static int make_or_close(tn_listener **out, tn_runtime *runtime, int fd, bool tcp, const char *path)
{
    int rc = make(out, runtime, fd, tcp, path);

    if (rc == 0)
        return 0;
    tni_os_close(fd);
    if (path != NULL)
        (void)tni_os_unlink(path);
    return rc;
}

static void explain_tcp(const tni_log *log, const char *text, const tni_address *address, int rc)
{
    unsigned port = ntohs(address->socket.v4.sin_port);

    if (rc == TN_EADDRINUSE)
        tni_log_write(log, TN_LOG_ERROR, "address %s is in use: choose another port or stop the other server", text);
    else if (rc == -EACCES && port < PRIVILEGED_PORTS)
        tni_log_write(log, TN_LOG_ERROR, "address %s: a port below %d needs the capability NET_BIND_SERVICE: choose a higher one",
                      text, PRIVILEGED_PORTS);
    else if (rc == -EADDRNOTAVAIL)
        tni_log_write(log, TN_LOG_ERROR, "address %s is not one of this machine: write one that is, or *:%u for all", text, port);
    else
        tni_log_write(log, TN_LOG_ERROR, "cannot listen on %s: %s", text, tn_strerror(rc));
}

static void explain_unix(const tni_log *log, const char *path, int rc)
{
    if (rc == TN_EADDRINUSE)
        tni_log_write(log, TN_LOG_ERROR, "%s is in use: stop the server that made it, or remove the file if that server is gone",
                      path);
    else if (rc == -ENOENT)
        tni_log_write(log, TN_LOG_ERROR, "%s: its directory does not exist: create it first", path);
    else
        tni_log_write(log, TN_LOG_ERROR, "cannot listen on %s: %s", path, tn_strerror(rc));
}

/* `text`: an address, or a path. */
static int listen_at(tn_listener **out, const char *text, const tn_listen_options *options, bool tcp)
{
    tn_listen_options wanted;
    tni_address parsed;
    const tni_log *log;
    int fd;
    int rc = read_options(&wanted, options, tcp ? "tn_tcp_listen" : "tn_unix_listen");

    if (rc != 0)
        return rc;
    log = &wanted.runtime->log;
    rc = tcp ? tni_address_parse_tcp(&parsed, text, TNI_TO_LISTEN, log) : tni_address_parse_unix(&parsed, text, log);
    if (rc != 0)
        return rc;
    fd = listen_on(&parsed, &wanted);
    if (tcp && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) && text[0] == '*' && !wanted.ipv6_only) {
        tni_address_any_v4(&parsed, &parsed); /* this machine has no IPv6 */
        fd = listen_on(&parsed, &wanted);
    }
    if (fd >= 0)
        return make_or_close(out, wanted.runtime, fd, tcp, tcp || text[0] == '@' ? NULL : text);
    if (tcp)
        explain_tcp(log, text, &parsed, fd);
    else
        explain_unix(log, text, fd);
    return fd;
}

int tn_tcp_listen(tn_listener **out, const char *address, const tn_listen_options *options)
{
    return listen_at(out, address, options, true);
}

int tn_unix_listen(tn_listener **out, const char *path, const tn_listen_options *options)
{
    return listen_at(out, path, options, false);
}

int tn_tcp_listen_shared(tn_listener **out, unsigned count, const char *address, const tn_listen_options *options)
{
    tn_listen_options wanted;
    char chosen[TN_ADDRESS_SIZE]; /* with the port that the first one got */
    unsigned opened;
    int rc = read_options(&wanted, options, "tn_tcp_listen_shared");

    if (rc != 0)
        return rc;
    if (count == 0)
        return TN_EINVAL;
    wanted.reuse_port = true;
    for (opened = 0; opened < count && rc == 0; opened++) {
        out[opened] = NULL;
        rc = tn_tcp_listen(&out[opened], opened == 0 ? address : chosen, &wanted);
        if (rc == 0 && opened == 0)
            rc = tn_listener_address(out[0], chosen, sizeof chosen);
    }
    while (rc != 0 && opened > 0)
        tn_listener_close(out[--opened]); /* NULL: the one that failed */
    return rc;
}

static bool has_option(int fd, int name, int value)
{
    int found;

    return tni_os_get_option(fd, SOL_SOCKET, name, &found) == 0 && found == value;
}

int tn_listener_open(tn_runtime *runtime, tn_listener **out, int fd)
{
    int rc;

    runtime = tni_endpoint_runtime(runtime, "tn_listener_open");
    if (runtime == NULL)
        return TN_EINVAL;
    if (!has_option(fd, SO_TYPE, SOCK_STREAM) || !has_option(fd, SO_ACCEPTCONN, 1)) {
        tni_log_write(&runtime->log, TN_LOG_ERROR,
                      "tn_listener_open: file %d is not a socket of the type SOCK_STREAM that listens", fd);
        return TN_EINVAL;
    }
    rc = tni_os_set_nonblocking(fd);
    if (rc != 0)
        return rc;
    rc = make(out, runtime, fd, has_option(fd, SO_PROTOCOL, IPPROTO_TCP), NULL);
    if (rc == 0)
        (*out)->endpoint.given = true;
    return rc;
}

tn_listener *tn_listener_retain(tn_listener *listener)
{
    tni_endpoint_retain(&listener->endpoint);
    return listener;
}

void tn_listener_release(tn_listener *listener)
{
    if (listener != NULL)
        tni_endpoint_release(&listener->endpoint);
}

void tn_listener_close(tn_listener *listener)
{
    if (listener != NULL)
        tni_endpoint_close(&listener->endpoint);
}

int tni_listener_refuse(tn_listener *listener)
{
    int rc = tni_endpoint_begin(&listener->endpoint, TNI_OPERATION_USE);

    if (rc != 0)
        return rc;
    rc = tni_os_refuse_connections(listener->endpoint.fd, listener->endpoint.tcp);
    tni_endpoint_end(&listener->endpoint, TNI_OPERATION_USE);
    return rc;
}

/* Begins no operation: the header says how long the caller may use the descriptor. It is const for the caller only. */
int tn_listener_fd(const tn_listener *listener)
{
    /* Relaxed: says only that the program may change the socket from now on; an accept that misses it is like one
     * that has begun before. Partner: run_accept (accept.c). */
    tni_a32_store(&((tn_listener *)(uintptr_t)listener)->fd_is_known, 1, TNI_RELAXED);
    return tni_endpoint_is_closing(&listener->endpoint) ? TN_EBADF : listener->endpoint.fd;
}

int tn_listener_address(tn_listener *listener, char *buf, size_t size)
{
    return tni_endpoint_address(&listener->endpoint, tni_os_local_address, buf, size);
}
