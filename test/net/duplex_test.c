/* SPDX-License-Identifier: MIT */
/* A connection in memory: bytes, the end, closing beside operations, cancellation. */
#include <string.h>

#include <tn.h>

#include "support/allocator.h"
#include "support/runtime.h"

static void open_with(tn_io ends[2], size_t capacity)
{
    tn_duplex_options options = tn_duplex_options_default();

    options.capacity = capacity;
    tt_check_eq(tn_duplex_open(ends, &options), 0);
}

static void close_both(tn_io ends[2])
{
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
}

/* --- Without waiting: also a plain thread may ---------------------------------------------------------------------------- */

Test(duplex, carries_bytes_both_ways)
{
    tn_io ends[2];
    char buf[8];

    open_with(ends, 4);
    cr_assert_eq(tn_io_write(ends[0], "abcdef", 6), 4); /* as many as there is space for */
    cr_assert_eq(tn_io_write(ends[1], "xy", 2), 2);
    cr_assert_eq(tn_io_read(ends[1], buf, 3), 3);
    cr_assert_arr_eq(buf, "abc", 3);
    cr_assert_eq(tn_io_write(ends[0], "ghi", 3), 3); /* wraps around */
    cr_assert_eq(tn_io_read(ends[1], buf, 8), 4);
    cr_assert_arr_eq(buf, "dghi", 4);
    cr_assert_eq(tn_io_read(ends[0], buf, 8), 2);
    cr_assert_arr_eq(buf, "xy", 2);
    cr_assert_eq(tn_io_read(ends[0], buf, 0), 0);
    cr_assert_eq(tn_io_write(ends[0], buf, 0), 0);
    close_both(ends);
}

Test(duplex, a_half_close_ends_one_direction)
{
    tn_io ends[2];
    char byte;

    open_with(ends, 4);
    cr_assert_eq(tn_io_write(ends[0], "a", 1), 1);
    cr_assert_eq(tn_io_close_write(ends[0]), 0);
    cr_assert_eq(tn_io_write(ends[0], "b", 1), TN_EPIPE);
    cr_assert_eq(tn_io_wait(ends[1], TN_READABLE), 0);
    cr_assert_eq(tn_io_read(ends[1], &byte, 1), 1);
    cr_assert_eq(byte, 'a');
    for (int i = 0; i < 2; i++)
        cr_assert_eq(tn_io_read(ends[1], &byte, 1), 0);
    cr_assert_eq(tn_io_write(ends[1], "c", 1), 1);
    cr_assert_eq(tn_io_read(ends[0], &byte, 1), 1);
    cr_assert_eq(byte, 'c');
    close_both(ends);
}

static void end_by(void (*ends_it)(tn_io io))
{
    tn_io ends[2];
    char byte;

    open_with(ends, 4);
    cr_assert_eq(tn_io_write(ends[0], "a", 1), 1);
    cr_assert_eq(tn_io_write(ends[1], "b", 1), 1);
    ends_it(ends[0]);
    cr_assert_eq(tn_io_write(ends[1], "c", 1), TN_EPIPE);
    cr_assert_eq(tn_io_wait(ends[1], TN_WRITABLE), 0);
    cr_assert_eq(tn_io_read(ends[1], &byte, 1), 1);
    cr_assert_eq(byte, 'a');
    cr_assert_eq(tn_io_read(ends[1], &byte, 1), 0);
    tn_io_close(ends[1]);
}

static void abort_it(tn_io io)
{
    char byte;

    cr_assert_eq(tn_io_abort(io), 0);
    cr_assert_eq(tn_io_abort(io), 0);
    cr_assert_eq(tn_io_read(io, &byte, 1), TN_EBADF);
    cr_assert_eq(tn_io_write(io, "d", 1), TN_EBADF);
    cr_assert_eq(tn_io_wait(io, TN_READABLE), TN_EBADF);
    cr_assert_eq(tn_io_close_write(io), TN_EBADF);
    tn_io_close(io);
}

Test(duplex, a_closed_end_leaves_what_it_wrote)
{
    end_by(tn_io_close);
}

Test(duplex, an_aborted_end_is_closed_by_its_owner)
{
    end_by(abort_it);
}

Test(duplex, frees_its_memory_and_refuses_options)
{
    tn_duplex_options options = tn_duplex_options_default();
    tt_allocator allocator;
    tn_io ends[2];

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    cr_assert_eq(tn_duplex_open(ends, &options), 0);
    tn_io_close(ends[1]);
    cr_assert_eq(atomic_load(&allocator.blocks), 1);
    tn_io_close(ends[0]);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
    tt_allocator_fail(&allocator, 1, 1);
    cr_assert_eq(tn_duplex_open(ends, &options), TN_ENOMEM);
    options.capacity = SIZE_MAX;
    cr_assert_eq(tn_duplex_open(ends, &options), TN_EINVAL);
}

