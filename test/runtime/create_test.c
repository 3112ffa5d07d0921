/* SPDX-License-Identifier: MIT */
/* Creating a runtime: options, hooks, names, allocators, and every resource that the kernel or the allocator may refuse. */
/* ctest: timeout=120 serial */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <tn/blocking.h>
#include <tn/group.h>

#include "support/allocator.h"
#include "support/runtime.h"
#include "support/thread_faults.h"

/* --- Fault injection: mmap overrides the C library's, thread_faults.h the start of threads -------------------------------- */

static atomic_long maps_left; /* at 1, mmap of a stack fails; 0: never */

typedef void *(*mmap_fn)(void *, size_t, int, int, int, off_t);

/* ThreadSanitizer's interceptor, NULL without it. */
extern void *__interceptor_mmap(void *, size_t, int, int, int, off_t) __attribute__((weak));

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    mmap_fn original = __interceptor_mmap;

    if ((flags & MAP_STACK) != 0 && is_used_up(&maps_left)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    if (original == NULL)
        *(void **)&original = dlsym(RTLD_NEXT, "mmap");
    return original(address, size, protection, flags, fd, offset);
}

static atomic_long guards_left; /* at 1, mprotect of a guard fails; 0: never */

typedef int (*mprotect_fn)(void *, size_t, int);

int mprotect(void *address, size_t size, int protection)
{
    mprotect_fn original = NULL;

    if (protection == PROT_NONE && is_used_up(&guards_left)) {
        errno = ENOMEM;
        return -1;
    }
    *(void **)&original = dlsym(RTLD_NEXT, "mprotect");
    return original(address, size, protection);
}

/* --- Options -------------------------------------------------------------------------------------------------------------- */

/* Read when no other thread logs any more. */
typedef struct {
    int errors;
    char last[400];
} messages;

/* Several workers may log at once. */
static void keep_message(void *ctx, tn_log_level level, const char *message)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    messages *m = ctx;

    pthread_mutex_lock(&lock);
    if (level == TN_LOG_ERROR)
        m->errors++;
    snprintf(m->last, sizeof m->last, "%s", message);
    pthread_mutex_unlock(&lock);
}

static void refuse(tn_options options, const char *text)
{
    messages m = {0};
    tn_runtime *runtime = (tn_runtime *)(void *)&m;
    unsigned threads = tt_threads();

    options.log = keep_message;
    options.log_ctx = &m;
    cr_assert_eq(tn_runtime_create(&runtime, &options), TN_EINVAL);
    cr_assert_null(runtime);
    cr_assert_eq(m.errors, 1);
    cr_assert_not_null(strstr(m.last, text), "it says \"%s\"", m.last);
    tt_expect_threads(threads);
    cr_assert_eq(tn_run(NULL, NULL, &options), TN_EINVAL);
}

Test(create, refuses_bad_options)
{
    tn_options options = tn_options_default();
    tn_allocator lacking = {NULL, NULL, NULL};

    options.flavor = (tn_flavor)7;
    refuse(options, "options.flavor");
    options = tn_options_default();
    options.workers = 1025;
    refuse(options, "1024");
    options.workers = 5000;
    refuse(options, "1024");
    options = tn_options_default();
    options.flavor = TN_CURRENT_THREAD;
    options.workers = 2;
    refuse(options, "current-thread");
    options = tn_options_default();
    options.stack_size_bytes = (size_t)64 * 1024 * 1024 + 1;
    refuse(options, "64 MiB");
    options = tn_options_default();
    options.guard_size_bytes = (size_t)32 * 1024 * 1024 + 1;
    refuse(options, "32 MiB");
    options = tn_options_default();
    options.guard = (tn_guard)9;
    refuse(options, "options.guard");
    options = tn_options_default();
    options.allocator = &lacking;
    refuse(options, "options.allocator");
}

static void *echo(void *arg)
{
    return arg;
}

/* Without a size no member of the struct can be read, not even the log function. */
Test(create, refuses_options_without_a_size)
{
    messages m = {0};
    tn_options options = tn_options_default();
    tn_runtime *runtime;

    options.log = keep_message;
    options.log_ctx = &m;
    for (options.size = 0; options.size < sizeof options.size; options.size++) {
        cr_assert_eq(tn_runtime_create(&runtime, &options), TN_EINVAL);
        cr_assert_eq(tn_run(NULL, NULL, &options), TN_EINVAL);
    }
    cr_assert_eq(m.errors, 0);
}

