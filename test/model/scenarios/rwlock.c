/* SPDX-License-Identifier: MIT */
/* The read-write lock: unlocks and downgrade against waiters, and against waiters that leave. */
#include <tn/rwlock.h>

#include "sleeper.h"

typedef struct {
    tn_rwlock lock;
    uint32_t data;   /* plain: written by writers, read by readers */
    uint32_t writes; /* plain, like data */
} book;

static void begin(book *b)
{
    model_name(&b->lock, 8, "rwlock.word");
    model_name((const char *)&b->lock + 8, 4, "rwlock.lock");
    model_name_of(b->data);
}

static void write_held(void *state)
{
    book *b = state;

    begin(b);
    model_check(tn_rwlock_try_write(&b->lock) == 0);
}

static void read_held(void *state)
{
    book *b = state;

    begin(b);
    model_check(tn_rwlock_try_read(&b->lock) == 0);
}

static void read_held_twice(void *state)
{
    book *b = state;

    read_held(state);
    model_check(tn_rwlock_try_read(&b->lock) == 0);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

/* The caller holds the lock. Both words are written together, and no reader sees only one of them. */
static void leave_write(book *b)
{
    b->data++;
    b->writes++;
    tn_rwlock_write_unlock(&b->lock);
}

static void leave_read(book *b)
{
    model_check(b->data == b->writes);
    tn_rwlock_read_unlock(&b->lock);
}

static void write_unlock(void *state)
{
    leave_write(state);
}
static void read_unlock(void *state)
{
    leave_read(state);
}

static void write_lock(void *state)
{
    book *b = state;

    model_check(tn_rwlock_write(&b->lock) == 0);
    leave_write(b);
}

static void read_lock(void *state)
{
    book *b = state;

    model_check(tn_rwlock_read(&b->lock) == 0);
    leave_read(b);
}

static void try_read(void *state)
{
    book *b = state;

    if (tn_rwlock_try_read(&b->lock) == 0)
        leave_read(b);
}

/* It leaves as a reader, and sees what it has written. */
static void downgrade(void *state)
{
    book *b = state;

    b->data++;
    b->writes++;
    tn_rwlock_downgrade(&b->lock);
    model_check(b->data == 1);
    leave_read(b);
}

static void write_cancelled(void *state)
{
    book *b = state;
    tn_rwlock_future future;

    tn_rwlock_write_init(&future, &b->lock);
    if (sleeper_cancelled(&future.base) != TN_PENDING)
        leave_write(b);
}

static void read_cancelled(void *state)
{
    book *b = state;
    tn_rwlock_future future;

    tn_rwlock_read_init(&future, &b->lock);
    if (sleeper_cancelled(&future.base) != TN_PENDING)
        leave_read(b);
}

/* A reader holds the lock all the time. */
static void finish_reading(void *state)
{
    tn_rwlock_read_unlock(&((book *)state)->lock);
    tn_rwlock_fini(&((book *)state)->lock);
}

static void finish(void *state)
{
    tn_rwlock_fini(&((book *)state)->lock);
}

#define CASE(what, preemptions, before, after, ...) \
    { \
        .name = "rwlock." what, .state_bytes = sizeof(book), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
        .finish = after, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("write_write", 2, write_held, finish, write_unlock, write_lock),
    CASE("write_read", 2, write_held, finish, write_unlock, read_lock),
    CASE("read_write", 2, read_held, finish, read_unlock, write_lock),
    CASE("readers_write", 2, read_held_twice, finish, read_unlock, read_unlock, write_lock),
    CASE("try", 2, write_held, finish, write_unlock, write_lock, try_read),
    CASE("downgrade_read", 2, write_held, finish, downgrade, read_lock),
    CASE("downgrade_write", 2, write_held, finish, downgrade, write_lock),
    CASE("cancel_write", 2, read_held, finish, read_unlock, write_cancelled),
    CASE("cancel_read", 2, write_held, finish, write_unlock, read_cancelled),
    CASE("cancel_before_read", 1, read_held, finish, read_unlock, write_cancelled, read_lock),
    CASE("leave_before_read", 2, read_held, finish_reading, write_cancelled, read_lock),
    {0},
};
