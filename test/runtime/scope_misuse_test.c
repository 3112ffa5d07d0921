/* SPDX-License-Identifier: MIT */
/* A scope that is left in the wrong order, or whose frame is gone, aborts the process with a message that names the task. */
#include <string.h>

#include <tn/blocking.h>
#include <tn/scope.h>

#include "support/runtime.h"

static void run_named(tn_entry_fn entry)
{
    tn_spawn_options options = tn_spawn_options_default();
    tn_runtime *runtime;
    tn_task *task;

    options.name = "careless";
    if (tn_runtime_create(&runtime, NULL) == 0 && tn_spawn_on(runtime, &options, &task, entry, NULL) == 0)
        (void)tn_join(task, NULL);
}

static void *leave_in_wrong_order(void *arg)
{
    tn_scope outer;
    tn_scope inner;

    tn_scope_enter(&outer, TN_NEVER);
    tn_scope_enter(&inner, TN_NEVER);
    tn_scope_leave(&outer);
    return arg;
}

static void *return_inside(void *arg)
{
    static tn_scope scope; /* not on the stack: only the end of the task finds it */

    tn_scope_enter(&scope, TN_NEVER);
    return arg;
}

__attribute__((noinline)) static void enter_and_forget(void)
{
    char room[4096]; /* puts the scope deeper than the frames of later calls */
    tn_scope scope;

    room[0] = 1;
    __asm__ volatile("" : : "r"(room) : "memory");
    tn_scope_enter(&scope, TN_NEVER);
    __asm__ volatile("" : : "r"(&scope) : "memory");
}

static void *wait_behind_a_frame(void *arg)
{
    enter_and_forget();
    (void)tn_sleep(TN_MS);
    return arg;
}

static void *enter_behind_a_frame(void *arg)
{
    tn_scope scope;

    enter_and_forget();
    tn_scope_enter(&scope, TN_NEVER);
    return arg;
}

__attribute__((noinline)) static void write_over(void)
{
    char room[8192];

    memset(room, 'A', sizeof room);
    __asm__ volatile("" : : "r"(room) : "memory");
}

static void *look_behind_a_frame(void *arg)
{
    enter_and_forget();
    write_over(); /* the memory of the scope must not be read as a scope */
    (void)tn_checkpoint();
    tn_scope_leave(arg); /* not reached */
    return NULL;
}

static void *enter_and_wait(void *scope)
{
    tn_scope_enter(scope, TN_NEVER);
    (void)tn_sleep(UINT64_C(3600) * TN_S);
    tn_scope_leave(scope);
    return NULL;
}

static void *leave_for_another(void *arg)
{
    static tn_scope scope;

    (void)tt_spawn(enter_and_wait, &scope);
    (void)tn_sleep(50 * TN_MS);
    tn_scope_leave(&scope);
    return arg;
}

static void *run_careless_job(void *arg)
{
    void *result;

    (void)tn_run_blocking(return_inside, NULL, &result);
    return arg;
}

static void run_wrong_order(void *arg)
{
    (void)arg;
    run_named(leave_in_wrong_order);
}

static void run_return_inside(void *arg)
{
    (void)arg;
    run_named(return_inside);
}

static void run_wait_behind(void *arg)
{
    (void)arg;
    run_named(wait_behind_a_frame);
}

static void run_enter_behind(void *arg)
{
    (void)arg;
    run_named(enter_behind_a_frame);
}

static void run_look_behind(void *arg)
{
    (void)arg;
    run_named(look_behind_a_frame);
}

static void run_leave_for_another(void *arg)
{
    (void)arg;
    run_named(leave_for_another);
}

static void run_job(void *arg)
{
    (void)arg;
    run_named(run_careless_job);
}

static void expect_abort(void (*fn)(void *), const char *text)
{
    tt_child child = tt_fork(fn, NULL);

    cr_assert(tt_child_aborted(&child, "\"careless\""), "%s", child.said);
    cr_assert(tt_child_aborted(&child, text), "%s", child.said);
}

Test(scope_misuse, it_ends_the_process_with_the_name_of_the_task)
{
    tt_child job;

    expect_abort(run_wrong_order, "not the one it entered last");
    expect_abort(run_return_inside, "returned inside a scope");
    expect_abort(run_wait_behind, "without leaving it");
    expect_abort(run_enter_behind, "without leaving it");
    expect_abort(run_look_behind, "without leaving it");
    expect_abort(run_leave_for_another, "not the one it entered last");
    job = tt_fork(run_job, NULL);
    cr_assert(tt_child_aborted(&job, "a plain thread: its entry function returned inside a scope"), "%s", job.said);
}
