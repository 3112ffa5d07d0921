/* SPDX-License-Identifier: MIT */
/* Future sets: only woken members are polled, no wake is lost, every member is dropped exactly once. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <stdlib.h>

#include <tn/combine.h>
#include <tn/future_set.h>
#include <tn/scope.h>

#include "support/allocator.h"
#include "support/manual.h"
#include "support/runtime.h"

enum { MEMBERS = 8, HOUR_S = 3600 };

static tn_future_set *new_set(void)
{
    tn_future_set *set;

    tt_check(tn_future_set_create(&set, NULL) == 0);
    return set;
}

static void *only_the_woken(void *arg)
{
    tn_future_set *set = new_set();
    tt_manual manual[MEMBERS];
    tn_ready ready;

    tt_check(tn_future_set_next(set, &ready) == 0); /* the set is empty */
    for (uintptr_t i = 0; i < MEMBERS; i++) {
        tt_manual_init(&manual[i]);
        tt_check(tn_future_set_add(set, &manual[i].base, (void *)i, NULL) == 0);
    }
    tt_manual_set(&manual[5], 55);
    tt_check(tn_future_set_next(set, &ready) == 1);
    tt_check(ready.future == &manual[5].base && ready.tag == (void *)5 && ready.result == 55);
    tt_check(atomic_load(&manual[5].drops) == 1 && tn_future_set_count(set) == MEMBERS - 1);
    tt_manual_ready(&manual[2], 22);
    tt_check(tn_future_set_next(set, &ready) == 1 && ready.tag == (void *)2 && ready.result == 22);
    for (int i = 0; i < MEMBERS; i++)
        tt_check(atomic_load(&manual[i].polls) == (i == 2 ? 2 : 1)); /* the others have not been woken */
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check(tn_future_set_next(set, &ready) == TN_ETIMEDOUT);
    }
    tn_future_set_destroy(set);
    for (int i = 0; i < MEMBERS; i++)
        tt_check(atomic_load(&manual[i].drops) == 1);
    tn_future_set_destroy(NULL);
    return arg;
}

Test(ready_set, polls_only_who_was_woken)
{
    tt_run(only_the_woken, NULL);
}

/* The ready member is found before the timeout, although many others are polled before it. */
static void *ready_behind_many(void *arg)
{
    enum { MANY = 1000, PAST_NS = 1 };
    tn_future_set *set = new_set();
    static tt_manual manual[MANY];
    tn_future_set_future next;

    for (int i = 0; i < MANY; i++) {
        tt_manual_init(&manual[i]);
        tt_check(tn_future_set_add(set, &manual[i].base, NULL, NULL) == 0);
    }
    tt_manual_set(&manual[MANY - 1], 0);
    tn_future_set_next_init(&next, set);
    tt_check(tn_timeout(&next.base, PAST_NS) == 1 && next.ready.future == &manual[MANY - 1].base);
    tn_future_set_destroy(set);
    return arg;
}

Test(ready_set, finds_what_is_ready_behind_many)
{
    tt_run(ready_behind_many, NULL);
}

/* Wakes itself at each poll, until another task has run. */
typedef struct {
    tn_future base;
    const atomic_bool *others_ran;
    unsigned polls;
} restless;

static int restless_poll(tn_future *self, tn_waker *waker)
{
    restless *r = (restless *)(void *)self;

    r->polls++;
    if (atomic_load(r->others_ran))
        return 0;
    tn_waker_wake_by_ref(waker);
    return TN_PENDING;
}

static void restless_drop(tn_future *self)
{
    (void)self;
}

static void *run_once(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
    return NULL;
}

static void *wait_for_restless(void *arg)
{
    static const tn_future_ops ops = {restless_poll, restless_drop, "restless"};
    atomic_bool others_ran = false;
    tn_future_set *set = new_set();
    restless members[MEMBERS];
    tn_ready ready;
    tn_task *other = tt_spawn(run_once, &others_ran);

    for (int i = 0; i < MEMBERS; i++) {
        members[i] = (restless){.base = {&ops}, .others_ran = &others_ran};
        tt_check(tn_future_set_add(set, &members[i].base, NULL, NULL) == 0);
    }
    tt_check(tn_future_set_next(set, &ready) == 1);
    for (int i = 0; i < MEMBERS; i++)
        tt_check(members[i].polls <= 2);
    (void)tt_join(other);
    tn_future_set_destroy(set);
    return arg;
}

