/* SPDX-License-Identifier: MIT */
/* Addresses, options and descriptor of a stream, and its half-close: short uses of the fd, which never wait and exclude no other
 * operation. */
#include "stream/stream.h"

#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_PROBES 3

int tn_stream_local_address(tn_stream *stream, char *buf, size_t size)
{
    return tni_endpoint_address(&stream->endpoint, tni_os_local_address, buf, size);
}

int tn_stream_peer_address(tn_stream *stream, char *buf, size_t size)
{
    return tni_endpoint_address(&stream->endpoint, tni_os_peer_address, buf, size);
}

int tn_stream_peer_credentials(tn_stream *stream, tn_peer_credentials *out)
{
    tni_os_credentials peer = {0, 0, 0};
    int domain;
    int rc = tni_endpoint_begin(&stream->endpoint, TNI_OPERATION_USE);

    if (rc != 0)
        return rc;
    rc = tni_os_get_option(stream->endpoint.fd, SOL_SOCKET, SO_DOMAIN, &domain);
    if (rc == 0)
        rc = domain == AF_UNIX ? tni_os_peer_credentials(stream->endpoint.fd, &peer) : TN_EINVAL;
    tni_endpoint_end(&stream->endpoint, TNI_OPERATION_USE);
    if (rc == 0)
        *out = (tn_peer_credentials){peer.process, peer.user, peer.group};
    return rc;
}

/* Begins no operation: the header says how long the caller may use the descriptor. */
int tn_stream_fd(const tn_stream *stream)
{
    return tni_endpoint_is_closing(&stream->endpoint) ? TN_EBADF : stream->endpoint.fd;
}

int tn_stream_shutdown_write(tn_stream *stream)
{
    int rc = tni_endpoint_begin(&stream->endpoint, TNI_OPERATION_USE);

    if (rc != 0)
        return rc;
    rc = tni_os_shutdown(stream->endpoint.fd, SHUT_WR);
    tni_endpoint_end(&stream->endpoint, TNI_OPERATION_USE);
    return rc;
}

static int is_internet(int fd)
{
    int domain;
    int rc = tni_os_get_option(fd, SOL_SOCKET, SO_DOMAIN, &domain);

    if (rc != 0)
        return rc;
    return domain == AF_INET || domain == AF_INET6 ? 0 : TN_EINVAL;
}

int tn_stream_set_nodelay(tn_stream *stream, bool on)
{
    int fd = stream->endpoint.fd;
    int rc = tni_endpoint_begin(&stream->endpoint, TNI_OPERATION_USE);

    if (rc != 0)
        return rc;
    rc = is_internet(fd);
    if (rc == 0)
        rc = tni_os_set_option(fd, IPPROTO_TCP, TCP_NODELAY, on);
    tni_endpoint_end(&stream->endpoint, TNI_OPERATION_USE);
    return rc;
}

static int set_keepalive(int fd, unsigned idle_s)
{
    int rc = is_internet(fd);

    if (rc == 0 && idle_s > INT_MAX)
        rc = TN_EINVAL;
    if (rc == 0 && idle_s > 0) {
        rc = tni_os_set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)idle_s);
        if (rc == 0)
            rc = tni_os_set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
        if (rc == 0)
            rc = tni_os_set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    }
    /* The kernel has accepted `idle_s`, so it is at most 32767. */
    if (rc == 0)
        rc = tni_os_set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
                               idle_s > 0 ? ((int)idle_s + KEEPALIVE_PROBES * KEEPALIVE_INTERVAL_S) * 1000 : 0);
    return rc != 0 ? rc : tni_os_set_option(fd, SOL_SOCKET, SO_KEEPALIVE, idle_s > 0);
}

int tn_stream_set_keepalive(tn_stream *stream, unsigned idle_s)
{
    int rc = tni_endpoint_begin(&stream->endpoint, TNI_OPERATION_USE);

    if (rc != 0)
        return rc;
    rc = set_keepalive(stream->endpoint.fd, idle_s);
    tni_endpoint_end(&stream->endpoint, TNI_OPERATION_USE);
    return rc;
}
