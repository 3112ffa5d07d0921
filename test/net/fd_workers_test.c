/* SPDX-License-Identifier: MIT */
/* Waits for descriptors while all workers are inside of tasks that block, and around a fork. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "fd_support.h"
#include "support/runtime.h"

enum { WAITS = 8, CHILD_SECONDS = 20 };

typedef struct {
    int fds[WAITS][2];
    atomic_uint next;
    atomic_uint blocked;
    atomic_uint ended;
    unsigned workers;
    tt_gate over;
} stand;

static void *wait_one(void *arg)
{
    stand *s = arg;
    int fd = s->fds[atomic_fetch_add(&s->next, 1)][0];

    tt_check_eq(tn_fd_wait(fd, TN_FD_READABLE), TN_FD_READABLE);
    atomic_fetch_add(&s->ended, 1);
    return arg;
}

static void *block(void *arg)
{
    stand *s = arg;

    atomic_fetch_add(&s->blocked, 1);
    tt_gate_wait(&s->over, 1);
    return arg;
}

static bool all_blocked(void *arg)
{
    const stand *s = arg;

    return atomic_load(&s->blocked) == s->workers;
}

static bool all_ended(void *arg)
{
    return atomic_load(&((stand *)arg)->ended) == WAITS;
}

/* The tasks that block end only after all waits have. */
static void *write_when_blocked(void *arg)
{
    stand *s = arg;

    tt_check(tt_wait_until(all_blocked, s, 30 * TN_S));
    for (int i = 0; i < WAITS; i++)
        tt_check_eq(write(s->fds[i][1], "x", 1), 1);
    tt_check(tt_wait_until(all_ended, s, 30 * TN_S));
    tt_gate_open(&s->over);
    return NULL;
}

static void *block_all(void *arg)
{
    stand *s = arg;
    tn_task *waits[WAITS];
    tn_task **blocks;
    pthread_t writer;

    s->workers = tn_runtime_workers(tn_runtime_current());
    blocks = calloc(s->workers, sizeof(tn_task *));
    for (int i = 0; i < WAITS; i++) {
        fd_pair(s->fds[i]);
        waits[i] = tt_spawn(wait_one, s);
    }
    for (int i = 0; i < WAITS; i++)
        fd_await_rest(waits[i]);
    writer = tt_thread_start(write_when_blocked, s);
    for (unsigned i = 0; i < s->workers; i++)
        blocks[i] = tt_spawn(block, s);
    for (int i = 0; i < WAITS; i++)
        tt_join(waits[i]);
    for (unsigned i = 0; i < s->workers; i++)
        tt_join(blocks[i]);
    tt_thread_join(writer);
    for (int i = 0; i < WAITS; i++)
        fd_close_pair(s->fds[i]);
    free(blocks);
    return arg;
}

Test(fd_workers, waits_end_while_all_workers_are_blocked)
{
    stand s = {.over = TT_GATE_INIT};
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.force_migration = false; /* it sends tasks to workers that are inside a task */
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, block_all, &s, NULL), 0);
    tt_runtime_destroy(runtime);
}

/* --- Fork ------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    int waited[2];
    int other[2];
    tn_runtime *runtime;
} forked;

static void *wait_readable(void *arg)
{
    const forked *f = arg;

    tt_check_eq(tn_fd_wait(f->waited[0], TN_FD_READABLE), TN_FD_READABLE);
    return arg;
}

/* The calls of the child do not reach the epoll instance, which is the parent's. */
static int use_in_child(const forked *f)
{
    tn_fd_future future;

    (void)alarm(CHILD_SECONDS);
    tn_fd_init(&future, f->runtime, f->other[0], TN_FD_WRITABLE);
    if (tn_await(&future.base) != TN_ESHUTDOWN)
        return 1;
    if (tn_fd_forget(f->runtime, f->waited[0]) != 0)
        return 2;
    return 0;
}

static void *fork_beside_wait(void *arg)
{
    forked f = {.runtime = tn_runtime_current()};
    tn_task *task;
    pid_t child;
    int status = -1;

    fd_pair(f.waited);
    fd_pair(f.other);
    task = tt_spawn(wait_readable, &f);
    fd_await_rest(task);
    child = fork();
    if (child == 0)
        _exit(use_in_child(&f));
    tt_check(child > 0 && waitpid(child, &status, 0) == child);
    tt_check_eq(status, 0);
    tt_check_eq(write(f.waited[1], "x", 1), 1);
    tt_join(task);
    fd_close_pair(f.waited);
    fd_close_pair(f.other);
    return arg;
}

Test(fd_workers, a_child_of_fork_leaves_the_waits_alone)
{
    if (TT_SANITIZED)
        cr_skip_test("a child of a sanitized process with threads may hang in its locks");
    tt_run(fork_beside_wait, NULL);
}
