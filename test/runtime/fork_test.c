/* SPDX-License-Identifier: MIT */
/* Children of fork without exec: a runtime that a child creates works; what belongs to a runtime of the parent is refused at
 * once; the parent notices nothing. */
/* ctest: timeout=120 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tn.h>

#include "support/runtime.h"
#include "support/sanitizers.h"

/* AddressSanitizer of gcc 12 has no handler of fork. If another thread of the parent holds a lock of its allocator at that
 * moment, the lock stays held in the child, which then waits for ever in free, in malloc, or in the search for leaks at exit. The
 * workers take such locks when they begin: with 16 of them children of this program hung in some runs, and gdb shows them in
 * SizeClassAllocator64::ForceLock and GetFromAllocator. ThreadSanitizer takes its own locks at fork. */
#define ASAN_HANGS "a child of a process with threads may hang in the locks of AddressSanitizer's allocator"

/* A child that hangs is ended by SIGALRM. */
#define CHILD_SECONDS 20

static tn_runtime *parents;
static tn_task *other; /* runs in the parent while children are made */
static atomic_bool others_may_end;

static void *echo(void *arg)
{
    return arg;
}

static void *wait_for_parent(void *arg)
{
    while (!atomic_load(&others_may_end))
        (void)tn_sleep(TN_MS);
    return arg;
}

static int fork_and_wait(void (*in_child)(void *arg), void *arg)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        (void)alarm(CHILD_SECONDS);
        in_child(arg);
        exit(0);
    }
    tt_check(child > 0 && waitpid(child, &status, 0) == child);
    if (status != 0)
        (void)fprintf(stderr, "a child ended with status 0x%x\n", (unsigned)status);
    return status;
}

/* In a child: ends it with the number of the line if `cond` is false. */
#define need(cond) \
    do { \
        if (!(cond)) \
            _exit(__LINE__ % 200 + 1); \
    } while (0)

static void *spawn_and_join(void *arg)
{
    tn_task *task;
    void *result = NULL;

    need(tn_spawn(&task, echo, arg) == 0 && tn_join(task, &result) == 0 && result == arg);
    need(tn_sleep(TN_MS) == 0);
    need(tn_run_blocking(echo, arg, &result) == 0 && result == arg);
    return arg;
}

static void use_own_runtime(void *arg)
{
    tn_runtime *runtime;
    void *result = NULL;

    need(tn_run(spawn_and_join, arg, NULL) == 0);
    need(tn_runtime_create(&runtime, NULL) == 0);
    need(tn_block_on(runtime, spawn_and_join, &runtime, &result) == 0 && result == &runtime);
    need(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, UINT64_MAX) == 0);
}

static void note_line(void *ctx, const char *line)
{
    *(bool *)ctx = strstr(line, "belongs to the parent") != NULL;
}

static void use_parents(void *arg)
{
    bool dumped = false;
    void *result = NULL;
    tn_task *task;
    tn_job *job;
    TN_SHIELD(shield, TN_NEVER); /* the deadline of the scope that the task was in has passed */

    need(tn_spawn_on(parents, NULL, &task, echo, arg) == TN_ESHUTDOWN && task == NULL);
    need(tn_block_on(parents, echo, arg, NULL) == TN_ESHUTDOWN);
    need(tn_spawn_blocking_on(parents, NULL, &job, echo, arg) == TN_ESHUTDOWN);
    need(tn_join(other, NULL) == TN_ESHUTDOWN);
    tn_cancel(other);
    tn_task_release(other);
    tn_dump(parents, note_line, &dumped);
    need(dumped);
    need(tn_run_blocking(echo, arg, &result) == 0 && result == arg);
    need(tn_runtime_destroy(parents, TN_SHUTDOWN_CANCEL, UINT64_MAX) >= 1);
}

static void use_both(void *arg)
{
    use_parents(arg);
    use_own_runtime(arg);
}

typedef struct {
    tn_scope scope;
    tn_group group;
    tn_mutex mutex;
} frame;

static void leave_all(void *arg)
{
    frame *f = arg;

    need(tn_runtime_current() == NULL);
    need(tn_spawn(NULL, echo, arg) == TN_EINVAL);
    need(tn_yield() == 0 && tn_sleep(TN_MS) == 0);
    tn_mutex_unlock(&f->mutex);
    need(tn_mutex_lock(&f->mutex) == 0);
    tn_block_begin(TN_BLOCK_EAGER);
    tn_block_end();
    tn_group_leave(&f->group);
    need(tn_sleep(TN_S * 60) == TN_ETIMEDOUT);
    tn_scope_leave(&f->scope);
    need(tn_sleep(TN_MS) == 0);
}

static void *fork_in_a_task(void *arg)
{
    tn_group *group;
    frame f;

    (void)arg;
    group = &f.group;
    tn_mutex_init(&f.mutex);
    tt_check(tn_mutex_lock(&f.mutex) == 0);
    tn_scope_enter_for(&f.scope, 500 * TN_MS);
    tn_group_enter(group, NULL);
    tt_check(tn_group_spawn(group, NULL, wait_for_parent, NULL) == 0);
    tt_check(fork_and_wait(leave_all, &f) == 0);
    tt_check(fork_and_wait(use_parents, NULL) == 0);
    if (!TT_TSAN)
        tt_check(fork_and_wait(use_own_runtime, NULL) == 0);
    atomic_store(&others_may_end, true);
    tn_group_leave(group);
    tn_scope_leave(&f.scope);
    tn_mutex_unlock(&f.mutex);
    tt_check(tn_sleep(TN_MS) == 0);
    return NULL;
}

