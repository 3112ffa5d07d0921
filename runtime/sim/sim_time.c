/* SPDX-License-Identifier: MIT */
/* The clock, and a binary heap of events. */
#include "sim/sim_time.h"

#include <stdlib.h>

#include "sim/sim_fine.h"
#include "sim/sim_run.h"

static struct {
    uint64_t now_ns;
    uint64_t orders;
    tni_sim_event **heap; /* heap[0] is the next one */
    size_t count;
    size_t capacity;
} timeline = {.now_ns = TNI_SIM_TIME_BEGIN_NS};

uint64_t tni_sim_time_ns(void)
{
    return timeline.now_ns;
}

static bool is_earlier(const tni_sim_event *a, const tni_sim_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void put(size_t position, tni_sim_event *event)
{
    timeline.heap[position] = event;
    event->position = position + 1;
}

static void move_up(size_t position, tni_sim_event *event)
{
    while (position > 0 && is_earlier(event, timeline.heap[(position - 1) / 2])) {
        put(position, timeline.heap[(position - 1) / 2]);
        position = (position - 1) / 2;
    }
    put(position, event);
}

static void move_down(size_t position, tni_sim_event *event)
{
    for (;;) {
        size_t child = 2 * position + 1;
        if (child >= timeline.count)
            break;
        if (child + 1 < timeline.count && is_earlier(timeline.heap[child + 1], timeline.heap[child]))
            child++;
        if (!is_earlier(timeline.heap[child], event))
            break;
        put(position, timeline.heap[child]);
        position = child;
    }
    put(position, event);
}

void tni_sim_time_set(tni_sim_event *event, uint64_t at_ns, void (*fire)(tni_sim_event *event))
{
    if (timeline.count == timeline.capacity) {
        timeline.capacity = timeline.capacity == 0 ? 64 : 2 * timeline.capacity;
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
        timeline.heap = realloc(timeline.heap, timeline.capacity * sizeof *timeline.heap);
        if (timeline.heap == NULL)
            tni_sim_run_fail("memory", "the simulator has no memory");
    }
    event->at_ns = at_ns;
    event->order = timeline.orders++;
    event->fire = fire;
    move_up(timeline.count++, event);
}

void tni_sim_time_clear(tni_sim_event *event)
{
    size_t position = event->position;
    tni_sim_event *last;

    if (position-- == 0)
        return;
    event->position = 0;
    last = timeline.heap[--timeline.count];
    if (last == event)
        return;
    if (position > 0 && is_earlier(last, timeline.heap[(position - 1) / 2]))
        move_up(position, last);
    else
        move_down(position, last);
}

static void fire_first(void)
{
    tni_sim_event *event = timeline.heap[0];

    tni_sim_time_clear(event);
    event->fire(event);
}

void tni_sim_time_pass(uint64_t ns)
{
    timeline.now_ns += ns + tni_sim_fine_elapsed_ns();
    while (tni_unlikely(timeline.count > 0 && timeline.heap[0]->at_ns <= timeline.now_ns))
        fire_first();
}

bool tni_sim_time_jump(void)
{
    if (timeline.count == 0)
        return false;
    if (timeline.heap[0]->at_ns > timeline.now_ns)
        timeline.now_ns = timeline.heap[0]->at_ns;
    tni_sim_run_check_limits();
    fire_first();
    return true;
}
