/* SPDX-License-Identifier: MIT */
/* The end of a runtime with two workers, of which only the ends exist: tasks that are created and end are counted on different
 * cores, one thread finds the last end, and one is the last to leave. shutdown.c has whole tasks. */
#include <tn/runtime.h>

#include "base/tls.h"
#include "model.h"
#include "sched/run.h"
#include "sched/runtime.h"
#include "sched/schedule.h"

typedef struct {
    tn_runtime *runtime;
    tni_a32 child;    /* 1: a task has been spawned; 2: a worker has taken it */
    uint32_t ends[2]; /* number of tasks that each worker has ended */
    uint32_t left[2]; /* written by the hook of a thread that ends */
    tn_task *parent;  /* of the future; a spawn reads it */
    tn_future future;
    uint32_t dropped;
} house;

/* `workers` is the number of workers that are inside a task, or have none yet. */
static void setup(house *h, unsigned workers, unsigned tasks)
{
    tn_options options = tn_options_default();

    options.flavor = TN_CURRENT_THREAD; /* starts no threads */
    options.guard = TN_GUARD_NONE;
    options.stack_size_bytes = 16 * 1024;
    model_check(tn_runtime_create(&h->runtime, &options) == 0);
    h->runtime->options.flavor = TN_MULTI_THREAD; /* destroy waits for other threads */
    tni_count_shared(&h->runtime->external.spawned, tasks);
    (void)tni_a32_fetch_add(&h->runtime->threads, workers, TNI_RELAXED);
    (void)tni_a32_fetch_add(&h->runtime->references, workers, TNI_RELAXED);
    model_name_of(h->child);
    model_name(&h->runtime->threads, 4, "threads");
    model_name(&h->runtime->references, 4, "references");
    model_name(&h->runtime->pins, 4, "pins");
    model_name(&h->runtime->closing, 4, "closing");
    model_name(&h->runtime->quiet, 4, "quiet");
    model_name(&h->runtime->external.spawned, 8, "external.spawned");
    model_name(&h->runtime->external.finished, 8, "external.finished");
    model_name(&h->runtime->cores[0]->counts.spawned, 8, "core.spawned");
    model_name(&h->runtime->cores[0]->counts.finished, 8, "core.finished");
}

static void one_task(void *state)
{
    setup(state, 2, 1);
}
static void two_tasks(void *state)
{
    setup(state, 2, 2);
}

static int wait_for_ever(tn_future *self, tn_waker *waker)
{
    (void)self;
    (void)waker;
    return TN_PENDING;
}

static void drop(tn_future *self)
{
    tni_container_of(self, house, future)->dropped++;
}

static const tn_future_ops ops = {wait_for_ever, drop};

static void parent_alone(void *state)
{
    house *h = state;

    setup(h, 1, 1);
    h->future.ops = &ops;
    h->parent = model_alloc(sizeof *h->parent, _Alignof(tn_task));
    h->parent->kind = TNI_TASK_FUTURE;
    h->parent->runtime = h->runtime;
    model_name(&h->runtime->cancelling, 4, "cancelling");
    model_name(&h->runtime->cores[0]->lifo_slot, 8, "next");
}

/* Like tni_run_finish (sched/run.h), for a task on a core. */
static void end_on_core(house *h)
{
    h->ends[0]++;
    tni_count(&h->runtime->cores[0]->counts.finished, 1);
    tni_runtime_task_ended(h->runtime);
}

