/* SPDX-License-Identifier: MIT */
/* One direction of a connection: bytes on their way, and bytes that have arrived. */
#ifndef TNI_SIM_PIPE_H
#define TNI_SIM_PIPE_H

#include "sim/sim_link.h"
#include "sim/sim_time.h"

typedef enum { TNI_SIM_DATA, TNI_SIM_END, TNI_SIM_RESET_SEGMENT } tni_sim_segment_kind;

typedef struct {
    uint64_t at_ns;
    size_t bytes;
    tni_sim_segment_kind kind;
} tni_sim_segment;

typedef struct {
    char *bytes;      /* a ring */
    size_t allocated; /* a power of two, or 0 */
    size_t head;      /* where the oldest byte is */
    size_t total;     /* bytes in the ring */
    size_t arrived;   /* those of them that may be read */
    size_t limit;     /* at most so many are in the ring */
    bool end;         /* the end has arrived */

    tni_sim_segment *segments; /* a ring: those on their way, in order */
    size_t segments_allocated;
    size_t segments_head;
    size_t segments_count;
    uint64_t last_at_ns; /* when the last one arrives */
    uint64_t free_at_ns; /* when the way is free for the next one */
    unsigned losses;     /* of the first one, in a row */
    tni_sim_event event; /* the arrival of the first one */
} tni_sim_pipe;

void tni_sim_pipe_init(tni_sim_pipe *pipe);
void tni_sim_pipe_fini(tni_sim_pipe *pipe);

/* Puts bytes into the ring; they fit. */
void tni_sim_pipe_put(tni_sim_pipe *pipe, const void *bytes, size_t size);
/* Takes up to `size` bytes that have arrived. */
size_t tni_sim_pipe_take(tni_sim_pipe *pipe, void *out, size_t size);

/* Sends a segment. `link`: NULL: it arrives at once. `fire` is called when the first one is due. */
void tni_sim_pipe_send(tni_sim_pipe *pipe, const tni_sim_link *link, tni_sim_segment_kind kind, size_t bytes,
                       void (*fire)(tni_sim_event *event));

/* The first segment, if it is due; NULL: none is. */
const tni_sim_segment *tni_sim_pipe_due(const tni_sim_pipe *pipe);
/* Removes the first segment, and sets the event for the next one. */
void tni_sim_pipe_next(tni_sim_pipe *pipe, void (*fire)(tni_sim_event *event));
/* The first segment is lost, and will arrive after a pause that grows. Returns how often it was lost. */
unsigned tni_sim_pipe_lose(tni_sim_pipe *pipe, void (*fire)(tni_sim_event *event));

#endif
