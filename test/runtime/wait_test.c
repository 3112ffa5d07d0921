/* SPDX-License-Identifier: MIT */
/* A wait: exactly one of wake and disarm wins the claim word, and no condition is missed. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <string.h>

#include "support/runtime.h"
#include "task/task.h"
#include "task/wait.h"

/* Makes a waker whose references can be counted, with a header like that of a plain thread. */
static void make_waker(tn_task *task)
{
    memset(task, 0, sizeof *task);
    task->kind = TNI_TASK_THREAD;
    tni_parker_init(&task->body.parker);
    tni_task_publish(task, 100);
}

static uint64_t references(const tn_task *task)
{
    return tni_a64_load(&task->state, TNI_ACQUIRE) / TNI_TASK_REF;
}

Test(wait, arm_and_disarm)
{
    tn_task task;
    tni_wait wait;

    make_waker(&task);
    tni_wait_init(&wait);
    cr_assert(!tni_wait_disarm(&wait));
    tni_wait_arm(&wait, tni_task_waker(&task));
    cr_assert_eq(references(&task), 101);
    tni_wait_arm(&wait, tni_task_waker(&task)); /* the same waker: one reference */
    cr_assert_eq(references(&task), 101);
    cr_assert(tni_wait_disarm(&wait));
    cr_assert(!tni_wait_disarm(&wait));
    cr_assert_eq(references(&task), 100);
    cr_assert(!tni_wait_wake(&wait)); /* no task waits */
}

Test(wait, wake_takes_the_claim)
{
    tn_task task;
    tni_wait wait;

    make_waker(&task);
    tni_wait_init(&wait);
    tni_wait_arm(&wait, tni_task_waker(&task));
    cr_assert(tni_wait_wake(&wait));
    cr_assert(!tni_wait_wake(&wait));
    cr_assert(!tni_wait_disarm(&wait));
    cr_assert_eq(references(&task), 100);
    cr_assert(tni_a64_load(&task.state, TNI_ACQUIRE) & TNI_TASK_NOTIFIED);
}

Test(wait, another_waker_takes_its_place)
{
    tn_task first;
    tn_task second;
    tni_wait wait;

    make_waker(&first);
    make_waker(&second);
    tni_wait_init(&wait);
    tni_wait_arm(&wait, tni_task_waker(&first));
    tni_wait_arm(&wait, tni_task_waker(&second));
    cr_assert_eq(references(&first), 100);
    cr_assert_eq(references(&second), 101);
    cr_assert(tni_wait_disarm(&wait));
    cr_assert_eq(references(&second), 100);
}

/* --- Waiting for an end ---------------------------------------------------------------------------------------------------- */

Test(wait, one_waits_for_an_end)
{
    tn_task first;
    tn_task second;
    tni_wait wait;

    make_waker(&first);
    make_waker(&second);
    tni_wait_init(&wait);
    cr_assert(!tni_wait_is_over(&wait));
    cr_assert_eq(tni_wait_arm_once(&wait, NULL, tni_task_waker(&first)), TNI_WAIT_ARMED);
    cr_assert_eq(tni_wait_arm_once(&wait, NULL, tni_task_waker(&second)), TNI_WAIT_BUSY);
    cr_assert_eq(tni_wait_arm_once(&wait, tni_task_waker(&first), tni_task_waker(&first)), TNI_WAIT_ARMED);
    cr_assert_eq(references(&first), 101);
    cr_assert_eq(references(&second), 100);
    cr_assert_eq(tni_wait_end(&wait), tni_task_waker(&first)); /* the caller owns the reference now */
    tn_waker_release(tni_task_waker(&first));
    cr_assert(tni_wait_is_over(&wait));
    tni_wait_disarm_once(&wait, tni_task_waker(&first)); /* too late: no effect */
    cr_assert(tni_wait_is_over(&wait));
    cr_assert_eq(tni_wait_arm_once(&wait, NULL, tni_task_waker(&second)), TNI_WAIT_IS_OVER);
    cr_assert_eq(references(&first), 100);
    cr_assert_eq(references(&second), 100);
}

