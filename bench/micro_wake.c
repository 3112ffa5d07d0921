/* SPDX-License-Identifier: MIT */
/* Wakes: of a task by another one of its worker, and of a plain thread by another, which is what all that sleeps in the system
 * costs at least. */
#include <pthread.h>
#include <semaphore.h>

#include "measure.h"
#include "micro_cases.h"

/* --- Tasks ------------------------------------------------------------------------------------------------------------------ */

/* Ready when it is this side's turn. There is one worker, so that nothing here has to be atomic: what is measured is the
 * library's wake, rest and run. */
typedef struct side side;
struct side {
    tn_future base;
    bool is_on;
    tn_waker *waker; /* of the task that plays it, with a reference; NULL: that has not run yet */
    side *other;
    long rounds;
};

static int side_poll(tn_future *self, tn_waker *waker)
{
    side *me = (side *)(void *)self;

    if (me->waker == NULL)
        me->waker = tn_waker_retain(waker);
    return me->is_on ? 0 : TN_PENDING;
}

static void side_drop(tn_future *self)
{
    (void)self;
}

static void *play(void *arg)
{
    side *me = arg;

    for (long i = 0; i < me->rounds; i++) {
        measure_check(tn_await(&me->base) == 0);
        me->is_on = false;
        me->other->is_on = true;
        if (me->other->waker != NULL)
            tn_waker_wake_by_ref(me->other->waker);
    }
    return NULL;
}

static void *play_match(void *arg)
{
    static const tn_future_ops ops = {.poll = side_poll, .drop = side_drop};
    side sides[2];
    tn_task *players[2];

    for (int i = 0; i < 2; i++) {
        sides[i] = (side){.base = {&ops}, .is_on = i == 0, .other = &sides[1 - i], .rounds = *(const long *)arg};
        measure_check(tn_spawn(&players[i], play, &sides[i]) == 0);
    }
    for (int i = 0; i < 2; i++) {
        measure_check(tn_join(players[i], NULL) == 0);
        tn_waker_release(sides[i].waker);
    }
    return NULL;
}

void micro_wake_local(const micro_settings *settings)
{
    static const micro_loop loop = {"wake_local", "ns/wake", play_match, 1000000, 10000, 1000, 2};
    micro_settings one = *settings;

    one.workers = 1;
    micro_measure_loop(&one, &loop);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
    sem_t ping;
    sem_t pong;
    long rounds;
} table;

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        ; /* a signal */
}

static void *answer(void *arg)
{
    table *shared = arg;

    for (long i = 0; i < shared->rounds; i++) {
        wait_for(&shared->ping);
        measure_check(sem_post(&shared->pong) == 0);
    }
    return NULL;
}

void micro_thread_wake(const micro_settings *settings)
{
    table shared = {.rounds = settings->quick ? 1000 : 20000};
    pthread_t other;
    measure_stretch stretch;

    measure_check(sem_init(&shared.ping, 0, 0) == 0 && sem_init(&shared.pong, 0, 0) == 0);
    measure_check(pthread_create(&other, NULL, answer, &shared) == 0);
    stretch = measure_begin();
    for (long i = 0; i < shared.rounds; i++) {
        measure_check(sem_post(&shared.ping) == 0);
        wait_for(&shared.pong);
    }
    measure_end(stretch, "thread_wake", "ns/wake", 2.0 * (double)shared.rounds);
    measure_check(pthread_join(other, NULL) == 0);
    sem_destroy(&shared.ping);
    sem_destroy(&shared.pong);
}
