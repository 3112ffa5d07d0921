/* SPDX-License-Identifier: MIT */
/* tn_call_native: a function runs on the thread's own stack, whatever stack its caller has. */
#include <stdatomic.h>
#include <string.h>

#include <tn/future.h>
#include <tn/scope.h>
#include <tn/task.h>

#include "support/runtime.h"

enum { FRAME = 4096, SMALL_STACK = 32 * 1024 };

/* Whether `address` is in the stack that the calling thread was started with. */
static bool is_on_thread_stack(const void *address)
{
    pthread_attr_t attributes;
    void *lowest;
    size_t size;
    bool inside;

    tt_check(pthread_getattr_np(pthread_self(), &attributes) == 0);
    tt_check(pthread_attr_getstack(&attributes, &lowest, &size) == 0);
    tt_check(pthread_attr_destroy(&attributes) == 0);
    inside = (uintptr_t)address >= (uintptr_t)lowest && (uintptr_t)address < (uintptr_t)lowest + size;
    return inside;
}

static bool is_native(void)
{
    return is_on_thread_stack(__builtin_frame_address(0));
}

/* Uses `depth` frames of FRAME bytes. */
static __attribute__((noinline)) unsigned recurse(unsigned depth)
{
    volatile char frame[FRAME];

    memset((void *)(uintptr_t)frame, (int)depth, sizeof frame);
    return depth == 0 ? 0 : recurse(depth - 1) + (frame[depth % FRAME] == (char)depth);
}

typedef struct {
    pthread_t thread;
    unsigned depth;
    unsigned sum;
} deep;

static void *go_deep(void *arg)
{
    deep *d = arg;

    tt_check(is_native());
    tt_check(pthread_equal(d->thread, pthread_self()));
    tt_check(tn_self() == NULL && tn_runtime_current() == NULL);
    d->sum = recurse(d->depth);
    return d;
}

/* Out of line, because the thread is another one after a suspension. */
static __attribute__((noinline)) void call_deep(void)
{
    deep d = {.thread = pthread_self(), .depth = 256};

    tt_check(!is_native());
    tt_check(tn_call_native(go_deep, &d) == &d);
    tt_check_eq(d.sum, 256);
    tt_check(pthread_equal(d.thread, pthread_self()) && !is_native());
}

static void *call_often(void *arg)
{
    for (unsigned i = 0; i < 20; i++) {
        call_deep();
        tt_check(tn_yield() == 0);
    }
    return arg;
}

/* A MiB of frames, from fibers of 32 KiB. */
static void *many_fibers(void *arg)
{
    tn_spawn_options options = tn_spawn_options_default();
    tn_task *tasks[32];

    options.stack_size_bytes = SMALL_STACK;
    for (unsigned i = 0; i < 32; i++)
        tt_check(tn_spawn_on(NULL, &options, &tasks[i], call_often, NULL) == 0);
    for (unsigned i = 0; i < 32; i++)
        (void)tt_join(tasks[i]);
    return arg;
}

Test(native, runs_on_the_stack_of_the_thread)
{
    tt_run(many_fibers, NULL);
}

/* --- Elsewhere, and nested -------------------------------------------------------------------------------------------------- */

static void *note(void *arg)
{
    tt_check(is_native());
    return arg;
}

static void *nest(void *arg)
{
    return tn_call_native(note, arg);
}

static int poll_native(tn_future *self, tn_waker *waker)
{
    (void)waker;
    return tn_call_native(nest, self) == self ? 7 : -1;
}

static void drop_nothing(tn_future *self)
{
    (void)self;
}

static void *nested_in_tasks(void *arg)
{
    static const tn_future_ops ops = {.poll = poll_native, .drop = drop_nothing, .name = "native"};
    tn_future future = {&ops};
    tn_task *task;

    tt_check(tn_call_native(nest, arg) == arg);
    tt_check(tn_spawn_future(NULL, NULL, &task, &future) == 0);
    tt_check_eq((intptr_t)tt_join(task), 7);
    return arg;
}

Test(native, is_a_plain_call_outside_of_a_fiber)
{
    int here;

    cr_assert_eq(tn_call_native(nest, &here), &here);
    tt_run(nested_in_tasks, &here);
}

/* --- Waiting in the function ------------------------------------------------------------------------------------------------ */

static void *sleep_and_scope(void *arg)
{
    TN_SCOPE(scope, tn_now() + TN_MS);

    tt_check_eq(tn_sleep(TN_S), TN_ETIMEDOUT);
    return arg;
}

static void *cancelled_caller(void *arg)
{
    tn_cancel(tn_self());
    (void)tn_call_native(sleep_and_scope, arg); /* its own scope ends the wait, not the task's cancellation */
    tt_check_eq(tn_checkpoint(), TN_ECANCELED);
    return arg;
}

Test(native, waits_as_a_plain_thread)
{
    tt_run(cancelled_caller, NULL);
}

static tt_gate gate = TT_GATE_INIT;

static void *wait_at_gate(void *arg)
{
    tt_gate_wait(&gate, 1);
    return arg;
}

static void *block(void *arg)
{
    return tn_call_native(wait_at_gate, arg);
}

static void *open_gate(void *arg)
{
    tt_gate_open(&gate);
    return arg;
}

/* All workers are inside such a call, and yet the other task runs. */
Test(native, does_not_stop_the_other_tasks)
{
    tn_runtime *runtime = tt_runtime_create();
    unsigned count = tn_runtime_workers(runtime);
    tn_task *tasks[64];

    for (unsigned i = 0; i < count; i++)
        tasks[i] = tt_spawn_on(runtime, block, &gate);
    (void)tt_join(tt_spawn_on(runtime, open_gate, NULL));
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(tt_join(tasks[i]), &gate);
    tt_runtime_destroy(runtime);
}
