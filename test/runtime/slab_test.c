/* SPDX-License-Identifier: MIT */
/* The slabs of task headers: ids are unique, any thread may free a header, a walk visits each header once. */
#include <stdatomic.h>
#include <stdlib.h>

#include "support/allocator.h"
#include "support/runtime.h"
#include "task/slab.h"

enum { MANY = 5000 };

static int by_id(const void *a, const void *b)
{
    uint64_t x = (*(tn_task *const *)a)->id;
    uint64_t y = (*(tn_task *const *)b)->id;

    return x < y ? -1 : x > y;
}

static int by_address(const void *a, const void *b)
{
    tn_task *const *x = a;
    tn_task *const *y = b;

    return (uintptr_t)*x < (uintptr_t)*y ? -1 : (uintptr_t)*x > (uintptr_t)*y;
}

static void expect_distinct(tn_task **tasks, unsigned count)
{
    qsort(tasks, count, sizeof *tasks, by_id);
    for (unsigned i = 1; i < count; i++)
        cr_assert_neq(tasks[i - 1]->id, tasks[i]->id);
    qsort(tasks, count, sizeof *tasks, by_address);
    for (unsigned i = 1; i < count; i++)
        cr_assert_geq((uintptr_t)tasks[i] - (uintptr_t)tasks[i - 1], sizeof(tn_task));
}

static void count_visit(void *arg, tn_task *task)
{
    (void)task;
    ++*(unsigned *)arg;
}

Test(slab, headers_and_ids_are_distinct)
{
    static tn_task *tasks[3 * MANY];
    tni_slab_cache caches[3];
    tt_allocator allocator;
    unsigned visited = 0;

    tt_allocator_init(&allocator);
    for (unsigned c = 0; c < 3; c++)
        tni_slab_cache_init(&caches[c], &allocator.as_option, c, 3);
    for (unsigned i = 0; i < 3 * MANY; i++) {
        tasks[i] = tni_slab_alloc(&caches[i % 3]);
        cr_assert_not_null(tasks[i]);
        cr_assert_neq(tasks[i]->id, 0);
        cr_assert(tni_task_is_complete(tasks[i]), "a header that was not born yet must read as free");
        cr_assert(!tni_task_ref_if_alive(tasks[i]));
    }
    expect_distinct(tasks, 3 * MANY);
    for (unsigned c = 0; c < 3; c++)
        tni_slab_walk(&caches[c], count_visit, &visited);
    cr_assert_geq(visited, 3 * MANY); /* including the free headers of each block */
    for (unsigned c = 0; c < 3; c++)
        tni_slab_cache_fini(&caches[c]);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

Test(slab, headers_come_back_with_new_ids)
{
    tni_slab_cache cache;
    tt_allocator allocator;
    tn_task *tasks[100];
    uint64_t last_id = 0;
    long calls;

    tt_allocator_init(&allocator);
    tni_slab_cache_init(&cache, &allocator.as_option, 0, 1);
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 100; i++) {
            tasks[i] = tni_slab_alloc(&cache);
            cr_assert_gt(tasks[i]->id, last_id);
            last_id = tasks[i]->id;
        }
        for (int i = 0; i < 100; i++)
            tni_slab_free(i % 3 ? &cache : NULL, tasks[i]); /* by the owner, or by another thread */
        if (round == 10)
            calls = atomic_load(&allocator.calls);
    }
    cr_assert_eq(atomic_load(&allocator.calls), calls); /* no growth */
    tni_slab_cache_fini(&cache);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

Test(slab, no_memory_is_an_answer)
{
    tni_slab_cache cache;
    tt_allocator allocator;
    tn_task *task;

    tt_allocator_init(&allocator);
    tni_slab_cache_init(&cache, &allocator.as_option, 0, 1);
    tt_allocator_fail(&allocator, 1, 3);
    for (int i = 0; i < 3; i++)
        cr_assert_null(tni_slab_alloc(&cache));
    task = tni_slab_alloc(&cache);
    cr_assert_not_null(task);
    tni_slab_free(&cache, task);
    tni_slab_cache_fini(&cache);
}

/* --- One owner; other threads free and walk ------------------------------------------------------------------------------- */

enum { BOX = 64 };

typedef struct {
    tni_slab_cache cache;
    _Atomic(tn_task *) boxes[BOX]; /* passed by the owner to a thread that frees */
    atomic_bool over;
    atomic_ulong walks;
} contest;

