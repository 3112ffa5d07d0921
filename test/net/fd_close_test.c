/* SPDX-License-Identifier: MIT */
/* Waits for descriptors of other libraries that are closed, reopened, forgotten and cancelled; by many tasks and threads. */
/* ctest: timeout=120 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "fd_support.h"
#include "support/abandoned.h"
#include "support/runtime.h"

enum { SOON_NS = 50 * 1000 * 1000 };

typedef struct {
    int fd;
    uint64_t limit_ns; /* 0: none */
    int result;
    bool was_cancelled; /* the task, or its scope */
} waiting;

static void *wait_readable(void *arg)
{
    waiting *w = arg;
    tn_scope scope;

    tn_scope_enter(&scope, w->limit_ns == 0 ? TN_NEVER : tn_now() + w->limit_ns);
    w->result = tn_fd_wait(w->fd, TN_FD_READABLE);
    w->was_cancelled = tn_checkpoint() != 0;
    tn_scope_leave(&scope);
    return arg;
}

static tn_task *begin_wait(waiting *w)
{
    tn_task *task = tt_spawn(wait_readable, w);

    fd_await_rest(task);
    return task;
}

/* --- Forget --------------------------------------------------------------------------------------------------------------- */

enum { CROWD = 40 };

static void *forget_crowd(void *arg)
{
    static waiting crowd[CROWD];
    waiting other = {0};
    tn_task *tasks[CROWD + 1];
    int fds[2];

    fd_pair(fds);
    other.fd = fds[1];
    for (unsigned i = 0; i < CROWD; i++) {
        crowd[i] = (waiting){.fd = fds[0]};
        tasks[i] = tt_spawn(wait_readable, &crowd[i]);
    }
    for (unsigned i = 0; i < CROWD; i++)
        fd_await_rest(tasks[i]);
    tasks[CROWD] = begin_wait(&other);
    tt_check_eq(tn_fd_forget(NULL, fds[0]), 0);
    for (unsigned i = 0; i < CROWD; i++) {
        tt_join(tasks[i]);
        tt_check_eq(crowd[i].result, TN_ECANCELED);
        tt_check(!crowd[i].was_cancelled);
    }
    tt_check_eq(write(fds[0], "x", 1), 1); /* the other end is still waited for */
    tt_join(tasks[CROWD]);
    tt_check_eq(other.result, TN_FD_READABLE);
    tt_check_eq(tn_fd_forget(NULL, fds[0]), 0);
    tt_check_eq(tn_fd_forget(NULL, 12345), 0);
    tt_check_eq(tn_fd_forget(NULL, -1), 0);
    tt_check_eq(tn_fd_wait(fds[1], TN_FD_READABLE), TN_FD_READABLE); /* later waits are not concerned */
    fd_close_pair(fds);
    return arg;
}

Test(fd_close, forget_ends_all_waits)
{
    tt_run(forget_crowd, NULL);
}

/* --- Closed under a wait -------------------------------------------------------------------------------------------------- */

/* The wait for the closed file ends by its deadline; the one for the new file by the new file. `copy`: the old file stays
 * open, and becomes ready. */
static void reuse_number(bool copy)
{
    waiting old = {.limit_ns = 4 * SOON_NS};
    waiting fresh = {0};
    tn_task *task[2];
    int first[2];
    int second[2];
    int kept = -1;

    fd_pair(first);
    old.fd = first[0];
    task[0] = begin_wait(&old);
    if (copy)
        kept = fcntl(first[0], F_DUPFD_CLOEXEC, 0);
    fd_pair(second);
    tt_check_eq(dup3(second[0], first[0], O_CLOEXEC), first[0]); /* closes it, and opens another file with its number */
    fresh.fd = first[0];
    task[1] = begin_wait(&fresh);
    if (copy)
        tt_check_eq(write(first[1], "x", 1), 1); /* reported with the old generation */
    tt_check_eq(tn_sleep(10 * TN_MS), 0);
    tt_check_eq(write(second[1], "x", 1), 1);
    tt_join(task[1]);
    tt_check_eq(fresh.result, TN_FD_READABLE);
    tt_join(task[0]);
    tt_check(old.result == TN_ETIMEDOUT || (copy && old.result == TN_FD_READABLE)); /* if another core watches the old file */
    tt_check_eq(close(first[0]), 0);
    tt_check_eq(close(first[1]), 0);
    fd_close_pair(second);
    if (kept >= 0)
        tt_check_eq(close(kept), 0);
}

static void *reuse_numbers(void *arg)
{
    reuse_number(false);
    reuse_number(true);
    return arg;
}

Test(fd_close, number_is_reused)
{
    tt_run(reuse_numbers, NULL);
}

/* The number is closed, and not opened again. */
static void *close_number(void *arg)
{
    waiting old[2] = {{.limit_ns = 4 * SOON_NS}, {.limit_ns = 0}};
    waiting late = {0};
    tn_task *task[3];
    int fds[2];

    fd_pair(fds);
    old[0].fd = old[1].fd = late.fd = fds[0];
    task[0] = begin_wait(&old[0]);
    task[1] = begin_wait(&old[1]);
    fd_close_pair(fds);
    task[2] = begin_wait(&late);
    tt_join(task[2]);
    tt_check_eq(late.result, TN_EBADF);
    tt_join(task[0]);
    tt_check_eq(old[0].result, TN_ETIMEDOUT);
    tt_check_eq(tn_fd_forget(NULL, fds[0]), 0);
    tt_join(task[1]);
    tt_check_eq(old[1].result, TN_ECANCELED);
    return arg;
}

