/* SPDX-License-Identifier: MIT */
/* Releasing what is not held, or more than fits, ends the process, also where the count is checked under a lock. */
#include <string.h>

#include "support/runtime.h"
#include "sync_support.h"
#include "waiters.h"

static void expect_abort(void (*fn)(void *arg), const char *text)
{
    tt_child child = tt_fork(fn, NULL);

    cr_assert(tt_child_aborted(&child, text), "%s", child.said);
}

/* --- Semaphore -------------------------------------------------------------------------------------------------------------- */

#define TOO_MANY_PERMITS "tn_semaphore_release: more permits than a semaphore can hold"

static void release_too_many(void *arg)
{
    tn_semaphore semaphore = TN_SEMAPHORE_INIT(2);

    (void)arg;
    tn_semaphore_release(&semaphore, TN_SEMAPHORE_MAX - 1);
}

/* A waiter wants more than there will be, so the permits stay in the semaphore. */
static tn_semaphore waited = TN_SEMAPHORE_INIT(2);

static void wait_for_all(void)
{
    static tn_semaphore_future future;
    static stand_in task;

    stand_in_init(&task);
    tn_semaphore_acquire_init(&future, &waited, TN_SEMAPHORE_MAX);
    tt_check(poll_by(&future.base, &task) == TN_PENDING);
}

static void release_too_many_to_a_waiter(void *arg)
{
    (void)arg;
    wait_for_all();
    tn_semaphore_release(&waited, TN_SEMAPHORE_MAX - 1);
}

static void *release_what_fitted(void *arg)
{
    tn_semaphore_release(&waited, TN_SEMAPHORE_MAX - 3);
    return arg;
}

/* What another thread releases under the lock counts, although this release began earlier. */
static void release_beside_another(void *arg)
{
    struct {
        tni_a64 word;
        tni_waiters queue;
    } *inside = (void *)&waited;
    pthread_t thread;

    (void)arg;
    wait_for_all();
    tni_short_lock_acquire(&inside->queue.lock);
    thread = tt_thread_start(release_what_fitted, NULL);
    tt_block_thread(20 * TN_MS); /* by then it waits for the lock; if it comes later, this proves less */
    (void)tni_a64_fetch_add(&inside->word, 2 << 2, TNI_RELAXED);
    tni_short_lock_release(&inside->queue.lock);
    tt_thread_join(thread);
}

Test(misuse, a_semaphore_that_overflows)
{
    expect_abort(release_too_many, TOO_MANY_PERMITS);
    expect_abort(release_too_many_to_a_waiter, TOO_MANY_PERMITS);
    expect_abort(release_beside_another, TOO_MANY_PERMITS);
}

/* Exactly as many as fit are accepted. */
Test(misuse, a_semaphore_that_is_full)
{
    tn_semaphore semaphore = TN_SEMAPHORE_INIT(2);

    tn_semaphore_release(&semaphore, TN_SEMAPHORE_MAX - 2);
    cr_assert_eq(tn_semaphore_available(&semaphore), TN_SEMAPHORE_MAX);
    cr_assert_eq(tn_semaphore_try_acquire(&semaphore, TN_SEMAPHORE_MAX), 0);
    tn_semaphore_fini(&semaphore);
    wait_for_all();
    tn_semaphore_release(&waited, TN_SEMAPHORE_MAX - 2); /* the waiter is granted all */
    cr_assert_eq(tn_semaphore_available(&waited), 0);
    tn_semaphore_release(&waited, TN_SEMAPHORE_MAX);
}

/* --- Locks, once, wait group ------------------------------------------------------------------------------------------------ */

static void end_reading(void *arg)
{
    tn_rwlock lock = TN_RWLOCK_INIT;

    (void)arg;
    tn_rwlock_read_unlock(&lock);
}

static void end_writing(void *arg)
{
    tn_rwlock lock = TN_RWLOCK_INIT;

    (void)arg;
    (void)tn_rwlock_try_read(&lock);
    tn_rwlock_write_unlock(&lock);
}

