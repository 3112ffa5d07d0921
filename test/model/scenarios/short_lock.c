/* SPDX-License-Identifier: MIT */
/* The short lock with its spins and naps, which the other scenarios of sync/ leave out: it excludes, and a thread that has
 * waited for the holder's release may free it. */
#include "short_lock.h"

#include "model.h"

typedef struct {
    tni_short_lock *lock;
    uint32_t count; /* plain */
} box;

static void unlocked(void *state)
{
    box *b = state;

    b->lock = model_alloc(sizeof *b->lock, _Alignof(tni_short_lock));
    model_name(b->lock, sizeof *b->lock, "lock");
}

static void locked(void *state)
{
    box *b = state;

    unlocked(state);
    tni_short_lock_acquire(b->lock);
    tni_held_remove(b->lock); /* the thread in `release` holds it */
}

static void count(void *state)
{
    box *b = state;

    tni_short_lock_acquire(b->lock);
    b->count++;
    tni_short_lock_release(b->lock);
}

static void release(void *state)
{
    box *b = state;

    tni_held_add(b->lock);
    b->count++;
    tni_short_lock_release(b->lock);
}

/* Waits until the holder has released the lock. No thread acquires it afterwards. */
static void outlast_and_free(void *state)
{
    box *b = state;

    tni_short_lock_wait_released(b->lock);
    model_check(b->count == 1);
    model_free(b->lock);
}

static void counted_two(void *state)
{
    box *b = state;

    model_check(b->count == 2);
    model_free(b->lock);
}

const model_scenario model_scenarios[] = {
    {.name = "short_lock.exclude",
     .state_bytes = sizeof(box),
     .setup = unlocked,
     .threads = {count, count},
     .finish = counted_two},
    {.name = "short_lock.outlast", .state_bytes = sizeof(box), .setup = locked, .threads = {release, outlast_and_free}},
    {0},
};
