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
} tni_copy_direction;

/* Completes the options. Returns 0 or TN_EINVAL. */
int tni_copy_init(tni_copy *copy, const tn_copy_options *given, const char *call);

/* Copies until `from` has ended: 0, or the error. */
int tni_copy_run(tni_copy_direction *self);

#endif
