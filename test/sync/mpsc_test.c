/* SPDX-License-Identifier: MIT */
/* Channels with many senders: order, capacity, reserved slots, closing from either side, cancellation. */
/* ctest: timeout=120 */
#include <stdatomic.h>

#include "support/allocator.h"
#include "support/runtime.h"
#include "sync_support.h"

static tn_mpsc *make(size_t capacity)
{
    tn_mpsc *channel;

    tt_check(tn_mpsc_create(&channel, sizeof(uint64_t), capacity, NULL) == 0);
    return channel;
}

static void let_go(tn_mpsc *channel)
{
    tn_mpsc_release_sender(channel);
    tn_mpsc_release_receiver(channel);
}

static int try_send(tn_mpsc *channel, uint64_t element)
{
    return tn_mpsc_try_send(channel, &element);
}

/* Takes the next element, which is `wanted`. */
static void expect(tn_mpsc *channel, uint64_t wanted)
{
    uint64_t element = UINT64_MAX;

    cr_assert_eq(tn_mpsc_try_recv(channel, &element), 0);
    cr_assert_eq(element, wanted);
}

static void expect_nothing(tn_mpsc *channel, int verdict)
{
    uint64_t element;

    cr_assert_eq(tn_mpsc_try_recv(channel, &element), verdict);
}

/* --- One step at a time ------------------------------------------------------------------------------------------------- */

Test(mpsc, first_in_first_out_with_wraps)
{
    for (size_t capacity = 1; capacity < 10; capacity++) {
        tn_mpsc *channel = make(capacity);
        uint64_t in = 0;
        uint64_t out = 0;
        for (size_t step = 0; step < 100; step++) {
            while (in - out < 1 + step % capacity)
                cr_assert_eq(try_send(channel, in++), 0);
            cr_assert_eq(tn_mpsc_length(channel), in - out);
            expect(channel, out++);
        }
        while (in - out < capacity)
            cr_assert_eq(try_send(channel, in++), 0);
        cr_assert_eq(try_send(channel, in), TN_EAGAIN);
        let_go(channel);
    }
}

/* Reserved slots are not elements, and nothing that follows makes the length wrap around. */
Test(mpsc, the_length_counts_elements)
{
    tn_mpsc *channel = make(2);
    uint64_t element = 1;

    cr_assert_eq(tn_mpsc_length(channel), 0);
    cr_assert_eq(tn_mpsc_try_reserve(channel), 0);
    cr_assert_eq(tn_mpsc_try_reserve(channel), 0);
    cr_assert_eq(tn_mpsc_length(channel), 0);
    cr_assert_eq(tn_mpsc_send_reserved(channel, &element), 0);
    tn_mpsc_close(channel);
    cr_assert_eq(tn_mpsc_length(channel), 1);
    expect(channel, 1);
    cr_assert_eq(tn_mpsc_length(channel), 0);
    tn_mpsc_unreserve(channel);
    cr_assert_eq(tn_mpsc_length(channel), 0);
    expect_nothing(channel, TN_EPIPE);
    cr_assert_eq(tn_mpsc_length(channel), 0);
    let_go(channel);
}

Test(mpsc, unbounded_over_many_blocks)
{
    tn_mpsc *channel = make(TN_UNBOUNDED);
    uint64_t in = 0;
    uint64_t out = 0;

    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 1000; i++)
            cr_assert_eq(try_send(channel, in++), 0);
        for (int i = 0; i < 900; i++)
            expect(channel, out++);
    }
    cr_assert_eq(tn_mpsc_length(channel), in - out);
    let_go(channel);
}

Test(mpsc, elements_of_any_size)
{
    static const size_t sizes[] = {0, 1, 3, 8, 16, 1000, 5000};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t capacity = 2; capacity != 0; capacity = capacity == 2 ? TN_UNBOUNDED : 0) {
            unsigned char in[5000];
            unsigned char out[5000] = {0};
            tn_mpsc *channel;
            memset(in, (int)i + 1, sizeof in);
            cr_assert_eq(tn_mpsc_create(&channel, sizes[i], capacity, NULL), 0);
            for (int times = 0; times < 40; times++) {
                cr_assert_eq(tn_mpsc_try_send(channel, in), 0);
                cr_assert_eq(tn_mpsc_try_send(channel, in), 0);
                cr_assert_eq(tn_mpsc_try_recv(channel, out), 0);
                cr_assert_eq(tn_mpsc_try_recv(channel, out), 0);
                cr_assert(memcmp(in, out, sizes[i]) == 0 && (sizes[i] == sizeof out || out[sizes[i]] == 0));
            }
            let_go(channel);
        }
}

