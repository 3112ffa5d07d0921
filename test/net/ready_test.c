/* SPDX-License-Identifier: MIT */
/* Tests of ready futures in stackless tasks. close_test.c tests how a close ends them. */
/* ctest: timeout=120 */
#include "net_flow.h"
#include "support/allocator.h"
#include "support/runtime.h"
#include "sync/sync_support.h"

/* A stackless echo: reads, writes all that it has read, and repeats that until the end. */
typedef struct {
    tn_future base;
    tn_stream *stream;
    tn_ready_future ready;
    bool waiting;
    size_t start, end; /* not written yet */
    unsigned *dropped;
    char buf[512];
} echo_future;

static ssize_t echo_step(echo_future *echo)
{
    ssize_t n;

    if (echo->start == echo->end) {
        n = tn_try_read(echo->stream, echo->buf, sizeof echo->buf);
        if (n > 0) {
            echo->start = 0;
            echo->end = (size_t)n;
        }
        return n;
    }
    n = tn_try_write(echo->stream, echo->buf + echo->start, echo->end - echo->start);
    if (n > 0)
        echo->start += (size_t)n;
    return n;
}

static int echo_poll(tn_future *self, tn_waker *waker)
{
    echo_future *echo = (echo_future *)(void *)self;

    for (;;) {
        if (echo->waiting) {
            int rc = echo->ready.base.ops->poll(&echo->ready.base, waker);
            if (rc == TN_PENDING)
                return TN_PENDING;
            echo->ready.base.ops->drop(&echo->ready.base);
            echo->waiting = false;
            if (rc != 0)
                return rc;
        }
        ssize_t n = echo_step(echo);
        if (n == TN_EAGAIN) {
            tn_ready_init(&echo->ready, echo->stream, echo->start == echo->end ? TN_READABLE : TN_WRITABLE);
            echo->waiting = true;
        } else if (n <= 0) {
            return (int)n;
        }
    }
}

static void echo_drop(tn_future *self)
{
    echo_future *echo = (echo_future *)(void *)self;

    if (echo->waiting)
        echo->ready.base.ops->drop(&echo->ready.base);
    tn_stream_close(echo->stream);
    __atomic_fetch_add(echo->dropped, 1, __ATOMIC_RELAXED);
    free(echo);
}

static const tn_future_ops echo_ops = {echo_poll, echo_drop};

static tn_task *spawn_echo(tn_stream *stream, unsigned *dropped)
{
    echo_future *echo = calloc(1, sizeof *echo);
    tn_task *task;

    *echo = (echo_future){.base = {&echo_ops}, .stream = stream, .dropped = dropped};
    tt_check_eq(tn_spawn_future(NULL, NULL, &task, &echo->base), 0);
    return task;
}

static void *stackless_echo(void *arg)
{
    tn_stream *ends[2];
    tn_task *tasks[3];
    unsigned dropped = 0;
    nf_flow flows[2] = {{.chunk = NF_CHUNK}, {.chunk = NF_CHUNK}};

    (void)arg;
    ns_tcp_pair(ends);
    tasks[0] = spawn_echo(ends[1], &dropped);
    flows[0].stream = flows[1].stream = ends[0];
    tasks[1] = tt_spawn(nf_send_big, &flows[0]);
    tasks[2] = tt_spawn(nf_receive_big, &flows[1]);
    for (int i = 0; i < 3; i++)
        tt_check_eq((intptr_t)tt_join(tasks[i]), 0);
    nf_compare(&flows[0], &flows[1]);
    tn_stream_close(ends[0]);
    tt_check_eq(dropped, 1);
    return NULL;
}

Test(ready, echo)
{
    tt_run(stackless_echo, NULL);
}

static void *stackless_cancelled(void *arg)
{
    tn_stream *ends[2];
    tn_task *task;
    unsigned dropped = 0;
    char byte;

    (void)arg;
    ns_tcp_pair(ends);
    tn_stream_retain(ends[1]);
    task = spawn_echo(ends[1], &dropped);
    ns_until_rests(task);
    tt_check_eq(tn_read(ends[1], &byte, 1), TN_EBUSY); /* the future is the reader, though it has no stack */
    tt_check_eq(tn_try_read(ends[1], &byte, 1), TN_EBUSY);
    tn_cancel(task);
    tt_check_eq((intptr_t)tt_join(task), TN_ECANCELED);
    tt_check_eq(dropped, 1);
    tt_check_eq(tn_read(ends[0], &byte, 1), 0);
    tt_check_eq(tn_try_read(ends[1], &byte, 1), TN_EBADF);
    tn_stream_release(ends[1]);
    tn_stream_close(ends[0]);
    return NULL;
}

Test(ready, cancelled)
{
    tt_run(stackless_cancelled, NULL);
}

/* --- Out of memory ---------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_ready_future futures[2];
    stand_in tasks[2];
    int rc[2];
} both_sides;

static void wait_to_read_too(void *arg)
{
    both_sides *both = arg;

    both->rc[1] = poll_by(&both->futures[1].base, &both->tasks[1]);
}

/* There is no memory to register the stream for its writer, but meanwhile its reader has registered it. */
Test(ready, what_the_other_side_has_opened_will_do)
{
    tn_options options = tt_options();
    tn_runtime *runtime;
    tt_allocator allocator;
    both_sides both;
    tn_stream *stream;
    int ends[2];

    tt_allocator_init(&allocator);
    allocator.before_failure = wait_to_read_too;
    allocator.arg = &both;
    options.allocator = &allocator.as_option;
    tt_check_eq(tn_runtime_create(&runtime, &options), 0);
    tt_check_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    tt_check_eq(tn_stream_open(runtime, &stream, ends[0]), 0);
    for (unsigned i = 0; i < 2; i++) {
        stand_in_init(&both.tasks[i]);
        tn_ready_init(&both.futures[i], stream, i == 0 ? TN_WRITABLE : TN_READABLE);
        both.rc[i] = 1;
    }
    tt_allocator_fail(&allocator, 1, 1);
    both.rc[0] = poll_by(&both.futures[0].base, &both.tasks[0]);
    tt_check(both.rc[0] == TN_PENDING || both.rc[0] == 0); /* it is writable, but the poll may not know that yet */
    tt_check_eq(both.rc[1], TN_PENDING);
    for (unsigned i = 0; i < 2; i++)
        drop(&both.futures[i].base);
    tn_stream_close(stream);
    tt_check_eq(close(ends[1]), 0);
    tt_runtime_destroy(runtime);
    tt_check_eq(atomic_load(&allocator.blocks), 0);
}
