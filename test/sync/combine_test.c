/* SPDX-License-Identifier: MIT */
/* Futures of the primitives in future sets and combinators, which poll them with wakers of another kind and share the
 * budget. */
/* ctest: timeout=120 */
#include <stdatomic.h>

#include "sched/run.h"
#include "sync_support.h"

/* --- In a future set ------------------------------------------------------------------------------------------------------ */

enum { KINDS = 5 };

typedef struct {
    tn_mutex mutex;
    tn_semaphore semaphore;
    tn_notify notify;
    tn_mpsc *channel;
    tn_cancel_token *token;
    tn_mutex_future lock;
    tn_semaphore_future permit;
    tn_notify_future note;
    tn_mpsc_recv_future element;
    tn_cancel_token_future cancelled;
    int received;
} all_kinds;

static void make_all(all_kinds *all)
{
    tn_mutex_init(&all->mutex);
    tn_semaphore_init(&all->semaphore, 0);
    tn_notify_init(&all->notify);
    tt_check(tn_mpsc_create(&all->channel, sizeof(int), 1, NULL) == 0);
    tt_check(tn_cancel_token_create(&all->token, NULL, NULL) == 0);
    tt_check(tn_mutex_try_lock(&all->mutex) == 0);
}

static void make_all_ready(all_kinds *all)
{
    static const int element = 7;

    tn_mutex_unlock(&all->mutex);
    tn_semaphore_release(&all->semaphore, 1);
    tn_notify_one(&all->notify);
    tt_check(tn_mpsc_try_send(all->channel, &element) == 0);
    tn_cancel_token_cancel(all->token);
}

static void add_all(all_kinds *all, tn_future_set *set)
{
    tn_mutex_lock_init(&all->lock, &all->mutex);
    tn_semaphore_acquire_init(&all->permit, &all->semaphore, 1);
    tn_notify_wait_init(&all->note, &all->notify);
    tn_mpsc_recv_init(&all->element, all->channel, &all->received);
    tn_cancel_token_wait_init(&all->cancelled, all->token);
    tt_check(tn_future_set_add(set, &all->lock.base, NULL, NULL) == 0);
    tt_check(tn_future_set_add(set, &all->permit.base, NULL, NULL) == 0);
    tt_check(tn_future_set_add(set, &all->note.base, NULL, NULL) == 0);
    tt_check(tn_future_set_add(set, &all->element.base, NULL, NULL) == 0);
    tt_check(tn_future_set_add(set, &all->cancelled.base, NULL, NULL) == 0);
}

static void take_all(all_kinds *all, tn_future_set *set)
{
    tn_ready ready;

    TN_SCOPE(limit, tn_now() + 20 * TN_S);
    for (int i = 0; i < KINDS; i++)
        tt_check(tn_future_set_next(set, &ready) == 1 && ready.result == 0);
    tt_check(tn_future_set_next(set, &ready) == 0 && all->received == 7);
}

static void free_all(all_kinds *all)
{
    tn_mutex_unlock(&all->mutex);
    tn_mutex_fini(&all->mutex);
    tn_semaphore_fini(&all->semaphore);
    tn_mpsc_release_sender(all->channel);
    tn_mpsc_release_receiver(all->channel);
    tn_cancel_token_release(all->token);
}

static void *make_ready(void *arg)
{
    make_all_ready(arg);
    return NULL;
}

static void *each_kind(void *arg)
{
    tn_future_set *set;
    all_kinds all;
    tn_task *maker;

    tt_check(tn_future_set_create(&set, NULL) == 0);
    make_all(&all);
    make_all_ready(&all); /* ready at the first poll */
    add_all(&all, set);
    take_all(&all, set);
    free_all(&all);
    make_all(&all);
    add_all(&all, set);
    maker = tt_spawn(make_ready, &all); /* woken */
    take_all(&all, set);
    (void)tt_join(maker);
    free_all(&all);
    tn_future_set_destroy(set);
    return arg;
}

Test(combine, a_ready_set_answers_for_each_primitive)
{
    tt_run(each_kind, NULL);
}

/* --- Budgets ---------------------------------------------------------------------------------------------------------------- */

/* When the monitor has moved the queue of a late worker, the other task comes some budgets later. */
enum { ANSWERS_MAX = 16 * TNI_BUDGET };

static void *say_so(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
    return NULL;
}

/* On one worker: a member that is always ready, again and again, lets others run. */
static void *always_ready(void *arg)
{
    atomic_bool ran = false;
    tn_task *other = tt_spawn(say_so, &ran);
    tn_semaphore_future permit;
    tn_semaphore semaphore;
    unsigned answers = 0;
    tn_future_set *set;
    tn_ready ready;

    tn_semaphore_init(&semaphore, 1);
    tt_check(tn_future_set_create(&set, NULL) == 0);
    while (!atomic_load(&ran)) {
        tn_semaphore_acquire_init(&permit, &semaphore, 1);
        tt_check(tn_future_set_add(set, &permit.base, NULL, NULL) == 0);
        tt_check(tn_future_set_next(set, &ready) == 1 && ready.result == 0);
        tn_semaphore_release(&semaphore, 1);
        tt_check(++answers <= ANSWERS_MAX);
    }
    (void)tt_join(other);
    tn_future_set_destroy(set);
    tn_semaphore_fini(&semaphore);
    return arg;
}

