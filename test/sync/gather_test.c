/* SPDX-License-Identifier: MIT */
/* Barrier, once and wait group. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <stdlib.h>

#include "support/runtime.h"
#include "sync_support.h"

/* --- The barrier ------------------------------------------------------------------------------------------------------------ */

enum { PARTIES = 3 };

Test(barrier, lets_all_go_when_the_last_has_come)
{
    tn_barrier barrier = TN_BARRIER_INIT(PARTIES);
    tn_barrier_future futures[PARTIES];
    stand_in tasks[PARTIES];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < PARTIES; i++) {
            stand_in_init(&tasks[i]);
            tn_barrier_wait_init(&futures[i], &barrier);
            cr_assert_eq(poll_by(&futures[i].base, &tasks[i]), i + 1 < PARTIES ? TN_PENDING : TN_BARRIER_LEADER);
        }
        for (int i = 0; i + 1 < PARTIES; i++) {
            cr_assert(stand_in_woken(&tasks[i]));
            cr_assert_eq(poll_by(&futures[i].base, &tasks[i]), 0);
        }
        for (int i = 0; i < PARTIES; i++) {
            drop(&futures[i].base);
            cr_assert(stand_in_is_free(&tasks[i]));
        }
    }
    tn_barrier_fini(&barrier);
}

/* Dropped before the last one arrives, a waiter does not count. Dropped afterwards, it has passed, and the next round needs
 * all. */
Test(barrier, dropped)
{
    tn_barrier barrier = TN_BARRIER_INIT(2);
    tn_barrier_future first;
    tn_barrier_future second;
    stand_in task;

    stand_in_init(&task);
    tn_barrier_wait_init(&first, &barrier);
    tn_barrier_wait_init(&second, &barrier);
    cr_assert_eq(poll_by(&first.base, &task), TN_PENDING);
    drop(&first.base);
    cr_assert_eq(poll_by(&second.base, &task), TN_PENDING, "it is the first now");
    tn_barrier_wait_init(&first, &barrier);
    cr_assert_eq(poll_by(&first.base, &task), TN_BARRIER_LEADER);
    drop(&second.base);
    tn_barrier_wait_init(&second, &barrier);
    cr_assert_eq(poll_by(&second.base, &task), TN_PENDING);
    drop(&second.base);
    tn_barrier_fini(&barrier);
    cr_assert(stand_in_is_free(&task));
}

enum { CROWD = 100 };

static struct {
    tn_barrier barrier;
    atomic_ulong come;
    atomic_ulong leaders;
    unsigned long rounds;
} meeting;

static void *meet(void *arg)
{
    (void)arg;
    for (unsigned long round = 0; round < meeting.rounds; round++) {
        int rc;
        atomic_fetch_add(&meeting.come, 1);
        rc = tn_barrier_wait(&meeting.barrier);
        tt_check(rc >= 0);
        tt_check(atomic_load(&meeting.come) >= (round + 1) * (CROWD + 2));
        if (rc == TN_BARRIER_LEADER)
            atomic_fetch_add(&meeting.leaders, 1);
    }
    return NULL;
}

Test(barrier, nobody_goes_on_early)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_task *tasks[CROWD];
    pthread_t threads[2];

    tn_barrier_init(&meeting.barrier, CROWD + 2);
    meeting.rounds = tt_scaled(200);
    for (int i = 0; i < CROWD; i++)
        tasks[i] = tt_spawn_on(runtime, meet, NULL);
    for (int i = 0; i < 2; i++)
        threads[i] = tt_thread_start(meet, NULL);
    for (int i = 0; i < CROWD; i++)
        tt_join(tasks[i]);
    for (int i = 0; i < 2; i++)
        tt_thread_join(threads[i]);
    cr_assert_eq(atomic_load(&meeting.leaders), meeting.rounds);
    tn_barrier_fini(&meeting.barrier);
    tt_runtime_destroy(runtime);
}

/* --- Once ------------------------------------------------------------------------------------------------------------------- */

