/* SPDX-License-Identifier: MIT */
/* tn_io: sockets behind it, and the fallbacks of a kind that leaves entries out. */
#include "net_support.h"

#include <fcntl.h>
#include <stddef.h>

#include <tn.h>

#include "support/abandoned.h"
#include "support/runtime.h"

/* --- A kind of the test's own -------------------------------------------------------------------------------------------- */

typedef struct {
    char bytes[16];
    size_t used;
    size_t most;  /* per call */
    ssize_t fail; /* the error of a call when `used` has reached the size of `bytes` */
} store;

static ssize_t store_write(void *object, const void *buf, size_t size)
{
    store *s = object;
    size_t n = size < s->most ? size : s->most;

    if (s->used == sizeof s->bytes)
        return s->fail;
    n = n < sizeof s->bytes - s->used ? n : sizeof s->bytes - s->used;
    if (n > 0)
        memcpy(s->bytes + s->used, buf, n);
    s->used += n;
    return (ssize_t)n;
}

/* Reads letters, one after the other. */
static ssize_t store_read(void *object, void *buf, size_t size)
{
    store *s = object;
    size_t n = size < s->most ? size : s->most;

    if (s->used == sizeof s->bytes)
        return s->fail;
    for (size_t i = 0; i < n; i++)
        ((char *)buf)[i] = (char)('a' + s->used++);
    return (ssize_t)n;
}

Test(io, nothing_is_there)
{
    static const tn_io_ops none = {.size = sizeof none};
    tn_io io = {&none, NULL};
    struct iovec iov = {(char[1]){0}, 1};

    cr_assert_eq(tn_io_read(io, iov.iov_base, 1), TN_ENOTSUP);
    cr_assert_eq(tn_io_write(io, iov.iov_base, 1), TN_ENOTSUP);
    cr_assert_eq(tn_io_readv(io, &iov, 1), TN_ENOTSUP);
    cr_assert_eq(tn_io_writev(io, &iov, 1), TN_ENOTSUP);
    cr_assert_eq(tn_io_close_write(io), TN_ENOTSUP);
    cr_assert_eq(tn_io_wait(io, TN_READABLE), 0);
    cr_assert_eq(tn_io_abort(io), TN_ENOTSUP);
    cr_assert_eq(tn_io_descriptor(io, TN_READABLE), TN_ENOTSUP);
    cr_assert_eq(tn_io_try_read(io, iov.iov_base, 1), TN_ENOTSUP);
    cr_assert_eq(tn_io_try_write(io, iov.iov_base, 1), TN_ENOTSUP);
    tn_io_close(io);
    tn_io_close((tn_io){NULL, NULL});
}

/* A table of a program that was compiled with the first version. What follows it in memory is no entry. */
Test(io, entries_behind_the_size_of_a_table_are_not_there)
{
    tn_io_ops first = {.size = offsetof(tn_io_ops, try_read), .read = store_read, .try_read = store_read};
    store s = {.most = 1};
    tn_io io = {&first, &s};
    char byte;

    cr_assert_eq(tn_io_try_read(io, &byte, 1), TN_ENOTSUP);
    cr_assert_eq(tn_io_read(io, &byte, 1), 1);
    first.size = sizeof first;
    cr_assert_eq(tn_io_try_read(io, &byte, 1), 1);
}

Test(io, a_vector_without_an_entry_is_its_first_buffer)
{
    static const tn_io_ops plain = {.size = sizeof plain, .read = store_read, .write = store_write};
    store s = {.most = 16};
    tn_io io = {&plain, &s};
    char one[3] = "", two[3] = "";
    struct iovec iov[3] = {{one, 0}, {one, 2}, {two, 2}};
    struct iovec huge[2] = {{one, SSIZE_MAX}, {two, 1}};

    cr_assert_eq(tn_io_readv(io, iov, 3), 2);
    cr_assert_str_eq(one, "ab");
    cr_assert_eq(tn_io_writev(io, iov, 3), 2);
    cr_assert_arr_eq(s.bytes + 2, "ab", 2);
    cr_assert_eq(tn_io_readv(io, iov, 1), 0);
    cr_assert_eq(tn_io_writev(io, iov, 0), 0);
    cr_assert_eq(tn_io_writev(io, iov, -1), TN_EINVAL);
    cr_assert_eq(tn_io_readv(io, iov, 1025), TN_EINVAL);
    cr_assert_eq(tn_io_readv(io, huge, 2), TN_EINVAL);
}