Test(combine, a_ready_set_counts_against_the_budget)
{
    run_on_one_worker(always_ready, NULL);
}

static int ready_poll(tn_future *self, tn_waker *waker)
{
    (void)self;
    (void)waker;
    return 0;
}

static void ready_drop(tn_future *self)
{
    (void)self;
}

static const tn_future_ops ready_ops = {ready_poll, ready_drop, "nothing"};

/* A future that counts against the budget is not at a disadvantage beside one that does not. */
static void *first_of_two(void *arg)
{
    tn_future other = {&ready_ops};
    tn_semaphore_future permit;
    tn_future *const branches[2] = {&permit.base, &other};
    tn_semaphore semaphore;

    tn_semaphore_init(&semaphore, 1);
    for (unsigned i = 0; i < 3 * TNI_BUDGET; i++) {
        tn_semaphore_acquire_init(&permit, &semaphore, 1);
        tt_check(tn_select_biased(branches, 2, NULL) == 0);
        tn_semaphore_release(&semaphore, 1);
    }
    tn_semaphore_fini(&semaphore);
    return arg;
}

Test(combine, a_biased_select_takes_the_first_whatever_the_budget)
{
    tt_run(first_of_two, NULL);
}

/* Any await counts: on one worker others run, and a deadline is reported. */
static void *await_for_ever(void *arg)
{
    atomic_bool ran = false;
    tn_task *other = tt_spawn(say_so, &ran);
    tn_future ready = {&ready_ops};
    unsigned answers = 0;
    tn_scope scope;

    while (!atomic_load(&ran)) {
        tt_check(tn_await(&ready) == 0);
        tt_check(++answers <= ANSWERS_MAX);
    }
    (void)tt_join(other);
    tn_scope_enter(&scope, 1);
    for (answers = 0; tn_await(&ready) == 0; answers++)
        tt_check(answers <= ANSWERS_MAX);
    tt_check(tn_checkpoint() == TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    return arg;
}

Test(combine, awaits_that_are_always_ready_let_others_run)
{
    run_on_one_worker(await_for_ever, NULL);
}

enum { PERMITS = 100, JOINS = 50 };

/* Joins a hundred futures that are ready, again and again. */
typedef struct {
    tn_future base;
    tn_semaphore semaphore;
    tn_semaphore_future permits[PERMITS];
    tn_future *list[PERMITS];
    int results[PERMITS];
    tn_join_all_future all;
    unsigned joins;
} joiner;

static void join_anew(joiner *j)
{
    for (unsigned i = 0; i < PERMITS; i++) {
        tn_semaphore_acquire_init(&j->permits[i], &j->semaphore, 1);
        j->list[i] = &j->permits[i].base;
    }
    tn_join_all_init(&j->all, j->list, j->results, PERMITS);
}

static int join_on(tn_future *self, tn_waker *waker)
{
    joiner *j = (joiner *)(void *)self;
    unsigned in_a_row = 0;

    while (j->joins < JOINS) {
        if (tn_future_poll(&j->all.base, waker) == TN_PENDING)
            return TN_PENDING;
        in_a_row += PERMITS;
        tt_check(in_a_row <= TNI_BUDGET + PERMITS);
        j->joins++;
        tn_semaphore_release(&j->semaphore, PERMITS);
        join_anew(j);
    }
    return 0;
}

static void join_no_more(tn_future *self)
{
    tn_future_drop(&((joiner *)(void *)self)->all.base);
}

static void *join_without_end(void *arg)
{
    static const tn_future_ops ops = {join_on, join_no_more, "joins"};
    static joiner j = {.base = {&ops}};
    tn_task *task;

    tn_semaphore_init(&j.semaphore, PERMITS);
    join_anew(&j);
    tt_check(tn_spawn_future(NULL, NULL, &task, &j.base) == 0);
    tt_check(tt_join(task) == NULL && j.joins == JOINS);
    tn_semaphore_fini(&j.semaphore);
    return arg;
}

/* What the branches have spent beyond the budget counts: after the second join nothing is ready until others have run. */
Test(combine, a_combinator_overdraws_the_budget_once_a_run)
{
    tt_run(join_without_end, NULL);
}

/* A ready future is returned, whatever the deadline and whatever is left of the task's budget. */
static void *ready_in_time(void *arg)
{
    tn_semaphore_future permit;
    tn_semaphore semaphore;

    tn_semaphore_init(&semaphore, 1);
    for (unsigned i = 0; i < 3 * TNI_BUDGET; i++) {
        tn_semaphore_acquire_init(&permit, &semaphore, 1);
        tt_check(tn_timeout(&permit.base, 1) == 0);
        tn_semaphore_release(&semaphore, 1);
    }
    tn_semaphore_fini(&semaphore);
    return arg;
}

Test(combine, a_used_up_budget_is_no_timeout)
{
    tt_run(ready_in_time, NULL);
}
