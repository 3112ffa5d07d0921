/* SPDX-License-Identifier: MIT */
/* Channels, locks, and what a wake by them costs. */
#include <stdint.h>

#include "measure.h"
#include "micro_cases.h"

/* --- Common ----------------------------------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t began_ns;
    uint64_t cpu_ns;
} stretch;

static stretch begin(void)
{
    stretch s = {.cpu_ns = measure_cpu_ns(), .began_ns = tn_now()};

    return s;
}

static void note(stretch s, const char *name, const char *unit, double operations)
{
    double took = (double)(tn_now() - s.began_ns);

    measure_note(name, unit, took / operations, (double)(measure_cpu_ns() - s.cpu_ns) / operations);
}

/* One round of a case: `entry` gets how often, first to warm up. */
static void measure(const micro_settings *settings, tn_entry_fn entry, long count, const char *name, const char *unit,
                    double each)
{
    tn_runtime *runtime = micro_start(settings);
    long times = micro_times(settings, count, count / 100);
    long warm = count / 100;
    stretch s;

    micro_run(runtime, entry, &warm);
    s = begin();
    micro_run(runtime, entry, &times);
    note(s, name, unit, (double)times * each);
    micro_stop(runtime);
}

static void join_all(tn_task **tasks, int count)
{
    for (int i = 0; i < count; i++)
        measure_check(tn_join(tasks[i], NULL) == 0);
}

/* --- Two tasks and two channels --------------------------------------------------------------------------------------------- */

typedef struct {
    tn_mpsc *in;
    tn_mpsc *out;
    long count;
} player;

static void *play_back(void *arg)
{
    player *me = arg;
    uint64_t ball;

    for (long i = 0; i < me->count; i++)
        measure_check(tn_mpsc_recv(me->in, &ball) == 0 && tn_mpsc_send(me->out, &ball) == 0);
    return NULL;
}

static void *play_channels(void *arg)
{
    player me = {.count = *(const long *)arg};
    player other = {.count = me.count};
    tn_task *task;

    measure_check(tn_mpsc_create(&me.in, sizeof(uint64_t), 1, NULL) == 0);
    measure_check(tn_mpsc_create(&me.out, sizeof(uint64_t), 1, NULL) == 0);
    other.in = me.out;
    other.out = me.in;
    measure_check(tn_spawn(&task, play_back, &other) == 0);
    for (uint64_t i = 0; i < (uint64_t)me.count; i++) {
        uint64_t ball;
        measure_check(tn_mpsc_send(me.out, &i) == 0 && tn_mpsc_recv(me.in, &ball) == 0 && ball == i);
    }
    join_all(&task, 1);
    for (int i = 0; i < 2; i++) {
        tn_mpsc *channel = i == 0 ? me.in : me.out;
        tn_mpsc_release_sender(channel);
        tn_mpsc_release_receiver(channel);
    }
    return NULL;
}

void micro_chan_pingpong(const micro_settings *settings)
{
    measure(settings, play_channels, 1000000, "chan_pingpong", "ns/round trip", 1);
}

/* --- Spawn a partner and exchange oneshots ---------------------------------------------------------------------------------- */

enum { PAIRS = 1000 };

typedef struct {
    tn_oneshot *ping;
    tn_oneshot *pong;
} exchange;

static void *answer_ping(void *arg)
{
    exchange *both = arg;
    uint64_t ball;

    measure_check(tn_oneshot_recv(both->ping, &ball) == 0);
    tn_oneshot_release(both->ping);
    ball++;
    measure_check(tn_oneshot_send(both->pong, &ball) == 0);
    return NULL;
}

static void *exchange_oneshots(void *arg)
{
    uint64_t sent = (uint64_t)(uintptr_t)arg;
    uint64_t ball = 0;
    exchange both;

    measure_check(tn_oneshot_create(&both.ping, sizeof ball, NULL) == 0 && tn_oneshot_create(&both.pong, sizeof ball, NULL) == 0);
    measure_check(tn_spawn(NULL, answer_ping, &both) == 0);
    measure_check(tn_oneshot_send(both.ping, &sent) == 0 && tn_oneshot_recv(both.pong, &ball) == 0);
    measure_check(ball == sent + 1);
    tn_oneshot_release(both.pong);
    return NULL;
}

static void *spawn_exchanges(void *arg)
{
    const long *times = arg;
    tn_task *tasks[PAIRS];

    for (long t = 0; t < *times; t++) {
        for (intptr_t i = 0; i < PAIRS; i++)
            measure_check(tn_spawn(&tasks[i], exchange_oneshots, (void *)i) == 0);
        join_all(tasks, PAIRS);
    }
    return NULL;
}

void micro_ping_pong(const micro_settings *settings)
{
    measure(settings, spawn_exchanges, 500, "ping_pong", "ns/pair", PAIRS);
}

/* --- Many senders ----------------------------------------------------------------------------------------------------------- */

enum { CAPACITY = 1000, SENDERS_MAX = 4 };

typedef struct {
    tn_mpsc *channel;
    long count;
} sender;

static void *send_all(void *arg)
{
    const sender me = *(const sender *)arg; /* a copy: it lies beside the element that the receiver writes to all the time */

    for (uint64_t i = 0; i < (uint64_t)me.count; i++)
        measure_check(tn_mpsc_send(me.channel, &i) == 0);
    tn_mpsc_release_sender(me.channel);
    return NULL;
}

