/* SPDX-License-Identifier: MIT */
#include "support/runtime.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GATE_LIMIT_S 60

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

unsigned long tt_scaled(unsigned long count)
{
    unsigned long usual = TT_TSAN ? 10 : TT_ASAN ? 25 : 100;
    unsigned long scaled = count * environment_number("TN_TEST_SCALE", usual) / 100;

    return scaled > 0 ? scaled : 1;
}

static unsigned entries(const char *folder)
{
    DIR *dir = opendir(folder);
    unsigned count = 0;

    cr_assert_not_null(dir, "cannot read %s", folder);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 2;
}

static void read_name(const char *folder, const char *entry, char *name, size_t size)
{
    char path[320];
    FILE *file;

    name[0] = '\0';
    snprintf(path, sizeof path, "%s/%s/comm", folder, entry);
    file = fopen(path, "r");
    if (file == NULL)
        return; /* it has ended meanwhile */
    if (fgets(name, (int)size, file) == NULL)
        name[0] = '\0';
    fclose(file);
}

unsigned tt_threads(void)
{
    char program[32];
    char name[32];
    DIR *dir = opendir("/proc/self/task");
    unsigned count = 0;

    cr_assert_not_null(dir, "cannot read /proc/self/task");
    read_name("/proc", "self", program, sizeof program);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.')
            continue;
        read_name("/proc/self/task", entry->d_name, name, sizeof name);
        count += name[0] != '\0' && strcmp(name, program) != 0;
    }
    closedir(dir);
    return count;
}

static bool threads_are(void *count)
{
    return tt_threads() == *(unsigned *)count;
}

void tt_expect_threads(unsigned count)
{
    cr_assert(tt_wait_until(threads_are, &count, 30 * TN_S), "%u threads, not %u", tt_threads(), count);
}

unsigned tt_files(void)
{
    return entries("/proc/self/fd") - 1;
}

size_t tt_resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long total = 0;
    unsigned long resident = 0;

    cr_assert_not_null(file, "cannot read /proc/self/statm");
    cr_assert_eq(fscanf(file, "%lu %lu", &total, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
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

pthread_t tt_thread_start(void *(*entry)(void *arg), void *arg)
{
    pthread_t thread;

    tt_check(pthread_create(&thread, NULL, entry, arg) == 0);
    return thread;
}

void tt_thread_join(pthread_t thread)
{
    tt_check(pthread_join(thread, NULL) == 0);
}

void tt_gate_open(tt_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->opened++;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

void tt_gate_wait(tt_gate *gate, unsigned times)
{
    struct timespec limit;

    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += GATE_LIMIT_S;
    pthread_mutex_lock(&gate->lock);
    while (gate->opened < times)
        tt_check(pthread_cond_timedwait(&gate->changed, &gate->lock, &limit) == 0);
    pthread_mutex_unlock(&gate->lock);
}

bool tt_gate_is_open(tt_gate *gate)
{
    bool is_open;

    pthread_mutex_lock(&gate->lock);
    is_open = gate->opened > 0;
    pthread_mutex_unlock(&gate->lock);
    return is_open;
}

bool tt_wait_until(bool (*condition)(void *arg), void *arg, uint64_t limit_ns)
{
    uint64_t until_ns = tn_now() + limit_ns;

    while (!condition(arg)) {
        if (tn_now() >= until_ns)
            return false;
        tt_block_thread(TN_MS);
    }
    return true;
}

/* The real clock: that of tn_now may be paused. */
static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * TN_S + (uint64_t)now.tv_nsec;
}

void tt_block_thread(uint64_t ns)
{
    uint64_t until_ns = clock_ns() + ns;
    struct timespec until = {.tv_sec = (time_t)(until_ns / TN_S), .tv_nsec = (long)(until_ns % TN_S)};

    /* Until a time, not for a duration: signals that arrive all the time do not extend it. */
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        ;
}

void tt_burn(uint64_t ns)
{
    uint64_t until_ns = clock_ns() + ns;

    while (clock_ns() < until_ns)
        ;
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
