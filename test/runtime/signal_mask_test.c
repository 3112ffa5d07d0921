/* SPDX-License-Identifier: MIT */
/* Signals on the threads of a runtime: threads that run user code have the mask of the thread that created the runtime, children
 * inherit it, and handlers of the program run there. */
#include <dirent.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tn.h>

#include "support/runtime.h"

#define BLOCKED SIGUSR2

static atomic_uint threads_begun;

static void check_mask(void)
{
    sigset_t mask;

    tt_check(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0);
    tt_check(sigismember(&mask, BLOCKED) == 1);
    tt_check(sigismember(&mask, SIGTERM) == 0 && sigismember(&mask, SIGINT) == 0 && sigismember(&mask, SIGPIPE) == 0 &&
             sigismember(&mask, SIGCHLD) == 0 && sigismember(&mask, SIGUSR1) == 0 && sigismember(&mask, SIGALRM) == 0);
}

static void thread_begins(void *ctx)
{
    (void)ctx;
    check_mask();
    atomic_fetch_add(&threads_begun, 1);
}

/* Blocks BLOCKED alone, in the calling thread. */
static void set_mask(void)
{
    sigset_t set;

    cr_assert_eq(sigemptyset(&set) | sigaddset(&set, BLOCKED), 0);
    cr_assert_eq(pthread_sigmask(SIG_SETMASK, &set, NULL), 0);
}

static tn_runtime *create(void)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.on_thread_start = thread_begins;
    set_mask();
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    return runtime;
}

/* --- Masks ------------------------------------------------------------------------------------------------------------------ */

/* Starts a program without a shell, because shells clear their mask. Returns its number; *from: its output. */
static pid_t start(const char *const *argv, FILE **from)
{
    posix_spawn_file_actions_t actions;
    int ends[2];
    pid_t child;

    tt_check(pipe(ends) == 0);
    tt_check(posix_spawn_file_actions_init(&actions) == 0);
    tt_check(posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO) == 0);
    tt_check(posix_spawnp(&child, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ) == 0);
    tt_check(posix_spawn_file_actions_destroy(&actions) == 0);
    tt_check(close(ends[1]) == 0);
    *from = fdopen(ends[0], "r");
    return child;
}

