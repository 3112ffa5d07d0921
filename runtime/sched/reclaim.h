/* SPDX-License-Identifier: MIT */
/* What a thread does that finds no memory: it asks all cores for what they hold in reserve, and waits for that a short time.
 *
 * Only the holder of a core accesses the core's free headers and its cached stacks. So a core may hold thousands of headers while
 * a spawn elsewhere finds none, and each cached stack keeps a slab of stacks mapped.
 *
 * State: `round` of the runtime: requests so far; `reclaimed` of a core: the last round for which it has given; `changes`: counts
 * requests and gifts, and the requesters sleep on it.
 *
 *   requester: 1. round + 1; announce that stacks are waited for; full fence; wake the parked workers
 *              2. changes + 1, and wake the other requesters
 *              3. load changes; give for the own core; if all cores have given for the round, or the time is up, go to 4; sleep
 *                 while changes is the same; repeat. In the starter a request for replacement threads ends the wait too
 *              4. withdraw the announcement; trim the idle stacks; take the headers that were given
 *   core:      at its periodic check, and before it parks, if stacks are waited for and `reclaimed` is not the round:
 *              1. load round; move the cached stacks to the pool, and headers to the inbox of the own cache; free the blocks
 *              2. store that round to `reclaimed`; changes + 1, and wake the requesters
 *
 * *No request is missed.* A worker marks its core parked, makes a full fence, and then loads the announcement and the round
 * before it sleeps. A requester writes both, makes a full fence, and then checks for the mark. So the worker gives, or it is
 * woken.
 *
 * *No gift is missed.* The requester loads `changes` before it checks the cores, and a core stores `reclaimed` before it changes
 * `changes`. So the check observes the gift, or the sleep ends at once.
 *
 * *Two requesters do not wait for each other.* Each gives for its own core in every turn of its loop, and step 2 of the other one
 * wakes it for a new round.
 *
 * *The starter is not held up.* A request to it sets its bit before it changes `changes`, and the starter loads `changes` before
 * the bits. What the cores give later is there for the next attempt.
 *
 * The headers of threads without a core are given by the requester itself, under the lock that guards them.
 *
 * A worker that is inside one task for long gives nothing. Therefore the wait is bounded, and no thread waits again for a while
 * after a request that has brought nothing. */
#ifndef TNI_RECLAIM_H
#define TNI_RECLAIM_H

#include "sched/core.h"

/* Of a runtime. */
typedef struct {
    tni_a32 round;
    tni_a32 changes;
    tni_a64 not_before_ns; /* no thread waits before that time */
} tni_reclaim;

void tni_reclaim_init(tni_reclaim *reclaim);

/* Makes all cores give what they hold in reserve, and returns the memory of idle stacks to the kernel. Blocks the calling thread
 * for at most TNI_RECLAIM_WAIT_NS. `own`: the core that the caller holds, or NULL. The caller holds no lock. */
void tni_reclaim_memory(tn_runtime *runtime, tni_core *own);
/* Whether it would ask the cores now, or only trim: see tni_reclaim_found_nothing. */
bool tni_reclaim_is_allowed(tn_runtime *runtime);
/* The same in the starter: waits no longer when the starter has something urgent to do. */
void tni_reclaim_memory_in_starter(tn_runtime *runtime);
/* Makes the starter check for that. */
void tni_reclaim_wake(tn_runtime *runtime);
/* The same for a caller outside of the scheduler, which may be inside a task. */
void tni_reclaim_memory_here(tn_runtime *runtime);

/* tni_alloc by the allocator of the runtime. If there is no memory, it tries again after tni_reclaim_memory_here. */
void *tni_reclaim_alloc(tn_runtime *runtime, size_t size_bytes, size_t align_bytes);

/* Called by a thread that has found nothing after that: no thread waits for the next TNI_RECLAIM_PAUSE_NS. */
void tni_reclaim_found_nothing(tn_runtime *runtime);

/* Holder: gives, if there is a request for which the core has not given yet. */
void tni_reclaim_give(tni_core *core);
/* Holder: whether tni_reclaim_give would give. */
bool tni_reclaim_is_due(const tni_core *core);

/* Returns a header from those that other caches than `cache` have given away; NULL: there is none. The caller owns `cache`. */
tn_task *tni_reclaim_header(tn_runtime *runtime, tni_slab_cache *cache);

#endif
