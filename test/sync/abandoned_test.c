/* SPDX-License-Identifier: MIT */
/* A destroy that abandons a fiber removes it from what it waited for, which others continue to use. A grant that the fiber has
 * not taken goes to the next waiter. */
#include "support/abandoned.h"
#include "sync_support.h"

/* The result of a fiber that must not continue. */
static void *never(void)
{
    tt_check(false);
    return NULL;
}

/* --- Locks ------------------------------------------------------------------------------------------------------------------ */

static void *acquire_two(void *arg)
{
    (void)tn_semaphore_acquire(arg, 2);
    return never();
}

Test(abandoned, in_a_semaphore)
{
    tt_abandoned left;
    tn_semaphore semaphore;

    tn_semaphore_init(&semaphore, 1);
    tt_abandon_begin(&left, acquire_two, &semaphore);
    cr_assert_eq(tn_semaphore_try_acquire(&semaphore, 1), TN_EAGAIN); /* a waiter is ahead of this call */
    tt_abandon_end(&left);
    cr_assert_eq(tn_semaphore_try_acquire(&semaphore, 1), 0);
    tn_semaphore_release(&semaphore, 1);
    tn_semaphore_fini(&semaphore);
}

Test(abandoned, with_permits)
{
    tt_abandoned left;
    tn_semaphore semaphore;

    tn_semaphore_init(&semaphore, 0);
    tt_abandon_begin(&left, acquire_two, &semaphore);
    tn_semaphore_release(&semaphore, 2);
    cr_assert_eq(tn_semaphore_available(&semaphore), 0); /* the fiber has them */
    tt_abandon_end(&left);
    cr_assert_eq(tn_semaphore_available(&semaphore), 2);
    tn_semaphore_fini(&semaphore);
}

Test(abandoned, before_others_in_a_semaphore)
{
    tt_abandoned left;
    tn_semaphore semaphore;
    tn_semaphore_future behind;
    stand_in waiter;

    tn_semaphore_init(&semaphore, 1);
    stand_in_init(&waiter);
    tn_semaphore_acquire_init(&behind, &semaphore, 1);
    tt_abandon_begin(&left, acquire_two, &semaphore);
    cr_assert_eq(poll_by(&behind.base, &waiter), TN_PENDING);
    tt_abandon_end(&left);
    cr_assert(stand_in_woken(&waiter));
    cr_assert_eq(poll_by(&behind.base, &waiter), 0);
    drop(&behind.base);
    cr_assert(stand_in_is_free(&waiter));
}

static void *lock(void *arg)
{
    (void)tn_mutex_lock(arg);
    return never();
}

Test(abandoned, in_a_mutex)
{
    tt_abandoned left;
    tn_mutex mutex = TN_MUTEX_INIT;

    cr_assert_eq(tn_mutex_try_lock(&mutex), 0);
    tt_abandon_begin(&left, lock, &mutex);
    tt_abandon_end(&left);
    tn_mutex_unlock(&mutex);
    tn_mutex_fini(&mutex);
}

Test(abandoned, with_a_mutex)
{
    tt_abandoned left;
    tn_mutex mutex = TN_MUTEX_INIT;

    cr_assert_eq(tn_mutex_try_lock(&mutex), 0);
    tt_abandon_begin(&left, lock, &mutex);
    tn_mutex_unlock(&mutex);
    cr_assert_eq(tn_mutex_try_lock(&mutex), TN_EAGAIN); /* the fiber has it */
    tt_abandon_end(&left);
    cr_assert_eq(tn_mutex_try_lock(&mutex), 0);
    tn_mutex_unlock(&mutex);
    tn_mutex_fini(&mutex);
}

static void *lock_for_writing(void *arg)
{
    (void)tn_rwlock_write(arg);
    return never();
}

static void *lock_for_reading(void *arg)
{
    (void)tn_rwlock_read(arg);
    return never();
}