Test(io, all_means_all_or_an_error)
{
    static const tn_io_ops plain = {.size = sizeof plain, .read = store_read, .write = store_write};
    store s = {.most = 3, .fail = TN_EPIPE};
    tn_io io = {&plain, &s};
    char text[] = "0123456789";
    struct iovec iov[3] = {{text, 4}, {text, 0}, {text + 4, 6}};
    char buf[20];
    size_t done = 0;

    cr_assert_eq(tn_io_write_all(io, text, 10), 0);
    cr_assert_arr_eq(s.bytes, "0123456789", 10);
    s.used = 0;
    cr_assert_eq(tn_io_writev_all(io, iov, 3), 0);
    cr_assert_arr_eq(s.bytes, "0123456789", 10);
    iov[0] = (struct iovec){text, 5};
    iov[1] = (struct iovec){text + 5, 5};
    cr_assert_eq(tn_io_writev_all(io, iov, 2), TN_EPIPE); /* there is space for 6 */
    cr_assert_eq(iov[0].iov_len, 0);
    cr_assert_eq(iov[1].iov_len, 4);
    s.used = 0;
    cr_assert_eq(tn_io_read_exact(io, buf, 5, &done), 0);
    cr_assert_eq(done, 5);
    cr_assert_arr_eq(buf, "abcde", 5);
    s.fail = 0;
    s.used = 14;
    done = 1;
    s.most = 2;
    cr_assert_eq(tn_io_read_exact(io, buf, 5, &done), TN_EBADMSG);
    cr_assert_eq(done, 3);
    cr_assert_arr_eq(buf, "aop", 3);
}

static ssize_t take_nothing(void *object, const void *buf, size_t size)
{
    (void)object;
    (void)buf;
    (void)size;
    return 0;
}

static ssize_t take_nothing_of_many(void *object, const struct iovec *iov, int count)
{
    return take_nothing(object, iov, (size_t)count);
}

/* A loop over it would never end. */
Test(io, a_kind_that_takes_nothing_is_an_error)
{
    static const tn_io_ops one = {.size = sizeof one, .write = take_nothing};
    static const tn_io_ops many = {.size = sizeof many, .write = take_nothing, .writev = take_nothing_of_many};
    char text[] = "abc";
    struct iovec iov = {text, 3};

    cr_assert_eq(tn_io_write((tn_io){&one, NULL}, text, 0), 0);
    cr_assert_eq(tn_io_write_all((tn_io){&one, NULL}, text, 3), TN_EIO);
    cr_assert_eq(tn_io_writev_all((tn_io){&one, NULL}, &iov, 1), TN_EIO);
    cr_assert_eq(tn_io_writev_all((tn_io){&many, NULL}, &iov, 1), TN_EIO);
    cr_assert_eq(tn_io_writev((tn_io){&many, NULL}, &iov, 0), 0);
}

/* --- Streams ------------------------------------------------------------------------------------------------------------- */

static void *use_streams(void *arg)
{
    tn_stream *ends[2];
    tn_io io[2];
    char text[8] = "";
    struct iovec iov[2] = {{text, 2}, {text + 4, 3}};

    (void)arg;
    ns_tcp_pair(ends);
    io[0] = tn_stream_io(ends[0]);
    io[1] = tn_stream_io(ends[1]);
    tt_check_eq(tn_io_wait(io[0], TN_WRITABLE), 0);
    tt_check_eq(tn_io_write(io[0], "abcde", 5), 5);
    tt_check_eq(tn_io_wait(io[1], TN_READABLE), 0);
    tt_check(tn_io_descriptor(io[1], TN_READABLE) > 2);
    tt_check(tn_io_descriptor(io[0], TN_WRITABLE) != tn_io_descriptor(io[1], TN_READABLE));
    for (ssize_t n = 0; n < 5;) {
        ssize_t more = tn_io_read(io[1], text + n, (size_t)(5 - n));
        tt_check(more > 0);
        n += more;
    }
    tt_check_eq(strcmp(text, "abcde"), 0);
    tt_check_eq(tn_io_writev(io[1], iov, 2), 5);
    tt_check_eq(tn_io_close_write(io[1]), 0);
    for (size_t done = 0; done < 5;) {
        iov[0] = (struct iovec){text + done, 5 - done};
        ssize_t n = tn_io_readv(io[0], iov, 1);
        tt_check(n > 0);
        done += (size_t)n;
    }
    tt_check_eq(memcmp(text, "abe", 3), 0);
    tt_check_eq(tn_io_read(io[0], text, 1), 0);
    tn_io_close(io[0]);
    tn_io_close(io[1]);
    return NULL;
}

