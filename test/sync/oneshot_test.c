/* SPDX-License-Identifier: MIT */
/* The oneshot: send against close, drop against send, and an element that is left is discarded. */
#include <stdatomic.h>

#include "support/allocator.h"
#include "support/runtime.h"
#include "sync_support.h"

static atomic_ulong discarded;

static void discard(void *element)
{
    (void)element;
    atomic_fetch_add(&discarded, 1);
}

static tn_oneshot *make(void)
{
    tn_channel_options options = tn_channel_options_default();
    tn_oneshot *oneshot;

    options.discard = discard;
    tt_check(tn_oneshot_create(&oneshot, sizeof(int), &options) == 0);
    return oneshot;
}

Test(oneshot, sent_then_received)
{
    tn_oneshot *oneshot = make();
    int element = 7;

    cr_assert_eq(tn_oneshot_try_recv(oneshot, &element), TN_EAGAIN);
    cr_assert_eq(tn_oneshot_send(oneshot, &element), 0);
    element = 0;
    cr_assert_eq(tn_oneshot_recv(oneshot, &element), 0);
    cr_assert_eq(element, 7);
    cr_assert_eq(tn_oneshot_recv(oneshot, &element), TN_EPIPE, "there is no second one");
    tn_oneshot_release(oneshot);
    cr_assert_eq(atomic_load(&discarded), 0);
}

Test(oneshot, waited_for_then_sent)
{
    tn_oneshot *oneshot = make();
    tn_oneshot_future future;
    stand_in task;
    stand_in other;
    int element = 7;
    int got = 0;

    stand_in_init(&task);
    stand_in_init(&other);
    tn_oneshot_recv_init(&future, oneshot, &got);
    cr_assert_eq(poll_by(&future.base, &task), TN_PENDING);
    cr_assert_eq(poll_by(&future.base, &task), TN_PENDING);
    cr_assert_eq(poll_by(&future.base, &other), TN_PENDING);
    cr_assert(stand_in_is_free(&task));
    cr_assert_eq(tn_oneshot_send(oneshot, &element), 0);
    cr_assert(stand_in_woken(&other) && !stand_in_woken(&task));
    cr_assert_eq(poll_by(&future.base, &other), 0);
    drop(&future.base);
    cr_assert_eq(got, 7);
    tn_oneshot_release(oneshot);
    cr_assert(stand_in_is_free(&other));
}

/* Dropped before and after the send: the element is still there. */
Test(oneshot, a_dropped_receive_loses_nothing)
{
    for (int after = 0; after < 2; after++) {
        tn_oneshot *oneshot = make();
        tn_oneshot_future future;
        stand_in task;
        int element = 7;
        int got = 0;
        stand_in_init(&task);
        tn_oneshot_recv_init(&future, oneshot, &got);
        cr_assert_eq(poll_by(&future.base, &task), TN_PENDING);
        if (!after)
            drop(&future.base);
        cr_assert_eq(tn_oneshot_send(oneshot, &element), 0);
        cr_assert_eq(stand_in_woken(&task), after);
        if (after)
            drop(&future.base);
        cr_assert_eq(got, 0);
        cr_assert_eq(tn_oneshot_try_recv(oneshot, &got), 0);
        cr_assert_eq(got, 7);
        tn_oneshot_release(oneshot);
        cr_assert(stand_in_is_free(&task));
    }
}

Test(oneshot, abandoned)
{
    tn_oneshot *oneshot = make();
    tn_oneshot_future future;
    stand_in task;
    int got;

    stand_in_init(&task);
    tn_oneshot_recv_init(&future, oneshot, &got);
    cr_assert_eq(poll_by(&future.base, &task), TN_PENDING);
    tn_oneshot_abandon(oneshot);
    cr_assert(stand_in_woken(&task));
    cr_assert_eq(poll_by(&future.base, &task), TN_EPIPE);
    drop(&future.base);
    tn_oneshot_release(oneshot);
    cr_assert(stand_in_is_free(&task));
}