Test(abandoned, in_a_rwlock)
{
    tt_abandoned left;
    tn_rwlock rwlock = TN_RWLOCK_INIT;

    cr_assert_eq(tn_rwlock_try_read(&rwlock), 0);
    tt_abandon_begin(&left, lock_for_writing, &rwlock);
    cr_assert_eq(tn_rwlock_try_read(&rwlock), TN_EAGAIN); /* a writer waits */
    tt_abandon_end(&left);
    cr_assert_eq(tn_rwlock_try_read(&rwlock), 0);
    tn_rwlock_read_unlock(&rwlock);
    tn_rwlock_read_unlock(&rwlock);
    tn_rwlock_fini(&rwlock);
}

Test(abandoned, with_a_rwlock)
{
    tt_abandoned left;
    tn_rwlock rwlock = TN_RWLOCK_INIT;

    cr_assert_eq(tn_rwlock_try_read(&rwlock), 0);
    tt_abandon_begin(&left, lock_for_writing, &rwlock);
    tn_rwlock_read_unlock(&rwlock);
    cr_assert_eq(tn_rwlock_try_read(&rwlock), TN_EAGAIN); /* the fiber has it */
    tt_abandon_end(&left);
    cr_assert_eq(tn_rwlock_try_write(&rwlock), 0);
    tt_abandon_begin(&left, lock_for_reading, &rwlock);
    tn_rwlock_write_unlock(&rwlock);
    cr_assert_eq(tn_rwlock_try_write(&rwlock), TN_EAGAIN);
    tt_abandon_end(&left);
    tn_rwlock_fini(&rwlock);
}

/* --- Waiting for each other ------------------------------------------------------------------------------------------------- */

static void *wait_notify(void *arg)
{
    (void)tn_notify_wait(arg);
    return never();
}

Test(abandoned, in_a_notify)
{
    tt_abandoned left;
    tn_notify notify = TN_NOTIFY_INIT;

    tt_abandon_begin(&left, wait_notify, &notify);
    tt_abandon_end(&left);
    tn_notify_one(&notify);
    cr_assert_eq(tn_notify_try_wait(&notify), 0);
    tn_notify_fini(&notify);
}

Test(abandoned, with_a_notification)
{
    tt_abandoned left;
    tn_notify notify = TN_NOTIFY_INIT;

    tt_abandon_begin(&left, wait_notify, &notify);
    tn_notify_one(&notify);
    cr_assert_eq(tn_notify_try_wait(&notify), TN_EAGAIN);
    tt_abandon_end(&left);
    cr_assert_eq(tn_notify_try_wait(&notify), 0); /* passed on */
    tt_abandon_begin(&left, wait_notify, &notify);
    tn_notify_all(&notify);
    tt_abandon_end(&left);
    cr_assert_eq(tn_notify_try_wait(&notify), TN_EAGAIN);
    tn_notify_fini(&notify);
}

static void *wait_barrier(void *arg)
{
    (void)tn_barrier_wait(arg);
    return never();
}

Test(abandoned, at_a_barrier)
{
    tt_abandoned left;
    tn_barrier barrier = TN_BARRIER_INIT(2);
    tn_barrier_future one;
    stand_in waiter;

    stand_in_init(&waiter);
    tn_barrier_wait_init(&one, &barrier);
    tt_abandon_begin(&left, wait_barrier, &barrier);
    tt_abandon_end(&left);
    cr_assert_eq(poll_by(&one.base, &waiter), TN_PENDING); /* the fiber no longer counts */
    drop(&one.base);
    tn_barrier_fini(&barrier);
}

static void *begin_once(void *arg)
{
    (void)tn_once_begin(arg);
    return never();
}

Test(abandoned, in_a_once)
{
    tt_abandoned left;
    tn_once once = TN_ONCE_INIT;

    cr_assert_eq(tn_once_try_begin(&once), TN_ONCE_MINE);
    tt_abandon_begin(&left, begin_once, &once);
    tt_abandon_end(&left);
    tn_once_abandon(&once);
    cr_assert_eq(tn_once_try_begin(&once), TN_ONCE_MINE);
    tt_abandon_begin(&left, begin_once, &once);
    tn_once_abandon(&once); /* the fiber is chosen */
    cr_assert_eq(tn_once_try_begin(&once), TN_EAGAIN);
    tt_abandon_end(&left);
    cr_assert_eq(tn_once_try_begin(&once), TN_ONCE_MINE);
    tn_once_complete(&once);
    tn_once_fini(&once);
}

