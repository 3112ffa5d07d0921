/* SPDX-License-Identifier: MIT */
/* Counted slices: freed once, written without a copy, in order with other bytes, and shared by many writers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tn.h>

#include "support/allocator.h"
#include "support/runtime.h"

/* --- A stream that keeps what is written, and where from ----------------------------------------------------------------- */

typedef struct {
    char bytes[4096];
    size_t used;
    size_t most; /* per call */
    unsigned calls;
    unsigned fail; /* the call with this number fails, counted from 1 */
    const char *seen_from;
} sink;

static ssize_t sink_writev(void *object, const struct iovec *iov, int count)
{
    sink *s = object;
    size_t left = s->most;

    if (++s->calls == s->fail)
        return TN_ECANCELED;
    for (int i = 0; i < count && left > 0; i++) {
        size_t n = iov[i].iov_len < left ? iov[i].iov_len : left;
        tt_check(iov[i].iov_len > 0); /* no call has empty parts */
        tt_check(n <= sizeof s->bytes - s->used);
        memcpy(s->bytes + s->used, iov[i].iov_base, n);
        s->seen_from = iov[i].iov_base;
        s->used += n;
        left -= n;
    }
    return (ssize_t)(s->most - left);
}

static ssize_t sink_write(void *object, const void *buf, size_t size)
{
    struct iovec iov = {(void *)(uintptr_t)buf, size};

    return sink_writev(object, &iov, 1);
}

static const tn_io_ops sink_ops = {.size = sizeof sink_ops, .write = sink_write, .writev = sink_writev};

static void writer_init(tn_writer *writer, sink *s, const tn_allocator *allocator)
{
    tn_buffer_options options = tn_buffer_options_default();

    options.buffer_size = 64;
    options.allocator = allocator;
    cr_assert_eq(tn_writer_init(writer, (tn_io){&sink_ops, s}, &options), 0);
}

static tn_slice slice_of(const char *text, tt_allocator *allocator)
{
    tn_slice slice;

    cr_assert_eq(tn_slice_copy(&slice, text, strlen(text), &allocator->as_option), 0);
    return slice;
}

/* --- The count ----------------------------------------------------------------------------------------------------------- */

static void count_drop(void *arg)
{
    ++*(unsigned *)arg;
}

Test(slice, is_freed_with_the_last_reference)
{
    tt_allocator allocator;
    unsigned drops = 0;
    tn_slice slice, part;
    char *bytes;

    tt_allocator_init(&allocator);
    slice = slice_of("hello", &allocator);
    part = tn_slice_part(slice, 1, 3);
    tn_slice_release(slice);
    cr_assert_eq(part.bytes.size, 3);
    cr_assert_arr_eq(part.bytes.data, "ell", 3);
    tn_slice_release(part);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);

    cr_assert_eq(tn_slice_wrap(&slice, "static", 6, count_drop, &drops, &allocator.as_option), 0);
    part = tn_slice_retain(slice);
    tn_slice_release(slice);
    cr_assert_eq(drops, 0);
    tn_slice_release(part);
    cr_assert_eq(drops, 1);

    cr_assert_eq(tn_slice_alloc(&slice, &bytes, 0, &allocator.as_option), 0);
    tn_slice_release(slice);
    cr_assert_eq(tn_slice_alloc(&slice, &bytes, SIZE_MAX, &allocator.as_option), TN_ENOMEM);
    tt_allocator_fail(&allocator, 1, 1);
    cr_assert_eq(tn_slice_copy(&slice, "x", 1, &allocator.as_option), TN_ENOMEM);
    tt_allocator_fail(&allocator, 1, 1);
    cr_assert_eq(tn_slice_wrap(&slice, "x", 1, count_drop, &drops, &allocator.as_option), TN_ENOMEM);
    cr_assert_eq(drops, 1);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);

    slice = tn_slice_static("for ever", 8);
    tn_slice_release(tn_slice_retain(slice));
    tn_slice_release(slice);
}

/* --- In a writer --------------------------------------------------------------------------------------------------------- */

Test(slice, is_written_from_where_it_is)
{
    sink s = {.most = 4096};
    tt_allocator allocator;
    tn_writer writer;
    tn_slice slice;

    tt_allocator_init(&allocator);
    writer_init(&writer, &s, &allocator.as_option);
    slice = slice_of("shared", &allocator);
    cr_assert_eq(tn_writer_slice(&writer, slice), 0);
    cr_assert_eq(s.calls, 0);
    cr_assert_eq(tn_writer_flush(&writer), 0);
    cr_assert_eq(s.seen_from, slice.bytes.data); /* no copy */
    cr_assert_eq(tn_writer_slice(&writer, tn_slice_static("", 0)), 0);
    cr_assert_null(writer.slices);
    tn_slice_release(slice);
    cr_assert_eq(atomic_load(&allocator.blocks), 0); /* an idle writer has nothing */
    tn_writer_fini(&writer);
}

/* Pieces and slices of many sizes in turn, to a stream that takes `most` bytes per call and fails in call `fail`. What is
 * refused is written again. */
