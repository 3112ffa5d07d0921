/* SPDX-License-Identifier: MIT */
/* Child processes: how they start, their pipes, signals and end. */
#include "process_support.h"

#include <stdatomic.h>

#include <tn/combine.h>
#include <tn/scope.h>

#include "support/abandoned.h"
#include "task/task.h"

static tn_process_options all_pipes(void)
{
    tn_process_options options = tn_process_options_default();

    options.in = options.out = options.err = TN_PROCESS_PIPE;
    return options;
}

/* --- The end --------------------------------------------------------------------------------------------------------------- */

static void *see_ends(void *arg)
{
    tn_process *process = ps_start("exit 7", NULL);
    tn_process_end end = {0};

    tt_check_eq(tn_process_wait(process, &end), 0);
    tt_check(end.code == 7 && end.signal == 0 && !end.dumped);
    end.code = 0;
    tt_check_eq(tn_process_wait(process, &end), 0); /* again */
    tt_check_eq(end.code, 7);
    tt_check_eq(tn_process_wait(process, NULL), 0);
    tt_check_eq(tn_process_send(process, SIGKILL), 0); /* nothing is sent */
    tn_process_close(process);

    end = ps_end(ps_start("kill -USR1 $$", NULL));
    tt_check(end.code == -1 && end.signal == SIGUSR1);
    tn_process_close(NULL);
    return arg;
}

Test(process, ends)
{
    tt_run(see_ends, NULL);
    ps_expect_no_children();
}

static void *close_early(void *arg)
{
    tn_process_options options = tn_process_options_default();
    tn_process *process;
    pid_t id;

    tn_process_close(ps_start("exit 3", NULL));
    process = ps_start("exec sleep 0.2", NULL);
    tn_process_close(process);
    options.kill_on_close = true;
    process = ps_start("exec sleep 1000", &options);
    id = tn_process_id(process);
    tt_check(ps_is_alive(id));
    tn_process_close(process);
    tt_check(tt_wait_until(ps_is_gone, &id, 10 * TN_S));
    return arg;
}

Test(process, closed_before_its_end_leaves_no_zombie)
{
    tt_run(close_early, NULL);
    ps_expect_no_children();
}

static void *wait_patiently(void *arg)
{
    int rc;

    while ((rc = tn_process_wait(arg, NULL)) == TN_EBUSY)
        tt_check_eq(tn_yield(), 0);
    return (void *)(intptr_t)rc;
}

static void *wait_in_two_tasks(void *arg)
{
    tn_process_options options = all_pipes();
    tn_process *process = ps_start("read line", &options);
    tn_task *first = tt_spawn(wait_patiently, process);
    tn_process_future future;
    tn_scope scope;
    int rc;

    do { /* until the other one waits */
        tn_scope_enter_for(&scope, TN_MS);
        rc = tn_process_wait(process, NULL);
        tn_scope_leave(&scope);
    } while (rc == TN_ETIMEDOUT);
    tt_check_eq(rc, TN_EBUSY);
    tn_io_close(tn_process_take_pipe(process, 0));
    tt_check((intptr_t)tt_join(first) == 0);
    tn_process_wait_init(&future, process);
    tt_check_eq(tn_await(&future.base), 0);
    tt_check(future.end.code == 1 && future.end.signal == 0);
    tn_process_close(process);
    return arg;
}

Test(process, one_waiter_at_a_time)
{
    tt_run(wait_in_two_tasks, NULL);
    ps_expect_no_children();
}

static void *ignore_children(void *arg)
{
    tn_process *process;

    ps_ignore(SIGCHLD);
    process = ps_start("exit 7", NULL);
    tt_check_eq(tn_process_wait(process, NULL), TN_ENODATA);
    tn_process_close(process);
    return arg;
}

Test(process, without_a_result_if_the_program_ignores_children)
{
    tt_run(ignore_children, NULL);
}

/* --- Pipes ----------------------------------------------------------------------------------------------------------------- */

