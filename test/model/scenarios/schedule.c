/* SPDX-License-Identifier: MIT */
/* The queues of a core against a thief: the LIFO slot, the two queues that change roles, and the overflow of a full queue to
 * the injector. Every task is taken once, as it was queued. And without a thief no task waits for ever. */
#include "sched/schedule.h"

#include "model.h"
#include "sched/runtime.h"

#define TASKS 7

typedef struct {
    tn_runtime runtime;
    tni_core cores[2];
    tn_task tasks[TASKS]; /* result: the number of times it was taken, plus one; written before it is queued */
    unsigned queued;
} shop;

static void name_core(tni_core *core, const char *next, const char *first, const char *second)
{
    model_name(&core->lifo_slot, 8, next);
    model_name(&core->queues[0], sizeof(tni_deque), first);
    model_name(&core->queues[1], sizeof(tni_deque), second);
}

static void setup(void *state)
{
    shop *s = state;

    s->runtime.core_count = 2;
    tni_idle_init(&s->runtime.idle, 2);
    tni_injector_init(&s->runtime.injector);
    for (unsigned i = 0; i < 2; i++) {
        s->runtime.cores[i] = &s->cores[i];
        s->cores[i].runtime = &s->runtime;
        s->cores[i].index = i;
        tni_aptr_init(&s->cores[i].lifo_slot, NULL);
        tni_deque_init(&s->cores[i].queues[0]);
        tni_deque_init(&s->cores[i].queues[1]);
    }
    name_core(&s->cores[0], "next", "queue0", "queue1");
    name_core(&s->cores[1], "thief.next", "thief.queue0", "thief.queue1");
    model_name(&s->cores[0].serving, 4, "serving");
    model_name(&s->runtime.injector, sizeof(tni_injector), "injector");
    model_name_of(s->tasks);
}

static tn_task *new_task(shop *s)
{
    tn_task *task = &s->tasks[s->queued++];

    task->runtime = &s->runtime;
    task->kind = TNI_TASK_FUTURE;
    task->result = (void *)1;
    return task;
}

static void took(tn_task *task)
{
    model_check(task->result == (void *)1);
    task->result = (void *)2; /* a second taker races with this write, or finds the value */
    task->queue_next = NULL;  /* as the next thread that queues it might do */
}

/* The calling thread holds the core from now on, as behind tni_core_enter. */
static tni_core *enter(shop *s, unsigned index)
{
    tni_held_add(&s->cores[index]);
    return &s->cores[index];
}

