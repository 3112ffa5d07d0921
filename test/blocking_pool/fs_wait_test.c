/* SPDX-License-Identifier: MIT */
/* Files whose reads and writes may wait for another party for ever: FIFOs, pipes, terminals. A fiber that waits there occupies no
 * thread of the pool, and can be cancelled. */
/* ctest: timeout=120 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <tn/blocking.h>
#include <tn/copy.h>
#include <tn/fs.h>
#include <tn/reader.h>
#include <tn/scope.h>

#include "fs_faults.h"
#include "pool/job.h"
#include "pool/pool.h"
#include "support/abandoned.h"
#include "support/runtime.h"

enum { FILE_THREADS = 2, CROWD = 20 };

static char folder[64];
static char fifo[96];

static void make_fifo(void)
{
    snprintf(folder, sizeof folder, "/tmp/tn-wait-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    cr_assert_eq(mkfifo(fifo, 0600), 0);
}

static void remove_fifo(void)
{
    fault_set(FAULT_NONE, 0, 0, 0, 0);
    cr_assert_eq(unlink(fifo), 0);
    cr_assert_eq(rmdir(folder), 0);
}

TestSuite(fs_wait, .init = make_fifo, .fini = remove_fifo);

static tn_runtime *small_runtime(void)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.file_threads = FILE_THREADS;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    return runtime;
}

static tn_blocking_counters counters(tn_runtime *runtime)
{
    tn_blocking_counters out = {.size = sizeof out};

    tt_check(tn_runtime_blocking(runtime, &out) == 0);
    return out;
}

static bool no_thread_is_busy(void *runtime)
{
    return counters(runtime).running_files == 0;
}

static bool has_writer(void *reader)
{
    struct pollfd file = {.fd = *(int *)reader, .events = POLLIN};

    return poll(&file, 1, 0) > 0;
}

/* --- Opening a FIFO --------------------------------------------------------------------------------------------------------- */

typedef struct {
    int flags;
    bool whole;
    int rc;
    tt_gate begun;
} opening;

static void *open_fifo(void *arg)
{
    opening *self = arg;
    tn_contents contents;
    tn_file *file;

    tt_gate_open(&self->begun);
    if (self->whole) {
        self->rc = tn_fs_read_file(fifo, 100, &contents);
        tt_check(self->rc == 0 || contents.data == NULL);
        tn_contents_fini(&contents);
    } else {
        self->rc = tn_file_open(&file, fifo, self->flags, 0);
        tt_check(self->rc == 0 || file == NULL);
        tn_file_close(file);
    }
    return NULL;
}

static void *stat_root(void *arg)
{
    tn_stat status;

    tt_check(tn_fs_stat("/", &status) == 0 && status.is_folder);
    return arg;
}

static void crowd_opens(int flags, bool whole)
{
    tn_runtime *runtime = small_runtime();
    opening openings[CROWD];
    tn_task *tasks[CROWD];

    for (unsigned i = 0; i < CROWD; i++) {
        openings[i] = (opening){.flags = flags, .whole = whole, .begun = TT_GATE_INIT};
        tasks[i] = tt_spawn_on(runtime, open_fifo, &openings[i]);
    }
    for (unsigned i = 0; i < CROWD; i++)
        tt_gate_wait(&openings[i].begun, 1);
    tt_join(tt_spawn_on(runtime, stat_root, NULL));
    cr_assert(tt_wait_until(no_thread_is_busy, runtime, 30 * TN_S));
    for (unsigned i = 0; i < CROWD; i++)
        tn_cancel(tasks[i]);
    for (unsigned i = 0; i < CROWD; i++) {
        tt_join(tasks[i]);
        cr_assert_eq(openings[i].rc, TN_ECANCELED);
    }
    tt_runtime_destroy(runtime);
    cr_assert_eq(open(fifo, O_WRONLY | O_NONBLOCK), -1); /* nobody has it open */
    cr_assert_eq(errno, ENXIO);
}

Test(fs_wait, many_open_a_fifo_for_reading)
{
    crowd_opens(O_RDONLY, false);
}

Test(fs_wait, many_open_a_fifo_for_writing)
{
    crowd_opens(O_WRONLY, false);
}

Test(fs_wait, many_read_the_whole_of_a_fifo)
{
    crowd_opens(O_RDONLY, true);
}

