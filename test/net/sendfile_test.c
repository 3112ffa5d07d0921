/* SPDX-License-Identifier: MIT */
/* Tests of tn_sendfile: from files to streams. */
#include <fcntl.h>

#include <tn/blocking.h>

#include "net_support.h"

enum { SIZE = 3 * (1 << 20) + 777 };

static char folder[64];
static char path[96];

static unsigned char byte_at(size_t i)
{
    return (unsigned char)((i * 2654435761u) >> 11);
}

static void make_file(void)
{
    static unsigned char data[SIZE];
    int fd;

    snprintf(folder, sizeof folder, "/tmp/tn-sendfile-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = byte_at(i);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    cr_assert_eq(write(fd, data, SIZE), SIZE);
    cr_assert_eq(close(fd), 0);
}

static void remove_file(void)
{
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(rmdir(folder), 0);
}

TestSuite(sendfile, .init = make_file, .fini = remove_file);

typedef struct {
    tn_stream *ends[2];
    tn_file *file;
    size_t from;
    size_t size;
    uint64_t pause_ns; /* of the reader, from time to time: the socket's buffer fills up */
} transfer;

static void make_pair(transfer *self)
{
    int fds[2];

    tt_check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    for (unsigned i = 0; i < 2; i++)
        tt_check_eq(tn_stream_open(NULL, &self->ends[i], fds[i]), 0);
    tt_check_eq(tn_file_open(&self->file, path, O_RDONLY, 0), 0);
}

static void *send_all(void *arg)
{
    transfer *self = arg;
    size_t done = 0;

    while (done < self->size) {
        ssize_t n = tn_sendfile(self->ends[0], self->file, (int64_t)(self->from + done), self->size - done);
        tt_check(n > 0);
        done += (size_t)n;
    }
    tn_stream_close(self->ends[0]);
    return NULL;
}

static void *receive_all(void *arg)
{
    transfer *self = arg;
    unsigned char buf[16384];
    size_t got = 0;
    ssize_t n;

    while ((n = tn_read(self->ends[1], buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            tt_check(buf[i] == byte_at(self->from + got + (size_t)i));
        if (got / 500000 != (got + (size_t)n) / 500000)
            tt_check_eq(tn_sleep(self->pause_ns), 0);
        got += (size_t)n;
    }
    tt_check_eq(n, 0);
    tt_check_eq(got, self->size);
    tn_stream_close(self->ends[1]);
    return NULL;
}

static void *transfer_some(void *arg)
{
    static const size_t ranges[][2] = {{0, SIZE}, {1, 100}, {SIZE - 1, 1}, {12345, 2000000}};

    (void)arg;
    for (unsigned i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        transfer self = {.from = ranges[i][0], .size = ranges[i][1], .pause_ns = 2 * TN_MS};
        tn_task *sender;
        tn_task *receiver;
        make_pair(&self);
        sender = tt_spawn(send_all, &self);
        receiver = tt_spawn(receive_all, &self);
        (void)tt_join(sender);
        (void)tt_join(receiver);
        tn_file_close(self.file);
    }
    return NULL;
}

Test(sendfile, ranges_of_a_file)
{
    tt_run(transfer_some, NULL);
}

static void *ends_of_things(void *arg)
{
    transfer self = {.size = 0};
    tn_file *folder_file;
    tn_file *pipe_file;
    int pipe_ends[2];

    (void)arg;
    make_pair(&self);
    tt_check_eq(tn_sendfile(self.ends[0], self.file, SIZE, 100), 0); /* the end of the file */
    tt_check_eq(tn_sendfile(self.ends[0], self.file, SIZE - 5, 100), 5);
    tt_check_eq(tn_sendfile(self.ends[0], self.file, 0, 0), 0);
    tt_check_eq(tn_sendfile(self.ends[0], self.file, -1, 1), TN_EINVAL);
    tt_check_eq(tn_file_open(&folder_file, folder, O_RDONLY, 0), 0);
    tt_check(tn_sendfile(self.ends[0], folder_file, 0, 10) < 0);
    tn_file_close(folder_file);
    tt_check_eq(pipe(pipe_ends), 0);
    tt_check_eq(tn_file_adopt(&pipe_file, pipe_ends[0]), 0);
    tt_check_eq(tn_sendfile(self.ends[0], pipe_file, 0, 10), TN_EINVAL);
    tn_file_close(pipe_file);
    close(pipe_ends[1]);
    tn_stream_close(self.ends[1]);
    tt_check_eq(tn_sendfile(self.ends[0], self.file, 0, 100), TN_EPIPE); /* and no signal */
    tn_stream_retain(self.ends[0]);
    tn_stream_close(self.ends[0]);
    tt_check_eq(tn_sendfile(self.ends[0], self.file, 0, 100), TN_EBADF);
    tn_stream_release(self.ends[0]);
    tn_file_close(self.file);
    return NULL;
}

Test(sendfile, ends_and_errors)
{
    tt_run(ends_of_things, NULL);
}

/* The position of the file does not move. A file that is cut while it is sent ends there. */
static void *cut_it(void *arg)
{
    transfer *self = arg;

    tt_check_eq(tn_sleep(20 * TN_MS), 0); /* the sender waits for the socket by then */
    tt_check_eq(tn_file_truncate(self->file, 1 << 20), 0);
    for (char buf[4096]; tn_read(self->ends[1], buf, sizeof buf) > 0;)
        ;
    return NULL;
}

static void *position_and_cut(void *arg)
{
    transfer self = {.size = SIZE};
    tn_task *cutter;
    ssize_t sent;
    int fd = open(path, O_RDWR);

    (void)arg;
    make_pair(&self);
    tn_file_close(self.file);
    tt_check_eq(tn_file_adopt(&self.file, fd), 0);
    tt_check_eq(tn_file_truncate(self.file, 64 << 20), 0); /* more than the socket takes */
    cutter = tt_spawn(cut_it, &self);
    sent = tn_sendfile(self.ends[0], self.file, 0, 64 << 20);
    tt_check(sent > 0 && sent < 64 << 20);
    tt_check_eq(tn_sendfile(self.ends[0], self.file, 32 << 20, 64 << 20), 0);
    tt_check_eq(lseek(fd, 0, SEEK_CUR), 0);
    tn_stream_close(self.ends[0]);
    (void)tt_join(cutter);
    tn_stream_close(self.ends[1]);
    tn_file_close(self.file);
    return NULL;
}

Test(sendfile, position_and_cut)
{
    tt_run(position_and_cut, NULL);
}

static void *send_until_stopped(void *arg)
{
    transfer *self = arg;
    ssize_t n;

    do
        n = tn_sendfile(self->ends[0], self->file, 0, SIZE);
    while (n > 0);
    tt_check(n == TN_ECANCELED || n == TN_EBADF);
    return NULL;
}

static void *stop_it(void *arg)
{
    (void)arg;
    for (unsigned close_it = 0; close_it < 2; close_it++) {
        transfer self = {.size = SIZE};
        tn_task *sender;
        make_pair(&self);
        tn_stream_retain(self.ends[0]);
        sender = tt_spawn(send_until_stopped, &self);
        tt_check_eq(tn_sleep(5 * TN_MS), 0); /* the peer does not read, so the sender waits for the socket */
        if (close_it) {
            tn_stream_close(self.ends[0]);
        } else {
            tn_cancel(sender);
            tn_stream_release(self.ends[0]);
        }
        (void)tt_join(sender);
        tn_stream_release(self.ends[0]);
        tn_stream_close(self.ends[1]);
        tn_file_close(self.file);
    }
    return NULL;
}

Test(sendfile, is_cancelled_and_closed)
{
    tt_run(stop_it, NULL);
}

/* --- In jobs, and across runtimes ------------------------------------------------------------------------------------------- */

typedef struct {
    tn_runtime *runtime;
    tt_gate begun;
    tt_gate full;
} crowd;

static void send_ten(tn_runtime *runtime)
{
    int fds[2];
    tn_stream *stream;
    tn_file *file;

    tt_check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    tt_check_eq(tn_stream_open(runtime, &stream, fds[0]), 0);
    tt_check_eq(tn_file_open(&file, path, O_RDONLY, 0), 0);
    tt_check_eq(tn_sendfile(stream, file, 0, 10), 10);
    tn_file_close(file);
    tn_stream_close(stream);
    tt_check_eq(close(fds[1]), 0);
}

static void *send_in_a_job(void *arg)
{
    crowd *self = arg;

    tt_gate_open(&self->begun);
    tt_gate_wait(&self->full, 1);
    send_ten(self->runtime);
    return NULL;
}

/* Both threads run such jobs, and the queue is full of more of them. */
Test(sendfile, in_jobs_of_a_full_pool)
{
    enum { THREADS = 2, QUEUE = 4 };
    tn_options options = tt_options();
    crowd self = {.begun = TT_GATE_INIT, .full = TT_GATE_INIT};
    tn_job *jobs[THREADS + QUEUE];

    options.blocking_threads = THREADS;
    options.file_threads = 1;
    options.blocking_queue_max = QUEUE;
    cr_assert_eq(tn_runtime_create(&self.runtime, &options), 0);
    for (unsigned i = 0; i < THREADS + QUEUE; i++) {
        cr_assert_eq(tn_spawn_blocking_on(self.runtime, NULL, &jobs[i], send_in_a_job, &self), 0);
        if (i < THREADS)
            tt_gate_wait(&self.begun, i + 1);
    }
    tt_gate_open(&self.full);
    for (unsigned i = 0; i < THREADS + QUEUE; i++)
        cr_assert_eq(tn_job_join(jobs[i], NULL), 0);
    tt_runtime_destroy(self.runtime);
}

static void *send_on_another(void *other)
{
    send_ten(other);
    return NULL;
}

/* The job, which is in the fiber's frame, runs on the pool of the fiber's own runtime. */
Test(sendfile, a_stream_of_another_runtime)
{
    tn_runtime *mine = tt_runtime_create();
    tn_runtime *other = tt_runtime_create();
    tn_blocking_counters counters = {.size = sizeof counters};

    tt_join(tt_spawn_on(mine, send_on_another, other));
    cr_assert_eq(tn_runtime_blocking(other, &counters), 0);
    cr_assert_eq(counters.threads_started, 0);
    counters.size = sizeof counters;
    cr_assert_eq(tn_runtime_blocking(mine, &counters), 0);
    cr_assert_gt(counters.threads_started, 0);
    tt_runtime_destroy(mine);
    tt_runtime_destroy(other);
}
