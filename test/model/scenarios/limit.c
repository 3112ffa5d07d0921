/* SPDX-License-Identifier: MIT */
/* Two workers of which one should be awake: a task from outside, tasks of the reserve alone, and a limit that falls or rises
 * meanwhile. The workers are the shipped ones. No task is stranded, and no worker spins. */
#include <tn/future.h>

#include "model.h"
#include "no_monitor.h"
#include "no_starter.h"
#include "sched/runtime.h"
#include "sched/schedule.h"
#include "stop_workers.h"

typedef struct scene scene;

typedef struct {
    tn_future base;
    scene *scene;
    uint32_t dropped;
} part;

struct scene {
    tn_runtime *runtime;
    part away;              /* keeps the first worker until it is released */
    part one;               /* its run ends the scenario */
    part other;             /* runs on the second worker alone */
    bool spawns;            /* `other` spawns `one`; constant */
    bool ends_away;         /* `away` ends the scenario; constant */
    bool below;             /* `one` runs on core 0; constant */
    tni_os_mutex preparing; /* held by setup; the workers begin when it is free */
    tni_a32 inside;         /* 1: the first worker is inside `away`; a futex */
    tni_a32 released;       /* 1: it may leave; a futex */
};

static void release(scene *s)
{
    tni_a32_store(&s->released, 1, TNI_RELEASE);
    tni_futex_wake(&s->released, 1);
}

static int stay_away(tn_future *self, tn_waker *waker)
{
    scene *s = tni_container_of(self, part, base)->scene;

    (void)waker;
    tni_a32_store(&s->inside, 1, TNI_RELEASE);
    tni_futex_wake(&s->inside, 1);
    while (tni_a32_load(&s->released, TNI_ACQUIRE) == 0)
        tni_futex_wait(&s->released, 0, TNI_FOREVER);
    if (s->ends_away)
        stop_workers(s->runtime);
    return 0;
}

static int run_one(tn_future *self, tn_waker *waker)
{
    scene *s = tni_container_of(self, part, base)->scene;

    (void)waker;
    model_check(!s->below || tn_worker_index() == 0);
    release(s);
    stop_workers(s->runtime);
    return 0;
}

static void spawn(scene *s)
{
    model_check(tn_spawn_future(s->runtime, NULL, NULL, &s->one.base) == 0);
}

static int run_other(tn_future *self, tn_waker *waker)
{
    scene *s = tni_container_of(self, part, base)->scene;

    (void)waker;
    model_check(tn_worker_index() == 1);
    if (s->spawns)
        spawn(s);
    else
        release(s);
    return 0;
}

static void drop_part(tn_future *self)
{
    tni_container_of(self, part, base)->dropped++;
}

static const tn_future_ops away_ops = {stay_away, drop_part};
static const tn_future_ops one_ops = {run_one, drop_part};
static const tn_future_ops other_ops = {run_other, drop_part};

static void on_thread_start(void *ctx)
{
    tni_os_mutex_lock(&((scene *)ctx)->preparing);
    tni_os_mutex_unlock(&((scene *)ctx)->preparing);
}

/* Each worker checks first whether it is surplus. */
static void setup_for(scene *s, unsigned limit)
{
    tn_options options = tn_options_default();

    tni_os_mutex_init(&s->preparing);
    tni_os_mutex_lock(&s->preparing);
    options.on_thread_start = on_thread_start;
    options.thread_hook_ctx = s;
    options.workers = 2;
    options.follow_cpu_quota = true;
    options.guard = TN_GUARD_NONE;
    options.stuck_after_ns = TNI_FOREVER;
    options.trim_interval_ns = UINT64_MAX;
    model_check(tn_runtime_create(&s->runtime, &options) == 0);
    tni_a32_init(&s->inside, 0);
    tni_a32_init(&s->released, 0);
    model_name_of(s->inside);
    model_name_of(s->released);
    model_name(&s->runtime->idle.marks[0], 8, "idle.marks");
    model_name(&s->runtime->idle.limit, 4, "idle.limit");
    model_name(&s->runtime->injector.length, 4, "injector.length");
    s->away = (part){{&away_ops}, s, 0};
    s->one = (part){{&one_ops}, s, 0};
    s->other = (part){{&other_ops}, s, 0};
    for (unsigned i = 0; i < 2; i++)
        tni_a32_store(&s->runtime->cores[i]->ticks_left, 0, TNI_RELAXED);
    tni_idle_set_limit(&s->runtime->idle, limit);
}

