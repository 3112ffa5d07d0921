/* SPDX-License-Identifier: MIT */
/* Each allocation, each call that opens a file or sets up a socket, and each start of a thread that a public function makes
 * fails in turn. The function returns an error that fits, or does without. It leaves no file, thread or memory, and works
 * afterwards. test/runtime/create_test.c has the same of tn_runtime_create. */
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include <tn/async.h>
#include <tn/blocking.h>
#include <tn/copy.h>
#include <tn/fd.h>
#include <tn/fs.h>
#include <tn/future_set.h>
#include <tn/group.h>
#include <tn/names.h>
#include <tn/process.h>
#include <tn/reader.h>
#include <tn/resource_pool.h>
#include <tn/serve.h>
#include <tn/signal.h>
#include <tn/slice.h>
#include <tn/stream_future.h>
#include <tn/sync.h>
#include <tn/write_queue.h>
#include <tn/writer.h>

#include "net_support.h"
#include "support/allocator.h"
#include "support/thread_faults.h"

/* --- System calls that fail: these definitions override the C library's --------------------------------------------------- */

static atomic_long opens_left; /* at 1, one call fails; 0: never */

/* Counts down to 0; true at the step from 1. */
static bool open_fails(void)
{
    long now = atomic_load(&opens_left);

    while (now > 0)
        if (atomic_compare_exchange_weak(&opens_left, &now, now - 1))
            return now == 1;
    return false;
}

static long call(long number, long a, long b, long c, long d, long e)
{
    if (open_fails()) {
        errno = EMFILE;
        return -1;
    }
    return syscall(number, a, b, c, d, e);
}

int socket(int domain, int type, int protocol)
{
    return (int)call(SYS_socket, domain, type, protocol, 0, 0);
}

int pipe2(int fds[2], int flags)
{
    return (int)call(SYS_pipe2, (long)(uintptr_t)fds, flags, 0, 0, 0);
}

int eventfd(unsigned count, int flags)
{
    return (int)call(SYS_eventfd2, (long)count, flags, 0, 0, 0);
}

int epoll_create1(int flags)
{
    return (int)call(SYS_epoll_create1, flags, 0, 0, 0, 0);
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    return (int)call(SYS_bind, fd, (long)(uintptr_t)address, (long)length, 0, 0);
}

int listen(int fd, int backlog)
{
    return (int)call(SYS_listen, fd, backlog, 0, 0, 0);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    return (int)call(SYS_setsockopt, fd, level, name, (long)(uintptr_t)value, (long)length);
}

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list more;

    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
    }
    return (int)call(SYS_openat, AT_FDCWD, (long)(uintptr_t)path, flags, (long)mode, 0);
}

/* --- Public functions, each with what undoes it. They return the first error ---------------------------------------------- */

static tt_allocator memory; /* of the runtime, and of what takes an allocator */

static void *nothing(void *arg)
{
    return arg;
}

static int use_task(void)
{
    tn_task *task;
    int rc = tn_spawn(&task, nothing, NULL);

    return rc == 0 ? tn_join(task, NULL) : rc;
}

static int use_group(void)
{
    tn_group group;
    int rc;

    tn_group_enter(&group, NULL);
    rc = tn_group_spawn(&group, NULL, nothing, NULL);
    if (rc == 0)
        rc = tn_group_wait(&group);
    tn_group_leave(&group);
    return rc;
}

static int use_job(void)
{
    tn_job *job;
    int rc = tn_spawn_blocking(&job, nothing, NULL);

    if (rc == 0)
        rc = tn_job_join(job, NULL);
    return rc == 0 ? tn_run_blocking(nothing, NULL, NULL) : rc;
}

static int use_future_set(void)
{
    tn_sleep_future sleep;
    tn_future_set *set;
    int rc = tn_future_set_create(&set, NULL);

    if (rc != 0)
        return rc;
    tn_sleep_init(&sleep, 0);
    rc = tn_future_set_add(set, &sleep.base, NULL, NULL);
    tn_future_set_destroy(set);
    return rc;
}

static int use_async(void)
{
    tn_async *async;
    int rc = tn_async_open(&async, NULL);

    if (rc == 0)
        tn_async_close(async);
    return rc;
}