static void downgrade(void *arg)
{
    tn_rwlock lock = TN_RWLOCK_INIT;

    (void)arg;
    tn_rwlock_downgrade(&lock);
}

Test(misuse, a_lock_that_is_not_held)
{
    expect_abort(end_reading, "not held for reading");
    expect_abort(end_writing, "not held for writing");
    expect_abort(downgrade, "tn_rwlock_downgrade: the lock is not held for writing");
}

static void complete_unbegun(void *arg)
{
    tn_once once = TN_ONCE_INIT;

    (void)arg;
    tn_once_complete(&once);
}

static void abandon_completed(void *arg)
{
    tn_once once = TN_ONCE_INIT;

    (void)arg;
    (void)tn_once_try_begin(&once);
    tn_once_complete(&once);
    tn_once_abandon(&once);
}

Test(misuse, a_once_that_is_not_begun)
{
    expect_abort(complete_unbegun, "tn_once_complete, tn_once_abandon: not begun, or ended before");
    expect_abort(abandon_completed, "tn_once_complete, tn_once_abandon: not begun, or ended before");
}

static void do_more(void *arg)
{
    tn_wait_group group = TN_WAIT_GROUP_INIT;

    (void)arg;
    tn_wait_group_add(&group, 1);
    tn_wait_group_done(&group);
    tn_wait_group_done(&group);
}

Test(misuse, a_wait_group_that_has_nothing_left)
{
    expect_abort(do_more, "tn_wait_group_done: the count is 0");
}

/* --- Channels --------------------------------------------------------------------------------------------------------------- */

static void send_unreserved(void *arg)
{
    uint64_t element = 1;
    tn_mpsc *channel;

    (void)arg;
    tt_check(tn_mpsc_create(&channel, sizeof element, 1, NULL) == 0);
    (void)tn_mpsc_send_reserved(channel, &element);
}

static void give_back_unreserved(void *arg)
{
    tn_mpsc *channel;

    (void)arg;
    tt_check(tn_mpsc_create(&channel, 1, 1, NULL) == 0);
    tn_mpsc_unreserve(channel);
}

Test(misuse, a_place_that_is_not_reserved)
{
    expect_abort(send_unreserved, "tn_mpsc_send_reserved: no slot is reserved");
    expect_abort(give_back_unreserved, "tn_mpsc_unreserve: no slot is reserved");
}

static void receive_none(void *arg)
{
    uint64_t element;
    tn_mpsc *channel;

    (void)arg;
    tt_check(tn_mpsc_create(&channel, sizeof element, 1, NULL) == 0);
    (void)tn_mpsc_recv_many(channel, &element, 0);
}

static void send_nothing(void *arg)
{
    tn_mpsc *channel;

    (void)arg;
    tt_check(tn_mpsc_create(&channel, 0, 1, NULL) == 0);
    (void)tn_mpsc_send(channel, NULL);
}

Test(misuse, a_channel_without_elements)
{
    expect_abort(receive_none, "tn_mpsc_recv_many: the count is out of range");
    expect_abort(send_nothing, "tn_mpsc_send: the element is NULL");
}

/* --- Arguments out of range ------------------------------------------------------------------------------------------------- */

static void begin_with_too_many(void *arg)
{
    tn_semaphore semaphore;

    (void)arg;
    tn_semaphore_init(&semaphore, TN_SEMAPHORE_MAX + 1);
}

static void acquire_too_many(void *arg)
{
    tn_semaphore semaphore = TN_SEMAPHORE_INIT(1);

    (void)arg;
    (void)tn_semaphore_acquire(&semaphore, TN_SEMAPHORE_MAX + 1);
}

static void split_too_many(void *arg)
{
    tn_semaphore semaphore = TN_SEMAPHORE_INIT(1);
    tn_permit permit = {&semaphore, 1};

    (void)arg;
    (void)tn_permit_split(&permit, 2);
}

static void merge_others(void *arg)
{
    tn_semaphore semaphores[2] = {TN_SEMAPHORE_INIT(1), TN_SEMAPHORE_INIT(1)};
    tn_permit permits[2] = {{&semaphores[0], 1}, {&semaphores[1], 1}};

    (void)arg;
    tn_permit_merge(&permits[0], &permits[1]);
}

