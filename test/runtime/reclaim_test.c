/* SPDX-License-Identifier: MIT */
/* A thread that finds no memory gets what other cores do not use. */
/* ctest: timeout=120 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tn.h>

#include "support/allocator.h"
#include "support/manual.h"
#include "support/runtime.h"

#define LIMIT_NS (20 * TN_S)

enum { BURST = 3000, EXTERNAL_MAX = 2000, OF_THREE_SIZES = 900 };

/* --- Headers -------------------------------------------------------------------------------------------------------------- */

/* Tasks that live until the test completes them. */
typedef struct {
    tn_runtime *runtime;
    tt_manual futures[BURST];
    tn_task *tasks[BURST];
    unsigned count;
    int last_error;
} crowd;

/* A core that is inside a long run gives nothing, and then the spawn fails; so it is tried again. */
static bool can_spawn_one(void *arg)
{
    crowd *c = arg;

    tt_manual_init(&c->futures[c->count]);
    c->last_error = tn_spawn_future(c->runtime, NULL, &c->tasks[c->count], &c->futures[c->count].base);
    return c->last_error == 0;
}

static void spawn_all(crowd *c, unsigned wanted)
{
    for (c->count = 0; c->count < wanted; c->count++)
        tt_check(tt_wait_until(can_spawn_one, c, LIMIT_NS));
}

static void end_all(crowd *c)
{
    for (unsigned i = 0; i < c->count; i++)
        tt_manual_ready(&c->futures[i], 0);
    for (unsigned i = 0; i < c->count; i++)
        tt_check(tn_join(c->tasks[i], NULL) == 0);
    c->count = 0;
}

static void *burst_in_a_task(void *arg)
{
    crowd *c = arg;

    spawn_all(c, BURST);
    end_all(c);
    return NULL;
}

static tn_options options_with(tt_allocator *allocator)
{
    tn_options options = tt_options();

    tt_allocator_init(allocator);
    options.allocator = &allocator->as_option;
    options.trim_interval_ns = UINT64_MAX;
    return options;
}

static crowd *burst_then_shortage(tn_options options, tt_allocator *allocator)
{
    crowd *c = calloc(1, sizeof *c);

    cr_assert_not_null(c);
    cr_assert_eq(tn_runtime_create(&c->runtime, &options), 0);
    cr_assert_eq(tn_block_on(c->runtime, burst_in_a_task, c, NULL), 0);
    tt_allocator_fail(allocator, 1, 1000000000);
    return c;
}

static void end_of(crowd *c, tt_allocator *allocator)
{
    tt_allocator_fail(allocator, 0, 0);
    tt_runtime_destroy(c->runtime);
    free(c);
    cr_assert_eq(atomic_load(&allocator->blocks), 0);
}

Test(reclaim, a_plain_thread_gets_headers_of_cores)
{
    tt_allocator allocator;
    crowd *c = burst_then_shortage(options_with(&allocator), &allocator);

    for (int round = 0; round < 2; round++) {
        spawn_all(c, BURST - 1); /* the entry of tn_block_on had one of them */
        end_all(c);
    }
    end_of(c, &allocator);
}

static void *burst_again(void *arg)
{
    crowd *c = arg;

    spawn_all(c, BURST);
    end_all(c);
    tt_check(tn_yield() == 0); /* to another worker, with TN_TEST_MIGRATE */
    spawn_all(c, BURST);
    end_all(c);
    return NULL;
}

Test(reclaim, a_task_gets_headers_of_other_cores)
{
    tt_allocator allocator;
    crowd *c = burst_then_shortage(options_with(&allocator), &allocator);

    for (int round = 0; round < 5; round++)
        tt_join(tt_spawn_on(c->runtime, burst_again, c));
    end_of(c, &allocator);
}

static void *add_one(void *arg)
{
    ++*(unsigned *)arg;
    return NULL;
}

