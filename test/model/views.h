/* SPDX-License-Identifier: MIT */
/* What the threads know, for memory.c: views and vector clocks. */
#ifndef TN_MODEL_VIEWS_H
#define TN_MODEL_VIEWS_H

#include "engine.h"

/* A view that a store or a lock carries; never changed once created. */
typedef struct {
    model_clock clock;
    unsigned count;
    uint32_t stamp[];
} model_snapshot;

typedef struct {
    model_clock clock;
    uint32_t stamp[MODEL_LOCATIONS]; /* per word: the oldest store that may still be read */
} model_view;

typedef struct {
    model_view now;     /* what the thread must see */
    model_view pending; /* what a fence will add to that: released to relaxed reads */
    bool has_pending;
    const model_snapshot *released; /* by its last fence: relaxed stores carry it */
    const model_snapshot *latest;   /* of `now`, while unchanged */
    uint32_t pauses;
} model_knowledge;

extern unsigned views_width;                      /* words so far */
extern uint32_t views_sc_stores[MODEL_LOCATIONS]; /* per word: the newest seq_cst store */

void views_reset(void);
/* Allocates memory that lasts until the end of the execution. */
void *views_alloc(size_t bytes);
/* The running thread's knowledge. */
model_knowledge *views_self(void);
void views_join(model_view *into, const model_snapshot *from);
const model_snapshot *views_snapshot(model_knowledge *mine);
const model_snapshot *views_merged(const model_snapshot *a, const model_snapshot *b);
bool views_carries_no_more(const model_snapshot *less, const model_snapshot *more);
/* The running thread has made an operation: what it has released does not cover plain accesses from here on. */
void views_tick(model_knowledge *mine);

#endif
