/* SPDX-License-Identifier: MIT */
/* Copying in both directions by one fiber, as long as no call has to wait but the one for input. So an idle connection has one
 * stack. */
#include "copy/copy.h"
#include "io/stream_io.h"

/* What a step returns besides errors of the wait: the fiber goes on for both directions. */
enum { GO_ON = 1 };

void tni_copy_quiet_stop(tni_copy_both *self)
{
    for (unsigned i = 0; i < 2; i++) {
        if (self->armed[i])
            tn_future_drop(&self->waits[i].base);
        self->armed[i] = false;
    }
}

/* Writes what is in the buffer. Returns 0: all; GO_ON: a rest is left, and a write of it would wait; or the error. */
static int try_write(tni_copy_both *self, tni_copy_direction *direction)
{
    while (direction->done < direction->size) {
        ssize_t n = tn_io_try_write(direction->to, direction->buffer + direction->done, direction->size - direction->done);
        if (n == TN_ENOTSUP)
            self->needs_two = true;
        if (n == TN_EAGAIN || n == TN_ENOTSUP)
            return GO_ON;
        if (n < 0)
            return tni_copy_write_failed(direction, (int)n);
        direction->done += (size_t)n;
        direction->bytes += (size_t)n;
        tni_copy_has_moved(direction->copy);
    }
    return 0;
}

/* The source is ready. Reads and writes as long as reads fill the buffer, up to the largest. */
static int burst(tni_copy_both *self, unsigned which)
{
    tni_copy_direction *direction = &self->directions[which];
    size_t largest = self->copy.options.buffer_size;
    size_t wanted = largest < TNI_COPY_BUFFER_FIRST ? largest : TNI_COPY_BUFFER_FIRST;

    self->first = which;
    for (;;) {
        int rc = tni_copy_get_buffer(direction, wanted);
        ssize_t n = rc == 0 ? tn_io_try_read(direction->from, direction->buffer, direction->capacity) : (ssize_t)rc;

        direction->done = 0;
        direction->size = n > 0 ? (size_t)n : 0;
        if (n == TN_EAGAIN)
            break;
        if (n == TN_ENOTSUP) {
            self->needs_two = true;
            return 0;
        }
        if (n == 0 && tni_stream_io_get(direction->to) == NULL)
            return 0; /* to pass the end on may have to wait */
        rc = n > 0 ? try_write(self, direction) : (int)n;
        if (n <= 0 || rc < 0) {
            tni_copy_direction_over(self, which, rc);
            return 0;
        }
        if (rc == GO_ON)
            return 0;
        if ((size_t)n < direction->capacity)
            break;
        if (wanted == largest)
            return 0; /* much is there, which may move inside the kernel */
        wanted = largest;
    }
    tni_copy_drop_buffer(direction);
    return GO_ON;
}

static int step(tni_copy_both *self)
{
    unsigned which;
    int rc;

    for (unsigned i = 0; i < 2; i++) {
        if (!self->armed[i])
            tn_io_wait_init(&self->waits[i], self->directions[i].from, TN_READABLE);
        self->armed[i] = true;
        self->copy.inputs[i] = &self->waits[i].base;
    }
    rc = (int)tni_copy_step(&self->directions[0], TNI_COPY_WAIT_BOTH, NULL, 0);
    if (rc != 0)
        return rc;
    which = self->copy.ready;
    tn_future_drop(&self->waits[which].base);
    self->armed[which] = false;
    if (self->copy.ready_rc == 0)
        return burst(self, which);
    if (self->copy.ready_rc == TN_ENOTSUP)
        self->needs_two = true;
    else
        tni_copy_direction_over(self, which, self->copy.ready_rc);
    return 0;
}

int tni_copy_quiet(tni_copy_both *self)
{
    int rc;

    do {
        rc = step(self);
    } while (rc == GO_ON);
    tni_copy_quiet_stop(self);
    return rc;
}
