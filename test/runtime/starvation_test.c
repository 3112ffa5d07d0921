/* SPDX-License-Identifier: MIT */
/* Tasks that never stop, and a task that must still run. Each kind of the former is combined with each kind of the latter. */
/* ctest: timeout=240 */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/config.h"
#include "support/runtime.h"

/* Rounds that the task must complete. */
enum { ROUNDS = 30 };
/* More tasks than a core's queue holds: most of them wait in the injector. */
enum { CROWD = 3000 };
/* Most spawns from outside that have not run yet. */
enum { FLOOD = 64 };
enum { SPINNERS = CROWD + 256 };

typedef struct scene scene;

/* Under a sanitizer, too, there are more tasks than a queue holds. */
static unsigned long crowd_size(void)
{
    unsigned long scaled = tt_scaled(CROWD);

    if (scaled > CROWD)
        return CROWD;
    return scaled > TNI_DEQUE_CAPACITY + TNI_OVERFLOW_BATCH ? scaled : TNI_DEQUE_CAPACITY + TNI_OVERFLOW_BATCH;
}

/* A stackless task that is never suspended for long. */
typedef struct {
    tn_future base;
    scene *scene;
    atomic_ulong *rounds;
    _Atomic(tn_waker *) waker;  /* of a pair: its own waker */
    _Atomic(tn_waker *) *other; /* of a pair: the other's waker */
} spinner;

/* Argument of a fiber: its scene, and where it counts its rounds. */
typedef struct {
    scene *scene;
    atomic_ulong *rounds;
} counted;

struct scene {
    tn_runtime *runtime;
    bool drives; /* current-thread flavor: `driver` runs the runtime */
    pthread_t driver;
    bool floods;
    pthread_t flooder;
    atomic_bool over;
    atomic_uint spawned; /* spawned from outside, and have not run yet */
    atomic_ulong rounds; /* of the task that must run */
    atomic_ulong uncounted;
    counted one;
    counted all;
    spinner spinners[SPINNERS];
    unsigned spinner_count;
};

/* --- Tasks that run until the scene is over ------------------------------------------------------------------------------- */

static int wake_self(tn_future *self, tn_waker *waker)
{
    spinner *s = (spinner *)(void *)self;

    if (atomic_load(&s->scene->over))
        return 0;
    atomic_fetch_add_explicit(s->rounds, 1, memory_order_relaxed);
    tn_waker_wake_by_ref(waker);
    return TN_PENDING;
}

/* Wakes the other future, and itself only until the other one has been polled. Loads `over` before it loads the other's waker:
 * a future that suspends has stored its waker before `over` was set, so a future that ends after that finds this waker. */
static int wake_other(tn_future *self, tn_waker *waker)
{
    spinner *s = (spinner *)(void *)self;
    tn_waker *other;
    bool over;

    atomic_fetch_add_explicit(s->rounds, 1, memory_order_relaxed);
    if (atomic_load(&s->waker) == NULL)
        atomic_store(&s->waker, tn_waker_retain(waker));
    over = atomic_load(&s->scene->over);
    other = atomic_load(s->other);
    if (other != NULL)
        tn_waker_wake_by_ref(other);
    if (over)
        return 0;
    if (other == NULL)
        tn_waker_wake_by_ref(waker);
    return TN_PENDING;
}

static void drop_nothing(tn_future *self)
{
    (void)self;
}

static const tn_future_ops self_ops = {wake_self, drop_nothing, NULL};
static const tn_future_ops pair_ops = {wake_other, drop_nothing, NULL};

static spinner *new_spinner(const counted *who, const tn_future_ops *ops)
{
    spinner *one = &who->scene->spinners[who->scene->spinner_count++];

    cr_assert_leq(who->scene->spinner_count, SPINNERS);
    one->base.ops = ops;
    one->scene = who->scene;
    one->rounds = who->rounds;
    return one;
}

static void spawn_spinner(spinner *one, bool pinned)
{
    tn_spawn_options options = tn_spawn_options_default();

    options.pinned = pinned;
    cr_assert_eq(tn_spawn_future(one->scene->runtime, &options, NULL, &one->base), 0);
}

static void spawn_pair(const counted *who, bool pinned)
{
    spinner *first = new_spinner(who, &pair_ops);
    spinner *second = new_spinner(who, &pair_ops);

    first->other = &second->waker;
    second->other = &first->waker;
    spawn_spinner(first, pinned);
    spawn_spinner(second, pinned);
}

