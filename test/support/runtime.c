/* SPDX-License-Identifier: MIT */
/* Runtimes, checks, and child processes; machine.c has threads and waiting. */
#include "support/runtime.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned long environment_number(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);

    return text != NULL && text[0] != '\0' ? strtoul(text, NULL, 10) : otherwise;
}

tn_options tt_options(void)
{
    tn_options options = tn_options_default();

    options.workers = (unsigned)environment_number("TN_TEST_WORKERS", 2);
    options.force_migration = environment_number("TN_TEST_MIGRATE", 0) != 0;
    return options;
}

tn_runtime *tt_runtime_create(void)
{
    tn_options options = tt_options();
    tn_runtime *runtime;
    int rc = tn_runtime_create(&runtime, &options);

    cr_assert_eq(rc, 0, "tn_runtime_create: %s", tn_strerror(rc));
    return runtime;
}

void tt_runtime_destroy(tn_runtime *runtime)
{
    size_t left = tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, 30 * TN_S);

    cr_assert_eq(left, 0, "%zu tasks did not end", left);
}

void tt_run(tn_entry_fn entry, void *arg)
{
    tn_runtime *runtime = tt_runtime_create();
    int rc = tn_block_on(runtime, entry, arg, NULL);

    cr_assert_eq(rc, 0, "tn_block_on: %s", tn_strerror(rc));
    tt_runtime_destroy(runtime);
}

/* --- For tasks and threads ------------------------------------------------------------------------------------------------ */

void tt_check_failed(const char *file, int line, const char *text)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, text);
    abort();
}

void tt_check_same(long long found, long long wanted, const char *file, int line, const char *text)
{
    if (found == wanted)
        return;
    fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", file, line, text, found, wanted);
    abort();
}

tn_task *tt_spawn(tn_entry_fn entry, void *arg)
{
    return tt_spawn_on(NULL, entry, arg);
}

tn_task *tt_spawn_on(tn_runtime *runtime, tn_entry_fn entry, void *arg)
{
    tn_task *task = NULL;

    tt_check(tn_spawn_on(runtime, NULL, &task, entry, arg) == 0);
    return task;
}

void *tt_join(tn_task *task)
{
    void *result = NULL;

    tt_check(tn_join(task, &result) == 0);
    return result;
}

/* --- Another process ------------------------------------------------------------------------------------------------------ */

tt_child tt_fork(void (*fn)(void *arg), void *arg)
{
    tt_child child = {.status = 0};
    size_t length = 0;
    int pipe_ends[2];
    ssize_t n;
    pid_t pid;

    tt_check(pipe(pipe_ends) == 0);
    fflush(NULL);
    pid = fork();
    tt_check(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none); /* it may abort on purpose; a core dump takes terabytes under a sanitizer */
        tt_check(dup2(pipe_ends[1], STDERR_FILENO) >= 0);
        close(pipe_ends[0]);
        close(pipe_ends[1]);
        fn(arg);
        _exit(0);
    }
    close(pipe_ends[1]);
    while ((n = read(pipe_ends[0], child.said + length, sizeof child.said - 1 - length)) > 0)
        length += (size_t)n;
    close(pipe_ends[0]);
    tt_check(waitpid(pid, &child.status, 0) == pid);
    return child;
}

bool tt_child_aborted(const tt_child *child, const char *text)
{
    bool as_wanted = WIFSIGNALED(child->status) && WTERMSIG(child->status) == SIGABRT && strstr(child->said, text) != NULL;

    if (!as_wanted)
        fprintf(stderr, "wait status 0x%x, wrote: %s\n", (unsigned)child->status, child->said);
    return as_wanted;
}
