/* SPDX-License-Identifier: MIT */
/* Sending from a file to a stream without a copy through the program.
 *
 * The disk may be slow, so a thread of the blocking pool calls sendfile(2). The socket does not block; while it is full the
 * task waits as in any write. The stream's writer is in flight all the time, so the fd is not closed.
 *
 * sendfile(2) has no MSG_NOSIGNAL, so SIGPIPE is blocked around it. */
#include <errno.h>

#include "endpoint/attempt.h"
#include "os/os_file.h"
#include "os/os_pipe_signal.h"
#include "pool/pool.h"
#include "pool/pool_call.h"
#include "sched/runtime.h"
#include "scope/scope.h"
#include "stream/stream.h"

#define PART_BYTES ((size_t)1 << 20)

typedef struct {
    tni_pool_call call;
    int socket;
    int file;
    int64_t offset;
    size_t size;
    ssize_t sent;
} part;

static ssize_t send_part(part *self)
{
    return tni_os_sendfile(self->socket, self->file, &self->offset, self->size);
}

static ssize_t send_without_signal(part *self)
{
    tni_os_pipe_signal signal;
    ssize_t n;

    tni_os_pipe_signal_block(&signal);
    n = send_part(self);
    tni_os_pipe_signal_restore(&signal, n < 0 || (size_t)n < self->size);
    return n;
}

static bool part_run(tni_work *job)
{
    part *self = tni_container_of(tni_container_of(job, tni_pool_call, base), part, call);

    self->sent = send_without_signal(self);
    return false;
}

static const tni_work_ops part_ops = TNI_POOL_CALL_OPS(part_run);

/* The runtime whose pool makes the call. That is the task's, because it exists until the task has ended, and so as long as the
 * frame is used. On a plain thread it is the stream's. */
static tn_runtime *runtime_of_pool(const tn_stream *stream)
{
    tn_runtime *runtime = tn_runtime_current();

    return runtime != NULL ? runtime : stream->endpoint.runtime;
}

/* The call on a pool thread. If the fiber is abandoned, its operation ends, after that call has ended. */
typedef struct {
    tn_scope scope;
    tn_stream *stream;
} pool_section;

static void end_pool_section(tn_scope *scope, bool abandoned)
{
    if (abandoned)
        tni_endpoint_end(&tni_container_of(scope, pool_section, scope)->stream->endpoint, TNI_OPERATION_WRITE);
}

static int run_in_pool(tn_stream *stream, part *self)
{
    pool_section section = {.stream = stream};
    int rc;

    tn_scope_enter(&section.scope, TN_NEVER);
    tni_scope_on_end(&section.scope, end_pool_section);
    rc = tni_pool_call_run_on(runtime_of_pool(stream), &self->call, &part_ops, TNI_POOL_FILES);
    tn_scope_leave(&section.scope);
    return rc;
}

typedef struct {
    tn_stream *stream;
    int file;
    int64_t offset;
    size_t size;
} range;

/* Sends one part of the range. A short count may come from the file, so it says nothing about the socket. */
static ssize_t run_part(tni_endpoint *endpoint, void *arg)
{
    const range *rest = arg;
    part self = {.socket = endpoint->fd, .file = rest->file, .offset = rest->offset};
    int rc;

    self.size = rest->size < PART_BYTES ? rest->size : PART_BYTES;
    rc = run_in_pool(rest->stream, &self);
    if (rc != 0)
        return rc == TN_EAGAIN ? TN_ENOMEM : rc;         /* no thread; TN_EAGAIN would mean a full socket */
    return self.sent == -ESPIPE ? TN_EINVAL : self.sent; /* a pipe is no regular file */
}

ssize_t tn_sendfile(tn_stream *stream, tn_file *file, int64_t offset, size_t size)
{
    range rest = {stream, tn_file_fd(file), offset, size < SSIZE_MAX ? size : SSIZE_MAX};
    tni_attempt attempt = {run_part, &rest, 0};
    ssize_t done = 0;
    ssize_t n;

    if (offset < 0)
        return TN_EINVAL;
    n = tni_attempt_begin(&stream->endpoint, TNI_WRITE);
    if (n != 0)
        return n;
    while (rest.size > 0 && (n = tni_attempt_waiting(&stream->endpoint, TNI_WRITE, &attempt)) > 0) {
        done += n;
        rest.offset += n;
        rest.size -= (size_t)n;
        if (tni_endpoint_is_closing(&stream->endpoint)) {
            n = TN_EBADF;
            break;
        }
    }
    tni_endpoint_end(&stream->endpoint, TNI_OPERATION_WRITE);
    return done > 0 ? done : n;
}
