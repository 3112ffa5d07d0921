/* SPDX-License-Identifier: MIT */
/* Sending from a file to a stream without a copy through the program.
 *
 * The disk may be slow, so a thread of the blocking pool calls sendfile(2). The socket does not block; while it is full the
 * task waits as in any write. The stream's writer is in flight all the time, so the fd is not closed.
 *
 * Every part goes to the pool: sendfile(2) has no MSG_NOSIGNAL, and the pool's threads block SIGPIPE. */
#include "os/os_file.h"
#include "pool/pool_call.h"
#include "sched/budget_fiber.h"
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

static bool part_run(tni_work *job)
{
    part *self = tni_container_of(tni_container_of(job, tni_pool_call, base), part, call);

    self->sent = tni_os_sendfile(self->socket, self->file, &self->offset, self->size);
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

/* In flight: sends one part. Returns the bytes sent; 0: the end of the file; TN_EAGAIN: the socket is full, and the readiness
 * word says so. */
static ssize_t send_part(tn_stream *stream, tn_file *file, int64_t offset, size_t size)
{
    tni_registration *registration = tni_endpoint_registration(&stream->endpoint);
    part self = {.socket = stream->endpoint.fd, .file = tn_file_fd(file), .offset = offset};
    uint64_t seen = 0;
    int rc;

    if (registration != NULL) {
        seen = tni_registration_readiness(registration);
        if (!tni_readiness_is_worth_a_try(seen, TNI_WRITE))
            return TN_EAGAIN;
    }
    self.size = size < PART_BYTES ? size : PART_BYTES;
    rc = run_in_pool(stream, &self);
    if (rc != 0)
        return rc == TN_EAGAIN ? TN_ENOMEM : rc; /* no thread; TN_EAGAIN would mean a full socket */
    /* A short count may come from the file, so it says nothing about the socket. */
    if (self.sent == TN_EAGAIN && registration != NULL)
        (void)tni_registration_clear(registration, TNI_WRITE, seen);
    return self.sent;
}

ssize_t tn_sendfile(tn_stream *stream, tn_file *file, int64_t offset, size_t size)
{
    size_t done = 0;
    int rc = tni_budget_enter();

    if (offset < 0)
        return TN_EINVAL;
    if (rc == 0)
        rc = tni_endpoint_begin(&stream->endpoint, TNI_OPERATION_WRITE);
    if (rc != 0)
        return rc;
    size = size < SSIZE_MAX ? size : SSIZE_MAX;
    while (rc == 0 && done < size) {
        ssize_t n = send_part(stream, file, offset + (int64_t)done, size - done);
        if (n == 0)
            break;
        if (n > 0)
            done += (size_t)n;
        else
            rc = n == TN_EAGAIN ? tni_endpoint_wait(&stream->endpoint, TNI_WRITE) : (int)n;
        if (rc == 0 && tni_endpoint_is_closing(&stream->endpoint))
            rc = TN_ECANCELED;
    }
    tni_endpoint_end(&stream->endpoint, TNI_OPERATION_WRITE);
    return done > 0 ? (ssize_t)done : rc;
}
