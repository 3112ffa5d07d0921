/* SPDX-License-Identifier: MIT */
/* Paused time of a current-thread runtime; the options yield_often and seed. */
#include <string.h>

#include <tn.h>

#include "support/runtime.h"

#define HOUR (3600 * TN_S)

static void run_here(tn_entry_fn entry, void *arg)
{
    tn_options options = tn_options_default();

    options.flavor = TN_CURRENT_THREAD;
    tt_check_eq(tn_run(entry, arg, &options), 0);
}

/* The real clock: a plain thread is not a task of the runtime. */
static void *read_clock(void *out)
{
    *(uint64_t *)out = tn_now();
    return NULL;
}

static uint64_t real_ns(void)
{
    uint64_t ns = 0;

    tt_thread_join(tt_thread_start(read_clock, &ns));
    return ns;
}

/* --- Jumps ------------------------------------------------------------------------------------------------------------------ */

static void *sleep_a_day(void *arg)
{
    uint64_t real_begin_ns = real_ns();
    uint64_t begin_ns;
    (void)arg;

    tt_check_eq(tn_time_pause(), 0);
    begin_ns = tn_now();
    tt_block_thread(5 * TN_MS);
    tt_check_eq(tn_now(), begin_ns);
    tt_check_eq(tn_sleep(24 * HOUR), 0);
    tt_check(tn_now() - begin_ns >= 24 * HOUR);
    tt_check(tn_now() - begin_ns < 24 * HOUR + 2 * TN_MS);
    tt_check(real_ns() - real_begin_ns < HOUR);
    return NULL;
}

Test(time, a_day_passes_at_once)
{
    run_here(sleep_a_day, NULL);
}

typedef struct {
    uint64_t after_ns;
    uint64_t ended_ns;
    unsigned place;
    unsigned *places;
} sleeper;

static void *sleep_until(void *arg)
{
    sleeper *self = arg;

    tt_check_eq(tn_sleep(self->after_ns), 0);
    self->ended_ns = tn_now();
    self->place = (*self->places)++;
    return NULL;
}

static void *sleep_in_order(void *arg)
{
    enum { COUNT = 100 };
    sleeper sleepers[COUNT];
    tn_task *tasks[COUNT];
    unsigned places = 0;
    uint64_t begin_ns;
    (void)arg;

    tt_check_eq(tn_time_pause(), 0);
    begin_ns = tn_now();
    for (unsigned i = 0; i < COUNT; i++) {
        sleepers[i] = (sleeper){.after_ns = (i * 37 % COUNT + 1) * TN_S, .places = &places};
        tasks[i] = tt_spawn(sleep_until, &sleepers[i]);
    }
    for (unsigned i = 0; i < COUNT; i++)
        tt_join(tasks[i]);
    for (unsigned i = 0; i < COUNT; i++) {
        tt_check_eq(sleepers[i].place, i * 37 % COUNT);
        tt_check(sleepers[i].ended_ns - begin_ns >= sleepers[i].after_ns);
        tt_check(sleepers[i].ended_ns - begin_ns < sleepers[i].after_ns + 2 * TN_MS);
    }
    return NULL;
}

Test(time, each_timer_fires_at_its_time)
{
    run_here(sleep_in_order, NULL);
}