static void end_off_core(house *h)
{
    h->ends[1]++;
    tni_count_shared(&h->runtime->external.finished, 1);
    tni_runtime_task_ended(h->runtime);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void first_worker(void *state)
{
    house *h = state;

    end_on_core(h);
    h->left[0] = 1;
    tni_runtime_thread_ended(h->runtime);
}

static void second_worker(void *state)
{
    house *h = state;

    end_off_core(h);
    h->left[1] = 1;
    tni_runtime_thread_ended(h->runtime);
}

static bool take_child(house *h)
{
    /* Acquire: as from a queue. */
    return tni_a32_load(&h->child, TNI_RELAXED) == 1 && tni_a32_exchange(&h->child, 2, TNI_ACQUIRE) == 1;
}

/* A task spawns another, and ends. */
static void parent(void *state)
{
    house *h = state;

    tni_count(&h->runtime->cores[0]->counts.spawned, 1);
    tni_a32_store(&h->child, 1, TNI_RELEASE);
    end_on_core(h);
    if (take_child(h))
        end_on_core(h);
    tni_runtime_thread_ended(h->runtime);
}

/* A task spawns another, which waits for ever, and ends. Then its worker has the other one to run. */
static void parent_of_waiter(void *state)
{
    house *h = state;
    tni_worker *worker = h->runtime->workers;
    tni_core *core;

    tni_tls_get()->worker = worker;
    tni_tls_get()->runtime = worker->runtime;
    tni_tls_get()->task = h->parent;
    model_check(tn_spawn_future(NULL, NULL, NULL, &h->future) == 0);
    tni_tls_get()->task = NULL;
    core = tni_worker_enter(worker);
    end_on_core(h);
    while (h->dropped == 0) {
        tn_task *task = tni_schedule_next(core);
        if (task == NULL) {
            tni_spin_hint();
            continue;
        }
        tni_task_begin_run(task);
        task->deadline_ns = TNI_FOREVER;
        tni_run_future(task);
        tni_run_complete(core, task);
    }
    tni_worker_leave(worker);
    tni_tls_get()->worker = NULL;
    tni_tls_get()->runtime = NULL;
    tni_runtime_thread_ended(h->runtime);
}

static void thief(void *state)
{
    house *h = state;

    if (take_child(h))
        end_off_core(h);
    tni_runtime_thread_ended(h->runtime);
}

/* Destroy has seen all ends, whichever was last. */
static void destroy(void *state)
{
    house *h = state;

    model_check(tn_runtime_destroy(h->runtime, TN_SHUTDOWN_WAIT, TNI_FOREVER) == 0);
    model_check(h->ends[0] + h->ends[1] == 2 && h->left[0] == h->left[1]);
}

static void destroy_cancel(void *state)
{
    model_check(tn_runtime_destroy(((house *)state)->runtime, TN_SHUTDOWN_CANCEL, TNI_FOREVER) == 0);
}

static void destroy_give_up(void *state)
{
    model_check(tn_runtime_destroy(((house *)state)->runtime, TN_SHUTDOWN_CANCEL, 0) <= 2);
}

static void finish(void *state)
{
    house *h = state;

    model_check(h->ends[0] + h->ends[1] == 2);
}

static void finish_parent(void *state)
{
    house *h = state;

    model_check(h->dropped == 1);
    model_free(h->parent);
}

#define CASE(what, before, after, ...) \
    { \
        .name = "quiet." what, .state_bytes = sizeof(house), .setup = before, .threads = {__VA_ARGS__}, .finish = after, \
        .no_chance = true \
    }

#define SYMMETRIC(what, before, after, ...) \
    { \
        .name = "quiet." what, .state_bytes = sizeof(house), .setup = before, .threads = {__VA_ARGS__}, .finish = after, \
        .no_chance = true, .symmetric = true \
    }

#define DENIED(what, before, after, ...) \
    { \
        .name = "quiet." what, .state_bytes = sizeof(house), .setup = before, .threads = {__VA_ARGS__}, .finish = after, \
        .no_chance = true, .bound = 1, .denied = true \
    }

const model_scenario model_scenarios[] = {
    CASE("two_ends", two_tasks, finish, destroy, first_worker, second_worker),
    SYMMETRIC("two_ends_symmetric", two_tasks, finish, destroy, first_worker, second_worker),
    DENIED("two_ends_denied", two_tasks, finish, destroy, first_worker, second_worker),
    CASE("child", one_task, finish, destroy, parent, thief),
    CASE("give_up", two_tasks, finish, destroy_give_up, first_worker, second_worker),
    SYMMETRIC("cancel_child", parent_alone, finish_parent, destroy_cancel, parent_of_waiter),
    {0},
};