static void spawn_fiber(counted *who, tn_entry_fn entry, bool pinned)
{
    tn_spawn_options options = tn_spawn_options_default();

    options.pinned = pinned;
    cr_assert_eq(tn_spawn_on(who->scene->runtime, &options, NULL, entry, who), 0);
}

static void *yield_on(void *arg)
{
    counted *me = arg;

    while (!atomic_load(&me->scene->over)) {
        atomic_fetch_add_explicit(me->rounds, 1, memory_order_relaxed);
        tt_check(tn_yield() == 0);
    }
    return NULL;
}

/* All that it awaits is ready, so it yields only when its budget is used up. A round is longer than a budget. */
static void *use_budgets_up(void *arg)
{
    counted *me = arg;

    while (!atomic_load(&me->scene->over)) {
        atomic_fetch_add_explicit(me->rounds, 1, memory_order_relaxed);
        for (int i = 0; i < 200; i++) {
            tn_sleep_future past;
            tn_sleep_init(&past, 0);
            tt_check(tn_await(&past.base) == 0);
        }
    }
    return NULL;
}

static void *sleep_on(void *arg)
{
    counted *me = arg;

    while (!atomic_load(&me->scene->over)) {
        tt_check(tn_sleep(TN_US) == 0);
        atomic_fetch_add_explicit(me->rounds, 1, memory_order_relaxed);
    }
    return NULL;
}

static void *has_run(void *arg)
{
    atomic_fetch_sub((atomic_uint *)arg, 1);
    return NULL;
}

/* --- A scene -------------------------------------------------------------------------------------------------------------- */

static void *stay(void *arg)
{
    while (!atomic_load(&((scene *)arg)->over))
        tt_check(tn_sleep(TN_MS) == 0);
    return NULL;
}

static void *drive(void *arg)
{
    tt_check(tn_block_on(((scene *)arg)->runtime, stay, arg, NULL) == 0);
    return NULL;
}

enum { AS_TOLD, ONE_WORKER, CURRENT_THREAD, SHAPES };

static scene *begin(int shape)
{
    scene *s = calloc(1, sizeof *s);
    tn_options options = tt_options();

    cr_assert_not_null(s);
    options.stuck_after_ns = UINT64_MAX;
    if (shape == ONE_WORKER)
        options.workers = 1;
    if (shape == CURRENT_THREAD) {
        options.workers = 0;
        options.flavor = TN_CURRENT_THREAD;
    }
    cr_assert_eq(tn_runtime_create(&s->runtime, &options), 0);
    s->one = (counted){s, &s->rounds};
    s->all = (counted){s, &s->uncounted};
    s->drives = shape == CURRENT_THREAD;
    if (s->drives)
        s->driver = tt_thread_start(drive, s);
    return s;
}

static void end(scene *s)
{
    atomic_store(&s->over, true);
    if (s->floods)
        tt_thread_join(s->flooder);
    if (s->drives)
        tt_thread_join(s->driver);
    tt_runtime_destroy(s->runtime);
    for (unsigned i = 0; i < s->spinner_count; i++) {
        tn_waker *waker = atomic_load(&s->spinners[i].waker);
        if (waker != NULL)
            tn_waker_release(waker);
    }
    free(s);
}

/* --- The task that must run ----------------------------------------------------------------------------------------------- */

static void one_yields(scene *s)
{
    spawn_fiber(&s->one, yield_on, false);
}

static void one_pinned_yields(scene *s)
{
    spawn_fiber(&s->one, yield_on, true);
}

static void one_uses_budgets_up(scene *s)
{
    spawn_fiber(&s->one, use_budgets_up, false);
}

static void one_sleeps(scene *s)
{
    spawn_fiber(&s->one, sleep_on, false);
}

static void one_wakes_itself(scene *s)
{
    spawn_spinner(new_spinner(&s->one, &self_ops), false);
}

static void two_wake_each_other(scene *s)
{
    spawn_pair(&s->one, false);
}

static void two_pinned_wake_each_other(scene *s)
{
    spawn_pair(&s->one, true);
}

