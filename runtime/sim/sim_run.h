/* SPDX-License-Identifier: MIT */
/* One run of the program's function with one seed, in this process. */
#ifndef TNI_SIM_RUN_H
#define TNI_SIM_RUN_H

#include <tn/sim.h>

#include "base/defs.h"
#include "sim/os_memory_sim.h"
#include "sim/sim_choice.h"

#define TNI_SIM_SIZES_MAX 8

/* A number of the program that a failing run is tried again with smaller (tn_sim_size). */
typedef struct {
    char name[24];
    uint64_t value;
} tni_sim_size;

/* Memory that a run has used. A run that knows it makes the memory present at once, which saves time and changes nothing else. */
typedef struct {
    size_t heap_bytes;
    tni_os_memory_sim_use stacks;
} tni_sim_use;

typedef struct {
    uint64_t seed;
    uint64_t preemptions_max; /* 0: coarse mode */
    uint64_t virtual_max_ns;  /* a run that takes longer fails */
    uint64_t events_max;
    bool print;          /* the trace */
    uint64_t stop_at;    /* 0: nowhere */
    const char *starved; /* the name of a thread that gets no processor; NULL: none */
    tni_sim_choice_limits limits;
    tni_sim_size sizes[TNI_SIM_SIZES_MAX]; /* "" ends them */
    tni_sim_use expected;                  /* what a run before has used; all 0: unknown */
} tni_sim_run_options;

/* In memory that the process shares with its parent. */
typedef struct {
    bool ended;       /* the function has returned, and nothing was wrong */
    char failure[32]; /* the kind of failure; "": none was noticed here */
    uint64_t digest;  /* of the trace */
    uint64_t events;
    uint64_t virtual_ns;
    tni_sim_use use;
    tni_sim_choice_counts counts;
    tni_sim_size sizes[TNI_SIM_SIZES_MAX]; /* those that the program has asked for */
} tni_sim_run_result;

/* Exit status of a process whose run has failed. */
enum { TNI_SIM_RUN_EXIT_FAILED = 70 };

/* At most one run for each process: static variables of the program would carry over. */
void tni_sim_run(const tni_sim_run_options *options, tn_sim_fn fn, void *arg, tni_sim_run_result *result);

/* Whether the calling process is inside a run. */
bool tni_sim_run_is_on(void);

uint64_t tni_sim_run_seed(void);

/* Ends the process with a message. `kind`: one word. */
_Noreturn void tni_sim_run_fail(const char *kind, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Fails the run if it is longer than allowed. */
void tni_sim_run_check_limits(void);

#endif