Test(reclaim, a_current_thread_runtime_gives_its_own)
{
    tt_allocator allocator;
    tn_options options = options_with(&allocator);
    unsigned done = 0;
    unsigned spawned = 0;
    crowd *c;

    options.flavor = TN_CURRENT_THREAD;
    options.workers = 1;
    c = burst_then_shortage(options, &allocator);
    while (spawned < EXTERNAL_MAX && tn_spawn_on(c->runtime, NULL, NULL, add_one, &done) == 0)
        spawned++; /* nobody drives the runtime: these are the headers of plain threads */
    cr_assert_lt(spawned, EXTERNAL_MAX);
    cr_assert_eq(tn_block_on(c->runtime, burst_in_a_task, c, NULL), 0);
    cr_assert_eq(done, spawned);
    end_of(c, &allocator);
}

/* --- Address space ---------------------------------------------------------------------------------------------------------- */

/* Limits the address space of the process to what it has now and `more`. */
static void limit_address_space(size_t more)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    struct rlimit limit;

    tt_check(file != NULL && fscanf(file, "%lu", &pages) == 1);
    (void)fclose(file);
    limit.rlim_cur = limit.rlim_max = pages * (size_t)sysconf(_SC_PAGESIZE) + more;
    tt_check(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void *sleep_shortly(void *arg)
{
    tt_check(tn_sleep(TN_MS) == 0);
    return arg;
}

static void *burst_of_fibers(void *arg)
{
    static tn_task *tasks[BURST];
    int count = 0;

    while (count < BURST && tn_spawn(&tasks[count], sleep_shortly, NULL) == 0)
        count++;
    for (int i = 0; i < count; i++)
        tt_check(tn_join(tasks[i], NULL) == 0);
    return arg;
}

static void *identity(void *arg)
{
    return arg;
}

static bool has_run_in_large_fiber(void *arg)
{
    tn_spawn_options large = tn_spawn_options_default();
    tn_task *task;
    void *result = NULL;

    large.stack_size_bytes = (size_t)16 << 20;
    return tn_spawn_on(arg, &large, &task, identity, arg) == 0 && tn_join(task, &result) == 0 && result == arg;
}

static bool has_run_in_pool(void *arg)
{
    tn_job *job;

    return tn_spawn_blocking_on(arg, NULL, &job, identity, NULL) == 0 && tn_job_join(job, NULL) == 0;
}

static void use_what_the_burst_has_left(void *arg)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    (void)arg;
    options.trim_interval_ns = UINT64_MAX;
    options.guard = TN_GUARD_NONE;
    tt_check(tn_runtime_create(&runtime, &options) == 0);
    limit_address_space((size_t)48 << 20);
    tt_check(tn_block_on(runtime, burst_of_fibers, NULL, NULL) == 0);
    tt_check(tt_wait_until(has_run_in_large_fiber, runtime, LIMIT_NS));
    tt_check(tn_block_on(runtime, burst_of_fibers, NULL, NULL) == 0);
    tt_check(tt_wait_until(has_run_in_pool, runtime, LIMIT_NS));
    tt_check(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, LIMIT_NS) == 0);
}

static void *fibers_of_three_sizes(void *arg)
{
    static const size_t sizes[] = {0, (size_t)1 << 20, (size_t)8 << 20};
    static tn_task *tasks[OF_THREE_SIZES];
    tn_spawn_options options = tn_spawn_options_default();

    for (int i = 0; i < OF_THREE_SIZES; i++) {
        options.stack_size_bytes = sizes[i % 3];
        tt_check(tn_spawn_on(arg, &options, &tasks[i], sleep_shortly, arg) == 0);
    }
    for (int i = 0; i < OF_THREE_SIZES; i++) {
        void *result = NULL;
        tt_check(tn_join(tasks[i], &result) == 0 && result == arg);
    }
    return arg;
}

