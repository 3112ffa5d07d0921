/* SPDX-License-Identifier: MIT */
/* Errors of files that could have two meanings: SIGPIPE, the kernel's ETIMEDOUT and ECANCELED; and the scopes of a plain
 * thread. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tn.h>

#include "fs_faults.h"
#include "support/runtime.h"
#include "support/thread_faults.h"

/* --- SIGPIPE ---------------------------------------------------------------------------------------------------------------- */

/* A signal would end the process. */
static void open_to_the_signal(void)
{
    sigset_t set;

    cr_assert_eq(sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, NULL), 0);
    cr_assert_eq(sigemptyset(&set) | sigaddset(&set, SIGPIPE), 0);
    cr_assert_eq(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
}

static bool is_pending(void)
{
    sigset_t set;

    tt_check(sigpending(&set) == 0);
    return sigismember(&set, SIGPIPE) == 1;
}

/* A write end without a reader. */
static tn_file *broken_file(bool is_socket)
{
    tn_file *file;
    int ends[2];

    tt_check((is_socket ? socketpair(AF_UNIX, SOCK_STREAM, 0, ends) : pipe(ends)) == 0);
    tt_check(close(ends[0]) == 0);
    tt_check(tn_file_adopt(&file, ends[1]) == 0);
    return file;
}

static void *write_to_nobody(void *arg)
{
    struct iovec parts[2] = {{(char[]){"x"}, 1}, {(char[]){"y"}, 1}};

    for (unsigned i = 0; i < 2; i++) {
        tn_file *file = broken_file(i == 1);
        tt_check_eq(tn_file_write(file, "x", 1), TN_EPIPE);
        tt_check_eq(tn_file_writev(file, parts, 2), TN_EPIPE);
        tn_file_close(file);
    }
    return arg;
}

static void *read_a_part(void *arg)
{
    int end = *(int *)arg;
    char buf[100];

    tt_check(read(end, buf, sizeof buf) > 0); /* the write has begun, and more than fits is left of it */
    tt_check(close(end) == 0);
    return NULL;
}

/* The reader leaves in the middle of a write: it returns what it has written, and sends the signal. */
static void write_a_part(void)
{
    enum { SIZE = 1 << 20 };
    char *bytes = calloc(1, SIZE);
    pthread_t reader;
    tn_file *file;
    ssize_t n;
    int ends[2];

    tt_check(bytes != NULL && pipe(ends) == 0);
    tt_check(tn_file_adopt(&file, ends[1]) == 0);
    reader = tt_thread_start(read_a_part, &ends[0]);
    n = tn_file_write(file, bytes, SIZE);
    tt_check(n > 0 && n < SIZE);
    tt_thread_join(reader);
    tn_file_close(file);
    free(bytes);
}

static void *send_to_nobody(void *arg)
{
    tn_stream *stream;
    tn_file *file;
    int ends[2];

    tt_check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    tt_check(close(ends[0]) == 0);
    tt_check(tn_stream_open(arg, &stream, ends[1]) == 0);
    tt_check(tn_file_open(&file, "/proc/self/exe", O_RDONLY, 0) == 0);
    tt_check_eq(tn_sendfile(stream, file, 0, 100), TN_EPIPE);
    tn_file_close(file);
    tn_stream_close(stream);
    return write_to_nobody(arg);
}

/* Also on the worker, if no thread can be started. */
static void *in_a_job(void *arg)
{
    tn_blocking_options options = tn_blocking_options_default();
    tn_job *job;

    options.when_full = TN_FULL_CALLER_RUNS;
    tt_check(tn_spawn_blocking_on(NULL, &options, &job, send_to_nobody, arg) == 0);
    tt_check(tn_job_join(job, NULL) == 0);
    return arg;
}

Test(fs_errors, no_write_raises_the_signal)
{
    tn_runtime *runtime = tt_runtime_create();

    open_to_the_signal();
    write_to_nobody(NULL);
    write_a_part();
    send_to_nobody(runtime);
    cr_assert_eq(tn_block_on(runtime, send_to_nobody, runtime, NULL), 0);
    cr_assert_eq(tn_block_on(runtime, in_a_job, runtime, NULL), 0);
    cr_assert_not(is_pending());
    tt_runtime_destroy(runtime);
}