static void *wait_group(void *arg)
{
    (void)tn_wait_group_wait(arg);
    return never();
}

Test(abandoned, in_a_wait_group)
{
    tt_abandoned left;
    tn_wait_group group = TN_WAIT_GROUP_INIT;

    tn_wait_group_add(&group, 1);
    tt_abandon_begin(&left, wait_group, &group);
    tt_abandon_end(&left);
    tn_wait_group_done(&group);
    cr_assert_eq(tn_wait_group_try_wait(&group), 0);
    tn_wait_group_fini(&group);
}

/* --- Channels --------------------------------------------------------------------------------------------------------------- */

static void *receive_oneshot(void *arg)
{
    uint64_t element;

    (void)tn_oneshot_recv(arg, &element);
    return never();
}

Test(abandoned, in_a_oneshot)
{
    for (int sent = 0; sent < 2; sent++) {
        const uint64_t five = 5;
        uint64_t element = 0;
        tt_abandoned left;
        tn_oneshot *oneshot;

        cr_assert_eq(tn_oneshot_create(&oneshot, sizeof element, NULL), 0);
        tt_abandon_begin(&left, receive_oneshot, oneshot);
        if (sent)
            cr_assert_eq(tn_oneshot_send(oneshot, &five), 0);
        tt_abandon_end(&left);
        if (!sent)
            cr_assert_eq(tn_oneshot_send(oneshot, &five), 0);
        cr_assert_eq(tn_oneshot_try_recv(oneshot, &element), 0);
        cr_assert_eq(element, 5);
        tn_oneshot_release(oneshot);
    }
}

static void *receive(void *arg)
{
    uint64_t element;

    (void)tn_mpsc_recv(arg, &element);
    return never();
}

static void *receive_many(void *arg)
{
    uint64_t elements[3];

    (void)tn_mpsc_recv_many(arg, elements, 3);
    return never();
}

Test(abandoned, as_the_receiver_of_a_channel)
{
    static const tn_entry_fn entries[2] = {receive, receive_many};

    for (int i = 0; i < 4; i++) {
        const uint64_t five = 5;
        bool sent = i >= 2;
        uint64_t element = 0;
        tt_abandoned left;
        tn_mpsc *channel;

        cr_assert_eq(tn_mpsc_create(&channel, sizeof element, 2, NULL), 0);
        tt_abandon_begin(&left, entries[i % 2], channel);
        if (sent)
            cr_assert_eq(tn_mpsc_try_send(channel, &five), 0);
        tt_abandon_end(&left);
        if (!sent)
            cr_assert_eq(tn_mpsc_try_send(channel, &five), 0);
        cr_assert_eq(tn_mpsc_try_recv(channel, &element), 0);
        cr_assert_eq(element, 5);
        tn_mpsc_release_sender(channel);
        tn_mpsc_release_receiver(channel);
    }
}

static void *send(void *arg)
{
    const uint64_t six = 6;

    (void)tn_mpsc_send(arg, &six);
    return never();
}

static void *reserve(void *arg)
{
    (void)tn_mpsc_reserve(arg);
    return never();
}

