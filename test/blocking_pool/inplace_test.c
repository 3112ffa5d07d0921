/* SPDX-License-Identifier: MIT */
/* File reads that a fiber makes on its own worker, and the cases in which it does not. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tn/blocking.h>
#include <tn/fs.h>
#include <tn/scope.h>
#include <tn/why.h>

#include "fs_faults.h"
#include "os/os_file.h"
#include "pool/inplace.h"
#include "pool/pool.h"
#include "support/runtime.h"

enum { LARGE_BYTES = (4 << 20) + 321, READS = 100 };

static char folder[64];
static char *large; /* contents of the file of that name */

static const char *const names[] = {"small", "empty", "large", "fifo", "none", ""};
static char paths[sizeof names / sizeof *names][128];

/* A path that stays: calls borrow it while they wait, and other tasks run on the same thread meanwhile. */
static const char *path(const char *name)
{
    size_t i = 0;

    while (strcmp(names[i], name) != 0)
        i++;
    return paths[i];
}

static void write_file(const char *name, const char *data, size_t size)
{
    int fd = open(path(name), O_CREAT | O_WRONLY, 0600);

    cr_assert(fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0);
}

static void make_files(void)
{
    snprintf(folder, sizeof folder, "/tmp/tn-inplace-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        snprintf(paths[i], sizeof paths[i], "%s/%s", folder, names[i]);
    large = malloc(LARGE_BYTES);
    cr_assert_not_null(large);
    for (size_t i = 0; i < LARGE_BYTES; i++)
        large[i] = (char)(i * 2654435761u >> 13);
    write_file("small", "0123456789", 10);
    write_file("empty", "", 0);
    write_file("large", large, LARGE_BYTES);
    cr_assert_eq(mkfifo(path("fifo"), 0600), 0);
}

static void remove_files(void)
{
    fault_set(FAULT_NONE, 0, 0, 0, 0);
    for (unsigned i = 0; i < 4; i++) /* the others are no files */
        cr_assert_eq(unlink(paths[i]), 0);
    cr_assert_eq(rmdir(folder), 0);
    free(large);
}

TestSuite(inplace, .init = make_files, .fini = remove_files);

/* Returns whether the kernel supports RWF_NOWAIT reads on this file system. */
static bool is_possible(void)
{
    char buf[10];
    struct iovec iov = {buf, sizeof buf};
    int fd = open(path("small"), O_RDONLY);
    bool possible = fd >= 0 && tni_os_is_local(fd) && preadv2(fd, &iov, 1, 0, RWF_NOWAIT) == sizeof buf;

    close(fd);
    return possible;
}

static tn_blocking_counters counters(void)
{
    tn_blocking_counters out = {.size = sizeof out};

    tt_check(tn_runtime_blocking(tn_runtime_current(), &out) == 0);
    return out;
}

static bool holds(const char *name, const char *data, size_t size)
{
    tn_contents contents;
    bool equal;

    tt_check(tn_fs_read_file(path(name), SIZE_MAX, &contents) == 0);
    equal = contents.size == size && memcmp(contents.data, data, size) == 0 && contents.data[size] == '\0';
    tn_contents_fini(&contents);
    return equal;
}

/* --- Whole files ------------------------------------------------------------------------------------------------------------ */

static void *read_small_ones(void *arg)
{
    uint64_t before;

    tt_check(holds("small", "0123456789", 10)); /* a pool thread finds out the type of the file system */
    before = counters().finished;
    for (unsigned i = 0; i < READS; i++)
        tt_check(holds("small", "0123456789", 10) && holds("empty", "", 0));
    *(uint64_t *)arg = counters().finished - before;
    return NULL;
}

Test(inplace, small_files_need_no_thread)
{
    uint64_t jobs = 0;

    if (!is_possible())
        cr_skip_test("this file system, or kernel, has no reads that do not wait");
    tt_run(read_small_ones, &jobs);
    cr_assert_lt(jobs, 2 * READS); /* some may have left the page cache meanwhile */
}

static void *read_all_kinds(void *arg)
{
    tn_contents contents;

    for (unsigned i = 0; i < 3; i++) {
        tt_check(holds("small", "0123456789", 10) && holds("empty", "", 0) && holds("large", large, LARGE_BYTES));
        tt_check(tn_fs_read_file(path("none"), SIZE_MAX, &contents) == -ENOENT && contents.data == NULL);
        tt_check(tn_fs_read_file(path("small"), 9, &contents) == -EFBIG && contents.data == NULL);
        tt_check(tn_fs_read_file(path(""), SIZE_MAX, &contents) == -EISDIR && contents.data == NULL);
    }
    return arg;
}

Test(inplace, what_cannot_be_read_in_place_is_read_all_the_same)
{
    for (long nth = 1; nth <= 3; nth++) { /* nth: the first cached read that fails */
        fault_set(FAULT_CACHED, nth, 1000, EAGAIN, 0);
        tt_run(read_all_kinds, NULL);
        fault_set(FAULT_CACHED, nth, 1000, EIO, 0); /* the pool's own read does not get this error */
        tt_run(read_all_kinds, NULL);
        fault_set(FAULT_CACHED, nth, 1000, 0, 3); /* three bytes at a time */
        tt_run(read_all_kinds, NULL);
    }
}

static void *read_out_of_time(void *arg)
{
    tn_file *file;
    tn_contents contents;
    tn_scope scope;
    char buf[4];

    tt_check(tn_file_open(&file, path("small"), O_RDONLY, 0) == 0);
    tn_cancel(tn_self());
    tt_check(tn_fs_read_file(path("small"), SIZE_MAX, &contents) == TN_ECANCELED && contents.data == NULL);
    tt_check(tn_file_read(file, buf, sizeof buf) == TN_ECANCELED);
    tt_check(tn_file_pread(file, buf, sizeof buf, 0) == TN_ECANCELED);
    tn_shield_enter(&scope, TN_NEVER);
    tt_check(tn_file_read(file, buf, sizeof buf) == 4 && memcmp(buf, "0123", 4) == 0);
    tn_scope_leave(&scope);
    tn_file_close(file);
    return arg;
}

Test(inplace, a_cancelled_task_reads_nothing)
{
    tt_run(read_out_of_time, NULL);
}

/* --- Open files ------------------------------------------------------------------------------------------------------------- */

static void *read_large(void *arg)
{
    char *buf = malloc(LARGE_BYTES);
    struct iovec parts[3] = {{buf, 7}, {buf + 7, 0}, {buf + 7, LARGE_BYTES - 7}};
    struct iovec late[40];
    tn_file *file;

    for (unsigned i = 0; i < 40; i++) /* more empty ones than one call takes */
        late[i] = (struct iovec){buf, i == 39 ? 10 : 0};
    tt_check(buf != NULL && tn_file_open(&file, path("large"), O_RDONLY, 0) == 0);
    tt_check(tn_file_pread(file, buf, LARGE_BYTES, 0) == LARGE_BYTES && memcmp(buf, large, LARGE_BYTES) == 0);
    memset(buf, 0, LARGE_BYTES);
    tt_check(tn_file_readv(file, parts, 3) == LARGE_BYTES && memcmp(buf, large, LARGE_BYTES) == 0);
    tt_check(tn_file_read(file, buf, 1) == 0);
    tt_check(tn_file_pread(file, buf, LARGE_BYTES, LARGE_BYTES - 10) == 10 && memcmp(buf, large + LARGE_BYTES - 10, 10) == 0);
    tt_check(tn_file_preadv(file, late, 40, 5) == 10 && memcmp(buf, large + 5, 10) == 0);
    tt_check(tn_file_pread(file, buf, 0, 0) == 0 && tn_file_pread(file, buf, 1, LARGE_BYTES) == 0);
    tn_file_close(file);
    free(buf);
    return arg;
}

Test(inplace, the_rest_of_a_read_goes_through_the_pool)
{
    tt_run(read_large, NULL);
    for (long nth = 1; nth <= 6; nth++) {
        fault_set(FAULT_CACHED, nth, 1000, EAGAIN, 0);
        tt_run(read_large, NULL);
        fault_set(FAULT_CACHED, nth, 3, 0, 1234);
        tt_run(read_large, NULL);
    }
}

typedef struct {
    atomic_bool over;
    atomic_long turns;
} beside;

static void *take_turns(void *arg)
{
    beside *self = arg;

    while (!atomic_load(&self->over)) {
        atomic_fetch_add(&self->turns, 1);
        tt_check(tn_yield() == 0);
    }
    return NULL;
}

static void *read_beside(void *arg)
{
    beside *self = arg;
    char *buf = malloc(LARGE_BYTES);
    tn_task *other;
    tn_file *file;
    long before;

    tt_check(buf != NULL && tn_file_open(&file, path("large"), O_RDONLY, 0) == 0);
    tt_check(tn_spawn(&other, take_turns, self) == 0);
    while (atomic_load(&self->turns) == 0)
        tt_check(tn_yield() == 0);
    before = atomic_load(&self->turns);
    tt_check(tn_file_pread(file, buf, LARGE_BYTES, 0) == LARGE_BYTES); /* takes longer than a turn in any case */
    tt_check(atomic_load(&self->turns) > before);
    tn_file_close(file);
    free(buf);
    atomic_store(&self->over, true);
    tt_check(tn_join(other, NULL) == 0);
    return NULL;
}

Test(inplace, others_have_their_turns)
{
    tn_options options = tt_options();
    beside self = {.turns = 0};
    tn_runtime *runtime;

    options.workers = 1;
    options.force_migration = false;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    tt_join(tt_spawn_on(runtime, read_beside, &self));
    tt_runtime_destroy(runtime);
}

/* --- Reads that wait -------------------------------------------------------------------------------------------------------- */

static void *read_fifo(void *arg)
{
    tt_check(holds("small", "0123456789", 10)); /* the type of the file system is now known */
    tt_gate_open(arg);
    tt_check(holds("fifo", "through", 7));
    return NULL;
}

static void *write_fifo(void *arg)
{
    tn_file *file;

    tt_check(tn_sleep(20 * TN_MS) == 0); /* usually, the reader waits by then */
    tt_check(tn_file_open(&file, path("fifo"), O_WRONLY, 0) == 0);
    tt_check(tn_file_write(file, "through", 7) == 7);
    tn_file_close(file);
    return arg;
}

/* The reader waits in open(), perhaps on the only worker. The writer gets its core. */
Test(inplace, a_fifo_stops_nobody)
{
    tn_options options = tt_options();
    tt_gate begun = TT_GATE_INIT;
    tn_runtime *runtime;
    tn_task *reader;

    options.workers = 1;
    options.force_migration = false;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    reader = tt_spawn_on(runtime, read_fifo, &begun);
    tt_gate_wait(&begun, 1);
    tt_join(tt_spawn_on(runtime, write_fifo, NULL));
    tt_join(reader);
    tt_runtime_destroy(runtime);
}

/* The writer is pinned to the worker that the reader would block. */
Test(inplace, a_fifo_stops_no_pinned_task)
{
    tn_options options = tt_options();
    tn_spawn_options pinned = {.size = sizeof pinned, .pinned = true};
    tt_gate begun = TT_GATE_INIT;
    tn_runtime *runtime;
    tn_task *writer;

    options.workers = 1;
    options.force_migration = false;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_spawn_on(runtime, &pinned, &writer, write_fifo, NULL), 0);
    tt_join(tt_spawn_on(runtime, read_fifo, &begun));
    tt_join(writer);
    tt_runtime_destroy(runtime);
}