/* The worker is the main thread, which does not block the signal. Without threads of the pool it makes the calls itself. */
Test(fs_errors, nor_does_one_on_the_worker)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.flavor = TN_CURRENT_THREAD;
    options.workers = 0;
    options.force_migration = false;
    open_to_the_signal();
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    atomic_store(&threads_left, 1);
    cr_assert_eq(tn_block_on(runtime, write_to_nobody, NULL, NULL), 0);
    cr_assert_eq(tn_block_on(runtime, in_a_job, runtime, NULL), 0);
    atomic_store(&threads_left, 0);
    cr_assert_not(is_pending());
    tt_runtime_destroy(runtime);
}

/* A thread that blocks the signal has none pending afterwards, but keeps the one that was there. */
Test(fs_errors, a_signal_of_before_stays_pending)
{
    sigset_t set;
    int number;

    cr_assert_eq(sigemptyset(&set) | sigaddset(&set, SIGPIPE), 0);
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    write_to_nobody(NULL);
    cr_assert_not(is_pending());
    cr_assert_eq(pthread_kill(pthread_self(), SIGPIPE), 0);
    write_to_nobody(NULL);
    cr_assert(is_pending());
    cr_assert_eq(sigwait(&set, &number), 0);
    cr_assert_eq(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
}

/* --- The caller's deadline, or the kernel's --------------------------------------------------------------------------------- */

static void *errors_of_the_kernel(void *arg)
{
    char memory[16];
    tn_file_writer writer;
    tn_file *file;
    char name[] = "/tmp/tn-errors-test-XXXXXX";
    int fd = mkstemp(name);

    tt_check(fd >= 0 && unlink(name) == 0 && tn_file_adopt(&file, fd) == 0);
    fault_set(FAULT_WRITE, 1, 1, ETIMEDOUT, 0);
    tt_check_eq(tn_file_pwrite(file, "x", 1, 0), TN_ETIME);
    fault_set(FAULT_READ, 1, 1, ECANCELED, 0);
    tt_check_eq(tn_file_pread(file, memory, 1, 0), -EINTR);
    fault_set(FAULT_SYNC, 1, 1, ETIMEDOUT, 0);
    tt_check_eq(tn_file_sync(file), TN_ETIME);
    tn_file_writer_init(&writer, file, memory, sizeof memory);
    tt_check(tn_file_writer_write(&writer, "x", 1) == 0);
    fault_set(FAULT_WRITE, 1, 1, ETIMEDOUT, 0);
    tt_check_eq(tn_file_writer_flush(&writer), TN_ETIME);
    fault_set(FAULT_NONE, 0, 0, 0, 0);
    tt_check_eq(tn_file_writer_flush(&writer), TN_ETIME); /* an error of the file stays */
    tn_file_close(file);
    return arg;
}

Test(fs_errors, those_of_the_kernel_are_told_from_the_callers)
{
    errors_of_the_kernel(NULL);
    tt_run(errors_of_the_kernel, NULL);
}

static void *must_not_run(void *arg)
{
    abort();
    return arg;
}

/* A plain thread and a job: a call is a cancellation point when it begins. */
static void *begin_too_late(void *arg)
{
    char buf[1];
    char held[16];
    tn_file_writer writer;
    tn_stat status;
    tn_file *file;

    tt_check(tn_file_open(&file, "/proc/self/exe", O_RDONLY, 0) == 0);
    tn_file_writer_init(&writer, file, held, sizeof held);
    tt_check(tn_file_writer_write(&writer, "x", 1) == 0);
    {
        TN_SCOPE(scope, tn_now());
        tt_check_eq(tn_run_blocking(must_not_run, NULL, NULL), TN_ETIMEDOUT);
        tt_check_eq(tn_file_pread(file, buf, 1, 0), TN_ETIMEDOUT);
        tt_check_eq(tn_fs_stat("/", &status), TN_ETIMEDOUT);
        tt_check_eq(tn_file_writer_flush(&writer), TN_ETIMEDOUT);
    }
    tt_check_eq(tn_file_writer_flush(&writer), -EBADF); /* the deadline's error does not stay; the file is not open for writing */
    tt_check_eq(tn_file_pread(file, buf, 1, 0), 1);
    tn_file_close(file);
    return arg;
}

static void *begin_too_late_in_a_job(void *arg)
{
    tn_job *job;

    tt_check(tn_spawn_blocking(&job, begin_too_late, NULL) == 0);
    tt_check(tn_job_join(job, NULL) == 0);
    return begin_too_late(arg);
}

Test(fs_errors, a_deadline_has_passed_before_the_call)
{
    begin_too_late(NULL);
    tt_run(begin_too_late_in_a_job, NULL);
}

/* --- Descriptor 0 ----------------------------------------------------------------------------------------------------------- */

static void *use_descriptor_0(void *arg)
{
    const char *path = arg;
    unsigned files = tt_files();
    tn_file *file;

    for (unsigned i = 0; i < 3; i++) { /* the later ones may be read in place */
        tn_contents contents;
        tt_check_eq(tn_fs_write_file(path, "abc", 3, 0600), 0);
        tt_check_eq(tn_fs_read_file(path, 100, &contents), 0);
        tt_check(contents.size == 3 && memcmp(contents.data, "abc", 3) == 0);
        tn_contents_fini(&contents);
        tt_check_eq(tn_fs_read_file(path, 2, &contents), -EFBIG);
        tt_check_eq(tt_files(), files);
        tt_check_eq(fcntl(0, F_GETFD), -1);
    }
    tt_check_eq(tn_file_open(&file, path, O_RDONLY, 0), 0);
    tt_check_eq(tn_file_fd(file), 0);
    tn_file_close(file);
    return arg;
}

/* A process without standard input: what is opened next has the number 0. */
static void run_without_input(void *arg)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    tt_check_eq(tn_runtime_create(&runtime, &options), 0);
    tt_check(dup2(1, 0) == 0 && close(0) == 0); /* it was open or not */
    tt_check_eq(tn_block_on(runtime, use_descriptor_0, arg, NULL), 0);
    tt_check_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, UINT64_MAX), 0);
}