static tni_worker *worker_of(const scene *s, unsigned core)
{
    return tni_aptr_load(&s->runtime->cores[core]->worker, TNI_RELAXED);
}

static void mail(scene *s, unsigned core, part *what)
{
    tn_task *task;

    model_check(tn_spawn_future(s->runtime, NULL, NULL, &what->base) == 0);
    model_check(tni_injector_take(&s->runtime->injector, &task, 1) == 1);
    tni_worker_mail(worker_of(s, core), task);
}

static void begin(scene *s)
{
    tni_os_mutex_unlock(&s->preparing);
}

static void setup_both(void *state)
{
    setup_for(state, 2);
    begin(state);
}

/* The first worker will be inside a task, so the second one is surplus. */
static void setup_away(void *state)
{
    scene *s = state;

    setup_for(s, 1);
    mail(s, 0, &s->away);
    begin(s);
}

static void setup_below(void *state)
{
    ((scene *)state)->below = true;
    setup_away(state);
}

/* And it has a task that only it may run, without which the first one does not leave. */
static void setup_mail(void *state)
{
    scene *s = state;

    s->ends_away = true;
    setup_for(s, 1);
    mail(s, 0, &s->away);
    mail(s, 1, &s->other);
    begin(s);
}

/* That task spawns another one. */
static void setup_queue(void *state)
{
    scene *s = state;

    s->spawns = true;
    setup_for(s, 1);
    mail(s, 1, &s->other);
    begin(s);
}

static void choose_second_then_fall(scene *s)
{
    int chosen;

    tni_idle_park(&s->runtime->idle, 1);
    chosen = tni_idle_choose(&s->runtime->idle);
    model_check(chosen == 1);
    worker_of(s, 1)->searching = true; /* as when it wakes */
    tni_idle_set_limit(&s->runtime->idle, 1);
    begin(s);
}

/* A submit has chosen the second worker. Its core becomes a reserve before it runs. */
static void setup_chosen(void *state)
{
    setup_for(state, 2);
    choose_second_then_fall(state);
}

/* And it has a task that only it may run, which stays until the first worker has run another one. */
static void setup_chosen_mail(void *state)
{
    scene *s = state;

    setup_for(s, 2);
    mail(s, 1, &s->away);
    choose_second_then_fall(s);
}

static void spawn_one(void *state)
{
    spawn(state);
}

static void limit_to(tn_runtime *runtime, unsigned quota)
{
    tni_a32_store(&runtime->limit.quota, quota, TNI_RELAXED);
    tni_worker_limit_set(runtime, 0);
}

static void fall(void *state)
{
    limit_to(((scene *)state)->runtime, 1);
}

static void rise(void *state)
{
    limit_to(((scene *)state)->runtime, 2);
}

/* A submit while the first worker is inside its task: it wakes no worker. */
static void spawn_when_away(void *state)
{
    scene *s = state;

    while (tni_a32_load(&s->inside, TNI_ACQUIRE) == 0)
        tni_futex_wait(&s->inside, 0, TNI_FOREVER);
    spawn(s);
}

/* The first worker leaves its task when the second one sleeps, although there is work. */
static void release_when_asleep(void *state)
{
    scene *s = state;

    spawn_when_away(s);
    while (tni_a32_load(&worker_of(s, 1)->parker.state, TNI_RELAXED) != TNI_PARK_LOOP)
        tni_spin_hint();
    release(s);
}

static void idle(void *state)
{
    (void)state;
}

static void finish(void *state)
{
    scene *s = state;

    model_check(s->one.dropped + s->other.dropped > 0);
    model_check(tn_runtime_destroy(s->runtime, TN_SHUTDOWN_WAIT, TNI_FOREVER) == 0);
}

#define CASE(what, how, ...) \
    { \
        .name = "limit." what, .state_bytes = sizeof(scene), .setup = how, .finish = finish, .no_chance = true, __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("sleeps", setup_below, .threads = {release_when_asleep}, .no_preemptions = true),
    CASE("falls", setup_both, .threads = {spawn_one, fall}, .no_preemptions = true),
    CASE("rises", setup_away, .threads = {spawn_when_away, rise}, .no_preemptions = true),
    CASE("chosen", setup_chosen, .threads = {spawn_one}, .bound = 1),
    CASE("chosen_mail", setup_chosen_mail, .threads = {spawn_when_away}, .no_preemptions = true),
    CASE("mail", setup_mail, .threads = {idle}, .no_preemptions = true),
    CASE("queue", setup_queue, .threads = {idle}, .bound = 1),
    {0},
};
