/* SPDX-License-Identifier: MIT */
/* One ready future of each kind, and futures that a user may build from them. */
#ifndef READY_KINDS_H
#define READY_KINDS_H

#include "sync_support.h"

enum { FEW = 8, MANY = 200, PAST_NS = 1 };

static tn_runtime *runtime;

/* What the futures are made from. */
static struct {
    tn_semaphore semaphore; /* has permits for all */
    tn_notify notifies[FEW];
    tn_mpsc *channels[MANY]; /* empty except for what a test sends */
    tn_barrier barrier;      /* of one party */
    tn_once once;
} base;

static void base_init(void)
{
    tn_semaphore_init(&base.semaphore, 100000);
    for (int i = 0; i < FEW; i++)
        tn_notify_init(&base.notifies[i]);
    for (int i = 0; i < MANY; i++)
        tt_check(tn_mpsc_create(&base.channels[i], sizeof(int), MANY, NULL) == 0);
    tn_barrier_init(&base.barrier, 1);
    base.once = (tn_once)TN_ONCE_INIT;
}

static void base_fini(void)
{
    tn_semaphore_fini(&base.semaphore);
    for (int i = 0; i < MANY; i++) {
        tn_mpsc_release_sender(base.channels[i]);
        tn_mpsc_release_receiver(base.channels[i]);
    }
}

static void put(int channel, int count)
{
    for (int i = 0; i < count; i++)
        tt_check(tn_mpsc_try_send(base.channels[channel], &i) == 0);
}

/* --- Ready futures: `make` prepares one ------------------------------------------------------------------------------------- */

static struct {
    tn_semaphore_future permits[MANY];
    tn_notify_future notes[FEW];
    tn_mpsc_recv_future elements[MANY];
    tn_sleep_future sleep;
    tn_interval interval;
    tn_interval_future tick;
    tn_barrier_future barrier;
    tn_once_future once;
    tn_join_future join;
    tn_task *task;
    tn_job_future job_end;
    tn_job *job;
    tn_group group;
    tn_group_future child;
    tn_future_set *set;
    tn_future_set_future next;
    tn_future *list[MANY];
    int results[MANY];
    tn_select_future select;
    tn_join_all_future all;
    tn_timeout_future timeouts[FEW];
    int element;
} made;

static void nothing(void) {}

static tn_future *make_permit(void)
{
    tn_semaphore_acquire_init(&made.permits[0], &base.semaphore, 1);
    return &made.permits[0].base;
}

static void give_back(void)
{
    tn_semaphore_release(&base.semaphore, 1);
}

static tn_future *make_element(void)
{
    put(0, 1);
    tn_mpsc_recv_init(&made.elements[0], base.channels[0], &made.element);
    return &made.elements[0].base;
}

static tn_future *make_note(void)
{
    tn_notify_one(&base.notifies[0]);
    tn_notify_wait_init(&made.notes[0], &base.notifies[0]);
    return &made.notes[0].base;
}

static tn_future *make_barrier(void)
{
    tn_barrier_wait_init(&made.barrier, &base.barrier);
    return &made.barrier.base;
}

static tn_future *make_once(void)
{
    tn_once_begin_init(&made.once, &base.once);
    return &made.once.base;
}

static void abandon_once(void)
{
    tn_once_abandon(&base.once);
}

static tn_future *make_sleep(void)
{
    tn_sleep_init(&made.sleep, PAST_NS);
    return &made.sleep.base;
}

static tn_future *make_tick(void)
{
    tn_interval_init(&made.interval, PAST_NS, TN_MS, TN_MISSED_SKIP);
    tn_interval_tick_init(&made.tick, &made.interval);
    return &made.tick.base;
}

static void *end_at_once(void *arg)
{
    return arg;
}

static tn_future *make_join(void)
{
    tt_check(tn_spawn_on(runtime, NULL, &made.task, end_at_once, NULL) == 0);
    while (!tn_task_is_finished(made.task))
        tt_check(tn_yield() == 0);
    tn_join_init(&made.join, made.task);
    return &made.join.base;
}

static void release_task(void)
{
    tn_task_release(made.task);
}

static tn_future *make_job(void)
{
    tt_check(tn_spawn_blocking_on(runtime, NULL, &made.job, end_at_once, NULL) == 0);
    while (!tn_job_is_finished(made.job))
        tt_check(tn_yield() == 0);
    tn_job_init(&made.job_end, made.job);
    return &made.job_end.base;
}

static void release_job(void)
{
    tn_job_release(made.job);
}

static tn_future *make_child(void)
{
    tn_group_options options = tn_group_options_default();

    options.runtime = runtime;
    tn_group_enter(&made.group, &options);
    tt_check(tn_group_spawn(&made.group, NULL, end_at_once, NULL) == 0);
    while (tn_group_running(&made.group) > 0)
        tt_check(tn_yield() == 0);
    tn_group_next_init(&made.child, &made.group);
    return &made.child.base;
}

static void leave_group(void)
{
    tn_group_leave(&made.group);
}

/* The last future of the list is notified. */
static void list_notes(void)
{
    for (int i = 0; i < FEW; i++) {
        tn_notify_wait_init(&made.notes[i], &base.notifies[i]);
        made.list[i] = &made.notes[i].base;
    }
    tn_notify_one(&base.notifies[FEW - 1]);
}

static void drop_notes(void)
{
    for (int i = 0; i < FEW; i++)
        drop(&made.notes[i].base);
}

