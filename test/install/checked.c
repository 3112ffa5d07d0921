/* SPDX-License-Identifier: MIT */
/* A program for the tools that check memory and threads: fibers that suspend, migrate, and hand memory to each other. Without
 * arguments it is correct. `race`: with a data race between two tasks. `overrun`: writes behind a block of memory, in a fiber. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tn.h>

#define TASKS 100
#define ROUNDS 20

static volatile int shared;
static int inside; /* tasks that race */
static tn_mpsc *channel;
static tn_mutex mutex = TN_MUTEX_INIT;

static void *job(void *arg)
{
    int *number = arg;

    ++*number;
    return arg;
}

/* Its stack has the only pointer to the block while it waits. */
static void *work(void *arg)
{
    int *block = malloc(4 * sizeof *block);
    char frame[2000];

    memcpy(block, arg, sizeof *block);
    memset(frame, block[0], sizeof frame);
    for (int i = 0; i < ROUNDS; i++) {
        block[0] += frame[i] * 0 + 1;
        if (tn_mutex_lock(&mutex) != 0)
            abort();
        shared++;
        tn_mutex_unlock(&mutex);
        if (i % 5 == 0)
            tn_sleep(100 * TN_US);
        else
            tn_yield();
    }
    if (tn_run_blocking(job, block, NULL) != 0)
        abort();
    return block;
}

static void *send_blocks(void *arg)
{
    for (int i = 0; i < TASKS; i++) {
        int *block = malloc(sizeof *block);
        *block = i;
        if (tn_mpsc_send(channel, &block) != 0)
            abort();
        tn_yield();
    }
    tn_mpsc_release_sender(channel);
    return arg;
}

static void receive_blocks(void)
{
    int *block;
    int sum = 0;

    while (tn_mpsc_recv(channel, &block) == 0) {
        sum += *block;
        free(block);
    }
    if (sum != TASKS * (TASKS - 1) / 2)
        abort();
}

static void *race(void *arg)
{
    __atomic_fetch_add(&inside, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&inside, __ATOMIC_RELAXED) < 2)
        ;
    for (int i = 0; i < 1000 * 1000; i++)
        shared++; /* no call between the accesses: the history in which a tool finds the earlier one is short */
    return arg;
}

static void *overrun(void *arg)
{
    volatile char *block = malloc(10);
    volatile int at = 10;

    tn_sleep(TN_MS);
    block[at] = 1;
    free((void *)(uintptr_t)block);
    return arg;
}

static void *two(tn_entry_fn entry)
{
    tn_task *tasks[2];

    for (int i = 0; i < 2; i++)
        if (tn_spawn(&tasks[i], entry, NULL) != 0)
            abort();
    for (int i = 0; i < 2; i++)
        tn_join(tasks[i], NULL);
    return NULL;
}

static void *correct(void *arg)
{
    static int numbers[TASKS];
    tn_task *tasks[TASKS];
    tn_task *sender;

    if (tn_mpsc_create(&channel, sizeof(int *), 4, NULL) != 0 || tn_spawn(&sender, send_blocks, NULL) != 0)
        abort();
    for (int i = 0; i < TASKS; i++) {
        numbers[i] = i;
        if (tn_spawn(&tasks[i], work, &numbers[i]) != 0)
            abort();
    }
    receive_blocks();
    for (int i = 0; i < TASKS; i++) {
        void *block = NULL;
        if (tn_join(tasks[i], &block) != 0 || *(int *)block != i + ROUNDS + 1)
            abort();
        free(block);
    }
    tn_join(sender, NULL);
    tn_mpsc_release_receiver(channel);
    if (shared != TASKS * ROUNDS)
        abort();
    return arg;
}

static void *choose(void *arg)
{
    if (strcmp(arg, "race") == 0)
        return two(race);
    if (strcmp(arg, "overrun") == 0)
        return two(overrun);
    return correct(arg);
}

int main(int argc, char **argv)
{
    tn_options options = tn_options_default();

    options.workers = 3;
    if (tn_run(choose, argc > 1 ? argv[1] : "", &options) != 0)
        return 2;
    puts("done");
    return 0;
}
