/* SPDX-License-Identifier: MIT */
/* Each allocation, each system call and each start of a thread that a function of net makes fails in turn: byte streams and
 * processes. each_connection_failure_test.c has those of connections and servers. */
#include <signal.h>
#include <sys/resource.h>

#include <tn.h>

#include "net_support.h"
#include "support/each_failure.h"

/* --- In memory -------------------------------------------------------------------------------------------------------------- */

static int open_duplex(tn_io ends[2])
{
    tn_duplex_options options = tn_duplex_options_default();

    options.allocator = &memory.as_option;
    return tn_duplex_open(ends, &options);
}

static void close_both(tn_io ends[2])
{
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
}

static int use_duplex(void)
{
    struct iovec two[2] = {{(char[]){"ab"}, 2}, {(char[]){"cd"}, 2}};
    char buf[4];
    tn_io ends[2];
    size_t done = 0;
    int rc = open_duplex(ends);

    if (rc != 0)
        return rc;
    tt_check_eq(tn_io_writev_all(ends[0], two, 2), 0);
    tt_check_eq(tn_io_read_exact(ends[1], buf, 4, &done), 0);
    close_both(ends);
    return 0;
}

static int write_each_way(tn_writer *writer)
{
    tn_slice slice;
    int rc = tn_slice_copy(&slice, "soup\n", 5, &memory.as_option);

    if (rc != 0)
        return rc;
    rc = tn_writer_printf(writer, "%d\n", 17);
    rc = rc == 0 ? tn_writer_slice(writer, slice) : rc;
    rc = rc == 0 ? tn_writer_write(writer, "a|", 2) : rc;
    rc = rc == 0 ? tn_writer_frame(writer, TN_FRAME_16_BE, "frame", 5) : rc;
    tn_slice_release(slice);
    return rc == 0 ? tn_writer_flush(writer) : rc;
}

static int read_each_way(tn_reader *reader)
{
    tn_bytes part;
    char last[2];
    int rc = tn_reader_line(reader, &part, 100);

    rc = rc == 1 ? tn_reader_exact(reader, &part, 5) : rc;
    rc = rc == 1 ? tn_reader_until(reader, &part, '|', 100) : rc;
    rc = rc == 1 ? tn_reader_frame(reader, &part, TN_FRAME_16_BE, 100) : rc;
    rc = rc == 1 ? tn_reader_peek(reader, &part, 1) : rc;
    return rc == 1 ? (int)tn_reader_read(reader, last, sizeof last) : rc;
}

static int use_reader(tn_io from, const tn_buffer_options *options)
{
    tn_reader reader;
    int rc = tn_reader_init(&reader, from, options);

    if (rc != 0)
        return rc;
    rc = read_each_way(&reader);
    tn_reader_fini(&reader);
    return rc;
}

static int use_reader_and_writer(void)
{
    tn_buffer_options options = tn_buffer_options_default();
    tn_writer writer;
    tn_io ends[2];
    int rc;

    options.allocator = &memory.as_option;
    rc = open_duplex(ends);
    if (rc != 0)
        return rc;
    rc = tn_writer_init(&writer, ends[0], &options);
    if (rc == 0) {
        tn_writer_cork(&writer);
        rc = write_each_way(&writer);
        rc = rc == 0 ? tn_writer_uncork(&writer) : rc;
        rc = rc == 0 ? tn_writer_write(&writer, "z", 1) : rc;
        rc = rc == 0 ? tn_writer_flush(&writer) : rc;
        rc = rc == 0 ? use_reader(ends[1], &options) : rc;
        tn_writer_fini(&writer);
    }
    close_both(ends);
    return rc < 0 ? rc : 0;
}

static void count_drop(void *arg)
{
    ++*(int *)arg;
}

static int use_slices(void)
{
    int dropped = 0;
    tn_slice slice;
    char *bytes;
    int rc = tn_slice_alloc(&slice, &bytes, 100, &memory.as_option);

    if (rc != 0)
        return rc;
    tn_slice_release(slice);
    rc = tn_slice_copy(&slice, "soup", 4, &memory.as_option);
    if (rc != 0)
        return rc;
    tn_slice_release(slice);
    rc = tn_slice_wrap(&slice, "soup", 4, count_drop, &dropped, &memory.as_option);
    if (rc == 0)
        tn_slice_release(slice);
    tt_check_eq(dropped, rc == 0); /* what could not be wrapped is the caller's */
    return rc;
}

