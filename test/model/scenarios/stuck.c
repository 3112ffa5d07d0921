/* SPDX-License-Identifier: MIT */
/* A core is taken from a thread that is inside one task for long: the shipped workers, replacement threads, checks of the
 * monitor and declared blocking. The workers may be stopped at any moment. The stuck task waits for a task that waits for the
 * core. Without a core it spawns, wakes and ends as usual, and its thread is the next replacement thread. takeover.c has the
 * claim. */
#include <tn/task.h>

#include "base/tls.h"
#include "model.h"
#include "sched/pinned.h"
#include "small_runtime.h"
#include "stop_workers.h"
#include "watch/stuck.h"

#define LOOK_NS (3 * TN_MS) /* between two checks of the monitor */

typedef struct stuck_scene stuck_scene;

typedef struct {
    tn_future base;
    stuck_scene *scene;
    int (*body)(stuck_scene *scene);
    uint32_t polls;
    uint32_t dropped;
    tn_waker *waker; /* the task's own; set by setup */
} work;

struct stuck_scene {
    tn_runtime *runtime;
    tni_core *core;
    tni_worker *worker; /* holds the core at first */
    uint64_t now_ns;    /* the monitor's time */
    work stuck;
    work other;
    work third;
    tni_a32 inside;  /* 1: the worker is inside the stuck task */
    tni_a32 freed;   /* 1: the stuck task may continue */
    tni_a32 gone_on; /* 1: it has continued */
    tni_a32 back;    /* 1: the worker has the core again */
    tni_a32 tasks;   /* number of tasks that have not ended */
};

static int poll(tn_future *self, tn_waker *waker)
{
    work *w = tni_container_of(self, work, base);

    (void)waker;
    w->polls++;
    return w->body(w->scene);
}

static void drop(tn_future *self)
{
    tni_container_of(self, work, base)->dropped++;
}

static const tn_future_ops ops = {poll, drop};

/* --- Tasks ------------------------------------------------------------------------------------------------------------------ */

static void set(tni_a32 *word)
{
    tni_a32_store(word, 1, TNI_RELEASE);
    tni_futex_wake(word, 1);
}

static void wait_for(tni_a32 *word)
{
    while (tni_a32_load(word, TNI_ACQUIRE) == 0)
        tni_futex_wait(word, 0, TNI_FOREVER);
}

/* The last one stops the workers. */
static int done(stuck_scene *s)
{
    if (tni_a32_fetch_sub(&s->tasks, 1, TNI_ACQ_REL) != 1)
        return 0;
    stop_workers(s->runtime);
    return 0;
}

/* Ends when the stuck task has continued. Until then this thread does not go to sleep; sleep.c has that. */
static int help(stuck_scene *s)
{
    set(&s->freed);
    wait_for(&s->gone_on);
    return done(s);
}

/* The core has been taken if there was a replacement thread, and with it the task that will set `freed`. */
static int block_until_helped(stuck_scene *s)
{
    tn_block_begin(TN_BLOCK_EAGER);
    if (tni_core_enter() != NULL) {
        tni_core_leave();
        set(&s->freed);
        set(&s->gone_on);
    }
    wait_for(&s->freed);
    tn_block_end();
    set(&s->gone_on);
    return done(s);
}

/* Spawns with a core or without one. */
static int block_and_spawn(stuck_scene *s, tn_blocking how)
{
    tn_block_begin(how);
    model_check(tn_spawn_future(NULL, NULL, NULL, &s->other.base) == 0);
    tn_block_end();
    return done(s);
}

static int block_eagerly_and_spawn(stuck_scene *s)
{
    return block_and_spawn(s, TN_BLOCK_EAGER);
}
static int block_and_spawn_lazily(stuck_scene *s)
{
    return block_and_spawn(s, TN_BLOCK_LAZY);
}

