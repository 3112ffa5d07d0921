/* SPDX-License-Identifier: MIT */
/* tn_process_run: input, outputs, limits, deadlines. */
#include "process_support.h"

#include <stdatomic.h>

#include <tn/combine.h>
#include <tn/scope.h>

#define MUCH ((size_t)1 << 20)

static void *collect_both(void *arg)
{
    tn_process_options options = tn_process_options_default();
    tn_process_output output = tn_process_output_default();

    tt_check_eq(tn_process_run(&output, PS_SCRIPT("echo out; echo err >&2; exit 3"), NULL), 0);
    tt_check(output.end.code == 3 && strcmp(output.out, "out\n") == 0 && strcmp(output.err, "err\n") == 0);
    tn_process_output_free(&output);
    tt_check(output.out == NULL && output.err == NULL);
    options.err = TN_PROCESS_STDOUT;
    tt_check_eq(tn_process_run(&output, PS_SCRIPT("echo out; echo err >&2"), &options), 0);
    tt_check(strcmp(output.out, "out\nerr\n") == 0 && output.err == NULL && output.out_size == 8);
    tn_process_output_free(&output);
    tt_check_eq(tn_process_run(&output, PS_SCRIPT("read x; kill -9 $$"), NULL), 0);
    tt_check(output.end.code == -1 && output.end.signal == SIGKILL && output.out == NULL);
    tn_process_output_free(&output);
    tt_check_eq(tn_process_run(&output, (const char *const[]){"/no/such/program", NULL}, NULL), -ENOENT);
    tn_process_output_free(&output);
    output.size--;
    tt_check_eq(tn_process_run(&output, PS_SCRIPT("exit 0"), NULL), TN_EINVAL);
    return arg;
}

Test(process_output, both)
{
    tt_run(collect_both, NULL);
    ps_expect_no_children();
}

/* More than the pipes take, in both directions at once. */
static void *feed_cat(void *arg)
{
    tn_process_output output = tn_process_output_default();
    char *much = malloc(MUCH);

    for (size_t i = 0; i < MUCH; i++)
        much[i] = (char)(i % 251);
    output.input = much;
    output.input_size = MUCH;
    tt_check_eq(tn_process_run(&output, PS_SCRIPT("tee /dev/stderr"), NULL), 0);
    tt_check(output.out_size == MUCH && memcmp(output.out, much, MUCH) == 0 && output.out[MUCH] == '\0');
    tt_check(output.err_size == MUCH && memcmp(output.err, much, MUCH) == 0);
    tn_process_output_free(&output);
    tt_check_eq(tn_process_run(&output, PS_SCRIPT("head -c 5 | wc -c"), NULL), 0); /* reads a part only */
    tt_check(output.end.code == 0 && strcmp(output.out, "5\n") == 0);
    tn_process_output_free(&output);
    free(much);
    output.input = "";
    output.input_size = 0;
    tt_check_eq(tn_process_run(&output, PS_SCRIPT("wc -c"), NULL), 0);
    tt_check(strcmp(output.out, "0\n") == 0);
    tn_process_output_free(&output);
    return arg;
}

Test(process_output, input)
{
    tt_run(feed_cat, NULL);
    ps_expect_no_children();
}

static void *reach_limit(void *arg)
{
    tn_process_output output = tn_process_output_default();

    output.limit = 10;
    tt_check_eq(tn_process_run(&output, PS_SCRIPT("printf 1234567890"), NULL), 0);
    tt_check(output.out_size == 10 && strcmp(output.out, "1234567890") == 0);
    tn_process_output_free(&output);
    tt_check_eq(tn_process_run(&output, PS_SCRIPT("printf 12345678901; exec sleep 1000"), NULL), TN_EMSGSIZE);
    tt_check(output.out_size == 10 && strcmp(output.out, "1234567890") == 0);
    tn_process_output_free(&output);
    output.limit = 0;
    tt_check_eq(tn_process_run(&output, (const char *const[]){"yes", NULL}, NULL), TN_EMSGSIZE);
    tt_check_eq(output.out_size, MUCH);
    tn_process_output_free(&output);
    return arg;
}

Test(process_output, limit)
{
    tt_run(reach_limit, NULL);
    ps_expect_no_children();
}

