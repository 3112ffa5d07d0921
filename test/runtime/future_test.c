/* SPDX-License-Identifier: MIT */
/* Futures and wakers: no wake is lost, wakers may outlive tasks, combinators, misuse. */
/* ctest: timeout=120 */
#include <stdatomic.h>

#include "support/runtime.h"

/* --- A future for tests: ready once `flag` is set; stores its waker for other threads ------------------------------------- */

typedef struct {
    tn_future base;
    _Atomic(tn_waker *) waker; /* taken by the thread that wakes */
    atomic_bool flag;
    atomic_uint polls;
    atomic_uint drops;
} event_future;

static void put_waker(event_future *future, tn_waker *waker)
{
    tn_waker *old = atomic_exchange(&future->waker, waker);

    if (old != NULL)
        tn_waker_release(old);
}

static int event_poll(tn_future *self, tn_waker *waker)
{
    event_future *future = (event_future *)(void *)self;

    atomic_fetch_add(&future->polls, 1);
    put_waker(future, tn_waker_retain(waker));
    return atomic_load(&future->flag) ? 17 : TN_PENDING; /* loaded after the waker was stored: no wake is missed */
}

static void event_drop(tn_future *self)
{
    event_future *future = (event_future *)(void *)self;

    put_waker(future, NULL);
    atomic_fetch_add(&future->drops, 1);
}

static const tn_future_ops event_ops = {event_poll, event_drop};

static void event_init(event_future *future)
{
    future->base.ops = &event_ops;
    atomic_init(&future->waker, NULL);
    atomic_init(&future->flag, false);
    atomic_init(&future->polls, 0);
    atomic_init(&future->drops, 0);
}

static void event_set(event_future *future)
{
    tn_waker *waker;

    atomic_store(&future->flag, true);
    waker = atomic_exchange(&future->waker, NULL);
    if (waker != NULL)
        tn_waker_wake(waker);
}

static void *set_event(void *arg)
{
    event_set(arg);
    return NULL;
}

static void wait_for_polls(event_future *future, unsigned count)
{
    while (atomic_load(&future->polls) < count)
        tn_yield();
}

/* --- Stackless tasks ------------------------------------------------------------------------------------------------------ */

Test(future, woken_from_a_plain_thread)
{
    tn_runtime *runtime = tt_runtime_create();

    for (unsigned long i = 0; i < tt_scaled(5000); i++) {
        event_future future;
        tn_task *task = NULL;
        event_init(&future);
        cr_assert_eq(tn_spawn_future(runtime, NULL, &task, &future.base), 0);
        if (i % 2 == 0)
            wait_for_polls(&future, 1);
        event_set(&future);
        cr_assert_eq((intptr_t)tt_join(task), 17);
        cr_assert_eq(atomic_load(&future.drops), 1);
        cr_assert_leq(atomic_load(&future.polls), 2);
    }
    tt_runtime_destroy(runtime);
}

Test(future, wakers_outlive_their_task)
{
    tn_runtime *runtime = tt_runtime_create();
    event_future future;
    tn_waker *wakers[3];
    tn_task *task = NULL;

    event_init(&future);
    cr_assert_eq(tn_spawn_future(runtime, NULL, &task, &future.base), 0);
    wait_for_polls(&future, 1);
    while ((wakers[0] = atomic_exchange(&future.waker, NULL)) == NULL)
        tn_yield();
    wakers[1] = tn_waker_retain(wakers[0]);
    wakers[2] = tn_waker_retain(wakers[0]);
    atomic_store(&future.flag, true);
    tn_waker_wake_by_ref(wakers[0]);
    cr_assert_eq((intptr_t)tt_join(task), 17);
    for (int i = 0; i < 100; i++)
        tn_waker_wake_by_ref(wakers[0]); /* the task has ended: no effect */
    tn_waker_wake(wakers[0]);
    tn_waker_release(wakers[1]);
    cr_assert_eq(tn_runtime_tasks(runtime), 0);
    cr_assert_eq(atomic_load(&future.drops), 1);
    tn_waker_wake(wakers[2]);
    tt_runtime_destroy(runtime);
}