/* Does not declare that it blocks: the monitor detects it. */
static int block_silently(stuck_scene *s)
{
    set(&s->inside);
    wait_for(&s->freed);
    set(&s->gone_on);
    return done(s);
}

static int block_declared(stuck_scene *s)
{
    int rc;

    tn_block_begin(TN_BLOCK_LAZY);
    rc = block_silently(s);
    tn_block_end();
    return rc;
}

/* Wakes a task that rests, with a core or without one. */
static int block_and_wake(stuck_scene *s)
{
    tn_block_begin(TN_BLOCK_EAGER);
    tn_waker_wake(s->other.waker);
    tn_block_end();
    return done(s);
}

static int rest_once(stuck_scene *s)
{
    return s->other.polls == 1 ? TN_PENDING : done(s);
}

/* Lets the first task continue. Its thread is the next replacement thread, so it may get the core again. */
static int help_and_block(stuck_scene *s)
{
    set(&s->freed);
    wait_for(&s->gone_on);
    model_check(tn_spawn_future(NULL, NULL, NULL, &s->third.base) == 0);
    tn_block_begin(TN_BLOCK_EAGER);
    if (tni_core_enter() != NULL) {
        tni_core_leave();
        set(&s->back);
    }
    wait_for(&s->back);
    tn_block_end();
    return done(s);
}

static int come_back(stuck_scene *s)
{
    set(&s->back);
    return done(s);
}

static int block_for_nothing(stuck_scene *s)
{
    (void)s;
    tn_block_begin(TN_BLOCK_EAGER);
    tn_block_end();
    return 0;
}

/* Pinned: it continues on the same thread, whether that has a core or is a replacement thread. */
static int block_and_rest(stuck_scene *s)
{
    model_check(tni_tls_get()->worker == s->worker);
    if (s->stuck.polls == 2) {
        set(&s->gone_on);
        return done(s);
    }
    tn_block_begin(TN_BLOCK_EAGER);
    if (tni_core_enter() != NULL) {
        tni_core_leave();
        set(&s->gone_on); /* this thread has the other task to run first */
    }
    tn_block_end();
    return TN_PENDING;
}

static int wake_stuck(stuck_scene *s)
{
    tn_waker_wake(s->stuck.waker);
    wait_for(&s->gone_on);
    return done(s);
}

/* --- Before ----------------------------------------------------------------------------------------------------------------- */

static void start_replacement(stuck_scene *s)
{
    tni_worker *replacement;

    model_check(tni_worker_start(s->runtime, NULL, &replacement) == 0);
}

static void spawn(stuck_scene *s, work *w, bool pinned)
{
    tn_spawn_options options = tn_spawn_options_default();
    tn_task *task;

    options.pinned = pinned;
    model_check(tn_spawn_future(s->runtime, &options, &task, &w->base) == 0);
    w->waker = tn_waker_retain(tni_task_waker(task));
    tn_task_release(task);
}

/* A multi-thread runtime of one worker, whose monitor is a thread of the scenario. Its first task is the stuck one. */
static void setup_runtime(stuck_scene *s, unsigned tasks, int (*stuck)(stuck_scene *scene), int (*other)(stuck_scene *scene))
{
    s->runtime = small_runtime_create();
    s->runtime->options.flavor = TN_MULTI_THREAD;
    s->core = s->runtime->cores[0];
    tni_aptr_store(&s->runtime->workers->core, NULL, TNI_RELAXED); /* the worker of a current-thread runtime has no thread */
    s->now_ns = tni_clock_ns();
    tni_a32_init(&s->inside, 0);
    tni_a32_init(&s->freed, 0);
    tni_a32_init(&s->gone_on, 0);
    tni_a32_init(&s->back, 0);
    tni_a32_init(&s->tasks, tasks);
    model_name_of(s->tasks);
    model_name_of(s->inside);
    model_name_of(s->freed);
    model_name_of(s->gone_on);
    model_name_of(s->back);
    s->stuck = (work){.base = {&ops}, .scene = s, .body = stuck};
    s->other = (work){.base = {&ops}, .scene = s, .body = other};
    s->third = (work){.base = {&ops}, .scene = s, .body = come_back};
}