static void mixed(size_t most, unsigned fail)
{
    static const char text[] = "the quick brown fox jumps over the lazy dog, and over the other one too; neither of them cares";
    char expected[4096];
    size_t total = 0;
    sink s = {.most = most, .fail = fail};
    tt_allocator allocator;
    tn_writer writer;

    tt_allocator_init(&allocator);
    writer_init(&writer, &s, &allocator.as_option);
    for (unsigned i = 0; i < 60; i++) {
        size_t size = i * 7 % (sizeof text - 1);
        int rc;
        if (i % 3 == 0) {
            do
                rc = tn_writer_write(&writer, text, size);
            while (rc == TN_ECANCELED);
        } else {
            tn_slice slice;
            cr_assert_eq(tn_slice_copy(&slice, text, size, &allocator.as_option), 0);
            do
                rc = tn_writer_slice(&writer, slice);
            while (rc == TN_ECANCELED);
            tn_slice_release(slice); /* the writer has its own reference */
        }
        cr_assert_eq(rc, 0);
        memcpy(expected + total, text, size);
        total += size;
    }
    while (tn_writer_flush(&writer) == TN_ECANCELED)
        ;
    cr_assert(s.used == total && memcmp(s.bytes, expected, total) == 0, "%zu bytes per call, failure of call %u", most, fail);
    tn_writer_fini(&writer);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

Test(slice, keeps_its_place_among_other_bytes)
{
    for (size_t most = 1; most < 200; most += 7)
        mixed(most, 0);
    for (unsigned fail = 1; fail < 80; fail++)
        mixed(50, fail);
}

Test(slice, many_small_ones_wait_for_a_flush)
{
    sink s = {.most = 4096};
    tn_writer writer;

    writer_init(&writer, &s, NULL);
    tn_writer_cork(&writer);
    for (unsigned i = 0; i < 40; i++) {
        cr_assert_eq(tn_writer_slice(&writer, tn_slice_static("a", 1)), 0);
        cr_assert_eq(s.calls, i / 16); /* the slots are used up */
    }
    cr_assert_eq(tn_writer_printf(&writer, "b"), 0);
    cr_assert_eq(tn_writer_uncork(&writer), 0);
    cr_assert_eq(s.used, 41);
    cr_assert_eq(s.bytes[40], 'b');
    tn_writer_fini(&writer);
}

Test(slice, a_writer_that_ends_releases_what_waits)
{
    sink s = {.most = 4096};
    tt_allocator allocator;
    tn_writer writer;
    tn_slice slice;

    tt_allocator_init(&allocator);
    writer_init(&writer, &s, &allocator.as_option);
    slice = slice_of("never sent", &allocator);
    tt_allocator_fail(&allocator, 1, 1);
    cr_assert_eq(tn_writer_slice(&writer, slice), TN_ENOMEM);
    cr_assert_eq(tn_writer_slice(&writer, slice), 0);
    tn_slice_release(slice);
    cr_assert_gt(atomic_load(&allocator.blocks), 0);
    tn_writer_fini(&writer);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
    cr_assert_eq(s.calls, 0);
}

/* --- Shared by many ------------------------------------------------------------------------------------------------------ */

enum { SUBSCRIBERS = 16 };

typedef struct {
    tn_io ends[2];
    tn_mpsc *messages;
    unsigned long count;
} subscriber;

static void *write_messages(void *arg)
{
    subscriber *self = arg;
    tn_buffer_options options = tn_buffer_options_default();
    tn_writer writer;
    tn_slice slice;

    options.buffer_size = 64;
    tt_check_eq(tn_writer_init(&writer, self->ends[0], &options), 0);
    while (tn_mpsc_recv(self->messages, &slice) == 0) {
        tt_check_eq(tn_writer_slice(&writer, slice), 0);
        tn_slice_release(slice);
    }
    tt_check_eq(tn_writer_flush(&writer), 0);
    tn_writer_fini(&writer);
    tt_check_eq(tn_io_close_write(self->ends[0]), 0);
    return NULL;
}

static void *read_messages(void *arg)
{
    subscriber *self = arg;
    tn_reader reader;
    tn_bytes line;
    char text[32];

    tt_check_eq(tn_reader_init(&reader, self->ends[1], NULL), 0);
    for (; tn_reader_line(&reader, &line, 30) == 1; self->count++) {
        snprintf(text, sizeof text, "message %lu", self->count);
        tt_check(line.size == strlen(text) && memcmp(line.data, text, line.size) == 0);
    }
    tn_reader_fini(&reader);
    return NULL;
}

static void *broadcast(void *arg)
{
    tt_allocator *allocator = arg;
    subscriber subscribers[SUBSCRIBERS] = {0};
    tn_task *tasks[2 * SUBSCRIBERS];
    tn_duplex_options options = tn_duplex_options_default();
    unsigned long count = tt_scaled(1000);

    options.capacity = 200;
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        tt_check_eq(tn_duplex_open(subscribers[i].ends, &options), 0);
        tt_check_eq(tn_mpsc_create(&subscribers[i].messages, sizeof(tn_slice), 8, NULL), 0);
        tasks[i] = tt_spawn(write_messages, &subscribers[i]);
        tasks[SUBSCRIBERS + i] = tt_spawn(read_messages, &subscribers[i]);
    }
    for (unsigned long number = 0; number < count; number++) {
        char text[32];
        tn_slice message;
        snprintf(text, sizeof text, "message %lu\n", number);
        tt_check_eq(tn_slice_copy(&message, text, strlen(text), &allocator->as_option), 0);
        for (unsigned i = 0; i < SUBSCRIBERS; i++) {
            tn_slice shared = tn_slice_retain(message);
            tt_check_eq(tn_mpsc_send(subscribers[i].messages, &shared), 0);
        }
        tn_slice_release(message);
    }
    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        tn_mpsc_release_sender(subscribers[i].messages);
    for (unsigned i = 0; i < 2 * SUBSCRIBERS; i++)
        (void)tt_join(tasks[i]);
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        tt_check_eq(subscribers[i].count, count);
        tn_mpsc_release_receiver(subscribers[i].messages);
        tn_io_close(subscribers[i].ends[0]);
        tn_io_close(subscribers[i].ends[1]);
    }
    return NULL;
}

Test(slice, one_message_for_many_writers)
{
    static tt_allocator allocator;

    tt_allocator_init(&allocator);
    tt_run(broadcast, &allocator);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}