/* --- Over sockets ----------------------------------------------------------------------------------------------------------- */

/* Two streams, by descriptors that the program has opened. */
static int open_pair(tn_stream *ends[2])
{
    int fds[2];
    int rc;

    tt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    rc = tn_stream_open(NULL, &ends[0], fds[0]);
    if (rc != 0) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        return rc;
    }
    rc = tn_stream_open(NULL, &ends[1], fds[1]);
    if (rc != 0) {
        (void)close(fds[1]);
        tn_stream_close(ends[0]);
    }
    return rc;
}

/* 0: `result` is `wanted`; or the error that it is. */
static int expect(int64_t result, int64_t wanted)
{
    tt_check(result < 0 || result == wanted);
    return result < 0 ? (int)result : 0;
}

static int use_stream_io(void)
{
    struct iovec two[2] = {{(char[]){"ab"}, 2}, {(char[]){"cd"}, 2}};
    tn_stream *ends[2];
    char buf[4];
    tn_io to;
    tn_io from;
    int rc = open_pair(ends);

    if (rc != 0)
        return rc;
    to = tn_stream_io(ends[0]);
    from = tn_stream_io(ends[1]);
    rc = expect(tn_io_write(to, "ab", 2), 2);
    rc = rc == 0 ? tn_io_wait(from, TN_READABLE) : rc;
    rc = rc == 0 ? expect(tn_io_read(from, buf, 4), 2) : rc;
    rc = rc == 0 ? expect(tn_io_writev(to, two, 2), 4) : rc;
    rc = rc == 0 ? expect(tn_io_readv(from, two, 2), 4) : rc;
    rc = rc == 0 ? expect(tn_io_try_write(to, "ab", 2), 2) : rc;
    rc = rc == 0 ? expect(tn_io_try_read(from, buf, 4), 2) : rc;
    rc = rc == 0 ? expect(tn_io_try_writev(to, two, 2), 4) : rc;
    rc = rc == 0 ? tn_io_write_all(to, "ab", 2) : rc;
    rc = rc == 0 ? tn_io_close_write(to) : rc;
    tt_check(tn_io_descriptor(to, TN_WRITABLE) >= 0);
    tt_check_eq(tn_io_abort(from), 0);
    tn_stream_close(ends[0]);
    tn_stream_close(ends[1]);
    return rc;
}

static int use_write_queue(void)
{
    struct iovec two[2] = {{(char[]){"ab"}, 2}, {(char[]){"cd"}, 2}};
    tn_write_queue queue;
    tn_stream *ends[2];
    char buf[8];
    int rc = open_pair(ends);

    if (rc != 0)
        return rc;
    tn_write_queue_init(&queue, ends[0]);
    rc = tn_write_queue_write(&queue, "x", 1);
    rc = rc == 0 ? tn_write_queue_writev(&queue, two, 2) : rc;
    rc = rc == 0 ? expect(tn_read(ends[1], buf, sizeof buf), 5) : rc;
    tn_stream_close(ends[0]);
    tn_stream_close(ends[1]);
    return rc;
}

static int copy(tn_stream *in[2], tn_stream *out[2])
{
    int rc = tn_write_all(in[0], "four", 4);

    rc = rc == 0 ? tn_stream_shutdown_write(in[0]) : rc;
    return rc == 0 ? tn_copy(tn_stream_io(out[0]), tn_stream_io(in[1]), NULL, NULL) : rc;
}

/* What is behind both ends has ended; then the copy ends too. */
static int copy_both(tn_stream *in[2], tn_stream *out[2])
{
    uint64_t bytes[2];
    int rc = tn_write_all(in[0], "four", 4);

    rc = rc == 0 ? tn_write_all(out[1], "five5", 5) : rc;
    rc = rc == 0 ? tn_stream_shutdown_write(in[0]) : rc;
    rc = rc == 0 ? tn_stream_shutdown_write(out[1]) : rc;
    rc = rc == 0 ? tn_copy_both(tn_stream_io(in[1]), tn_stream_io(out[0]), NULL, bytes) : rc;
    tt_check(rc != 0 || (bytes[0] == 4 && bytes[1] == 5));
    return rc;
}