Test(fd_close, number_is_closed)
{
    tt_run(close_number, NULL);
}

static uint64_t parks(void)
{
    const tn_runtime *runtime = tn_runtime_current();
    uint64_t sum = 0;

    for (unsigned i = 0; i < tn_runtime_workers(runtime); i++) {
        tn_counters counters;
        tt_check_eq(tn_runtime_counters(runtime, i, &counters), 0);
        sum += counters.parks;
    }
    return sum;
}

/* What a wait has left behind in the kernel reports once, to no one, and the loop rests again. */
static void *leave_behind(void *arg)
{
    waiting old = {.limit_ns = SOON_NS};
    uint64_t before;
    int fds[2];
    int kept;

    fd_pair(fds);
    old.fd = fds[0];
    kept = dup(fds[0]);
    tn_task *task = begin_wait(&old);
    tt_check_eq(close(fds[0]), 0);
    tt_join(task);
    tt_check_eq(old.result, TN_ETIMEDOUT);
    tt_check_eq(write(fds[1], "x", 1), 1);
    tt_check_eq(tn_sleep(10 * TN_MS), 0);
    before = parks();
    tt_check_eq(tn_sleep(4 * SOON_NS), 0);
    tt_check(parks() - before < 1000); /* a loop that does not rest makes tens of thousands */
    /* The kernel still has the pair of this number and this file. */
    tt_check_eq(dup3(kept, fds[0], O_CLOEXEC), fds[0]);
    tt_check_eq(tn_fd_wait(fds[0], TN_FD_READABLE), TN_FD_READABLE);
    tt_check_eq(close(kept), 0);
    fd_close_pair(fds);
    return arg;
}

Test(fd_close, what_is_left_behind_is_dropped)
{
    tt_run(leave_behind, NULL);
}

/* --- Abandoned ------------------------------------------------------------------------------------------------------------ */

static atomic_bool sleeps;

static void *wait_for_ever(void *arg)
{
    (void)tn_fd_wait(*(int *)arg, TN_FD_READABLE);
    tt_check(false);
    return NULL;
}

Test(fd_close, abandoned)
{
    for (int ready = 0; ready < 2; ready++) {
        tt_abandoned self;
        int fds[2];
        fd_pair(fds);
        tt_abandon_begin(&self, wait_for_ever, &fds[0]);
        if (ready)
            tt_check_eq(write(fds[1], "x", 1), 1);
        tt_abandon_end(&self);
        fd_close_pair(fds);
    }
}

typedef struct {
    int fd;
    tn_future_set *set;
    tn_fd_future wait; /* not on the fiber's stack */
} member;

static void *wait_in_set(void *arg)
{
    member *m = arg;
    tn_ready ready;

    tt_check_eq(tn_future_set_create(&m->set, NULL), 0);
    tn_fd_init(&m->wait, NULL, m->fd, TN_FD_READABLE);
    tt_check_eq(tn_future_set_add(m->set, &m->wait.base, m, NULL), 0);
    (void)tn_future_set_next(m->set, &ready);
    tt_check(false);
    return NULL;
}

/* What the abandoned fiber waited for in a set is not on its stack: it stays in the set, and its drop comes later. */
Test(fd_close, abandoned_with_a_future_elsewhere)
{
    tt_abandoned self;
    member m;
    int fds[2];

    fd_pair(fds);
    m.fd = fds[0];
    tt_abandon_begin(&self, wait_in_set, &m);
    tt_abandon_end_with(&self, 0);
    tn_future_set_destroy(m.set);
    tt_check(atomic_load(&self.allocator.blocks) == 0);
    fd_close_pair(fds);
}

/* The set has polled a future on the fiber's stack, and now the fiber waits for something else. */
static void *poll_in_set_and_sleep(void *arg)
{
    member *m = arg;
    tn_fd_future wait;
    tn_ready ready;
    tn_scope scope;

    tt_check_eq(tn_future_set_create(&m->set, NULL), 0);
    tn_fd_init(&wait, NULL, m->fd, TN_FD_READABLE);
    tt_check_eq(tn_future_set_add(m->set, &wait.base, m, NULL), 0);
    tn_scope_enter_for(&scope, TN_MS);
    tt_check_eq(tn_future_set_next(m->set, &ready), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    atomic_store(&sleeps, true);
    (void)tn_sleep(TN_NEVER);
    tt_check(false);
    return NULL;
}

static bool sleeps_now(const tn_task *fiber)
{
    return atomic_load(&sleeps) && (tni_a64_load(&fiber->state, TNI_ACQUIRE) & TNI_TASK_ACTIVE) == 0;
}

/* Its set is left behind with the stack, so only the end of the driver can end the wait. */
Test(fd_close, abandoned_elsewhere)
{
    static member m; /* what is lost stays in reach for LeakSanitizer */
    tt_abandoned self;
    int fds[2];

    fd_pair(fds);
    m.fd = fds[0];
    tt_abandon_begin_when(&self, poll_in_set_and_sleep, &m, sleeps_now);
    tt_abandon_end_with(&self, 0);
    fd_close_pair(fds);
}
