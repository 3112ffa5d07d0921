/* SPDX-License-Identifier: MIT */
/* The blocks of an unbounded channel, with an allocator that sends and receives in between. */
#include "mpsc.h"
#include "support/allocator.h"
#include "support/runtime.h"
#include "sync_support.h"

static struct {
    tn_mpsc *channel;
    bool armed;
    bool recycle;
    unsigned blocks;
    unsigned freed;
    uint64_t received;
    uint64_t sent;
} between;

static void send_one(void)
{
    tt_check(tn_mpsc_try_send(between.channel, &between.sent) == 0);
    between.sent++;
}

static void receive_one(void)
{
    uint64_t element;

    tt_check(tn_mpsc_try_recv(between.channel, &element) == 0 && element == between.received);
    between.received++;
}

/* The caller has released the channel's lock. Another sender is faster, and the receiver empties the block first. */
static void *make_while_others_send(void *ctx, size_t size, size_t align)
{
    (void)ctx;
    if (between.armed) {
        between.armed = false;
        send_one();
        while (between.recycle && between.received < between.sent)
            receive_one();
    }
    between.blocks++;
    return aligned_alloc(align < 64 ? 64 : align, (size + 63) / 64 * 64);
}

static void free_without_lock(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    (void)size;
    if (ptr == NULL)
        return;
    /* The last one is the channel itself. */
    tt_check(ptr == between.channel || tni_a32_load(&between.channel->waiting.lock.held, TNI_RELAXED) == 0);
    between.blocks--;
    between.freed++;
    free(ptr);
}

/* The block that came too late is kept for later. If one is kept already, the new one is freed, and not under the lock. */
Test(mpsc_blocks, a_block_too_many)
{
    static const tn_allocator allocator = {make_while_others_send, free_without_lock, NULL};
    tn_channel_options options = tn_channel_options_default();

    options.allocator = &allocator;
    for (int recycle = 0; recycle < 2; recycle++) {
        uint64_t last;
        memset(&between, 0, sizeof between);
        between.recycle = recycle != 0;
        cr_assert_eq(tn_mpsc_create(&between.channel, sizeof(uint64_t), TN_UNBOUNDED, &options), 0);
        for (size_t i = 0; i < between.channel->block_elements; i++)
            send_one();
        between.armed = true;
        last = between.sent + 1; /* after the element that was sent in between */
        cr_assert_eq(tn_mpsc_try_send(between.channel, &last), 0);
        cr_assert(!between.armed);
        between.sent++;
        cr_assert_eq(between.freed, (unsigned)recycle);
        while (between.received < between.sent)
            receive_one();
        tn_mpsc_release_sender(between.channel);
        tn_mpsc_release_receiver(between.channel);
        cr_assert_eq(between.blocks, 0);
    }
}

static void send_before_failure(void *arg)
{
    (void)arg;
    send_one();
}

/* There is no memory for a block, but another sender has allocated one meanwhile. */
Test(mpsc_blocks, the_block_of_another_sender_will_do)
{
    tn_channel_options options = tn_channel_options_default();
    tt_allocator allocator;
    uint64_t last;

    tt_allocator_init(&allocator);
    allocator.before_failure = send_before_failure;
    options.allocator = &allocator.as_option;
    memset(&between, 0, sizeof between);
    cr_assert_eq(tn_mpsc_create(&between.channel, sizeof(uint64_t), TN_UNBOUNDED, &options), 0);
    for (unsigned by_place = 0; by_place < 2; by_place++) {
        while (between.channel->back_used < between.channel->block_elements)
            send_one();
        if (by_place == 1)
            cr_assert_eq(tn_mpsc_try_reserve(between.channel), 0);
        last = between.sent + 1; /* after the element that was sent in between */
        tt_allocator_fail(&allocator, 1, 1);
        cr_assert_eq((by_place == 1 ? tn_mpsc_send_reserved : tn_mpsc_try_send)(between.channel, &last), 0);
        between.sent++;
    }
    while (between.received < between.sent)
        receive_one();
    tt_allocator_fail(&allocator, 0, 0);
    tn_mpsc_release_sender(between.channel);
    tn_mpsc_release_receiver(between.channel);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

Test(mpsc_blocks, too_large)
{
    tn_mpsc *channel;

    cr_assert_eq(tn_mpsc_create(&channel, SIZE_MAX, 1, NULL), TN_ENOMEM);
    cr_assert_eq(tn_mpsc_create(&channel, SIZE_MAX / 2, TN_UNBOUNDED, NULL), TN_ENOMEM);
    cr_assert_eq(tn_mpsc_create(&channel, SIZE_MAX, TN_UNBOUNDED, NULL), TN_ENOMEM);
    cr_assert_null(channel);
}

/* A slot of an unbounded channel is no memory: only the send may find none. It uses the slot up all the same. */
Test(mpsc_blocks, a_reserved_place_is_no_memory)
{
    tn_channel_options options = tn_channel_options_default();
    tt_allocator allocator;
    uint64_t element = 0;
    tn_mpsc *channel;
    int rc = 0;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    cr_assert_eq(tn_mpsc_create(&channel, sizeof element, TN_UNBOUNDED, &options), 0);
    tt_allocator_fail(&allocator, 1, 1000000);
    for (; rc == 0; element++) {
        cr_assert_eq(element % 2 == 0 ? tn_mpsc_reserve(channel) : tn_mpsc_try_reserve(channel), 0);
        rc = tn_mpsc_send_reserved(channel, &element);
    }
    cr_assert_eq(rc, TN_ENOMEM);
    cr_assert_eq(tn_mpsc_try_send(channel, &element), TN_ENOMEM);
    cr_assert_eq(tn_mpsc_length(channel), element - 1);
    for (uint64_t i = 0, got; i < element - 1; i++)
        cr_assert(tn_mpsc_try_recv(channel, &got) == 0 && got == i);
    cr_assert_eq(tn_mpsc_try_recv(channel, &element), TN_EAGAIN);
    tn_mpsc_close(channel);
    cr_assert_eq(tn_mpsc_try_recv(channel, &element), TN_EPIPE); /* no slot is reserved */
    tn_mpsc_release_sender(channel);
    tn_mpsc_release_receiver(channel);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}
