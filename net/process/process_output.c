/* SPDX-License-Identifier: MIT */
/* Running a program and collecting its output. One future reads both outputs, writes the input, and waits for the end, so no
 * further task is needed. */
#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "endpoint/attempt.h"
#include "process/process.h"
#include "sched/runtime.h"
#include "time/deadline.h"

#define LIMIT_DEFAULT ((size_t)1 << 20)
#define LINGER_DEFAULT_NS (100 * TN_MS)
#define FIRST_BYTES 4096
#define PARTS_MAX 16 /* reads or writes of one pipe in one poll; then other tasks run */

typedef struct {
    tni_pipe *pipe;
    bool open; /* an operation is in flight on the pipe */
    char *data;
    size_t size;
    size_t capacity;
} collected;

typedef struct {
    tn_future base;
    tn_process *process;
    tn_process_future end;
    bool ended;
    tn_sleep_future linger;
    uint64_t linger_ns;
    tni_pipe *in;
    bool in_open;
    struct iovec input; /* what is left to write */
    collected outs[2];
    size_t limit;
    const tn_allocator *allocator;
} collection;

static void stop_reading(collected *out)
{
    if (!out->open)
        return;
    tni_endpoint_unregister(&out->pipe->endpoint, TNI_READ);
    tni_endpoint_end(&out->pipe->endpoint, TNI_OPERATION_READ);
    out->open = false;
}

/* The end reaches the child when the pipe is closed. */
static void stop_writing(collection *self)
{
    if (!self->in_open)
        return;
    tni_endpoint_unregister(&self->in->endpoint, TNI_WRITE);
    tni_endpoint_end(&self->in->endpoint, TNI_OPERATION_WRITE);
    self->in_open = false;
    tni_pipe_close(self->in);
}

/* One byte more than the limit may be read, so that an output of just that size is no error; and one for the 0 byte. */
static int grow(const collection *self, collected *out)
{
    size_t max = self->limit < SIZE_MAX - 2 ? self->limit + 2 : SIZE_MAX;
    size_t capacity = out->capacity < FIRST_BYTES ? FIRST_BYTES : out->capacity * 2;
    char *data;

    if (out->size + 1 < out->capacity)
        return 0;
    if (capacity > max)
        capacity = max;
    data = tni_reclaim_alloc(self->process->runtime, capacity, _Alignof(max_align_t));
    if (data == NULL)
        return TN_ENOMEM;
    if (out->size > 0)
        memcpy(data, out->data, out->size);
    tni_free(self->allocator, out->data, out->capacity);
    out->data = data;
    out->capacity = capacity;
    return 0;
}

static ssize_t read_once(const collection *self, collected *out)
{
    struct iovec into;
    tni_pipe_buffers buffers = {&into, 1};
    tni_attempt read = {tni_pipe_run_read, &buffers, 0};
    int rc = grow(self, out);

    if (rc != 0)
        return rc;
    into.iov_base = out->data + out->size;
    into.iov_len = out->capacity - out->size - 1;
    return tni_attempt_once(&out->pipe->endpoint, TNI_READ, &read);
}

/* Returns 0, TN_PENDING or an error. 0: it is closed. */
static int poll_output(const collection *self, collected *out, tn_waker *waker)
{
    for (unsigned parts = 0; out->open && parts < PARTS_MAX; parts++) {
        ssize_t n = read_once(self, out);
        if (n == TN_EAGAIN)
            n = tni_endpoint_poll(&out->pipe->endpoint, TNI_READ, waker);
        else if (n == 0)
            stop_reading(out);
        else if (n > 0)
            out->size += (size_t)n;
        if (n < 0)
            return (int)n;
        if (out->size > self->limit) {
            out->size = self->limit;
            return TN_EMSGSIZE;
        }
    }
    if (!out->open)
        return 0;
    tn_waker_wake_by_ref(waker);
    return TN_PENDING;
}

/* Returns 0 or an error. */
static int poll_input(collection *self, tn_waker *waker)
{
    tni_pipe_buffers buffers = {&self->input, 1};
    tni_attempt write = {tni_pipe_run_write, &buffers, 0};

    for (unsigned parts = 0; self->in_open && parts < PARTS_MAX; parts++) {
        ssize_t n = self->input.iov_len > 0 ? tni_attempt_once(&self->in->endpoint, TNI_WRITE, &write) : TN_EPIPE;
        if (n == TN_EAGAIN)
            n = tni_endpoint_poll(&self->in->endpoint, TNI_WRITE, waker);
        else if (n > 0)
            self->input = (struct iovec){(char *)self->input.iov_base + n, self->input.iov_len - (size_t)n};
        if (n == TN_PENDING)
            return 0;
        if (n < 0)
            stop_writing(self);
        if (n < 0 && n != TN_EPIPE) /* otherwise all is written, or the child reads no more */
            return (int)n;
    }
    if (self->in_open)
        tn_waker_wake_by_ref(waker);
    return 0;
}

/* The child may have ended while other processes still have its outputs open. */
static int poll_end(collection *self, tn_waker *waker)
{
    int rc;

    if (!self->ended) {
        rc = self->end.base.ops->poll(&self->end.base, waker);
        if (rc != 0)
            return rc;
        self->ended = true;
        tn_sleep_init(&self->linger, tni_deadline_after(self->linger_ns));
    }
    return 0;
}

