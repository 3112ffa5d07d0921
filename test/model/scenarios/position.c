/* SPDX-License-Identifier: MIT */
/* A file's own position: a call that a worker makes in place never overlaps calls on threads that may block. The latter may
 * overlap each other: the kernel makes them wait. */
#include "pool/position.h"

#include "model.h"

typedef struct {
    tni_position position;
    uint32_t uses[2]; /* plain: a worker's call writes both, a call that may block writes its own */
    uint32_t in_place;
} file;

static void setup(void *state)
{
    file *f = state;

    tni_position_init(&f->position);
    model_name_of(f->position);
}

/* Two calls, so that they come before, between and after the others. */
static void worker(void *state)
{
    file *f = state;

    for (unsigned i = 0; i < 2; i++) {
        if (!tni_position_try_in_place(&f->position))
            continue;
        f->uses[0]++;
        f->uses[1]++;
        f->in_place++;
        tni_position_end_in_place(&f->position);
    }
}

static void call_as(file *f, unsigned which)
{
    tni_position_enter(&f->position);
    tni_position_wait_in_place_ended(&f->position);
    f->uses[which]++;
    tni_position_leave(&f->position);
}

static void first(void *state)
{
    call_as(state, 0);
}
static void second(void *state)
{
    call_as(state, 1);
}

static void finish(void *state)
{
    file *f = state;

    model_check(f->uses[0] == f->in_place + 1);
    model_check(f->uses[1] == f->in_place || f->uses[1] == f->in_place + 1);
    model_check(tni_a32_load(&f->position.word, TNI_RELAXED) == 0);
}

static void finish_alone(void *state)
{
    file *f = state;

    model_check(f->in_place == 2);
}

#define CASE(what, after, ...) \
    { \
        .name = "position." what, .state_bytes = sizeof(file), .setup = setup, .finish = after, .no_chance = true, .threads = { \
            __VA_ARGS__ \
        } \
    }

const model_scenario model_scenarios[] = {
    CASE("alone", finish_alone, worker),
    CASE("one", finish, worker, first),
    CASE("two", finish, worker, first, second),
    {0},
};
