/* The cases of micro.c: each measures one round and notes the result. */
#ifndef MICRO_CASES_H
#define MICRO_CASES_H

#include <stdatomic.h>
#include <stdbool.h>

#include "tn.h"

typedef struct {
    unsigned workers;
    bool quick;
    bool last_round;
} micro_settings;

/* micro_tasks.c */
void micro_switch_loop(const micro_settings *settings);
void micro_spawn_join(const micro_settings *settings);
void micro_spawn_many_local(const micro_settings *settings);
void micro_spawn_many_remote(const micro_settings *settings);
void micro_yield_many(const micro_settings *settings);
void micro_chained_spawn(const micro_settings *settings);
void micro_wake_join(const micro_settings *settings);

/* micro_scopes.c */
void micro_timeout_unused(const micro_settings *settings);
void micro_select_ready(const micro_settings *settings);

/* micro_timers.c */
void micro_timers(const micro_settings *settings);
void micro_lateness(const micro_settings *settings);
void micro_idle(const micro_settings *settings);

/* A future that is ready when `left` events have been counted. Whoever counts the last one touches it once more after it is
 * ready: so its memory lives on, and when it is used again meanwhile, the new waiter gets a wake too many, and arms again. */
typedef struct {
    tn_future base;
    atomic_long left;
    _Atomic(tn_waker *) waker;
} micro_latch;

void micro_latch_init(micro_latch *latch, long count);
void micro_latch_count(micro_latch *latch);

/* A runtime of the settings, and its end: every task must have ended. */
tn_runtime *micro_start(const micro_settings *settings);
void micro_stop(tn_runtime *runtime);

/* Runs entry(arg) as a task and waits for it. */
void micro_run(tn_runtime *runtime, tn_entry_fn entry, void *arg);

#endif
