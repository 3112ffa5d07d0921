/* SPDX-License-Identifier: MIT */
/* The program that gdb_test.py looks at: fibers that wait for different things, a stackless task, a task that runs. It prints
 * "ready", and then lasts until its standard input ends. */
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <tn.h>

static tn_mutex mutex;
static atomic_bool over;

__attribute__((noinline)) static int inner(int depth)
{
    int local = depth + 40;
    int rc = tn_sleep(3600 * TN_S);

    __asm__ volatile("" : "+r"(local), "+r"(rc));
    return rc == 0 ? local : rc;
}

__attribute__((noinline)) static int outer(int depth)
{
    int rc = inner(depth + 1);

    __asm__ volatile("" : "+r"(rc));
    return rc;
}

static void *sleeper(void *arg)
{
    (void)outer(1);
    return arg;
}

static void *locker(void *arg)
{
    if (tn_mutex_lock(&mutex) == 0)
        tn_mutex_unlock(&mutex);
    return arg;
}

__attribute__((noinline)) static void spin(void)
{
    while (!atomic_load(&over))
        ;
}

static void *runner(void *arg)
{
    spin();
    return arg;
}

static tn_task *spawn(const char *name, tn_entry_fn entry)
{
    tn_spawn_options options = tn_spawn_options_default();
    tn_task *task = NULL;

    options.name = name;
    if (tn_spawn_on(NULL, &options, &task, entry, NULL) != 0)
        _exit(2);
    return task;
}

static void *entry(void *arg)
{
    static tn_sleep_future sleep;
    tn_spawn_options options = tn_spawn_options_default();
    tn_task *tasks[6];
    char c;

    tn_mutex_init(&mutex);
    if (tn_mutex_lock(&mutex) != 0)
        _exit(2);
    tasks[0] = spawn("sleeper", sleeper);
    for (int i = 1; i < 4; i++)
        tasks[i] = spawn("locker", locker);
    tn_sleep_init(&sleep, tn_now() + 3600 * TN_S);
    options.name = "future";
    if (tn_spawn_future(NULL, &options, &tasks[4], &sleep.base) != 0)
        _exit(2);
    (void)tn_sleep(100 * TN_MS); /* they have all begun to wait */
    tasks[5] = spawn("runner", runner);
    (void)tn_sleep(100 * TN_MS);
    if (write(STDOUT_FILENO, "ready\n", 6) != 6)
        _exit(2);
    while (read(STDIN_FILENO, &c, 1) > 0) /* keeps its thread too */
        ;
    atomic_store(&over, true);
    tn_mutex_unlock(&mutex);
    for (int i = 0; i < 6; i++) {
        tn_cancel(tasks[i]);
        tn_task_release(tasks[i]);
    }
    return arg;
}

int main(void)
{
    tn_options options = tn_options_default();

    options.workers = 3;
    options.name = "looked";
    options.guard = TN_GUARD_MPROTECT; /* gdb's gcore leaves out a mapping with lightweight guards */
    return tn_run(entry, NULL, &options) == 0 ? 0 : 1;
}
