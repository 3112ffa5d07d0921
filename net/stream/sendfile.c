/* SPDX-License-Identifier: MIT */
/* From a file to a stream without a copy through the program. The disk may be slow, so a thread of the blocking pool makes the
 * call, on a socket that never blocks; the task waits for room in the socket where it always does. The stream's writer is in
 * flight all the time, so the fd stays its own. Always on that pool, because sendfile knows no MSG_NOSIGNAL, and the pool's
 * threads block SIGPIPE. */
#include "os/os_file.h"
#include "pool/pool_call.h"
#include "sched/budget_fiber.h"
#include "sched/runtime.h"
#include "scope/scope.h"
#include "stream/stream.h"

#define PART_BYTES ((size_t)1 << 20)

typedef struct {
    tni_pool_call lent;
    int socket;
    int file;
    int64_t offset;
    size_t size;
    ssize_t sent;
} part;

static bool part_run(tni_work *job)
{
    part *self = tni_container_of(tni_container_of(job, tni_pool_call, base), part, lent);

    self->sent = tni_os_sendfile(self->socket, self->file, &self->offset, self->size);
    return false;
}

static const tni_work_ops part_ops = TNI_POOL_CALL_OPS(part_run);

/* Whose pool makes the call: that of the task's runtime, which does not go before the task, and so its frame, is done with. A
 * plain thread has none. */
static tn_runtime *lender(const tn_stream *stream)
{
    tn_runtime *runtime = tn_runtime_current();

    return runtime != NULL ? runtime : stream->endpoint.runtime;
}

/* The call on a pool's thread. If the fiber is abandoned, its operation ends; then that call is over. */
typedef struct {
    tn_scope scope;
    tn_stream *stream;
} lending;

static void end_lending(tn_scope *scope, bool abandoned)
{
    if (abandoned)
        tni_endpoint_end(&tni_container_of(scope, lending, scope)->stream->endpoint, TNI_OPERATION_WRITE);
}

static int lend(tn_stream *stream, part *self)
{
    lending here = {.stream = stream};
    int rc;

    tn_scope_enter(&here.scope, TN_NEVER);
    tni_scope_on_end(&here.scope, end_lending);
    rc = tni_pool_call_run_on(lender(stream), &self->lent, &part_ops, TNI_POOL_FILES);
    tn_scope_leave(&here.scope);
    return rc;
}

/* In flight: one part. More than 0; 0: the end of the file; TN_EAGAIN: the socket is full, and the readiness word says so. */
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
    rc = lend(stream, &self);
    if (rc != 0)
        return rc == TN_EAGAIN ? TN_ENOMEM : rc; /* no thread: not to be taken for a full socket */
    /* A short count may be the file's doing, and says nothing about the socket. */
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
