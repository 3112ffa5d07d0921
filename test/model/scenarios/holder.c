/* SPDX-License-Identifier: MIT */
/* The record of the task that holds a lock, in the mode that has it (base/holders.h): while a task holds the lock, the record
 * has the task's key, whatever other tasks do; while none does, it has 0. */
#include "holder.h"

#include <tn/mutex.h>
#include <tn/rwlock.h>

#include "base/tls.h"
#include "sleeper.h"
#include "waiters.h"

#define TASKS 2

typedef struct {
    tn_runtime runtime;
    tn_task tasks[TASKS];
    tn_mutex mutex;
    tn_mutex *own; /* allocated, because a scenario frees it */
    tn_rwlock rwlock;
    bool begins;     /* constant: the mode begins while the threads run, so a holder may be unknown */
    uint32_t inside; /* plain: counted by the holder of the lock */
} house;

/* --- Before ----------------------------------------------------------------------------------------------------------------- */

static void setup_off(void *state)
{
    house *h = state;

    tni_a32_store(&tni_holders_on, 0, TNI_RELAXED);
    tni_a32_store(&tni_holders_or_order, 0, TNI_RELAXED);
    tni_a32_store(&tni_holders_free, 0, TNI_RELAXED);
    tni_a32_store(&tni_holders_locked, 1, TNI_RELAXED);
    h->begins = true;
    h->runtime.holders = UINT64_C(1) << TNI_HOLDERS_ID_BITS;
    for (unsigned i = 0; i < TASKS; i++) {
        h->tasks[i].runtime = &h->runtime;
        h->tasks[i].id = i + 1;
    }
    model_name(&h->mutex, 4, "mutex.word");
    model_name(&h->rwlock, 8, "rwlock.word");
    model_name_of(tni_holders_on);
    model_name_of(tni_holders_locked);
}

static void setup(void *state)
{
    house *h = state;

    setup_off(state);
    (void)tni_holders_enable();
    h->begins = false;
    h->own = model_alloc(sizeof *h->own, _Alignof(tn_mutex));
}

/* --- Tasks ------------------------------------------------------------------------------------------------------------------ */

/* The thread plays a task. */
static tn_task *begin(house *h)
{
    return tni_tls_get()->task = &h->tasks[model_self() - 1];
}

static void end(void)
{
    tni_tls_get()->task = NULL;
}

static uint64_t recorded(tn_mutex *mutex)
{
    tn_mutex_future future;

    tn_mutex_lock_init(&future, mutex);
    return tni_a64_load(&tni_mutex_awaited(&future.base)->key, TNI_RELAXED);
}

static uint64_t recorded_writer(house *h)
{
    tn_rwlock_future future;

    tn_rwlock_write_init(&future, &h->rwlock);
    return tni_a64_load(&tni_rwlock_awaited(&future.base)->key, TNI_RELAXED);
}

static void lock_this(house *h, tn_mutex *mutex)
{
    const tn_task *self = begin(h);
    tn_mutex_future future;
    uint64_t key;

    tn_mutex_lock_init(&future, mutex);
    if (tn_mutex_try_lock(mutex) != 0)
        model_check(tn_await(&future.base) == 0);
    key = recorded(mutex);
    model_check(key == tni_runtime_holder_key(self) || (h->begins && key == 0));
}

static void lock(void *state)
{
    house *h = state;

    lock_this(h, &h->mutex);
    h->inside++;
    tn_mutex_unlock(&h->mutex);
    end();
}

/* Gets the mutex at once, or does not hold it. */
static void lock_cancelled(void *state)
{
    house *h = state;
    const tn_task *self = begin(h);
    tn_mutex_future future;

    tn_mutex_lock_init(&future, &h->mutex);
    if (sleeper_cancelled(&future.base) != TN_PENDING) {
        model_check(recorded(&h->mutex) == tni_runtime_holder_key(self));
        tn_mutex_unlock(&h->mutex);
    }
    end();
}

/* The last of two frees it. */
static void lock_and_free(void *state)
{
    house *h = state;
    bool last;

    lock_this(h, h->own);
    last = ++h->inside == 2;
    tn_mutex_unlock(h->own);
    if (last)
        model_free(h->own);
    end();
}

static void write_this(house *h)
{
    const tn_task *self = begin(h);
    tn_rwlock_future future;
    uint64_t key;

    tn_rwlock_write_init(&future, &h->rwlock);
    if (tn_rwlock_try_write(&h->rwlock) != 0)
        model_check(tn_await(&future.base) == 0);
    h->inside++;
    key = recorded_writer(h);
    model_check(key == tni_runtime_holder_key(self) || (h->begins && key == 0));
}

static void write_once(void *state)
{
    house *h = state;

    write_this(h);
    tn_rwlock_write_unlock(&h->rwlock);
    end();
}

static void write_and_read(void *state)
{
    house *h = state;

    write_this(h);
    tn_rwlock_downgrade(&h->rwlock);
    model_check(recorded_writer(h) == 0);
    tn_rwlock_read_unlock(&h->rwlock);
    end();
}

static void read_once(void *state)
{
    house *h = state;
    tn_rwlock_future future;

    (void)begin(h);
    tn_rwlock_read_init(&future, &h->rwlock);
    if (tn_rwlock_try_read(&h->rwlock) != 0)
        model_check(tn_await(&future.base) == 0);
    model_check(recorded_writer(h) == 0);
    tn_rwlock_read_unlock(&h->rwlock);
    end();
}

static void enable(void *state)
{
    (void)state;
    (void)tni_holders_enable();
}

/* --- After ------------------------------------------------------------------------------------------------------------------ */

static void finish_begun(void *state)
{
    house *h = state;

    model_check(recorded(&h->mutex) == 0 && recorded_writer(h) == 0);
    tn_mutex_fini(&h->mutex);
    tn_rwlock_fini(&h->rwlock);
}

static void finish(void *state)
{
    house *h = state;

    finish_begun(state);
    model_free(h->own);
}

#define CASE(what, preemptions, before, after, ...) \
    { \
        .name = "holder." what, .state_bytes = sizeof(house), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
        .finish = after, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("mutex", 2, setup, finish, lock, lock),
    CASE("mutex_cancel", 2, setup, finish, lock, lock_cancelled),
    CASE("freed", 2, setup, finish_begun, lock_and_free, lock_and_free),
    CASE("writers", 2, setup, finish, write_once, write_once),
    CASE("writer_reader", 2, setup, finish, write_once, read_once),
    CASE("downgrade", 2, setup, finish, write_and_read, read_once),
    CASE("begins", 2, setup_off, finish_begun, lock, enable),
    CASE("begins_for_two", 1, setup_off, finish_begun, lock, lock, enable),
    CASE("begins_for_writer", 2, setup_off, finish_begun, write_once, enable),
    {0},
};
