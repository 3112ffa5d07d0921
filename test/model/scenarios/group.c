/* SPDX-License-Identifier: MIT */
/* A group whose tasks end while its owner spawns, waits, cancels and leaves. No thread accesses a group that has been left. The
 * tasks are stackless and run to their end as soon as a thread takes them; their hooks belong to the group. */
#include <tn/group.h>

#include "model.h"
#include "sched/spawn.h"
#include "task/task_hooks.h"
#include "tasks.h"

typedef struct {
    tn_runtime runtime;
    tn_group *group; /* freed once it has been left */
    tn_task *tasks[2];
    tni_a32 queued[2]; /* 1: tasks[i] has been spawned */
    unsigned spawned;
    tn_future bodies[2];
    int answer;       /* of a task that is not cancelled */
    uint32_t data[2]; /* plain: written by the tasks */
    uint32_t *frame;  /* plain: written by the drop functions of the results; freed once the group has been left */
} camp;

static camp *current; /* set by setup */

static int body_poll(tn_future *self, tn_waker *waker)
{
    (void)waker;
    current->data[self - current->bodies] = 1;
    return current->answer;
}

static void body_drop(tn_future *self)
{
    (void)self;
}

static const tn_future_ops body_ops = {body_poll, body_drop, "body"};

/* --- What the group uses of the rest of the runtime ------------------------------------------------------------------------- */

/* Like build in spawn.c, for a task that is polled once. */
int tni_spawn_with(tn_runtime *runtime, const tn_spawn_options *options, tn_task **out, tn_entry_fn entry, void *arg,
                   tni_task_hook *extra, const void *site)
{
    unsigned i = current->spawned++;
    tn_task *task = desk_task(runtime, TNI_TASK_FUTURE, 2);

    (void)options;
    (void)entry;
    (void)arg;
    (void)site;
    current->bodies[i].ops = &body_ops;
    task->body.future = &current->bodies[i];
    task->hooks = extra;
    if (extra->cancels)
        tni_task_set_cancelled(task);
    *out = task;
    current->tasks[i] = task;
    tni_a32_store(&current->queued[i], 1, TNI_RELEASE); /* release, as in a queue */
    return 0;
}

void tn_cancel(tn_task *task)
{
    tni_task_set_cancelled(task);
    tni_task_wake(task);
}

tn_runtime *tn_runtime_current(void)
{
    return &current->runtime;
}

/* A task is ACTIVE from its creation to its end, so no thread queues it. */
static void desk_run(tn_task *task)
{
    (void)task;
    model_check(false);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void work(camp *c, int i)
{
    while (tni_a32_load(&c->queued[i], TNI_ACQUIRE) == 0)
        model_until_changed(&c->queued[i], 0);
    desk_run_future(c->tasks[i]);
}

static void work_first(void *state)
{
    work(state, 0);
}
static void work_second(void *state)
{
    work(state, 1);
}

static void work_both(void *state)
{
    work(state, 1);
    work(state, 0);
}

static void *entry(void *arg)
{
    return arg;
}

static void enter(camp *c, bool cancel_on_error)
{
    tn_group_options options = tn_group_options_default();

    options.runtime = &c->runtime;
    options.cancel_on_error = cancel_on_error;
    tn_group_enter(c->group, &options);
}

static void leave(camp *c)
{
    tn_group_leave(c->group);
    model_free(c->group);
}

/* At once: cancelled or not, the task has ended when the group has been left. */
static void spawn_and_leave(void *state)
{
    camp *c = state;

    enter(c, false);
    model_check(tn_group_spawn(c->group, NULL, entry, NULL) == 0);
    leave(c);
}

static void spawn_and_wait(void *state)
{
    camp *c = state;
    tn_group_result result;

    enter(c, false);
    model_check(tn_group_spawn(c->group, NULL, entry, NULL) == 0);
    model_check(tn_group_next(c->group, &result) == 1);
    model_check(result.error == 0 && c->data[0] == 1);
    model_check(tn_group_next(c->group, &result) == 0);
    leave(c);
}

static void spawn_two_and_wait(void *state)
{
    camp *c = state;

    enter(c, false);
    for (int i = 0; i < 2; i++)
        model_check(tn_group_spawn(c->group, NULL, entry, NULL) == 0);
    model_check(tn_group_wait(c->group) == 0);
    model_check(c->data[0] == 1 && c->data[1] == 1);
    leave(c);
}

static void drop_into_frame(void *result)
{
    (void)result;
    (*current->frame)++;
}

/* The results are dropped while the group still counts the tasks, and the owner is woken by the last one alone. */
static void spawn_two_and_forget(void *state)
{
    camp *c = state;
    tn_group_options options = tn_group_options_default();
    tn_spawn_options of_task = tn_spawn_options_default();
    tn_group_result result;

    c->frame = model_alloc(sizeof *c->frame, _Alignof(uint32_t));
    *c->frame = 0;
    options.runtime = &c->runtime;
    options.forget_results = true;
    of_task.drop_result = drop_into_frame;
    tn_group_enter(c->group, &options);
    for (int i = 0; i < 2; i++)
        model_check(tn_group_spawn(c->group, &of_task, entry, NULL) == 0);
    model_check(tn_group_next(c->group, &result) == 0);
    model_check(*c->frame == 2 && c->data[0] == 1 && c->data[1] == 1);
    leave(c);
    model_free(c->frame);
}

/* The first error cancels the other task, or finds it ended. */
static void spawn_two_that_fail(void *state)
{
    camp *c = state;
    int rc;

    enter(c, true);
    for (int i = 0; i < 2; i++)
        model_check(tn_group_spawn(c->group, NULL, entry, NULL) == 0);
    rc = tn_group_wait(c->group);
    model_check(rc == TN_EPIPE || rc == TN_ECANCELED);
    leave(c);
}

/* --- Before and after ------------------------------------------------------------------------------------------------------- */

static void setup(void *state)
{
    camp *c = state;

    current = c;
    model_be_workers_of(&c->runtime);
    c->runtime.allocator = tni_alloc_default;
    c->group = model_alloc(sizeof *c->group, _Alignof(tn_group));
    model_name_of(c->queued);
}

static void setup_failing(void *state)
{
    setup(state);
    ((camp *)state)->answer = TN_EPIPE;
}

static void finish(void *state)
{
    camp *c = state;

    model_check(tni_a64_load(&c->runtime.external.finished, TNI_RELAXED) == c->spawned);
}

#define CASE(what, preemptions, before, ...) \
    { \
        .name = "group." what, .state_bytes = sizeof(camp), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
        .finish = finish, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("leave", 2, setup, spawn_and_leave, work_first),
    CASE("wait", 2, setup, spawn_and_wait, work_first),
    CASE("wait_two", 1, setup, spawn_two_and_wait, work_first, work_second),
    CASE("forget", 2, setup, spawn_two_and_forget, work_both),
    CASE("error", 2, setup_failing, spawn_two_that_fail, work_both),
    {0},
};