Test(future, spurious_wakes_lead_to_polls)
{
    tn_runtime *runtime = tt_runtime_create();
    event_future future;
    tn_task *task = NULL;

    event_init(&future);
    cr_assert_eq(tn_spawn_future(runtime, NULL, &task, &future.base), 0);
    for (unsigned i = 1; i <= 200; i++) {
        tn_waker *waker;
        wait_for_polls(&future, i);
        while ((waker = atomic_exchange(&future.waker, NULL)) == NULL)
            tn_yield();
        cr_assert(!tn_task_is_finished(task));
        tn_waker_wake(waker);
    }
    wait_for_polls(&future, 201);
    event_set(&future);
    cr_assert_eq((intptr_t)tt_join(task), 17);
    cr_assert_eq(atomic_load(&future.drops), 1);
    tt_runtime_destroy(runtime);
}

/* Woken during the poll, after the poll's last check. The wake must lead to one more poll. */
typedef struct {
    tn_future base;
    tt_gate polling;
    tt_gate woken;
    _Atomic(tn_waker *) waker;
    int polls;
} slow_future;

static int slow_poll(tn_future *self, tn_waker *waker)
{
    slow_future *future = (slow_future *)(void *)self;

    if (++future->polls == 2)
        return 0;
    atomic_store(&future->waker, tn_waker_retain(waker));
    tt_gate_open(&future->polling);
    tt_gate_wait(&future->woken, 1);
    return TN_PENDING;
}

static void slow_drop(tn_future *self)
{
    (void)self;
}

Test(future, a_wake_during_the_poll_is_kept)
{
    static const tn_future_ops ops = {slow_poll, slow_drop};
    slow_future future = {.base = {&ops}, .polling = TT_GATE_INIT, .woken = TT_GATE_INIT};
    tn_runtime *runtime = tt_runtime_create();
    tn_task *task = NULL;

    cr_assert_eq(tn_spawn_future(runtime, NULL, &task, &future.base), 0);
    tt_gate_wait(&future.polling, 1);
    tn_waker_wake(atomic_load(&future.waker));
    tt_gate_open(&future.woken);
    cr_assert_eq(tt_join(task), NULL);
    cr_assert_eq(future.polls, 2);
    tt_runtime_destroy(runtime);
}

/* --- A million wakes ------------------------------------------------------------------------------------------------------ */

enum { WAKERS = 4 };

/* Ready when it has seen all tickets. Each waking thread adds a ticket and then wakes. */
typedef struct {
    tn_future base;
    _Atomic(tn_waker *) waker;
    atomic_ulong tickets;
    unsigned long wanted;
    unsigned long polls;
} ticket_future;

static int ticket_poll(tn_future *self, tn_waker *waker)
{
    ticket_future *future = (ticket_future *)(void *)self;

    future->polls++;
    if (atomic_load_explicit(&future->waker, memory_order_relaxed) == NULL)
        atomic_store(&future->waker, tn_waker_retain(waker));
    /* Relaxed: the wake alone must publish the tickets. */
    return atomic_load_explicit(&future->tickets, memory_order_relaxed) == future->wanted ? 1 : TN_PENDING;
}

static void ticket_drop(tn_future *self)
{
    (void)self;
}

static void *wake_often(void *arg)
{
    ticket_future *future = arg;
    unsigned long count = future->wanted / WAKERS;
    tn_waker *waker;

    while ((waker = atomic_load(&future->waker)) == NULL)
        tn_yield();
    for (unsigned long i = 0; i < count; i++) {
        atomic_fetch_add_explicit(&future->tickets, 1, memory_order_relaxed);
        if (i % 2 == 0)
            tn_waker_wake_by_ref(waker);
        else
            tn_waker_wake(tn_waker_retain(waker));
    }
    return NULL;
}

Test(future, a_million_wakes_from_four_threads)
{
    static const tn_future_ops ops = {ticket_poll, ticket_drop};
    ticket_future future = {.base = {&ops}, .wanted = tt_scaled(1000000) / WAKERS * WAKERS};
    tn_runtime *runtime = tt_runtime_create();
    pthread_t threads[WAKERS];
    tn_task *task = NULL;

    cr_assert_eq(tn_spawn_future(runtime, NULL, &task, &future.base), 0);
    for (int i = 0; i < WAKERS; i++)
        threads[i] = tt_thread_start(wake_often, &future);
    cr_assert_eq((intptr_t)tt_join(task), 1);
    for (int i = 0; i < WAKERS; i++)
        tt_thread_join(threads[i]);
    cr_log_info("%lu wakes, %lu polls", future.wanted, future.polls);
    cr_assert_leq(future.polls, future.wanted + 1);
    tn_waker_release(atomic_load(&future.waker));
    tt_runtime_destroy(runtime);
}

