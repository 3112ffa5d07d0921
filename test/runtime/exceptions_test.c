/* SPDX-License-Identifier: MIT */
/* Fibers that suspend while they handle C++ exceptions. This is a program in C: it loads a plug-in in C++ while it runs. */
/* ctest: timeout=120 */
#include "support/runtime.h"

#ifndef PLUGIN

Test(exceptions, none)
{
    cr_skip("there is no C++ compiler");
}

#else

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>

#include "runtime/exceptions_plugin.h"

/* Loads the plug-in and returns one of its functions. Not in the program's scope, as most programs load their plug-ins. */
static plugin_session load(const char *name)
{
    void *plugin = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
    plugin_session session = NULL;

    tt_check(plugin != NULL);
    *(void **)&session = dlsym(plugin, name);
    tt_check(session != NULL);
    return session;
}

static void suspend_long(void)
{
    tt_check(tn_sleep(TN_MS) == 0);
}

static void suspend_short(void)
{
    tt_check(tn_yield() == 0);
}

typedef struct {
    plugin_session session;
    plugin_suspend suspend;
    unsigned rounds;
    atomic_ulong bad;
} crowd;

static void *attend(void *arg)
{
    crowd *c = arg;
    char name[64];

    (void)snprintf(name, sizeof name, "error of task %llu", (unsigned long long)tn_task_id(tn_self()));
    for (unsigned i = 0; i < c->rounds; i++)
        if (!c->session(c->suspend, name))
            atomic_fetch_add(&c->bad, 1);
    return NULL;
}

enum { TASKS = 50 };

static void run_crowd(crowd *c)
{
    tn_task *tasks[TASKS];

    for (int i = 0; i < TASKS; i++)
        tasks[i] = tt_spawn(attend, c);
    for (int i = 0; i < TASKS; i++)
        (void)tt_join(tasks[i]);
    tt_check_eq(atomic_load(&c->bad), 0);
}

static void *load_and_run(void *name)
{
    crowd c = {.rounds = (unsigned)tt_scaled(40)};

    suspend_long(); /* no C++ runtime was there at the first suspensions */
    c.session = load(name);
    for (int i = 0; i < 2; i++) {
        c.suspend = i == 0 ? suspend_short : suspend_long;
        run_crowd(&c);
    }
    return NULL;
}

Test(exceptions, in_a_handler)
{
    tt_run(load_and_run, (void *)"plugin_catch");
}

Test(exceptions, in_a_handler_in_a_handler)
{
    tt_run(load_and_run, (void *)"plugin_nested");
}

Test(exceptions, in_a_destructor_during_unwinding)
{
    tt_run(load_and_run, (void *)"plugin_unwind");
}

Test(exceptions, with_a_captured_one)
{
    tt_run(load_and_run, (void *)"plugin_capture");
}

/* --- Loaded, thrown and suspended in one run ------------------------------------------------------------------------------ */

static crowd first;

static void suspend_to_others(void)
{
    run_crowd(&first);
}

static void *load_throw_suspend(void *arg)
{
    plugin_session session;

    suspend_short();
    session = load("plugin_catch");
    first = (crowd){.session = session, .suspend = suspend_short, .rounds = 3};
    tt_check(session(suspend_to_others, "error of the fiber that loads"));
    return arg;
}

Test(exceptions, of_the_fiber_that_loads_the_plugin)
{
    tt_run(load_throw_suspend, NULL);
}

/* --- A thread that runs tasks from within a handler ----------------------------------------------------------------------- */

static tn_runtime *on_this_thread;

static void run_tasks_here(void)
{
    cr_assert_eq(tn_block_on(on_this_thread, load_and_run, (void *)"plugin_nested", NULL), 0);
}

Test(exceptions, tasks_run_by_a_thread_in_a_handler)
{
    tn_options options = tn_options_default();

    options.flavor = TN_CURRENT_THREAD;
    cr_assert_eq(tn_runtime_create(&on_this_thread, &options), 0);
    cr_assert(load("plugin_nested")(run_tasks_here, "error of the thread"));
    cr_assert_eq(tn_runtime_destroy(on_this_thread, TN_SHUTDOWN_WAIT, UINT64_MAX), 0);
}

#endif