static tn_future *make_select(void)
{
    list_notes();
    tn_select_init(&made.select, made.list, FEW);
    return &made.select.base;
}

static tn_future *make_race(void)
{
    list_notes();
    tn_race_init(&made.select, made.list, FEW);
    return &made.select.base;
}

/* There is an element for the last future of the list. */
static void list_elements(void)
{
    for (int i = 0; i < MANY; i++) {
        tn_mpsc_recv_init(&made.elements[i], base.channels[i], &made.element);
        made.list[i] = &made.elements[i].base;
    }
    put(MANY - 1, 1);
}

static void drop_elements(void)
{
    for (int i = 0; i < MANY; i++)
        drop(&made.elements[i].base);
}

static tn_future *make_large_select(void)
{
    list_elements();
    tn_select_init_biased(&made.select, made.list, MANY);
    return &made.select.base;
}

static tn_future *make_set(void)
{
    list_elements();
    tt_check(tn_future_set_create(&made.set, runtime) == 0);
    for (int i = 0; i < MANY; i++)
        tt_check(tn_future_set_add(made.set, made.list[i], NULL, NULL) == 0);
    tn_future_set_next_init(&made.next, made.set);
    return &made.next.base;
}

static void destroy_set(void)
{
    tn_future_set_destroy(made.set);
}

static void list_permits(void)
{
    for (int i = 0; i < MANY; i++) {
        tn_semaphore_acquire_init(&made.permits[i], &base.semaphore, 1);
        made.list[i] = &made.permits[i].base;
    }
}

static tn_future *make_join_all(void)
{
    list_permits();
    tn_join_all_init(&made.all, made.list, made.results, MANY);
    return &made.all.base;
}

static tn_future *make_try_join_all(void)
{
    list_permits();
    tn_try_join_all_init(&made.all, made.list, made.results, MANY);
    return &made.all.base;
}

static void give_all_back(void)
{
    for (int i = 0; i < MANY; i++)
        tt_check(made.results[i] == 0);
    tn_semaphore_release(&base.semaphore, MANY);
}

/* A select of timeouts of a select. */
static tn_future *make_nest(void)
{
    tn_future *inner = make_select();
    static tn_select_future outer;
    static tn_future *branches[2];

    tn_timeout_init(&made.timeouts[0], inner, PAST_NS);
    tn_timeout_for_init(&made.timeouts[1], make_sleep(), 0);
    branches[0] = &made.timeouts[0].base;
    branches[1] = &made.timeouts[1].base;
    tn_select_init_biased(&outer, branches, 2);
    return &outer.base;
}

/* A user's future: does a number of ready operations, then is ready. */
typedef struct {
    tn_future base;
    int left;
} worker;

static int worker_poll(tn_future *self, tn_waker *waker)
{
    worker *w = (worker *)(void *)self;

    for (; w->left > 0; w->left--) {
        tn_semaphore_future permit;
        int rc;
        tn_semaphore_acquire_init(&permit, &base.semaphore, 1);
        rc = tn_future_poll(&permit.base, waker);
        drop(&permit.base);
        if (rc != 0)
            return rc;
        tn_semaphore_release(&base.semaphore, 1);
    }
    return 0;
}

static void no_drop(tn_future *self)
{
    (void)self;
}

static void worker_init(worker *w, int operations)
{
    static const tn_future_ops ops = {worker_poll, no_drop, "operations"};

    *w = (worker){.base = {&ops}, .left = operations};
}

static tn_future *make_worker(void)
{
    static worker w;

    worker_init(&w, TNI_BUDGET / 2 - 1); /* as many as the promise allows */
    return &w.base;
}

/* A user's select: an element, or else the end of a sleep. */
static int choice_poll(tn_future *self, tn_waker *waker)
{
    int rc = tn_future_poll(&made.elements[0].base, waker);

    (void)self;
    if (rc != TN_PENDING)
        return rc;
    rc = tn_future_poll(&made.sleep.base, waker);
    return rc == 0 ? TN_ETIMEDOUT : rc;
}

static void choice_drop(tn_future *self)
{
    (void)self;
    drop(&made.elements[0].base);
}

static tn_future *make_choice(void)
{
    static const tn_future_ops ops = {choice_poll, choice_drop, "choice"};
    static tn_future choice = {&ops};

    (void)make_element();
    (void)make_sleep();
    return &choice;
}

typedef struct {
    const char *name;
    tn_future *(*make)(void);
    void (*clean)(void); /* after the future was dropped */
    int result;
} kind;

static const kind kinds[] = {
    {"semaphore", make_permit, give_back, 0},
    {"mpsc", make_element, nothing, 0},
    {"notify", make_note, nothing, 0},
    {"barrier", make_barrier, nothing, TN_BARRIER_LEADER},
    {"once", make_once, abandon_once, TN_ONCE_MINE},
    {"sleep", make_sleep, nothing, 0},
    {"interval", make_tick, nothing, 0},
    {"join", make_join, release_task, 0},
    {"job", make_job, release_job, 0},
    {"group", make_child, leave_group, 1},
    {"select", make_select, drop_notes, FEW - 1},
    {"race", make_race, nothing, FEW - 1},
    {"select over many", make_large_select, drop_elements, MANY - 1},
    {"future set", make_set, destroy_set, 1},
    {"join_all", make_join_all, give_all_back, 0},
    {"try_join_all", make_try_join_all, give_all_back, 0},
    {"select of timeouts", make_nest, drop_notes, 0},
    {"user's operations", make_worker, nothing, 0},
    {"user's select", make_choice, nothing, 0},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

#endif