Test(once, made_by_the_first_and_seen_by_all)
{
    tn_once once = TN_ONCE_INIT;
    tn_once_future futures[3];
    stand_in tasks[3];

    for (int i = 0; i < 3; i++) {
        stand_in_init(&tasks[i]);
        tn_once_begin_init(&futures[i], &once);
        cr_assert_eq(poll_by(&futures[i].base, &tasks[i]), i == 0 ? TN_ONCE_MINE : TN_PENDING);
    }
    cr_assert(!tn_once_is_done(&once));
    cr_assert_eq(tn_once_try_begin(&once), TN_EAGAIN);
    tn_once_abandon(&once);
    cr_assert(stand_in_woken(&tasks[1]) && !stand_in_woken(&tasks[2]));
    drop(&futures[1].base); /* it was chosen, and not polled since: the next waiter is chosen */
    cr_assert_eq(poll_by(&futures[2].base, &tasks[2]), TN_ONCE_MINE);
    tn_once_begin_init(&futures[0], &once);
    cr_assert_eq(poll_by(&futures[0].base, &tasks[0]), TN_PENDING);
    tn_once_complete(&once);
    cr_assert_eq(poll_by(&futures[0].base, &tasks[0]), 0);
    cr_assert_eq(tn_once_begin(&once), 0);
    cr_assert(tn_once_is_done(&once));
    for (int i = 0; i < 3; i++)
        cr_assert(stand_in_is_free(&tasks[i]));
    tn_once_fini(&once);
}

/* A waiter that leaves before the first one abandons is passed over. One that leaves afterwards has been chosen, and passes the
 * choice on (tested above). */
Test(once, dropped_while_it_waits)
{
    tn_once once = TN_ONCE_INIT;
    tn_once_future futures[2];
    stand_in tasks[2];

    cr_assert_eq(tn_once_try_begin(&once), TN_ONCE_MINE);
    for (int i = 0; i < 2; i++) {
        stand_in_init(&tasks[i]);
        tn_once_begin_init(&futures[i], &once);
        cr_assert_eq(poll_by(&futures[i].base, &tasks[i]), TN_PENDING);
    }
    drop(&futures[0].base);
    tn_once_abandon(&once);
    cr_assert(!stand_in_woken(&tasks[0]) && stand_in_woken(&tasks[1]));
    cr_assert_eq(poll_by(&futures[1].base, &tasks[1]), TN_ONCE_MINE);
    drop(&futures[1].base);
    tn_once_complete(&once);
    for (int i = 0; i < 2; i++)
        cr_assert(stand_in_is_free(&tasks[i]));
    tn_once_fini(&once);
}

Test(once, abandoned_with_nobody_waiting)
{
    tn_once once = TN_ONCE_INIT;

    cr_assert_eq(tn_once_begin(&once), TN_ONCE_MINE);
    tn_once_abandon(&once);
    cr_assert_eq(tn_once_try_begin(&once), TN_ONCE_MINE);
    tn_once_complete(&once);
    cr_assert_eq(tn_once_try_begin(&once), 0);
}

static struct {
    tn_once once;
    atomic_ulong tries;
    unsigned long value;
} lazy;

static int make_at_the_third_try(void *arg)
{
    (void)arg;
    if (tn_yield() != 0)
        return TN_ECANCELED;
    if (atomic_fetch_add(&lazy.tries, 1) < 2)
        return TN_EAGAIN;
    lazy.value = 42;
    return 0;
}

static void *want_it(void *arg)
{
    int rc;

    while ((rc = tn_once_run(&lazy.once, make_at_the_third_try, arg)) == TN_EAGAIN)
        ;
    tt_check(rc == TN_ECANCELED || (rc == 0 && lazy.value == 42));
    return NULL;
}

Test(once, whoever_fails_or_is_cancelled_leaves_it_to_the_next)
{
    enum { WANTING = 8 };
    tn_runtime *runtime = tt_runtime_create();

    for (unsigned long round = 0; round < tt_scaled(500); round++) {
        tn_task *tasks[WANTING];
        tn_once_init(&lazy.once);
        atomic_store(&lazy.tries, 0);
        lazy.value = 0;
        for (int i = 0; i < WANTING; i++)
            tasks[i] = tt_spawn_on(runtime, want_it, NULL);
        for (int i = 0; i < 3; i++)
            tn_cancel(tasks[i]);
        for (int i = 0; i < WANTING; i++)
            tt_join(tasks[i]);
        cr_assert(tn_once_is_done(&lazy.once));
        cr_assert_eq(atomic_load(&lazy.tries), 3);
        tn_once_fini(&lazy.once);
    }
    tt_runtime_destroy(runtime);
}

/* --- The wait group --------------------------------------------------------------------------------------------------------- */

