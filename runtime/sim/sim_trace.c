/* SPDX-License-Identifier: MIT */
/* The digest and the printing of events. */
#include "sim/sim_trace.h"

#include <signal.h>
#include <stdio.h>

#include "sim/sim_run.h"
#include "sim/sim_thread.h"
#include "sim/sim_time.h"

static const char *const texts[] = {
#define TEXT(name, text) text,
    TNI_SIM_TRACE_TEXTS(TEXT)
#undef TEXT
};

static struct {
    uint64_t digest;
    uint64_t count;
    uint64_t stop_at;
    bool print;
} trace;

void tni_sim_trace_begin(bool print, uint64_t stop_at)
{
    trace.digest = UINT64_C(0x9e3779b97f4a7c15);
    trace.count = 0;
    trace.print = print;
    trace.stop_at = stop_at;
}

static void add(uint64_t word)
{
    trace.digest = (trace.digest ^ word) * UINT64_C(0xff51afd7ed558ccd);
    trace.digest ^= trace.digest >> 32;
}

static void begin_line(void)
{
    uint64_t ns = tni_sim_time_ns() - TNI_SIM_TIME_BEGIN_NS;

    (void)fprintf(stderr, "%8llu %6llu.%06llu ms  %-16s ", (unsigned long long)trace.count, (unsigned long long)(ns / 1000000),
                  (unsigned long long)(ns % 1000000), tni_sim_thread_name_of(tni_sim_thread_self()));
}

static void count(tni_sim_trace_what what)
{
    add((uint64_t)what << 56 ^ (uint64_t)tni_sim_thread_self()->id << 40 ^ tni_sim_time_ns());
    if (++trace.count == trace.stop_at)
        (void)raise(SIGTRAP);
    if ((trace.count & 0xffff) == 0)
        tni_sim_run_check_limits();
}

/* The formats are the constants of sim_trace.h. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

void tni_sim_trace(tni_sim_trace_what what, int64_t a, int64_t b)
{
    add((uint64_t)a * 3 ^ (uint64_t)b << 20);
    if (tni_unlikely(trace.print)) {
        begin_line();
        (void)fprintf(stderr, texts[what], (long long)a, (long long)b);
        (void)fputc('\n', stderr);
    }
    count(what);
}

void tni_sim_trace_note(tni_sim_trace_what what, const char *text, int64_t a)
{
    for (const char *at = text; *at != '\0'; at++)
        add((unsigned char)*at);
    add((uint64_t)a);
    if (tni_unlikely(trace.print)) {
        begin_line();
        (void)fprintf(stderr, texts[what], text, (long long)a);
        (void)fputc('\n', stderr);
    }
    count(what);
}

uint64_t tni_sim_trace_digest(void)
{
    return trace.digest;
}

uint64_t tni_sim_trace_count(void)
{
    return trace.count;
}