static void *ask_the_hints(void *arg)
{
    unsigned cores = (unsigned)(uintptr_t)arg;
    tni_inplace calls[64];
    tni_inplace more;
    tni_pool *pool;
    int ends[2];
    int error;

    for (unsigned i = 0; i < cores; i++)
        tt_check(tni_inplace_begin(&calls[i]));
    tt_check(!tni_inplace_begin(&more)); /* the limit is one call per core */
    for (unsigned i = 0; i < cores; i++)
        tni_inplace_end(&calls[i]);
    tt_check(tni_inplace_begin(&more));
    tni_inplace_end(&more);
    pool = tni_pool_of(tn_runtime_current(), &error);
    tt_check(pipe(ends) == 0);
    tni_inplace_learn(pool, ends[0], UINT64_MAX); /* a file system that is in no list */
    tt_check(!tni_inplace_knows(pool, UINT64_MAX));
    tt_check(!tni_inplace_begin(&more)); /* refused for a second */
    tt_check(holds("small", "0123456789", 10));
    close(ends[0]);
    close(ends[1]);
    return NULL;
}

Test(inplace, only_so_many_and_not_where_others_may_have_to_answer)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.workers = 2;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    tt_join(tt_spawn_on(runtime, ask_the_hints, (void *)(uintptr_t)2));
    tt_runtime_destroy(runtime);
}