static int with_two_pairs(int (*use)(tn_stream *in[2], tn_stream *out[2]))
{
    tn_stream *in[2];
    tn_stream *out[2];
    int rc = open_pair(in);

    if (rc != 0)
        return rc;
    rc = open_pair(out);
    if (rc == 0) {
        rc = use(in, out);
        tn_stream_close(out[0]);
        tn_stream_close(out[1]);
    }
    tn_stream_close(in[0]);
    tn_stream_close(in[1]);
    return rc;
}

static int use_copy(void)
{
    return with_two_pairs(copy);
}

static int use_copy_both(void)
{
    return with_two_pairs(copy_both);
}

static int use_fd(void)
{
    int fds[2];
    int rc;

    tt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    rc = tn_fd_wait(fds[0], TN_FD_WRITABLE);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return rc < 0 ? rc : 0;
}

static void *make_ready(void *arg)
{
    (void)tn_sleep(TN_MS);
    while (send(*(int *)arg, "x", 1, 0) != 1)
        tt_check_eq(errno, EIO); /* this call is one of those that fail */
    return NULL;
}

/* Its descriptor is not ready at first. */
static int use_late_fd(void)
{
    tn_task *task;
    int fds[2];
    int rc;

    tt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    rc = tn_spawn(&task, make_ready, &fds[1]);
    if (rc == 0) {
        rc = tn_fd_wait(fds[0], TN_FD_READABLE);
        tt_check_eq(tn_join(task, NULL), 0);
    }
    (void)close(fds[0]);
    (void)close(fds[1]);
    return rc < 0 ? rc : 0;
}

/* --- Processes -------------------------------------------------------------------------------------------------------------- */

static int use_output(void)
{
    static const char *const argv[] = {"/bin/echo", "soup", NULL};
    tn_process_output output = tn_process_output_default();
    int rc = tn_process_run(&output, argv, NULL);

    tt_check(rc != 0 || (output.out_size == 5 && memcmp(output.out, "soup\n", 5) == 0));
    tn_process_output_free(&output);
    return rc;
}

/* The child returns what it is given. */
static int talk(tn_process *process)
{
    tn_io in = tn_process_take_pipe(process, 0);
    tn_io out = tn_process_take_pipe(process, 1);
    char buf[4];
    size_t done = 0;
    int rc = tn_io_write_all(in, "soup", 4);

    tn_io_close(in);
    rc = rc == 0 ? tn_io_read_exact(out, buf, 4, &done) : rc;
    tn_io_close(out);
    return rc;
}

static int use_process(void)
{
    static const char *const argv[] = {"cat", NULL};
    tn_process_options options = tn_process_options_default();
    tn_process_limit limit = {RLIMIT_CORE, 0, 0};
    const char *failed = NULL;
    tn_process *process;
    int rc;

    options.in = options.out = TN_PROCESS_PIPE;
    options.err = TN_PROCESS_NULL;
    options.new_session = options.kill_on_close = true;
    options.folder = "/";
    options.limits = &limit;
    options.limit_count = 1;
    options.failed = &failed;
    rc = tn_process_start(&process, argv, &options);
    tt_check((rc != 0) == (failed != NULL) || rc == TN_ENOMEM || rc == TN_EAGAIN);
    if (rc != 0)
        return rc;
    rc = talk(process);
    if (rc != 0)
        (void)tn_process_send(process, SIGKILL);
    tt_check_eq(tn_process_wait(process, NULL), 0);
    tn_process_close(process);
    return rc;
}

static const tt_function functions[] = {
    {"duplex", use_duplex, 0},           {"reader and writer", use_reader_and_writer, 0},
    {"slices", use_slices, 0},           {"byte stream", use_stream_io, 0},
    {"write queue", use_write_queue, 0}, {"copy", use_copy, 0},
    {"copy both", use_copy_both, 0},     {"fd", use_fd, 0},
    {"late fd", use_late_fd, 0},         {"output", use_output, 0},
    {"process", use_process, 0},
};

enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

Test(each_failure, of_an_allocation)
{
    tt_fail_each(TT_ALLOCATION, functions, FUNCTIONS);
}

Test(each_failure, of_a_system_call)
{
    tt_fail_each(TT_CALL, functions, FUNCTIONS);
}

Test(each_failure, of_the_start_of_a_thread)
{
    tt_fail_each(TT_THREAD, functions, FUNCTIONS);
}
