/* SPDX-License-Identifier: MIT */
/* What the threads know: a view (which stores they may still read) and a vector clock (what happened before), the fences that
 * join them, and what locks and threads pass on. */
#include "views.h"

#include <string.h>

#define POOL_BYTES ((size_t)32 << 20)

unsigned views_width;
uint32_t views_sc_stores[MODEL_LOCATIONS];
static char pool[POOL_BYTES];
static size_t pool_used;
static model_knowledge memories[MODEL_THREADS];
static uint32_t sc_view[MODEL_LOCATIONS];

/* What unlocks and the like publish for locks. */
static struct {
    const void *object;
    const model_snapshot *left;
} published[256];
static unsigned published_count;

void *views_alloc(size_t bytes)
{
    void *ptr = pool + pool_used;

    pool_used += (bytes + 15) & ~(size_t)15;
    if (pool_used > POOL_BYTES)
        model_fail("livelock", "the execution has made too many stores");
    return ptr;
}

void views_reset(void)
{
    for (unsigned t = 0; t < MODEL_THREADS; t++) {
        model_knowledge *mine = &memories[t];
        mine->now.clock = (model_clock){0};
        mine->now.clock[t] = 1;
        mine->pending.clock = (model_clock){0};
        memset(mine->now.stamp, 0, views_width * sizeof mine->now.stamp[0]);
        memset(mine->pending.stamp, 0, views_width * sizeof mine->pending.stamp[0]);
        mine->has_pending = false;
        mine->released = NULL;
        mine->latest = NULL;
        mine->pauses = 0;
    }
    memset(sc_view, 0, views_width * sizeof sc_view[0]);
    memset(views_sc_stores, 0, views_width * sizeof views_sc_stores[0]);
    views_width = 0;
    published_count = 0;
    pool_used = 0;
}

model_knowledge *views_self(void)
{
    return &memories[engine.self];
}

model_clock memory_clock(void)
{
    return memories[engine.self].now.clock;
}

/* --- Views ------------------------------------------------------------------------------------------------------------------ */

static model_clock clock_max(model_clock a, model_clock b)
{
    model_clock newer = (model_clock)(a > b);

    return (a & newer) | (b & ~newer);
}

static void join_stamps(uint32_t *into, const uint32_t *from, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        into[i] = into[i] > from[i] ? into[i] : from[i];
}

void views_join(model_view *into, const model_snapshot *from)
{
    into->clock = clock_max(into->clock, from->clock);
    join_stamps(into->stamp, from->stamp, from->count);
}

static bool clock_exceeds(model_clock a, model_clock b)
{
    typedef uint64_t halves __attribute__((vector_size(sizeof(model_clock))));
    halves later = (halves)(a > b);

    return (later[0] | later[1]) != 0;
}

const model_snapshot *views_snapshot(model_knowledge *mine)
{
    model_snapshot *made;

    if (mine->latest != NULL)
        return mine->latest;
    made = views_alloc(sizeof *made + views_width * sizeof made->stamp[0]);
    made->clock = mine->now.clock;
    made->count = views_width;
    memcpy(made->stamp, mine->now.stamp, views_width * sizeof made->stamp[0]);
    mine->latest = made;
    return made;
}

const model_snapshot *views_merged(const model_snapshot *a, const model_snapshot *b)
{
    const model_snapshot *longer;
    const model_snapshot *other;
    model_snapshot *made;

    if (a == NULL || b == NULL || a == b)
        return a == NULL ? b : a;
    longer = a->count >= b->count ? a : b;
    other = longer == a ? b : a;
    made = views_alloc(sizeof *made + longer->count * sizeof made->stamp[0]);
    made->clock = clock_max(a->clock, b->clock);
    made->count = longer->count;
    memcpy(made->stamp, longer->stamp, longer->count * sizeof made->stamp[0]);
    join_stamps(made->stamp, other->stamp, other->count);
    return made;
}

void views_tick(model_knowledge *mine)
{
    mine->now.clock[engine.self]++;
    mine->latest = NULL;
}

bool views_carries_no_more(const model_snapshot *less, const model_snapshot *more)
{
    if (less == NULL || less == more)
        return true;
    if (more == NULL || less->count > more->count || clock_exceeds(less->clock, more->clock))
        return false;
    for (unsigned i = 0; i < less->count; i++)
        if (less->stamp[i] > more->stamp[i])
            return false;
    return true;
}

/* --- Fences ----------------------------------------------------------------------------------------------------------------- */

static void fence_of(unsigned thread)
{
    model_knowledge *mine = &memories[thread];

    if (mine->has_pending) {
        mine->now.clock = clock_max(mine->now.clock, mine->pending.clock);
        join_stamps(mine->now.stamp, mine->pending.stamp, views_width);
        mine->has_pending = false;
    }
    for (unsigned i = 0; i < views_width; i++) {
        uint32_t seen = mine->now.stamp[i] > sc_view[i] ? mine->now.stamp[i] : sc_view[i];
        if (seen < views_sc_stores[i])
            seen = views_sc_stores[i];
        mine->now.stamp[i] = seen;
        sc_view[i] = seen;
    }
    mine->latest = NULL;
    mine->released = views_snapshot(mine);
    mine->now.clock[thread]++;
    mine->latest = NULL;
}

void memory_fence(const void *pc)
{
    search_visible((model_op){OP_FENCE, true, NULL});
    fence_of(engine.self);
    trace_add(pc, "fence");
}

void memory_fence_everywhere(const void *pc)
{
    search_visible((model_op){OP_HEAVY, true, NULL});
    fence_of(engine.self);
    for (unsigned t = 0; t < engine.thread_count; t++)
        if (t != engine.self) /* also in threads that have ended: their stores must be visible too */
            fence_of(t);
    fence_of(engine.self);
    trace_add(pc, "fence in every thread");
}

/* --- Order that does not come from atomic words ----------------------------------------------------------------------------- */

void memory_thread_edge(unsigned from, unsigned to)
{
    views_join(&memories[to].now, views_snapshot(&memories[from]));
    memories[to].latest = NULL;
    memories[from].now.clock[from]++;
    memories[from].latest = NULL;
}

void memory_publish(const void *object)
{
    model_knowledge *mine = &memories[engine.self];
    unsigned i = 0;

    while (i < published_count && published[i].object != object)
        i++;
    if (i == sizeof published / sizeof published[0])
        model_fail("livelock", "the scenario uses too many locks");
    if (i == published_count)
        published_count++;
    published[i].object = object;
    published[i].left = views_snapshot(mine);
    views_tick(mine);
}

void memory_observe(const void *object)
{
    model_knowledge *mine = &memories[engine.self];

    for (unsigned i = 0; i < published_count; i++)
        if (published[i].object == object)
            views_join(&mine->now, published[i].left);
    views_tick(mine);
}

void memory_pauses(void)
{
    memories[engine.self].pauses++;
}
