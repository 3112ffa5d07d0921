/* SPDX-License-Identifier: MIT */
/* The whole runtime: created, one task spawned from outside, destroyed. */
#include <tn/runtime.h>
#include <tn/task.h>

#include "base/fork.h"
#include "model.h"

typedef struct {
    uint32_t ran;
} whole;

static void in_child(void) {}

/* Only the first execution of the process registers the handler of fork: not among the steps that are compared. */
static void watch_forks(void *state)
{
    (void)state;
    model_check(tni_fork_watch(in_child) == 0);
}

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
    {.name = "runtime.one_task",
     .state_bytes = sizeof(whole),
     .setup = watch_forks,
     .threads = {live},
     .no_chance = true,
     .no_preemptions = true},
    {0},
};
