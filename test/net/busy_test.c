/* SPDX-License-Identifier: MIT */
/* Sockets are served beside tasks that yield, or are woken, for ever. */
#include <stdatomic.h>
#include <sys/socket.h>

#include <tn.h>

#include "support/runtime.h"

enum { SPINNERS = 200, ROUNDS = 50 };

typedef struct {
    tn_future base;
    atomic_bool *over;
} self_waker;

typedef struct {
    atomic_bool over;
    tn_stream *ends[2];
    self_waker wakers[SPINNERS];
} scene;

static int wake_self(tn_future *self, tn_waker *waker)
{
    if (atomic_load(((self_waker *)(void *)self)->over))
        return 0;
    tn_waker_wake_by_ref(waker);
    return TN_PENDING;
}

static void drop_nothing(tn_future *self)
{
    (void)self;
}

static const tn_future_ops self_waker_ops = {.poll = wake_self, .drop = drop_nothing};

static void *yield_on(void *arg)
{
    while (!atomic_load((atomic_bool *)arg))
        tt_check(tn_yield() == 0);
    return arg;
}

static void *echo(void *arg)
{
    tn_stream *stream = arg;
    char byte;
    ssize_t n;

    while ((n = tn_read(stream, &byte, 1)) == 1)
        tt_check(tn_write(stream, &byte, 1) == 1);
    tt_check(n == 0);
    tn_stream_close(stream);
    return arg;
}

/* Each round waits for the socket twice: once here, once in echo. */
static void *talk(void *arg)
{
    scene *s = arg;
    tn_task *peer = tt_spawn(echo, s->ends[1]);
    tn_task *task;
    char byte = 'x';

    for (unsigned i = 0; i < SPINNERS; i++) {
        s->wakers[i] = (self_waker){{&self_waker_ops}, &s->over};
        tt_check(tn_spawn_future(NULL, NULL, NULL, &s->wakers[i].base) == 0);
        tt_check(tn_spawn(NULL, yield_on, &s->over) == 0);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        tt_check(tn_write(s->ends[0], &byte, 1) == 1);
        tt_check(tn_read(s->ends[0], &byte, 1) == 1);
        tt_check(tn_sleep(10 * TN_US) == 0); /* timers too */
        tt_check(tn_spawn(&task, yield_on, &s->over) == 0);
        tn_task_release(task);
    }
    atomic_store(&s->over, true);
    tn_stream_close(s->ends[0]);
    tt_join(peer);
    return arg;
}

static void run(tn_flavor flavor)
{
    static scene s;
    tn_options options = tt_options();
    tn_runtime *runtime;
    int fds[2];

    options.stuck_after_ns = UINT64_MAX;
    options.flavor = flavor;
    options.workers = flavor == TN_MULTI_THREAD ? 1 : 0;
    options.force_migration = false;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(tn_stream_open(runtime, &s.ends[i], fds[i]), 0);
    atomic_store(&s.over, false);
    cr_assert_eq(tn_block_on(runtime, talk, &s, NULL), 0);
    tt_runtime_destroy(runtime);
}

Test(busy, one_worker_serves_its_sockets)
{
    run(TN_MULTI_THREAD);
}

Test(busy, so_does_a_plain_thread)
{
    run(TN_CURRENT_THREAD);
}
