/* SPDX-License-Identifier: MIT */
/* A worker is inside a task while its loop has an event to report, and there is no monitor. Another worker, which has nothing
 * to do, polls the unattended loop. Both are the shipped workers, with one core each. */
#include <limits.h>

#include <tn/future.h>

#include "model.h"
#include "no_monitor.h"
#include "no_starter.h"
#include "sched/runtime.h"
#include "stop_workers.h"
#include "watch/stuck.h"

typedef struct left_scene left_scene;

typedef struct {
    tn_future base;
    left_scene *scene;
    int (*body)(left_scene *scene, tn_waker *waker);
    uint32_t polls;
    uint32_t dropped;
} work;

struct left_scene {
    tn_runtime *runtime;
    tni_worker *away;               /* the worker whose loop is unattended */
    tni_worker *at_leisure;         /* the worker that polls it */
    tni_registration *registration; /* in that loop */
    int fd;
    work task;              /* keeps `away` inside */
    work reader;            /* waits for the registration */
    work other;             /* after it `at_leisure` has nothing more to do */
    tni_os_mutex preparing; /* held by setup; the workers begin when it is free */
    tni_a32 inside;         /* 1: `away` is inside its task */
    tni_a32 tasks;          /* number of the other two tasks that have not ended */
};

/* --- Tasks ------------------------------------------------------------------------------------------------------------------ */

static int poll(tn_future *self, tn_waker *waker)
{
    work *w = tni_container_of(self, work, base);

    w->polls++;
    return w->body(w->scene, waker);
}

static void drop(tn_future *self)
{
    tni_container_of(self, work, base)->dropped++;
}

static const tn_future_ops ops = {poll, drop};

static void set_inside(left_scene *s)
{
    tni_a32_store(&s->inside, 1, TNI_RELEASE);
    tni_futex_wake(&s->inside, INT_MAX);
}

static void wait_inside(left_scene *s)
{
    while (tni_a32_load(&s->inside, TNI_ACQUIRE) == 0)
        tni_futex_wait(&s->inside, 0, TNI_FOREVER);
}

/* The last one stops the workers. */
static int done(left_scene *s, tn_waker *waker)
{
    (void)waker;
    if (tni_a32_fetch_sub(&s->tasks, 1, TNI_ACQ_REL) != 1)
        return 0;
    tni_futex_wake(&s->tasks, 1);
    stop_workers(s->runtime);
    return 0;
}

static int read_once(left_scene *s, tn_waker *waker)
{
    if (tni_registration_poll(s->registration, TNI_READ, waker) == TN_PENDING)
        return TN_PENDING;
    return done(s, waker);
}

/* Continues only when the others have ended, so this worker cannot be the one that wakes the reader. */
static int stay_away(left_scene *s, tn_waker *waker)
{
    uint32_t left;

    (void)waker;
    set_inside(s);
    while ((left = tni_a32_load(&s->tasks, TNI_ACQUIRE)) > 0)
        tni_futex_wait(&s->tasks, left, TNI_FOREVER);
    return 0;
}

/* Returns at any moment. Then its worker finds nothing to do, and wants to sleep in its loop. */
static int come_back(left_scene *s, tn_waker *waker)
{
    (void)waker;
    set_inside(s);
    return 0;
}

static int arrive_and_end(left_scene *s, tn_waker *waker)
{
    wait_inside(s);
    model_fire(s->fd, TNI_OS_READABLE);
    model_time_passes(TNI_UNATTENDED_NS + 1);
    return done(s, waker);
}

/* If a replacement thread exists by now, it begins with the core and its loop. */
static int take_and_end(left_scene *s, tn_waker *waker)
{
    wait_inside(s);
    (void)tni_worker_replace(s->away);
    return arrive_and_end(s, waker);
}

/* --- Before ----------------------------------------------------------------------------------------------------------------- */

/* A task that is in no queue yet. */
static tn_task *make(left_scene *s, work *w, int (*body)(left_scene *scene, tn_waker *waker))
{
    tn_task *task;

    *w = (work){.base = {&ops}, .scene = s, .body = body};
    model_check(tn_spawn_future(s->runtime, NULL, NULL, &w->base) == 0);
    model_check(tni_injector_take(&s->runtime->injector, &task, 1) == 1);
    return task;
}

