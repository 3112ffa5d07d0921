/* SPDX-License-Identifier: MIT */
/* One direction of a copy, for copy.c, and both, for copy_both.c and copy_quiet.c. */
#ifndef TNI_COPY_H
#define TNI_COPY_H

#include <tn/copy.h>
#include <tn/scope.h>

#include "base/atomic.h"

/* What both directions of a connection share. */
typedef struct {
    tn_copy_options options; /* constant, completed: nothing is 0 but idle_ns */
    tni_a64 moved_at_ns;     /* a time of tn_now: when bytes moved last; used only with idle_ns */
    bool may_rest;           /* a direction whose source is idle may end for the time being: TNI_COPY_RESTS */
    tni_a32 idle;            /* with may_rest: directions whose source is idle, or that have ended; 2 is final */
    tn_cancel_source rest;   /* with may_rest: cancelled when `idle` has become 2 */
    tn_future *inputs[2];    /* while one fiber waits for both sources: what it waits for */
    unsigned ready;          /* the one of `inputs` that is ready, */
    int ready_rc;            /* and its result */
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
    size_t done; /* bytes of the buffer from here to `size` have been read, and wait to be written */
    size_t size;
    int pipe[2];           /* if `has_pipe` */
    bool has_pipe;         /* bytes move inside the kernel */
    unsigned without_pipe; /* so many full buffers more until a pipe is asked for again, because the kernel has refused one */
} tni_copy_direction;

typedef enum {
    TNI_COPY_WAIT,
    TNI_COPY_WAIT_BOTH,
    TNI_COPY_READ,
    TNI_COPY_WRITE,
    TNI_COPY_SPLICE,
    TNI_COPY_END
} tni_copy_step_kind;

#define TNI_COPY_BUFFER_FIRST ((size_t)4096)

/* A result of tni_copy_run: both sources are idle, and nothing is in a buffer. */
enum { TNI_COPY_RESTS = 2 };

/* Completes the options. Returns 0 or TN_EINVAL. */
int tni_copy_init(tni_copy *copy, const tn_copy_options *given, const char *call);

/* Copies until `from` has ended, beginning with what is in the buffer: 0, the error, or TNI_COPY_RESTS. */
int tni_copy_run(tni_copy_direction *self);

/* With may_rest: counts a direction that has nothing to do. True: now both have none. */
bool tni_copy_count_idle(tni_copy *copy);

/* One call that may wait, with the idle timeout: for a byte of `from`, or of either source; a read into `bytes`, or a write from
 * there; a move of `size` bytes from the pipe; the half-close of `to`. Its result, or TN_ETIME. */
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

/* Makes the buffer one of at least `capacity` bytes, if there is memory for it. Returns 0 or TN_ENOMEM: there is none. */
int tni_copy_get_buffer(tni_copy_direction *self, size_t capacity);
void tni_copy_drop_buffer(tni_copy_direction *self);

/* Also with no pipe. */
void tni_copy_close_pipe(tni_copy_direction *self);

/* --- Both directions ------------------------------------------------------------------------------------------------------ */

typedef struct {
    tn_scope
        scope; /* around the copy; its end drops the waits of `armed` and frees the buffers, also if the fiber is abandoned */
    tni_copy copy;
    tn_cancel_source cut; /* ends both directions */
    tni_copy_direction directions[2];
    int results[2];
    bool ended[2];
    tn_io_wait_future waits[2]; /* for the sources */
    bool armed[2];              /* waits[i] has begun */
    unsigned first;             /* the direction that has more to do than one fiber for both may do */
    bool needs_two;             /* a stream cannot be tried, or not be waited for by a future: two fibers from now on */
} tni_copy_both;

/* One fiber copies in both directions while no write waits, and little is there at once. Returns 0: a direction has ended, or
 * `first` has more to do; or the error of the wait. */
int tni_copy_quiet(tni_copy_both *self);
void tni_copy_quiet_stop(tni_copy_both *self);

/* tn_copy_both in memory of the caller's, where the model checker sees races. Sets all of `*self`. */
int tni_copy_both_run(tni_copy_both *self, tn_io a, tn_io b, const tn_copy_options *options);

/* The end of a direction, with its result. It passes the end of the source on. */
void tni_copy_direction_over(tni_copy_both *self, unsigned which, int rc);

#endif
