/* SPDX-License-Identifier: MIT */
/* Each allocation, each system call and each start of a thread that a function of runtime makes fails in turn. create_test.c has
 * the same of tn_runtime_create. */
#include <signal.h>

#include <tn.h>

#include "support/each_failure.h"

static void *nothing(void *arg)
{
    return arg;
}

static int join(tn_task *task)
{
    int rc = tn_join(task, NULL);

    tt_check(rc == 0 || rc == TN_ENOMEM); /* it never got a stack */
    return rc;
}

static int use_task(void)
{
    tn_task *task;
    int rc = tn_spawn(&task, nothing, NULL);

    return rc == 0 ? join(task) : rc;
}

/* Its stack is no usual one, so none is kept for it. */
static int use_large_task(void)
{
    tn_spawn_options options = tn_spawn_options_default();
    tn_task *task;
    int rc;

    options.stack_size_bytes = 16 << 20;
    rc = tn_spawn_on(NULL, &options, &task, nothing, NULL);
    return rc == 0 ? join(task) : rc;
}

static int use_future_task(void)
{
    tn_sleep_future sleep;
    tn_task *task;
    int rc;

    tn_sleep_init(&sleep, 0);
    rc = tn_spawn_future(NULL, NULL, &task, &sleep.base);
    return rc == 0 ? tn_join(task, NULL) : rc;
}

/* For what a fiber cannot call. */
typedef struct {
    tn_runtime *runtime;
    int rc;
} on_thread;

static int call_on_thread(tn_job_fn fn)
{
    on_thread t = {tn_runtime_current(), TN_EINVAL};
    int rc = tn_run_blocking(fn, &t, NULL);

    return rc != 0 ? rc : t.rc;
}

static void *block(void *arg)
{
    on_thread *t = arg;

    t->rc = tn_block_on(t->runtime, nothing, NULL, NULL);
    return NULL;
}

static int use_block_on(void)
{
    return call_on_thread(block);
}

static int use_group(void)
{
    tn_group group;
    int rc;

    tn_group_enter(&group, NULL);
    rc = tn_group_spawn(&group, NULL, nothing, NULL);
    if (rc == 0)
        rc = tn_group_wait(&group);
    tn_group_leave(&group);
    return rc;
}

static int use_future_set(void)
{
    tn_sleep_future sleep;
    tn_future_set *set;
    int rc = tn_future_set_create(&set, NULL);

    if (rc != 0)
        return rc;
    tn_sleep_init(&sleep, 0);
    rc = tn_future_set_add(set, &sleep.base, NULL, NULL);
    tn_future_set_destroy(set);
    return rc;
}

static int use_async(void)
{
    tn_async *async;
    int rc = tn_async_open(&async, NULL);

    if (rc != 0)
        return rc;
    tn_async_send(async);
    rc = tn_async_wait(async);
    tn_async_close(async);
    return rc;
}

static int use_signal(void)
{
    int number = SIGUSR2;
    tn_signal *signals;
    int rc = tn_signal_open(&signals, NULL, &number, 1);

    if (rc != 0)
        return rc;
    tt_check(raise(SIGUSR2) == 0); /* to this thread: before it returns, also if the wait fails */
    rc = tn_signal_wait(signals);
    tn_signal_close(signals);
    return rc > 0 ? 0 : rc;
}

static void count_hook(void *arg)
{
    ++*(int *)arg;
}

typedef struct {
    int rc;
    int hooks;  /* that were added */
    int called; /* and called */
} hooked;

static void *add_hooks(void *arg)
{
    static const tn_task_local_key key = {NULL};
    hooked *h = arg;

    for (int i = 0; i < 20 && h->rc == 0; i++) {
        h->rc = tn_task_at_exit(count_hook, &h->called);
        h->hooks += h->rc == 0;
    }
    if (h->rc == 0)
        h->rc = tn_task_local_set(&key, h);
    tt_check(h->rc != 0 || tn_task_local_get(&key) == h);
    return NULL;
}

/* A hook that could not be added is not called; the others are. */
static int use_hooks(void)
{
    hooked h = {0};
    tn_task *task;
    int rc = tn_spawn(&task, add_hooks, &h);

    if (rc != 0)
        return rc;
    rc = join(task);
    tt_check_eq(h.called, h.hooks);
    return rc != 0 ? rc : h.rc;
}

static int use_worker_local(void)
{
    tn_worker_local *local;
    int *value;
    int rc = tn_worker_local_create(&local, tn_runtime_current(), sizeof *value, NULL, NULL, NULL);

    if (rc != 0)
        return rc;
    value = tn_worker_local_get(local);
    rc = value == NULL ? TN_ENOMEM : *value;
    tn_worker_local_destroy(local);
    return rc;
}

static void ignore_line(void *ctx, const char *line)
{
    (void)ctx;
    (void)line;
}

static int go_on(void *ctx)
{
    (void)ctx;
    return 0;
}

static int use_dump(void)
{
    int rc = tn_dump_grouped(tn_runtime_current(), ignore_line, NULL);

    tn_dump(tn_runtime_current(), ignore_line, NULL);
    return rc == 0 ? tn_dump_grouped_pausing(tn_runtime_current(), ignore_line, go_on, NULL) : rc;
}

static void *start_dumps(void *arg)
{
    tn_dump_signal *dumps;
    on_thread *t = arg;

    t->rc = tn_dump_signal_start(&dumps, t->runtime, SIGUSR1);
    if (t->rc == 0)
        tn_dump_signal_stop(dumps);
    return NULL;
}

static int use_dump_signal(void)
{
    return call_on_thread(start_dumps);
}

static const tt_function functions[] = {
    {"task", use_task, TN_ENOMEM},
    {"large task", use_large_task, TN_ENOMEM},
    {"stackless task", use_future_task, 0},
    {"block_on", use_block_on, 0},
    {"group", use_group, TN_ENOMEM},
    {"future set", use_future_set, 0},
    {"async", use_async, 0},
    {"signal", use_signal, 0},
    {"hooks", use_hooks, TN_ENOMEM},
    {"worker local", use_worker_local, 0},
    {"dump", use_dump, TN_ENOMEM},
    {"dump signal", use_dump_signal, TN_ENOMEM},
};

enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

Test(each_failure_of_runtime, of_an_allocation)
{
    tt_fail_each(TT_ALLOCATION, functions, FUNCTIONS);
}

Test(each_failure_of_runtime, of_a_system_call)
{
    tt_fail_each(TT_CALL, functions, FUNCTIONS);
}

Test(each_failure_of_runtime, of_the_start_of_a_thread)
{
    tt_fail_each(TT_THREAD, functions, FUNCTIONS);
}
