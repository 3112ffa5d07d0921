/* SPDX-License-Identifier: MIT */
/* Helpers to freeze the threads of workers, and to check the work that must continue meanwhile. */
#ifndef TT_LATE_STAND_H
#define TT_LATE_STAND_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <tn.h>
#include <tn/net.h>

#include "sched/runtime.h"
#include "support/runtime.h"

/* Work that takes longer counts as not done. */
#define LIMIT_NS (5 * TN_S)
#define LIMIT_MS 5000

enum { WORKERS_MAX = 16 };

/* --- Freezing --------------------------------------------------------------------------------------------------------------- */

static atomic_uint frozen;
static atomic_bool thawed;

static atomic_uint threads_known;

static inline void be_frozen(int number)
{
    const struct timespec some = {0, 200000};
    int before = errno;

    (void)number;
    atomic_fetch_add(&frozen, 1);
    while (!atomic_load(&thawed))
        (void)nanosleep(&some, NULL);
    atomic_fetch_sub(&frozen, 1);
    errno = before;
}

static inline void note_thread(void *ctx)
{
    sigset_t usr1;

    (void)ctx;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    tt_check(pthread_sigmask(SIG_UNBLOCK, &usr1, NULL) == 0);
    atomic_fetch_add(&threads_known, 1);
}

static inline bool is_frozen(void *arg)
{
    return atomic_load(&frozen) == *(unsigned *)arg;
}

/* Requires that all workers have parked once. */
static inline uint64_t marks_of(const tn_runtime *runtime, unsigned core)
{
    /* Observes what the worker did before it parked, its thread_id too; partner: tni_idle_park. */
    return tni_a64_load(&runtime->idle.marks[core / TNI_IDLE_CORES], TNI_ACQUIRE);
}

static inline int thread_of(const tn_runtime *runtime, unsigned core)
{
    (void)marks_of(runtime, core);
    return ((const tni_worker *)tni_aptr_load(&runtime->cores[core]->worker, TNI_ACQUIRE))->thread_id;
}

/* Freezes the core's worker, wherever it is. The worker is loaded at each call, because the core's worker may change. */
static inline void freeze(const tn_runtime *runtime, unsigned core)
{
    unsigned one = 1;

    atomic_store(&thawed, false);
    cr_assert_eq(syscall(SYS_tgkill, getpid(), thread_of(runtime, core), SIGUSR1), 0);
    cr_assert(tt_wait_until(is_frozen, &one, 20 * TN_S));
}

static inline void thaw(void)
{
    unsigned none = 0;

    atomic_store(&thawed, true);
    cr_assert(tt_wait_until(is_frozen, &none, 20 * TN_S));
}

static inline bool all_are_known(void *arg)
{
    return atomic_load(&threads_known) >= tn_runtime_workers(arg);
}

static inline bool all_are_parked(void *arg)
{
    return tni_idle_all_parked(&((tn_runtime *)arg)->idle);
}

typedef struct {
    const tn_runtime *runtime;
    unsigned core;
} sleeper;

/* Returns whether the worker sleeps, both for the kernel and for the runtime. */
static inline bool is_asleep(void *arg)
{
    const sleeper *s = arg;

    return marks_of(s->runtime, s->core) >> (s->core % TNI_IDLE_CORES) & 1 &&
           tni_os_thread_sleeps(thread_of(s->runtime, s->core));
}

/* Freezes the core's worker while it sleeps. */
static inline void freeze_asleep(const tn_runtime *runtime, unsigned core)
{
    sleeper s = {runtime, core};

    cr_assert(tt_wait_until(is_asleep, &s, LIMIT_NS));
    freeze(runtime, core);
}

/* `hook` calls note_thread at its end. Forced migration sends each task to one worker, and the task waits for that worker even
 * if it is frozen. Without `may_migrate` it is off. */
static inline tn_runtime *create(tn_thread_hook_fn hook, bool may_migrate)
{
    const struct sigaction action = {.sa_handler = be_frozen, .sa_flags = SA_RESTART};
    tn_options options = tt_options();
    tn_runtime *runtime;

    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    atomic_store(&threads_known, 0);
    options.on_thread_start = hook;
    options.force_migration = options.force_migration && may_migrate;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_leq(tn_runtime_workers(runtime), WORKERS_MAX);
    cr_assert(tt_wait_until(all_are_known, runtime, LIMIT_NS) && tt_wait_until(all_are_parked, runtime, LIMIT_NS));
    return runtime;
}

/* --- Spawns from outside ---------------------------------------------------------------------------------------------------- */

static inline void *count_up(void *arg)
{
    atomic_fetch_add((atomic_uint *)arg, 1);
    return NULL;
}

typedef struct {
    atomic_uint *count;
    unsigned wanted;
} at_least;

static inline bool has_count(void *arg)
{
    const at_least *a = arg;

    return atomic_load(a->count) >= a->wanted;
}

/* Spawns the next task only when the last one has run. */
static inline bool spawns_run(tn_runtime *runtime, unsigned count, uint64_t limit_ns)
{
    atomic_uint done = 0;

    for (unsigned i = 1; i <= count; i++) {
        at_least wanted = {&done, i};
        tn_task *task = tt_spawn_on(runtime, count_up, &done);
        bool in_time = tt_wait_until(has_count, &wanted, limit_ns);
        if (!in_time)
            thaw();
        tt_join(task);
        if (!in_time)
            return false;
    }
    return true;
}

/* --- Connections ------------------------------------------------------------------------------------------------------------ */

enum { A_WORKER = 3, CONNECTIONS_MAX = A_WORKER * WORKERS_MAX };

typedef struct {
    tn_runtime *runtime;
    tn_stream *streams[CONNECTIONS_MAX];
    tn_task *tasks[CONNECTIONS_MAX];
    int ends[CONNECTIONS_MAX]; /* the test's ends of the socket pairs */
    unsigned count;
} lines;

/* The connection belongs to the core on which the task first waits. The task is busy before, so that others steal what is
 * behind it. */
static inline void *echo(void *arg)
{
    char byte;

    tt_burn(2 * TN_MS);
    while (tn_read(arg, &byte, 1) == 1)
        tt_check(tn_write_all(arg, &byte, 1) == 0);
    tn_stream_close(arg);
    return NULL;
}

static inline bool line_answers(const lines *l, unsigned i, int limit_ms)
{
    struct pollfd answer = {.fd = l->ends[i], .events = POLLIN};
    char byte = 'x';

    cr_assert_eq(write(l->ends[i], &byte, 1), 1);
    return poll(&answer, 1, limit_ms) == 1 && read(l->ends[i], &byte, 1) == 1;
}

static inline bool lines_answer(const lines *l, int limit_ms)
{
    for (unsigned i = 0; i < l->count; i++)
        if (!line_answers(l, i, limit_ms))
            return false;
    return true;
}

static inline void lines_open(lines *l, tn_runtime *runtime)
{
    l->runtime = runtime;
    l->count = A_WORKER * tn_runtime_workers(runtime);
    for (unsigned i = 0; i < l->count; i++) {
        int fds[2];
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        cr_assert_eq(tn_stream_open(runtime, &l->streams[i], fds[0]), 0);
        l->ends[i] = fds[1];
        l->tasks[i] = tt_spawn_on(runtime, echo, l->streams[i]);
    }
    cr_assert(lines_answer(l, 20000));
}

static inline void lines_close(lines *l)
{
    for (unsigned i = 0; i < l->count; i++)
        (void)close(l->ends[i]);
    for (unsigned i = 0; i < l->count; i++)
        tt_join(l->tasks[i]);
}

#endif