static void send_and_receive(long count, int senders)
{
    sender me = {.count = count / senders};
    tn_task *tasks[SENDERS_MAX];
    uint64_t sum = 0;
    uint64_t element;
    int rc;

    measure_check(tn_mpsc_create(&me.channel, sizeof element, CAPACITY, NULL) == 0);
    for (int i = 0; i < senders; i++) {
        tn_mpsc_retain_sender(me.channel);
        measure_check(tn_spawn(&tasks[i], send_all, &me) == 0);
    }
    tn_mpsc_release_sender(me.channel);
    while ((rc = tn_mpsc_recv(me.channel, &element)) == 0)
        sum += element;
    measure_check(rc == TN_EPIPE);
    measure_check(sum == (uint64_t)senders * (uint64_t)me.count * (uint64_t)(me.count - 1) / 2);
    join_all(tasks, senders);
    tn_mpsc_release_receiver(me.channel);
}

static void *one_sender(void *arg)
{
    send_and_receive(*(const long *)arg, 1);
    return NULL;
}

static void *four_senders(void *arg)
{
    send_and_receive(*(const long *)arg, 4);
    return NULL;
}

void micro_mpsc_1(const micro_settings *settings)
{
    measure(settings, one_sender, 2000000, "mpsc_1", "ns/message", 1);
}

void micro_mpsc_4(const micro_settings *settings)
{
    measure(settings, four_senders, 2000000, "mpsc_4", "ns/message", 1);
}

/* --- The mutex -------------------------------------------------------------------------------------------------------------- */

enum { LOCKERS_MAX = 64 };

static struct {
    tn_mutex mutex;
    long counter;
    long each;
    bool yielding;
} counted;

static void *count_up(void *arg)
{
    (void)arg;
    for (long i = 0; i < counted.each; i++) {
        measure_check(tn_mutex_lock(&counted.mutex) == 0);
        counted.counter++;
        if (counted.yielding)
            measure_check(tn_yield() == 0);
        tn_mutex_unlock(&counted.mutex);
    }
    return NULL;
}

static void count_together(long count, int lockers, bool yielding)
{
    tn_task *tasks[LOCKERS_MAX];

    tn_mutex_init(&counted.mutex);
    counted.counter = 0;
    counted.each = count / lockers;
    counted.yielding = yielding;
    for (int i = 0; i < lockers; i++)
        measure_check(tn_spawn(&tasks[i], count_up, NULL) == 0);
    join_all(tasks, lockers);
    measure_check(counted.counter == counted.each * lockers);
    tn_mutex_fini(&counted.mutex);
}

static void *two_lockers(void *arg)
{
    count_together(*(const long *)arg, 2, false);
    return NULL;
}

static void *many_lockers(void *arg)
{
    count_together(*(const long *)arg, LOCKERS_MAX, false);
    return NULL;
}

static void *yielding_lockers(void *arg)
{
    count_together(*(const long *)arg, 4, true);
    return NULL;
}

void micro_mutex_2(const micro_settings *settings)
{
    measure(settings, two_lockers, 1000000, "mutex_2", "ns/lock", 1);
}

void micro_mutex_64(const micro_settings *settings)
{
    measure(settings, many_lockers, 1000000, "mutex_64", "ns/lock", 1);
}

void micro_mutex_wake(const micro_settings *settings)
{
    measure(settings, yielding_lockers, 1000000, "mutex_wake", "ns/lock", 1);
}

static void *lock_alone(void *arg)
{
    long count = *(const long *)arg;
    tn_mutex mutex = TN_MUTEX_INIT;

    for (long i = 0; i < count; i++) {
        measure_check(tn_mutex_lock(&mutex) == 0);
        tn_mutex_unlock(&mutex);
    }
    return NULL;
}

static void *try_lock_alone(void *arg)
{
    long count = *(const long *)arg;
    tn_mutex mutex = TN_MUTEX_INIT;

    for (long i = 0; i < count; i++) {
        measure_check(tn_mutex_try_lock(&mutex) == 0);
        tn_mutex_unlock(&mutex);
    }
    return NULL;
}

void micro_mutex_free(const micro_settings *settings)
{
    measure(settings, lock_alone, 50000000, "mutex_free", "ns/pair", 1);
    measure(settings, try_lock_alone, 50000000, "mutex_free, try", "ns/pair", 1);
}

/* --- A wake ----------------------------------------------------------------------------------------------------------------- */

static struct {
    tn_semaphore turn[2];
    long count;
} match;

static void *wake_in_turn(void *arg)
{
    intptr_t side = (intptr_t)arg;

    for (long i = 0; i < match.count; i++) {
        measure_check(tn_semaphore_acquire(&match.turn[side], 1) == 0);
        tn_semaphore_release(&match.turn[1 - side], 1);
    }
    return NULL;
}

static void *play_semaphores(void *arg)
{
    tn_task *tasks[2];

    match.count = *(const long *)arg;
    tn_semaphore_init(&match.turn[0], 1);
    tn_semaphore_init(&match.turn[1], 0);
    for (intptr_t i = 0; i < 2; i++)
        measure_check(tn_spawn(&tasks[i], wake_in_turn, (void *)i) == 0);
    join_all(tasks, 2);
    return NULL;
}

void micro_semaphore_wake(const micro_settings *settings)
{
    measure(settings, play_semaphores, 1000000, "semaphore_wake", "ns/wake", 2);
}