Test(io, a_stream_has_all_operations)
{
    tt_run(use_streams, NULL);
}

static void try_to_read(tn_io from, tn_io to)
{
    char text[4];

    tt_check_eq(tn_io_try_read(from, text, 4), TN_EAGAIN);
    tt_check_eq(tn_io_try_read(from, text, 0), 0);
    tt_check_eq(tn_io_write(to, "abc", 3), 3);
    tt_check_eq(tn_io_wait(from, TN_READABLE), 0);
    tt_check_eq(tn_io_try_read(from, text, 2), 2);
    tt_check_eq(tn_io_try_read(from, text + 2, 2), 1);
    tt_check_eq(memcmp(text, "abc", 3), 0);
    tt_check_eq(tn_io_try_read(from, text, 4), TN_EAGAIN);
    tt_check_eq(tn_io_close_write(to), 0);
    tt_check_eq(tn_io_wait(from, TN_READABLE), 0);
    tt_check_eq(tn_io_try_read(from, text, 4), 0);
    tt_check_eq(tn_io_abort(from), 0);
    tt_check_eq(tn_io_try_read(from, text, 4), TN_EBADF);
    tn_io_close(from);
    tn_io_close(to);
}

static void *try_each_kind(void *arg)
{
    tn_stream *ends[2];
    tn_io duplex[2];

    (void)arg;
    ns_tcp_pair(ends);
    try_to_read(tn_stream_io(ends[0]), tn_stream_io(ends[1]));
    ns_unix_pair(ends);
    try_to_read(tn_stream_io(ends[0]), tn_stream_io(ends[1]));
    tt_check_eq(tn_duplex_open(duplex, NULL), 0);
    try_to_read(duplex[0], duplex[1]);
    return NULL;
}

Test(io, a_try_reads_what_is_there)
{
    tt_run(try_each_kind, NULL);
}

static void try_to_write(tn_io to, tn_io from)
{
    static char bytes[1 << 16];
    ssize_t n;

    tt_check_eq(tn_io_try_write(to, bytes, 0), 0);
    while ((n = tn_io_try_write(to, bytes, sizeof bytes)) > 0)
        ;
    tt_check_eq(n, TN_EAGAIN);
    do { /* what the kernel has on its way comes later */
        while (tn_io_try_read(from, bytes, sizeof bytes) > 0)
            ;
        tt_check_eq(tn_sleep(TN_MS), 0);
    } while ((n = tn_io_try_write(to, bytes, 1)) == TN_EAGAIN);
    tt_check_eq(n, 1);
    tt_check_eq(tn_io_wait(to, TN_WRITABLE), 0);
    tn_io_close(from);
    tn_io_close(to);
}

static void *try_to_write_each_kind(void *arg)
{
    tn_stream *ends[2];
    tn_io duplex[2];

    (void)arg;
    ns_tcp_pair(ends);
    try_to_write(tn_stream_io(ends[0]), tn_stream_io(ends[1]));
    ns_unix_pair(ends);
    try_to_write(tn_stream_io(ends[0]), tn_stream_io(ends[1]));
    tt_check_eq(tn_duplex_open(duplex, NULL), 0);
    try_to_write(duplex[0], duplex[1]);
    return NULL;
}

Test(io, a_try_writes_what_there_is_space_for)
{
    tt_run(try_to_write_each_kind, NULL);
}

/* --- The future of a wait ------------------------------------------------------------------------------------------------- */

static void *write_later(void *arg)
{
    ns_settle();
    tt_check_eq(tn_io_write(*(tn_io *)arg, "a", 1), 1);
    return NULL;
}

