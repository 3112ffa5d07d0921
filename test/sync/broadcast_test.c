/* SPDX-License-Identifier: MIT */
/* Broadcast and watch: each receiver gets every element, or a report of how many it missed. */
/* ctest: timeout=120 */
#include <stdatomic.h>

#include "support/allocator.h"
#include "support/runtime.h"
#include "sync_support.h"

/* --- Broadcast ---------------------------------------------------------------------------------------------------------- */

static tn_broadcast *make(size_t capacity)
{
    tn_broadcast *channel;

    tt_check(tn_broadcast_create(&channel, sizeof(uint64_t), capacity, NULL) == 0);
    return channel;
}

Test(broadcast, each_gets_all_from_its_subscription_on)
{
    tn_broadcast *channel = make(3);
    tn_broadcast_receiver first;
    tn_broadcast_receiver second;
    uint64_t element = 0;

    cr_assert_eq(tn_broadcast_send(channel, &element), 0);
    tn_broadcast_subscribe(channel, &first);
    element = 1;
    cr_assert_eq(tn_broadcast_send(channel, &element), 1);
    tn_broadcast_subscribe(channel, &second);
    element = 2;
    cr_assert_eq(tn_broadcast_send(channel, &element), 2);
    tn_broadcast_release_sender(channel);
    for (uint64_t wanted = 1; wanted <= 2; wanted++) {
        cr_assert_eq(tn_broadcast_recv(&first, &element, NULL), 0);
        cr_assert_eq(element, wanted);
    }
    cr_assert_eq(tn_broadcast_recv(&second, &element, NULL), 0);
    cr_assert_eq(element, 2);
    cr_assert_eq(tn_broadcast_recv(&first, &element, NULL), TN_EPIPE);
    tn_broadcast_unsubscribe(&first);
    cr_assert_eq(tn_broadcast_try_recv(&second, &element, NULL), TN_EPIPE);
    tn_broadcast_unsubscribe(&second);
}

Test(broadcast, who_lags_is_told_how_far)
{
    tn_broadcast *channel = make(3);
    tn_broadcast_receiver receiver;
    uint64_t missed = 0;
    uint64_t element;

    tn_broadcast_subscribe(channel, &receiver);
    for (element = 0; element < 10; element++)
        (void)tn_broadcast_send(channel, &element);
    cr_assert_eq(tn_broadcast_recv(&receiver, &element, &missed), TN_EOVERFLOW);
    cr_assert_eq(missed, 7);
    for (uint64_t wanted = 7; wanted < 10; wanted++) {
        cr_assert_eq(tn_broadcast_recv(&receiver, &element, &missed), 0);
        cr_assert_eq(element, wanted);
    }
    cr_assert_eq(tn_broadcast_try_recv(&receiver, &element, &missed), TN_EAGAIN);
    tn_broadcast_unsubscribe(&receiver);
    tn_broadcast_release_sender(channel);
}

Test(broadcast, dropped_before_and_after_the_element)
{
    for (int after = 0; after < 2; after++) {
        tn_broadcast *channel = make(3);
        tn_broadcast_receiver receiver;
        tn_broadcast_future future;
        stand_in task;
        uint64_t got = 77;
        uint64_t element = 5;
        stand_in_init(&task);
        tn_broadcast_subscribe(channel, &receiver);
        tn_broadcast_recv_init(&future, &receiver, &got, NULL);
        cr_assert_eq(poll_by(&future.base, &task), TN_PENDING);
        if (!after)
            drop(&future.base);
        cr_assert_eq(tn_broadcast_send(channel, &element), 1);
        cr_assert_eq(stand_in_woken(&task), after);
        if (after)
            drop(&future.base);
        cr_assert_eq(got, 77);
        cr_assert_eq(tn_broadcast_try_recv(&receiver, &got, NULL), 0);
        cr_assert_eq(got, 5);
        tn_broadcast_unsubscribe(&receiver);
        tn_broadcast_release_sender(channel);
        cr_assert(stand_in_is_free(&task));
    }
}

Test(broadcast, the_last_sender_goes)
{
    tn_broadcast *channel = make(3);
    tn_broadcast_receiver receiver;
    tn_broadcast_future future;
    stand_in task;
    uint64_t got;

    stand_in_init(&task);
    tn_broadcast_retain_sender(channel);
    tn_broadcast_subscribe(channel, &receiver);
    tn_broadcast_recv_init(&future, &receiver, &got, NULL);
    cr_assert_eq(poll_by(&future.base, &task), TN_PENDING);
    tn_broadcast_release_sender(channel);
    cr_assert(!stand_in_woken(&task));
    tn_broadcast_release_sender(channel);
    cr_assert(stand_in_woken(&task));
    cr_assert_eq(poll_by(&future.base, &task), TN_EPIPE);
    drop(&future.base);
    tn_broadcast_unsubscribe(&receiver);
}

