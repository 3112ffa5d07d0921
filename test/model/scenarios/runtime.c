/* SPDX-License-Identifier: MIT */
/* The whole runtime: created, one task spawned from outside, destroyed. */
#include <tn/runtime.h>
#include <tn/task.h>

#include "model.h"

typedef struct {
    uint32_t ran;
} whole;

static void *entry(void *arg)
{
    whole *w = arg;

    w->ran = 1;
    return NULL;
}

static void live(void *state)
{
    whole *w = state;
    tn_runtime *runtime;
    tn_options options = tn_options_default();
    void *result;

    options.workers = 1;
    options.guard = TN_GUARD_NONE;
    options.stack_size_bytes = 16 * 1024;
    model_check(tn_runtime_create(&runtime, &options) == 0);
    model_check(tn_block_on(runtime, entry, w, &result) == 0);
    model_check(w->ran == 1);
    model_check(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, UINT64_MAX) == 0);
}

const model_scenario model_scenarios[] = {
    {.name = "runtime.one_task", .state_bytes = sizeof(whole), .threads = {live}, .no_chance = true, .no_preemptions = true},
    {0},
};