static void setup(stuck_scene *s, unsigned tasks, int (*stuck)(stuck_scene *scene), int (*other)(stuck_scene *scene))
{
    setup_runtime(s, tasks, stuck, other);
    model_check(tni_worker_start(s->runtime, s->core, &s->worker) == 0);
    model_name(&s->worker->core, 8, "worker.core");
    model_name(&s->worker->claim, 4, "worker.claim");
    model_name(&s->worker->in_runtime, 4, "worker.in_runtime");
    model_name(&s->worker->parker, 4, "worker.parker");
}

/* Both tasks are in the injector, and the worker takes them together. `replacement`: a replacement thread exists or is being
 * started. */
static void two_tasks(stuck_scene *s, int (*stuck)(stuck_scene *scene), int (*other)(stuck_scene *scene), bool replacement)
{
    setup(s, other == help_and_block ? 3 : 2, stuck, other);
    if (replacement)
        start_replacement(s);
    spawn(s, &s->stuck, stuck == block_and_rest);
    spawn(s, &s->other, false);
}

static void helped(void *state)
{
    two_tasks(state, block_until_helped, help, true);
}

/* Both tasks are pinned and are to begin on the core. The second one goes with the core to the replacement thread. */
static void begins(void *state)
{
    stuck_scene *s = state;
    tn_task *tasks[2];

    two_tasks(s, block_until_helped, help, true);
    model_check(tni_injector_take(&s->runtime->injector, tasks, 2) == 2);
    for (unsigned i = 0; i < 2; i++) {
        tasks[i]->pinned = 1;
        tni_pinned_push(s->core, tasks[i]);
        tni_pinned_wake(s->core);
    }
}

static void back(void *state)
{
    two_tasks(state, block_until_helped, help_and_block, true);
}
static void silent(void *state)
{
    two_tasks(state, block_silently, help, false);
}
static void declared(void *state)
{
    two_tasks(state, block_declared, help, false);
}
static void pinned(void *state)
{
    two_tasks(state, block_and_rest, wake_stuck, true);
}

static void spawns_with(stuck_scene *s, int (*stuck)(stuck_scene *scene))
{
    setup(s, 2, stuck, done);
    start_replacement(s);
    spawn(s, &s->stuck, false);
}

static void spawns(void *state)
{
    spawns_with(state, block_eagerly_and_spawn);
}
static void spawns_lazily(void *state)
{
    spawns_with(state, block_and_spawn_lazily);
}

static void wakes(void *state)
{
    stuck_scene *s = state;

    setup(s, 2, block_and_wake, rest_once);
    start_replacement(s);
    spawn(s, &s->other, false);
    spawn(s, &s->stuck, false);
}

static void blocks(void *state)
{
    stuck_scene *s = state;

    setup(s, 0, block_for_nothing, done);
    spawn(s, &s->stuck, false);
}

/* A replacement thread alone, and a task for its mailbox. */
static void replacement_alone(void *state)
{
    stuck_scene *s = state;

    setup_runtime(s, 1, done, done);
    tni_aptr_store(&s->core->worker, NULL, TNI_RELAXED);
    model_check(tni_worker_start(s->runtime, NULL, &s->worker) == 0);
    spawn(s, &s->stuck, true);
}

