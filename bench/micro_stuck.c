/* SPDX-License-Identifier: MIT */
/* A task blocks its thread, or computes: how long does a task beside it wait, on the same core? */
#include <stdlib.h>
#include <time.h>

#include "measure.h"
#include "micro_cases.h"

enum { STAYS = 50, QUICK_STAYS = 5, STAY_MS = 30, PAUSE_MS = 15 };

static struct {
    void (*keep)(void);
    unsigned stays;
    tn_task *neighbour;
    uint64_t due_ns; /* it could run from then on */
    unsigned count;
    uint64_t waited_ns[STAYS];
} stuck;

static void sleep_in_thread(void)
{
    struct timespec length = {.tv_nsec = STAY_MS * 1000000L};

    nanosleep(&length, NULL);
}

static void compute(void)
{
    uint64_t until_ns = tn_now() + STAY_MS * TN_MS;

    while (tn_now() < until_ns)
        ;
}

static void *be_neighbour(void *arg)
{
    stuck.waited_ns[stuck.count++] = tn_now() - stuck.due_ns;
    return arg;
}

static void *stay(void *arg)
{
    stuck.due_ns = tn_now();
    measure_check(tn_spawn(&stuck.neighbour, be_neighbour, NULL) == 0);
    stuck.keep();
    return arg;
}

/* At all moments between two looks of the monitor; the pauses are short enough for it to stay awake. */
static void *stay_again_and_again(void *arg)
{
    for (unsigned i = 0; i < stuck.stays; i++) {
        tn_task *task;
        measure_check(tn_sleep(PAUSE_MS * TN_MS + i * 137 % 2500 * TN_US) == 0);
        measure_check(tn_spawn(&task, stay, NULL) == 0);
        measure_check(tn_join(task, NULL) == 0);
        measure_check(tn_join(stuck.neighbour, NULL) == 0);
    }
    return arg;
}

static void measure_stays(const micro_settings *settings, tn_runtime *runtime, void (*keep)(void), const char *const names[4])
{
    const double percents[] = {50, 90, 100};

    stuck.keep = keep;
    stuck.count = 0;
    micro_run(runtime, stay_again_and_again, NULL);
    measure_check(stuck.count == stuck.stays);
    measure_sort(stuck.waited_ns, stuck.count);
    for (int i = 0; i < 3; i++)
        measure_note(names[i], "us waited", (double)measure_percentile(stuck.waited_ns, stuck.count, percents[i]) / 1e3, -1);
    micro_show_times(settings, names[3], names[3], stuck.waited_ns, stuck.count);
}

void micro_takeover(const micro_settings *settings)
{
    static const char *const sleep_names[] = {"takeover_sleep_p50", "takeover_sleep_p90", "takeover_sleep_max", "takeover_sleep"};
    static const char *const busy_names[] = {"takeover_busy_p50", "takeover_busy_p90", "takeover_busy_max", "takeover_busy"};
    micro_settings one = *settings;
    tn_runtime *runtime;

    one.workers = 1;
    stuck.stays = settings->quick ? QUICK_STAYS : STAYS;
    runtime = micro_start(&one);
    measure_stays(settings, runtime, sleep_in_thread, sleep_names);
    measure_stays(settings, runtime, compute, busy_names);
    micro_stop(runtime);
}
