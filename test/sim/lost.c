/* SPDX-License-Identifier: MIT */
/* Wakes that are lost on purpose, by writes into the state of the library: each must be noticed when all threads sleep. The last
 * argument, behind `--`, names one. A program of sim_test.py. */
#include <string.h>

#include <tn.h>
#include <tn/sim.h>

#include "base/tls.h"
#include "pool/pool_internal.h"
#include "sched/runtime.h"

/* What is broken is of the core whose worker is parked, while the other one runs this. */
static tni_core *other_core(void)
{
    tn_runtime *runtime = tn_self()->runtime;
    tni_core *mine = tni_tls_get()->worker->core.value;

    return runtime->cores[mine->index == 0 ? 1 : 0];
}

static uint64_t parked_mark(const tni_core *core)
{
    return UINT64_C(1) << core->index;
}

static void lose_mail(tni_core *core)
{
    ((tni_worker *)core->worker.value)->mailbox.newest.value = core;
}

static void lose_parked_mark(tni_core *core)
{
    core->runtime->idle.marks[0].value &= ~parked_mark(core);
}

static void keep_searching_mark(tni_core *core)
{
    core->runtime->idle.marks[0].value |= parked_mark(core) << TNI_IDLE_CORES;
}

static void lose_event(tni_core *core)
{
    core->driver.fetched.count = 1;
}

static void lose_open(tni_core *core)
{
    core->driver.incomplete.value = 1;
}

static void keep_loop(tni_core *core)
{
    core->driver.owned.value = 1;
}

static void lose_timer(tni_core *core)
{
    static tni_timer timer;

    tni_wheel_add(&core->timers.wheel, &timer, tn_now() + TN_MS);
}

static void keep_token(tni_core *core)
{
    const tni_attachment *attachment = core->runtime->attachment.value;

    tni_container_of(attachment, tni_pool, base)->wake_token.value = 1;
}

static void *nothing(void *arg)
{
    return arg;
}

static void *root(void *arg)
{
    static const struct {
        const char *name;
        void (*lose)(tni_core *core);
    } ways[] = {
        {"mail", lose_mail},   {"parked", lose_parked_mark}, {"searching", keep_searching_mark},
        {"event", lose_event}, {"open", lose_open},          {"owned", keep_loop},
        {"timer", lose_timer}, {"token", keep_token},
    };

    tn_sim_check(tn_run_blocking(nothing, NULL, NULL) == 0);
    tn_sim_check(tn_sleep(200 * TN_MS) == 0); /* the pool has become quiet */
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (strcmp(arg, ways[i].name) == 0)
            ways[i].lose(other_core());
    (void)tn_sleep(200 * TN_MS);
    return NULL;
}

static void run(void *arg)
{
    tn_options options = tn_options_default();

    options.workers = 2;
    tn_sim_check(tn_run(root, arg, &options) == 0);
}

int main(int argc, char **argv)
{
    return tn_sim_main(argc, argv, run, argv[argc - 1]);
}
