/* Timers of tasks: armed, gone off, moved to another core, taken back at the end, while others fire them and wake the task; and a
 * worker that sleeps until a time while somebody arms an earlier one. */
#include "timer.h"

#include "core.h"
#include "model.h"
#include "small_runtime.h"
#include "task.h"

#define SOON_NS (5 * TN_MS)
#define LATER_NS (500 * TN_MS)

typedef struct {
    tni_core cores[2]; /* of which only the timers are there */
    tn_task *task;
    tni_a32 happened; /* the event that the task waits for too */
    tni_a32 rested;   /* it has armed for the second time */
    tn_runtime *runtime;
} timing;

/* A task whose runs are a thread's: what a plain thread waits as, with a timer. */
static tn_task *make_task(unsigned references)
{
    tn_task *task = tni_alloc(&tni_alloc_default, sizeof *task, _Alignof(tn_task));

    task->kind = TNI_TASK_THREAD;
    tni_parker_init(&task->body.parker);
    tni_aptr_init(&task->timer_core, NULL);
    tni_task_birth(task, references);
    model_name(&task->state, 8, "task.state");
    model_name(&task->timer_core, 8, "task.timer_core");
    model_name(&task->timer, sizeof task->timer, "task.timer");
    model_name(&task->body.parker, 4, "task.parker");
    return task;
}

/* One run that suspends with a deadline, unless the event has happened, and the sleep until the next. */
static void run_and_rest(timing *t, tni_core *core, uint64_t after_ns)
{
    tn_task *task = t->task;

    tni_task_begin_run(task);
    if (tni_a32_load(&t->happened, TNI_RELAXED) == 1)
        return;
    task->deadline_ns = tni_clock_ns() + after_ns;
    tni_timer_arm(core, task);
    if (!tni_task_rest(task))
        return;
    tni_parker_wait(&task->body.parker, TNI_FOREVER);
}

static void run_and_end(tn_task *task)
{
    tni_task_begin_run(task);
    tni_timer_disarm(task);
    model_check(!tni_timer_linked(&task->timer));
    (void)tni_task_complete(task, 0);
    tni_task_unref(task);
}

/* --- Two wheels that others look after -------------------------------------------------------------------------------------- */

static void setup(void *state)
{
    timing *t = state;

    for (unsigned i = 0; i < 2; i++) {
        tni_aptr_init(&t->cores[i].worker, NULL);
        tni_timers_init(&t->cores[i].timers);
        model_name(&t->cores[i].timers.lock, sizeof(tni_mutex), i == 0 ? "lock 0" : "lock 1");
        model_name(&t->cores[i].timers.next_ns, 8, i == 0 ? "next_ns 0" : "next_ns 1");
    }
    tni_a32_init(&t->happened, 0);
    tni_a32_init(&t->rested, 0);
    model_name_of(t->happened);
    model_name_of(t->rested);
    t->task = make_task(2);
}

static void fire(tni_core *core)
{
    (void)tni_timers_fire(&core->timers, tni_clock_ns() + 2 * LATER_NS);
}

static void fire_first(void *state)
{
    fire(&((timing *)state)->cores[0]);
}

static void fire_both(void *state)
{
    fire(&((timing *)state)->cores[0]);
    fire(&((timing *)state)->cores[1]);
}

/* Has a reference. */
static void wake(void *state)
{
    timing *t = state;

    tni_a32_store(&t->happened, 1, TNI_RELAXED);
    tn_waker_wake(tni_waker_of(t->task));
}

static void sleep_and_end(void *state)
{
    timing *t = state;

    run_and_rest(t, &t->cores[0], SOON_NS);
    run_and_end(t->task);
}

/* The second run is on the other core, and wants to be woken earlier. */
static void move(void *state)
{
    timing *t = state;

    run_and_rest(t, &t->cores[0], LATER_NS);
    tni_task_begin_run(t->task);
    t->task->deadline_ns = tni_clock_ns() + SOON_NS;
    tni_timer_arm(&t->cores[1], t->task);
    run_and_end(t->task);
}