static void *talk_to_cat(void *arg)
{
    tn_process_options options = all_pipes();
    tn_process *process = ps_start("cat; echo bad >&2", &options);
    tn_io in = tn_process_take_pipe(process, 0);
    tn_io out = tn_process_take_pipe(process, 1);
    char text[16] = "";
    size_t done = 0;
    tn_scope scope;

    tt_check(tn_process_take_pipe(process, 1).ops == NULL && tn_process_take_pipe(process, 3).ops == NULL);
    tt_check_eq(tn_io_read(in, text, 1), TN_ENOTSUP);
    tt_check_eq(tn_io_write(out, "x", 1), TN_ENOTSUP);
    tt_check(tn_io_descriptor(in, TN_WRITABLE) >= 0);
    for (unsigned i = 0; i < 100; i++, done = 0) {
        tt_check_eq(tn_io_wait(in, TN_WRITABLE), 0);
        tt_check_eq(tn_io_write_all(in, "hello", 5), 0);
        tt_check_eq(tn_io_wait(out, TN_READABLE), 0);
        tt_check_eq(tn_io_read_exact(out, text, 5, &done), 0);
        tt_check(memcmp(text, "hello", 5) == 0);
    }
    tn_scope_enter_for(&scope, 5 * TN_MS);
    tt_check_eq(tn_io_read(out, text, sizeof text), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tn_io_close(in);
    tt_check_eq(tn_io_read(out, text, sizeof text), 0);
    tn_io_close(out);
    tt_check_eq(ps_end(process).code, 0); /* closes the pipe of the errors, which is not read */
    return arg;
}

Test(process, pipes)
{
    ps_run_without_new_files(talk_to_cat);
}

static void *read_all(void *arg)
{
    char text[16];

    return (void *)(intptr_t)tn_io_read(*(tn_io *)arg, text, sizeof text);
}

/* A reader is ended from another task, a writer by its child. */
static void *break_pipes(void *arg)
{
    tn_process_options options = all_pipes();
    tn_process *process = ps_start("exec 0<&-; exec sleep 1000", &options);
    tn_io in = tn_process_take_pipe(process, 0);
    tn_io out = tn_process_take_pipe(process, 1);
    tn_task *reader = tt_spawn(read_all, &out);
    static char much[1 << 18];
    int rc;

    rc = tn_io_write_all(in, much, sizeof much); /* more than a pipe takes */
    tt_check_eq(rc, TN_EPIPE);
    tt_check_eq(tn_io_abort(out), 0);
    tt_check((intptr_t)tt_join(reader) == TN_EBADF);
    tt_check_eq(tn_io_descriptor(out, TN_READABLE), TN_EBADF);
    tn_io_close(out);
    tn_io_close(in);
    tt_check_eq(tn_process_send(process, SIGKILL), 0);
    tt_check_eq(ps_end(process).signal, SIGKILL);
    return arg;
}

Test(process, pipes_that_end)
{
    tt_run(break_pipes, NULL);
    ps_expect_no_children();
}

/* --- Children that do not do as they are told ------------------------------------------------------------------------------ */

static int wait_for(tn_process *process, uint64_t ns)
{
    tn_scope scope;
    int rc;

    tn_scope_enter_for(&scope, ns);
    rc = tn_process_wait(process, NULL);
    tn_scope_leave(&scope);
    return rc;
}

static void *end_stubborn_child(void *arg)
{
    tn_process_options options = all_pipes();
    tn_process *process = ps_start("trap '' TERM; echo; while :; do read x; done", &options);
    tn_io out = tn_process_take_pipe(process, 1);
    char byte;

    tt_check_eq(tn_io_read(out, &byte, 1), 1);
    tt_check_eq(tn_process_send(process, SIGTERM), 0);
    tt_check_eq(wait_for(process, 50 * TN_MS), TN_ETIMEDOUT);
    tt_check_eq(tn_process_send(process, SIGKILL), 0);
    tn_io_close(out);
    tt_check_eq(ps_end(process).signal, SIGKILL);
    return arg;
}

Test(process, ignores_sigterm)
{
    tt_run(end_stubborn_child, NULL);
    ps_expect_no_children();
}

static void *see_closed_pipes(void *arg)
{
    tn_process_options options = all_pipes();
    tn_process *process = ps_start("exec 0<&- 1>&- 2>&-; exec sleep 1000", &options);
    tn_io out = tn_process_take_pipe(process, 1);
    char byte;

    tt_check_eq(tn_io_read(out, &byte, 1), 0);
    tt_check_eq(wait_for(process, 50 * TN_MS), TN_ETIMEDOUT);
    tn_io_close(out);
    tt_check_eq(tn_process_send(process, SIGTERM), 0);
    tt_check_eq(ps_end(process).signal, SIGTERM);
    return arg;
}

Test(process, closes_its_pipes_and_lives_on)
{
    tt_run(see_closed_pipes, NULL);
    ps_expect_no_children();
}

/* The child's own child keeps the pipe open. */
static pid_t start_with_grandchild(tn_process **process, tn_io *out, const tn_process_options *options)
{
    char text[32] = "";
    size_t done = 0;

    *process = ps_start("sleep 1000 & echo $!; exit 0", options);
    *out = tn_process_take_pipe(*process, 1);
    while (strchr(text, '\n') == NULL) {
        tt_check_eq(tn_io_read(*out, text + done, 1), 1);
        done++;
    }
    return (pid_t)strtol(text, NULL, 10);
}

static void *see_grandchild(void *arg)
{
    tn_process_options options = all_pipes();
    tn_process *process;
    tn_scope scope;
    pid_t grandchild;
    char byte;
    tn_io out;

    grandchild = start_with_grandchild(&process, &out, &options);
    tt_check_eq(ps_end(process).code, 0); /* the pipe is still open */
    tn_scope_enter_for(&scope, 20 * TN_MS);
    tt_check_eq(tn_io_read(out, &byte, 1), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tt_check(ps_is_alive(grandchild) && kill(grandchild, SIGKILL) == 0);
    tt_check_eq(tn_io_read(out, &byte, 1), 0);
    tn_io_close(out);

    options.new_group = true;
    options.group_ends = true;
    grandchild = start_with_grandchild(&process, &out, &options);
    tt_check_eq(tn_io_read(out, &byte, 1), 0); /* it is killed at the end of the child */
    tn_io_close(out);
    tt_check(tt_wait_until(ps_is_gone, &grandchild, 10 * TN_S));
    tt_check_eq(ps_end(process).code, 0);
    return arg;
}

Test(process, forks)
{
    tt_run(see_grandchild, NULL);
    ps_expect_no_children();
}

/* --- Scopes, shutdown, fork ------------------------------------------------------------------------------------------------ */

static void *leave_scope(void *arg)
{
    tn_process_scope scope;
    tn_process_options options = tn_process_options_default();
    tn_process *process = ps_start("exec sleep 1000", NULL);
    pid_t id = tn_process_id(process);

    tn_process_scope_enter(&scope, process, tn_now() + 10 * TN_MS);
    tt_check_eq(tn_process_wait(process, NULL), TN_ETIMEDOUT);
    tn_process_scope_leave(&scope);
    tt_check(tt_wait_until(ps_is_gone, &id, 10 * TN_S));

    options.new_group = true; /* also what it has started */
    options.out = TN_PROCESS_PIPE;
    process = ps_start("sleep 1000 & echo; exec sleep 1000", &options);
    tn_process_scope_enter(&scope, process, TN_NEVER);
    tn_io out = tn_process_take_pipe(process, 1);
    char byte;
    tt_check_eq(tn_io_read(out, &byte, 1), 1);
    tn_process_scope_leave(&scope);
    tt_check_eq(tn_io_read(out, &byte, 1), 0);
    tn_io_close(out);

    process = ps_start("exit 0", NULL); /* it has ended before */
    tn_process_scope_enter(&scope, process, TN_NEVER);
    tt_check_eq(tn_process_wait(process, NULL), 0);
    tn_process_scope_leave(&scope);
    return arg;
}

Test(process, killed_at_the_end_of_a_scope)
{
    tt_run(leave_scope, NULL);
    ps_expect_no_children();
}

static atomic_bool started;

static void *wait_in_scope(void *arg)
{
    tn_process *process = ps_start("exec sleep 1000", NULL);
    tn_process_scope scope;

    tn_process_scope_enter(&scope, process, TN_NEVER);
    atomic_store(&started, true);
    (void)tn_process_wait(process, NULL);
    tn_process_scope_leave(&scope);
    return arg;
}

static bool waits_for_end(const tn_task *fiber)
{
    return atomic_load(&started) && (tni_a64_load(&fiber->state, TNI_ACQUIRE) & TNI_TASK_ACTIVE) == 0;
}

Test(process, killed_if_its_task_is_abandoned)
{
    tt_abandoned abandoned;

    tt_abandon_begin_when(&abandoned, wait_in_scope, NULL, waits_for_end);
    tt_abandon_end(&abandoned);
    ps_expect_no_children();
}

static _Noreturn void start_for_ever(void)
{
    tn_process_options options = all_pipes();

    options.kill_on_close = true;
    for (;;)
        tn_process_close(ps_start("exec sleep 1000", &options));
}

static void *start_in_pool(void *arg)
{
    (void)arg;
    start_for_ever();
}

static bool has_no_blocks(void *arg)
{
    return atomic_load(&((tt_abandoned *)arg)->allocator.blocks) == 0;
}

/* The fiber waits for nothing but starts. One is a job of the pool, which may be given up on too. */
Test(process, abandoned_in_its_start)
{
    tt_abandoned abandoned;
    size_t left;

    tt_abandon_begin(&abandoned, start_in_pool, NULL);
    left = tn_runtime_destroy(abandoned.runtime, TN_SHUTDOWN_WAIT, 0);
    cr_assert(left == 1 || left == 2, "%zu", left);
    cr_assert_eq(tn_join(abandoned.fiber, NULL), TN_ESHUTDOWN);
    cr_assert(tt_wait_until(has_no_blocks, &abandoned, 20 * TN_S));
    ps_expect_no_children();
}

/* The process outlives its runtime's wait for tasks: it is closed by a plain thread. */
Test(process, on_a_plain_thread)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_process_options options = all_pipes();
    tn_process *process;
    char text[8];
    tn_io out;

    options.runtime = runtime;
    process = ps_start("echo hi", &options);
    out = tn_process_take_pipe(process, 1);
    cr_assert_eq(tn_io_read(out, text, sizeof text), 3);
    cr_assert_eq(tn_io_read(out, text, sizeof text), 0);
    tn_io_close(out);
    cr_assert_eq(ps_end(process).code, 0);
    tt_runtime_destroy(runtime);
    ps_expect_no_children();
}

#if !TT_SANITIZED
/* Afterwards the child of fork has processes of its own. */
static void *use_after_fork(void *arg)
{
    tn_process *process = ps_start("exec sleep 1000", NULL);
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        tn_runtime *own;
        tn_process_options options = tn_process_options_default();
        tt_check_eq(tn_process_wait(process, NULL), TN_ESHUTDOWN);
        tt_check_eq(tn_process_send(process, SIGKILL), TN_ESHUTDOWN);
        tn_process_close(process);
        tt_check_eq(tn_runtime_create(&own, NULL), 0);
        options.runtime = own;
        tt_check_eq(ps_end(ps_start("exit 9", &options)).code, 9);
        (void)tn_runtime_destroy(own, TN_SHUTDOWN_WAIT, TN_S);
        _exit(0);
    }
    tt_check(waitpid(child, &status, 0) == child && status == 0);
    tt_check_eq(wait_for(process, 10 * TN_MS), TN_ETIMEDOUT);
    tt_check_eq(tn_process_send(process, SIGKILL), 0);
    tt_check_eq(ps_end(process).signal, SIGKILL);
    return arg;
}

Test(process, in_a_child_of_fork)
{
    tt_run(use_after_fork, NULL);
    ps_expect_no_children();
}
#endif
