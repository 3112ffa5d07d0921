/* SPDX-License-Identifier: MIT */
/* Values of worker threads: each is used by one task at a time, also while tasks block their threads. */
#include <stdatomic.h>

#include <tn.h>

#include "sched/runtime.h"
#include "support/allocator.h"
#include "support/runtime.h"

typedef struct {
    unsigned long count; /* written without a lock */
    unsigned user;       /* the task that uses it; 0: none */
    bool ready;          /* set by init */
} mine;

static atomic_uint made;
static atomic_uint ended;

static void init(void *value, void *arg)
{
    mine *m = value;

    tt_check_eq(m->count, 0);
    tt_check(arg == &made);
    m->ready = true;
    atomic_fetch_add(&made, 1);
}

static void fini(void *value, void *arg)
{
    tt_check(((mine *)value)->ready && arg == &made);
    atomic_fetch_add(&ended, 1);
}

static void add(void *value, void *arg)
{
    *(unsigned long *)arg += ((mine *)value)->count;
}

static tn_worker_local *create(tn_runtime *runtime)
{
    tn_worker_local *local;

    atomic_store(&made, 0);
    atomic_store(&ended, 0);
    cr_assert_eq(tn_worker_local_create(&local, runtime, sizeof(mine), init, fini, &made), 0);
    return local;
}

/* After the runtime is gone. */
static void expect(tn_worker_local *local, unsigned long count)
{
    unsigned long sum = 0;

    tn_worker_local_each(local, add, &sum);
    cr_assert_eq(sum, count);
    tn_worker_local_destroy(local);
    cr_assert_gt(atomic_load(&made), 0);
    cr_assert_eq(atomic_load(&made), atomic_load(&ended));
}

/* --- Without a lock --------------------------------------------------------------------------------------------------------- */

enum { TASKS = 24 };

typedef struct {
    tn_worker_local *local;
    unsigned long rounds;
    unsigned number;    /* from 1 */
    uint64_t blocks_ns; /* so long it keeps its thread while it uses the value */
} user;

static atomic_ulong uses;

static void use_once(const user *u)
{
    mine *m = tn_worker_local_get(u->local);

    tt_check(m != NULL && m->ready);
    tt_check_eq(m->user, 0);
    m->user = u->number;
    m->count++;
    atomic_fetch_add(&uses, 1);
    if (u->blocks_ns != 0)
        tt_block_thread(u->blocks_ns);
    tt_check_eq(m->user, u->number);
    tt_check(tn_worker_local_get(u->local) == m);
    m->user = 0;
}

static void *use(void *arg)
{
    const user *u = arg;

    for (unsigned long i = 0; i < u->rounds; i++) {
        use_once(u);
        (void)tn_yield();
        if (u->blocks_ns != 0 && i > 0 && atomic_load(&made) > tt_options().workers)
            break; /* a replacement thread has come */
    }
    return NULL;
}

static void use_all(unsigned long rounds, uint64_t blocks_ns)
{
    static user users[TASKS];
    tn_runtime *runtime = tt_runtime_create();
    tn_worker_local *local = create(runtime);
    tn_task *tasks[TASKS];

    atomic_store(&uses, 0);
    for (unsigned i = 0; i < TASKS; i++) {
        users[i] = (user){local, rounds, i + 1, blocks_ns};
        tasks[i] = tt_spawn_on(runtime, use, &users[i]);
    }
    for (unsigned i = 0; i < TASKS; i++)
        tt_join(tasks[i]);
    tt_runtime_destroy(runtime);
    cr_assert(blocks_ns != 0 || atomic_load(&uses) == TASKS * rounds);
    expect(local, atomic_load(&uses));
}

Test(worker_local, no_two_tasks_have_one_at_a_time)
{
    use_all(tt_scaled(2000), 0);
}

/* The cores go to replacement threads meanwhile, which have values of their own. */
Test(worker_local, a_task_that_blocks_keeps_its_own)
{
    use_all(100, 12 * TN_MS);
    cr_assert_gt(atomic_load(&made), tt_options().workers);
}

/* --- Where there is none ---------------------------------------------------------------------------------------------------- */

static void *expect_none(void *arg)
{
    tt_check(tn_worker_local_get(arg) == NULL);
    return NULL;
}

static void *ask_in_job(void *arg)
{
    tt_check_eq(tn_run_blocking(expect_none, arg, NULL), 0);
    return NULL;
}