Test(fs_errors, descriptor_0_is_one_like_others)
{
    char path[] = "/tmp/tn-fs-errors-XXXXXX";
    tt_child child;
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    (void)close(fd);
    child = tt_fork(run_without_input, path);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(child.status, 0, "%s", child.said);
}

/* --- Arguments -------------------------------------------------------------------------------------------------------------- */

/* A read of /dev/null finds the end whatever the sizes are, and without a look at the addresses. */
static void *add_up_sizes(void *arg)
{
    struct iovec most[3] = {{NULL, 1}, {NULL, SSIZE_MAX - 2}, {NULL, 1}};
    struct iovec more[3] = {{NULL, 1}, {NULL, SSIZE_MAX - 2}, {NULL, 2}};
    tn_file *file;

    tt_check_eq(tn_file_open(&file, "/dev/null", O_RDONLY, 0), 0);
    tt_check_eq(tn_file_readv(file, most, 3), 0);
    tt_check_eq(tn_file_writev(file, most, 3), -EBADF);
    tt_check_eq(tn_file_readv(file, more, 3), TN_EINVAL);
    tt_check_eq(tn_file_writev(file, more, 3), TN_EINVAL);
    tt_check_eq(tn_file_preadv(file, more, 3, 0), TN_EINVAL);
    tt_check_eq(tn_file_pwritev(file, more, 3, 0), TN_EINVAL);
    tn_file_close(file);
    return arg;
}

static void *ask_for_too_much(void *arg)
{
    struct iovec parts[2] = {{NULL, SSIZE_MAX}, {NULL, 1}};
    char buf[1];
    tn_file *file;

    tt_check(tn_file_open(&file, "/proc/self/exe", O_RDONLY, 0) == 0);
    tt_check_eq(tn_file_read(file, buf, (size_t)SSIZE_MAX + 1), TN_EINVAL);
    tt_check_eq(tn_file_write(file, buf, (size_t)SSIZE_MAX + 1), TN_EINVAL);
    tt_check_eq(tn_file_pread(file, buf, (size_t)SSIZE_MAX + 1, 0), TN_EINVAL);
    tt_check_eq(tn_file_pwrite(file, buf, (size_t)SSIZE_MAX + 1, 0), TN_EINVAL);
    tt_check_eq(tn_file_readv(file, parts, 2), TN_EINVAL);
    tt_check_eq(tn_file_writev(file, parts, 2), TN_EINVAL);
    tt_check_eq(tn_file_preadv(file, parts, 2, 0), TN_EINVAL);
    tt_check_eq(tn_file_pwritev(file, parts, 2, 0), TN_EINVAL);
    tt_check_eq(tn_file_readv(file, parts, -1), TN_EINVAL);
    tt_check_eq(tn_file_writev(file, parts, -1), TN_EINVAL);
    tt_check_eq(tn_fs_readlink("/proc/self/exe", buf, 0), -ENAMETOOLONG);
    tt_check(tn_file_fd(file) >= 0 && fcntl(tn_file_fd(file), F_GETFD) == FD_CLOEXEC);
    tn_file_close(file);
    return arg;
}

