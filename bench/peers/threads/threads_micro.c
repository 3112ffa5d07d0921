/* SPDX-License-Identifier: MIT */
/* threads_micro: those cases of micro.c that have sense with one thread for a task and nothing but pthreads. bench/README.md has
 * the definitions. The counts are smaller, because a thread costs a hundred times what a task does.
 *
 * Run:   threads_micro spawn_join mpsc_1
 */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

static bool quick;

static long pick(long full, long few)
{
    return quick ? few : full;
}

static pthread_t start(void *(*entry)(void *), void *arg)
{
    pthread_attr_t attr;
    pthread_t thread;

    measure_check(pthread_attr_init(&attr) == 0);
    measure_check(pthread_attr_setstacksize(&attr, (size_t)64 * 1024) == 0);
    measure_check(pthread_create(&thread, &attr, entry, arg) == 0);
    pthread_attr_destroy(&attr);
    return thread;
}

static void *join(pthread_t thread)
{
    void *result;

    measure_check(pthread_join(thread, &result) == 0);
    return result;
}

/* --- Spawn and join, yield -------------------------------------------------------------------------------------------------- */

static void *answer(void *arg)
{
    return arg;
}

static void spawn_join(void)
{
    long count = pick(20000, 500);
    measure_stretch s = measure_begin();

    for (intptr_t i = 0; i < count; i++)
        measure_check(join(start(answer, (void *)i)) == (void *)i);
    measure_end(s, "spawn_join", "ns/op", (double)count);
}

enum { YIELDERS = 200, YIELDS = 1000 };

static void *yield_often(void *arg)
{
    for (int i = 0; i < YIELDS; i++)
        sched_yield();
    return arg;
}

static void yield_many(void)
{
    long times = pick(5, 1);
    pthread_t threads[YIELDERS];
    measure_stretch s = measure_begin();

    for (long t = 0; t < times; t++) {
        for (int i = 0; i < YIELDERS; i++)
            threads[i] = start(yield_often, NULL);
        for (int i = 0; i < YIELDERS; i++)
            join(threads[i]);
    }
    measure_end(s, "yield_many", "ns/yield", (double)times * YIELDERS * YIELDS);
}

/* --- A bounded channel: a ring under a mutex -------------------------------------------------------------------------------- */

enum { CAPACITY_MAX = 1000 };

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t not_empty;
    pthread_cond_t not_full;
    size_t first;
    size_t count;
    size_t capacity;
    long items[CAPACITY_MAX];
} channel;

static void channel_init(channel *c, size_t capacity)
{
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->not_empty, NULL);
    pthread_cond_init(&c->not_full, NULL);
    c->first = c->count = 0;
    c->capacity = capacity;
}

/* Both signal only when the other side may be waiting: at the edge between none and one. */
static void channel_send(channel *c, long item)
{
    pthread_mutex_lock(&c->lock);
    while (c->count == c->capacity)
        pthread_cond_wait(&c->not_full, &c->lock);
    c->items[(c->first + c->count) % c->capacity] = item;
    if (c->count++ == 0)
        pthread_cond_signal(&c->not_empty);
    pthread_mutex_unlock(&c->lock);
}

/* Several producers may wait: each place that is freed is told. */
static long channel_receive(channel *c)
{
    long item;

    pthread_mutex_lock(&c->lock);
    while (c->count == 0)
        pthread_cond_wait(&c->not_empty, &c->lock);
    item = c->items[c->first];
    c->first = (c->first + 1) % c->capacity;
    c->count--;
    pthread_cond_signal(&c->not_full);
    pthread_mutex_unlock(&c->lock);
    return item;
}

static channel forth, back;

static void *echo(void *arg)
{
    const long *rounds = arg;

    for (long i = 0; i < *rounds; i++)
        channel_send(&back, channel_receive(&forth) + 1);
    return NULL;
}

static void chan_pingpong(void)
{
    long rounds = pick(50000, 500);
    measure_stretch s;
    pthread_t other;

    channel_init(&forth, 1);
    channel_init(&back, 1);
    s = measure_begin();
    other = start(echo, &rounds);
    for (long i = 0; i < rounds; i++) {
        channel_send(&forth, i);
        measure_check(channel_receive(&back) == i + 1);
    }
    join(other);
    measure_end(s, "chan_pingpong", "ns/round trip", (double)rounds);
}

static void *produce(void *arg)
{
    const long *messages = arg;

    for (long i = 0; i < *messages; i++)
        channel_send(&forth, i);
    return NULL;
}

static void mpsc(const char *name, int producers)
{
    long each = pick(2000000, 20000) / producers;
    pthread_t threads[4];
    measure_stretch s;

    channel_init(&forth, CAPACITY_MAX);
    s = measure_begin();
    for (int i = 0; i < producers; i++)
        threads[i] = start(produce, &each);
    for (long i = 0; i < each * producers; i++)
        (void)channel_receive(&forth);
    for (int i = 0; i < producers; i++)
        join(threads[i]);
    measure_end(s, name, "ns/message", (double)each * producers);
}

static void mpsc_1(void)
{
    mpsc("mpsc_1", 1);
}

static void mpsc_4(void)
{
    mpsc("mpsc_4", 4);
}

/* --- A mutex that lets newcomers barge in ----------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counter;
static bool yielding;

static void *count_up(void *arg)
{
    const long *times = arg;

    for (long i = 0; i < *times; i++) {
        pthread_mutex_lock(&lock);
        counter++;
        if (yielding)
            sched_yield();
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void mutex(const char *name, int threads, long locks)
{
    pthread_t all[64];
    long each = locks / threads;
    measure_stretch s = measure_begin();

    counter = 0;
    for (int i = 0; i < threads; i++)
        all[i] = start(count_up, &each);
    for (int i = 0; i < threads; i++)
        join(all[i]);
    measure_check(counter == each * threads);
    measure_end(s, name, "ns/lock", (double)each * threads);
}

static void mutex_2(void)
{
    mutex("mutex_2_barging", 2, pick(1000000, 10000));
}

static void mutex_64(void)
{
    mutex("mutex_64_barging", 64, pick(1000000, 10000));
}

static void mutex_wake(void)
{
    yielding = true;
    mutex("mutex_wake_barging", 4, pick(200000, 2000));
    yielding = false;
}

/* --- The program ------------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"spawn_join", spawn_join}, {"yield_many", yield_many}, {"chan_pingpong", chan_pingpong}, {"mpsc_1", mpsc_1},
    {"mpsc_4", mpsc_4},         {"mutex_2", mutex_2},       {"mutex_64", mutex_64},           {"mutex_wake", mutex_wake},
};

enum { CASES = sizeof cases / sizeof *cases };

static void run(const char *name)
{
    for (int i = 0; i < CASES; i++)
        if (strcmp(cases[i].name, name) == 0) {
            cases[i].run();
            return;
        }
    fprintf(stderr, "threads_micro: no case %s; usage: threads_micro CASE... [--quick] [--list]\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        quick = quick || strcmp(argv[i], "--quick") == 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0)
            for (int c = 0; c < CASES; c++)
                puts(cases[c].name);
        else if (strcmp(argv[i], "--workers") == 0)
            i++; /* the threads are the case's, the system spreads them */
        else if (strcmp(argv[i], "--quick") != 0)
            run(argv[i]);
    }
    measure_print_lines(stdout);
    return 0;
}