static int collection_poll(tn_future *future, tn_waker *waker)
{
    collection *self = tni_container_of(future, collection, base);
    int end = poll_end(self, waker); /* first: what it has written before is there then */
    int outs[2];
    int rc;

    if (end != 0 && end != TN_PENDING)
        return end;
    rc = poll_input(self, waker);
    if (rc != 0)
        return rc;
    for (unsigned i = 0; i < 2; i++) {
        outs[i] = poll_output(self, &self->outs[i], waker);
        if (outs[i] != 0 && outs[i] != TN_PENDING)
            return outs[i];
    }
    if (end == TN_PENDING)
        return TN_PENDING;
    if (outs[0] == 0 && outs[1] == 0)
        return 0;
    return self->linger.base.ops->poll(&self->linger.base, waker);
}

static void collection_drop(tn_future *future)
{
    collection *self = tni_container_of(future, collection, base);

    stop_writing(self);
    stop_reading(&self->outs[0]);
    stop_reading(&self->outs[1]);
    self->end.base.ops->drop(&self->end.base);
    if (self->ended)
        self->linger.base.ops->drop(&self->linger.base);
}

static int begin_collection(collection *self, tn_process *process, const tn_process_output *output)
{
    static const tn_future_ops ops = {.poll = collection_poll, .drop = collection_drop, .name = "output of a process"};
    int rc = 0;

    *self = (collection){.base = {&ops}, .process = process, .allocator = &process->runtime->allocator};
    self->limit = output->limit != 0 ? output->limit : LIMIT_DEFAULT;
    self->linger_ns = output->linger_ns != 0 ? output->linger_ns : LINGER_DEFAULT_NS;
    tn_process_wait_init(&self->end, process);
    for (unsigned i = 0; rc == 0 && i < 2; i++) {
        self->outs[i].pipe = process->pipes[i + 1];
        if (self->outs[i].pipe != NULL)
            rc = tni_endpoint_begin(&self->outs[i].pipe->endpoint, TNI_OPERATION_READ);
        self->outs[i].open = rc == 0 && self->outs[i].pipe != NULL;
    }
    if (rc == 0 && process->pipes[0] != NULL) {
        self->in = process->pipes[0];
        process->pipes[0] = NULL;
        self->input = (struct iovec){(void *)(uintptr_t)output->input, output->input_size};
        rc = tni_endpoint_begin(&self->in->endpoint, TNI_OPERATION_WRITE);
        self->in_open = rc == 0;
    }
    tni_assert(rc == 0, "another task uses a pipe that no other task knows");
    return rc;
}

/* Gives the text to the caller, in a block of just its size. */
static int hand_over(const collection *self, collected *out, char **text, size_t *size)
{
    char *copy;

    if (out->size == 0)
        return 0;
    copy = tni_reclaim_alloc(self->process->runtime, out->size + 1, _Alignof(max_align_t));
    if (copy == NULL)
        return TN_ENOMEM;
    memcpy(copy, out->data, out->size);
    copy[out->size] = '\0';
    *text = copy;
    *size = out->size;
    return 0;
}

static int collect(tn_process *process, tn_process_output *output)
{
    collection self;
    tn_process_scope scope;
    int out;
    int err;
    int rc;

    tn_process_scope_enter(&scope, process, TN_NEVER);
    rc = begin_collection(&self, process, output);
    if (rc == 0)
        rc = tn_await(&self.base);
    if (rc == 0)
        output->end = self.end.end;
    out = hand_over(&self, &self.outs[0], &output->out, &output->out_size);
    err = hand_over(&self, &self.outs[1], &output->err, &output->err_size);
    tni_free(self.allocator, self.outs[0].data, self.outs[0].capacity);
    tni_free(self.allocator, self.outs[1].data, self.outs[1].capacity);
    tn_process_scope_leave(&scope);
    if (rc == 0)
        rc = out != 0 ? out : err;
    return rc;
}

int tn_process_run(tn_process_output *output, const char *const *argv, const tn_process_options *options)
{
    tn_process_options wanted = tn_process_options_default();
    tn_process *process;
    tn_scope scope;
    int rc;

    if (output->size != sizeof *output) {
        tni_log_write(NULL, TN_LOG_ERROR, "tn_process_run: output.size is wrong: begin with tn_process_output_default()");
        return TN_EINVAL;
    }
    output->out = NULL;
    output->err = NULL;
    output->out_size = 0;
    output->err_size = 0;
    rc = tni_options_read(&wanted, failed, options, NULL, "tn_process_run");
    if (rc != 0)
        return rc;
    wanted.in = output->input != NULL ? TN_PROCESS_PIPE : TN_PROCESS_NULL;
    wanted.out = TN_PROCESS_PIPE;
    if (wanted.err != TN_PROCESS_STDOUT)
        wanted.err = TN_PROCESS_PIPE;
    tn_scope_enter(&scope, output->timeout_ns != 0 ? tni_deadline_after(output->timeout_ns) : TN_NEVER);
    rc = tn_process_start(&process, argv, &wanted);
    if (rc == 0) {
        output->allocator = process->runtime->allocator;
        rc = collect(process, output);
    }
    tn_scope_leave(&scope);
    return rc;
}

void tn_process_output_free(tn_process_output *output)
{
    if (output->out != NULL)
        tni_free(&output->allocator, output->out, output->out_size + 1);
    if (output->err != NULL)
        tni_free(&output->allocator, output->err, output->err_size + 1);
    output->out = NULL;
    output->err = NULL;
    output->out_size = 0;
    output->err_size = 0;
}