/* The child has the mask of its parent thread: SIGTERM ends it. */
static void *start_children(void *arg)
{
    const char *const show[] = {"grep", "SigBlk", "/proc/self/status", NULL};
    const char *const sleeper[] = {"sleep", "100", NULL};
    unsigned long long blocked = 0;
    FILE *output;
    pid_t child;
    int status;

    check_mask();
    child = start(show, &output);
    tt_check(fscanf(output, "SigBlk: %llx", &blocked) == 1);
    tt_check_eq(blocked, 1ULL << (BLOCKED - 1));
    tt_check(fclose(output) == 0 && waitpid(child, &status, 0) == child);
    child = start(sleeper, &output);
    tt_check(kill(child, SIGTERM) == 0 && waitpid(child, &status, 0) == child);
    tt_check(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    tt_check(fclose(output) == 0);
    return arg;
}

static void *start_children_in_a_job(void *arg)
{
    tn_job *job;

    tt_check(tn_spawn_blocking(&job, start_children, arg) == 0);
    tt_check(tn_job_join(job, NULL) == 0);
    return arg;
}

Test(signal_mask, children_get_the_mask_of_the_creator)
{
    tn_runtime *runtime = create();

    cr_assert_eq(tn_block_on(runtime, start_children, NULL, NULL), 0);
    cr_assert_eq(tn_block_on(runtime, start_children_in_a_job, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
}

static bool more_threads(void *arg)
{
    return atomic_load(&threads_begun) > *(unsigned *)arg;
}

/* Until a further thread has begun, which takes over the core. */
static void *block_until_replaced(void *arg)
{
    tt_check(tt_wait_until(more_threads, arg, 30 * TN_S));
    return NULL;
}

static void *check_here(void *arg)
{
    check_mask();
    return arg;
}

/* The monitor, which starts these threads, blocks all signals. */
Test(signal_mask, replacement_threads_have_it_too)
{
    tn_runtime *runtime = create();
    unsigned workers = tn_runtime_workers(runtime);
    tn_task *tasks[64]; /* one more than workers: it waits for a core */

    for (unsigned i = 0; i <= workers; i++)
        tasks[i] = tt_spawn_on(runtime, block_until_replaced, &workers);
    for (unsigned i = 0; i <= workers; i++)
        tt_join(tasks[i]);
    tt_join(tt_spawn_on(runtime, check_here, NULL));
    cr_assert_gt(atomic_load(&threads_begun), workers);
    tt_runtime_destroy(runtime);
}

/* The blocked signals of the thread with this name. */
static unsigned long long blocked_of(const char *wanted)
{
    DIR *threads = opendir("/proc/self/task");
    unsigned long long blocked = 0;

    cr_assert(threads != NULL);
    for (struct dirent *entry = readdir(threads); entry != NULL; entry = readdir(threads)) {
        char path[300];
        char line[256];
        bool found = false;
        FILE *file;
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        file = fopen(path, "r");
        while (file != NULL && fgets(line, sizeof line, file) != NULL) {
            if (strncmp(line, "Name:\t", 6) == 0)
                found = strncmp(line + 6, wanted, strlen(wanted)) == 0;
            else if (found && strncmp(line, "SigBlk:", 7) == 0)
                blocked = strtoull(line + 7, NULL, 16);
        }
        if (file != NULL)
            (void)fclose(file);
    }
    (void)closedir(threads);
    return blocked;
}

static bool monitor_is_there(void *arg)
{
    *(unsigned long long *)arg = blocked_of("tn-mon");
    return *(unsigned long long *)arg != 0;
}

Test(signal_mask, the_monitor_blocks_all)
{
    tn_runtime *runtime = create();
    unsigned long long blocked;

    cr_assert(tt_wait_until(monitor_is_there, &blocked, 30 * TN_S));
    cr_assert((blocked >> (SIGTERM - 1) & 1) == 1 && (blocked >> (SIGINT - 1) & 1) == 1 && (blocked >> (SIGUSR1 - 1) & 1) == 1);
    tt_runtime_destroy(runtime);
}

/* --- Handlers --------------------------------------------------------------------------------------------------------------- */

static atomic_uint handled;
static atomic_uint on_alternate;
static tn_async *handler_async;

static void count_signal(int number)
{
    stack_t stack;

    (void)number;
    if (sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_ONSTACK) != 0)
        atomic_fetch_add(&on_alternate, 1);
    atomic_fetch_add(&handled, 1);
    tn_async_send(handler_async);
}

static void *raise_one(void *arg)
{
    tt_check(pthread_kill(pthread_self(), SIGUSR1) == 0);
    return arg;
}

static void *raise_and_wait(void *arg)
{
    tt_check(tn_async_open(&handler_async, NULL) == 0);
    raise_one(NULL);
    tt_check(tn_async_wait(handler_async) == 0);
    tt_check(tn_run_blocking(raise_one, NULL, NULL) == 0);
    tt_check(tn_async_wait(handler_async) == 0);
    tn_async_close(handler_async);
    return arg;
}

static void handle(int flags)
{
    struct sigaction action = {.sa_handler = count_signal, .sa_flags = flags};

    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
}

/* Without SA_ONSTACK it runs on the stack of the fiber that it interrupts. */
Test(signal_mask, a_handler_runs_on_the_stack_of_a_fiber)
{
    tn_runtime *runtime = create();

    handle(0);
    cr_assert_eq(tn_block_on(runtime, raise_and_wait, NULL, NULL), 0);
    cr_assert_eq(atomic_load(&handled), 2);
    cr_assert_eq(atomic_load(&on_alternate), 0);
    tt_runtime_destroy(runtime);
}

static void *raise_here(void *arg)
{
    tt_check(tn_async_open(&handler_async, NULL) == 0);
    raise_one(NULL);
    tn_async_close(handler_async);
    return arg;
}

/* Each worker has an alternate stack, so a handler that asks for it needs nothing of the fiber's. */
Test(signal_mask, a_handler_runs_on_the_alternate_stack)
{
    tn_runtime *runtime = create();

    handle(SA_ONSTACK);
    cr_assert_eq(tn_block_on(runtime, raise_here, NULL, NULL), 0);
    cr_assert_eq(atomic_load(&handled), 1);
    cr_assert_eq(atomic_load(&on_alternate), 1);
    tt_runtime_destroy(runtime);
}

/* --- Interrupted calls ------------------------------------------------------------------------------------------------------ */

static void do_nothing(int number)
{
    (void)number;
}

static void *send_signals(void *arg)
{
    while (!atomic_load((atomic_bool *)arg)) {
        tt_check(kill(getpid(), SIGUSR1) == 0);
        tt_block_thread(TN_MS / 10);
    }
    return NULL;
}

static void *work(void *arg)
{
    for (unsigned i = 0; i < tt_scaled(200); i++) {
        tn_contents contents;
        tt_check(tn_fs_write_file(arg, "text", 4, 0600) == 0);
        tt_check(tn_fs_read_file(arg, SIZE_MAX, &contents) == 0);
        tt_check_eq(contents.size, 4);
        tn_contents_fini(&contents);
        tt_check(tn_sleep(TN_MS / 10) == 0);
    }
    return NULL;
}

/* A handler without SA_RESTART interrupts the calls of the library. None of them fails by that. */
Test(signal_mask, no_call_fails_because_of_a_handler)
{
    struct sigaction action = {.sa_handler = do_nothing};
    char name[] = "/tmp/tn-signal-mask-XXXXXX";
    tn_runtime *runtime = create();
    atomic_bool stop = false;
    sigset_t one;
    pthread_t sender;
    int fd = mkstemp(name);

    cr_assert(fd >= 0 && close(fd) == 0);
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    cr_assert_eq(sigemptyset(&one) | sigaddset(&one, SIGUSR1), 0);
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, &one, NULL), 0); /* so the threads of the runtime get them */
    sender = tt_thread_start(send_signals, &stop);
    cr_assert_eq(tn_block_on(runtime, work, name, NULL), 0);
    atomic_store(&stop, true);
    tt_thread_join(sender);
    cr_assert_eq(unlink(name), 0);
    tt_runtime_destroy(runtime);
}