Test(ready_set, members_that_wake_themselves_let_others_run)
{
    tn_options options = tn_options_default();
    tn_runtime *runtime;

    options.flavor = TN_CURRENT_THREAD;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, wait_for_restless, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
}

/* Members are polled in the order in which they were woken. One that is woken during its poll is polled again. */
static void *in_order(void *arg)
{
    static const int order[MEMBERS] = {3, 1, 7, 0, 6, 2, 5, 4};
    tn_future_set *set = new_set();
    tt_manual manual[MEMBERS];
    tn_ready ready;

    for (uintptr_t i = 0; i < MEMBERS; i++) {
        tt_manual_init(&manual[i]);
        tt_check(tn_future_set_add(set, &manual[i].base, (void *)i, NULL) == 0);
    }
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check(tn_future_set_next(set, &ready) == TN_ETIMEDOUT); /* all have been polled */
    }
    for (int i = 0; i < MEMBERS; i++)
        tt_manual_ready(&manual[order[i]], order[i]);
    for (int i = 0; i < MEMBERS; i++)
        tt_check(tn_future_set_next(set, &ready) == 1 && ready.result == order[i]);
    tt_check(tn_future_set_next(set, &ready) == 0 && tn_future_set_count(set) == 0);
    tn_future_set_destroy(set);
    return arg;
}

Test(ready_set, answers_in_the_order_of_waking)
{
    tt_run(in_order, NULL);
}

/* Each member has its own timer. */
static void *sleepers(void *arg)
{
    enum { SLEEPERS = 100 };
    tn_future_set *set = new_set();
    static tn_sleep_future sleep[SLEEPERS];
    uint64_t now_ns = tn_now();
    tn_ready ready;
    unsigned seen = 0;

    for (uintptr_t i = 0; i < SLEEPERS; i++) {
        tn_sleep_init(&sleep[i], i < 90 ? now_ns + (i * 37 % 20) * TN_MS : now_ns + HOUR_S * TN_S);
        tt_check(tn_future_set_add(set, &sleep[i].base, (void *)i, NULL) == 0);
    }
    while (seen < 90) {
        tt_check(tn_future_set_next(set, &ready) == 1 && ready.result == 0 && (uintptr_t)ready.tag < 90);
        tt_check(tn_now() >= sleep[(uintptr_t)ready.tag].deadline_ns);
        seen++;
    }
    tt_check(tn_future_set_count(set) == 10);
    tn_future_set_destroy(set); /* the timers are removed with it */
    return arg;
}

Test(ready_set, members_have_timers)
{
    tt_run(sleepers, NULL);
}

Test(ready_set, in_a_plain_thread)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_sleep_future sleep;
    tn_future_set *set;
    tn_ready ready;

    cr_assert_eq(tn_future_set_create(&set, NULL), TN_EINVAL);
    cr_assert_eq(tn_future_set_create(&set, runtime), 0);
    tn_sleep_init(&sleep, tn_now() + 3 * TN_MS);
    cr_assert_eq(tn_future_set_add(set, &sleep.base, NULL, NULL), 0);
    cr_assert_eq(tn_future_set_next(set, &ready), 1);
    cr_assert(tn_now() >= sleep.deadline_ns);
    tn_future_set_destroy(set);
    tt_runtime_destroy(runtime);
}

/* --- Removals and wakes in all orders --------------------------------------------------------------------------------------- */

