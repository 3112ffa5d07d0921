/* SPDX-License-Identifier: MIT */
/* Channels under load: senders of every kind, cancelled at any moment. What was sent is received, once and in order. */
/* ctest: timeout=120 */
#include <stdatomic.h>

#include "support/runtime.h"
#include "sync_support.h"

enum { SENDERS = 6 };

/* An element: its sender, and its number with that sender. */
static uint64_t element_of(uintptr_t sender, uint64_t number)
{
    return (uint64_t)sender << 48 | number;
}

static struct {
    tn_mpsc *channel;
    size_t capacity;
    unsigned long each;
    atomic_ulong sent[SENDERS];
    unsigned long received[SENDERS];
    atomic_bool stop;
} load;

static void *send_all(void *arg)
{
    uintptr_t me = (uintptr_t)arg;
    int rc = 0;

    for (uint64_t number = 0; number < load.each && rc == 0; number++) {
        uint64_t element = element_of(me, number);
        if (number % 5 == 4) {
            rc = tn_mpsc_reserve(load.channel);
            if (rc == 0 && number % 2 == 0)
                tn_mpsc_unreserve(load.channel);
            if (rc == 0 && number % 2 == 0)
                rc = tn_mpsc_send(load.channel, &element);
            else if (rc == 0)
                tt_check(tn_mpsc_send_reserved(load.channel, &element) == 0);
        } else {
            rc = tn_mpsc_send(load.channel, &element);
        }
        if (rc == 0)
            atomic_fetch_add(&load.sent[me], 1);
    }
    tt_check(rc == 0 || rc == TN_ECANCELED || rc == TN_EPIPE);
    tn_mpsc_release_sender(load.channel);
    return NULL;
}

static void note(uint64_t element)
{
    uint64_t sender = element >> 48;

    tt_check(sender < SENDERS);
    tt_check((element & UINT64_C(0xffffffffffff)) == load.received[sender]);
    load.received[sender]++;
}

static void *receive_all(void *arg)
{
    uint64_t elements[7];
    int rc;

    (void)arg;
    for (unsigned long turn = 0;; turn++) {
        size_t length = tn_mpsc_length(load.channel);
        tt_check(length <= load.capacity);
        if (turn % 3 == 0)
            rc = tn_mpsc_recv_many(load.channel, elements, 7);
        else
            rc = tn_mpsc_recv(load.channel, elements);
        if (rc < 0)
            break;
        for (int i = 0; i < (turn % 3 == 0 ? rc : 1); i++)
            note(elements[i]);
    }
    tt_check(rc == TN_EPIPE);
    return NULL;
}

static void begin(size_t capacity, unsigned long each)
{
    cr_assert_eq(tn_mpsc_create(&load.channel, sizeof(uint64_t), capacity, NULL), 0);
    load.capacity = capacity;
    load.each = each;
    for (int i = 0; i < SENDERS; i++) {
        atomic_store(&load.sent[i], 0);
        load.received[i] = 0;
        tn_mpsc_retain_sender(load.channel);
    }
    tn_mpsc_release_sender(load.channel);
}

static void end(void)
{
    for (int i = 0; i < SENDERS; i++)
        cr_assert_eq(load.received[i], atomic_load(&load.sent[i]), "sender %d", i);
    tn_mpsc_release_receiver(load.channel);
}

/* Two of the senders are threads; the receiver is a fiber or a thread. */
static void run(tn_runtime *runtime, bool receive_in_thread)
{
    tn_task *tasks[SENDERS];
    tn_task *receiver = NULL;
    pthread_t threads[SENDERS];

    for (uintptr_t i = 0; i < SENDERS; i++)
        if (i < 2)
            threads[i] = tt_thread_start(send_all, (void *)i);
        else
            tasks[i] = tt_spawn_on(runtime, send_all, (void *)i);
    if (receive_in_thread)
        (void)receive_all(NULL);
    else
        receiver = tt_spawn_on(runtime, receive_all, NULL);
    for (int i = 0; i < SENDERS; i++)
        if (i < 2)
            tt_thread_join(threads[i]);
        else
            tt_join(tasks[i]);
    if (receiver != NULL)
        tt_join(receiver);
    end();
}

Test(mpsc_stress, all_arrives_in_order)
{
    static const size_t capacities[] = {1, 2, 100, TN_UNBOUNDED};
    tn_runtime *runtime = tt_runtime_create();

    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++)
        for (int in_thread = 0; in_thread < 2; in_thread++) {
            begin(capacities[i], tt_scaled(2000));
            run(runtime, in_thread != 0);
        }
    tt_runtime_destroy(runtime);
}

/* A task creates the channel, so that its fences are asymmetric. */
static void *begin_in_task(void *arg)
{
    begin(*(const size_t *)arg, tt_scaled(2000));
    return NULL;
}

Test(mpsc_stress, made_inside_the_runtime)
{
    static size_t capacities[] = {1, 2, 100};
    tn_runtime *runtime = tt_runtime_create();

    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++)
        for (int in_thread = 0; in_thread < 2; in_thread++) {
            tt_join(tt_spawn_on(runtime, begin_in_task, &capacities[i]));
            run(runtime, in_thread != 0);
        }
    tt_runtime_destroy(runtime);
}

Test(mpsc_stress, senders_are_cancelled)
{
    tn_runtime *runtime = tt_runtime_create();

    for (unsigned long round = 0; round < tt_scaled(300); round++) {
        tn_task *tasks[SENDERS];
        tn_task *receiver;
        begin(round % 3 + 1, 1000000);
        for (uintptr_t i = 0; i < SENDERS; i++)
            tasks[i] = tt_spawn_on(runtime, send_all, (void *)i);
        receiver = tt_spawn_on(runtime, receive_all, NULL);
        for (int i = 0; i < SENDERS; i++) {
            if (round % 2 == 0)
                tn_yield();
            tn_cancel(tasks[i]);
        }
        for (int i = 0; i < SENDERS; i++)
            tt_join(tasks[i]);
        tt_join(receiver);
        end();
    }
    tt_runtime_destroy(runtime);
}

static void *receive_some(void *arg)
{
    uint64_t element;

    (void)arg;
    while (tn_mpsc_recv(load.channel, &element) == 0)
        note(element);
    return NULL;
}

/* The receiver is cancelled again and again; the next one continues where it was. At the end the last one closes the
 * channel. */
Test(mpsc_stress, receivers_are_cancelled_and_the_channel_closed)
{
    tn_runtime *runtime = tt_runtime_create();

    for (unsigned long round = 0; round < tt_scaled(100); round++) {
        tn_task *tasks[SENDERS];
        uint64_t element;
        begin(round % 3 + 1, 1000000);
        for (uintptr_t i = 0; i < SENDERS; i++)
            tasks[i] = tt_spawn_on(runtime, send_all, (void *)i);
        for (int i = 0; i < 5; i++) {
            tn_task *receiver = tt_spawn_on(runtime, receive_some, NULL);
            if (i % 2 == 0)
                tn_yield();
            tn_cancel(receiver);
            tt_join(receiver);
        }
        tn_mpsc_close(load.channel);
        while (tn_mpsc_recv(load.channel, &element) == 0)
            note(element);
        for (int i = 0; i < SENDERS; i++)
            tt_join(tasks[i]);
        end();
    }
    tt_runtime_destroy(runtime);
}
