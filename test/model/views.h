/* SPDX-License-Identifier: MIT */
/* What the threads know, for memory.c: views and vector clocks. */
#ifndef TN_MODEL_VIEWS_H
#define TN_MODEL_VIEWS_H

#include "engine.h"

/* A view that a store or a lock carries; never changed once made. */
typedef struct {
    model_clock clock;
    unsigned count;
    uint32_t stamp[];
} model_snapshot;

typedef struct {
    model_clock clock;
    uint32_t stamp[MODEL_LOCATIONS]; /* a word: the oldest store that may still be read */
} model_view;

typedef struct {
    model_view now;     /* what the thread must see */
    model_view pending; /* what a fence will add to that: released to relaxed reads */
    bool has_pending;
    const model_snapshot *released; /* by its last fence: goes with relaxed stores */
    const model_snapshot *latest;   /* of `now`, while unchanged */
    uint32_t pauses;
} model_knowledge;

extern unsigned views_width;                      /* words so far */
extern uint32_t views_sc_stores[MODEL_LOCATIONS]; /* a word: the newest seq_cst store */

void views_reset(void);
/* Memory until the end of the execution. */
void *views_take(size_t bytes);
/* The running thread's. */
model_knowledge *views_self(void);
void views_join(model_view *into, const model_snapshot *from);
const model_snapshot *views_snapshot(model_knowledge *mine);
const model_snapshot *views_merged(const model_snapshot *a, const model_snapshot *b);
bool views_tell_no_more(const model_snapshot *less, const model_snapshot *more);
/* The running thread has done something: plain accesses from here on are not covered by what it has released. */
void views_tick(model_knowledge *mine);

#endif
