/* SPDX-License-Identifier: MIT */
/* The read-write lock: sharing, order, and what a cancelled waiter leaves. */
/* ctest: timeout=120 */
#include <stdatomic.h>

#include "support/runtime.h"
#include "sync_support.h"

enum { QUEUE = 5 };

typedef struct {
    tn_rwlock lock;
    stand_in tasks[QUEUE];
    tn_rwlock_future futures[QUEUE];
} queue;

/* The lock is held for writing. `kinds` has one letter per waiter, r or w. */
static void queue_init(queue *q, const char *kinds)
{
    tn_rwlock_init(&q->lock);
    cr_assert_eq(tn_rwlock_try_write(&q->lock), 0);
    for (int i = 0; i < QUEUE; i++) {
        stand_in_init(&q->tasks[i]);
        if (kinds[i] == 'r')
            tn_rwlock_read_init(&q->futures[i], &q->lock);
        else
            tn_rwlock_write_init(&q->futures[i], &q->lock);
        cr_assert_eq(poll_by(&q->futures[i].base, &q->tasks[i]), TN_PENDING);
    }
}

/* The waiters from `first` to `last` hold the lock now, and no other was woken. */
static void expect_held(queue *q, int first, int last)
{
    for (int i = 0; i < QUEUE; i++) {
        bool meant = i >= first && i <= last;
        cr_assert_eq(stand_in_woken(&q->tasks[i]), meant, "waiter %d", i);
        if (!meant)
            continue;
        cr_assert_eq(poll_by(&q->futures[i].base, &q->tasks[i]), 0);
        drop(&q->futures[i].base);
    }
}

static void queue_fini(queue *q)
{
    tn_rwlock_fini(&q->lock);
    for (int i = 0; i < QUEUE; i++)
        cr_assert(stand_in_is_free(&q->tasks[i]));
}

Test(rwlock, readers_share_and_writers_do_not)
{
    tn_rwlock lock = TN_RWLOCK_INIT;

    cr_assert_eq(tn_rwlock_read(&lock), 0);
    cr_assert_eq(tn_rwlock_try_read(&lock), 0);
    cr_assert_eq(tn_rwlock_try_write(&lock), TN_EAGAIN);
    tn_rwlock_read_unlock(&lock);
    tn_rwlock_read_unlock(&lock);
    cr_assert_eq(tn_rwlock_write(&lock), 0);
    cr_assert_eq(tn_rwlock_try_read(&lock), TN_EAGAIN);
    cr_assert_eq(tn_rwlock_try_write(&lock), TN_EAGAIN);
    tn_rwlock_downgrade(&lock);
    cr_assert_eq(tn_rwlock_try_read(&lock), 0);
    cr_assert_eq(tn_rwlock_try_write(&lock), TN_EAGAIN);
    tn_rwlock_read_unlock(&lock);
    tn_rwlock_read_unlock(&lock);
    tn_rwlock_fini(&lock);
}

Test(rwlock, first_come_first_served)
{
    queue q;

    queue_init(&q, "rrwrw");
    tn_rwlock_write_unlock(&q.lock);
    expect_held(&q, 0, 1);
    cr_assert_eq(tn_rwlock_try_read(&q.lock), TN_EAGAIN, "a writer waits");
    tn_rwlock_read_unlock(&q.lock);
    expect_held(&q, -1, -1);
    tn_rwlock_read_unlock(&q.lock);
    expect_held(&q, 2, 2);
    tn_rwlock_write_unlock(&q.lock);
    expect_held(&q, 3, 3);
    tn_rwlock_read_unlock(&q.lock);
    expect_held(&q, 4, 4);
    tn_rwlock_write_unlock(&q.lock);
    queue_fini(&q);
}

Test(rwlock, a_downgrade_lets_readers_in)
{
    queue q;

    queue_init(&q, "rrwrr");
    tn_rwlock_downgrade(&q.lock);
    expect_held(&q, 0, 1);
    for (int i = 0; i < 3; i++)
        tn_rwlock_read_unlock(&q.lock);
    expect_held(&q, 2, 2);
    tn_rwlock_write_unlock(&q.lock);
    expect_held(&q, 3, 4);
    tn_rwlock_read_unlock(&q.lock);
    tn_rwlock_read_unlock(&q.lock);
    queue_fini(&q);
}

/* When a writer leaves, the readers behind it join those that hold the lock. */
Test(rwlock, a_writer_dropped_while_it_waits)
{
    queue q;

    queue_init(&q, "rwrrw");
    tn_rwlock_write_unlock(&q.lock);
    expect_held(&q, 0, 0);
    drop(&q.futures[1].base);
    expect_held(&q, 2, 3);
    drop(&q.futures[4].base);
    cr_assert_eq(tn_rwlock_try_read(&q.lock), 0);
    for (int i = 0; i < 4; i++)
        tn_rwlock_read_unlock(&q.lock);
    queue_fini(&q);
}

Test(rwlock, dropped_when_it_has_been_granted)
{
    queue q;

    queue_init(&q, "rwwrr");
    tn_rwlock_write_unlock(&q.lock);
    cr_assert(stand_in_woken(&q.tasks[0]));
    drop(&q.futures[0].base); /* a reader, which held it */
    cr_assert(stand_in_woken(&q.tasks[1]));
    drop(&q.futures[1].base); /* a writer */
    expect_held(&q, 2, 2);
    tn_rwlock_write_unlock(&q.lock);
    cr_assert(stand_in_woken(&q.tasks[3]));
    cr_assert(stand_in_woken(&q.tasks[4]));
    drop(&q.futures[3].base);
    drop(&q.futures[4].base);
    queue_fini(&q);
}

