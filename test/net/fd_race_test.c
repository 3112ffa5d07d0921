/* SPDX-License-Identifier: MIT */
/* Numbers are closed and opened again by tasks and threads all the time, while other tasks wait for them. No wait reports a
 * descriptor that is not ready, and none that is ready is missed. */
/* ctest: timeout=240 */
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "fd_support.h"
#include "support/runtime.h"

enum { TASKS = 16, ROUNDS = 400, NOISY = 2 };

typedef struct {
    atomic_bool over;
    atomic_ulong ended[4]; /* rounds, by their kind */
} race;

typedef struct {
    race *race;
    unsigned seed;
} racer;

/* Other files with the same numbers, which are ready at any time. */
static void *make_noise(void *arg)
{
    race *r = arg;

    while (!atomic_load(&r->over)) {
        int fds[2];
        fd_pair(fds);
        tt_check_eq(write(fds[0], "n", 1), 1);
        tt_check_eq(write(fds[1], "n", 1), 1);
        fd_close_pair(fds);
    }
    return NULL;
}

static void *write_one(void *arg)
{
    if (((uintptr_t)arg & 1) != 0)
        (void)tn_yield();
    tt_check_eq(write(*(int *)arg, "x", 1), 1);
    return arg;
}

/* Only the calling task reads the descriptor. */
static void expect_byte(int fd)
{
    struct pollfd file = {.fd = fd, .events = POLLIN};
    char byte;

    tt_check_eq(poll(&file, 1, 0), 1);
    tt_check_eq(read(fd, &byte, 1), 1);
    tt_check_eq(byte, 'x');
}

static void wait_for_bytes(void)
{
    int fds[2];

    fd_pair(fds);
    for (int i = 0; i < 3; i++) {
        tn_task *task = tt_spawn(write_one, &fds[1]);
        tt_check_eq(tn_fd_wait(fds[0], TN_FD_READABLE), TN_FD_READABLE);
        expect_byte(fds[0]);
        tt_join(task);
    }
    fd_close_pair(fds);
}

static void wait_in_vain(void)
{
    int fds[2];
    tn_scope scope;

    fd_pair(fds);
    tn_scope_enter_for(&scope, 100 * TN_US);
    tt_check_eq(tn_fd_wait(fds[0], TN_FD_READABLE), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    fd_close_pair(fds);
}

typedef struct {
    int fd;
    int result;
} waiting;

static void *wait_readable(void *arg)
{
    waiting *w = arg;

    w->result = tn_fd_wait(w->fd, TN_FD_READABLE);
    return arg;
}

/* Closes the number under a wait. The file lives on in a copy, and becomes ready: that is reported to no one. */
static void close_under_wait(void)
{
    waiting w;
    tn_task *task;
    int fds[2];
    int kept;

    fd_pair(fds);
    kept = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
    w.fd = fds[0];
    task = tt_spawn(wait_readable, &w);
    fd_await_rest(task);
    tt_check_eq(close(fds[0]), 0);
    tt_check_eq(write(fds[1], "x", 1), 1);
    (void)tn_yield();
    tn_cancel(task);
    tt_join(task);
    tt_check(w.result == TN_ECANCELED || w.result == TN_FD_READABLE); /* the report of the copy may come before the cancel */
    tt_check_eq(close(kept), 0);
    tt_check_eq(close(fds[1]), 0);
}

static void forget_and_close(void)
{
    waiting w[2];
    tn_task *task[2];
    int fds[2];

    fd_pair(fds);
    for (int i = 0; i < 2; i++) {
        w[i].fd = fds[0];
        task[i] = tt_spawn(wait_readable, &w[i]);
    }
    for (int i = 0; i < 2; i++)
        fd_await_rest(task[i]);
    tt_check_eq(tn_fd_forget(NULL, fds[0]), 0);
    fd_close_pair(fds);
    for (int i = 0; i < 2; i++) {
        tt_join(task[i]);
        tt_check_eq(w[i].result, TN_ECANCELED);
    }
}

static void *run_rounds(void *arg)
{
    static void (*const kinds[4])(void) = {wait_for_bytes, wait_in_vain, close_under_wait, forget_and_close};
    racer *self = arg;

    for (unsigned long i = tt_scaled(ROUNDS); i > 0; i--) {
        unsigned kind = (unsigned)rand_r(&self->seed) % 4;
        kinds[kind]();
        atomic_fetch_add(&self->race->ended[kind], 1);
    }
    return arg;
}

static void *run_race(void *arg)
{
    race *r = arg;
    racer racers[TASKS];
    tn_task *tasks[TASKS];
    pthread_t noise[NOISY];

    for (int i = 0; i < NOISY; i++)
        noise[i] = tt_thread_start(make_noise, r);
    for (unsigned i = 0; i < TASKS; i++) {
        racers[i] = (racer){r, i + 1};
        tasks[i] = tt_spawn(run_rounds, &racers[i]);
    }
    for (unsigned i = 0; i < TASKS; i++)
        tt_join(tasks[i]);
    atomic_store(&r->over, true);
    for (int i = 0; i < NOISY; i++)
        tt_thread_join(noise[i]);
    return arg;
}

Test(fd_race, close_and_reuse)
{
    race r = {false, {0}};

    tt_run(run_race, &r);
    for (int i = 0; i < 4; i++)
        cr_assert(atomic_load(&r.ended[i]) > 0);
}