enum { LISTENERS = 6 };

static struct {
    tn_broadcast *channel;
    unsigned long count;
    atomic_uint ready;
} radio;

/* What is received and what is missed add up to all that was sent, in order. */
static void *listen_to_all(void *arg)
{
    tn_broadcast_receiver receiver;
    uint64_t next = 0;
    uint64_t element;
    uint64_t missed;
    int rc;

    (void)arg;
    tn_broadcast_subscribe(radio.channel, &receiver);
    atomic_fetch_add(&radio.ready, 1);
    while ((rc = tn_broadcast_recv(&receiver, &element, &missed)) != TN_EPIPE) {
        tt_check(rc == 0 || rc == TN_EOVERFLOW);
        if (rc == TN_EOVERFLOW)
            next += missed;
        else
            tt_check(element == next++);
    }
    tt_check(next == radio.count);
    tn_broadcast_unsubscribe(&receiver);
    return NULL;
}

static void *speak(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < radio.count; i++) {
        (void)tn_broadcast_send(radio.channel, &i);
        if (i % 16 == 0)
            tt_check(tn_yield() == 0);
    }
    tn_broadcast_release_sender(radio.channel);
    return NULL;
}

static bool all_ready(void *arg)
{
    (void)arg;
    return atomic_load(&radio.ready) == LISTENERS + 1;
}

Test(broadcast, fast_and_slow_listeners)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_task *tasks[LISTENERS + 1];
    pthread_t thread;

    radio.channel = make(64);
    radio.count = tt_scaled(20000);
    for (int i = 0; i < LISTENERS; i++)
        tasks[i] = tt_spawn_on(runtime, listen_to_all, NULL);
    thread = tt_thread_start(listen_to_all, NULL);
    cr_assert(tt_wait_until(all_ready, NULL, 30 * TN_S));
    tasks[LISTENERS] = tt_spawn_on(runtime, speak, NULL);
    for (int i = 0; i <= LISTENERS; i++)
        tt_join(tasks[i]);
    tt_thread_join(thread);
    tt_runtime_destroy(runtime);
}

/* --- Elements that own something ------------------------------------------------------------------------------------------ */

enum { OWNED = 64 };

static atomic_int references[OWNED];

static void retain_number(void *element)
{
    atomic_fetch_add(&references[*(uint64_t *)element], 1);
}

static void discard_number(void *element)
{
    tt_check(atomic_fetch_sub(&references[*(uint64_t *)element], 1) >= 1);
}

static int make_owning(tn_broadcast **channel, size_t element_size)
{
    tn_channel_options options = tn_channel_options_default();

    options.retain = retain_number;
    options.discard = discard_number;
    return tn_broadcast_create(channel, element_size, 3, &options);
}

static void *receive_owned(void *arg)
{
    tn_broadcast_receiver *receiver = arg;
    uint64_t element;
    int rc;

    while ((rc = tn_broadcast_recv(receiver, &element, NULL)) == 0 || rc == TN_EOVERFLOW)
        if (rc == 0) {
            tt_check(atomic_load(&references[element]) >= 1);
            discard_number(&element);
        }
    tt_check_eq(rc, TN_EPIPE);
    tn_broadcast_unsubscribe(receiver);
    return NULL;
}

static void *send_owned(void *arg)
{
    tn_broadcast_receiver receivers[4];
    tn_broadcast *channel;
    tn_task *tasks[3];

    tt_check_eq(make_owning(&channel, sizeof(uint64_t)), 0);
    for (int i = 0; i < 4; i++)
        tn_broadcast_subscribe(channel, &receivers[i]);
    for (int i = 0; i < 3; i++)
        tasks[i] = tt_spawn(receive_owned, &receivers[i]);
    for (uint64_t i = 0; i < OWNED; i++) {
        atomic_store(&references[i], 1);
        tt_check_eq(tn_broadcast_send(channel, &i) >= 1, 1);
        tt_check_eq(atomic_load(&references[i]) >= 1, 1); /* it is in the channel */
        if (i % 2 == 0)
            tt_check_eq(tn_yield(), 0);
    }
    tn_broadcast_release_sender(channel);
    for (int i = 0; i < 3; i++)
        tt_join(tasks[i]);
    for (uint64_t i = 0; i < OWNED; i++) /* three are left in the channel, which its last receiver keeps */
        tt_check_eq(atomic_load(&references[i]), i >= OWNED - 3);
    tn_broadcast_unsubscribe(&receivers[3]);
    for (uint64_t i = 0; i < OWNED; i++)
        tt_check_eq(atomic_load(&references[i]), 0);
    return arg;
}