Test(worker_local, there_is_none_outside_of_its_runtime)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_runtime *other = tt_runtime_create();
    tn_worker_local *local = create(runtime);
    tn_worker_local *none;
    user u = {local, 1, 1, 0};

    expect_none(local);
    tt_join(tt_spawn_on(other, expect_none, local));
    tt_join(tt_spawn_on(runtime, ask_in_job, local));
    tt_join(tt_spawn_on(runtime, use, &u));
    cr_assert_eq(tn_worker_local_create(&none, runtime, 0, NULL, NULL, NULL), TN_EINVAL);
    cr_assert_eq(tn_worker_local_create(&none, runtime, SIZE_MAX, NULL, NULL, NULL), TN_ENOMEM);
    cr_assert_null(none);
    tn_worker_local_destroy(NULL);
    tt_runtime_destroy(other);
    tt_runtime_destroy(runtime);
    expect(local, 1);
}

/* Gives each runtime the same memory, while that is free. */
typedef struct {
    tt_allocator base;
    _Alignas(TNI_CACHE_LINE) char memory[sizeof(tn_runtime)];
    atomic_bool taken;
} same_address;

static void *same_alloc(void *ctx, size_t size_bytes, size_t align_bytes)
{
    same_address *s = ctx;

    if (size_bytes == sizeof s->memory && !atomic_exchange(&s->taken, true))
        return s->memory;
    return s->base.as_option.alloc(&s->base, size_bytes, align_bytes);
}

static void same_free(void *ctx, void *ptr, size_t size_bytes)
{
    same_address *s = ctx;

    if (ptr == s->memory)
        atomic_store(&s->taken, false);
    else
        s->base.as_option.free(&s->base, ptr, size_bytes);
}

static tn_runtime *create_with(const tn_allocator *allocator)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.allocator = allocator;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    return runtime;
}

/* A later runtime does not get the address of the one whose values still are. */
Test(worker_local, there_is_none_in_a_later_runtime)
{
    static same_address memory;
    const tn_allocator allocator = {same_alloc, same_free, &memory};
    tn_runtime *runtime;
    tn_worker_local *local;
    user u = {NULL, 1, 1, 0};

    tt_allocator_init(&memory.base);
    for (int round = 0; round < 2; round++) {
        runtime = create_with(&allocator);
        cr_assert(atomic_load(&memory.taken));
        u.local = local = create(runtime);
        tt_join(tt_spawn_on(runtime, use, &u));
        tt_runtime_destroy(runtime);
        runtime = create_with(&allocator);
        tt_join(tt_spawn_on(runtime, expect_none, local));
        tt_runtime_destroy(runtime);
        expect(local, 1);
        cr_assert(!atomic_load(&memory.taken));
        cr_assert_eq(atomic_load(&memory.base.blocks), 0);
    }
}

static tt_allocator allocator;

static void *ask_without_memory(void *arg)
{
    tn_worker_local *local = arg;

    tt_allocator_fail(&allocator, 1, 1);
    tt_check(tn_worker_local_get(local) == NULL);
    tt_check(tn_worker_local_get(local) != NULL);
    return NULL;
}

Test(worker_local, without_memory_there_is_none)
{
    tn_options options = tt_options();
    tn_runtime *runtime;
    tn_worker_local *local;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    options.flavor = TN_CURRENT_THREAD; /* no other thread allocates meanwhile */
    options.workers = 0;
    options.worker_cpus = NULL;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    local = create(runtime);
    cr_assert_eq(tn_block_on(runtime, ask_without_memory, local, NULL), 0);
    cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, UINT64_MAX), 0);
    expect(local, 0);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

/* --- While they are used ---------------------------------------------------------------------------------------------------- */

typedef struct {
    atomic_ulong count;
} counter;

static void *count_up(void *arg)
{
    for (unsigned long i = 0; i < tt_scaled(2000); i++) {
        counter *c = tn_worker_local_get(arg);
        atomic_fetch_add_explicit(&c->count, 1, memory_order_relaxed);
        (void)tn_yield();
    }
    return NULL;
}

static void add_counter(void *value, void *arg)
{
    *(unsigned long *)arg += atomic_load_explicit(&((counter *)value)->count, memory_order_relaxed);
}

Test(worker_local, can_be_added_up_meanwhile)
{
    const unsigned long wanted = TASKS * tt_scaled(2000);
    tn_runtime *runtime = tt_runtime_create();
    tn_worker_local *local;
    tn_task *tasks[TASKS];
    unsigned long before = 0;

    cr_assert_eq(tn_worker_local_create(&local, runtime, sizeof(counter), NULL, NULL, NULL), 0);
    for (unsigned i = 0; i < TASKS; i++)
        tasks[i] = tt_spawn_on(runtime, count_up, local);
    for (unsigned long sum = 0; sum < wanted; before = sum) {
        sum = 0;
        tn_worker_local_each(local, add_counter, &sum);
        cr_assert(sum >= before && sum <= wanted);
    }
    for (unsigned i = 0; i < TASKS; i++)
        tt_join(tasks[i]);
    tt_runtime_destroy(runtime);
    tn_worker_local_destroy(local);
}