static void have_rested(timing *t)
{
    tni_a32_store(&t->rested, 1, TNI_RELEASE);
    tni_futex_wake(&t->rested, 1);
}

/* The first run is over, and the task has been queued again; its node is armed. */
static void setup_armed(void *state)
{
    timing *t = state;

    setup(t);
    t->task->deadline_ns = tni_clock_ns() + SOON_NS;
    tni_timer_arm(&t->cores[0], t->task);
}

/* The next run waits for a later moment; the node that is armed will do, if nobody takes it out. */
static void rearm(void *state)
{
    timing *t = state;

    tni_task_begin_run(t->task);
    t->task->deadline_ns = tni_clock_ns() + LATER_NS;
    tni_timer_arm(&t->cores[0], t->task);
    if (tni_task_rest(t->task)) {
        have_rested(t);
        tni_parker_wait(&t->task->body.parker, TNI_FOREVER);
    } else {
        have_rested(t);
    }
    run_and_end(t->task);
    tni_task_unref(t->task); /* what `wake` has elsewhere */
}

/* Once at any time, and once when it is needed. */
static void fire_again(void *state)
{
    timing *t = state;

    fire(&t->cores[0]);
    while (tni_a32_load(&t->rested, TNI_ACQUIRE) == 0)
        tni_futex_wait(&t->rested, 0, TNI_FOREVER);
    fire(&t->cores[0]);
}

static void finish(void *state)
{
    timing *t = state;

    for (unsigned i = 0; i < 2; i++) {
        model_check(tni_timers_sleep(&t->cores[i].timers) == TNI_FOREVER);
        tni_timers_fini(&t->cores[i].timers);
    }
}

/* --- A worker asleep -------------------------------------------------------------------------------------------------------- */

static void setup_worker(void *state)
{
    timing *t = state;

    t->runtime = small_runtime_create();
    t->task = make_task(1);
}

static void work(void *state)
{
    tni_worker_drive(((timing *)state)->runtime->workers, NULL, TNI_FOREVER);
}

/* Nobody else wakes this one: only the worker that sleeps for ever, if it is told. */
static void sleep_on_its_timer(void *state)
{
    timing *t = state;

    run_and_rest(t, t->runtime->cores[0], SOON_NS);
    run_and_end(t->task);
    tni_a32_store(&t->runtime->quiet, 1, TNI_RELEASE);
    tni_worker_unpark(t->runtime->workers);
}

/* As help in monitor.c. */
static void monitor(void *state)
{
    tni_core *core = ((timing *)state)->runtime->cores[0];

    (void)tni_timers_fire(&core->timers, tni_clock_ns());
    if (tni_driver_try_own(&core->driver)) {
        tni_driver_poll(&core->driver, 0);
        tni_driver_disown(&core->driver);
    }
}

static void finish_worker(void *state)
{
    small_runtime_destroy(((timing *)state)->runtime);
}

#define CASE(what, ...) \
    {.name = "timer." what, .state_bytes = sizeof(timing), .setup = setup, .finish = finish, .no_chance = true, __VA_ARGS__}
#define WORKER_CASE(what, ...) \
    {.name = "timer." what, .state_bytes = sizeof(timing), .setup = setup_worker, .finish = finish_worker, .no_chance = true, \
     __VA_ARGS__}

const model_scenario model_scenarios[] = {
    CASE("end", .threads = {sleep_and_end, fire_first, wake}),
    CASE("move", .threads = {move, fire_both, wake}),
    {.name = "timer.rearm",
     .state_bytes = sizeof(timing),
     .setup = setup_armed,
     .threads = {rearm, fire_again},
     .finish = finish,
     .no_chance = true},
    WORKER_CASE("earlier", .threads = {work, sleep_on_its_timer}),
    WORKER_CASE("earlier_monitor", .threads = {work, sleep_on_its_timer, monitor}),
    {0},
};