Test(broadcast, elements_may_own_something)
{
    tt_run(send_owned, NULL);
}

Test(broadcast, retain_and_discard_need_each_other)
{
    tn_channel_options options = tn_channel_options_default();
    tn_broadcast *channel;

    options.discard = discard_number;
    cr_assert_eq(tn_broadcast_create(&channel, sizeof(uint64_t), 3, &options), TN_EINVAL);
    cr_assert_null(channel);
    options = tn_channel_options_default();
    options.retain = retain_number;
    cr_assert_eq(tn_broadcast_create(&channel, sizeof(uint64_t), 3, &options), TN_EINVAL);
    cr_assert_eq(make_owning(&channel, 257), TN_EINVAL);
    cr_assert_eq(make_owning(&channel, 256), 0); /* nothing is sent */
    tn_broadcast_release_sender(channel);
}

/* --- Watch -------------------------------------------------------------------------------------------------------------- */

static bool add_if_even(void *value, void *arg)
{
    uint64_t *number = value;

    if (*number % 2 != 0)
        return false;
    *number += *(uint64_t *)arg;
    return true;
}

Test(watch, tells_of_changes_and_not_how_many)
{
    uint64_t value = 10;
    tn_watch_receiver receiver;
    tn_watch *watch;

    cr_assert_eq(tn_watch_create(&watch, sizeof value, &value, NULL), 0);
    tn_watch_subscribe(watch, &receiver);
    cr_assert_eq(tn_watch_try_changed(&receiver), TN_EAGAIN);
    for (value = 11; value < 15; value++)
        tn_watch_send(watch, &value);
    cr_assert_eq(tn_watch_changed(&receiver), 0);
    cr_assert_eq(tn_watch_try_changed(&receiver), TN_EAGAIN);
    tn_watch_get(&receiver, &value);
    cr_assert_eq(value, 14);
    value = 3;
    cr_assert(tn_watch_send_if_modified(watch, add_if_even, &value));
    cr_assert(!tn_watch_send_if_modified(watch, add_if_even, &value));
    cr_assert_eq(*(const uint64_t *)tn_watch_borrow(&receiver), 17);
    tn_watch_return(&receiver);
    cr_assert_eq(tn_watch_try_changed(&receiver), TN_EAGAIN, "looking counts as seeing");
    tn_watch_send(watch, &value);
    tn_watch_release_sender(watch);
    cr_assert_eq(tn_watch_changed(&receiver), 0, "the last change is seen before the end");
    cr_assert_eq(tn_watch_changed(&receiver), TN_EPIPE);
    tn_watch_unsubscribe(&receiver);
}

Test(watch, the_last_sender_of_several_ends_it)
{
    uint64_t value = 1;
    tn_watch_receiver receivers[2];
    tn_watch *watch;

    cr_assert_eq(tn_watch_create(&watch, sizeof value, &value, NULL), 0);
    tn_watch_subscribe(watch, &receivers[0]);
    tn_watch_retain_sender(watch);
    tn_watch_release_sender(watch);
    cr_assert_eq(tn_watch_try_changed(&receivers[0]), TN_EAGAIN);
    tn_watch_release_sender(watch);
    cr_assert_eq(tn_watch_try_changed(&receivers[0]), TN_EPIPE);
    tn_watch_subscribe(receivers[0].watch, &receivers[1]); /* the caller holds a receiver */
    tn_watch_unsubscribe(&receivers[0]);
    tn_watch_get(&receivers[1], &value); /* the value stays */
    cr_assert_eq(value, 1);
    tn_watch_unsubscribe(&receivers[1]);
}

Test(watch, dropped_before_and_after_the_change)
{
    for (int after = 0; after < 2; after++) {
        uint64_t value = 1;
        tn_watch_receiver receiver;
        tn_watch_future future;
        stand_in task;
        tn_watch *watch;
        stand_in_init(&task);
        cr_assert_eq(tn_watch_create(&watch, sizeof value, &value, NULL), 0);
        tn_watch_subscribe(watch, &receiver);
        tn_watch_changed_init(&future, &receiver);
        cr_assert_eq(poll_by(&future.base, &task), TN_PENDING);
        if (!after)
            drop(&future.base);
        tn_watch_send(watch, &value);
        if (after)
            drop(&future.base);
        cr_assert_eq(tn_watch_try_changed(&receiver), 0, "the change is not lost");
        tn_watch_changed_init(&future, &receiver);
        cr_assert_eq(poll_by(&future.base, &task), TN_PENDING);
        (void)stand_in_woken(&task);
        tn_watch_release_sender(watch);
        cr_assert(stand_in_woken(&task));
        cr_assert_eq(poll_by(&future.base, &task), TN_EPIPE);
        drop(&future.base);
        tn_watch_unsubscribe(&receiver);
        cr_assert(stand_in_is_free(&task));
    }
}