static int use_signal(void)
{
    int number = SIGUSR2;
    tn_signal *signals;
    int rc = tn_signal_open(&signals, NULL, &number, 1);

    if (rc == 0)
        tn_signal_close(signals);
    return rc;
}

static int use_token(void)
{
    tn_cancel_token *parent;
    tn_cancel_token *child;
    int rc = tn_cancel_token_create(&parent, NULL, &memory.as_option);

    if (rc != 0)
        return rc;
    rc = tn_cancel_token_create(&child, parent, &memory.as_option);
    if (rc == 0)
        tn_cancel_token_release(child);
    tn_cancel_token_release(parent);
    return rc;
}

static int use_channel(void)
{
    tn_channel_options options = tn_channel_options_default();
    uint64_t element = 1;
    tn_mpsc *channel;
    int rc;

    options.allocator = &memory.as_option;
    rc = tn_mpsc_create(&channel, sizeof element, 256, &options);
    if (rc != 0)
        return rc;
    for (int i = 0; i < 200 && rc == 0; i++)
        rc = tn_mpsc_send(channel, &element);
    tn_mpsc_release_sender(channel);
    tn_mpsc_release_receiver(channel);
    return rc;
}

static int use_oneshot(void)
{
    tn_channel_options options = tn_channel_options_default();
    tn_oneshot *oneshot;
    int rc;

    options.allocator = &memory.as_option;
    rc = tn_oneshot_create(&oneshot, sizeof rc, &options);
    if (rc != 0)
        return rc;
    tt_check_eq(tn_oneshot_send(oneshot, &rc), 0);
    tn_oneshot_release(oneshot);
    return 0;
}

static int use_names(void)
{
    tn_names names;
    int rc = tn_resolve(NULL, "localhost", "7", &names);

    if (rc == 0)
        tn_names_fini(&names);
    return rc;
}

static int use_duplex(void)
{
    tn_duplex_options options = tn_duplex_options_default();
    tn_io ends[2];
    int rc;

    options.allocator = &memory.as_option;
    rc = tn_duplex_open(ends, &options);
    if (rc != 0)
        return rc;
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
    return 0;
}

static int read_what_is_written(tn_io to, tn_io from)
{
    tn_reader reader;
    tn_writer writer;
    tn_bytes line;
    int rc = tn_writer_init(&writer, to, NULL);

    if (rc != 0)
        return rc;
    rc = tn_reader_init(&reader, from, NULL);
    if (rc == 0) {
        rc = tn_writer_printf(&writer, "%d\n", 17);
        rc = rc == 0 ? tn_writer_flush(&writer) : rc;
        rc = rc == 0 ? tn_reader_line(&reader, &line, 100) : rc;
        rc = rc == 1 ? 0 : rc;
        tn_reader_fini(&reader);
    }
    tn_writer_fini(&writer);
    return rc;
}

static int use_reader_and_writer(void)
{
    tn_io ends[2];
    int rc = tn_duplex_open(ends, NULL);

    if (rc != 0)
        return rc;
    rc = read_what_is_written(ends[0], ends[1]);
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
    return rc;
}

static int use_slice(void)
{
    tn_slice slice;
    int rc = tn_slice_copy(&slice, "soup", 4, &memory.as_option);

    if (rc == 0)
        tn_slice_release(slice);
    return rc;
}

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

static int use_write_queue(void)
{
    tn_write_queue queue;
    tn_stream *ends[2];
    char byte;
    int rc = open_pair(ends);

    if (rc != 0)
        return rc;
    tn_write_queue_init(&queue, ends[0]);
    rc = tn_write_queue_write(&queue, "x", 1);
    tt_check(rc != 0 || tn_read(ends[1], &byte, 1) == 1);
    tn_stream_close(ends[0]);
    tn_stream_close(ends[1]);
    return rc;
}

