/* SPDX-License-Identifier: MIT */
/* Random small programs: with the reduction the search must find the same outcomes as without it (--compare SEEDS). */
#include "atomic_model.h"
#include "base/thread.h"
#include "model.h"

#define THREADS 3
#define OPERATIONS 4

typedef struct {
    tni_a32 words[3];
    tni_os_mutex lock;
    uint32_t locked;
    uint64_t seen[THREADS];
} random_program;

static uint32_t draw(uint64_t *state, uint32_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 20) % below;
}

static void setup(void *state)
{
    random_program *p = state;

    for (unsigned i = 0; i < 3; i++)
        tni_a32_init(&p->words[i], 0);
    tni_os_mutex_init(&p->lock);
}

static uint32_t operate(random_program *p, uint64_t *random, uint32_t value)
{
    static const tni_order loads[] = {TNI_RELAXED, TNI_ACQUIRE, TNI_SEQ_CST};
    static const tni_order stores[] = {TNI_RELAXED, TNI_RELEASE, TNI_SEQ_CST};
    tni_a32 *word = &p->words[draw(random, 3)];
    uint32_t order = draw(random, 3);
    uint32_t seen = 0;

    switch (draw(random, 8)) {
    case 0:
    case 1:
    case 2:
        return tni_a32_load(word, loads[order]);
    case 3:
    case 4:
        tni_a32_store(word, value % 2, stores[order]); /* few values, so that stores often have the same one */
        return 0;
    case 5:
        return tni_a32_fetch_add(word, 1, order == 0 ? TNI_RELAXED : TNI_ACQ_REL);
    case 6:
        tni_fence_full();
        return 0;
    default:
        tni_os_mutex_lock(&p->lock);
        seen = p->locked++;
        tni_os_mutex_unlock(&p->lock);
        return seen;
    }
}

static void thread(void *state)
{
    random_program *p = state;
    unsigned self = model_self() - 1;
    uint64_t random = (model_seed * THREADS + self) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    unsigned count = 2 + draw(&random, OPERATIONS - 1);

    for (unsigned i = 0; i < count; i++)
        p->seen[self] = p->seen[self] * 16 + operate(p, &random, self * 4 + i + 1) % 16;
}

static void finish(void *state)
{
    random_program *p = state;
    uint64_t outcome = 0;

    for (unsigned i = 0; i < THREADS; i++)
        outcome = outcome * 65599 + p->seen[i];
    for (unsigned i = 0; i < 3; i++)
        outcome = outcome * 65599 + tni_a32_load(&p->words[i], TNI_RELAXED);
    model_outcome(outcome);
}

const model_scenario model_scenarios[] = {
    {"fuzz.two_threads", sizeof(random_program), setup, {thread, thread}, finish},
    {"fuzz.three_threads", sizeof(random_program), setup, {thread, thread, thread}, finish},
    {0},
};