/* Each fiber waits until there is a stack for it: what idle stacks of other sizes occupy goes to it. */
static void run_fibers_of_three_sizes(void *arg)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    (void)arg;
    options.trim_interval_ns = UINT64_MAX;
    options.guard = TN_GUARD_NONE;
    tt_check(tn_runtime_create(&runtime, &options) == 0);
    limit_address_space((size_t)48 << 20);
    tt_check(tn_block_on(runtime, fibers_of_three_sizes, runtime, NULL) == 0);
    tt_check(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, LIMIT_NS) == 0);
}

Test(reclaim, no_fiber_waits_beside_idle_stacks_of_other_sizes, .disabled = TT_SANITIZED) /* as above */
{
    tt_child child = tt_fork(run_fibers_of_three_sizes, NULL);

    cr_assert_eq(child.status, 0, "%s", child.said);
}

/* Allocates what the process may still map, and does not free it. */
static void use_up_memory(void)
{
    static void *volatile last; /* otherwise the compiler may leave the calls out */

    limit_address_space(0);
    for (size_t size = (size_t)1 << 20; size >= 256; size /= 2)
        while ((last = malloc(size)) != NULL)
            continue;
}

/* The slab of the largest stack is idle, all headers are in use, and the allocator cannot map more. */
static void spawn_beside_an_idle_slab(void *arg)
{
    crowd *c = calloc(1, sizeof *c);
    tn_options options = tt_options();
    tn_spawn_options large = tn_spawn_options_default();
    tn_task *task;

    (void)arg;
    options.trim_interval_ns = UINT64_MAX;
    large.stack_size_bytes = (size_t)64 << 20;
    tt_check(c != NULL && tn_runtime_create(&c->runtime, &options) == 0);
    tt_check(tn_spawn_on(c->runtime, &large, &task, identity, NULL) == 0 && tn_join(task, NULL) == 0);
    use_up_memory();
    for (c->count = 0; c->count < BURST; c->count++)
        tt_check(can_spawn_one(c));
    end_all(c);
    tt_check(tn_runtime_destroy(c->runtime, TN_SHUTDOWN_WAIT, LIMIT_NS) == 0);
    free(c);
}

Test(reclaim, a_plain_thread_gets_headers_in_place_of_idle_stacks, .disabled = TT_SANITIZED) /* as below */
{
    tt_child child = tt_fork(spawn_beside_an_idle_slab, NULL);

    cr_assert_eq(child.status, 0, "%s", child.said);
}

Test(reclaim, address_space_of_idle_stacks, .disabled = TT_SANITIZED) /* the sanitizers need address space too */
{
    tt_child child = tt_fork(use_what_the_burst_has_left, NULL);

    cr_assert_eq(child.status, 0, "%s", child.said);
}

/* --- Slabs ------------------------------------------------------------------------------------------------------------------ */

/* In place of those of the C library, for the calls of this program alone: so many slabs of stacks may be mapped at a time. The
 * runtime maps nothing else of that size. */
#define STACK_BYTES ((size_t)1 << 20)
static atomic_int slabs_left = 1000;
static atomic_int slabs_refused;
static atomic_bool slabs_stay; /* none can be unmapped */
static atomic_int slabs_that_stayed;

#if !TT_SANITIZED /* a sanitizer calls them before the program has begun */
void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (size >= STACK_BYTES && atomic_fetch_sub(&slabs_left, 1) <= 0) {
        atomic_fetch_add(&slabs_left, 1);
        atomic_fetch_add(&slabs_refused, 1);
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
}

int munmap(void *address, size_t size)
{
    if (size >= STACK_BYTES && atomic_load(&slabs_stay)) {
        atomic_fetch_add(&slabs_that_stayed, 1);
        errno = ENOMEM;
        return -1;
    }
    if (size >= STACK_BYTES)
        atomic_fetch_add(&slabs_left, 1);
    return (int)syscall(SYS_munmap, address, size);
}
#endif

static tn_runtime *create_with_slabs(int count)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.trim_interval_ns = UINT64_MAX;
    options.guard = TN_GUARD_NONE;
    options.stack_size_bytes = STACK_BYTES;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    atomic_store(&slabs_refused, 0);
    atomic_store(&slabs_left, count);
    return runtime;
}