Test(create, takes_defaults)
{
    tn_runtime *runtime = NULL;
    tn_options options = tn_options_default();
    void *result = NULL;

    cr_assert_eq(tn_runtime_create(&runtime, NULL), 0);
    cr_assert_gt(tn_runtime_workers(runtime), 0);
    cr_assert_eq(tn_block_on(runtime, echo, &options, &result), 0);
    cr_assert_eq(result, &options);
    tt_runtime_destroy(runtime);
    options.size = offsetof(tn_options, report_deadlock); /* a caller built against an older version */
    options.workers = 3;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_runtime_workers(runtime), 3);
    tt_runtime_destroy(runtime);
    cr_assert_eq(tn_run(echo, NULL, NULL), 0);
}

/* --- Hooks and names ------------------------------------------------------------------------------------------------------ */

enum { THREADS_MAX = 64 };

typedef struct {
    atomic_uint started;
    atomic_uint stopped;
    pid_t start_of[THREADS_MAX];
    pid_t stop_of[THREADS_MAX];
} hooks;

static hooks current_hooks;

static void thread_starts(void *ctx)
{
    hooks *h = ctx;

    h->start_of[atomic_fetch_add(&h->started, 1)] = gettid();
}

static void thread_stops(void *ctx)
{
    hooks *h = ctx;

    h->stop_of[atomic_fetch_add(&h->stopped, 1)] = gettid();
}

static unsigned times(const pid_t *list, unsigned count, pid_t wanted)
{
    unsigned n = 0;

    for (unsigned i = 0; i < count; i++)
        n += list[i] == wanted;
    return n;
}

Test(create, hooks_are_called_once_a_thread)
{
    for (int round = 0; round < 50; round++) {
        tn_options options = tt_options();
        hooks h = {.started = 0};
        tn_runtime *runtime;
        unsigned count;
        options.on_thread_start = thread_starts;
        options.on_thread_stop = thread_stops;
        options.thread_hook_ctx = &h;
        cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
        cr_assert_eq(tn_block_on(runtime, echo, NULL, NULL), 0);
        tt_runtime_destroy(runtime);
        count = atomic_load(&h.started);
        cr_assert_geq(count, options.workers);
        cr_assert_eq(atomic_load(&h.stopped), count);
        for (unsigned i = 0; i < count; i++) {
            cr_assert_eq(times(h.start_of, count, h.start_of[i]), 1);
            cr_assert_eq(times(h.stop_of, count, h.start_of[i]), 1);
        }
    }
}

static void *mark_thread(void *arg)
{
    atomic_fetch_add((atomic_uint *)arg, times(current_hooks.start_of, atomic_load(&current_hooks.started), gettid()));
    return NULL;
}

static void *block_here_and_there(void *arg)
{
    tn_job *job;

    tt_check_eq(tn_spawn_blocking(&job, mark_thread, arg), 0);
    tt_check_eq(tn_job_join(job, NULL), 0);
    return arg;
}

/* Threads of the pool run code of the program too. */
Test(create, hooks_are_called_on_the_threads_of_the_pool)
{
    tn_options options = tt_options();
    atomic_uint marked = 0;
    tn_runtime *runtime;

    options.on_thread_start = thread_starts;
    options.on_thread_stop = thread_stops;
    options.thread_hook_ctx = &current_hooks;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, block_here_and_there, &marked, NULL), 0);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&marked), 1);
    cr_assert_geq(atomic_load(&current_hooks.started), options.workers + 1);
    cr_assert_eq(atomic_load(&current_hooks.stopped), atomic_load(&current_hooks.started));
}

/* --- The result of tn_run ------------------------------------------------------------------------------------------------- */

static void *fail(void *arg)
{
    return (void *)(intptr_t) * (int *)arg;
}

Test(create, run_returns_the_error_of_its_entry)
{
    int result = TN_EADDRINUSE;

    cr_assert_eq(tn_run(fail, &result, NULL), TN_EADDRINUSE);
    result = 7;
    cr_assert_eq(tn_run(fail, &result, NULL), 0);
    cr_assert_eq(tn_run(echo, &result, NULL), 0);
}