/* --- Waiting ------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_io io;
    size_t total;
    unsigned seed;
} flow;

/* Pieces of changing sizes, whose bytes depend on their position. */
static size_t next_piece(flow *f, size_t done, size_t most)
{
    size_t piece;

    f->seed = f->seed * 1103515245 + 12345;
    piece = 1 + (f->seed >> 16) % most;
    return piece < f->total - done ? piece : f->total - done;
}

static unsigned char byte_at(size_t position)
{
    return (unsigned char)(position ^ (position >> 8) * 31);
}

static void *send_all(void *arg)
{
    flow *f = arg;
    unsigned char buf[97];

    for (size_t done = 0; done < f->total;) {
        size_t piece = next_piece(f, done, sizeof buf);
        for (size_t i = 0; i < piece; i++)
            buf[i] = byte_at(done + i);
        tt_check_eq(tn_io_write_all(f->io, buf, piece), 0);
        done += piece;
    }
    tt_check_eq(tn_io_close_write(f->io), 0);
    return NULL;
}

static void *receive_all(void *arg)
{
    flow *f = arg;
    unsigned char buf[61];
    size_t done = 0;
    ssize_t n;

    while ((n = tn_io_read(f->io, buf, next_piece(f, 0, sizeof buf))) > 0) {
        for (ssize_t i = 0; i < n; i++)
            tt_check_eq(buf[i], byte_at(done + (size_t)i));
        done += (size_t)n;
    }
    tt_check_eq(n, 0);
    tt_check_eq(done, f->total);
    return NULL;
}

static void flow_through(size_t capacity, size_t total)
{
    tn_io ends[2];
    flow flows[4];
    tn_task *tasks[4];

    open_with(ends, capacity);
    for (unsigned i = 0; i < 4; i++) {
        flows[i] = (flow){ends[i % 2], total, 17 + i};
        tasks[i] = tt_spawn(i < 2 ? send_all : receive_all, &flows[i]);
    }
    for (unsigned i = 0; i < 4; i++)
        tt_join(tasks[i]);
    close_both(ends);
}

static void *flow_both_ways(void *arg)
{
    (void)arg;
    flow_through(1, tt_scaled(5000));
    flow_through(7, tt_scaled(20000));
    flow_through(64, tt_scaled(200000));
    return NULL;
}

static void *read_and_close(void *arg)
{
    tn_io *ends = arg;
    char byte;

    tt_check_eq(tn_io_read(ends[0], &byte, 1), TN_EBADF);
    close_both(ends);
    return NULL;
}

/* The owner frees the memory as soon as it hears of the abort, which may still be in progress. */
Test(duplex, the_owner_may_close_during_an_abort)
{
    for (unsigned long i = 0; i < tt_scaled(2000); i++) {
        pthread_t owner;
        tn_io ends[2];
        open_with(ends, 4);
        owner = tt_thread_start(read_and_close, ends);
        cr_assert_eq(tn_io_abort(ends[0]), 0);
        tt_thread_join(owner);
    }
}

Test(duplex, nothing_is_lost_while_both_sides_wait)
{
    tt_run(flow_both_ways, NULL);
}

Test(duplex, between_plain_threads)
{
    tn_io ends[2];
    flow flows[2];
    pthread_t sender;

    open_with(ends, 13);
    for (unsigned i = 0; i < 2; i++)
        flows[i] = (flow){ends[i], tt_scaled(3000), 5 + i};
    sender = tt_thread_start(send_all, &flows[0]);
    receive_all(&flows[1]);
    tt_thread_join(sender);
    close_both(ends);
}

/* --- Ended while it waits ------------------------------------------------------------------------------------------------ */

typedef struct {
    tn_io io;
    tt_gate begun;
    ssize_t rc;
} waiter;

static void *read_one(void *arg)
{
    waiter *w = arg;
    char byte;

    tt_gate_open(&w->begun);
    w->rc = tn_io_read(w->io, &byte, 1);
    return NULL;
}

static void *write_one(void *arg)
{
    waiter *w = arg;

    tt_gate_open(&w->begun);
    w->rc = tn_io_write(w->io, "a", 1);
    return NULL;
}

static void *wait_readable(void *arg)
{
    waiter *w = arg;

    tt_gate_open(&w->begun);
    w->rc = tn_io_wait(w->io, TN_READABLE);
    return NULL;
}

