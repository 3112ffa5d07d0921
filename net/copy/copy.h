/* SPDX-License-Identifier: MIT */
/* One direction of a copy, for copy.c and copy_both.c. */
#ifndef TNI_COPY_H
#define TNI_COPY_H

#include <tn/copy.h>
#include <tn/scope.h>

#include "base/atomic.h"

/* What both directions of a connection share. */
typedef struct {
    tn_copy_options options; /* constant, completed: nothing is 0 but idle_ns */
    tni_a64 moved_at_ns;     /* a time of tn_now: when bytes moved last; used only with idle_ns */
} tni_copy;

/* One direction; in the frame of the fiber that copies it. */
typedef struct {
    tn_scope scope; /* around the copy; its end frees what the direction holds, also if the fiber is abandoned */
    tni_copy *copy;
    tn_io from;
    tn_io to;
    uint64_t bytes;   /* written */
    bool write_ended; /* the error came from `to`, whose peer has gone */
    char *buffer;     /* NULL while idle */
    size_t capacity;
    int pipe[2];           /* if `has_pipe` */
    bool has_pipe;         /* bytes move inside the kernel */
    unsigned without_pipe; /* so many full buffers more until a pipe is asked for again, because the kernel has refused one */
} tni_copy_direction;

typedef enum { TNI_COPY_WAIT, TNI_COPY_READ, TNI_COPY_WRITE, TNI_COPY_SPLICE, TNI_COPY_END } tni_copy_step_kind;

/* Completes the options. Returns 0 or TN_EINVAL. */
int tni_copy_init(tni_copy *copy, const tn_copy_options *given, const char *call);

/* Copies until `from` has ended: 0, or the error. */
int tni_copy_run(tni_copy_direction *self);

/* One call that may wait, with the idle timeout: for a byte of `from`; a read into `bytes`, or a write from there; a move of
 * `size` bytes from the pipe; the half-close of `to`. Its result, or TN_ETIME. */
ssize_t tni_copy_step(tni_copy_direction *self, tni_copy_step_kind kind, char *bytes, size_t size);

/* Bytes have moved without a step. */
void tni_copy_has_moved(tni_copy *copy);

/* Notes why a write has failed; returns `rc`. */
int tni_copy_write_failed(tni_copy_direction *self, int rc);

/* A full buffer has been written. Returns whether the bytes that follow may move inside the kernel. */
bool tni_copy_can_splice(tni_copy_direction *self);

/* Moves bytes inside the kernel while much is there. Returns 1: not much is there now, or it cannot be done; 0: the end; or an
 * error. */
int tni_copy_splice(tni_copy_direction *self);

/* Also with no pipe. */
void tni_copy_close_pipe(tni_copy_direction *self);

#endif