Test(oneshot, closed_before_the_send)
{
    tn_oneshot *oneshot = make();
    int element = 7;

    cr_assert(!tn_oneshot_is_closed(oneshot));
    tn_oneshot_close(oneshot);
    cr_assert(tn_oneshot_is_closed(oneshot));
    cr_assert_eq(tn_oneshot_try_recv(oneshot, &element), TN_EPIPE);
    cr_assert_eq(tn_oneshot_send(oneshot, &element), TN_EPIPE);
    tn_oneshot_release(oneshot);
    cr_assert_eq(atomic_load(&discarded), 0, "the element is the sender's");
}

Test(oneshot, closed_while_it_is_waited_for)
{
    tn_oneshot *oneshot = make();
    tn_oneshot_future future;
    stand_in task;
    int element = 7;

    stand_in_init(&task);
    tn_oneshot_recv_init(&future, oneshot, &element);
    cr_assert_eq(poll_by(&future.base, &task), TN_PENDING);
    tn_oneshot_close(oneshot);
    cr_assert(stand_in_woken(&task));
    cr_assert(stand_in_is_free(&task));
    cr_assert_eq(poll_by(&future.base, &task), TN_EPIPE);
    drop(&future.base);
    tn_oneshot_recv_init(&future, oneshot, &element);
    cr_assert_eq(poll_by(&future.base, &task), TN_EPIPE, "it was closed before");
    drop(&future.base);
    cr_assert_eq(tn_oneshot_send(oneshot, &element), TN_EPIPE);
    tn_oneshot_release(oneshot);
    cr_assert(stand_in_is_free(&task));
}

Test(oneshot, closed_after_the_send)
{
    tn_oneshot *oneshot = make();
    int element = 7;

    cr_assert_eq(tn_oneshot_send(oneshot, &element), 0);
    tn_oneshot_close(oneshot);
    cr_assert_eq(tn_oneshot_recv(oneshot, &element), 0);
    tn_oneshot_release(oneshot);
    cr_assert_eq(atomic_load(&discarded), 0);
}

Test(oneshot, what_is_left_is_discarded)
{
    tn_oneshot *oneshot = make();
    int element = 7;

    cr_assert_eq(tn_oneshot_send(oneshot, &element), 0);
    tn_oneshot_release(oneshot);
    cr_assert_eq(atomic_load(&discarded), 1);
    oneshot = make();
    tn_oneshot_release(oneshot);
    cr_assert_eq(tn_oneshot_send(oneshot, &element), TN_EPIPE);
    cr_assert_eq(atomic_load(&discarded), 1);
}