static void add_too_many(void *arg)
{
    tn_wait_group group = TN_WAIT_GROUP_INIT;

    (void)arg;
    tn_wait_group_add(&group, UINT32_MAX);
    tn_wait_group_add(&group, 1);
}

static void no_parties(void *arg)
{
    tn_barrier barrier;

    (void)arg;
    tn_barrier_init(&barrier, 0);
}

Test(misuse, a_number_out_of_range)
{
    expect_abort(begin_with_too_many, "tn_semaphore_init: too many permits");
    expect_abort(acquire_too_many, "tn_semaphore_acquire: more permits than a semaphore can hold");
    expect_abort(split_too_many, "tn_permit_split: the part is larger than the permit");
    expect_abort(merge_others, "tn_permit_merge: the permits are of different semaphores");
    expect_abort(add_too_many, "tn_wait_group_add: the count is too large");
    expect_abort(no_parties, "tn_barrier_init: no parties");
}

/* --- What is ended while it is in use --------------------------------------------------------------------------------------- */

/* Lets a stand-in wait by `future`. */
static void wait_by(tn_future *future)
{
    static stand_in task;

    stand_in_init(&task);
    tt_check(poll_by(future, &task) == TN_PENDING);
}

static void end_a_semaphore(void *arg)
{
    (void)arg;
    wait_for_all();
    tn_semaphore_fini(&waited);
}

static void end_a_rwlock(void *arg)
{
    tn_rwlock lock = TN_RWLOCK_INIT;

    (void)arg;
    tt_check(tn_rwlock_try_read(&lock) == 0);
    tn_rwlock_fini(&lock);
}

static void end_a_notify(void *arg)
{
    tn_notify notify = TN_NOTIFY_INIT;
    tn_notify_future future;

    (void)arg;
    tn_notify_wait_init(&future, &notify);
    wait_by(&future.base);
    tn_notify_fini(&notify);
}

static void end_a_barrier(void *arg)
{
    tn_barrier barrier = TN_BARRIER_INIT(2);
    tn_barrier_future future;

    (void)arg;
    tn_barrier_wait_init(&future, &barrier);
    wait_by(&future.base);
    tn_barrier_fini(&barrier);
}

static void end_a_once(void *arg)
{
    tn_once once;
    tn_once_future future;

    (void)arg;
    tn_once_init(&once);
    tt_check(tn_once_try_begin(&once) == TN_ONCE_MINE);
    tn_once_begin_init(&future, &once);
    wait_by(&future.base);
    tn_once_fini(&once);
}

static void end_a_wait_group(void *arg)
{
    tn_wait_group group;
    tn_wait_group_future future;

    (void)arg;
    tn_wait_group_init(&group);
    tn_wait_group_add(&group, 1);
    tn_wait_group_wait_init(&future, &group);
    wait_by(&future.base);
    tn_wait_group_fini(&group);
}

static void call_nothing(tn_cancel_token_hook *hook)
{
    (void)hook;
}

static void end_a_token(void *arg)
{
    tn_cancel_token_hook hook = {.call = call_nothing};
    tn_cancel_token *token;

    (void)arg;
    tt_check(tn_cancel_token_create(&token, NULL, NULL) == 0);
    tt_check(tn_cancel_token_hook_add(token, &hook) == 0);
    tn_cancel_token_release(token);
}

Test(misuse, what_is_in_use)
{
    expect_abort(end_a_semaphore, "tn_semaphore_fini: there are waiters");
    expect_abort(end_a_rwlock, "tn_rwlock_fini: the lock is held or waited for");
    expect_abort(end_a_notify, "tn_notify_fini: there are waiters");
    expect_abort(end_a_barrier, "tn_barrier_fini: there are waiters");
    expect_abort(end_a_once, "tn_once_fini: there are waiters");
    expect_abort(end_a_wait_group, "tn_wait_group_fini: there are waiters");
    expect_abort(end_a_token, "a cancel token is freed while it has waiters or hooks");
    tn_cancel_token_release(NULL);
}