static void drain(tni_core *core)
{
    for (tn_task *task = tni_schedule_next(core); task != NULL; task = tni_schedule_next(core))
        took(task);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void push_one(void *state)
{
    shop *s = state;
    tni_core *core = enter(s, 0);

    tni_schedule_push(core, new_task(s));
    drain(core);
}

static void push_two(void *state)
{
    shop *s = state;
    tni_core *core = enter(s, 0);

    tni_schedule_push(core, new_task(s));
    tni_schedule_push(core, new_task(s));
    drain(core);
}

static void push_only(void *state)
{
    shop *s = state;
    tni_core *core = enter(s, 0);

    tni_schedule_push(core, new_task(s));
    tni_schedule_push(core, new_task(s));
}

/* A task yields, then another one is queued, which goes first. */
static void yield(void *state)
{
    shop *s = state;
    tni_core *core = enter(s, 0);

    tni_schedule_requeue(core, new_task(s), true);
    tni_schedule_requeue(core, new_task(s), false);
    drain(core);
}

static void serve_yielded(void *state)
{
    shop *s = state;
    tni_core *core = enter(s, 0);

    tni_schedule_requeue(core, new_task(s), true);
    tni_schedule_requeue_yielded(core);
    drain(core);
}

/* The same, behind a task that waits in the queue. */
static void serve_yielded_behind(void *state)
{
    shop *s = state;
    tni_core *core = enter(s, 0);

    tni_schedule_requeue(core, new_task(s), false);
    tni_schedule_requeue(core, new_task(s), true);
    tni_schedule_requeue_yielded(core);
    drain(core);
}

static void setup_full(void *state)
{
    shop *s = state;
    tni_core *core = enter(s, 0);

    setup(state);
    for (unsigned i = 0; i < TNI_DEQUE_CAPACITY; i++)
        tni_schedule_requeue(core, new_task(s), false);
}

static void overflow(void *state)
{
    shop *s = state;

    tni_schedule_requeue(enter(s, 0), new_task(s), false);
}

/* A share of the injector for a full queue. */
static void append_injected(void *state)
{
    shop *s = state;
    tn_task *task = new_task(s);

    tni_schedule_inject(&s->runtime, task, task, 1);
    tni_schedule_append_injected(enter(s, 0), 1);
}

/* Steals once, like a searching worker. */
static void steal(void *state)
{
    shop *s = state;
    tn_task *task = tni_schedule_steal(enter(s, 1));

    if (task != NULL)
        took(task);
}

static void take_injected(void *state)
{
    shop *s = state;
    tn_task *task = tni_schedule_take_injected(enter(s, 1), TNI_INJECTED_MAX);

    if (task != NULL)
        took(task);
}

/* --- No task waits for ever: one worker whose tasks never stop -------------------------------------------------------------- */

enum { PATIENCE = 40 };

/* Runs the tasks of the core until it runs `awaited`. After each run comes what a worker does once per period. */
static void run_until(shop *s, const tn_task *awaited, void (*queue)(tni_core *core, tn_task *task))
{
    tni_core *core = enter(s, 0);

    for (unsigned i = 0;; i++) {
        tn_task *task = tni_schedule_next(core);
        model_check(task != NULL && i < PATIENCE);
        took(task);
        if (task == awaited)
            return;
        task->result = (void *)1;
        queue(core, task);
        tni_schedule_append_injected(core, 1);
        tni_schedule_requeue_yielded(core);
    }
}

static void queue_again(tni_core *core, tn_task *task)
{
    tni_schedule_requeue(core, task, false);
}

/* A task that yielded, while there is a task in the LIFO slot each time. */
static void yielded_beside_slot(void *state)
{
    shop *s = state;
    tni_core *core = enter(s, 0);
    tn_task *yielded = new_task(s);

    tni_schedule_requeue(core, yielded, true);
    tni_schedule_push(core, new_task(s));
    run_until(s, yielded, tni_schedule_push);
}

/* A task in the injector, while the queue is full each time. */
static void injected_beside_full(void *state)
{
    shop *s = state;
    tn_task *injected = new_task(s);

    tni_schedule_inject(&s->runtime, injected, injected, 1);
    run_until(s, injected, queue_again);
}

/* The core runs one after the other, each of which yields, while more than a queue holds go round. */
static void go_round(shop *s, void (*period)(tni_core *core))
{
    tni_core *core = enter(s, 0);
    unsigned runs[TASKS] = {0};

    while (s->queued < TASKS) {
        tn_task *task = new_task(s);
        tni_schedule_inject(&s->runtime, task, task, 1);
    }
    for (unsigned i = 0; i < PATIENCE; i++) {
        tn_task *task = tni_schedule_next(core);
        model_check(task != NULL);
        runs[task - s->tasks]++;
        tni_schedule_requeue(core, task, true);
        period(core);
    }
    for (unsigned i = 0; i < TASKS; i++)
        model_check(runs[i] > 0);
}

static void end_of_period(tni_core *core)
{
    tni_schedule_append_injected(core, 1);
    tni_schedule_requeue_yielded(core);
}

static void all_take_turns(void *state)
{
    go_round(state, end_of_period);
}

/* The worker gets no processor for a while after each run. */
static void all_take_turns_late(void *state)
{
    go_round(state, tni_schedule_evacuate);
}

/* As the monitor does with a core whose worker does not come to it; it comes back at any moment. */
static void evacuate(void *state)
{
    shop *s = state;

    tni_schedule_evacuate(&s->cores[0]);
    drain(enter(s, 1));
}

static void finish(void *state)
{
    shop *s = state;

    drain(enter(s, 0));
    drain(enter(s, 1));
    for (unsigned i = 0; i < s->queued; i++)
        model_check(s->tasks[i].result == (void *)2);
    model_check(tni_injector_length(&s->runtime.injector) == 0);
    tni_injector_fini(&s->runtime.injector);
}

#define CASE(what, before, ...) \
    { \
        .name = "schedule." what, .state_bytes = sizeof(shop), .setup = before, .threads = {__VA_ARGS__}, .finish = finish \
    }

const model_scenario model_scenarios[] = {
    CASE("late_steal", setup, push_one, steal),
    CASE("next_slot", setup, push_two, steal),
    CASE("displaced", setup, push_only, steal),
    CASE("yield", setup, yield, steal),
    CASE("serve_yielded", setup, serve_yielded, steal),
    CASE("serve_yielded_behind", setup, serve_yielded_behind, steal),
    CASE("append_injected", setup_full, append_injected, steal),
    CASE("yielded_beside_slot", setup, yielded_beside_slot),
    CASE("injected_beside_full", setup_full, injected_beside_full),
    CASE("all_take_turns", setup_full, all_take_turns),
    CASE("all_take_turns_late", setup_full, all_take_turns_late),
    CASE("evacuate", setup, push_two, evacuate),
    CASE("evacuate_yielded", setup, serve_yielded, evacuate),
    CASE("spill", setup_full, overflow, steal),
    CASE("spill_taken", setup_full, overflow, take_injected, take_injected),
    {0},
};