/* --- Awaiting ------------------------------------------------------------------------------------------------------------- */

static void *await_event(void *arg)
{
    event_future *future = arg;

    return (void *)(intptr_t)tn_await(&future->base);
}

Test(future, awaited_in_a_fiber)
{
    tn_runtime *runtime = tt_runtime_create();

    for (unsigned long i = 0; i < tt_scaled(5000); i++) {
        event_future future;
        tn_task *task;
        event_init(&future);
        task = tt_spawn_on(runtime, await_event, &future);
        if (i % 2 == 0)
            wait_for_polls(&future, 1);
        event_set(&future);
        cr_assert_eq((intptr_t)tt_join(task), 17);
        cr_assert_eq(atomic_load(&future.drops), 1);
    }
    tt_runtime_destroy(runtime);
}

Test(future, awaited_in_a_plain_thread)
{
    for (unsigned long i = 0; i < tt_scaled(2000); i++) {
        event_future future;
        pthread_t thread;
        event_init(&future);
        thread = tt_thread_start(set_event, &future);
        cr_assert_eq(tn_await(&future.base), 17);
        tt_thread_join(thread);
        cr_assert_eq(atomic_load(&future.drops), 1);
    }
}

Test(future, a_plain_thread_is_woken_by_a_task)
{
    tn_runtime *runtime = tt_runtime_create();

    for (unsigned long i = 0; i < tt_scaled(5000); i++) {
        event_future future;
        tn_task *task;
        event_init(&future);
        task = tt_spawn_on(runtime, set_event, &future);
        cr_assert_eq(tn_await(&future.base), 17);
        tt_join(task);
    }
    tt_runtime_destroy(runtime);
}

/* --- Combinators ---------------------------------------------------------------------------------------------------------- */

/* Ready when one of two futures is. The result is 1 for the sleep, 2 for the join. */
typedef struct {
    tn_future base;
    tn_sleep_future sleep;
    tn_join_future join;
} either_future;

static int either_poll(tn_future *self, tn_waker *waker)
{
    either_future *either = (either_future *)(void *)self;

    if (either->join.base.ops->poll(&either->join.base, waker) != TN_PENDING)
        return 2;
    return either->sleep.base.ops->poll(&either->sleep.base, waker) != TN_PENDING ? 1 : TN_PENDING;
}

static void either_drop(tn_future *self)
{
    either_future *either = (either_future *)(void *)self;

    either->join.base.ops->drop(&either->join.base);
    either->sleep.base.ops->drop(&either->sleep.base);
}

static const tn_future_ops either_ops = {either_poll, either_drop};

static void *await_slow_event(void *arg)
{
    tt_check(tn_await(arg) == 17);
    return arg;
}

static int await_either(tn_task *task, uint64_t ns, void **result)
{
    either_future either = {.base = {&either_ops}};
    int rc;

    tn_sleep_init(&either.sleep, tn_now() + ns);
    tn_join_init(&either.join, task);
    rc = tn_await(&either.base);
    if (result != NULL)
        *result = either.join.result;
    return rc;
}

static void *sleep_or_join(void *arg)
{
    (void)arg;
    for (unsigned long i = 0; i < tt_scaled(50); i++) {
        event_future future;
        uint64_t begin_ns = tn_now();
        void *result = NULL;
        tn_task *task;
        event_init(&future);
        task = tt_spawn(await_slow_event, &future.base);
        tt_check(await_either(task, 2 * TN_MS, NULL) == 1);
        tt_check(tn_now() - begin_ns >= 2 * TN_MS);
        event_set(&future);
        tt_check(await_either(task, 3600 * TN_S, &result) == 2 && result == &future.base);
        tt_check(tt_join(task) == &future.base); /* the future had borrowed the handle */
    }
    return NULL;
}