/* --- All at once ------------------------------------------------------------------------------------------------------------ */

static struct {
    tn_rwlock lock;
    unsigned long a, b; /* equal, except while a writer is inside */
    atomic_int readers;
    atomic_int writers;
    unsigned long each;
} shared;

static void check_reading(void)
{
    atomic_fetch_add(&shared.readers, 1);
    tt_check(atomic_load(&shared.writers) == 0 && shared.a == shared.b);
    atomic_fetch_sub(&shared.readers, 1);
}

static void write_both(void)
{
    tt_check(atomic_fetch_add(&shared.writers, 1) == 0 && atomic_load(&shared.readers) == 0);
    shared.a++;
    shared.b++;
    atomic_fetch_sub(&shared.writers, 1);
}

static void *read_and_write(void *arg)
{
    uintptr_t kind = (uintptr_t)arg;
    int rc = 0;

    for (unsigned long i = 0; i < shared.each && rc == 0; i++) {
        bool write = (i + kind) % 4 == 0;
        rc = write ? tn_rwlock_write(&shared.lock) : tn_rwlock_read(&shared.lock);
        if (rc != 0)
            break;
        if (write)
            write_both();
        if (write && i % 3 == 0) {
            tn_rwlock_downgrade(&shared.lock);
            write = false;
        }
        if (!write)
            check_reading();
        if (write)
            tn_rwlock_write_unlock(&shared.lock);
        else
            tn_rwlock_read_unlock(&shared.lock);
        if (i % 64 == 0)
            rc = tn_yield();
    }
    return NULL;
}

Test(rwlock, fibers_and_threads)
{
    enum { KIND = 4 };
    tn_runtime *runtime = tt_runtime_create();
    tn_task *tasks[KIND];
    pthread_t threads[KIND];

    shared.each = tt_scaled(10000);
    for (uintptr_t i = 0; i < KIND; i++) {
        tasks[i] = tt_spawn_on(runtime, read_and_write, (void *)i);
        threads[i] = tt_thread_start(read_and_write, (void *)i);
    }
    for (int i = 0; i < KIND; i++) {
        tt_join(tasks[i]);
        tt_thread_join(threads[i]);
    }
    tn_rwlock_fini(&shared.lock);
    cr_assert_gt(shared.a, 0);
    tt_runtime_destroy(runtime);
}

Test(rwlock, holders_are_cancelled_at_any_moment)
{
    enum { CROWD = 8 };
    tn_runtime *runtime = tt_runtime_create();

    shared.each = ULONG_MAX;
    for (unsigned long round = 0; round < tt_scaled(200); round++) {
        tn_task *tasks[CROWD];
        for (uintptr_t i = 0; i < CROWD; i++)
            tasks[i] = tt_spawn_on(runtime, read_and_write, (void *)i);
        for (int i = 0; i < CROWD; i++) {
            if (round % 2 == 0)
                tn_yield();
            tn_cancel(tasks[i]);
        }
        for (int i = 0; i < CROWD; i++)
            tt_join(tasks[i]);
        tn_rwlock_fini(&shared.lock);
    }
    tt_runtime_destroy(runtime);
}

/* --- Locks that cannot fail ------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_rwlock lock;
    int held; /* under the lock */
    tt_gate begun;
} always;

static void *write_always(void *arg)
{
    always *a = arg;

    tt_check_eq(tn_checkpoint(), TN_ECANCELED);
    tt_gate_open(&a->begun);
    tn_rwlock_write_always(&a->lock);
    tt_check_eq(tn_rwlock_try_read(&a->lock), TN_EAGAIN);
    a->held++;
    tn_rwlock_write_unlock(&a->lock);
    return NULL;
}

static void *read_always(void *arg)
{
    always *a = arg;

    tt_check_eq(tn_checkpoint(), TN_ECANCELED);
    tt_gate_open(&a->begun);
    tn_rwlock_read_always(&a->lock);
    tt_check_eq(tn_rwlock_try_write(&a->lock), TN_EAGAIN);
    tn_rwlock_read_unlock(&a->lock);
    return NULL;
}

static void *lock_in_cancelled_tasks(void *arg)
{
    always a = {.lock = TN_RWLOCK_INIT, .begun = TT_GATE_INIT};
    tn_task *tasks[2];

    tt_check_eq(tn_rwlock_write(&a.lock), 0);
    tasks[0] = tt_spawn(write_always, &a);
    tn_cancel(tasks[0]);
    tasks[1] = tt_spawn(read_always, &a);
    tn_cancel(tasks[1]);
    while (tt_gate_opened(&a.begun) < 2)
        tt_check_eq(tn_yield(), 0);
    tt_check_eq(a.held, 0);
    tn_rwlock_write_unlock(&a.lock);
    for (int i = 0; i < 2; i++)
        tt_join(tasks[i]);
    tt_check_eq(a.held, 1);
    tn_rwlock_fini(&a.lock);
    return arg;
}

Test(rwlock, locked_always)
{
    run_on_one_worker(lock_in_cancelled_tasks, NULL);
}