static void *name_of_thread(void *arg)
{
    cr_assert_eq(pthread_getname_np(pthread_self(), arg, 16), 0);
    return NULL;
}

Test(create, threads_have_names)
{
    tn_options options = tt_options();
    char name[16] = "";
    char given[16] = "kitchen";
    tn_runtime *runtime;

    options.workers = 1;
    options.name = given;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    memset(given, 'x', sizeof given - 1); /* the name was copied */
    cr_assert_eq(tn_block_on(runtime, name_of_thread, name, NULL), 0);
    tt_runtime_destroy(runtime);
    cr_assert_str_eq(name, "kitchen-0");
    options.name = NULL;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, name_of_thread, name, NULL), 0);
    tt_runtime_destroy(runtime);
    cr_assert_str_eq(name, "tn-0");
}

/* --- Allocators ----------------------------------------------------------------------------------------------------------- */

static void *spawn_many(void *arg)
{
    tn_task *tasks[1000];

    for (int i = 0; i < 1000; i++)
        tasks[i] = tt_spawn(echo, arg);
    for (int i = 0; i < 1000; i++)
        tt_check(tt_join(tasks[i]) == arg);
    return NULL;
}

Test(create, an_allocator_gets_back_what_it_gave)
{
    tn_options options = tt_options();
    tt_allocator allocator;
    tn_runtime *runtime;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_gt(atomic_load(&allocator.blocks), 0);
    cr_assert_eq(tn_block_on(runtime, spawn_many, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
    cr_assert_eq(atomic_load(&allocator.bytes), 0);
}

static void ignore_message(void *ctx, tn_log_level level, const char *message)
{
    (void)ctx;
    (void)level;
    (void)message;
}

static tn_options quiet_options(tt_allocator *allocator)
{
    tn_options options = tt_options();

    tt_allocator_init(allocator);
    options.allocator = &allocator->as_option;
    options.log = ignore_message;
    return options;
}

/* Opens the files that libuv opens once per process and keeps. */
static void open_what_stays(void)
{
    tt_run(echo, NULL);
}

Test(create, answers_when_there_is_no_memory, .init = open_what_stays)
{
    unsigned threads = tt_threads();
    unsigned files = tt_files();

    for (long nth = 1;; nth++) {
        tt_allocator allocator;
        tn_options options = quiet_options(&allocator);
        tn_runtime *runtime = NULL;
        int rc;
        tt_allocator_fail(&allocator, nth, 1);
        rc = tn_runtime_create(&runtime, &options);
        if (rc == 0) {
            cr_assert_gt(nth, 3); /* at least one each for runtime, core and worker */
            tt_runtime_destroy(runtime);
            cr_assert_eq(atomic_load(&allocator.blocks), 0);
            break;
        }
        cr_assert_eq(rc, TN_ENOMEM, "the %ldth: %s", nth, tn_strerror(rc));
        cr_assert_null(runtime);
        cr_assert_eq(atomic_load(&allocator.blocks), 0, "the %ldth leaves something behind", nth);
        cr_assert_eq(tt_files(), files, "the %ldth leaves files behind", nth);
    }
    if (!TT_TSAN) /* ThreadSanitizer may have started its own thread */
        tt_expect_threads(threads);
}

/* Spawns until the allocator refuses, then joins, then spawns again. */
static void *spawn_until_refused(void *arg)
{
    enum { MOST = 5000 };
    static tn_task *tasks[MOST];
    tt_allocator *allocator = arg;
    int count = 0;
    int rc = 0;

    tt_allocator_fail(allocator, 3, 1000000);
    for (; count < MOST && rc == 0; count += rc == 0) {
        rc = tn_spawn(&tasks[count], echo, allocator);
        tt_check(rc == 0 || (rc == TN_ENOMEM && tasks[count] == NULL));
    }
    tt_check(rc == TN_ENOMEM && count > 100);
    for (int i = 0; i < count; i++)
        tt_check(tt_join(tasks[i]) == allocator);
    tt_allocator_fail(allocator, 0, 0);
    tt_join(tt_spawn(echo, NULL)); /* spawning works again */
    return NULL;
}

Test(create, spawn_answers_when_there_is_no_memory)
{
    tt_allocator allocator;
    tn_options options = quiet_options(&allocator);
    tn_runtime *runtime;
    tn_task *task = NULL;
    int rc = 0;

    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    tt_allocator_fail(&allocator, 1, 1000000);
    for (int i = 0; i < 5000 && rc == 0; i++) { /* from a thread outside the runtime */
        rc = tn_spawn_on(runtime, NULL, &task, echo, NULL);
        if (rc == 0)
            tt_join(task);
    }
    cr_assert(rc == 0 || rc == TN_ENOMEM);
    tt_allocator_fail(&allocator, 0, 0);
    cr_assert_eq(tn_block_on(runtime, spawn_until_refused, &allocator, NULL), 0);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

/* --- Threads, mappings, files --------------------------------------------------------------------------------------------- */

Test(create, answers_when_there_is_no_thread, .init = open_what_stays)
{
    unsigned files = tt_files();

    for (long nth = 1;; nth++) {
        tt_allocator allocator;
        tn_options options = quiet_options(&allocator);
        messages m = {0};
        tn_runtime *runtime = NULL;
        int rc;
        options.log = keep_message;
        options.log_ctx = &m;
        atomic_store(&threads_left, nth);
        rc = tn_runtime_create(&runtime, &options);
        atomic_store(&threads_left, 0);
        if (rc == 0) {
            cr_assert_gt(nth, (long)options.workers);
            tt_runtime_destroy(runtime);
            break;
        }
        cr_assert_eq(rc, TN_EAGAIN);
        cr_assert_null(runtime);
        cr_assert_eq(m.errors, 1);
        cr_assert_not_null(strstr(m.last, "options.workers"));
        cr_assert_eq(atomic_load(&allocator.blocks), 0);
        cr_assert_eq(tt_files(), files);
    }
}

Test(create, answers_when_there_are_no_files, .init = open_what_stays)
{
    struct rlimit before;
    unsigned files = tt_files();
    bool created = false;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (rlim_t more = 3; !created; more++) {
        struct rlimit few = before;
        tt_allocator allocator;
        tn_options options = quiet_options(&allocator);
        tn_runtime *runtime = NULL;
        int rc;
        few.rlim_cur = files + more;
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
        rc = tn_runtime_create(&runtime, &options);
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        created = rc == 0;
        if (created) {
            tt_runtime_destroy(runtime);
        } else {
            cr_assert_eq(rc, TN_EMFILE, "%s", tn_strerror(rc));
            cr_assert_null(runtime);
        }
        cr_assert_eq(atomic_load(&allocator.blocks), 0);
        cr_assert_eq(tt_files(), files);
    }
}

static int join_without_stack(tn_runtime *runtime, tn_task **task)
{
    tn_spawn_options options = tn_spawn_options_default();

    options.stack_size_bytes = (size_t)1024 * 1024; /* no cache has a stack of this size */
    options.name = "hungry";
    cr_assert_eq(tn_spawn_on(runtime, &options, task, echo, runtime), 0);
    return tn_join(*task, NULL);
}

Test(create, a_task_without_a_stack_answers)
{
    tt_allocator allocator;
    tn_options options = quiet_options(&allocator);
    messages m = {0};
    tn_runtime *runtime;
    tn_task *task;
    void *result = NULL;

    options.log = keep_message;
    options.log_ctx = &m;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    atomic_store(&maps_left, 1);
    cr_assert_eq(join_without_stack(runtime, &task), TN_ENOMEM);
    cr_assert_eq(m.errors, 1);
    cr_assert_not_null(strstr(m.last, "hungry"));
    atomic_store(&maps_left, 0);
    cr_assert_eq(join_without_stack(runtime, &task), 0);
    cr_assert_eq(tn_block_on(runtime, echo, &m, &result), 0);
    cr_assert_eq(result, &m);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

/* A task that never runs has no result; one that returns the same error has. */
Test(create, a_task_of_a_group_that_never_ran_has_no_result)
{
    tn_spawn_options large = tn_spawn_options_default();
    tn_group_options of_group = tn_group_options_default();
    tt_allocator allocator;
    tn_options options = quiet_options(&allocator);
    tn_group_result ended;
    tn_group group;

    large.stack_size_bytes = (size_t)1024 * 1024;
    cr_assert_eq(tn_runtime_create(&of_group.runtime, &options), 0);
    tn_group_enter(&group, &of_group); /* by a plain thread: no stack can come back */
    atomic_store(&maps_left, 1);
    cr_assert_eq(tn_group_spawn(&group, &large, echo, &large), 0);
    cr_assert_eq(tn_group_next(&group, &ended), 1);
    atomic_store(&maps_left, 0);
    cr_assert(ended.error == TN_ENOMEM && ended.result == NULL && ended.arg == &large);
    cr_assert_eq(tn_group_spawn(&group, NULL, echo, (void *)(intptr_t)TN_ENOMEM), 0);
    cr_assert_eq(tn_group_next(&group, &ended), 1);
    cr_assert(ended.error == TN_ENOMEM && ended.result == (void *)(intptr_t)TN_ENOMEM);
    tn_group_leave(&group);
    tt_runtime_destroy(of_group.runtime);
}

static void *sleep_a_little(void *arg)
{
    tt_check(tn_sleep(50 * TN_MS) == 0);
    return arg;
}

/* Spawns 60 tasks; each runs, or ends with an error, and none waits for ever. Returns how many ran. */
static unsigned run_with_guards(const tn_options *options)
{
    enum { COUNT = 60 };
    tn_runtime *runtime;
    tn_task *tasks[COUNT];
    unsigned ran = 0;

    cr_assert_eq(tn_runtime_create(&runtime, options), 0);
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(tn_spawn_on(runtime, NULL, &tasks[i], sleep_a_little, NULL), 0);
    for (int i = 0; i < COUNT; i++) {
        int rc = tn_join(tasks[i], NULL);
        cr_assert(rc == 0 || rc == TN_ENOMEM, "%s", tn_strerror(rc));
        ran += rc == 0;
    }
    tt_runtime_destroy(runtime);
    return ran;
}

Test(create, a_task_without_a_guard_answers)
{
    tn_options options = tt_options();
    messages m = {0};
    unsigned ran;

    options.log = keep_message;
    options.log_ctx = &m;
    options.guard = TN_GUARD_MPROTECT;
    atomic_store(&guards_left, 21);
    ran = run_with_guards(&options);
    cr_assert(ran >= 20 && ran < 60, "%u ran", ran);
    cr_assert(m.errors >= 1 && m.errors <= 7, "%d lines", m.errors); /* the 1st, 2nd, 4th, … */
    cr_assert_not_null(strstr(m.last, "never ran"));
    options.stacks_max = 1; /* a task that tries counts towards it, and another one waits meanwhile */
    cr_assert_eq(run_with_guards(&options), 0);
    options.stacks_max = 0;
    options.guard_fallback = true;
    cr_assert_eq(run_with_guards(&options), 60);
    atomic_store(&guards_left, 0);
    options.guard_fallback = false;
    cr_assert_eq(run_with_guards(&options), 60);
}

static void *hold_a_stack(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
    while (tn_sleep(3600 * TN_S) == 0)
        ;
    return NULL;
}

/* If another task has a stack, the task waits for that one, whatever its size. */
Test(create, a_task_waits_for_the_stack_of_another)
{
    tt_allocator allocator;
    tn_options options = quiet_options(&allocator);
    tn_spawn_options large = tn_spawn_options_default();
    atomic_bool held = false;
    tn_runtime *runtime;
    tn_task *holder = NULL;
    tn_task *task = NULL;

    large.stack_size_bytes = (size_t)32 * 1024 * 1024; /* one stack per mapping */
    options.stack_size_bytes = (size_t)32 * 1024 * 1024;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    holder = tt_spawn_on(runtime, hold_a_stack, &held);
    while (!atomic_load(&held))
        tn_yield();
    atomic_store(&maps_left, 1);
    for (int i = 0; i < 8; i++) { /* the first task may find an unused stack beside the holder's */
        cr_assert_eq(tn_spawn_on(runtime, &large, &task, echo, holder), 0);
        tn_task_release(task);
    }
    tt_block_thread(20 * TN_MS);
    tn_cancel(holder);
    tt_join(holder);
    tt_runtime_destroy(runtime); /* checks that all tasks have run */
    atomic_store(&maps_left, 0);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}