Test(future, sleep_or_join_whichever_is_first)
{
    tt_run(sleep_or_join, NULL);
}

/* On a plain thread, the timeout of the wait expires at the moment when the task ends. */
Test(future, sleep_or_join_in_a_plain_thread)
{
    tn_runtime *runtime = tt_runtime_create();

    for (unsigned long i = 0; i < tt_scaled(3000); i++) {
        event_future future;
        tn_task *task;
        int first;
        event_init(&future);
        task = tt_spawn_on(runtime, await_slow_event, &future.base);
        if (i % 4 == 0)
            event_set(&future);
        first = await_either(task, i % 97 * TN_US, NULL);
        cr_assert(first == 1 || first == 2);
        event_set(&future);
        cr_assert_eq(tt_join(task), &future.base);
    }
    tt_runtime_destroy(runtime);
}

typedef struct {
    uint64_t at_ns;
} late_task;

static void *end_at(void *arg)
{
    late_task *late = arg;

    while (tn_now() < late->at_ns)
        (void)tn_yield();
    return NULL;
}

Test(future, a_task_ends_just_when_the_time_is_up)
{
    tn_runtime *runtime = tt_runtime_create();

    for (unsigned long i = 0; i < tt_scaled(3000); i++) {
        late_task late = {.at_ns = tn_now() + 60 * TN_US + i % 40 * TN_US};
        tn_task *task = tt_spawn_on(runtime, end_at, &late);
        int first = await_either(task, 80 * TN_US, NULL);
        cr_assert(first == 1 || first == 2);
        cr_assert_eq(tt_join(task), NULL);
    }
    tt_runtime_destroy(runtime);
}

static void *two_join_futures(void *arg)
{
    event_future future;
    tn_join_future first;
    tn_task *task;
    (void)arg;

    event_init(&future);
    task = tt_spawn(await_slow_event, &future.base);
    tn_join_init(&first, task);
    /* Polled directly, with the waker of this task. */
    tt_check(first.base.ops->poll(&first.base, (tn_waker *)(void *)tn_self()) == TN_PENDING);
    tt_check(tn_join(task, NULL) == TN_EBUSY);
    first.base.ops->drop(&first.base);
    event_set(&future);
    tt_check(tt_join(task) == &future.base); /* no other join waits any more */
    return NULL;
}

Test(future, a_dropped_join_future_waits_no_more)
{
    tt_run(two_join_futures, NULL);
}

/* --- Misuse --------------------------------------------------------------------------------------------------------------- */

static int sleeping_poll(tn_future *self, tn_waker *waker)
{
    (void)self;
    (void)waker;
    (void)tn_sleep(TN_MS);
    return 0;
}

static int yielding_poll(tn_future *self, tn_waker *waker)
{
    (void)self;
    (void)waker;
    (void)tn_yield();
    return 0;
}

static void poll_in_a_runtime(void *arg)
{
    tn_future_ops ops = {*(int (**)(tn_future *, tn_waker *))arg, slow_drop};
    tn_future future = {&ops};
    tn_runtime *runtime = tt_runtime_create();
    tn_task *task = NULL;

    if (tn_spawn_future(runtime, NULL, &task, &future) == 0)
        (void)tn_join(task, NULL);
}

Test(future, a_suspending_call_in_a_poll_aborts)
{
    int (*poll)(tn_future *, tn_waker *) = sleeping_poll;
    tt_child child = tt_fork(poll_in_a_runtime, &poll);

    cr_assert(tt_child_aborted(&child, "a suspending call in a poll function"));
    poll = yielding_poll;
    child = tt_fork(poll_in_a_runtime, &poll);
    cr_assert(tt_child_aborted(&child, "tn_yield in a poll function"));
}

static void release_too_often(void *arg)
{
    tn_runtime *runtime = tt_runtime_create();
    event_future future;
    tn_task *task = NULL;
    (void)arg;

    event_init(&future);
    if (tn_spawn_future(runtime, NULL, &task, &future.base) != 0)
        return;
    wait_for_polls(&future, 1);
    for (int i = 0; i < 4; i++)
        tn_task_release(task);
}

Test(future, one_release_too_many_aborts)
{
    tt_child child = tt_fork(release_too_often, NULL);

    cr_assert(tt_child_aborted(&child, "released"));
}
