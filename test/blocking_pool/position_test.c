/* SPDX-License-Identifier: MIT */
/* A file's own position, used by several tasks at once: a worker does not wait for a call that uses it, and keeps no call
 * waiting for long. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <tn/fs.h>

#include "fs_faults.h"
#include "pool_jobs.h"
#include "support/runtime.h"

enum { BYTES = 4096 };

static struct {
    fault_call call; /* the call that waits at the gate */
    tt_gate inside;
    tt_gate go;
    atomic_int seen[FAULT_SEEK + 1];
    pthread_t thread_of[FAULT_SEEK + 1]; /* the last thread that made the call */
    int fd;
} watched;

static void watch(fault_call call, int fd)
{
    if (fd != watched.fd)
        return;
    watched.thread_of[call] = pthread_self();
    atomic_fetch_add(&watched.seen[call], 1);
    if (call != watched.call)
        return;
    tt_gate_open(&watched.inside);
    tt_gate_wait(&watched.go, 1);
}

static void stop_watching(void)
{
    atomic_store(&fault_before, NULL);
}

TestSuite(position, .fini = stop_watching);

/* In /dev/shm: a file system in memory, which waits for no device and no server. */
static tn_file *open_fresh(void)
{
    char path[] = "/dev/shm/tn-position-test-XXXXXX";
    char data[BYTES];
    int fd = mkstemp(path);
    tn_file *file;

    memset(data, 'x', sizeof data);
    tt_check(fd >= 0 && write(fd, data, sizeof data) == sizeof data && close(fd) == 0);
    tt_check(tn_file_open(&file, path, O_RDWR, 0) == 0);
    tt_check(unlink(path) == 0);
    return file;
}

/* From now on `call` waits at the gate if it is made on this file. */
static void watch_file(tn_file *file, fault_call call)
{
    memset(watched.seen, 0, sizeof watched.seen);
    watched.call = call;
    watched.inside = watched.go = (tt_gate)TT_GATE_INIT;
    watched.fd = tn_file_fd(file);
    atomic_store(&fault_before, watch);
}

static bool is_inside(void *arg)
{
    (void)arg;
    return tt_gate_opened(&watched.inside) > 0;
}

static void let_it_get_inside(void)
{
    while (!is_inside(NULL))
        tt_check(tn_sleep(TN_MS) == 0);
}

static void *write_a_little(void *file)
{
    tt_check(tn_file_write(file, "abc", 3) == 3);
    return NULL;
}

/* --- During a slow transfer ------------------------------------------------------------------------------------------------- */

static bool seeks_here(tn_file *file, int64_t offset, int whence)
{
    tt_check(tn_file_seek(file, offset, whence) >= 0);
    return pthread_equal(watched.thread_of[FAULT_SEEK], pthread_self());
}

static void *seek_beside(void *arg)
{
    tn_file *file = open_fresh();
    tn_task *writer;

    watch_file(file, FAULT_WRITE);
    tt_check(tn_spawn(&writer, write_a_little, file) == 0);
    let_it_get_inside();
    tt_check(!seeks_here(file, 1, SEEK_SET) && atomic_load(&watched.seen[FAULT_SEEK]) == 1);
    tt_check(atomic_load(&watched.seen[FAULT_WRITE]) == 1);
    tt_gate_open(&watched.go);
    tt_join(writer);
    tt_check(tn_file_seek(file, 0, SEEK_CUR) == 4);
    tt_check(tn_file_seek(file, 0, SEEK_END) == BYTES);
    tt_check(tn_file_seek(file, -1, SEEK_SET) == TN_EINVAL);
    tn_file_close(file);
    return arg;
}

static void run_on_one_worker(tn_entry_fn entry)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.workers = 1;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, entry, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
}

Test(position, a_seek_beside_a_transfer_is_not_made_on_a_worker)
{
    run_on_one_worker(seek_beside);
}

static void *seek_alone(void *arg)
{
    tn_file *file = open_fresh();
    tn_file *adopted;

    watch_file(file, FAULT_NONE);
    for (int i = 0; i < 1000; i++)
        tt_check(seeks_here(file, i, SEEK_SET) && seeks_here(file, 1, SEEK_CUR));
    tt_check(tn_file_seek(file, -1, SEEK_SET) == TN_EINVAL);
    tt_check(!seeks_here(file, 0, SEEK_END)); /* the file system may have to wait for the size */
    tt_check(tn_file_adopt(&adopted, dup(tn_file_fd(file))) == 0);
    watched.fd = tn_file_fd(adopted);
    tt_check(!seeks_here(adopted, 0, SEEK_SET)); /* other processes may use the position */
    tt_check(tn_file_seek(file, 0, SEEK_CUR) == 0);
    tn_file_close(adopted);
    tn_file_close(file);
    return arg;
}

Test(position, a_seek_that_waits_for_nothing_is_made_at_once)
{
    run_on_one_worker(seek_alone);
}

