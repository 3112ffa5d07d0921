/* SPDX-License-Identifier: MIT */
/* tn_copy_both: one fiber while the connection is idle, and two while a write waits; kinds that cannot be tried; abandoned. */
#include "net_support.h"

#include <stdatomic.h>

#include <tn.h>

#include "support/abandoned.h"

typedef struct {
    tn_io ends[2];
    tn_copy_options options;
    uint64_t bytes[2];
    int rc;
} both;

static void *copy(void *arg)
{
    both *b = arg;

    b->rc = tn_copy_both(b->ends[0], b->ends[1], &b->options, b->bytes);
    return NULL;
}

static bool tasks_are(void *arg)
{
    tn_metrics metrics = {.size = sizeof metrics};

    tt_check_eq(tn_metrics_snapshot(tn_runtime_current(), TN_METRICS_ALL, &metrics), 0);
    return metrics.tasks == *(const uint64_t *)arg;
}

static void check_tasks(uint64_t expected)
{
    uint64_t end_ns = tn_now() + 60 * TN_S;

    while (!tasks_are(&expected)) {
        tt_check(tn_now() < end_ns);
        tt_check_eq(tn_sleep(TN_MS), 0);
    }
}

static void pass_one(tn_stream *from, tn_stream *to)
{
    char byte = 0;

    tt_check_eq(tn_write(from, "a", 1), 1);
    tt_check_eq(tn_read(to, &byte, 1), 1);
    tt_check_eq(byte, 'a');
}

static size_t drain(tn_stream *stream, size_t size)
{
    static char buf[1 << 16];
    size_t done = 0;

    while (done < size) {
        ssize_t n = tn_read(stream, buf, sizeof buf);
        tt_check(n > 0);
        done += (size_t)n;
    }
    return done;
}

/* 20 ms without progress may be a copy whose worker gets no processor: fills again until a write of the copy waits. */
static size_t fill_until_it_waits(tn_stream *from)
{
    uint64_t two_fibers = 3; /* and the caller */
    uint64_t end_ns = tn_now() + 60 * TN_S;
    size_t size = 0;

    do {
        tt_check(tn_now() < end_ns);
        size += ns_fill(from);
    } while (!tasks_are(&two_fibers));
    return size;
}

/* This task, the copy, and a second fiber while a direction cannot write. The other direction goes on meanwhile. */
static void block_and_drain(void (*pair)(tn_stream *ends[2]), bool forwards)
{
    tn_stream *a[2], *b[2], *from, *to;
    both copied = {.options = tn_copy_options_default()};
    tn_task *task;
    size_t size;

    pair(a);
    pair(b);
    copied.ends[0] = tn_stream_io(a[1]);
    copied.ends[1] = tn_stream_io(b[0]);
    task = tt_spawn(copy, &copied);
    from = forwards ? a[0] : b[1];
    to = forwards ? b[1] : a[0];
    for (unsigned i = 0; i < 2; i++) {
        pass_one(a[0], b[1]);
        pass_one(b[1], a[0]);
        check_tasks(2);
        size = fill_until_it_waits(from);
        pass_one(to, from);
        tt_check_eq(drain(to, size), size);
        check_tasks(2);
    }
    size = ns_fill(from);
    tt_check_eq(tn_stream_shutdown_write(to), 0); /* the other direction ends while this one waits */
    tt_check_eq(tn_read(from, &(char){0}, 1), 0);
    tt_check_eq(drain(to, size), size);
    check_tasks(2);
    tt_check_eq(tn_stream_shutdown_write(from), 0);
    tt_check_eq(tn_read(to, &(char){0}, 1), 0);
    tt_join(task);
    tt_check_eq(copied.rc, 0);
    for (unsigned i = 0; i < 2; i++) {
        tn_stream_close(a[i]);
        tn_stream_close(b[i]);
    }
}

static void *block_each_direction(void *arg)
{
    block_and_drain(ns_tcp_pair, true);
    block_and_drain(ns_tcp_pair, false);
    block_and_drain(ns_unix_pair, true);
    return arg;
}

Test(copy_quiet, a_second_fiber_only_while_a_write_waits)
{
    tt_run(block_each_direction, NULL);
}

/* --- Kinds without the later entries --------------------------------------------------------------------------------------- */

static ssize_t plain_read(void *object, void *buf, size_t size)
{
    return tn_read(object, buf, size);
}

static ssize_t plain_write(void *object, const void *buf, size_t size)
{
    return tn_write(object, buf, size);
}

static atomic_uint tries; /* to read, or to write */

static ssize_t plain_try_read(void *object, void *buf, size_t size)
{
    atomic_fetch_add(&tries, 1);
    return tn_try_read(object, buf, size);
}

static int plain_close_write(void *object)
{
    return tn_stream_shutdown_write(object);
}

/* Neither waits by a future nor tries; tries to read but not to write. */
static const tn_io_ops plain = {.size = sizeof plain, .read = plain_read, .write = plain_write, .close_write = plain_close_write};
static const tn_io_ops half = {
    .size = sizeof half, .read = plain_read, .write = plain_write, .close_write = plain_close_write, .try_read = plain_try_read};