static void *free_all(void *arg)
{
    contest *c = arg;

    while (!atomic_load(&c->over))
        for (int i = 0; i < BOX; i++) {
            tn_task *task = atomic_exchange(&c->boxes[i], NULL);
            if (task == NULL)
                continue;
            tt_check(task->result == task); /* the owner's write is visible */
            task->result = NULL;
            (void)tni_task_complete(task, 0);
            tni_a64_store(&task->state, TNI_TASK_COMPLETE, TNI_RELEASE);
            tni_slab_free(NULL, task);
        }
    return NULL;
}

/* A walk may do no more than load the state word. */
static void look(void *arg, tn_task *task)
{
    uint64_t state = tni_a64_load(&task->state, TNI_ACQUIRE);

    tt_check((state & TNI_TASK_ACTIVE) == 0 || (state & TNI_TASK_COMPLETE) == 0);
    *(unsigned *)arg += 1;
}

static void *walk(void *arg)
{
    contest *c = arg;

    while (!atomic_load(&c->over)) {
        unsigned seen = 0;
        tni_slab_walk(&c->cache, look, &seen);
        atomic_fetch_add(&c->walks, 1);
    }
    return NULL;
}

Test(slab, others_free_and_walk_meanwhile)
{
    static contest c;
    tt_allocator allocator;
    pthread_t threads[4];
    unsigned long wanted = tt_scaled(400000);

    tt_allocator_init(&allocator);
    tni_slab_cache_init(&c.cache, &allocator.as_option, 0, 1);
    for (int i = 0; i < 4; i++)
        threads[i] = tt_thread_start(i == 0 ? walk : free_all, &c);
    while (atomic_load(&c.walks) == 0) /* on a busy machine the thread may begin late */
        tn_yield();
    for (unsigned long i = 0; i < wanted;) {
        tn_task *task = tni_slab_alloc(&c.cache);
        cr_assert_not_null(task);
        cr_assert_null(task->queue_next);
        tni_task_publish(task, 1);
        task->result = task;
        while (task != NULL) { /* tries the boxes in turn until one is empty */
            tn_task *nobody = NULL;
            if (atomic_compare_exchange_strong(&c.boxes[i++ % BOX], &nobody, task))
                task = NULL;
        }
    }
    for (int i = 0; i < BOX; i++)
        while (atomic_load(&c.boxes[i]) != NULL)
            tn_yield();
    atomic_store(&c.over, true);
    for (int i = 0; i < 4; i++)
        tt_thread_join(threads[i]);
    cr_assert_gt(atomic_load(&c.walks), 0);
    cr_assert_leq(atomic_load(&allocator.blocks), 8); /* about 64 headers are in use at a time */
    tni_slab_cache_fini(&c.cache);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

/* How many headers a trim has not given back. */
static unsigned not_blank(tni_slab_cache *cache)
{
    unsigned count = 0;

    tni_slab_walk(cache, count_visit, &count);
    return count;
}

/* The owner frees headers while a trim in steps has set others aside. They must not wait for the next burst. */
Test(slab, a_trim_forgets_no_header_freed_between_its_steps)
{
    enum { FIRST = TNI_SLAB_STEP + 100, SECOND = 20000, ALL = FIRST + SECOND };
    static tn_task *tasks[ALL];
    tni_slab_cache cache;
    unsigned trims = 0;

    tni_slab_cache_init(&cache, &tni_alloc_default, 0, 1);
    for (unsigned i = 0; i < ALL; i++)
        cr_assert_not_null(tasks[i] = tni_slab_alloc(&cache));
    cr_assert(tni_slab_trim(&cache)); /* the first interval after the burst */
    for (unsigned i = 1; i < FIRST; i++)
        tni_slab_free(&cache, tasks[i]);
    cr_assert(tni_slab_trim(&cache));
    /* The next trim sorts the others of the first block, which is not full yet, and finds nothing else to do. */
    tni_slab_free(&cache, tasks[0]);
    for (unsigned i = FIRST; i < ALL; i++)
        tni_slab_free(&cache, tasks[i]);
    while (tni_slab_trim(&cache))
        cr_assert_lt(++trims, 10);
    cr_assert_leq(not_blank(&cache), 3 * TNI_SLAB_BYTES / sizeof(tn_task));
    tni_slab_cache_fini(&cache);
}