typedef struct {
    uint64_t a, b, c; /* equal */
} triple;

static tn_watch *shown;

static void *watch_to_the_end(void *arg)
{
    tn_watch_receiver *receiver = arg;
    triple last = {0, 0, 0};
    int rc;

    while ((rc = tn_watch_changed(receiver)) == 0) {
        triple now;
        tn_watch_get(receiver, &now);
        tt_check(now.a == now.b && now.b == now.c && now.a >= last.a);
        last = now;
    }
    tt_check(rc == TN_EPIPE);
    tn_watch_get(receiver, &last);
    tn_watch_unsubscribe(receiver);
    return (void *)(uintptr_t)last.a;
}

static void *show(void *arg)
{
    for (uint64_t i = 1; i <= *(uint64_t *)arg; i++) {
        triple value = {i, i, i};
        tn_watch_send(shown, &value);
        if (i % 8 == 0)
            tt_check(tn_yield() == 0);
    }
    tn_watch_release_sender(shown);
    return NULL;
}

Test(watch, everyone_sees_the_last_value)
{
    enum { WATCHERS = 5 };
    tn_runtime *runtime = tt_runtime_create();
    tn_watch_receiver receivers[WATCHERS];
    tn_task *tasks[WATCHERS];
    uint64_t count = tt_scaled(20000);
    triple value = {0, 0, 0};
    tn_task *sender;

    cr_assert_eq(tn_watch_create(&shown, sizeof value, &value, NULL), 0);
    for (int i = 0; i < WATCHERS; i++) {
        tn_watch_subscribe(shown, &receivers[i]);
        tasks[i] = tt_spawn_on(runtime, watch_to_the_end, &receivers[i]);
    }
    sender = tt_spawn_on(runtime, show, &count);
    for (int i = 0; i < WATCHERS; i++)
        cr_assert_eq((uintptr_t)tt_join(tasks[i]), count);
    tt_join(sender);
    tt_runtime_destroy(runtime);
}

Test(watch, without_memory)
{
    tn_channel_options options = tn_channel_options_default();
    tt_allocator allocator;
    tn_broadcast *channel;
    tn_watch *watch;
    int value = 1;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    tt_allocator_fail(&allocator, 1, 2);
    cr_assert_eq(tn_watch_create(&watch, sizeof value, &value, &options), TN_ENOMEM);
    cr_assert_eq(tn_broadcast_create(&channel, 8, 8, &options), TN_ENOMEM);
    cr_assert_eq(tn_broadcast_create(&channel, 8, 0, &options), TN_EINVAL);
    cr_assert_eq(tn_broadcast_create(&channel, SIZE_MAX / 2, 8, &options), TN_ENOMEM);
    cr_assert_eq(tn_watch_create(&watch, sizeof value, &value, &options), 0);
    tn_watch_release_sender(watch);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

/* The last end frees the channel, and no earlier one: each is dropped last once. */
Test(broadcast, the_last_end_frees_it)
{
    tn_channel_options options = tn_channel_options_default();
    tt_allocator allocator;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    for (int sender_last = 0; sender_last < 2; sender_last++) {
        tn_broadcast_receiver receiver;
        tn_broadcast *channel;
        cr_assert_eq(tn_broadcast_create(&channel, 8, 8, &options), 0);
        tn_broadcast_subscribe(channel, &receiver);
        if (!sender_last)
            tn_broadcast_release_sender(channel);
        else
            tn_broadcast_unsubscribe(&receiver);
        cr_assert_eq(atomic_load(&allocator.blocks), 1);
        if (!sender_last)
            tn_broadcast_unsubscribe(&receiver);
        else
            tn_broadcast_release_sender(channel);
        cr_assert_eq(atomic_load(&allocator.blocks), 0);
    }
}

Test(watch, the_last_end_frees_it)
{
    tn_channel_options options = tn_channel_options_default();
    tn_watch_receiver receiver;
    tt_allocator allocator;
    tn_watch *watch;
    int value = 1;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    cr_assert_eq(tn_watch_create(&watch, sizeof value, &value, &options), 0);
    tn_watch_subscribe(watch, &receiver);
    tn_watch_retain_sender(watch);
    tn_watch_release_sender(watch);
    cr_assert_eq(tn_watch_try_changed(&receiver), TN_EAGAIN); /* a sender is left */
    tn_watch_release_sender(watch);
    cr_assert_eq(tn_watch_try_changed(&receiver), TN_EPIPE);
    cr_assert_eq(atomic_load(&allocator.blocks), 1);
    tn_watch_unsubscribe(&receiver);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}
