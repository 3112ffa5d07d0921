/* SPDX-License-Identifier: MIT */
/* Threads, gates, waiting, and what the process uses. On the simulated machine sim/sim_support.c takes its place. */
#include "support/runtime.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GATE_LIMIT_S 60

static unsigned long environment_number(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);

    return text != NULL && text[0] != '\0' ? strtoul(text, NULL, 10) : otherwise;
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

/* --- Threads and waiting ---------------------------------------------------------------------------------------------------- */

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

unsigned tt_gate_opened(tt_gate *gate)
{
    unsigned times;

    pthread_mutex_lock(&gate->lock);
    times = gate->opened;
    pthread_mutex_unlock(&gate->lock);
    return times;
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