Test(abandoned, as_a_sender)
{
    static const tn_entry_fn entries[2] = {send, reserve};

    for (int i = 0; i < 4; i++) {
        const uint64_t five = 5;
        bool granted = i >= 2;
        uint64_t element = 0;
        tt_abandoned left;
        tn_mpsc *channel;

        cr_assert_eq(tn_mpsc_create(&channel, sizeof element, 1, NULL), 0);
        cr_assert_eq(tn_mpsc_try_send(channel, &five), 0);
        tt_abandon_begin(&left, entries[i % 2], channel);
        if (granted) {
            cr_assert_eq(tn_mpsc_try_recv(channel, &element), 0);
            cr_assert_eq(tn_mpsc_try_send(channel, &five), TN_EAGAIN); /* the fiber has the slot */
        }
        tt_abandon_end(&left);
        if (!granted)
            cr_assert_eq(tn_mpsc_try_recv(channel, &element), 0);
        cr_assert_eq(tn_mpsc_try_send(channel, &five), 0);
        cr_assert_eq(tn_mpsc_try_recv(channel, &element), 0);
        cr_assert_eq(tn_mpsc_try_recv(channel, &element), TN_EAGAIN); /* the fiber has not sent */
        tn_mpsc_release_sender(channel);
        tn_mpsc_release_receiver(channel);
    }
}

static void *receive_broadcast(void *arg)
{
    uint64_t element;

    (void)tn_broadcast_recv(arg, &element, NULL);
    return never();
}

Test(abandoned, in_a_broadcast)
{
    for (int sent = 0; sent < 2; sent++) {
        const uint64_t five = 5;
        uint64_t element = 0;
        tn_broadcast_receiver receiver;
        tt_abandoned left;
        tn_broadcast *channel;

        cr_assert_eq(tn_broadcast_create(&channel, sizeof element, 1, NULL), 0);
        tn_broadcast_subscribe(channel, &receiver);
        tt_abandon_begin(&left, receive_broadcast, &receiver);
        if (sent)
            cr_assert_eq(tn_broadcast_send(channel, &five), 1);
        tt_abandon_end(&left);
        if (!sent)
            cr_assert_eq(tn_broadcast_send(channel, &five), 1);
        cr_assert_eq(tn_broadcast_try_recv(&receiver, &element, NULL), 0);
        cr_assert_eq(element, 5);
        tn_broadcast_unsubscribe(&receiver);
        tn_broadcast_release_sender(channel);
    }
}

static void *wait_for_change(void *arg)
{
    (void)tn_watch_changed(arg);
    return never();
}

Test(abandoned, in_a_watch)
{
    for (int sent = 0; sent < 2; sent++) {
        const uint64_t five = 5;
        tn_watch_receiver receiver;
        tt_abandoned left;
        tn_watch *watch;

        cr_assert_eq(tn_watch_create(&watch, sizeof five, &(uint64_t){0}, NULL), 0);
        tn_watch_subscribe(watch, &receiver);
        tt_abandon_begin(&left, wait_for_change, &receiver);
        if (sent)
            tn_watch_send(watch, &five);
        tt_abandon_end(&left);
        if (!sent)
            tn_watch_send(watch, &five);
        cr_assert_eq(tn_watch_try_changed(&receiver), 0);
        tn_watch_unsubscribe(&receiver);
        tn_watch_release_sender(watch);
    }
}

/* --- Tokens ----------------------------------------------------------------------------------------------------------------- */

static void *wait_for_token(void *arg)
{
    (void)tn_cancel_token_wait(arg);
    return never();
}

static void *sleep_in_token_scope(void *arg)
{
    TN_CANCEL_TOKEN_SCOPE(outer, TN_NEVER, arg);
    TN_SHIELD(shield, TN_NEVER);
    TN_CANCEL_TOKEN_SCOPE(inner, TN_NEVER, arg);

    (void)tn_sleep(3600 * TN_S);
    return never();
}

static void ignore(tn_cancel_token_hook *hook)
{
    (void)hook;
    tt_check(false);
}

static void remove_hook(void *arg)
{
    tt_check(tn_cancel_token_hook_remove(arg));
}

/* A hook of the program's own. An exit hook removes it, and runs while the stack still exists. */
static void *sleep_with_hook(void *arg)
{
    tn_cancel_token_hook hook = {.call = ignore};

    tt_check(tn_cancel_token_hook_add(arg, &hook) == 0);
    tt_check(tn_task_at_exit(remove_hook, &hook) == 0);
    (void)tn_sleep(3600 * TN_S);
    return never();
}