static void *remove_orders(void *arg)
{
    tn_future_set *set = new_set();
    tt_manual manual;
    tn_future_set_member *member;
    tn_ready ready;

    for (int order = 0; order < 4; order++) {
        tt_manual_init(&manual);
        tt_check(tn_future_set_add(set, &manual.base, NULL, &member) == 0);
        if (order > 0) {
            TN_SCOPE(scope, tn_now() + TN_MS);
            tt_check(tn_future_set_next(set, &ready) == TN_ETIMEDOUT); /* the member is suspended */
        }
        if (order == 2)
            tt_manual_ready(&manual, 1); /* woken, then removed */
        if (order == 3) {
            tn_waker *late = tn_waker_retain(atomic_load(&manual.waker));
            tn_future_set_remove(set, member);
            tn_waker_wake(late); /* a wake after the member was removed */
        } else {
            tn_future_set_remove(set, member); /* never polled; suspended; woken */
        }
        tt_check(atomic_load(&manual.drops) == 1 && tn_future_set_count(set) == 0);
        tt_check(tn_future_set_next(set, &ready) == 0);
    }
    tt_manual_init(&manual);
    tt_check(tn_future_set_add(set, &manual.base, NULL, &member) == 0);
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check(tn_future_set_next(set, &ready) == TN_ETIMEDOUT);
    }
    {
        tn_waker *late = tn_waker_retain(atomic_load(&manual.waker));
        tn_future_set_destroy(set);
        tn_waker_wake_by_ref(late); /* a wake after the set was destroyed */
        tn_waker_release(late);
    }
    return arg;
}

Test(ready_set, removing_and_waking_in_all_orders)
{
    tn_options options = tt_options();
    tt_allocator allocator;
    tn_runtime *runtime;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, remove_orders, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

static void *no_memory(void *arg)
{
    tt_allocator *allocator = arg;
    tn_future_set *set;
    tt_manual manual;

    for (long nth = 1; nth <= 2; nth++) {
        tt_allocator_fail(allocator, nth, 2); /* it tries again when other cores have given what they do not use */
        tt_check(tn_future_set_create(&set, NULL) == TN_ENOMEM && set == NULL);
    }
    set = new_set();
    tt_manual_init(&manual);
    tt_allocator_fail(allocator, 1, 1);
    tt_check(tn_future_set_add(set, &manual.base, NULL, NULL) == TN_ENOMEM);
    tt_check(tn_future_set_count(set) == 0 && atomic_load(&manual.drops) == 0);
    tn_future_set_destroy(set);
    return NULL;
}

Test(ready_set, no_memory_is_an_error)
{
    tn_options options = tt_options();
    tt_allocator allocator;
    tn_runtime *runtime;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, no_memory, &allocator, NULL), 0);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

/* Threads wake members at random while the set returns, adds and removes members. Each future is dropped exactly once. */
typedef struct {
    tt_manual *manual;
    unsigned long count;
    atomic_bool stop;
} storm;

static void *wake_at_random(void *arg)
{
    storm *s = arg;
    uint64_t random = (uint64_t)(uintptr_t)&random | 1;

    while (!atomic_load(&s->stop)) {
        tt_manual *m;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        m = &s->manual[random % s->count];
        if (random >> 32 & 1)
            tt_manual_set(m, 1);
        tt_manual_wake(m);
        if ((random >> 33 & 15) == 0)
            tt_check(tn_yield() == 0);
    }
    return NULL;
}

static void *weather(void *arg)
{
    storm *s = arg;
    tn_future_set *set = new_set();
    tn_future_set_member **members = calloc(s->count, sizeof *members);
    tn_task *tasks[3];
    unsigned long ready_count = 0;
    tn_ready ready;

    for (uintptr_t i = 0; i < s->count; i++) {
        tt_manual_init(&s->manual[i]);
        tt_check(tn_future_set_add(set, &s->manual[i].base, (void *)i, &members[i]) == 0);
    }
    for (int i = 0; i < 3; i++)
        tasks[i] = tt_spawn(wake_at_random, s);
    while (tn_future_set_count(set) > s->count / 4) {
        tt_check(tn_future_set_next(set, &ready) == 1 && ready.result == 1);
        members[(uintptr_t)ready.tag] = NULL;
        ready_count++;
    }
    for (uintptr_t i = 0; i < s->count && tn_future_set_count(set) > s->count / 8; i++)
        if (members[i] != NULL)
            tn_future_set_remove(set, members[i]);
    tn_future_set_destroy(set);
    atomic_store(&s->stop, true);
    for (int i = 0; i < 3; i++)
        (void)tt_join(tasks[i]);
    for (unsigned long i = 0; i < s->count; i++)
        tt_check(atomic_load(&s->manual[i].drops) == 1);
    free(members);
    return NULL;
}

Test(ready_set, waking_against_everything)
{
    for (unsigned long round = tt_scaled(20); round > 0; round--) {
        storm s = {.count = 200};
        s.manual = calloc(s.count, sizeof *s.manual);
        tt_run(weather, &s);
        free(s.manual);
    }
}
