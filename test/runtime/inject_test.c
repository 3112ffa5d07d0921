/* SPDX-License-Identifier: MIT */
/* The injector: first in, first out. When it is closed, it refuses spawns only. Each task is taken exactly once. */
#include <stdatomic.h>
#include <stdlib.h>

#include "sched/injector.h"
#include "support/runtime.h"

enum { TASKS = 1000 };

static tn_task *new_tasks(unsigned count)
{
    tn_task *tasks = calloc(count, sizeof *tasks);

    tt_check(tasks != NULL);
    for (unsigned i = 0; i < count; i++)
        tasks[i].id = i;
    return tasks;
}

static void push_chain(tni_injector *injector, tn_task *tasks, unsigned count)
{
    for (unsigned i = 0; i + 1 < count; i++)
        tasks[i].queue_next = &tasks[i + 1];
    tni_injector_push(injector, &tasks[0], &tasks[count - 1], count);
}

Test(inject, first_in_first_out)
{
    tni_injector injector;
    tn_task *tasks = new_tasks(TASKS);
    tn_task *got[TASKS];
    unsigned out = 0;

    tni_injector_init(&injector);
    cr_assert_eq(tni_injector_take(&injector, got, 10), 0);
    for (unsigned in = 0; in < TASKS;) {
        unsigned chain = in % 7 + 1 < TASKS - in ? in % 7 + 1 : TASKS - in;
        push_chain(&injector, tasks + in, chain);
        in += chain;
        cr_assert_eq(tni_injector_length(&injector), in - out);
        for (unsigned k = tni_injector_take(&injector, got, in % 5), i = 0; i < k; i++, out++)
            cr_assert_eq(got[i], &tasks[out]);
        cr_assert_eq(tni_injector_length(&injector), in - out);
    }
    while (out < TASKS) {
        unsigned k = tni_injector_take(&injector, got, 100);
        cr_assert_gt(k, 0);
        for (unsigned i = 0; i < k; i++, out++)
            cr_assert_eq(got[i], &tasks[out]);
    }
    cr_assert_eq(tni_injector_length(&injector), 0);
    cr_assert_eq(tni_injector_take(&injector, got, 10), 0);
    tni_injector_fini(&injector);
    free(tasks);
}

Test(inject, closed_for_spawns_only)
{
    tni_injector injector;
    tn_task *tasks = new_tasks(3);
    tn_task *got[3];
    tni_a64 spawned;

    tni_a64_init(&spawned, 0);
    tni_injector_init(&injector);
    cr_assert(tni_injector_begin(&injector, false));
    tni_injector_commit(&injector, &tasks[0], &spawned);
    tni_injector_close(&injector);
    cr_assert(!tni_injector_begin(&injector, false));
    tni_injector_push(&injector, &tasks[2], &tasks[2], 1);
    cr_assert_eq(tni_a64_load(&spawned, TNI_RELAXED), 1);
    cr_assert_eq(tni_injector_take(&injector, got, 3), 2);
    cr_assert_eq(got[0], &tasks[0]);
    cr_assert_eq(got[1], &tasks[2]);
    tni_injector_fini(&injector);
    free(tasks);
}

/* --- Three threads push, three take --------------------------------------------------------------------------------------- */

typedef struct {
    tni_injector injector;
    tn_task *tasks;
    unsigned count; /* per pushing thread */
    atomic_uint next_pusher;
    atomic_ulong left;
    atomic_uchar *taken;
} contest;

static void *push_all(void *arg)
{
    contest *c = arg;
    unsigned pusher = atomic_fetch_add(&c->next_pusher, 1);
    tn_task *mine = c->tasks + (size_t)pusher * c->count;

    for (unsigned in = 0; in < c->count;) {
        unsigned chain = in % 4 + 1 < c->count - in ? in % 4 + 1 : c->count - in;
        push_chain(&c->injector, mine + in, chain);
        in += chain;
    }
    return NULL;
}

static void *take_all(void *arg)
{
    contest *c = arg;
    uint64_t last[3] = {0, 0, 0};
    tn_task *got[8];

    while (atomic_load(&c->left) > 0) {
        unsigned k = tni_injector_take(&c->injector, got, 8);
        for (unsigned i = 0; i < k; i++) {
            uint64_t id = got[i]->id;
            tt_check(atomic_fetch_add(&c->taken[id], 1) == 0);
            tt_check(last[id / c->count] <= id); /* in the order of its pusher */
            last[id / c->count] = id;
        }
        atomic_fetch_sub(&c->left, k);
    }
    return NULL;
}

Test(inject, each_task_is_taken_once)
{
    static contest c;
    pthread_t threads[6];

    tni_injector_init(&c.injector);
    c.count = (unsigned)tt_scaled(100000);
    c.tasks = new_tasks(3 * c.count);
    c.taken = calloc(3 * c.count, sizeof *c.taken);
    cr_assert_not_null(c.taken);
    atomic_store(&c.left, 3 * c.count);
    for (int i = 0; i < 6; i++)
        threads[i] = tt_thread_start(i % 2 ? take_all : push_all, &c);
    for (int i = 0; i < 6; i++)
        tt_thread_join(threads[i]);
    for (unsigned i = 0; i < 3 * c.count; i++)
        cr_assert_eq(atomic_load(&c.taken[i]), 1);
    cr_assert_eq(tni_injector_length(&c.injector), 0);
    tni_injector_fini(&c.injector);
    free(c.taken);
    free(c.tasks);
}