static void on_thread_start(void *ctx)
{
    tni_os_mutex_lock(&((left_scene *)ctx)->preparing);
    tni_os_mutex_unlock(&((left_scene *)ctx)->preparing);
}

static void create_runtime(left_scene *s)
{
    tn_options options = tn_options_default();

    options.on_thread_start = on_thread_start;
    options.thread_hook_ctx = s;
    options.workers = 2;
    options.guard = TN_GUARD_NONE;
    model_check(tn_runtime_create(&s->runtime, &options) == 0);
    s->away = tni_aptr_load(&s->runtime->cores[0]->worker, TNI_RELAXED);
    s->at_leisure = tni_aptr_load(&s->runtime->cores[1]->worker, TNI_RELAXED);
    model_name(&s->runtime->idle.marks[0], 8, "idle.marks");
    model_name(&s->runtime->injector.length, 4, "injector.length");
    model_name(&s->runtime->cores[0]->driver.owned, 4, "driver.owned");
    model_name(&s->runtime->cores[1]->driver.owned, 4, "its own driver.owned");
    model_name(&s->away->parker, 4, "parker");
    model_name(&s->away->mailbox, 8, "mailbox");
}

/* The reader waits before its worker becomes busy. The worker that wakes it runs it. */
static void setup(left_scene *s, int (*body)(left_scene *scene, tn_waker *waker),
                  int (*other)(left_scene *scene, tn_waker *waker))
{
    tni_os_mutex_init(&s->preparing);
    tni_os_mutex_lock(&s->preparing);
    create_runtime(s);
    tni_a32_init(&s->inside, 0);
    tni_a32_init(&s->tasks, 2);
    model_name_of(s->inside);
    model_name_of(s->tasks);
    s->fd = model_fd_open();
    model_check(tni_registration_make(s->runtime, s->fd, &s->registration) == 0);
    tni_registration_watch(s->registration);
    tni_worker_mail(s->away, make(s, &s->reader, read_once));
    tni_worker_mail(s->away, make(s, &s->task, body));
    tni_worker_mail(s->at_leisure, make(s, &s->other, other));
}

static void stays_away(void *state)
{
    setup(state, stay_away, arrive_and_end);
    tni_os_mutex_unlock(&((left_scene *)state)->preparing);
}

static void comes_back(void *state)
{
    setup(state, come_back, arrive_and_end);
    tni_os_mutex_unlock(&((left_scene *)state)->preparing);
}

static void loses_its_core(void *state)
{
    left_scene *s = state;
    tni_worker *spare;

    setup(s, stay_away, take_and_end);
    model_check(tni_worker_start(s->runtime, NULL, &spare) == 0);
    tni_os_mutex_unlock(&s->preparing);
}

/* --- The end ---------------------------------------------------------------------------------------------------------------- */

static void finish(void *state)
{
    left_scene *s = state;

    model_check(tni_a32_load(&s->tasks, TNI_RELAXED) == 0);
    model_check(s->task.polls == 1 && s->task.dropped == 1);
    model_check(s->reader.dropped == 1 && s->other.dropped == 1);
    for (unsigned i = 0; i < 2; i++) {
        model_check(tni_driver_try_own(&s->runtime->cores[i]->driver)); /* no thread has kept it */
        tni_driver_disown(&s->runtime->cores[i]->driver);
    }
    tni_registration_close(s->registration);
    model_check(tn_runtime_destroy(s->runtime, TN_SHUTDOWN_WAIT, TNI_FOREVER) == 0);
    model_check(!model_fd_is_open(s->fd));
}

#define CASE(what, before, ...) \
    { \
        .name = "left_alone." what, .state_bytes = sizeof(left_scene), .setup = before, .finish = finish, .no_chance = true, \
        __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("serve", stays_away, .bound = 1),
    CASE("come_back", comes_back, .no_preemptions = true),
    CASE("take", loses_its_core, .no_preemptions = true),
    {0},
};
