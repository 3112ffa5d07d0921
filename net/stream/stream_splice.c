/* SPDX-License-Identifier: MIT */
/* Moving bytes between a stream and a pipe inside the kernel. The stream's reader or writer is in flight meanwhile, as in any
 * read or write, so an abort by another task does not close the fd under the system call.
 *
 * splice(2) has no MSG_NOSIGNAL, so SIGPIPE is blocked around a write. */
#include "stream/stream_splice.h"

#include "endpoint/attempt.h"
#include "os/os_pipe_signal.h"
#include "os/os_socket.h"
#include "os/os_splice.h"

typedef struct {
    int pipe;
    size_t size;
} range;

static ssize_t run_in(tni_endpoint *endpoint, void *arg)
{
    const range *into = arg;

    endpoint->read_may_be_stale = true;
    (void)tni_os_set_nonblocking(endpoint->fd); /* another process that has the socket may have changed its mode */
    return tni_os_splice(endpoint->fd, into->pipe, into->size);
}

/* A short count may come from the pipe, so it says nothing about the socket (size 0). */
ssize_t tni_stream_splice_in(tn_stream *stream, int pipe, size_t size)
{
    range into = {pipe, size};
    tni_attempt in = {run_in, &into, 0};

    return tni_attempt_now(&stream->endpoint, TNI_READ, &in);
}

static ssize_t run_out(tni_endpoint *endpoint, void *arg)
{
    const range *from = arg;
    tni_os_pipe_signal signal;
    ssize_t n;

    (void)tni_os_set_nonblocking(endpoint->fd); /* as in run_in */
    tni_os_pipe_signal_block(&signal);
    n = tni_os_splice(from->pipe, endpoint->fd, from->size);
    tni_os_pipe_signal_restore(&signal, n < 0 || (size_t)n < from->size);
    return n;
}

ssize_t tni_stream_splice_out(tn_stream *stream, int pipe, size_t size)
{
    range from = {pipe, size};
    tni_attempt out = {run_out, &from, 0};

    return tni_attempt_until_done(&stream->endpoint, TNI_WRITE, &out);
}
