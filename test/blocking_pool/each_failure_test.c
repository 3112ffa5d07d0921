/* SPDX-License-Identifier: MIT */
/* Each allocation, each system call and each start of a thread that a function of blocking_pool makes fails in turn. */
#include <tn.h>

#include "support/each_failure.h"

static char folder[] = "/tmp/tn-each-failure-XXXXXX";
static char path[64];
static char other[64];

/* --- Jobs and names ------------------------------------------------------------------------------------------------------ */

static void *nothing(void *arg)
{
    return arg;
}

static int use_job(void)
{
    tn_job *job;
    int rc = tn_spawn_blocking(&job, nothing, NULL);

    if (rc == 0)
        rc = tn_job_join(job, NULL);
    return rc == 0 ? tn_run_blocking(nothing, NULL, NULL) : rc;
}

static void count_drop(void *arg)
{
    ++*(int *)arg;
}

/* The argument is dropped or used, not both. */
static int use_job_with_options(void)
{
    tn_blocking_options options = tn_blocking_options_default();
    int dropped = 0;
    tn_job *job;
    int rc;

    options.drop = count_drop;
    options.when_full = TN_FULL_ERROR;
    rc = tn_spawn_blocking_on(NULL, &options, &job, nothing, &dropped);
    if (rc == 0)
        rc = tn_job_join(job, NULL);
    tt_check_eq(dropped, 0);
    return rc;
}

static int use_names(void)
{
    tn_names names;
    int rc = tn_resolve(NULL, "localhost", "7", &names);

    if (rc == 0)
        tn_names_fini(&names);
    return rc;
}

/* --- Files: each step only after those before it ------------------------------------------------------------------------- */

static int expect(int64_t result, int64_t wanted)
{
    tt_check(result < 0 || result == wanted);
    return result < 0 ? (int)result : 0;
}

static int write_file(tn_file *file)
{
    struct iovec two[2] = {{(char[]){"cd"}, 2}, {(char[]){"ef"}, 2}};
    int rc = expect(tn_file_write(file, "ab", 2), 2);

    rc = rc == 0 ? expect(tn_file_writev(file, two, 2), 4) : rc;
    rc = rc == 0 ? expect(tn_file_pwrite(file, "gh", 2, 6), 2) : rc;
    rc = rc == 0 ? expect(tn_file_pwritev(file, two, 2, 8), 4) : rc;
    rc = rc == 0 ? tn_file_datasync(file) : rc;
    rc = rc == 0 ? tn_file_sync(file) : rc;
    return rc == 0 ? tn_file_truncate(file, 10) : rc;
}

static int read_file(tn_file *file)
{
    char a[2];
    char b[2];
    struct iovec two[2] = {{a, 2}, {b, 2}};
    tn_stat found;
    int rc = expect(tn_file_seek(file, 0, SEEK_SET), 0);

    rc = rc == 0 ? expect(tn_file_read(file, a, 2), 2) : rc;
    rc = rc == 0 ? expect(tn_file_readv(file, two, 2), 4) : rc;
    rc = rc == 0 ? expect(tn_file_pread(file, a, 2, 6), 2) : rc;
    rc = rc == 0 ? expect(tn_file_preadv(file, two, 2, 6), 4) : rc;
    rc = rc == 0 ? tn_file_stat(file, &found) : rc;
    tt_check(rc != 0 || found.size_bytes == 10);
    return rc;
}