static void *ask_in_cancelled_scope(void *arg)
{
    tn_why_info why = {.size = sizeof why};
    tn_scope scope;

    tn_scope_enter(&scope, TN_NEVER);
    tn_scope_cancel(&scope);
    tt_check(!tni_inplace_may_read());
    tt_check(tn_why(TN_ECANCELED, &why) == 0);
    tt_check_eq(why.cause, TN_WHY_UNKNOWN);
    tn_scope_leave(&scope);
    return arg;
}

Test(inplace, whether_a_call_may_be_made_in_place_records_no_failure)
{
    tt_run(ask_in_cancelled_scope, NULL);
}

static void *open_nothing_in_place(void *arg)
{
    tni_inplace call;

    tt_check(!tni_inplace_begin(&call));
    tt_check(holds("small", "0123456789", 10));
    return arg;
}

Test(inplace, not_where_a_core_stays_with_its_thread)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    cr_assert_not(tni_inplace_may_read()); /* on a plain thread */
    options.stuck_after_ns = UINT64_MAX;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    tt_join(tt_spawn_on(runtime, open_nothing_in_place, NULL));
    tt_runtime_destroy(runtime);
    options = tt_options();
    options.flavor = TN_CURRENT_THREAD;
    options.workers = 0;
    options.force_migration = false;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, open_nothing_in_place, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
}