static void no_block(void *state)
{
    stuck_scene *s = state;

    setup(s, 1, done, done);
    spawn(s, &s->stuck, false);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void take(void *state)
{
    (void)tni_worker_replace(((stuck_scene *)state)->worker);
}

/* Like check_cores in monitor.c, each time a little later. */
static bool look(stuck_scene *s)
{
    uint64_t due_ns = TNI_FOREVER;

    s->now_ns += LOOK_NS;
    return tni_stuck_observe(s->core, s->now_ns, false, &due_ns);
}

static void wait_for_replacement(stuck_scene *s)
{
    unsigned replacements = 0;

    for (;;) {
        tni_os_mutex_lock(&s->runtime->lock);
        replacements = s->runtime->replacement_count;
        tni_os_mutex_unlock(&s->runtime->lock);
        if (replacements > 0)
            return;
        tni_spin_hint();
    }
}

/* Like a wake of a pinned task. */
static void mail(void *state)
{
    stuck_scene *s = state;
    tn_task *task;

    model_check(tni_injector_take(&s->runtime->injector, &task, 1) == 1);
    tni_worker_mail(s->worker, task);
}

/* The time is up at once: the task is abandoned, or has ended. */
static void destroy(void *state)
{
    model_check(tn_runtime_destroy(((stuck_scene *)state)->runtime, TN_SHUTDOWN_WAIT, 0) <= 1);
}

static void provide(void *state)
{
    (void)tni_worker_provide_replacements(((stuck_scene *)state)->runtime, 1);
    (void)tni_starter_serve(((stuck_scene *)state)->runtime);
}

/* The first check finds the run, whose thread sleeps, and ensures that there is a replacement thread. The second takes the
 * core. */
static void monitor(void *state)
{
    stuck_scene *s = state;

    wait_for(&s->inside);
    model_check(look(s));
    model_check(tni_worker_provide_replacements(s->runtime, 1));
    (void)tni_starter_serve(s->runtime);
    wait_for_replacement(s);
    model_check(!look(s));
}

static void monitor_of_declared(void *state)
{
    stuck_scene *s = state;

    wait_for(&s->inside);
    model_check(look(s));
    model_check(tni_worker_provide_replacements(s->runtime, 1));
    (void)tni_starter_serve(s->runtime);
    wait_for_replacement(s);
    model_check(!look(s));
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------- */

/* A wake, which uses its waker up, leads to a second poll. */
static void finish_task(const work *w)
{
    if (w->waker != NULL && w->polls < 2)
        tn_waker_release(w->waker);
    model_check(w->polls == 0 || w->dropped == 1);
}

static void finish(void *state)
{
    stuck_scene *s = state;

    model_check(tni_a32_load(&s->tasks, TNI_RELAXED) == 0);
    finish_task(&s->stuck);
    finish_task(&s->other);
    finish_task(&s->third);
    model_check(tn_runtime_destroy(s->runtime, TN_SHUTDOWN_WAIT, TNI_FOREVER) == 0);
}

static void finish_destroyed(void *state)
{
    finish_task(&((stuck_scene *)state)->stuck);
}

#define CASE(what, before, ...) \
    { \
        .name = "stuck." what, .state_bytes = sizeof(stuck_scene), .setup = before, .finish = finish, .no_chance = true, \
        __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("helped", helped, .no_preemptions = true),
    CASE("back", back, .no_preemptions = true),
    CASE("spawns", spawns, .bound = 1),
    CASE("wakes", wakes, .bound = 1),
    CASE("pinned", pinned, .no_preemptions = true),
    CASE("begins", begins, .no_preemptions = true),
    CASE("take", spawns_lazily, .threads = {take}, .bound = 1),
    CASE("provide", no_block, .threads = {provide}, .bound = 1),
    CASE("silent", silent, .threads = {monitor}, .bound = 1, .asleep = true),
    CASE("declared", declared, .threads = {monitor_of_declared}, .no_preemptions = true),
    CASE("mail", replacement_alone, .threads = {mail}),
    {.name = "stuck.destroy",
     .state_bytes = sizeof(stuck_scene),
     .setup = blocks,
     .finish = finish_destroyed,
     .no_chance = true,
     .threads = {destroy},
     .no_preemptions = true},
    {0},
};