static int use_file(void)
{
    tn_file *file;
    int rc = tn_file_open(&file, path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    if (rc != 0)
        return rc;
    rc = write_file(file);
    rc = rc == 0 ? read_file(file) : rc;
    tn_file_close(file);
    return rc;
}

static int read_and_write_buffered(tn_file *file)
{
    tn_file_writer writer;
    tn_file_reader reader;
    char buf[4];
    char *line;
    int rc;

    tn_file_writer_init(&writer, file, buf, sizeof buf);
    rc = tn_file_writer_write(&writer, "a\nbc\n", 5);
    rc = rc == 0 ? tn_file_writer_flush(&writer) : rc;
    if (rc != 0)
        return rc;
    tn_file_reader_init(&reader, file, buf, sizeof buf, 0);
    rc = expect(tn_file_reader_line(&reader, &line), 2);
    return rc == 0 ? expect(tn_file_reader_read(&reader, buf, 2), 2) : rc;
}

static int use_buffers(void)
{
    tn_file *file;
    int rc = tn_file_open(&file, path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    if (rc != 0)
        return rc;
    rc = read_and_write_buffered(file);
    tn_file_close(file);
    return rc;
}

/* A descriptor that could not be taken over is still open. */
static int use_descriptor(void)
{
    tn_file *file;
    int ends[2];
    int rc;

    tt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    rc = tn_file_adopt(&file, ends[0]);
    if (rc != 0) {
        tt_check(close(ends[0]) == 0);
        tt_check(close(ends[1]) == 0);
        return rc;
    }
    rc = tn_file_wait(file, true);
    tn_file_close(file);
    if (rc == 0) {
        rc = tn_file_borrow(&file, ends[1]);
        if (rc == 0)
            tn_file_close(file);
    }
    tt_check(close(ends[1]) == 0);
    return rc;
}

/* --- Paths --------------------------------------------------------------------------------------------------------------- */

static int use_paths(void)
{
    char found[64];
    tn_stat info;
    int rc;

    (void)tn_fs_remove(other);
    (void)tn_fs_remove(path);
    rc = tn_fs_symlink("nowhere", path);
    rc = rc == 0 ? tn_fs_lstat(path, &info) : rc;
    rc = rc == 0 ? tn_fs_readlink(path, found, sizeof found) : rc;
    rc = rc == 0 ? tn_fs_rename(path, other) : rc;
    rc = rc == 0 ? tn_fs_remove(other) : rc;
    rc = rc == 0 ? tn_fs_mkdir(path, 0700) : rc;
    rc = rc == 0 ? tn_fs_stat(path, &info) : rc;
    return rc == 0 ? tn_fs_remove(path) : rc;
}

static int use_folders(void)
{
    char deep[80];
    int rc;

    (void)snprintf(deep, sizeof deep, "%s/a/b", folder);
    rc = tn_fs_mkdir_all(deep, 0700);
    rc = rc == 0 ? tn_fs_remove(deep) : rc;
    (void)snprintf(deep, sizeof deep, "%s/a", folder);
    return rc == 0 ? tn_fs_remove(deep) : rc;
}

static int use_listing(void)
{
    tn_entry entry;
    tn_dir *dir;
    int rc = tn_dir_open(&dir, "/proc/self/ns");

    if (rc != 0)
        return rc;
    do
        rc = tn_dir_next(dir, &entry);
    while (rc > 0);
    tn_dir_close(dir);
    return rc;
}

static int use_whole_file(void)
{
    tn_contents contents;
    int rc = tn_fs_write_file(path, "whole", 5, 0600);

    if (rc != 0)
        return rc;
    rc = tn_fs_read_file(path, 100, &contents);
    tn_contents_fini(&contents);
    return rc;
}

/* It has no size, so it is read until its end. */
static int use_file_without_size(void)
{
    tn_contents contents;
    int rc = tn_fs_read_file("/proc/self/status", 100000, &contents);

    tn_contents_fini(&contents);
    return rc;
}

static const tt_function functions[] = {
    {"job", use_job, 0},
    {"job with options", use_job_with_options, 0},
    {"names", use_names, 0},
    {"file", use_file, 0},
    {"buffers", use_buffers, 0},
    {"descriptor", use_descriptor, 0},
    {"paths", use_paths, 0},
    {"folders", use_folders, -EEXIST},
    {"listing", use_listing, 0},
    {"whole file", use_whole_file, 0},
    {"file without size", use_file_without_size, 0},
};

static void fail_each_of(tt_failing what)
{
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/path", folder);
    (void)snprintf(other, sizeof other, "%s/other", folder);
    tt_fail_each(what, functions, sizeof functions / sizeof functions[0]);
    (void)unlink(path);
    cr_assert_eq(rmdir(folder), 0); /* nothing else was left in it */
}

Test(each_failure_of_blocking_pool, of_an_allocation)
{
    fail_each_of(TT_ALLOCATION);
}

Test(each_failure_of_blocking_pool, of_a_system_call)
{
    fail_each_of(TT_CALL);
}

Test(each_failure_of_blocking_pool, of_the_start_of_a_thread)
{
    fail_each_of(TT_THREAD);
}