/* The writer sends nothing before the reader has opened the FIFO. */
Test(fs_wait, an_open_for_reading_ends_when_a_writer_comes)
{
    tn_runtime *runtime = small_runtime();
    opening self = {.flags = O_RDONLY, .begun = TT_GATE_INIT, .rc = 1};
    tn_task *task = tt_spawn_on(runtime, open_fifo, &self);
    int writer = open(fifo, O_WRONLY);

    tt_join(task);
    cr_assert_eq(self.rc, 0);
    close(writer);
    tt_runtime_destroy(runtime);
}

static void *write_to_fifo(void *arg)
{
    tn_file *file;

    tt_check(tn_file_open(&file, fifo, O_WRONLY, 0) == 0);
    tt_check(tn_file_write(file, arg, strlen(arg)) == (ssize_t)strlen(arg));
    tn_file_close(file);
    return NULL;
}

Test(fs_wait, an_open_for_writing_ends_when_a_reader_comes)
{
    tn_runtime *runtime = small_runtime();
    char text[] = "through";
    tn_task *task = tt_spawn_on(runtime, write_to_fifo, text);
    int reader = open(fifo, O_RDONLY);
    char buf[16] = {0};

    tt_join(task);
    cr_assert_eq(read(reader, buf, sizeof buf), 7);
    cr_assert_str_eq(buf, "through");
    close(reader);
    tt_runtime_destroy(runtime);
}

static void *open_at_once(void *arg)
{
    tn_file *file;

    tt_check(tn_file_open(&file, fifo, O_WRONLY | O_NONBLOCK, 0) == -ENXIO);
    tt_check(tn_file_open(&file, fifo, O_RDONLY | O_NONBLOCK, 0) == 0);
    tn_file_close(file);
    tt_check(tn_file_open(&file, fifo, O_RDWR, 0) == 0);
    tn_file_close(file);
    return arg;
}

Test(fs_wait, an_open_need_not_wait)
{
    tt_run(open_at_once, NULL);
}

static void *keep_modes(void *arg)
{
    char path[96];
    tn_file *file;

    snprintf(path, sizeof path, "%s/a", folder);
    tt_check(tn_file_open(&file, path, O_RDWR | O_CREAT | O_EXCL, 0600) == 0);
    tt_check((fcntl(tn_file_fd(file), F_GETFL) & O_NONBLOCK) == 0);
    tn_file_close(file);
    tt_check(tn_file_open(&file, "/dev/null", O_RDWR, 0) == 0);
    tt_check((fcntl(tn_file_fd(file), F_GETFL) & O_NONBLOCK) == 0);
    tt_check(tn_file_write(file, "a", 1) == 1 && tn_file_read(file, path, 1) == 0);
    tn_file_close(file);
    tt_check(tn_file_open(&file, folder, O_PATH, 0) == 0);
    tn_file_close(file);
    snprintf(path, sizeof path, "%s/a", folder);
    tt_check(tn_fs_remove(path) == 0);
    return arg;
}

Test(fs_wait, other_files_stay_in_blocking_mode)
{
    tt_run(keep_modes, NULL);
}

/* --- Reading ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_file *file;
    ssize_t wanted;
    tt_gate begun;
} reading;

static void *read_once(void *arg)
{
    reading *self = arg;
    char buf[8] = {0};

    tt_gate_open(&self->begun);
    tt_check_eq(tn_file_read(self->file, buf, sizeof buf), self->wanted);
    tt_check(self->wanted < 0 || memcmp(buf, "xyz", (size_t)self->wanted) == 0);
    return NULL;
}

static void expect_read(tn_runtime *runtime, tn_file *file, ssize_t wanted)
{
    reading self = {.file = file, .wanted = wanted, .begun = TT_GATE_INIT};

    tt_join(tt_spawn_on(runtime, read_once, &self));
}

/* Reads of an idle file are cancelled, and then one gets what comes. */
static void read_idle(tn_file *file, int writer)
{
    tn_runtime *runtime = small_runtime();
    reading self = {.file = file, .wanted = TN_ECANCELED, .begun = TT_GATE_INIT};
    tn_task *tasks[CROWD];

    for (unsigned i = 0; i < CROWD; i++)
        tasks[i] = tt_spawn_on(runtime, read_once, &self);
    tt_gate_wait(&self.begun, CROWD);
    tt_join(tt_spawn_on(runtime, stat_root, NULL));
    cr_assert(tt_wait_until(no_thread_is_busy, runtime, 30 * TN_S));
    for (unsigned i = 0; i < CROWD; i++)
        tn_cancel(tasks[i]);
    for (unsigned i = 0; i < CROWD; i++)
        tt_join(tasks[i]);
    self = (reading){.file = file, .wanted = 3, .begun = TT_GATE_INIT};
    tasks[0] = tt_spawn_on(runtime, read_once, &self);
    tt_gate_wait(&self.begun, 1);
    cr_assert_eq(write(writer, "xyz", 3), 3);
    tt_join(tasks[0]);
    tt_runtime_destroy(runtime);
}