static void destroy_with_slabs(tn_runtime *runtime, int count)
{
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&slabs_left), count);
}

/* The only slab has stacks of another size each time, and its last stack is in a core's cache. */
Test(reclaim, a_slab_of_stacks_becomes_one_of_another_size, .disabled = TT_SANITIZED)
{
    tn_runtime *runtime = create_with_slabs(1);
    tn_spawn_options options = tn_spawn_options_default();

    for (int i = 0; i < 20; i++) {
        tn_task *task;
        void *result = NULL;
        options.stack_size_bytes = i % 2 == 0 ? 0 : 4 * STACK_BYTES;
        cr_assert_eq(tn_spawn_on(runtime, &options, &task, identity, &options), 0);
        cr_assert_eq(tn_join(task, &result), 0);
        cr_assert_eq(result, &options);
    }
    cr_assert_gt(atomic_load(&slabs_refused), 0);
    destroy_with_slabs(runtime, 1);
}

Test(reclaim, without_any_slab_a_fiber_ends_with_an_error, .disabled = TT_SANITIZED)
{
    tn_runtime *runtime = create_with_slabs(0);
    tn_task *task;

    cr_assert_eq(tn_spawn_on(runtime, NULL, &task, identity, NULL), 0);
    cr_assert_eq(tn_join(task, NULL), TN_ENOMEM);
    atomic_store(&slabs_left, 1);
    tt_join(tt_spawn_on(runtime, identity, NULL));
    destroy_with_slabs(runtime, 1);
}

/* Fibers of two sizes in one slab: those of the second size wait until the first ones have ended. */
static void *spawn_large_beside(void *arg)
{
    tn_spawn_options large = tn_spawn_options_default();
    tn_task *task;

    large.stack_size_bytes = 4 * STACK_BYTES;
    tt_check(tn_spawn_on(arg, &large, &task, identity, arg) == 0);
    return task;
}

Test(reclaim, a_fiber_waits_for_the_slab_that_others_use, .disabled = TT_SANITIZED)
{
    tn_runtime *runtime = create_with_slabs(1);
    void *large = NULL;
    void *result = NULL;

    cr_assert_eq(tn_block_on(runtime, spawn_large_beside, runtime, &large), 0);
    cr_assert_eq(tn_join(large, &result), 0);
    cr_assert_eq(result, runtime);
    destroy_with_slabs(runtime, 1);
}

/* The kernel refuses when the process has as many mappings as it may, and the slab is in the middle of one. */
Test(reclaim, a_slab_that_cannot_be_unmapped_is_given_up, .disabled = TT_SANITIZED)
{
    tn_runtime *runtime = create_with_slabs(3);

    atomic_store(&slabs_stay, true);
    for (int i = 0; i < 3; i++) {
        tt_join(tt_spawn_on(runtime, sleep_shortly, NULL));
        tn_runtime_trim(runtime);
    }
    tt_runtime_destroy(runtime);
    cr_assert_gt(atomic_load(&slabs_that_stayed), 0);
}

/* --- Two runtimes ----------------------------------------------------------------------------------------------------------- */

static void *spawn_in_another(void *arg)
{
    crowd *c = arg;
    tn_job *job;

    tt_check(tn_spawn_blocking_on(c->runtime, NULL, &job, identity, NULL) == TN_ENOMEM && job == NULL);
    tt_join(tt_spawn(sleep_shortly, NULL)); /* its own runtime works on */
    spawn_all(c, BURST - 1);
    end_all(c);
    return NULL;
}

/* The task that asks holds the core of another runtime than the one it asks. */
Test(reclaim, a_task_of_another_runtime_asks)
{
    tt_allocator allocator;
    crowd *c = burst_then_shortage(options_with(&allocator), &allocator);
    tn_runtime *other = tt_runtime_create();

    tt_join(tt_spawn_on(other, spawn_in_another, c));
    tt_runtime_destroy(other);
    end_of(c, &allocator);
}