/* Two streams of a kind: the one that gets a byte is ready, and the other one is free afterwards. */
static void select_two(tn_io quiet[2], tn_io busy[2])
{
    tn_io_wait_future waits[2];
    tn_future *futures[2] = {&waits[0].base, &waits[1].base};
    tn_task *writer;
    char byte;
    int result;

    tn_io_wait_init(&waits[0], quiet[0], TN_READABLE);
    tn_io_wait_init(&waits[1], busy[0], TN_READABLE);
    writer = tt_spawn(write_later, &busy[1]);
    tt_check_eq(tn_race(futures, 2, &result), 1);
    tt_check_eq(result, 0);
    tt_join(writer);
    tt_check_eq(tn_io_read(busy[0], &byte, 1), 1);
    tt_check_eq(tn_io_write(quiet[1], "b", 1), 1);
    tt_check_eq(tn_io_read(quiet[0], &byte, 1), 1);
    tn_io_wait_init(&waits[0], quiet[1], TN_WRITABLE);
    tt_check_eq(tn_await(&waits[0].base), 0);
    for (unsigned i = 0; i < 2; i++) {
        tn_io_close(quiet[i]);
        tn_io_close(busy[i]);
    }
}

static void stream_ios(tn_io io[2], bool is_unix)
{
    tn_stream *ends[2];

    if (is_unix)
        ns_unix_pair(ends);
    else
        ns_tcp_pair(ends);
    io[0] = tn_stream_io(ends[0]);
    io[1] = tn_stream_io(ends[1]);
}

static void pipe_ios(tn_io io[2])
{
    tn_file *file;
    int fds[2];

    tt_check_eq(pipe2(fds, O_CLOEXEC), 0);
    for (unsigned i = 0; i < 2; i++) {
        tt_check_eq(tn_file_adopt(&file, fds[i]), 0);
        io[i] = tn_file_io(file);
    }
}

static void *select_each_kind(void *arg)
{
    tn_io quiet[2], busy[2];

    for (unsigned is_unix = 0; is_unix < 2; is_unix++) {
        stream_ios(quiet, is_unix);
        stream_ios(busy, is_unix);
        select_two(quiet, busy);
    }
    tt_check_eq(tn_duplex_open(quiet, NULL), 0);
    tt_check_eq(tn_duplex_open(busy, NULL), 0);
    select_two(quiet, busy);
    pipe_ios(quiet);
    pipe_ios(busy);
    select_two(quiet, busy);
    return arg;
}

Test(io, select_over_streams_of_each_kind)
{
    tt_run(select_each_kind, NULL);
}

static void *wait_and_abort(void *arg)
{
    tn_io_wait_future wait;
    tn_io io[2];
    char byte;

    for (unsigned kind = 0; kind < 2; kind++) {
        tn_future *futures[2] = {&wait.base, NULL};
        tn_sleep_future sleep;
        int result;

        if (kind == 0)
            stream_ios(io, false);
        else
            tt_check_eq(tn_duplex_open(io, NULL), 0);
        tn_io_wait_init(&wait, io[0], TN_READABLE);
        tn_sleep_init(&sleep, tn_now());
        futures[1] = &sleep.base;
        tt_check_eq(tn_select_biased(futures, 2, &result), 1);
        tn_future_drop(&sleep.base);
        tt_check_eq(tn_io_read(io[0], &byte, 1), TN_EBUSY); /* while it waits, it is the reader */
        tt_check_eq(tn_io_abort(io[0]), 0);
        tt_check_eq(tn_await(&wait.base), TN_EBADF);
        tn_io_wait_init(&wait, io[0], TN_READABLE);
        tt_check_eq(tn_await(&wait.base), TN_EBADF);
        tn_io_close(io[0]);
        tn_io_close(io[1]);
    }
    return arg;
}

Test(io, an_abort_ends_a_future_that_waits)
{
    tt_run(wait_and_abort, NULL);
}

static int wait_never(void *object, tn_direction direction)
{
    (void)object, (void)direction;
    return 0;
}