static void *reach_deadline(void *arg)
{
    tn_process_output output = tn_process_output_default();
    tn_scope scope;

    output.timeout_ns = 200 * TN_MS;
    tt_check_eq(tn_process_run(&output, PS_SCRIPT("exec sleep 1000"), NULL), TN_ETIMEDOUT);
    tt_check_eq(tn_checkpoint(), 0);
    tn_process_output_free(&output);
    output.timeout_ns = 0;
    tn_scope_enter_for(&scope, 200 * TN_MS);
    tt_check_eq(tn_process_run(&output, PS_SCRIPT("exec sleep 1000"), NULL), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tn_process_output_free(&output);
    return arg;
}

Test(process_output, deadline)
{
    tt_run(reach_deadline, NULL);
    ps_expect_no_children();
}

/* The pipe stays open in another process: what was written before the end is there, and the call ends. */
static void *outlive(void *arg)
{
    tn_process_options options = tn_process_options_default();
    tn_process_output output = tn_process_output_default();
    uint64_t begin = tn_now();
    pid_t grandchild;

    output.linger_ns = 50 * TN_MS;
    tt_check_eq(tn_process_run(&output, PS_SCRIPT("sleep 1000 & echo $!"), &options), 0);
    tt_check(tn_now() - begin >= 50 * TN_MS);
    grandchild = (pid_t)strtol(output.out, NULL, 10);
    tn_process_output_free(&output);
    tt_check(ps_is_alive(grandchild) && kill(grandchild, SIGKILL) == 0);

    options.new_group = true;
    options.group_ends = true;
    output.linger_ns = 1000 * TN_S;
    tt_check_eq(tn_process_run(&output, PS_SCRIPT("sleep 1000 & echo $!"), &options), 0);
    grandchild = (pid_t)strtol(output.out, NULL, 10);
    tn_process_output_free(&output);
    tt_check(tt_wait_until(ps_is_gone, &grandchild, 10 * TN_S));
    return arg;
}

Test(process_output, outlived_by_another_process)
{
    tt_run(outlive, NULL);
    ps_expect_no_children();
}

static void *run_for_ever(void *arg)
{
    tn_process_output *output = arg;
    int rc = tn_process_run(output, PS_SCRIPT("echo x; exec sleep 1000"), NULL);

    tn_process_output_free(output);
    return (void *)(intptr_t)rc;
}

static bool has_child(void *arg)
{
    return !ps_no_children(arg);
}

static void *cancel_run(void *arg)
{
    tn_process_output output = tn_process_output_default();
    tn_task *task = tt_spawn(run_for_ever, &output);

    while (!has_child(NULL))
        tt_check_eq(tn_sleep(TN_MS), 0);
    tn_cancel(task);
    tt_check((intptr_t)tt_join(task) == TN_ECANCELED);
    return arg;
}

Test(process_output, cancelled)
{
    tt_run(cancel_run, NULL);
    ps_expect_no_children();
}

Test(process_output, on_a_plain_thread)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_process_options options = tn_process_options_default();
    tn_process_output output = tn_process_output_default();

    options.runtime = runtime;
    output.input = "abc";
    output.input_size = 3;
    cr_assert_eq(tn_process_run(&output, PS_SCRIPT("cat"), &options), 0);
    cr_assert_str_eq(output.out, "abc");
    tn_process_output_free(&output);
    tt_runtime_destroy(runtime);
    ps_expect_no_children();
}

static void *collect_without_limits(void *arg)
{
    tn_process_output output = tn_process_output_default();

    output.limit = SIZE_MAX;
    output.timeout_ns = UINT64_MAX;
    output.linger_ns = UINT64_MAX;
    tt_check_eq(tn_process_run(&output, PS_SCRIPT("echo out; (sleep 0.1; echo late) &"), NULL), 0);
    tt_check(strcmp(output.out, "out\nlate\n") == 0);
    tn_process_output_free(&output);
    return arg;
}

Test(process_output, largest_limits)
{
    tt_run(collect_without_limits, NULL);
    ps_expect_no_children();
}

static void *wait_for_a_child(void *arg)
{
    tt_check_eq(ps_end(ps_start("sleep 0.5", NULL)).code, 0);
    return arg;
}

static atomic_uint deadlocks;

static void count_deadlock(void *ctx, tn_runtime *runtime)
{
    (void)ctx;
    (void)runtime;
    atomic_fetch_add(&deadlocks, 1);
}

Test(process_output, a_wait_for_a_child_is_no_deadlock)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.on_deadlock = count_deadlock;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, wait_for_a_child, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&deadlocks), 0);
}