static void copy_between(const tn_io_ops *one, const tn_io_ops *other)
{
    tn_stream *a[2], *b[2];
    both copied = {.options = tn_copy_options_default()};
    tn_task *task;

    ns_unix_pair(a);
    ns_unix_pair(b);
    copied.ends[0] = one != NULL ? (tn_io){one, a[1]} : tn_stream_io(a[1]);
    copied.ends[1] = other != NULL ? (tn_io){other, b[0]} : tn_stream_io(b[0]);
    task = tt_spawn(copy, &copied);
    for (unsigned i = 0; i < 3; i++) {
        pass_one(a[0], b[1]);
        pass_one(b[1], a[0]);
    }
    tt_check_eq(tn_stream_shutdown_write(a[0]), 0);
    tt_check_eq(tn_read(b[1], &(char){0}, 1), 0);
    pass_one(b[1], a[0]);
    tt_check_eq(tn_stream_shutdown_write(b[1]), 0);
    tt_check_eq(tn_read(a[0], &(char){0}, 1), 0);
    tt_join(task);
    tt_check_eq(copied.rc, 0);
    tt_check_eq(copied.bytes[0], 3);
    tt_check_eq(copied.bytes[1], 4);
    for (unsigned i = 0; i < 2; i++) {
        tn_stream_close(a[i]);
        tn_stream_close(b[i]);
    }
}

static void *copy_between_all(void *arg)
{
    static const tn_io_ops *const kinds[] = {NULL, &plain, &half};

    for (unsigned i = 0; i < 3; i++)
        for (unsigned j = 0; j < 3; j++)
            copy_between(kinds[i], kinds[j]);
    return arg;
}

Test(copy_quiet, kinds_that_cannot_be_tried)
{
    tt_run(copy_between_all, NULL);
}

/* It can be tried, but not be waited for: no core is busy while both streams are idle. */
static void *idle_without_a_wait(void *arg)
{
    tn_stream *a[2], *b[2];
    both copied = {.options = tn_copy_options_default()};
    uint64_t two_fibers = 3; /* and this task */
    tn_task *task;

    ns_unix_pair(a);
    ns_unix_pair(b);
    copied.ends[0] = (tn_io){&half, a[1]};
    copied.ends[1] = (tn_io){&half, b[0]};
    task = tt_spawn(copy, &copied);
    while (atomic_load(&tries) <= 2 && !tasks_are(&two_fibers))
        tt_check_eq(tn_sleep(TN_MS), 0);
    tt_check(atomic_load(&tries) <= 2);
    pass_one(a[0], b[1]);
    tt_check_eq(tn_stream_shutdown_write(a[0]), 0);
    tt_check_eq(tn_stream_shutdown_write(b[1]), 0);
    tt_join(task);
    tt_check_eq(copied.rc, 0);
    for (unsigned i = 0; i < 2; i++) {
        tn_stream_close(a[i]);
        tn_stream_close(b[i]);
    }
    return arg;
}

Test(copy_quiet, a_kind_without_a_wait_is_not_tried_while_it_is_idle)
{
    tt_run(idle_without_a_wait, NULL);
}

/* It can be waited for, and tried to be read, but not to be written. */
static int stream_wait(void *object, tn_direction direction)
{
    return tn_io_wait(tn_stream_io(object), direction);
}

static tn_future *stream_wait_init(void *object, tn_direction direction, uint64_t *memory)
{
    return tn_stream_io(object).ops->wait_init(object, direction, memory);
}

static const tn_io_ops without_try_write = {.size = sizeof without_try_write,
                                            .read = plain_read,
                                            .write = plain_write,
                                            .close_write = plain_close_write,
                                            .wait = stream_wait,
                                            .try_read = plain_try_read,
                                            .wait_init = stream_wait_init};

/* The first burst finds that out. After it neither stream is tried any more, however often the connection becomes idle. */
static void *no_second_try(void *arg)
{
    tn_stream *a[2], *b[2];
    both copied = {.options = tn_copy_options_default()};
    tn_task *task;

    atomic_store(&tries, 0);
    ns_unix_pair(a);
    ns_unix_pair(b);
    copied.ends[0] = (tn_io){&without_try_write, a[1]};
    copied.ends[1] = (tn_io){&without_try_write, b[0]};
    task = tt_spawn(copy, &copied);
    for (unsigned i = 0; i < 10; i++) {
        pass_one(a[0], b[1]);
        pass_one(b[1], a[0]);
        tt_check_eq(tn_sleep(2 * TN_MS), 0);
    }
    tt_check_eq(atomic_load(&tries), 1);
    check_tasks(3);
    tt_check_eq(tn_stream_shutdown_write(a[0]), 0);
    tt_check_eq(tn_stream_shutdown_write(b[1]), 0);
    tt_join(task);
    tt_check_eq(copied.rc, 0);
    for (unsigned i = 0; i < 2; i++) {
        tn_stream_close(a[i]);
        tn_stream_close(b[i]);
    }
    return arg;
}

Test(copy_quiet, a_kind_whose_writes_cannot_be_tried_has_two_fibers_from_then_on)
{
    tt_run(no_second_try, NULL);
}

/* --- Abandoned ------------------------------------------------------------------------------------------------------------- */

/* While it waits it is the reader of both streams. Afterwards they are free. */
Test(copy_quiet, an_abandoned_copy_has_left_both_streams)
{
    both copied = {.options = tn_copy_options_default()};
    tt_abandoned left;
    tn_io a[2], b[2];
    char byte;

    cr_assert_eq(tn_duplex_open(a, NULL), 0);
    cr_assert_eq(tn_duplex_open(b, NULL), 0);
    copied.ends[0] = a[1];
    copied.ends[1] = b[0];
    tt_abandon_begin(&left, copy, &copied);
    cr_assert_eq(tn_io_read(a[1], &byte, 1), TN_EBUSY);
    cr_assert_eq(tn_io_read(b[0], &byte, 1), TN_EBUSY);
    tt_abandon_end(&left);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(tn_io_write(i == 0 ? a[0] : b[1], "a", 1), 1);
        cr_assert_eq(tn_io_read(i == 0 ? a[1] : b[0], &byte, 1), 1);
    }
    for (unsigned i = 0; i < 2; i++) {
        tn_io_close(a[i]);
        tn_io_close(b[i]);
    }
}