static const struct {
    const char *name;
    void (*start)(scene *s);
} ones[] = {
    {"one that yields", one_yields},
    {"a pinned one that yields", one_pinned_yields},
    {"one that uses its budgets up", one_uses_budgets_up},
    {"one that sleeps", one_sleeps},
    {"one that wakes itself", one_wakes_itself},
    {"two that wake each other", two_wake_each_other},
    {"two pinned ones that wake each other", two_pinned_wake_each_other},
};

static void expect_rounds(scene *s, const char *name)
{
    uint64_t limit_ns = tn_now() + 30 * TN_S;

    while (atomic_load(&s->rounds) < ROUNDS) {
        cr_assert_lt(tn_now(), limit_ns, "%s: %lu rounds", name, atomic_load(&s->rounds));
        tt_block_thread(TN_MS / 4);
    }
}

static bool all_have_run(void *arg)
{
    return atomic_load(&((scene *)arg)->spawned) == 0;
}

/* Spawns one task after the other from outside. */
static void expect_spawns(scene *s)
{
    for (unsigned i = 0; i < ROUNDS / 3; i++) {
        atomic_fetch_add(&s->spawned, 1);
        cr_assert_eq(tn_spawn_on(s->runtime, NULL, NULL, has_run, &s->spawned), 0);
        cr_assert(tt_wait_until(all_have_run, s, 30 * TN_S), "spawned from outside: %u", i);
    }
}

/* `crowd` starts the tasks that never stop. */
static void nobody_starves_beside(void (*crowd)(scene *s))
{
    for (int shape = 0; shape < SHAPES; shape++) {
        scene *s;
        for (size_t i = 0; i < sizeof ones / sizeof *ones; i++) {
            s = begin(shape);
            crowd(s);
            ones[i].start(s);
            expect_rounds(s, ones[i].name);
            end(s);
        }
        s = begin(shape);
        crowd(s);
        if (!s->floods)
            expect_spawns(s);
        end(s);
    }
}

/* --- Tasks that never stop ------------------------------------------------------------------------------------------------ */

static void pairs(scene *s)
{
    for (unsigned i = 0; i < tn_runtime_workers(s->runtime); i++)
        spawn_pair(&s->all, false);
}

static void pinned_pairs(scene *s)
{
    for (unsigned i = 0; i < tn_runtime_workers(s->runtime); i++)
        spawn_pair(&s->all, true);
}

static void both_kinds_of_pairs(scene *s)
{
    pairs(s);
    pinned_pairs(s);
}

static void yielders(scene *s)
{
    for (unsigned i = 0; i < 2 * tn_runtime_workers(s->runtime); i++)
        spawn_fiber(&s->all, yield_on, false);
}

static void self_wakers(scene *s)
{
    for (unsigned i = 0; i < 2 * tn_runtime_workers(s->runtime); i++)
        spawn_spinner(new_spinner(&s->all, &self_ops), false);
}

static void crowd_of_self_wakers(scene *s)
{
    for (unsigned long i = 0; i < crowd_size(); i++)
        spawn_spinner(new_spinner(&s->all, &self_ops), false);
}

static void crowd_of_yielders(scene *s)
{
    for (unsigned long i = 0; i < crowd_size(); i++)
        spawn_fiber(&s->all, yield_on, false);
}

static void *flood(void *arg)
{
    scene *s = arg;

    while (!atomic_load(&s->over)) {
        if (atomic_load(&s->spawned) >= FLOOD)
            continue;
        atomic_fetch_add(&s->spawned, 1);
        tt_check(tn_spawn_on(s->runtime, NULL, NULL, has_run, &s->spawned) == 0);
    }
    return NULL;
}

static void spawns_from_outside(scene *s)
{
    s->floods = true;
    s->flooder = tt_thread_start(flood, s);
}

static void pairs_and_spawns(scene *s)
{
    pairs(s);
    spawns_from_outside(s);
}

Test(starvation, beside_pairs_that_wake_each_other)
{
    nobody_starves_beside(pairs);
}

Test(starvation, beside_pinned_pairs)
{
    nobody_starves_beside(pinned_pairs);
}

Test(starvation, beside_both_kinds_of_pairs)
{
    nobody_starves_beside(both_kinds_of_pairs);
}

Test(starvation, beside_tasks_that_yield)
{
    nobody_starves_beside(yielders);
}

Test(starvation, beside_tasks_that_wake_themselves)
{
    nobody_starves_beside(self_wakers);
}