static void *deadlines(void *arg)
{
    tn_scope scope;
    tn_interval ticks;
    tn_sleep_future sleep;
    tn_semaphore never;
    uint64_t begin_ns;
    (void)arg;

    tt_check_eq(tn_time_pause(), 0);
    begin_ns = tn_now();
    tn_semaphore_init(&never, 0);
    tn_scope_enter_for(&scope, HOUR);
    tt_check_eq(tn_semaphore_acquire(&never, 1), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tt_check(tn_now() - begin_ns >= HOUR && tn_now() - begin_ns < HOUR + TN_S);
    tn_sleep_init(&sleep, tn_now() + HOUR);
    tt_check_eq(tn_timeout_for(&sleep.base, TN_S), TN_ETIMEDOUT);
    tn_interval_init(&ticks, tn_now(), HOUR, TN_MISSED_BURST);
    for (int i = 0; i < 10; i++)
        tt_check_eq(tn_interval_tick(&ticks, NULL), 0);
    tt_check(tn_now() - begin_ns >= 10 * HOUR);
    tn_semaphore_fini(&never);
    return NULL;
}

Test(time, scopes_timeouts_and_intervals_follow)
{
    run_here(deadlines, NULL);
}

/* --- What holds a jump back ------------------------------------------------------------------------------------------------- */

static void *block_shortly(void *arg)
{
    tt_block_thread(50 * TN_MS);
    return arg;
}

static void *job_before_timeout(void *arg)
{
    tn_scope scope;
    uint64_t begin_ns;

    tt_check_eq(tn_time_pause(), 0);
    begin_ns = tn_now();
    tn_scope_enter_for(&scope, TN_MS);
    tt_check_eq(tn_run_blocking(block_shortly, arg, NULL), 0);
    tt_check_eq(tn_now(), begin_ns);
    tn_scope_leave(&scope);
    return NULL;
}

Test(time, waits_for_a_blocking_job)
{
    run_here(job_before_timeout, NULL);
}

static void *release_later(void *arg)
{
    tt_block_thread(50 * TN_MS);
    tn_semaphore_release(arg, 1);
    return NULL;
}

static void *held(void *arg)
{
    tn_runtime *runtime = tn_runtime_current();
    tn_semaphore permit;
    tn_scope scope;
    pthread_t thread;
    (void)arg;

    tt_check_eq(tn_time_pause(), 0);
    tn_semaphore_init(&permit, 0);
    tn_runtime_hold(runtime);
    thread = tt_thread_start(release_later, &permit);
    tn_scope_enter_for(&scope, TN_MS);
    tt_check_eq(tn_semaphore_acquire(&permit, 1), 0);
    tn_scope_leave(&scope);
    tn_runtime_unhold(runtime);
    tt_thread_join(thread);
    tn_semaphore_fini(&permit);
    return NULL;
}

Test(time, waits_for_a_hold)
{
    run_here(held, NULL);
}

/* --- Moving and resuming ---------------------------------------------------------------------------------------------------- */

static void *advance(void *arg)
{
    sleeper early = {.after_ns = TN_S};
    sleeper late = {.after_ns = 3 * TN_S};
    unsigned places = 0;
    tn_task *first;
    tn_task *second;
    uint64_t begin_ns;
    (void)arg;

    early.places = late.places = &places;
    tt_check_eq(tn_time_advance(1), TN_EINVAL);
    tt_check_eq(tn_time_pause(), 0);
    begin_ns = tn_now();
    first = tt_spawn(sleep_until, &early);
    second = tt_spawn(sleep_until, &late);
    tt_check_eq(tn_yield(), 0);
    tt_check_eq(tn_time_advance(2 * TN_S), 0);
    tt_check_eq(tn_now(), begin_ns + 2 * TN_S);
    tt_check_eq(places, 1);
    tt_check_eq(early.ended_ns, begin_ns + 2 * TN_S);
    tt_join(first);
    tt_join(second);
    tt_check(late.ended_ns >= begin_ns + 3 * TN_S);
    tt_check_eq(tn_time_advance(UINT64_MAX - tn_now()), TN_EINVAL);
    return NULL;
}

Test(time, advances_at_once)
{
    run_here(advance, NULL);
}

static void *resume(void *arg)
{
    uint64_t begin_ns;
    (void)arg;

    tt_check_eq(tn_time_pause(), 0);
    begin_ns = tn_now();
    tt_check_eq(tn_sleep(HOUR), 0);
    tt_check_eq(tn_time_resume(), 0);
    tt_check(tn_now() >= begin_ns + HOUR);
    tt_check(tn_now() < begin_ns + 2 * HOUR);
    begin_ns = tn_now();
    tt_check_eq(tn_sleep(20 * TN_MS), 0);
    tt_check(tn_now() - begin_ns >= 20 * TN_MS);
    tt_check_eq(tn_time_pause(), 0);
    begin_ns = tn_now();
    tt_block_thread(20 * TN_MS); /* the clock is now behind the real one by this much more */
    tt_check_eq(tn_time_resume(), 0);
    tt_check_eq(tn_time_resume(), 0);
    tt_check(tn_now() >= begin_ns);
    tt_check_eq(tn_sleep(TN_MS), 0);
    return NULL;
}

Test(time, runs_on_after_a_resume)
{
    run_here(resume, NULL);
}

static void *refused(void *arg)
{
    (void)arg;
    tt_check_eq(tn_time_pause(), TN_EINVAL);
    tt_check_eq(tn_time_resume(), TN_EINVAL);
    tt_check_eq(tn_time_advance(1), TN_EINVAL);
    return NULL;
}

Test(time, only_in_a_current_thread_runtime)
{
    tt_run(refused, NULL);
    refused(NULL);
}

/* --- yield_often, seed ------------------------------------------------------------------------------------------------------ */

typedef struct {
    tn_mutex lock;
    unsigned turns;    /* of both tasks */
    unsigned switches; /* turns that followed one of the other task */
    void *last;
} turns;

static void *take_turns(void *arg)
{
    turns *self = arg;
    char mine;

    for (int i = 0; i < 100; i++) {
        tt_check_eq(tn_mutex_lock(&self->lock), 0);
        self->switches += self->last != &mine;
        self->last = &mine;
        self->turns++;
        tn_mutex_unlock(&self->lock);
    }
    return NULL;
}

static void *two_take_turns(void *arg)
{
    tn_task *other = tt_spawn(take_turns, arg);

    take_turns(arg);
    tt_join(other);
    return NULL;
}

static unsigned count_switches(bool often)
{
    tn_options options = tn_options_default();
    turns self = {.turns = 0};

    tn_mutex_init(&self.lock);
    options.flavor = TN_CURRENT_THREAD;
    options.yield_often = often;
    cr_assert_eq(tn_run(two_take_turns, &self, &options), 0);
    cr_assert_eq(self.turns, 200);
    tn_mutex_fini(&self.lock);
    return self.switches;
}

Test(time, yields_between_any_two_operations)
{
    cr_assert_leq(count_switches(false), 4);
    cr_assert_geq(count_switches(true), 198);
}

enum { CHOICES = 64 };

static void *choose(void *arg)
{
    unsigned char *chosen = arg;

    for (int i = 0; i < CHOICES; i++) {
        tn_sleep_future sleeps[4];
        tn_future *futures[4];

        for (int k = 0; k < 4; k++) {
            tn_sleep_init(&sleeps[k], 0);
            futures[k] = &sleeps[k].base;
        }
        chosen[i] = (unsigned char)tn_select(futures, 4, NULL);
    }
    return NULL;
}

static void choose_with(uint64_t seed, unsigned char *chosen)
{
    tn_options options = tn_options_default();

    options.flavor = TN_CURRENT_THREAD;
    options.seed = seed;
    cr_assert_eq(tn_run(choose, chosen, &options), 0);
}

Test(time, a_seed_repeats_the_choices)
{
    unsigned char a[CHOICES];
    unsigned char b[CHOICES];

    choose_with(7, a);
    choose_with(7, b);
    cr_assert(memcmp(a, b, CHOICES) == 0);
    choose_with(8, b);
    cr_assert(memcmp(a, b, CHOICES) != 0);
}