Test(fs_wait, an_idle_pipe_is_read)
{
    tn_runtime *runtime = small_runtime();
    tn_file *file;
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(tn_file_adopt(&file, ends[0]), 0);
    read_idle(file, ends[1]);
    cr_assert_eq(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0); /* others may share the descriptor's mode */
    cr_assert_eq(write(ends[1], "xyz", 3), 3);
    close(ends[1]);
    expect_read(runtime, file, 3);
    expect_read(runtime, file, 0);
    tn_file_close(file);
    tt_runtime_destroy(runtime);
}

/* Such a kernel has no reads of pipes that do not wait. */
Test(fs_wait, an_idle_pipe_is_read_with_an_old_kernel)
{
    tn_file *file;
    int ends[2];

    fault_set(FAULT_CACHED, 1, 1000000, EOPNOTSUPP, 0);
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(tn_file_adopt(&file, ends[0]), 0);
    read_idle(file, ends[1]);
    tn_file_close(file);
    close(ends[1]);
}

static int open_terminal(char *name, size_t size)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    struct termios raw;

    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0 || ptsname_r(master, name, size) != 0)
        cr_skip_test("there are no pseudo-terminals");
    cr_assert_eq(tcgetattr(master, &raw), 0);
    cfmakeraw(&raw);
    cr_assert_eq(tcsetattr(master, TCSANOW, &raw), 0);
    return master;
}

Test(fs_wait, an_idle_terminal_is_read)
{
    char name[64];
    int master = open_terminal(name, sizeof name);
    int slave = open(name, O_RDWR | O_NOCTTY);
    tn_file *file;

    cr_assert_eq(tn_file_adopt(&file, slave), 0);
    read_idle(file, master);
    cr_assert_eq(fcntl(slave, F_GETFL) & O_NONBLOCK, 0);
    tn_file_close(file);
    close(master);
}

static void *open_path(void *arg)
{
    tn_file *file;

    tt_check(tn_file_open(&file, arg, O_RDWR | O_NOCTTY, 0) == 0);
    return file;
}

Test(fs_wait, an_idle_terminal_is_opened_and_read)
{
    tn_runtime *runtime = small_runtime();
    char name[64];
    int master = open_terminal(name, sizeof name);
    tn_file *file = tt_join(tt_spawn_on(runtime, open_path, name));

    read_idle(file, master);
    tn_file_close(file);
    close(master);
    tt_runtime_destroy(runtime);
}

static void *read_in_a_job(void *arg)
{
    tn_job *job;

    tt_check(tn_spawn_blocking(&job, read_once, arg) == 0);
    tt_check(tn_job_join(job, NULL) == 0);
    return NULL;
}

/* The FIFO is in non-blocking mode, because a fiber has opened it. The thread waits nevertheless. */
Test(fs_wait, a_job_and_a_plain_thread_wait_in_their_reads)
{
    tn_runtime *runtime = small_runtime();
    int keep = open(fifo, O_RDWR);
    tn_file *file = tt_join(tt_spawn_on(runtime, open_path, fifo));
    reading self = {.file = file, .wanted = 3, .begun = TT_GATE_INIT};
    tn_task *task = tt_spawn_on(runtime, read_in_a_job, &self);
    pthread_t thread;

    tt_gate_wait(&self.begun, 1);
    tt_block_thread(5 * TN_MS); /* most likely it waits by then */
    cr_assert_eq(write(keep, "xyz", 3), 3);
    tt_join(task);
    self = (reading){.file = file, .wanted = 3, .begun = TT_GATE_INIT};
    thread = tt_thread_start(read_once, &self);
    tt_gate_wait(&self.begun, 1);
    tt_block_thread(5 * TN_MS);
    cr_assert_eq(write(keep, "xyz", 3), 3);
    tt_thread_join(thread);
    tn_file_close(file);
    close(keep);
    tt_runtime_destroy(runtime);
}

