/* SPDX-License-Identifier: MIT */
/* The beginning and the end of a run, and its failures. */
#include "sim/sim_run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/alloc_sim.h"
#include "sim/os_memory_sim.h"
#include "sim/sim_file.h"
#include "sim/sim_fine.h"
#include "sim/sim_thread.h"
#include "sim/sim_trace.h"

static struct {
    bool on;
    tni_sim_run_options options;
    tni_sim_run_result *result;
} run;

bool tni_sim_run_is_on(void)
{
    return run.on;
}

uint64_t tni_sim_run_seed(void)
{
    return run.options.seed;
}

static void fill_result(void)
{
    run.result->digest = tni_sim_trace_digest();
    run.result->events = tni_sim_trace_count();
    run.result->use = (tni_sim_use){tni_sim_alloc_heap_bytes(), tni_os_memory_sim_used()};
    run.result->virtual_ns = tni_sim_time_ns() - TNI_SIM_TIME_BEGIN_NS;
}

static _Noreturn void end_failed(const char *kind, const char *message)
{
    run.on = false;
    fill_result();
    (void)snprintf(run.result->failure, sizeof run.result->failure, "%s", kind);
    (void)fprintf(stderr, "tournant_sim: %s in %s, at %llu ns, event %llu: %s\n", kind,
                  tni_sim_thread_name_of(tni_sim_thread_self()), (unsigned long long)run.result->virtual_ns,
                  (unsigned long long)run.result->events, message);
    if (strcmp(kind, "deadlock") == 0 || strcmp(kind, "limit") == 0)
        tni_sim_thread_print_all();
    (void)fflush(NULL);
    _exit(TNI_SIM_RUN_EXIT_FAILED);
}

void tni_sim_run_fail(const char *kind, const char *format, ...)
{
    char message[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    end_failed(kind, message);
}

void tni_sim_run_check_limits(void)
{
    if (tni_sim_time_ns() - TNI_SIM_TIME_BEGIN_NS > run.options.virtual_max_ns)
        end_failed("limit", "the run takes more virtual time than --virtual-seconds allows");
    if (tni_sim_trace_count() > run.options.events_max)
        end_failed("limit", "the run has more events than --events allows");
}

static void check_nothing_left(void)
{
    if (tni_sim_thread_left() > 0)
        tni_sim_run_fail("leak", "%u threads are left when the function returns", tni_sim_thread_left());
    if (tni_sim_file_count() > 0)
        tni_sim_run_fail("leak", "%u sockets or events are open when the function returns", tni_sim_file_count());
    if (tni_sim_alloc_in_use() > 0)
        tni_sim_run_fail("leak", "%llu blocks of the default allocator are in use when the function returns",
                         (unsigned long long)tni_sim_alloc_in_use());
    if (tni_os_memory_sim_mapped() > 0)
        tni_sim_run_fail("leak", "%zu bytes are mapped when the function returns", tni_os_memory_sim_mapped());
}

void tni_sim_run(const tni_sim_run_options *options, tn_sim_fn fn, void *arg, tni_sim_run_result *result)
{
    run.options = *options;
    run.result = result;
    tni_sim_choice_met = &result->counts;
    tni_sim_alloc_begin(options->expected.heap_bytes);
    tni_os_memory_sim_begin(&options->expected.stacks);
    tni_sim_choice_begin(options->seed, &options->limits);
    tni_sim_thread_begin(options->starved);
    tni_sim_trace_begin(options->print, options->stop_at);
    tni_sim_fine_begin(options->preemptions_max);
    run.on = true;
    fn(arg);
    check_nothing_left();
    run.on = false;
    fill_result();
    result->ended = true;
}

/* --- For the program -------------------------------------------------------------------------------------------------------- */

uint64_t tn_sim_seed(void)
{
    tni_sim_choice_seed_matters();
    return run.options.seed;
}

uint32_t tn_sim_choose(uint32_t count)
{
    uint32_t chosen;

    if (count == 0)
        tni_sim_run_fail("assertion", "tn_sim_choose(0)");
    chosen = tni_sim_choice_below(TNI_SIM_PROGRAM, count);
    tni_sim_trace(TNI_SIM_TRACE_CHOOSE, chosen, count);
    return chosen;
}

static tni_sim_size *find_size(tni_sim_size *sizes, const char *name)
{
    for (unsigned i = 0; i < TNI_SIM_SIZES_MAX; i++)
        if (sizes[i].name[0] == '\0' || strcmp(sizes[i].name, name) == 0)
            return &sizes[i];
    return NULL;
}

uint64_t tn_sim_size(const char *name, uint64_t usual)
{
    tni_sim_size *given = find_size(run.options.sizes, name);
    tni_sim_size *told = find_size(run.result->sizes, name);
    uint64_t value = given != NULL && given->name[0] != '\0' ? given->value : usual;

    if (told == NULL || strlen(name) >= sizeof told->name)
        tni_sim_run_fail("assertion", "tn_sim_size: more than %d names, or a name that is too long", TNI_SIM_SIZES_MAX);
    (void)snprintf(told->name, sizeof told->name, "%s", name);
    told->value = value;
    return value;
}

void tn_sim_note(const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    tni_sim_trace_note(TNI_SIM_TRACE_NOTE, text, 0);
}

void tn_sim_fail(const char *file, int line, const char *message)
{
    tni_sim_run_fail("check", "%s:%d: does not hold: %s", file, line, message);
}

void tn_sim_allow_faults(unsigned faults)
{
    tni_sim_choice_allow(faults);
}