Test(wait_group, ends_with_the_last)
{
    tn_wait_group group = TN_WAIT_GROUP_INIT;
    tn_wait_group_future futures[3];
    stand_in tasks[3];

    cr_assert_eq(tn_wait_group_wait(&group), 0);
    tn_wait_group_add(&group, 2);
    cr_assert_eq(tn_wait_group_try_wait(&group), TN_EAGAIN);
    for (int i = 0; i < 3; i++) {
        stand_in_init(&tasks[i]);
        tn_wait_group_wait_init(&futures[i], &group);
        cr_assert_eq(poll_by(&futures[i].base, &tasks[i]), TN_PENDING);
    }
    drop(&futures[1].base);
    tn_wait_group_done(&group);
    cr_assert(!stand_in_woken(&tasks[0]));
    tn_wait_group_done(&group);
    cr_assert_eq(poll_by(&futures[0].base, &tasks[0]), 0);
    drop(&futures[2].base); /* woken, and not polled since */
    cr_assert_eq(tn_wait_group_try_wait(&group), 0);
    tn_wait_group_fini(&group);
    for (int i = 0; i < 3; i++)
        cr_assert(stand_in_is_free(&tasks[i]));
}

static void *be_done(void *arg)
{
    tn_wait_group_done(arg);
    return NULL;
}

/* The group is freed as soon as the wait is over. */
static void *wait_and_free(void *arg)
{
    enum { THINGS = 3 };

    for (unsigned long i = 0; i < *(unsigned long *)arg; i++) {
        tn_wait_group *group = malloc(sizeof *group);
        tt_check(group != NULL);
        tn_wait_group_init(group);
        tn_wait_group_add(group, THINGS);
        for (int t = 0; t < THINGS; t++)
            tt_check(tn_spawn(NULL, be_done, group) == 0);
        if (i % 3 == 0)
            tt_check(tn_yield() == 0);
        tt_check(tn_wait_group_wait(group) == 0);
        tn_wait_group_fini(group);
        memset(group, 0xff, sizeof *group); /* a late access by the last task finds a taken lock, or damages the next group */
        free(group);
    }
    return NULL;
}

Test(wait_group, may_go_when_the_wait_is_over)
{
    unsigned long rounds = tt_scaled(10000);
    tn_runtime *runtime = tt_runtime_create();
    tn_task *tasks[4];

    for (int i = 0; i < 4; i++)
        tasks[i] = tt_spawn_on(runtime, wait_and_free, &rounds);
    for (int i = 0; i < 4; i++)
        tt_join(tasks[i]);
    tt_runtime_destroy(runtime);
}

static struct {
    tn_wait_group group;
    atomic_ulong round;
    atomic_ulong done;
} crowded;

static void *end_each_round(void *arg)
{
    for (unsigned long round = 1; round <= *(unsigned long *)arg; round++) {
        while (atomic_load(&crowded.round) < round)
            ;
        tn_wait_group_done(&crowded.group);
        atomic_store(&crowded.done, round);
    }
    return NULL;
}

/* The last of many waiters is dropped while the others are being completed, and completes the rest itself. The group ends as
 * soon as all have completed: no thread accesses it afterwards. */
Test(wait_group, may_go_when_the_last_of_a_crowd_has_left)
{
    enum { MANY = 33 };
    static tn_wait_group_future futures[MANY];
    unsigned long rounds = tt_scaled(5000);
    pthread_t thread = tt_thread_start(end_each_round, &rounds);
    tn_wait_group gone;
    stand_in task;

    stand_in_init(&task);
    memset(&gone, 0xff, sizeof gone); /* a taken lock, among others */
    for (unsigned long round = 1; round <= rounds; round++) {
        tn_wait_group_init(&crowded.group);
        tn_wait_group_add(&crowded.group, 1);
        for (int i = 0; i < MANY; i++) {
            tn_wait_group_wait_init(&futures[i], &crowded.group);
            cr_assert_eq(poll_by(&futures[i].base, &task), TN_PENDING);
        }
        atomic_store(&crowded.round, round);
        while (poll_by(&futures[0].base, &task) == TN_PENDING)
            ;
        drop(&futures[MANY - 1].base);
        for (int i = 1; i + 1 < MANY; i++)
            cr_assert_eq(poll_by(&futures[i].base, &task), 0);
        memcpy(&crowded.group, &gone, sizeof gone);
        while (atomic_load(&crowded.done) < round)
            ;
        cr_assert_eq(memcmp(&crowded.group, &gone, sizeof gone), 0, "round %lu", round);
    }
    tt_thread_join(thread);
    cr_assert(stand_in_is_free(&task));
}
