/* SPDX-License-Identifier: MIT */
/* Makes each allocation, each system call and each start of a thread of a function fail in turn. The function returns an error
 * that fits, or does without. It leaves no file, thread or memory, and works afterwards. Include this in one source per program;
 * the program calls tt_fail_each for its table of functions. */
#ifndef TT_EACH_FAILURE_H
#define TT_EACH_FAILURE_H

#include <string.h>

#include <tn.h>

#include "support/allocator.h"
#include "support/failing_calls.h"
#include "support/runtime.h"
#include "support/thread_faults.h"

/* A public function, or some that belong together, and what undoes them. Returns the first error. It runs in a fiber. */
typedef struct {
    const char *name;
    int (*use)(void);
    int also; /* an error that it may return instead of the one that a system call has; 0: none */
} tt_function;

typedef enum { TT_ALLOCATION, TT_CALL, TT_THREAD, TT_OTHER } tt_failing;

static tt_allocator memory; /* of the runtime, and of what takes an allocator */

typedef struct {
    tt_failing what;
    const tt_function *functions;
    unsigned count;
    void (*fail_other)(long nth); /* for TT_OTHER: lets the nth fail; 0: none */
    bool (*other_failed)(void);   /* whether it has */
    int error;                    /* and then the function may return this */
} tt_failures;

static void set_failure(const tt_failures *all, long nth)
{
    if (all->what == TT_ALLOCATION)
        tt_allocator_fail(&memory, nth, nth > 0 ? 1 : 0);
    else if (all->what == TT_OTHER)
        all->fail_other(nth);
    else
        atomic_store(all->what == TT_CALL ? &calls_left : &threads_left, nth);
}

/* Whether the failure that was asked for has happened. `calls`: of the allocator, before. */
static bool has_failed(const tt_failures *all, long nth, long calls)
{
    switch (all->what) {
    case TT_ALLOCATION:
        return atomic_load(&memory.calls) - calls >= nth;
    case TT_CALL:
        return atomic_load(&calls_left) == 0;
    case TT_THREAD:
        return atomic_load(&threads_left) == 1;
    default:
        return all->other_failed();
    }
}

static bool is_expected(const tt_failures *all, const tt_function *function, int rc)
{
    if (rc == 0)
        return true;
    switch (all->what) {
    case TT_ALLOCATION:
        return rc == TN_ENOMEM;
    case TT_CALL:
        return rc == -atomic_load(&failed_error) || (function->also != 0 && rc == function->also);
    case TT_THREAD:
        return rc == TN_EAGAIN || rc == TN_ENOMEM;
    default:
        return rc == all->error;
    }
}

/* Blocks that caches of the runtime may keep or give back at any time. All are counted when the runtime has gone. */
#define TT_CACHED 8

/* Registrations and threads end a little later than the calls that give them back. */
static bool is_as_before(unsigned files, long blocks)
{
    for (int i = 0; i < 2000; i++) {
        if (tt_files() <= files && atomic_load(&memory.blocks) <= blocks + TT_CACHED)
            return true;
        tt_check_eq(tn_sleep(TN_MS), 0);
    }
    return false;
}

static void check_that_it_works(const tt_function *function)
{
    int rc = function->use();

    if (rc != 0)
        (void)fprintf(stderr, "%s: %s\n", function->name, tn_strerror(rc));
    tt_check_eq(rc, 0);
}

/* The function with the first, the second, … failure, until there are no more. Returns how many there were. */
static long fail_in_turn(const tt_failures *all, const tt_function *function)
{
    unsigned files = tt_files();
    long blocks = atomic_load(&memory.blocks);
    bool failed = true;
    long nth = 0;

    while (failed) {
        long calls = atomic_load(&memory.calls);
        int rc;
        nth++;
        set_failure(all, nth);
        rc = function->use();
        failed = has_failed(all, nth, calls);
        set_failure(all, 0);
        if (!is_expected(all, function, rc) || !is_as_before(files, blocks)) {
            (void)fprintf(stderr, "%s, failure %d number %ld (%s): %s, %u files before and %u behind, %ld and %ld blocks\n",
                          function->name, (int)all->what, nth, all->what == TT_CALL ? atomic_load(&failed_call) : "-",
                          tn_strerror(rc), files, tt_files(), blocks, atomic_load(&memory.blocks));
            tt_check(false);
        }
    }
    check_that_it_works(function);
    return nth - 1;
}

static void *fail_each(void *arg)
{
    const tt_failures *all = arg;
    long sum = 0;

    for (unsigned i = 0; i < all->count; i++) {
        for (int warm = 0; warm < 3; warm++)
            check_that_it_works(&all->functions[i]); /* fills caches */
        sum += fail_in_turn(all, &all->functions[i]);
    }
    tt_check(sum > 0);
    return arg;
}

static void *use_each(void *arg)
{
    const tt_failures *all = arg;

    for (unsigned i = 0; i < all->count; i++)
        check_that_it_works(&all->functions[i]);
    return arg;
}

static void ignore_message(void *ctx, tn_log_level level, const char *message)
{
    (void)ctx;
    (void)level;
    (void)message;
}

static void tt_fail_all(tt_failures *all)
{
    tn_options options = tn_options_default();
    tn_runtime *runtime;
    unsigned threads;
    unsigned files;
    long mapped;

    tt_allocator_init(&memory);
    tt_run(use_each, all); /* opens what a process keeps: files of libuv, the thread that waits for children */
    threads = tt_threads();
    files = tt_files();
    mapped = atomic_load(&mapped_bytes);
    tt_allocator_init(&memory);
    options.allocator = &memory.as_option;
    options.log = ignore_message;
    options.workers = 1;
    options.blocking_idle_ns = all->what == TT_THREAD ? TN_MS : options.blocking_idle_ns;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, fail_each, all, NULL), 0);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&memory.blocks), 0);
    cr_assert_eq(atomic_load(&memory.bytes), 0);
    cr_assert_eq(tt_files(), files);
    cr_assert_eq(atomic_load(&mapped_bytes), mapped);
    if (!TT_TSAN) /* its own thread may have begun */
        tt_expect_threads(threads);
}

static inline void tt_fail_each(tt_failing what, const tt_function *functions, unsigned count)
{
    tt_fail_all(&(tt_failures){.what = what, .functions = functions, .count = count});
}

#endif