static void leave_in_token(tn_entry_fn entry, bool cancelled_before)
{
    tt_abandoned left;
    tn_cancel_token *token;

    cr_assert_eq(tn_cancel_token_create(&token, NULL, NULL), 0);
    tt_abandon_begin(&left, entry, token);
    if (cancelled_before)
        tn_cancel_token_cancel(token);
    tt_abandon_end(&left);
    tn_cancel_token_cancel(token);
    tn_cancel_token_release(token);
}

Test(abandoned, in_a_token)
{
    leave_in_token(wait_for_token, false);
    leave_in_token(wait_for_token, true);
}

Test(abandoned, in_a_token_scope)
{
    leave_in_token(sleep_in_token_scope, false);
    leave_in_token(sleep_in_token_scope, true);
}

Test(abandoned, with_a_hook)
{
    leave_in_token(sleep_with_hook, false);
}

/* --- What is not undone ----------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_mutex mutex;
    tn_semaphore semaphore;
    tn_mpsc *channel;
    tn_once once;
    tn_task *self; /* a handle */
} belongings;

static void *hold_all(void *arg)
{
    belongings *b = arg;

    tt_check(tn_mutex_lock(&b->mutex) == 0 && tn_semaphore_acquire(&b->semaphore, 1) == 0);
    tt_check(tn_mpsc_reserve(b->channel) == 0 && tn_once_begin(&b->once) == TN_ONCE_MINE);
    b->self = tn_task_retain(tn_self());
    (void)tn_sleep(3600 * TN_S);
    return never();
}

Test(abandoned, holds_what_it_held)
{
    belongings b = {.mutex = TN_MUTEX_INIT, .semaphore = TN_SEMAPHORE_INIT(1), .once = TN_ONCE_INIT};
    const uint64_t five = 5;
    tt_abandoned left;

    cr_assert_eq(tn_mpsc_create(&b.channel, sizeof five, 1, NULL), 0);
    tt_abandon_begin(&left, hold_all, &b);
    tt_abandon_end_with(&left, 0);
    cr_assert_eq(tn_mutex_try_lock(&b.mutex), TN_EAGAIN);
    cr_assert_eq(tn_semaphore_try_acquire(&b.semaphore, 1), TN_EAGAIN);
    cr_assert_eq(tn_mpsc_try_send(b.channel, &five), TN_EAGAIN);
    cr_assert_eq(tn_once_try_begin(&b.once), TN_EAGAIN);
    cr_assert_gt(atomic_load(&left.allocator.blocks), 0); /* for the handle */
    tn_task_release(b.self);
    cr_assert_eq(atomic_load(&left.allocator.blocks), 0);
    tn_mpsc_unreserve(b.channel);
    tn_mpsc_release_sender(b.channel);
    tn_mpsc_release_receiver(b.channel);
}

static void drop_future(void *future)
{
    drop(future);
}

/* A branch that the fiber has polled stays in the queue while the fiber waits elsewhere. An exit hook removes the branch. */
static void *poll_and_sleep(void *arg)
{
    tn_semaphore_future branch;
    tn_sleep_future soon;
    tn_future *branches[] = {&branch.base, &soon.base};

    tn_semaphore_acquire_init(&branch, arg, 1);
    tn_sleep_init(&soon, tn_now());
    tt_check(tn_task_at_exit(drop_future, &branch.base) == 0);
    tt_check(tn_select_biased(branches, 2, NULL) == 1);
    tn_future_drop(&soon.base);
    (void)tn_sleep(3600 * TN_S);
    return never();
}

Test(abandoned, with_a_branch_that_it_does_not_wait_in)
{
    tn_semaphore semaphore = TN_SEMAPHORE_INIT(0);
    tt_abandoned left;

    tt_abandon_begin(&left, poll_and_sleep, &semaphore);
    tt_abandon_end(&left);
    tn_semaphore_release(&semaphore, 1);
    cr_assert_eq(tn_semaphore_try_acquire(&semaphore, 1), 0);
    tn_semaphore_fini(&semaphore);
}
