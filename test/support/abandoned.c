/* SPDX-License-Identifier: MIT */
#include "abandoned.h"

#include "task/task.h"

typedef struct {
    const tn_task *fiber;
    bool (*condition)(const tn_task *fiber);
} awaited;

static bool rests(const tn_task *fiber)
{
    return (tni_a64_load(&fiber->state, TNI_ACQUIRE) & (TNI_TASK_ACTIVE | TNI_TASK_COMPLETE)) == 0;
}

static void *yield_until(void *arg)
{
    const awaited *self = arg;
    uint64_t limit_ns = tn_now() + 60 * TN_S;

    while (!self->condition(self->fiber))
        tt_check(tn_now() < limit_ns && tn_yield() == 0);
    return NULL;
}

void tt_abandon_begin_when(tt_abandoned *self, tn_entry_fn entry, void *arg, bool (*condition)(const tn_task *fiber))
{
    tn_options options = tn_options_default();
    awaited until;

    options.flavor = TN_CURRENT_THREAD;
    tt_allocator_init(&self->allocator);
    options.allocator = &self->allocator.as_option;
    tt_check(tn_runtime_create(&self->runtime, &options) == 0);
    self->fiber = tt_spawn_on(self->runtime, entry, arg);
    until = (awaited){self->fiber, condition};
    tt_check(tn_block_on(self->runtime, yield_until, &until, NULL) == 0);
}

void tt_abandon_begin(tt_abandoned *self, tn_entry_fn entry, void *arg)
{
    tt_abandon_begin_when(self, entry, arg, rests);
}

void tt_abandon_end_with(tt_abandoned *self, size_t others)
{
    tt_check(tn_runtime_destroy(self->runtime, TN_SHUTDOWN_WAIT, 0) == 1 + others);
    tt_check(tn_join(self->fiber, NULL) == TN_ESHUTDOWN);
}

void tt_abandon_end(tt_abandoned *self)
{
    tt_abandon_end_with(self, 0);
    tt_check(atomic_load(&self->allocator.blocks) == 0);
}