Test(fs_errors, the_sizes_of_a_vector_are_added_up)
{
    tt_run(add_up_sizes, NULL);
}

Test(fs_errors, sizes_have_limits)
{
    ask_for_too_much(NULL);
    tt_run(ask_for_too_much, NULL);
}

/* --- What is replaced, cut and extended ------------------------------------------------------------------------------------- */

static char folder[64];

static const char *path(const char *name)
{
    static _Thread_local char paths[2][400];
    static _Thread_local unsigned next;
    char *out = paths[next++ % 2];

    snprintf(out, sizeof paths[0], "%s/%s", folder, name);
    return out;
}

static bool starts_with(tn_file *file, const char *text)
{
    char buf[32];

    return tn_file_pread(file, buf, sizeof buf, 0) == (ssize_t)strlen(text) && memcmp(buf, text, strlen(text)) == 0;
}

static void *replace_files(void *arg)
{
    char buf[32];
    tn_file *file;
    tn_file *old;

    tt_check(tn_fs_write_file(path("a"), "aaaa", 4, 0600) == 0 && tn_fs_write_file(path("b"), "bb", 2, 0600) == 0);
    tt_check(tn_file_open(&old, path("b"), O_RDONLY, 0) == 0);
    tt_check(tn_fs_rename(path("a"), path("b")) == 0); /* what the name was before is removed */
    tt_check(tn_file_open(&file, path("a"), O_RDONLY, 0) == -ENOENT);
    tt_check(tn_file_open(&file, path("b"), O_RDWR, 0) == 0);
    tt_check(starts_with(file, "aaaa") && starts_with(old, "bb"));
    tn_file_close(old);
    tt_check(tn_fs_write_file(path("b"), "new", 3, 0600) == 0); /* an open descriptor keeps the old contents */
    tt_check(starts_with(file, "aaaa"));
    tt_check(tn_file_truncate(file, 2) == 0 && starts_with(file, "aa"));
    tt_check(tn_file_truncate(file, 5) == 0);
    tn_file_close(file);
    tt_check(tn_file_open(&file, path("b"), O_RDWR | O_APPEND, 0) == 0 && starts_with(file, "new"));
    tt_check(tn_file_truncate(file, 5) == 0);                                           /* extended with zeros */
    tt_check(tn_file_write(file, "x", 1) == 1 && tn_file_seek(file, 0, SEEK_CUR) == 6); /* at the end */
    tn_file_close(file);
    tt_check(tn_file_open(&file, path("b"), O_RDONLY, 0) == 0);
    tt_check(tn_file_seek(file, -1, SEEK_SET) == -EINVAL && tn_file_seek(file, 0, SEEK_END) == 6);
    tt_check(tn_file_pread(file, buf, sizeof buf, 0) == 6 && memcmp(buf, "new\0\0x", 6) == 0);
    tn_file_close(file);
    tt_check(tn_fs_remove(path("b")) == 0);
    return arg;
}

/* Names of the lengths at which the headers promise an error. */
static void *long_names(void *arg)
{
    char text[5000];
    char name[256];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    tt_check_eq(tn_fs_mkdir_all(text, 0700), -ENAMETOOLONG);
    memset(name, 'y', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    tt_check_eq(tn_fs_write_file(path(name), "z", 1, 0600), -ENAMETOOLONG); /* the kernel would take 255 bytes */
    name[240] = '\0';
    tt_check_eq(tn_fs_write_file(path(name), "z", 1, 0600), 0);
    tt_check_eq(tn_fs_remove(path(name)), 0);
    return arg;
}

Test(fs_errors, names_and_contents)
{
    snprintf(folder, sizeof folder, "/tmp/tn-errors-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    replace_files(NULL);
    tt_run(replace_files, NULL);
    long_names(NULL);
    tt_run(long_names, NULL);
    cr_assert_eq(rmdir(folder), 0);
}