Test(oneshot, without_memory)
{
    tn_channel_options options = tn_channel_options_default();
    tt_allocator allocator;
    tn_oneshot *oneshot;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    tt_allocator_fail(&allocator, 1, 1);
    cr_assert_eq(tn_oneshot_create(&oneshot, 8, &options), TN_ENOMEM);
    cr_assert_null(oneshot);
    cr_assert_eq(tn_oneshot_create(&oneshot, 8, &options), 0);
    tn_oneshot_abandon(oneshot);
    tn_oneshot_release(oneshot);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

static bool let_others_in;

/* Polls futures that are ready, until one of them returns TN_PENDING because the budget is used up. */
static int greedy_poll(tn_future *self, tn_waker *waker)
{
    (void)self;
    for (int i = 0; i < 1000 && !let_others_in; i++) {
        tn_oneshot *oneshot = make();
        tn_oneshot_future future;
        int element = 7;
        tt_check(tn_oneshot_send(oneshot, &element) == 0);
        tn_oneshot_recv_init(&future, oneshot, &element);
        let_others_in = future.base.ops->poll(&future.base, waker) == TN_PENDING;
        drop(&future.base);
        tn_oneshot_release(oneshot);
        if (let_others_in)
            return TN_PENDING;
    }
    return 0;
}

static void greedy_drop(tn_future *self)
{
    (void)self;
}

static void *be_greedy(void *arg)
{
    static const tn_future_ops ops = {greedy_poll, greedy_drop};
    tn_future future = {&ops};
    tn_task *task;

    (void)arg;
    tt_check(tn_spawn_future(NULL, NULL, &task, &future) == 0);
    tt_join(task);
    return NULL;
}

Test(oneshot, a_ready_future_counts_against_the_budget)
{
    run_on_one_worker(be_greedy, NULL);
    cr_assert(let_others_in);
}

/* The memory of a oneshot that is freed stays accessible, and is overwritten. */
static struct {
    _Alignas(64) unsigned char bytes[512];
    bool freed;
} only;

static void *take_only(void *ctx, size_t size, size_t align)
{
    (void)ctx;
    tt_check(size <= sizeof only.bytes && align <= 64);
    only.freed = false;
    return memset(only.bytes, 0, sizeof only.bytes);
}

static void free_only(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    (void)size;
    tt_check(ptr == only.bytes);
    memset(only.bytes, 0xff, sizeof only.bytes);
    only.freed = true;
}

/* The future has completed, the receiver's end is released, and then the future is dropped. */
Test(oneshot, goes_before_the_future_is_dropped)
{
    static const tn_allocator allocator = {take_only, free_only, NULL};
    tn_channel_options options = tn_channel_options_default();

    options.allocator = &allocator;
    for (int sends = 0; sends < 2; sends++) {
        tn_oneshot *oneshot;
        tn_oneshot_future future;
        stand_in task;
        int element = 7;
        stand_in_init(&task);
        cr_assert_eq(tn_oneshot_create(&oneshot, sizeof(int), &options), 0);
        tn_oneshot_recv_init(&future, oneshot, &element);
        cr_assert_eq(poll_by(&future.base, &task), TN_PENDING);
        if (sends)
            cr_assert_eq(tn_oneshot_send(oneshot, &element), 0);
        else
            tn_oneshot_abandon(oneshot);
        cr_assert_eq(poll_by(&future.base, &task), sends ? 0 : TN_EPIPE);
        tn_oneshot_release(oneshot);
        cr_assert(only.freed);
        drop(&future.base);
        for (size_t i = 0; i < sizeof only.bytes; i++)
            cr_assert_eq(only.bytes[i], 0xff);
        cr_assert(stand_in_is_free(&task));
    }
}

/* --- Both ends at once ------------------------------------------------------------------------------------------------------ */

static atomic_ulong sent;
static atomic_ulong refused;
static atomic_ulong received;

static void *send_it(void *arg)
{
    tn_oneshot *oneshot = arg;
    int element = 7;

    if (((uintptr_t)arg >> 5) % 3 == 0)
        (void)tn_yield();
    atomic_fetch_add(tn_oneshot_send(oneshot, &element) == 0 ? &sent : &refused, 1);
    return NULL;
}

static void *receive_it(void *arg)
{
    int element = 0;
    int rc = tn_oneshot_recv(arg, &element);

    tt_check(rc == TN_ECANCELED || (rc == 0 && element == 7));
    if (rc == 0)
        atomic_fetch_add(&received, 1);
    tn_oneshot_release(arg);
    return NULL;
}

/* The receiver is cancelled at any moment, and releases its end. Each element is received, discarded, or still the sender's. */
Test(oneshot, exactly_one_outcome)
{
    tn_runtime *runtime = tt_runtime_create();
    unsigned long rounds = tt_scaled(30000);

    for (unsigned long i = 0; i < rounds; i++) {
        tn_oneshot *oneshot = make();
        tn_task *receiver = tt_spawn_on(runtime, receive_it, oneshot);
        tn_task *sender = NULL;
        pthread_t thread;
        bool from_outside = i % 64 == 0;
        if (from_outside)
            thread = tt_thread_start(send_it, oneshot);
        else
            sender = tt_spawn_on(runtime, send_it, oneshot);
        if (i % 2 == 0)
            tn_cancel(receiver);
        tt_join(receiver);
        if (from_outside)
            tt_thread_join(thread);
        else
            tt_join(sender);
    }
    cr_assert_eq(atomic_load(&sent) + atomic_load(&refused), rounds);
    cr_assert_eq(atomic_load(&received) + atomic_load(&discarded), atomic_load(&sent));
    tt_runtime_destroy(runtime);
}