/* --- Writing ---------------------------------------------------------------------------------------------------------------- */

enum { LARGE = 300000 };

static char large[LARGE];

static void *write_large(void *arg)
{
    tt_check_eq(tn_file_write(arg, large, LARGE), LARGE);
    tn_file_close(arg);
    return NULL;
}

static void *read_large(void *arg)
{
    static char buf[LARGE];
    size_t size = 0;
    ssize_t n;

    while ((n = tn_file_read(arg, buf + size, sizeof buf - size)) > 0)
        size += (size_t)n;
    tt_check(n == 0 && size == LARGE && memcmp(buf, large, LARGE) == 0);
    tn_file_close(arg);
    return NULL;
}

static void write_through(void)
{
    tn_runtime *runtime = small_runtime();
    tn_file *files[2];
    tn_task *tasks[2];
    int ends[2];

    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 2654435761u >> 13);
    cr_assert_eq(pipe(ends), 0);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(tn_file_adopt(&files[i], ends[i]), 0);
    tasks[1] = tt_spawn_on(runtime, write_large, files[1]);
    tasks[0] = tt_spawn_on(runtime, read_large, files[0]);
    tt_join(tasks[0]);
    tt_join(tasks[1]);
    tt_runtime_destroy(runtime);
}

Test(fs_wait, more_is_written_than_a_pipe_holds)
{
    write_through();
}

Test(fs_wait, more_is_written_than_a_pipe_holds_with_an_old_kernel)
{
    fault_set(FAULT_CACHED, 1, 1000000, EOPNOTSUPP, 0);
    write_through();
}

typedef struct {
    tn_file *file;
    ssize_t wrote;
} writing;

static void *write_too_much(void *arg)
{
    writing *self = arg;

    self->wrote = tn_file_write(self->file, large, LARGE);
    tt_check(tn_checkpoint() == TN_ECANCELED);
    return NULL;
}

Test(fs_wait, a_write_to_a_full_pipe_is_cancelled)
{
    tn_runtime *runtime = small_runtime();
    writing self;
    tn_task *task;
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(tn_file_adopt(&self.file, ends[1]), 0);
    task = tt_spawn_on(runtime, write_too_much, &self);
    cr_assert(tt_wait_until(has_writer, &ends[0], 30 * TN_S));
    tt_join(tt_spawn_on(runtime, stat_root, NULL));
    cr_assert(tt_wait_until(no_thread_is_busy, runtime, 30 * TN_S));
    tn_cancel(task);
    tt_join(task);
    cr_assert(self.wrote > 0 && self.wrote < LARGE); /* what the pipe holds */
    tn_file_close(self.file);
    close(ends[0]);
    tt_runtime_destroy(runtime);
}

/* --- Whole files ------------------------------------------------------------------------------------------------------------ */

static void *read_whole_fifo(void *arg)
{
    tn_contents contents;

    tt_check(tn_fs_read_file(fifo, 100, &contents) == 0);
    tt_check(contents.size == 6 && memcmp(contents.data, "abcdef", 7) == 0);
    tn_contents_fini(&contents);
    return arg;
}

Test(fs_wait, a_fifo_is_read_to_its_end)
{
    tn_runtime *runtime = small_runtime();
    tn_task *task = tt_spawn_on(runtime, read_whole_fifo, NULL);
    int writer = open(fifo, O_WRONLY);

    cr_assert_eq(write(writer, "abc", 3), 3);
    tt_join(tt_spawn_on(runtime, stat_root, NULL));
    cr_assert_eq(write(writer, "def", 3), 3);
    close(writer);
    tt_join(task);
    tt_runtime_destroy(runtime);
}

static void *read_endless(void *arg)
{
    tn_contents contents;
    tn_scope scope;

    tn_scope_enter_for(&scope, 5 * TN_MS);
    tt_check(tn_fs_read_file("/dev/zero", SIZE_MAX, &contents) == TN_ETIMEDOUT && contents.data == NULL);
    tn_scope_leave(&scope);
    return arg;
}

Test(fs_wait, what_has_no_end_is_left_at_the_deadline)
{
    tt_run(read_endless, NULL);
}