static void create_parents(void)
{
    atomic_store(&others_may_end, false);
    parents = tt_runtime_create();
    other = tt_spawn_on(parents, wait_for_parent, NULL);
}

static void destroy_parents(void)
{
    atomic_store(&others_may_end, true);
    tt_join(other);
    tt_runtime_destroy(parents);
}

Test(fork, in_a_task)
{
    if (TT_ASAN)
        cr_skip_test(ASAN_HANGS);
    for (int i = 0; i < 5; i++) {
        create_parents();
        tt_join(tt_spawn_on(parents, fork_in_a_task, NULL));
        destroy_parents();
    }
}

/* ThreadSanitizer lets no child of a process with threads start a thread. */
Test(fork, in_a_plain_thread)
{
    if (TT_ASAN)
        cr_skip_test(ASAN_HANGS);
    create_parents();
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(fork_and_wait(use_parents, NULL), 0);
        if (!TT_TSAN) {
            cr_assert_eq(fork_and_wait(use_own_runtime, NULL), 0);
            cr_assert_eq(fork_and_wait(use_both, NULL), 0);
        }
        tt_join(tt_spawn_on(parents, spawn_and_join, NULL)); /* the parent's works on */
    }
    destroy_parents();
}

static void *fork_in_a_job(void *arg)
{
    tt_check(fork_and_wait(use_parents, NULL) == 0);
    if (!TT_TSAN)
        tt_check(fork_and_wait(use_own_runtime, NULL) == 0);
    return arg;
}

static void *run_job(void *arg)
{
    tt_check(tn_run_blocking(fork_in_a_job, arg, NULL) == 0);
    return arg;
}

Test(fork, in_a_blocking_job)
{
    if (TT_ASAN)
        cr_skip_test(ASAN_HANGS);
    create_parents();
    tt_join(tt_spawn_on(parents, run_job, NULL));
    destroy_parents();
}

static void *fork_in_its_thread(void *arg)
{
    tt_check(fork_and_wait(arg == NULL ? use_parents : use_own_runtime, NULL) == 0);
    return arg;
}

Test(fork, of_a_current_thread_runtime)
{
    if (TT_ASAN)
        cr_skip_test(ASAN_HANGS);
    tn_options options = tn_options_default();

    options.flavor = TN_CURRENT_THREAD;
    cr_assert_eq(tn_runtime_create(&parents, &options), 0);
    other = tt_spawn_on(parents, wait_for_parent, NULL);
    cr_assert_eq(tn_block_on(parents, fork_in_its_thread, NULL, NULL), 0);
    if (!TT_TSAN)
        cr_assert_eq(tn_block_on(parents, fork_in_its_thread, &options, NULL), 0);
    cr_assert_eq(fork_and_wait(use_parents, NULL), 0);
    atomic_store(&others_may_end, true);
    tn_task_release(other);
    tt_runtime_destroy(parents);
}

/* --- A task must not return in a child -------------------------------------------------------------------------------------- */

/* The event was sent before the fork. */
static void wait_for_event(void *arg)
{
    need(tn_async_wait(arg) == TN_ESHUTDOWN);
}

Test(fork, a_child_leaves_the_event_to_the_parent, .disabled = TT_ASAN)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_async *event;

    cr_assert_eq(tn_async_open(&event, runtime), 0);
    tn_async_send(event);
    cr_assert_eq(fork_and_wait(wait_for_event, event), 0);
    cr_assert_eq(tn_async_wait(event), 0);
    tn_async_close(event);
    tt_runtime_destroy(runtime);
}

static void *fork_and_return(void *arg)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0)
        return arg;
    tt_check(child > 0 && waitpid(child, &status, 0) == child);
    tt_check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    return arg;
}

static int poll_and_return(tn_future *self, tn_waker *waker)
{
    (void)waker;
    (void)fork_and_return(self);
    return 0;
}

static void drop_nothing(tn_future *self)
{
    (void)self;
}

static void return_in_children(void *arg)
{
    static const tn_future_ops ops = {.poll = poll_and_return, .drop = drop_nothing};
    tn_future future = {&ops};
    tn_runtime *runtime = tt_runtime_create();
    tn_task *task;

    (void)arg;
    tt_join(tt_spawn_on(runtime, fork_and_return, NULL));
    tt_check(tn_spawn_future(runtime, NULL, &task, &future) == 0);
    tt_join(task);
    tt_runtime_destroy(runtime);
}

Test(fork, a_task_that_returns_in_the_child_ends_it)
{
    if (TT_ASAN)
        cr_skip_test(ASAN_HANGS);
    tt_child child = tt_fork(return_in_children, NULL);

    cr_assert(WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0, "%s", child.said);
    cr_assert_not_null(strstr(child.said, "a task returns in a child of fork"), "%s", child.said);
}