static void *read_beside(void *arg)
{
    tn_file *file = open_fresh();
    tn_task *writer;
    char buf[8];

    watch_file(file, FAULT_WRITE);
    tt_check(tn_spawn(&writer, write_a_little, file) == 0);
    let_it_get_inside();
    tt_check(tn_file_read(file, buf, 2) == 2);
    tt_check(atomic_load(&watched.seen[FAULT_CACHED]) == 0 && atomic_load(&watched.seen[FAULT_READ]) == 1);
    tt_check(tn_file_pread(file, buf, 2, 0) == 2); /* a read at an offset does not conflict */
    tt_gate_open(&watched.go);
    tt_join(writer);
    tn_file_close(file);
    return arg;
}

Test(position, a_read_in_place_keeps_clear_of_a_transfer)
{
    run_on_one_worker(read_beside);
}

static void *seek_cancelled(void *file)
{
    tt_check(tn_file_seek(file, 7, SEEK_SET) == TN_ECANCELED);
    return NULL;
}

static void *check_position(void *arg)
{
    tn_file *file = open_fresh();
    tn_task *task;

    tt_check(tn_file_seek(file, 5, SEEK_SET) == 5);
    task = tt_spawn(seek_cancelled, file);
    tn_cancel(task); /* with one worker the task has not begun */
    tt_join(task);
    tt_check(tn_file_seek(file, 0, SEEK_CUR) == 5);
    tn_file_close(file);
    return arg;
}

Test(position, a_cancelled_seek_moves_nothing)
{
    run_on_one_worker(check_position);
}

/* --- A slow read in place --------------------------------------------------------------------------------------------------- */

static void *read_a_little(void *file)
{
    char buf[3];

    tt_check(tn_file_read(file, buf, sizeof buf) == sizeof buf);
    return NULL;
}

static void *open_for_test(void *out)
{
    *(tn_file **)out = open_fresh();
    return NULL;
}

static void *close_for_test(void *file)
{
    tn_file_close(file);
    return NULL;
}

static bool is_in_a_call(void *runtime)
{
    return counters(runtime).running_files == 1;
}

/* The worker is delayed inside its read. Meanwhile the transfer's thread arrives, and waits. */
Test(position, a_transfer_waits_for_a_read_in_place)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_task *reader;
    tn_task *writer;
    tn_file *file;

    tt_join(tt_spawn_on(runtime, open_for_test, &file));
    watch_file(file, FAULT_CACHED);
    reader = tt_spawn_on(runtime, read_a_little, file);
    cr_assert(tt_wait_until(is_inside, NULL, 30 * TN_S));
    writer = tt_spawn_on(runtime, write_a_little, file);
    cr_assert(tt_wait_until(is_in_a_call, runtime, 30 * TN_S));
    tt_block_thread(5 * TN_MS);
    cr_assert_eq(atomic_load(&watched.seen[FAULT_WRITE]), 0);
    tt_gate_open(&watched.go);
    tt_join(reader);
    tt_join(writer);
    cr_assert_eq(atomic_load(&watched.seen[FAULT_WRITE]), 1);
    tt_join(tt_spawn_on(runtime, close_for_test, file));
    tt_runtime_destroy(runtime);
}

/* --- Many at once ----------------------------------------------------------------------------------------------------------- */

static atomic_long read_bytes;

static void *read_and_look(void *file)
{
    char buf[16];
    int64_t last = 0;

    for (unsigned i = 0;; i++) {
        ssize_t n = tn_file_read(file, buf, i % 16 + 1);
        tt_check(n >= 0);
        if (n == 0)
            return NULL;
        atomic_fetch_add(&read_bytes, n);
        if (i % 4 == 0) {
            int64_t at = tn_file_seek(file, 0, SEEK_CUR);
            tt_check(at >= last + n && at <= BYTES);
            last = at;
        }
    }
}

static void *read_on_a_thread(void *file)
{
    return read_and_look(file);
}

/* Fibers and a plain thread share the position. Each byte is read exactly once. */
Test(position, is_shared)
{
    enum { CROWD = 6 };
    tn_runtime *runtime = tt_runtime_create();

    for (unsigned long round = 0; round < tt_scaled(20); round++) {
        tn_task *tasks[CROWD];
        pthread_t thread;
        tn_file *file;
        atomic_store(&read_bytes, 0);
        tt_join(tt_spawn_on(runtime, open_for_test, &file));
        for (unsigned i = 0; i < CROWD; i++)
            tasks[i] = tt_spawn_on(runtime, read_and_look, file);
        thread = tt_thread_start(read_on_a_thread, file);
        for (unsigned i = 0; i < CROWD; i++)
            tt_join(tasks[i]);
        tt_thread_join(thread);
        cr_assert_eq(atomic_load(&read_bytes), BYTES);
        tt_join(tt_spawn_on(runtime, close_for_test, file));
    }
    tt_runtime_destroy(runtime);
}
