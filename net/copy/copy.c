/* SPDX-License-Identifier: MIT */
/* Copying in one direction: wait without a buffer, read, write all of it, and again. README.md ("Copying") has the rules. */
#include "copy/copy.h"

#include <stddef.h>

#include <tn/combine.h>

#include "base/alloc.h"
#include "base/options.h"
#include "io/stream_io.h"
#include "sched/runtime.h"
#include "scope/scope.h"
#include "stream/stream_splice.h"

#define BUFFER_DEFAULT 65536
#define BUFFER_MIN 64
#define BUFFER_MAX ((size_t)1 << 30)

int tni_copy_init(tni_copy *copy, const tn_copy_options *given, const char *call)
{
    const tni_log *log = tni_runtime_log_here();
    tn_runtime *runtime = tn_runtime_current();
    tn_copy_options *options = &copy->options;
    int rc;

    *options = tn_copy_options_default();
    rc = tni_options_read(options, allocator, given, log, call);
    if (rc != 0)
        return rc;
    if (options->buffer_size == 0)
        options->buffer_size = BUFFER_DEFAULT;
    if (options->buffer_size < BUFFER_MIN || options->buffer_size > BUFFER_MAX)
        return tni_options_refuse(log, call, "buffer_size is out of range: 0, or from 64 to 2^30");
    rc = tni_options_check_allocator(options->allocator, log, call);
    if (rc != 0)
        return rc;
    if (options->allocator == NULL)
        options->allocator = runtime != NULL ? &runtime->allocator : &tni_alloc_default;
    copy->may_rest = false;
    tni_a64_init(&copy->moved_at_ns, options->idle_ns != 0 ? tn_now() : 0);
    return 0;
}

/* --- The idle timeout ------------------------------------------------------------------------------------------------------ */

void tni_copy_has_moved(tni_copy *copy)
{
    /* Relaxed: a time of its own, which publishes nothing; partner: idle_at. */
    if (copy->options.idle_ns != 0)
        tni_a64_store(&copy->moved_at_ns, tn_now(), TNI_RELAXED);
}

/* When the copy has been idle for too long, unless a byte moves before. */
static uint64_t idle_at(const tni_copy *copy)
{
    /* Relaxed: an older time only makes the caller ask once more; partner: tni_copy_has_moved. */
    uint64_t moved_at_ns = tni_a64_load(&copy->moved_at_ns, TNI_RELAXED);

    return copy->options.idle_ns < TN_NEVER - moved_at_ns ? moved_at_ns + copy->options.idle_ns : TN_NEVER;
}

static int wait_for_both(tni_copy *copy)
{
    int index = tn_select(copy->inputs, 2, &copy->ready_rc);

    if (index < 0)
        return index;
    copy->ready = (unsigned)index;
    return 0;
}

static ssize_t call_once(tni_copy_direction *self, tni_copy_step_kind kind, char *bytes, size_t size)
{
    switch (kind) {
    case TNI_COPY_WAIT:
        return tn_io_wait(self->from, TN_READABLE);
    case TNI_COPY_WAIT_BOTH:
        return wait_for_both(self->copy);
    case TNI_COPY_READ:
        return tn_io_read(self->from, bytes, size);
    case TNI_COPY_SPLICE:
        return tni_stream_splice_out(tni_stream_io_get(self->to), self->pipe[0], size);
    case TNI_COPY_END:
        return tn_io_close_write(self->to);
    default:
        return tn_io_write(self->to, bytes, size);
    }
}

/* One call that may wait. A deadline that passes in it may be that of the idle timeout: then the call is repeated if the other
 * direction has moved bytes meanwhile. If no scope has ended the call, TN_ETIMEDOUT is the stream's own: of a kind with
 * deadlines. */
ssize_t tni_copy_step(tni_copy_direction *self, tni_copy_step_kind kind, char *bytes, size_t size)
{
    while (self->copy->options.idle_ns != 0) {
        uint64_t end_ns = idle_at(self->copy);
        tn_scope idle;
        bool ended;
        ssize_t n;

        tn_scope_enter(&idle, end_ns);
        n = call_once(self, kind, bytes, size);
        ended = n == TN_ETIMEDOUT && tn_checkpoint() != 0;
        tn_scope_leave(&idle);
        if (n > 0)
            tni_copy_has_moved(self->copy);
        if (!ended)
            return n;
        n = tn_checkpoint(); /* it may be a deadline of the caller */
        if (n != 0)
            return n;
        if (idle_at(self->copy) == end_ns)
            return TN_ETIME;
    }
    return call_once(self, kind, bytes, size);
}

/* --- The buffer ------------------------------------------------------------------------------------------------------------ */

void tni_copy_drop_buffer(tni_copy_direction *self)
{
    if (self->buffer != NULL)
        tni_free(self->copy->options.allocator, self->buffer, self->capacity);
    self->buffer = NULL;
    self->done = self->size = 0;
}

