/* SPDX-License-Identifier: MIT */
/* The cases of micro.c: each measures one round and notes the result. */
#ifndef MICRO_CASES_H
#define MICRO_CASES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tn.h>

/* Which kinds of task timers and live measure. */
typedef enum { MICRO_BOTH, MICRO_STACKLESS, MICRO_FIBERS } micro_kind;

typedef struct {
    const char *name; /* of the case that runs */
    unsigned workers;
    bool quick;
    bool last_round;
    bool lines; /* of JSON, for tools/bench, instead of text */
    long count; /* iterations of the case's loop; tasks in timers and live; 0: the case's default */
    micro_kind kind;
} micro_settings;

/* micro_tasks.c */
void micro_switch_loop(const micro_settings *settings);
void micro_spawn_join(const micro_settings *settings);
void micro_spawn_many_local(const micro_settings *settings);
void micro_spawn_many_remote(const micro_settings *settings);
void micro_yield_many(const micro_settings *settings);
void micro_chained_spawn(const micro_settings *settings);

/* micro_wake.c */
void micro_wake_local(const micro_settings *settings);
void micro_thread_wake(const micro_settings *settings);

/* micro_scopes.c */
void micro_await_ready(const micro_settings *settings);
void micro_timeout_unused(const micro_settings *settings);
void micro_await_for(const micro_settings *settings);
void micro_select_ready(const micro_settings *settings);

/* micro_timers.c */
void micro_timers(const micro_settings *settings);
void micro_lateness(const micro_settings *settings);
void micro_idle(const micro_settings *settings);

/* micro_sync.c */
void micro_chan_pingpong(const micro_settings *settings);
void micro_ping_pong(const micro_settings *settings);
void micro_mpsc_1(const micro_settings *settings);
void micro_mpsc_4(const micro_settings *settings);
void micro_mutex_free(const micro_settings *settings);
void micro_mutex_2(const micro_settings *settings);
void micro_mutex_64(const micro_settings *settings);
void micro_mutex_wake(const micro_settings *settings);
void micro_semaphore_wake(const micro_settings *settings);

/* micro_burst.c */
void micro_burst(const micro_settings *settings);

/* micro_live.c */
void micro_first_touch(const micro_settings *settings);
void micro_live(const micro_settings *settings);

/* micro_blocking.c */
void micro_spawn_blocking_batch(const micro_settings *settings);
void micro_spawn_blocking_roundtrip(const micro_settings *settings);
void micro_blocking_run(const micro_settings *settings);
void micro_blocking_submitters(const micro_settings *settings);
void micro_blocking_sleepers(const micro_settings *settings);
void micro_block_declared(const micro_settings *settings);
void micro_block_eager(const micro_settings *settings);

/* micro_reading.c: the case of the settings' name */
void micro_reading(const micro_settings *settings);

/* micro_stuck.c */
void micro_takeover(const micro_settings *settings);

/* micro_files.c */
void micro_files_small(const micro_settings *settings);
void micro_files_large(const micro_settings *settings);

/* --- micro_common.c --- */

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
tn_runtime *micro_start_with(const micro_settings *settings, tn_options options);
void micro_stop(tn_runtime *runtime);

/* Returns the iterations of a case's loop: `count` of the settings, or one of the defaults. */
long micro_times(const micro_settings *settings, long full, long quick);

/* Runs entry(arg) as a task and waits for it. */
void micro_run(tn_runtime *runtime, tn_entry_fn entry, void *arg);

/* Shows in the last round how `count` sorted times in nanoseconds are spread: as text, or as a line of JSON. */
void micro_show_times(const micro_settings *settings, const char *name, const char *title, uint64_t *times_ns, size_t count);

/* A case that is a loop in one task: `entry` gets a pointer to a long, how many times. */
typedef struct {
    const char *name;
    const char *unit;
    tn_entry_fn entry;
    long times;
    long quick_times;
    long warm_times;   /* before the clock starts */
    double operations; /* a time */
} micro_loop;

void micro_measure_loop(const micro_settings *settings, const micro_loop *loop);

#endif