static void *wait_writable(void *arg)
{
    waiter *w = arg;

    tt_gate_open(&w->begun);
    w->rc = tn_io_wait(w->io, TN_WRITABLE);
    return NULL;
}

typedef void *(*entry)(void *arg);
static const entry entries[4] = {read_one, write_one, wait_readable, wait_writable};

static void fill(tn_io io, size_t capacity)
{
    char full[16] = {0};

    tt_check_eq(tn_io_write(io, full, capacity), (ssize_t)capacity);
}

/* One task waits on ends[0]; `act` ends that. */
static ssize_t ended_by(entry begin, void (*act)(tn_io ends[2], tn_task *task))
{
    tn_io ends[2];
    waiter w = {.begun = TT_GATE_INIT};
    tn_task *task;

    open_with(ends, 8);
    fill(ends[0], 8);
    w.io = ends[0];
    task = tt_spawn(begin, &w);
    tt_check_eq(tn_yield(), 0);
    act(ends, task);
    tt_join(task);
    close_both(ends);
    return w.rc;
}

static void by_abort(tn_io ends[2], tn_task *task)
{
    (void)task;
    tt_check_eq(tn_io_abort(ends[0]), 0);
}

static void by_cancel(tn_io ends[2], tn_task *task)
{
    (void)ends;
    tn_cancel(task);
}

static void by_abort_of_the_peer(tn_io ends[2], tn_task *task)
{
    (void)task;
    tt_check_eq(tn_io_abort(ends[1]), 0);
}

static void by_half_close(tn_io ends[2], tn_task *task)
{
    (void)task;
    tt_check_eq(tn_io_close_write(ends[0]), 0);
}

static void *end_waits(void *arg)
{
    (void)arg;
    for (unsigned long i = 0; i < tt_scaled(100); i++) {
        for (unsigned k = 0; k < 4; k++) {
            tt_check_eq(ended_by(entries[k], by_abort), TN_EBADF);
            tt_check_eq(ended_by(entries[k], by_cancel), TN_ECANCELED);
        }
        tt_check_eq(ended_by(read_one, by_abort_of_the_peer), 0);
        tt_check_eq(ended_by(wait_readable, by_abort_of_the_peer), 0);
        tt_check_eq(ended_by(write_one, by_abort_of_the_peer), TN_EPIPE);
        tt_check_eq(ended_by(wait_writable, by_abort_of_the_peer), 0);
        tt_check_eq(ended_by(write_one, by_half_close), TN_EPIPE);
        tt_check_eq(ended_by(wait_writable, by_half_close), 0);
    }
    return NULL;
}

Test(duplex, a_wait_is_ended_by_each_cause)
{
    tt_run(end_waits, NULL);
}

/* The two tasks exclude each other until one of them waits for good. */
static void *read_at_last(void *arg)
{
    waiter *w = arg;
    char byte;

    while ((w->rc = tn_io_read(w->io, &byte, 1)) == TN_EBUSY)
        tt_check_eq(tn_yield(), 0);
    return NULL;
}

static bool another_reads(tn_io io)
{
    TN_SCOPE(scope, tn_now() + 100 * TN_US);
    char byte;
    ssize_t rc = tn_io_read(io, &byte, 1);

    tt_check(rc == TN_EBUSY || rc == TN_ETIMEDOUT);
    return rc == TN_EBUSY;
}

static void *closed_under_a_reader(void *arg)
{
    tn_io ends[2];
    waiter w = {.begun = TT_GATE_INIT};
    tn_task *task;

    (void)arg;
    open_with(ends, 8);
    w.io = ends[0];
    task = tt_spawn(read_at_last, &w);
    while (!another_reads(ends[0]))
        tt_check_eq(tn_yield(), 0);
    close_both(ends); /* the memory stays until the reader has left */
    tt_join(task);
    tt_check_eq(w.rc, TN_EBADF);
    return NULL;
}

Test(duplex, closed_while_another_task_reads)
{
    tt_run(closed_under_a_reader, NULL);
}

static void *a_deadline(void *arg)
{
    tn_io ends[2];
    char byte = 'z';

    (void)arg;
    open_with(ends, 8);
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check_eq(tn_io_read(ends[0], &byte, 1), TN_ETIMEDOUT);
    }
    tt_check_eq(tn_io_write(ends[1], "a", 1), 1);
    tt_check_eq(tn_io_read(ends[0], &byte, 1), 1);
    tt_check_eq(byte, 'a');
    close_both(ends);
    return NULL;
}

Test(duplex, a_deadline_reads_nothing)
{
    tt_run(a_deadline, NULL);
}