/* /proc/kmsg is a regular file whose reads wait for messages of the kernel. */
static void *read_kernel_log(void *arg)
{
    const int *thread_count = arg;
    tn_contents contents;
    tn_file *file;
    char byte[8192];
    tn_scope scope;
    tn_stat status;

    for (int i = 0; i <= *thread_count; i++) { /* more than file threads: each is left */
        tn_scope_enter_for(&scope, 20 * TN_MS);
        tt_check(tn_fs_read_file("/proc/kmsg", SIZE_MAX, &contents) == TN_ETIMEDOUT && contents.data == NULL);
        tn_scope_leave(&scope);
    }
    tt_check(tn_file_open(&file, "/proc/kmsg", O_RDONLY, 0) == 0);
    tn_scope_enter_for(&scope, 20 * TN_MS);
    while (tn_file_read(file, byte, sizeof byte) > 0)
        continue;
    tt_check(tn_checkpoint() == TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tt_check(tn_fs_stat("/", &status) == 0);
    tn_file_close(file);
    return NULL;
}

Test(fs_wait, a_file_that_the_kernel_makes_up_is_left_at_the_deadline)
{
    int fd = open("/proc/kmsg", O_RDONLY | O_NONBLOCK);
    char byte;
    ssize_t n = fd >= 0 ? read(fd, &byte, 0) : -1;
    int thread_count = FILE_THREADS;
    tn_runtime *runtime;

    if (fd >= 0)
        close(fd);
    if (n < 0)
        cr_skip_test("the kernel's log must not be read here");
    runtime = small_runtime();
    tt_join(tt_spawn_on(runtime, read_kernel_log, &thread_count));
    tt_runtime_destroy(runtime);
}

static void *read_a_made_up_file(void *arg)
{
    tn_contents contents;
    tn_file *file;
    char byte[64];

    /* The kernel can watch these two, too; they are always readable, and have an end. */
    tt_check(tn_fs_read_file("/proc/self/mounts", SIZE_MAX, &contents) == 0 && contents.size > 0);
    tn_contents_fini(&contents);
    tt_check(tn_file_open(&file, "/proc/sys/kernel/hostname", O_RDONLY, 0) == 0);
    tt_check(tn_file_read(file, byte, sizeof byte) > 0 && tn_file_read(file, byte, sizeof byte) == 0);
    tt_check(tn_file_seek(file, 0, SEEK_SET) == 0 && tn_file_read(file, byte, sizeof byte) > 0);
    tt_check(tn_file_pread(file, byte, sizeof byte, 0) > 0);
    tn_file_close(file);
    return arg;
}

/* A poll of this file reports changes alone, and a read of it never waits. */
#define CHANGES "/proc/bus/input/devices"

/* A wait for it ends at once. */
static void wait_for_changes(tn_file *file)
{
    TN_SCOPE(scope, tn_now() + 10 * TN_S);
    tn_io_wait_future wait;
    tn_reader reader;
    char byte[64];
    ssize_t n;
    tn_io ends[2];

    for (int i = 0; i < 2; i++) {
        tt_check(tn_file_wait(file, false) == 0);
        tn_io_wait_init(&wait, tn_file_io(file), TN_READABLE);
        tt_check(tn_await(&wait.base) == 0);
        tn_future_drop(&wait.base);
    }
    tt_check(tn_file_seek(file, 0, SEEK_SET) == 0 && tn_reader_init(&reader, tn_file_io(file), NULL) == 0);
    while ((n = tn_reader_read(&reader, byte, sizeof byte)) > 0)
        continue;
    tt_check(n == 0);
    tn_reader_fini(&reader);
    tt_check(tn_file_seek(file, 0, SEEK_SET) == 0);
    tt_check(tn_duplex_open(ends, NULL) == 0);
    tt_check(tn_copy(ends[0], tn_file_io(file), NULL, NULL) == 0);
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
}

static void *read_a_file_of_changes(void *arg)
{
    tn_contents contents;
    tn_file *file;
    char byte[64];

    for (int i = 0; i < 2; i++) {
        tt_check(tn_fs_read_file(CHANGES, SIZE_MAX, &contents) == 0);
        tn_contents_fini(&contents);
    }
    tt_check(tn_file_open(&file, CHANGES, O_RDONLY, 0) == 0);
    while (tn_file_read(file, byte, sizeof byte) > 0)
        continue;
    tt_check(tn_file_read(file, byte, sizeof byte) == 0);
    tt_check(tn_file_pread(file, byte, sizeof byte, 0) >= 0);
    wait_for_changes(file);
    tn_file_close(file);
    return arg;
}

Test(fs_wait, a_file_whose_poll_reports_changes_is_read, .timeout = 30)
{
    if (access(CHANGES, R_OK) != 0)
        cr_skip_test("there is no such file here");
    tt_run(read_a_file_of_changes, NULL);
}

Test(fs_wait, files_that_the_kernel_makes_up_have_an_end)
{
    tt_run(read_a_made_up_file, NULL);
}

/* --- Closing ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tt_gate begun;
    tt_gate end;
} busy;

static void *block(void *arg)
{
    busy *self = arg;

    tt_gate_open(&self->begun);
    tt_gate_wait(&self->end, 1);
    return arg;
}

static void *close_file(void *arg)
{
    tn_file_close(arg);
    return NULL;
}

static bool is_closed(void *fd)
{
    return fcntl(*(int *)fd, F_GETFD) < 0;
}

/* A close may block. So it is left to the pool, also if the queue is full. */
Test(fs_wait, a_file_is_not_closed_on_the_worker)
{
    tn_blocking_options job = tn_blocking_options_default();
    tn_options options = tt_options();
    busy b = {TT_GATE_INIT, TT_GATE_INIT};
    tn_runtime *runtime;
    tni_pool *pool;
    tn_file *file;
    int error;
    int ends[2];

    options.file_threads = 1;
    options.blocking_queue_max = 1;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(tn_file_adopt(&file, ends[0]), 0);
    pool = tni_pool_of(runtime, &error);
    cr_assert_eq(tni_job_spawn(pool, TNI_POOL_FILES, &job, NULL, block, &b), 0);
    tt_gate_wait(&b.begun, 1);
    cr_assert_eq(tni_job_spawn(pool, TNI_POOL_FILES, &job, NULL, block, &b), 0);
    tt_join(tt_spawn_on(runtime, close_file, file));
    cr_assert_not(is_closed(&ends[0]));
    tt_gate_open(&b.end);
    cr_assert(tt_wait_until(is_closed, &ends[0], 30 * TN_S));
    close(ends[1]);
    tt_runtime_destroy(runtime);
}

/* --- Abandoned -------------------------------------------------------------------------------------------------------------- */

static void *read_for_ever(void *arg)
{
    char byte;

    (void)tn_file_read(arg, &byte, 1);
    tt_check(false);
    return NULL;
}

static void *open_for_ever(void *arg)
{
    tn_contents contents;

    (void)tn_fs_read_file(fifo, 100, &contents);
    tt_check(false);
    return arg;
}

static void *open_file_for_ever(void *arg)
{
    tn_file *file;

    (void)tn_file_open(&file, fifo, O_RDONLY, 0);
    tt_check(false);
    return arg;
}

static bool has_reader(const tn_task *fiber)
{
    int writer = open(fifo, O_WRONLY | O_NONBLOCK);

    (void)fiber;
    if (writer >= 0)
        close(writer);
    return writer >= 0;
}

static bool no_file_is_left(void *files)
{
    return tt_files() == *(unsigned *)files;
}

/* A thread that is in a call for the fiber closes the file when it returns. */
Test(fs_wait, an_abandoned_fiber_leaves_no_descriptor)
{
    tt_abandoned left;
    unsigned files;
    tn_file *file;
    int ends[2];

    tt_runtime_destroy(tt_runtime_create()); /* the first one opens what libuv keeps */
    files = tt_files();
    tt_abandon_begin_when(&left, open_for_ever, NULL, has_reader);
    tt_abandon_end(&left);
    cr_assert(tt_wait_until(no_file_is_left, &files, 30 * TN_S));
    tt_abandon_begin_when(&left, open_file_for_ever, NULL, has_reader);
    tt_abandon_end(&left);
    cr_assert(tt_wait_until(no_file_is_left, &files, 30 * TN_S));
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(tn_file_adopt(&file, ends[0]), 0);
    tt_abandon_begin(&left, read_for_ever, file);
    tt_abandon_end(&left);
    tn_file_close(file);
    close(ends[1]);
    cr_assert(tt_wait_until(no_file_is_left, &files, 30 * TN_S));
}
