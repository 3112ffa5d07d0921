/* SPDX-License-Identifier: MIT */
/* Rings of bytes and of segments. */
#include "sim/sim_pipe.h"

#include <stdlib.h>
#include <string.h>

#include "sim/sim_choice.h"
#include "sim/sim_run.h"

/* The smaller ones are about the least that Linux has. With less, two peers that both write before they read could block each
 * other for ever, although each message is small. */
#define LIMIT_USUAL ((size_t)256 << 10)
#define LIMIT_LEAST ((size_t)4096)
#define LIMIT_SMALL ((size_t)16384)
#define RING_MIN ((size_t)1024)
#define RETRANSMIT_NS (UINT64_C(200) * 1000000)
#define RETRANSMIT_MAX_NS (UINT64_C(120) * 1000000000)

void tni_sim_pipe_init(tni_sim_pipe *pipe)
{
    memset(pipe, 0, sizeof *pipe);
    pipe->limit = LIMIT_USUAL;
    if (tni_sim_choice_happens(TNI_SIM_BUFFER))
        pipe->limit = LIMIT_LEAST + tni_sim_choice_scale(TNI_SIM_BUFFER, LIMIT_SMALL);
}

void tni_sim_pipe_fini(tni_sim_pipe *pipe)
{
    tni_sim_time_clear(&pipe->event);
    free(pipe->bytes);
    free(pipe->segments);
    pipe->bytes = NULL;
    pipe->segments = NULL;
    pipe->segments_count = 0;
}

/* --- Bytes ------------------------------------------------------------------------------------------------------------------ */

static void copy_out(const tni_sim_pipe *pipe, void *out, size_t size)
{
    size_t first = pipe->allocated - pipe->head < size ? pipe->allocated - pipe->head : size;

    if (size == 0)
        return;
    memcpy(out, pipe->bytes + pipe->head, first);
    memcpy((char *)out + first, pipe->bytes, size - first);
}

static void grow(tni_sim_pipe *pipe, size_t wanted)
{
    size_t allocated = pipe->allocated > RING_MIN ? pipe->allocated : RING_MIN;
    char *bytes;

    while (allocated < wanted)
        allocated *= 2;
    if (allocated == pipe->allocated)
        return;
    bytes = malloc(allocated);
    if (bytes == NULL)
        tni_sim_run_fail("memory", "the simulator has no memory");
    copy_out(pipe, bytes, pipe->total);
    free(pipe->bytes);
    pipe->bytes = bytes;
    pipe->allocated = allocated;
    pipe->head = 0;
}

void tni_sim_pipe_put(tni_sim_pipe *pipe, const void *bytes, size_t size)
{
    size_t at;
    size_t first;

    grow(pipe, pipe->total + size);
    at = (pipe->head + pipe->total) & (pipe->allocated - 1);
    first = pipe->allocated - at < size ? pipe->allocated - at : size;
    memcpy(pipe->bytes + at, bytes, first);
    memcpy(pipe->bytes, (const char *)bytes + first, size - first);
    pipe->total += size;
}

size_t tni_sim_pipe_take(tni_sim_pipe *pipe, void *out, size_t size)
{
    size_t n = pipe->arrived < size ? pipe->arrived : size;

    copy_out(pipe, out, n);
    if (n > 0)
        pipe->head = (pipe->head + n) & (pipe->allocated - 1);
    pipe->total -= n;
    pipe->arrived -= n;
    return n;
}

/* --- Segments --------------------------------------------------------------------------------------------------------------- */

static tni_sim_segment *segment_at(const tni_sim_pipe *pipe, size_t index)
{
    return &pipe->segments[(pipe->segments_head + index) & (pipe->segments_allocated - 1)];
}

static void grow_segments(tni_sim_pipe *pipe)
{
    size_t allocated = pipe->segments_allocated == 0 ? 4 : 2 * pipe->segments_allocated;
    tni_sim_segment *segments;

    if (pipe->segments_count < pipe->segments_allocated)
        return;
    segments = malloc(allocated * sizeof *segments);
    if (segments == NULL)
        tni_sim_run_fail("memory", "the simulator has no memory");
    for (size_t i = 0; i < pipe->segments_count; i++)
        segments[i] = *segment_at(pipe, i);
    free(pipe->segments);
    pipe->segments = segments;
    pipe->segments_allocated = allocated;
    pipe->segments_head = 0;
}

void tni_sim_pipe_send(tni_sim_pipe *pipe, const tni_sim_link *link, tni_sim_segment_kind kind, size_t bytes,
                       void (*fire)(tni_sim_event *event))
{
    uint64_t now_ns = tni_sim_time_ns();
    uint64_t at_ns = now_ns;

    if (link != NULL) {
        pipe->free_at_ns = (pipe->free_at_ns > now_ns ? pipe->free_at_ns : now_ns) + tni_sim_link_busy_ns(link, bytes);
        at_ns = pipe->free_at_ns + tni_sim_link_latency_ns(link);
    }
    if (at_ns < pipe->last_at_ns)
        at_ns = pipe->last_at_ns;
    pipe->last_at_ns = at_ns;
    grow_segments(pipe);
    *segment_at(pipe, pipe->segments_count++) = (tni_sim_segment){.at_ns = at_ns, .bytes = bytes, .kind = kind};
    if (pipe->segments_count > 1)
        return;
    if (at_ns == now_ns)
        fire(&pipe->event);
    else
        tni_sim_time_set(&pipe->event, at_ns, fire);
}

const tni_sim_segment *tni_sim_pipe_due(const tni_sim_pipe *pipe)
{
    const tni_sim_segment *first = pipe->segments_count > 0 ? segment_at(pipe, 0) : NULL;

    return first != NULL && first->at_ns <= tni_sim_time_ns() ? first : NULL;
}

void tni_sim_pipe_next(tni_sim_pipe *pipe, void (*fire)(tni_sim_event *event))
{
    pipe->segments_head = (pipe->segments_head + 1) & (pipe->segments_allocated - 1);
    pipe->segments_count--;
    pipe->losses = 0;
    tni_sim_time_clear(&pipe->event);
    if (pipe->segments_count > 0 && segment_at(pipe, 0)->at_ns > tni_sim_time_ns())
        tni_sim_time_set(&pipe->event, segment_at(pipe, 0)->at_ns, fire);
}

unsigned tni_sim_pipe_lose(tni_sim_pipe *pipe, void (*fire)(tni_sim_event *event))
{
    uint64_t pause_ns = RETRANSMIT_NS << (pipe->losses < 12 ? pipe->losses : 12);

    pipe->losses++;
    segment_at(pipe, 0)->at_ns = tni_sim_time_ns() + (pause_ns < RETRANSMIT_MAX_NS ? pause_ns : RETRANSMIT_MAX_NS);
    tni_sim_time_clear(&pipe->event);
    tni_sim_time_set(&pipe->event, segment_at(pipe, 0)->at_ns, fire);
    return pipe->losses;
}