static int use_copy(void)
{
    tn_stream *in[2];
    tn_stream *out[2];
    int rc = open_pair(in);

    if (rc != 0)
        return rc;
    rc = open_pair(out);
    if (rc == 0) {
        tt_check_eq(tn_write_all(in[0], "four", 4), 0);
        tt_check_eq(tn_stream_shutdown_write(in[0]), 0);
        rc = tn_copy(tn_stream_io(out[0]), tn_stream_io(in[1]), NULL, NULL);
        tn_stream_close(out[0]);
        tn_stream_close(out[1]);
    }
    tn_stream_close(in[0]);
    tn_stream_close(in[1]);
    return rc;
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

static void *accept_one(void *arg)
{
    tn_stream *stream;

    if (tn_accept(arg, &stream) == 0)
        tn_stream_close(stream);
    return NULL;
}

static int connect_to(tn_listener *listener)
{
    char address[TN_ADDRESS_SIZE];
    tn_stream *stream;
    tn_task *task;
    int rc = tn_spawn(&task, accept_one, listener);

    if (rc != 0)
        return rc;
    tt_check_eq(tn_listener_address(listener, address, sizeof address), 0);
    rc = tn_tcp_connect(NULL, &stream, address);
    if (rc == 0)
        tn_stream_close(stream);
    else
        tn_cancel(task);
    tt_check_eq(tn_join(task, NULL), 0);
    return rc;
}

static int use_connection(void)
{
    tn_listener *listener;
    int rc = tn_tcp_listen(&listener, "127.0.0.1:0", NULL);

    if (rc != 0)
        return rc;
    rc = connect_to(listener);
    tn_listener_close(listener);
    return rc;
}

static void refuse(tn_session *session, tn_stream *stream, void *arg)
{
    (void)session;
    (void)stream;
    (void)arg;
}

/* With a token that is cancelled: it begins, drains and ends. */
static int use_server(void)
{
    tn_serve_options options = tn_serve_options_default();
    tn_listener *listener;
    int rc = tn_tcp_listen(&listener, "127.0.0.1:0", NULL);

    if (rc != 0)
        return rc;
    rc = tn_cancel_token_create(&options.drain, NULL, &memory.as_option);
    if (rc != 0) {
        tn_listener_close(listener);
        return rc;
    }
    tn_cancel_token_cancel(options.drain);
    options.backlog_ns = TN_MS;
    rc = tn_serve(&listener, 1, refuse, NULL, &options, NULL);
    tn_cancel_token_release(options.drain);
    return rc;
}

static int use_process(void)
{
    static const char *const argv[] = {"/bin/true", NULL};
    tn_process_output output = tn_process_output_default();
    int rc = tn_process_run(&output, argv, NULL);

    tn_process_output_free(&output);
    return rc;
}

static int use_file(void)
{
    tn_file *file;
    char buf[16];
    int rc = tn_file_open(&file, "/proc/self/comm", O_RDONLY, 0);
    ssize_t n;

    if (rc != 0)
        return rc;
    n = tn_file_read(file, buf, sizeof buf);
    tn_file_close(file);
    return n < 0 ? (int)n : 0;
}

static int use_folder(void)
{
    tn_dir *dir;
    int rc = tn_dir_open(&dir, "/proc/self/task");

    if (rc == 0)
        tn_dir_close(dir);
    return rc;
}

static int use_whole_file(void)
{
    tn_contents contents;
    int rc = tn_fs_read_file("/proc/self/comm", 100, &contents);

    tn_contents_fini(&contents);
    return rc;
}

static const struct {
    const char *name;
    int (*use)(void);
} functions[] = {
    {"task", use_task},
    {"group", use_group},
    {"job", use_job},
    {"async", use_async},
    {"signal", use_signal},
    {"token", use_token},
    {"channel", use_channel},
    {"oneshot", use_oneshot},
    {"names", use_names},
    {"duplex", use_duplex},
    {"slice", use_slice},
    {"fd", use_fd},
    {"copy", use_copy},
    {"connection", use_connection},
    {"server", use_server},
    {"process", use_process},
    {"file", use_file},
    {"folder", use_folder},
    {"future set", use_future_set},
    {"write queue", use_write_queue},
    {"whole file", use_whole_file},
    {"reader and writer", use_reader_and_writer},
};

/* --- What is left --------------------------------------------------------------------------------------------------------- */

typedef enum { ALLOCATION, OPEN, THREAD } failing;

static void set_failure(failing what, long nth)
{
    if (what == ALLOCATION)
        tt_allocator_fail(&memory, nth, nth > 0 ? 1 : 0);
    else
        atomic_store(what == OPEN ? &opens_left : &threads_left, nth);
}

/* Whether the failure that was asked for has happened. `calls`: of the allocator, before. */
static bool has_failed(failing what, long nth, long calls)
{
    if (what == ALLOCATION)
        return atomic_load(&memory.calls) - calls >= nth;
    return atomic_load(what == OPEN ? &opens_left : &threads_left) == (what == OPEN ? 0 : 1);
}

static bool is_expected(failing what, int rc)
{
    static const int errors[] = {TN_ENOMEM, TN_EMFILE, TN_EAGAIN};

    return rc == 0 || rc == errors[what] || (what == THREAD && rc == TN_ENOMEM);
}

/* Blocks that caches of the runtime may keep or give back at any time. All are counted when the runtime has gone. */
#define CACHED 8

/* Registrations and threads end a little later than the calls that give them back. */
static bool is_as_before(unsigned files, long blocks)
{
    for (int i = 0; i < 2000; i++) {
        if (tt_files() <= files && atomic_load(&memory.blocks) <= blocks + CACHED)
            return true;
        tt_check_eq(tn_sleep(TN_MS), 0);
    }
    return false;
}

static void check_that_it_works(unsigned index)
{
    int rc = functions[index].use();

    if (rc != 0)
        (void)fprintf(stderr, "%s: %s\n", functions[index].name, tn_strerror(rc));
    tt_check_eq(rc, 0);
}

/* The function with the first, the second, … failure, until there are no more. */
static void fail_in_turn(unsigned index, failing what)
{
    unsigned files = tt_files();
    long blocks = atomic_load(&memory.blocks);
    bool failed = true;

    for (long nth = 1; failed; nth++) {
        long calls = atomic_load(&memory.calls);
        int rc;
        set_failure(what, nth);
        rc = functions[index].use();
        failed = has_failed(what, nth, calls);
        set_failure(what, 0);
        if (!is_expected(what, rc) || !is_as_before(files, blocks)) {
            (void)fprintf(stderr, "%s, failure %d number %ld: %s, %u files before and %u behind, %ld and %ld blocks\n",
                          functions[index].name, (int)what, nth, tn_strerror(rc), files, tt_files(), blocks,
                          atomic_load(&memory.blocks));
            tt_check(false);
        }
    }
    check_that_it_works(index);
}

static void *fail_each(void *arg)
{
    failing what = *(failing *)arg;

    for (unsigned i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        for (int warm = 0; warm < 3; warm++)
            check_that_it_works(i); /* fills caches */
        fail_in_turn(i, what);
    }
    return arg;
}

static void *use_each(void *arg)
{
    for (unsigned i = 0; i < sizeof functions / sizeof functions[0]; i++)
        check_that_it_works(i);
    return arg;
}

static void ignore_message(void *ctx, tn_log_level level, const char *message)
{
    (void)ctx;
    (void)level;
    (void)message;
}

static void run(failing what)
{
    tn_options options = tn_options_default();
    tn_runtime *runtime;
    unsigned threads;
    unsigned files;

    tt_allocator_init(&memory);
    tt_run(use_each, NULL); /* opens what a process keeps: files of libuv, the thread that waits for children */
    threads = tt_threads();
    files = tt_files();
    tt_allocator_init(&memory);
    options.allocator = &memory.as_option;
    options.log = ignore_message;
    options.workers = 1;
    options.blocking_idle_ns = what == THREAD ? TN_MS : options.blocking_idle_ns;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, fail_each, &what, NULL), 0);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&memory.blocks), 0);
    cr_assert_eq(atomic_load(&memory.bytes), 0);
    cr_assert_eq(tt_files(), files);
    if (!TT_TSAN) /* its own thread may have begun */
        tt_expect_threads(threads);
}

Test(each_failure, of_an_allocation)
{
    run(ALLOCATION);
}

Test(each_failure, of_a_call_that_opens)
{
    run(OPEN);
}

Test(each_failure, of_the_start_of_a_thread)
{
    run(THREAD);
}