Test(mpsc, arguments_and_memory)
{
    tn_channel_options options = tn_channel_options_default();
    tt_allocator allocator;
    tn_mpsc *channel;
    uint64_t element = 0;
    int rc = 0;

    cr_assert_eq(tn_mpsc_create(&channel, 8, 0, NULL), TN_EINVAL);
    cr_assert_eq(tn_mpsc_create(&channel, SIZE_MAX / 4, 100, NULL), TN_ENOMEM);
    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    for (int nth = 1; nth <= 2; nth++) {
        tt_allocator_fail(&allocator, nth, 1);
        cr_assert_eq(tn_mpsc_create(&channel, 8, 4, &options), TN_ENOMEM);
        cr_assert_eq(atomic_load(&allocator.blocks), 0);
    }
    cr_assert_eq(tn_mpsc_create(&channel, 8, TN_UNBOUNDED, &options), 0);
    tt_allocator_fail(&allocator, 1, 1);
    for (; rc == 0; element++)
        rc = try_send(channel, element);
    cr_assert_eq(rc, TN_ENOMEM);
    cr_assert_eq(try_send(channel, element - 1), 0, "memory is there again: nothing is missing");
    for (uint64_t i = 0; i < element; i++)
        expect(channel, i);
    let_go(channel);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

static atomic_ulong discarded;

static void discard(void *element)
{
    (void)element;
    atomic_fetch_add(&discarded, 1);
}

Test(mpsc, what_is_left_is_discarded)
{
    tn_channel_options options = tn_channel_options_default();

    options.discard = discard;
    for (size_t capacity = 5; capacity != 0; capacity = capacity == 5 ? TN_UNBOUNDED : 0) {
        tn_mpsc *channel;
        cr_assert_eq(tn_mpsc_create(&channel, sizeof(uint64_t), capacity, &options), 0);
        for (uint64_t i = 0; i < 5; i++)
            cr_assert_eq(try_send(channel, i), 0);
        expect(channel, 0);
        atomic_store(&discarded, 0);
        tn_mpsc_release_receiver(channel);
        cr_assert_eq(try_send(channel, 9), TN_EPIPE);
        tn_mpsc_release_sender(channel);
        cr_assert_eq(atomic_load(&discarded), 4);
    }
}

Test(mpsc, receives_many)
{
    tn_mpsc *channel = make(10);
    uint64_t got[20];

    for (uint64_t i = 0; i < 10; i++)
        cr_assert_eq(try_send(channel, i), 0);
    cr_assert_eq(tn_mpsc_recv_many(channel, got, 4), 4);
    cr_assert_eq(tn_mpsc_recv_many(channel, got + 4, 16), 6);
    for (uint64_t i = 0; i < 10; i++)
        cr_assert_eq(got[i], i);
    tn_mpsc_close(channel);
    cr_assert_eq(tn_mpsc_recv_many(channel, got, 1), TN_EPIPE);
    let_go(channel);
}

/* --- Order of waiters, polled by hand ----------------------------------------------------------------------------------- */

enum { QUEUE = 4 };

typedef struct {
    tn_mpsc *channel;
    stand_in tasks[QUEUE];
    tn_mpsc_send_future futures[QUEUE];
    uint64_t elements[QUEUE];
} queue;

/* A full channel (100, 101, …) and waiting senders of 0, 1, …; those with an odd number reserve. */
static void queue_init(queue *q, size_t capacity)
{
    q->channel = make(capacity);
    for (uint64_t i = 0; i < capacity; i++)
        cr_assert_eq(try_send(q->channel, 100 + i), 0);
    for (uint64_t i = 0; i < QUEUE; i++) {
        stand_in_init(&q->tasks[i]);
        q->elements[i] = i;
        if (i % 2 == 0)
            tn_mpsc_send_init(&q->futures[i], q->channel, &q->elements[i]);
        else
            tn_mpsc_reserve_init(&q->futures[i], q->channel);
        cr_assert_eq(poll_by(&q->futures[i].base, &q->tasks[i]), TN_PENDING);
    }
}

static void queue_fini(queue *q)
{
    let_go(q->channel);
    for (int i = 0; i < QUEUE; i++)
        cr_assert(stand_in_is_free(&q->tasks[i]));
}

/* `i` and no other sender has been granted a slot: it sends. */
static void expect_sends(queue *q, int i)
{
    for (int other = 0; other < QUEUE; other++)
        cr_assert_eq(stand_in_woken(&q->tasks[other]), other == i, "%d instead of %d", other, i);
    cr_assert_eq(poll_by(&q->futures[i].base, &q->tasks[i]), 0);
    drop(&q->futures[i].base);
    if (i % 2 == 1)
        cr_assert_eq(tn_mpsc_send_reserved(q->channel, &q->elements[i]), 0);
}

Test(mpsc, senders_wait_in_order)
{
    queue q;

    queue_init(&q, 1);
    for (int i = 0; i < QUEUE; i++) {
        expect(q.channel, i == 0 ? 100 : (uint64_t)i - 1);
        cr_assert_eq(try_send(q.channel, 99), TN_EAGAIN, "nobody overtakes");
        expect_sends(&q, i);
    }
    expect(q.channel, QUEUE - 1);
    expect_nothing(q.channel, TN_EAGAIN);
    queue_fini(&q);
}

Test(mpsc, a_send_dropped_while_it_waits_has_not_sent)
{
    queue q;

    queue_init(&q, 1);
    drop(&q.futures[0].base);
    drop(&q.futures[2].base);
    expect(q.channel, 100);
    expect_sends(&q, 1);
    expect(q.channel, 1);
    expect_sends(&q, 3);
    expect(q.channel, 3);
    expect_nothing(q.channel, TN_EAGAIN);
    queue_fini(&q);
}

Test(mpsc, a_send_dropped_when_it_has_room_passes_it_on)
{
    queue q;

    queue_init(&q, 1);
    expect(q.channel, 100);
    cr_assert(stand_in_woken(&q.tasks[0]));
    drop(&q.futures[0].base); /* a send */
    cr_assert(stand_in_woken(&q.tasks[1]));
    drop(&q.futures[1].base); /* a reservation */
    expect_sends(&q, 2);
    expect(q.channel, 2);
    drop(&q.futures[3].base);
    cr_assert_eq(try_send(q.channel, 5), 0, "all the room has come back");
    queue_fini(&q);
}

Test(mpsc, closed_while_senders_wait)
{
    queue q;

    queue_init(&q, 2);
    expect(q.channel, 100);
    tn_mpsc_close(q.channel);
    cr_assert(tn_mpsc_is_closed(q.channel));
    cr_assert_eq(poll_by(&q.futures[0].base, &q.tasks[0]), 0, "it had room before");
    for (int i = 1; i < QUEUE; i++) {
        cr_assert(stand_in_woken(&q.tasks[i]));
        cr_assert_eq(poll_by(&q.futures[i].base, &q.tasks[i]), TN_EPIPE);
        drop(&q.futures[i].base);
    }
    cr_assert_eq(try_send(q.channel, 9), TN_EPIPE);
    expect(q.channel, 101);
    expect(q.channel, 0);
    expect_nothing(q.channel, TN_EPIPE);
    queue_fini(&q);
}

/* --- Reserved slots ----------------------------------------------------------------------------------------------------- */

Test(mpsc, reserved_places_take_room)
{
    tn_mpsc *channel = make(2);
    uint64_t element = 1;

    cr_assert_eq(tn_mpsc_try_reserve(channel), 0);
    cr_assert_eq(tn_mpsc_reserve(channel), 0);
    cr_assert_eq(tn_mpsc_try_reserve(channel), TN_EAGAIN);
    cr_assert_eq(try_send(channel, 9), TN_EAGAIN);
    tn_mpsc_unreserve(channel);
    cr_assert_eq(try_send(channel, 0), 0);
    cr_assert_eq(tn_mpsc_send_reserved(channel, &element), 0);
    cr_assert_eq(try_send(channel, 9), TN_EAGAIN);
    expect(channel, 0);
    expect(channel, 1);
    let_go(channel);
}

/* Closed and empty, but an element may still come: a receive does not report "closed", and a waiting receiver is woken. */
Test(mpsc, a_closed_channel_with_a_reserved_place)
{
    for (int send = 0; send < 2; send++) {
        tn_mpsc *channel = make(2);
        tn_mpsc_recv_future future;
        stand_in task;
        uint64_t element = 5;
        uint64_t got = 0;
        stand_in_init(&task);
        cr_assert_eq(tn_mpsc_try_reserve(channel), 0);
        tn_mpsc_close(channel);
        expect_nothing(channel, TN_EAGAIN);
        tn_mpsc_recv_init(&future, channel, &got);
        cr_assert_eq(poll_by(&future.base, &task), TN_PENDING);
        if (send)
            cr_assert_eq(tn_mpsc_send_reserved(channel, &element), 0);
        else
            tn_mpsc_unreserve(channel);
        cr_assert(stand_in_woken(&task));
        cr_assert_eq(poll_by(&future.base, &task), send ? 0 : TN_EPIPE);
        drop(&future.base);
        cr_assert(!send || got == 5);
        expect_nothing(channel, TN_EPIPE);
        let_go(channel);
        cr_assert(stand_in_is_free(&task));
    }
}

/* The same with a reservation that was granted, and dropped before it was polled. */
Test(mpsc, a_granted_reservation_is_dropped_on_a_closed_channel)
{
    tn_mpsc_recv_future recv;
    queue q;
    stand_in task;
    uint64_t got;

    stand_in_init(&task);
    queue_init(&q, 1);
    expect(q.channel, 100);
    tn_mpsc_close(q.channel);
    tn_mpsc_recv_init(&recv, q.channel, &got);
    cr_assert_eq(poll_by(&recv.base, &task), TN_PENDING);
    for (int i = 0; i < QUEUE; i++)
        drop(&q.futures[i].base);
    cr_assert(stand_in_woken(&task));
    cr_assert_eq(poll_by(&recv.base, &task), TN_EPIPE);
    drop(&recv.base);
    queue_fini(&q);
}

Test(mpsc, a_place_outlives_the_receiver)
{
    tn_mpsc *channel = make(1);
    uint64_t element = 1;

    cr_assert_eq(tn_mpsc_try_reserve(channel), 0);
    tn_mpsc_release_receiver(channel);
    cr_assert_eq(tn_mpsc_send_reserved(channel, &element), TN_EPIPE);
    tn_mpsc_release_sender(channel);
}

/* --- The receiver ------------------------------------------------------------------------------------------------------- */

Test(mpsc, a_dropped_receive_loses_nothing)
{
    for (int after = 0; after < 2; after++) {
        tn_mpsc *channel = make(4);
        tn_mpsc_recv_future future;
        stand_in task;
        uint64_t got = 77;
        stand_in_init(&task);
        tn_mpsc_recv_init(&future, channel, &got);
        cr_assert_eq(poll_by(&future.base, &task), TN_PENDING);
        if (!after)
            drop(&future.base);
        cr_assert_eq(try_send(channel, 1), 0);
        cr_assert_eq(stand_in_woken(&task), after);
        if (after)
            drop(&future.base);
        cr_assert_eq(got, 77);
        expect(channel, 1);
        let_go(channel);
        cr_assert(stand_in_is_free(&task));
    }
}

Test(mpsc, two_receivers)
{
    tn_mpsc *channel = make(4);
    tn_mpsc_recv_future first;
    tn_mpsc_recv_future second;
    stand_in tasks[2];
    uint64_t got[2];

    for (int i = 0; i < 2; i++)
        stand_in_init(&tasks[i]);
    tn_mpsc_recv_init(&first, channel, &got[0]);
    tn_mpsc_recv_many_init(&second, channel, &got[1], 1);
    cr_assert_eq(poll_by(&first.base, &tasks[0]), TN_PENDING);
    cr_assert_eq(poll_by(&second.base, &tasks[1]), TN_EBUSY);
    drop(&second.base);
    cr_assert_eq(poll_by(&first.base, &tasks[1]), TN_PENDING, "another waker");
    cr_assert(stand_in_is_free(&tasks[0]));
    cr_assert_eq(try_send(channel, 3), 0);
    cr_assert(stand_in_woken(&tasks[1]));
    cr_assert_eq(poll_by(&first.base, &tasks[1]), 0);
    drop(&first.base);
    let_go(channel);
}

/* The first receiver has been woken and not polled. The second one gets the element, and waits for the next. */
Test(mpsc, a_stale_receiver_leaves_the_other_alone)
{
    for (int polled = 0; polled < 2; polled++) {
        tn_mpsc *channel = make(4);
        tn_mpsc_recv_future first;
        tn_mpsc_recv_future second;
        stand_in tasks[2];
        uint64_t got[2];
        for (int i = 0; i < 2; i++)
            stand_in_init(&tasks[i]);
        tn_mpsc_recv_init(&first, channel, &got[0]);
        tn_mpsc_recv_init(&second, channel, &got[1]);
        cr_assert_eq(poll_by(&first.base, &tasks[0]), TN_PENDING);
        cr_assert_eq(try_send(channel, 1), 0);
        cr_assert(stand_in_woken(&tasks[0]));
        expect(channel, 1);
        cr_assert_eq(poll_by(&second.base, &tasks[1]), TN_PENDING);
        if (polled)
            cr_assert_eq(poll_by(&first.base, &tasks[0]), TN_EBUSY);
        drop(&first.base);
        cr_assert_eq(try_send(channel, 2), 0);
        cr_assert(stand_in_woken(&tasks[1]));
        cr_assert_eq(poll_by(&second.base, &tasks[1]), 0);
        cr_assert_eq(got[1], 2);
        drop(&second.base);
        let_go(channel);
        for (int i = 0; i < 2; i++)
            cr_assert(stand_in_is_free(&tasks[i]));
    }
}

Test(mpsc, the_last_sender_goes)
{
    tn_mpsc *channel = make(4);
    tn_mpsc_recv_future future;
    stand_in task;
    uint64_t got;

    stand_in_init(&task);
    tn_mpsc_retain_sender(channel);
    tn_mpsc_recv_init(&future, channel, &got);
    cr_assert_eq(poll_by(&future.base, &task), TN_PENDING);
    tn_mpsc_release_sender(channel);
    cr_assert(!stand_in_woken(&task));
    tn_mpsc_release_sender(channel);
    cr_assert(stand_in_woken(&task));
    cr_assert_eq(poll_by(&future.base, &task), TN_EPIPE);
    drop(&future.base);
    tn_mpsc_release_receiver(channel);
    cr_assert(stand_in_is_free(&task));
}

/* --- Cancelled fibers --------------------------------------------------------------------------------------------------- */

static struct {
    tn_mpsc *channel;
    bool cancel_first;
    int answer;
} cancelled;

static void *send_one(void *arg)
{
    uint64_t element = 2;

    (void)arg;
    cancelled.answer = tn_mpsc_send(cancelled.channel, &element);
    return NULL;
}

static void *cancel_a_send(void *arg)
{
    tn_task *task;
    uint64_t got;

    (void)arg;
    cancelled.channel = make(1);
    tt_check(try_send(cancelled.channel, 1) == 0);
    task = tt_spawn(send_one, NULL);
    let_others_run();
    if (cancelled.cancel_first)
        tn_cancel(task);
    tt_check(tn_mpsc_try_recv(cancelled.channel, &got) == 0 && got == 1);
    if (!cancelled.cancel_first)
        tn_cancel(task);
    tt_join(task);
    tt_check(cancelled.answer == TN_ECANCELED);
    tt_check(tn_mpsc_try_recv(cancelled.channel, &got) == TN_EAGAIN);
    tt_check(try_send(cancelled.channel, 3) == 0);
    let_go(cancelled.channel);
    return NULL;
}

Test(mpsc, a_send_is_cancelled_before_there_is_room)
{
    cancelled.cancel_first = true;
    run_on_one_worker(cancel_a_send, NULL);
}

Test(mpsc, a_send_is_cancelled_after_there_is_room)
{
    cancelled.cancel_first = false;
    run_on_one_worker(cancel_a_send, NULL);
}

static void *recv_one(void *arg)
{
    uint64_t element;

    (void)arg;
    cancelled.answer = tn_mpsc_recv(cancelled.channel, &element);
    return NULL;
}

static void *cancel_a_recv(void *arg)
{
    tn_task *task;
    uint64_t got;

    (void)arg;
    cancelled.channel = make(1);
    task = tt_spawn(recv_one, NULL);
    let_others_run();
    if (cancelled.cancel_first)
        tn_cancel(task);
    tt_check(try_send(cancelled.channel, 1) == 0);
    if (!cancelled.cancel_first)
        tn_cancel(task);
    tt_join(task);
    tt_check(cancelled.answer == TN_ECANCELED);
    tt_check(tn_mpsc_try_recv(cancelled.channel, &got) == 0 && got == 1);
    let_go(cancelled.channel);
    return NULL;
}

Test(mpsc, a_recv_is_cancelled_before_the_element)
{
    cancelled.cancel_first = true;
    run_on_one_worker(cancel_a_recv, NULL);
}

Test(mpsc, a_recv_is_cancelled_after_the_element)
{
    cancelled.cancel_first = false;
    run_on_one_worker(cancel_a_recv, NULL);
}