Test(wait, an_end_finds_the_latest_waker)
{
    tn_task first;
    tn_task second;
    tni_wait wait;

    make_waker(&first);
    make_waker(&second);
    tni_wait_init(&wait);
    cr_assert_eq(tni_wait_arm_once(&wait, NULL, tni_task_waker(&first)), TNI_WAIT_ARMED);
    cr_assert_eq(tni_wait_arm_once(&wait, tni_task_waker(&first), tni_task_waker(&second)), TNI_WAIT_ARMED);
    cr_assert_eq(references(&first), 100);
    cr_assert_eq(references(&second), 101);
    tni_wait_disarm_once(&wait, tni_task_waker(&second));
    cr_assert_eq(references(&second), 100);
    cr_assert_null(tni_wait_end(&wait));
    cr_assert_eq(tni_wait_arm_once(&wait, NULL, tni_task_waker(&first)), TNI_WAIT_IS_OVER);
}

/* --- A source and a waiter ------------------------------------------------------------------------------------------------ */

/* A future that waits for the next number, and a source that counts on only when the waiter has seen the last number. */
typedef struct {
    tn_future base;
    tni_wait wait;
    atomic_ulong number; /* written by the source */
    unsigned long seen;  /* written by the waiter */
    atomic_ulong confirmed;
    unsigned long rounds;
    atomic_ulong woken;
} numbers;

static int numbers_poll(tn_future *self, tn_waker *waker)
{
    numbers *n = (numbers *)(void *)self;

    /* Relaxed: the arming alone must make the number visible. */
    if (atomic_load_explicit(&n->number, memory_order_relaxed) > n->seen)
        return 0;
    tni_wait_arm(&n->wait, waker);
    if (atomic_load_explicit(&n->number, memory_order_relaxed) == n->seen)
        return TN_PENDING;
    (void)tni_wait_disarm(&n->wait);
    return 0;
}

static void numbers_drop(tn_future *self)
{
    (void)tni_wait_disarm(&((numbers *)(void *)self)->wait);
}

static const tn_future_ops numbers_ops = {numbers_poll, numbers_drop};

static void *count_on(void *arg)
{
    numbers *n = arg;

    for (unsigned long i = 1; i <= n->rounds; i++) {
        atomic_store_explicit(&n->number, i, memory_order_relaxed);
        if (tni_wait_wake(&n->wait))
            atomic_fetch_add(&n->woken, 1);
        while (atomic_load(&n->confirmed) < i)
            (void)tn_yield();
    }
    return NULL;
}

static void *see_each(void *arg)
{
    numbers *n = arg;

    while (n->seen < n->rounds) {
        tt_check(tn_await(&n->base) == 0);
        tt_check(atomic_load(&n->number) == ++n->seen);
        atomic_store(&n->confirmed, n->seen);
    }
    return NULL;
}

Test(wait, no_number_is_missed_by_a_thread)
{
    numbers n = {.base = {&numbers_ops}, .rounds = tt_scaled(50000)};
    pthread_t source;

    tni_wait_init(&n.wait);
    source = tt_thread_start(count_on, &n);
    see_each(&n);
    tt_thread_join(source);
    cr_log_info("%lu of %lu waited", atomic_load(&n.woken), n.rounds);
}

Test(wait, no_number_is_missed_by_a_task)
{
    numbers n = {.base = {&numbers_ops}, .rounds = tt_scaled(50000)};
    tn_runtime *runtime = tt_runtime_create();
    pthread_t source;
    tn_task *task;

    tni_wait_init(&n.wait);
    task = tt_spawn_on(runtime, see_each, &n);
    source = tt_thread_start(count_on, &n);
    tt_join(task);
    tt_thread_join(source);
    cr_log_info("%lu of %lu waited", atomic_load(&n.woken), n.rounds);
    tt_runtime_destroy(runtime);
}

Test(wait, no_number_is_missed_between_tasks)
{
    numbers n = {.base = {&numbers_ops}, .rounds = tt_scaled(50000)};
    tn_runtime *runtime = tt_runtime_create();
    tn_task *tasks[2];

    tni_wait_init(&n.wait);
    tasks[0] = tt_spawn_on(runtime, see_each, &n);
    tasks[1] = tt_spawn_on(runtime, count_on, &n);
    tt_join(tasks[0]);
    tt_join(tasks[1]);
    tt_runtime_destroy(runtime);
}