Test(starvation, beside_more_than_a_queue_holds)
{
    nobody_starves_beside(crowd_of_self_wakers);
}

Test(starvation, beside_more_that_yield_than_a_queue_holds)
{
    nobody_starves_beside(crowd_of_yielders);
}

Test(starvation, beside_spawns_from_outside)
{
    nobody_starves_beside(spawns_from_outside);
}

Test(starvation, beside_pairs_and_spawns_from_outside)
{
    nobody_starves_beside(pairs_and_spawns);
}

/* --- Turns ---------------------------------------------------------------------------------------------------------------- */

typedef struct crowd crowd;

typedef struct {
    tn_future base;
    crowd *crowd;
    atomic_ulong turns;
} member;

struct crowd {
    member members[CROWD];
    unsigned long count;
    unsigned long enough; /* each member has at least so many counted turns */
    uint64_t run_ns;      /* length of a turn */
    atomic_ulong came;    /* members that have run at least once */
    atomic_ulong served;  /* members that have had `enough` turns */
    atomic_bool counting;
    atomic_bool over;
};

/* The last member to have enough turns stops the counting, so that it stops at once and not when the test's thread checks. */
static void count_turn(member *m, unsigned long turns)
{
    atomic_store_explicit(&m->turns, turns, memory_order_relaxed);
    if (turns == m->crowd->enough && atomic_fetch_add(&m->crowd->served, 1) + 1 == m->crowd->count)
        atomic_store(&m->crowd->counting, false);
}

static int take_turn(tn_future *self, tn_waker *waker)
{
    member *m = (member *)(void *)self;
    unsigned long turns = atomic_load_explicit(&m->turns, memory_order_relaxed);

    if (atomic_load(&m->crowd->over))
        return 0;
    if (turns == 0)
        atomic_fetch_add(&m->crowd->came, 1);
    if (turns == 0 || atomic_load(&m->crowd->counting))
        count_turn(m, turns + 1);
    if (m->crowd->run_ns > 0)
        tt_burn(m->crowd->run_ns);
    tn_waker_wake_by_ref(waker);
    return TN_PENDING;
}

static const tn_future_ops member_ops = {take_turn, drop_nothing, NULL};

static bool all_came(void *arg)
{
    return atomic_load(&((crowd *)arg)->came) == ((crowd *)arg)->count;
}

static bool all_were_served(void *arg)
{
    return atomic_load(&((crowd *)arg)->served) == ((crowd *)arg)->count;
}

/* Returns the most turns that any member has had when each has had `enough`, on one worker. */
static unsigned long most_turns(uint64_t run_ns, unsigned long enough)
{
    crowd *c = calloc(1, sizeof *c);
    tn_options options = tt_options();
    tn_runtime *runtime;
    unsigned long most = 0;

    cr_assert_not_null(c);
    options.workers = 1;
    options.stuck_after_ns = UINT64_MAX;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    c->count = crowd_size();
    c->run_ns = run_ns;
    c->enough = enough;
    for (unsigned long i = 0; i < c->count; i++) {
        c->members[i].base.ops = &member_ops;
        c->members[i].crowd = c;
        cr_assert_eq(tn_spawn_future(runtime, NULL, NULL, &c->members[i].base), 0);
    }
    cr_assert(tt_wait_until(all_came, c, 60 * TN_S));
    atomic_store(&c->counting, true);
    cr_assert(tt_wait_until(all_were_served, c, 60 * TN_S));
    for (unsigned long i = 0; i < c->count; i++)
        most = atomic_load(&c->members[i].turns) > most ? atomic_load(&c->members[i].turns) : most;
    atomic_store(&c->over, true);
    cr_log_info("most turns: %lu", most);
    tt_runtime_destroy(runtime);
    free(c);
    return most;
}

/* A task in the injector runs nearly as often as one in the run queue. With a fixed share of 9 tasks per period, some task gets
 * 2500 turns and more. */
Test(starvation, more_than_a_queue_holds_take_turns)
{
    cr_assert_lt(most_turns(0, 100), 1500);
}

/* Only a few tasks run per period. The tasks of a share must run before they are moved back to the injector. Otherwise some
 * task gets 32 turns or more. */
Test(starvation, more_than_a_queue_holds_take_long_turns)
{
    cr_assert_lt(most_turns(50 * TN_US, 12), 24);
}