int tni_copy_get_buffer(tni_copy_direction *self, size_t capacity)
{
    char *buffer;

    if (self->buffer != NULL && self->capacity >= capacity)
        return 0;
    buffer = tni_alloc(self->copy->options.allocator, capacity, _Alignof(max_align_t));
    if (buffer == NULL)
        return self->buffer != NULL ? 0 : TN_ENOMEM;
    tni_copy_drop_buffer(self);
    self->buffer = buffer;
    self->capacity = capacity;
    return 0;
}

int tni_copy_write_failed(tni_copy_direction *self, int rc)
{
    self->write_ended = rc == TN_EPIPE || rc == TN_ECONNRESET;
    return rc;
}

static int write_all(tni_copy_direction *self)
{
    while (self->done < self->size) {
        ssize_t n = tni_copy_step(self, TNI_COPY_WRITE, self->buffer + self->done, self->size - self->done);
        if (n < 0)
            return tni_copy_write_failed(self, (int)n);
        self->done += (size_t)n;
        self->bytes += (size_t)n;
    }
    return 0;
}

/* Something is there, or the end. Reads and writes as long as reads fill the buffer. Returns 1: nothing more is there now; 0: the
 * end; or an error. */
static int copy_burst(tni_copy_direction *self)
{
    size_t largest = self->copy->options.buffer_size;
    size_t wanted = largest < TNI_COPY_BUFFER_FIRST ? largest : TNI_COPY_BUFFER_FIRST;

    for (;;) {
        ssize_t n;
        int rc = tni_copy_get_buffer(self, wanted);

        if (rc != 0)
            return rc;
        n = tni_copy_step(self, TNI_COPY_READ, self->buffer, self->capacity);
        if (n <= 0)
            return (int)n;
        self->done = 0;
        self->size = (size_t)n;
        rc = write_all(self);
        if (rc != 0)
            return rc;
        if ((size_t)n < self->capacity)
            return 1;
        if (self->capacity == largest && tni_copy_can_splice(self)) {
            tni_copy_drop_buffer(self);
            return tni_copy_splice(self);
        }
        wanted = largest;
    }
}

static void direction_end(tn_scope *scope, bool abandoned)
{
    tni_copy_direction *self = tni_container_of(scope, tni_copy_direction, scope);

    (void)abandoned;
    tni_copy_drop_buffer(self);
    tni_copy_close_pipe(self);
}

bool tni_copy_count_idle(tni_copy *copy)
{
    /* Relaxed: the changes of this word alone decide, and what the directions did is published by the end of their fibers.
     * Partner: wait_for_input. */
    if (tni_a32_fetch_add(&copy->idle, 1, TNI_RELAXED) == 0)
        return false;
    tn_cancel_source_cancel(&copy->rest);
    return true;
}

/* Waits for the source. If both sources are idle, both directions rest: the last change of `idle` says so, and no later one. */
static int wait_for_input(tni_copy_direction *self)
{
    tni_copy *copy = self->copy;
    uint32_t alone = 1;
    tn_scope scope;
    int rc;

    if (!copy->may_rest)
        return (int)tni_copy_step(self, TNI_COPY_WAIT, NULL, 0);
    if (tni_copy_count_idle(copy))
        return TNI_COPY_RESTS;
    tn_scope_enter_with(&scope, TN_NEVER, &copy->rest);
    rc = (int)tni_copy_step(self, TNI_COPY_WAIT, NULL, 0);
    tn_scope_leave(&scope);
    /* Acquire only because no CAS is weaker (atomic.h); otherwise as in tni_copy_count_idle. If it fails, the other direction
     * rests. Then this one does too, and what the wait has found is found again: it takes nothing. */
    return tni_a32_cas(&copy->idle, &alone, 0, TNI_ACQUIRE) ? rc : TNI_COPY_RESTS;
}

/* What the buffer holds is written first. If it was full, much may be there. Returns as copy_burst. */
static int write_rest(tni_copy_direction *self)
{
    bool was_full = self->size == self->copy->options.buffer_size;
    int rc = write_all(self);

    if (rc != 0)
        return rc;
    tni_copy_drop_buffer(self);
    return was_full && tni_copy_can_splice(self) ? tni_copy_splice(self) : 1;
}

int tni_copy_run(tni_copy_direction *self)
{
    int rc;

    tn_scope_enter(&self->scope, TN_NEVER);
    tni_scope_on_end(&self->scope, direction_end);
    rc = write_rest(self);
    while (rc == 1) {
        tni_copy_drop_buffer(self);
        rc = wait_for_input(self);
        if (rc == 0)
            rc = copy_burst(self);
    }
    tni_copy_drop_buffer(self);
    tn_scope_leave(&self->scope);
    return rc;
}

int tn_copy(tn_io to, tn_io from, const tn_copy_options *options, uint64_t *bytes)
{
    tni_copy copy;
    tni_copy_direction direction = {.copy = &copy, .from = from, .to = to};
    int rc = tni_copy_init(&copy, options, "tn_copy");

    if (rc == 0)
        rc = tni_copy_run(&direction);
    if (bytes != NULL)
        *bytes = direction.bytes;
    return rc;
}