static void *wait_without_entries(void *arg)
{
    static const tn_io_ops none = {.size = sizeof none, .read = store_read};
    static const tn_io_ops blocking = {.size = sizeof blocking, .read = store_read, .wait = wait_never};
    tn_io_wait_future wait;

    tn_io_wait_init(&wait, (tn_io){&none, NULL}, TN_READABLE);
    tt_check_eq(tn_await(&wait.base), 0);
    tn_io_wait_init(&wait, (tn_io){&blocking, NULL}, TN_READABLE);
    tt_check_eq(tn_await(&wait.base), TN_ENOTSUP);
    return arg;
}

Test(io, futures_of_kinds_without_one)
{
    tt_run(wait_without_entries, NULL);
}

/* What a reader has in its buffer is there, whatever the stream says. */
static void *wait_for_a_reader(void *arg)
{
    tn_io_wait_future wait;
    tn_reader reader;
    tn_bytes line;
    tn_io io[2];

    tt_check_eq(tn_duplex_open(io, NULL), 0);
    tt_check_eq(tn_reader_init(&reader, io[0], NULL), 0);
    tt_check_eq(tn_io_write(io[1], "one\ntwo\n", 8), 8);
    tt_check_eq(tn_reader_line(&reader, &line, 9), 1);
    tn_io_wait_init(&wait, tn_reader_io(&reader), TN_READABLE);
    tt_check_eq(tn_await(&wait.base), 0);
    tt_check_eq(tn_reader_line(&reader, &line, 9), 1);
    tt_check_eq(tn_io_close_write(io[1]), 0);
    tn_io_wait_init(&wait, tn_reader_io(&reader), TN_READABLE);
    tt_check_eq(tn_await(&wait.base), 0);
    tt_check_eq(tn_reader_line(&reader, &line, 9), 0);
    tn_reader_fini(&reader);
    tn_io_close(io[0]);
    tn_io_close(io[1]);
    return arg;
}

Test(io, a_future_of_a_reader)
{
    tt_run(wait_for_a_reader, NULL);
}

/* --- Aborted --------------------------------------------------------------------------------------------------------------- */

static void *read_until_aborted(void *arg)
{
    char byte;

    return (void *)(intptr_t)tn_io_read(*(tn_io *)arg, &byte, 1);
}

static void *abort_a_reader(void *arg)
{
    tn_stream *ends[2];
    tn_task *reader;
    tn_io io;
    char byte;

    (void)arg;
    for (unsigned long i = 0; i < tt_scaled(50); i++) {
        ns_unix_pair(ends);
        io = tn_stream_io(ends[0]);
        reader = tt_spawn(read_until_aborted, &io);
        if (i % 2 == 0)
            tt_check_eq(tn_yield(), 0);
        tt_check_eq(tn_io_abort(io), 0);
        tt_check_eq((intptr_t)tt_join(reader), TN_EBADF);
        tt_check_eq(tn_io_abort(io), 0);
        tt_check_eq(tn_io_write(io, "a", 1), TN_EBADF);
        tt_check_eq(tn_io_descriptor(io, TN_READABLE), TN_EBADF);
        tt_check_eq(tn_read(ends[1], &byte, 1), 0); /* the peer sees the end */
        tn_io_close(io);
        tn_stream_close(ends[1]);
    }
    return NULL;
}

Test(io, an_aborted_stream_keeps_its_owner)
{
    tt_run(abort_a_reader, NULL);
}

/* --- Abandoned ----------------------------------------------------------------------------------------------------------- */

static void *read_for_ever(void *arg)
{
    char byte;

    (void)tn_io_read(*(tn_io *)arg, &byte, 1);
    tt_check(false);
    return NULL;
}

Test(io, an_abandoned_reader_of_a_duplex_has_left_it)
{
    tt_allocator allocator;
    tn_duplex_options options = tn_duplex_options_default();
    tt_abandoned left;
    tn_io ends[2];
    char byte;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    cr_assert_eq(tn_duplex_open(ends, &options), 0);
    tt_abandon_begin(&left, read_for_ever, &ends[0]);
    cr_assert_eq(tn_io_read(ends[0], &byte, 1), TN_EBUSY);
    tt_abandon_end(&left);
    cr_assert_eq(tn_io_write(ends[1], "a", 1), 1);
    cr_assert_eq(tn_io_read(ends[0], &byte, 1), 1);
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}
