/* SPDX-License-Identifier: MIT */
/* Files and folders: what succeeds, and which errors of the kernel are reported. */
/* ctest: timeout=120 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tn/blocking.h>
#include <tn/fs.h>

#include "fs_faults.h"
#include "support/runtime.h"

static char folder[64];

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/tn-fs-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void)
{
    char command[128];

    fault_set(FAULT_NONE, 0, 0, 0, 0);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(fs, .init = make_folder, .fini = remove_folder);

/* Path of `name` in the test's folder. Up to 4 paths are valid at once per thread, if one task at a time calls this. */
static const char *path(const char *name)
{
    static _Thread_local char paths[4][256];
    static _Thread_local unsigned next;
    char *out = paths[next++ % 4];

    snprintf(out, sizeof paths[0], "%s/%s", folder, name);
    return out;
}

/* Runs the body in a fiber, in a job, and on a plain thread. */
static void *in_a_job(void *arg)
{
    tn_entry_fn body = *(tn_entry_fn *)arg;
    tn_job *job;

    tt_check(tn_spawn_blocking(&job, body, NULL) == 0);
    tt_check(tn_job_join(job, NULL) == 0);
    return NULL;
}

static void everywhere(tn_entry_fn body)
{
    tt_run(body, NULL);
    remove_folder();
    make_folder();
    tt_run(in_a_job, &body);
    remove_folder();
    make_folder();
    body(NULL);
}

static tn_file *open_file(const char *name, int flags)
{
    tn_file *file;

    tt_check(tn_file_open(&file, path(name), flags, 0644) == 0);
    return file;
}

static bool holds(const char *name, const char *text)
{
    tn_contents contents;
    bool equal;

    tt_check(tn_fs_read_file(path(name), 1 << 20, &contents) == 0);
    equal = contents.size == strlen(text) && memcmp(contents.data, text, contents.size) == 0 && contents.data[contents.size] == 0;
    tn_contents_fini(&contents);
    return equal;
}

/* --- Open files ------------------------------------------------------------------------------------------------------------- */

static void *read_and_write(void *arg)
{
    tn_file *file = open_file("a", O_RDWR | O_CREAT | O_EXCL);
    struct iovec parts[3] = {{(void *)(uintptr_t) "abc", 3}, {NULL, 0}, {(void *)(uintptr_t) "def", 3}};
    char buf[16] = {0};
    tn_stat status;

    (void)arg;
    tt_check(tn_file_write(file, "hello", 5) == 5);
    tt_check(tn_file_writev(file, parts, 3) == 6);
    tt_check(tn_file_pwrite(file, "H", 1, 0) == 1);
    tt_check(tn_file_pwritev(file, parts, 1, 11) == 3);
    tt_check(tn_file_seek(file, 0, SEEK_CUR) == 11);
    tt_check(tn_file_pread(file, buf, 5, 1) == 5 && memcmp(buf, "elloa", 5) == 0);
    tt_check(tn_file_seek(file, 0, SEEK_SET) == 0);
    tt_check(tn_file_read(file, buf, sizeof buf) == 14 && memcmp(buf, "Helloabcdefabc", 14) == 0);
    tt_check(tn_file_read(file, buf, sizeof buf) == 0);
    parts[0] = (struct iovec){buf, 2};
    parts[2] = (struct iovec){buf + 2, 2};
    tt_check(tn_file_preadv(file, parts, 3, 4) == 4 && memcmp(buf, "oabc", 4) == 0);
    tt_check(tn_file_preadv(file, parts, 1025, 4) == TN_EINVAL);
    tt_check(tn_file_pread(file, buf, 1, -1) == TN_EINVAL);
    tt_check(tn_file_sync(file) == 0 && tn_file_datasync(file) == 0);
    tt_check(tn_file_truncate(file, 3) == 0);
    tt_check(tn_file_stat(file, &status) == 0 && status.size_bytes == 3 && status.is_file && !status.is_folder);
    tn_file_retain(file);
    tn_file_close(file);
    tt_check(tn_file_pread(file, buf, 3, 0) == 3 && memcmp(buf, "Hel", 3) == 0);
    tn_file_close(file);
    tn_file_close(NULL);
    return NULL;
}

Test(fs, reads_and_writes)
{
    everywhere(read_and_write);
}

static void *open_what_is_not_there(void *arg)
{
    tn_file *file;
    tn_dir *dir;
    tn_stat status;
    tn_contents contents;

    (void)arg;
    tt_check(tn_file_open(&file, path("none"), O_RDONLY, 0) == -ENOENT && file == NULL);
    tt_check(tn_dir_open(&dir, path("none")) == -ENOENT && dir == NULL);
    tt_check(tn_fs_stat(path("none"), &status) == -ENOENT);
    tt_check(tn_fs_read_file(path("none"), 100, &contents) == -ENOENT && contents.data == NULL);
    tt_check(tn_fs_remove(path("none")) == -ENOENT);
    tt_check(tn_fs_rename(path("none"), path("other")) == -ENOENT);
    return NULL;
}

Test(fs, says_what_is_not_there)
{
    everywhere(open_what_is_not_there);
}

static void *move_much(void *arg)
{
    size_t size = 5 * (1 << 20) + 4321;
    char *out = malloc(size);
    char *in = malloc(size);
    tn_file *file = open_file("large", O_RDWR | O_CREAT);

    (void)arg;
    tt_check(out != NULL && in != NULL);
    for (size_t i = 0; i < size; i++)
        out[i] = (char)(i * 2654435761u >> 13);
    tt_check(tn_file_write(file, out, size) == (ssize_t)size);
    tt_check(tn_file_pread(file, in, size, 0) == (ssize_t)size);
    tt_check(memcmp(in, out, size) == 0);
    memset(in, 0, size);
    tt_check(tn_file_pread(file, in, size, 1234567) == (ssize_t)size - 1234567);
    tt_check(memcmp(in, out + 1234567, size - 1234567) == 0);
    tn_file_close(file);
    free(in);
    free(out);
    return NULL;
}

Test(fs, moves_more_than_one_part)
{
    everywhere(move_much);
}

/* More buffers than one part takes: the first part reads all that the pipe has. */
static void *read_what_a_pipe_has(void *arg)
{
    enum { BUFFERS = 20, SIZE = 64, THERE = 16 * SIZE };
    char buffers[BUFFERS][SIZE];
    char data[THERE] = {0};
    struct iovec iov[BUFFERS];
    tn_file *file;
    int ends[2];

    tt_check(pipe(ends) == 0);
    tt_check(write(ends[1], data, THERE) == THERE);
    tt_check(tn_file_adopt(&file, ends[0]) == 0);
    for (unsigned i = 0; i < BUFFERS; i++)
        iov[i] = (struct iovec){buffers[i], SIZE};
    tt_check(tn_file_readv(file, iov, BUFFERS) == THERE); /* and it does not wait for more */
    tn_file_close(file);
    tt_check(close(ends[1]) == 0);
    return arg;
}

Test(fs, a_read_from_a_pipe_waits_for_no_more_than_it_has)
{
    tt_run(read_what_a_pipe_has, NULL);
}

/* As many buffers as one part takes, and more. */
static void *move_behind_empty_buffers(void *arg)
{
    enum { BUFFERS = 20, SIZE = 3 };
    char text[SIZE] = "abc";
    char got[SIZE];
    struct iovec iov[BUFFERS];
    tn_file *file = open_file("behind", O_RDWR | O_CREAT | O_TRUNC);
    tn_file *from;
    int ends[2];

    for (unsigned i = 0; i < BUFFERS; i++)
        iov[i] = (struct iovec){NULL, 0};
    tt_check(tn_file_writev(file, iov, BUFFERS) == 0 && tn_file_readv(file, iov, BUFFERS) == 0);
    iov[BUFFERS - 1] = (struct iovec){text, SIZE};
    tt_check(tn_file_writev(file, iov, BUFFERS) == SIZE);
    tt_check(tn_file_pwritev(file, iov, BUFFERS, SIZE) == SIZE);
    iov[BUFFERS - 1].iov_base = got;
    tt_check(tn_file_preadv(file, iov, BUFFERS, SIZE) == SIZE && memcmp(got, text, SIZE) == 0);
    tn_file_close(file);
    tt_check(pipe(ends) == 0 && write(ends[1], text, SIZE) == SIZE);
    tt_check(tn_file_adopt(&from, ends[0]) == 0);
    memset(got, 0, SIZE);
    tt_check(tn_file_readv(from, iov, BUFFERS) == SIZE && memcmp(got, text, SIZE) == 0);
    tn_file_close(from);
    tt_check(close(ends[1]) == 0);
    return arg;
}

Test(fs, empty_buffers_are_passed_over)
{
    everywhere(move_behind_empty_buffers);
}

/* --- Faults ----------------------------------------------------------------------------------------------------------------- */

static void *interrupted(void *arg)
{
    tn_file *file;
    char buf[8];

    (void)arg;
    fault_set(FAULT_OPEN, 1, 3, EINTR, 0);
    file = open_file("a", O_RDWR | O_CREAT);
    fault_set(FAULT_WRITE, 1, 3, EINTR, 0);
    tt_check(tn_file_write(file, "abc", 3) == 3);
    fault_set(FAULT_READ, 1, 3, EINTR, 0);
    tt_check(tn_file_pread(file, buf, 8, 0) == 3);
    fault_set(FAULT_SYNC, 1, 3, EINTR, 0);
    tt_check(tn_file_sync(file) == 0);
    fault_set(FAULT_NONE, 0, 0, 0, 0);
    tn_file_close(file);
    return NULL;
}

Test(fs, interrupted_calls_are_made_again)
{
    everywhere(interrupted);
}

static void *short_writes(void *arg)
{
    tn_file *file = open_file("a", O_RDWR | O_CREAT);
    char buf[32];

    (void)arg;
    fault_set(FAULT_WRITE, 1, 1000, 0, 2);
    tt_check(tn_file_write(file, "0123456789", 10) == 10); /* two bytes per call */
    tt_check(tn_file_pwrite(file, "abc", 3, 4) == 3);
    tt_check(tn_fs_write_file(path("b"), "0123456789", 10, 0600) == 0);
    fault_set(FAULT_NONE, 0, 0, 0, 0);
    tt_check(tn_file_pread(file, buf, sizeof buf, 0) == 10 && memcmp(buf, "0123abc789", 10) == 0);
    tt_check(holds("b", "0123456789"));
    fault_set(FAULT_READ, 1, 1000, 0, 3);
    tt_check(tn_file_pread(file, buf, 10, 0) == 3); /* a short read ends the call */
    tt_check(holds("b", "0123456789"));
    fault_set(FAULT_NONE, 0, 0, 0, 0);
    tn_file_close(file);
    return NULL;
}

Test(fs, short_counts_are_no_errors)
{
    everywhere(short_writes);
}

static void *full_disk(void *arg)
{
    tn_file *file = open_file("a", O_RDWR | O_CREAT);
    char *much = calloc(1, 3 << 20);

    (void)arg;
    tt_check(much != NULL);
    fault_set(FAULT_WRITE, 1, 1, ENOSPC, 0);
    tt_check(tn_file_write(file, "abc", 3) == -ENOSPC);
    fault_set(FAULT_WRITE, 3, 1, ENOSPC, 0); /* after two parts have been written */
    tt_check(tn_file_pwrite(file, much, 3 << 20, 0) == 2 << 20);
    fault_set(FAULT_SYNC, 1, 1, EIO, 0);
    tt_check(tn_file_sync(file) == -EIO);
    fault_set(FAULT_READ, 1, 1, EIO, 0);
    tt_check(tn_file_pread(file, much, 10, 0) == -EIO);
    tt_check(tn_file_pread(file, much, 10, 0) == 10);
    fault_set(FAULT_OPEN, 1, 1, EACCES, 0);
    tt_check(tn_fs_write_file(path("b"), "x", 1, 0600) == -EACCES);
    fault_set(FAULT_NONE, 0, 0, 0, 0);
    free(much);
    tn_file_close(file);
    return NULL;
}

Test(fs, errors_are_answered)
{
    everywhere(full_disk);
}

static unsigned entries(void)
{
    unsigned count = 0;
    tn_entry entry;
    tn_dir *dir;
    int rc;

    tt_check(tn_dir_open(&dir, folder) == 0);
    while ((rc = tn_dir_next(dir, &entry)) == 1)
        count++;
    tt_check(rc == 0);
    tn_dir_close(dir);
    return count;
}

/* Whichever call fails, the old contents stay, and no temporary file is left. */
static void *write_whole(void *arg)
{
    static const fault_call calls[] = {FAULT_OPEN, FAULT_WRITE, FAULT_SYNC, FAULT_RENAME};
    tn_contents contents;

    (void)arg;
    tt_check(tn_fs_write_file(path("a"), "old", 3, 0600) == 0);
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        fault_set(calls[i], 1, 1, i % 2 == 0 ? EIO : ENOSPC, 0);
        tt_check(tn_fs_write_file(path("a"), "new", 3, 0600) == (i % 2 == 0 ? -EIO : -ENOSPC));
        fault_set(FAULT_NONE, 0, 0, 0, 0);
        tt_check(holds("a", "old"));
        tt_check(entries() == 1);
    }
    tt_check(tn_fs_write_file(path("a"), "new", 3, 0600) == 0);
    tt_check(holds("a", "new") && entries() == 1);
    tt_check(tn_fs_write_file(path("a"), NULL, 0, 0600) == 0);
    tt_check(holds("a", ""));
    tt_check(tn_fs_write_file(path("none/a"), "x", 1, 0600) == -ENOENT);
    tt_check(tn_fs_write_file(path("a"), "12345", 5, 0600) == 0);
    tt_check(tn_fs_read_file(path("a"), 4, &contents) == -EFBIG && contents.data == NULL);
    tt_check(tn_fs_read_file(path("a"), 5, &contents) == 0 && contents.size == 5);
    tn_contents_fini(&contents);
    tt_check(tn_fs_read_file("/proc/self/status", 1 << 20, &contents) == 0 && contents.size > 100); /* stat reports size 0 */
    tn_contents_fini(&contents);
    return NULL;
}

Test(fs, a_whole_file_is_written_or_not)
{
    everywhere(write_whole);
}

/* --- Paths ------------------------------------------------------------------------------------------------------------------ */

static void *paths(void *arg)
{
    char buf[64];
    tn_stat status;

    (void)arg;
    tt_check(tn_fs_mkdir(path("d"), 0755) == 0 && tn_fs_mkdir(path("d"), 0755) == -EEXIST);
    tt_check(tn_fs_mkdir(path("x/y/z"), 0755) == -ENOENT);
    tt_check(tn_fs_mkdir_all(path("x/y/z"), 0755) == 0 && tn_fs_mkdir_all(path("x/y//z/"), 0755) == 0);
    tt_check(tn_fs_stat(path("x/y/z"), &status) == 0 && status.is_folder);
    tt_check(tn_fs_write_file(path("f"), "1", 1, 0640) == 0);
    tt_check(tn_fs_mkdir_all(path("f"), 0755) == -ENOTDIR && tn_fs_mkdir_all(path("f/g"), 0755) == -ENOTDIR);
    tt_check(tn_fs_mkdir_all("", 0755) == -ENOENT);
    tt_check(tn_fs_rename(path("f"), path("g")) == 0 && holds("g", "1"));
    tt_check(tn_fs_symlink("g", path("link")) == 0 && holds("link", "1"));
    tt_check(tn_fs_readlink(path("link"), buf, sizeof buf) == 0 && strcmp(buf, "g") == 0);
    tt_check(tn_fs_readlink(path("link"), buf, 1) == -ENAMETOOLONG);
    tt_check(tn_fs_readlink(path("g"), buf, sizeof buf) == -EINVAL);
    tt_check(tn_fs_lstat(path("link"), &status) == 0 && status.is_link);
    tt_check(tn_fs_stat(path("link"), &status) == 0 && status.is_file && (status.mode & 0777) == 0640);
    tt_check(tn_fs_remove(path("x")) == -ENOTEMPTY);
    tt_check(tn_fs_remove(path("x/y/z")) == 0 && tn_fs_remove(path("link")) == 0 && tn_fs_remove(path("g")) == 0);
    return NULL;
}

Test(fs, paths)
{
    everywhere(paths);
}

static void *read_a_folder(void *arg)
{
    enum { FILES = 700 };
    static bool seen[FILES];
    unsigned count = 0;
    tn_entry entry;
    tn_dir *dir;
    int rc;

    (void)arg;
    memset(seen, 0, sizeof seen);
    for (unsigned i = 0; i < FILES; i++) {
        char name[32];
        snprintf(name, sizeof name, "file-%u", i);
        tt_check(close(open(path(name), O_CREAT | O_WRONLY, 0600)) == 0);
    }
    tt_check(tn_dir_open(&dir, folder) == 0);
    while ((rc = tn_dir_next(dir, &entry)) == 1) {
        unsigned number;
        if (sscanf(entry.name, "file-%u", &number) != 1)
            continue; /* a new one, created during the loop */
        tt_check(number < FILES && !seen[number]);
        tt_check(entry.type == TN_ENTRY_FILE || entry.type == TN_ENTRY_UNKNOWN);
        seen[number] = true;
        if (count++ % 10 == 0) { /* the folder changes during the loop */
            char name[32];
            snprintf(name, sizeof name, "new-%u", count);
            tt_check(close(open(path(name), O_CREAT | O_WRONLY, 0600)) == 0);
            snprintf(name, sizeof name, "file-%u", number);
            tt_check(unlink(path(name)) == 0);
        }
    }
    tt_check(rc == 0 && tn_dir_next(dir, &entry) == 0);
    tt_check(count == FILES); /* each removed file had been returned before */
    tn_dir_close(dir);
    tn_dir_close(NULL);
    return NULL;
}

Test(fs, a_folder_changes_while_it_is_read)
{
    everywhere(read_a_folder);
}

/* --- Buffers ---------------------------------------------------------------------------------------------------------------- */

static void *buffers(void *arg)
{
    char memory[16];
    tn_file_writer writer;
    tn_file_reader reader;
    tn_file *file = open_file("a", O_RDWR | O_CREAT);
    char buf[64];
    char *line;

    (void)arg;
    tn_file_writer_init(&writer, file, memory, sizeof memory);
    tt_check(tn_file_writer_write(&writer, "one\n", 4) == 0 && tn_file_writer_write(&writer, "two two two two\n", 16) == 0);
    tt_check(tn_file_writer_write(&writer, "a line that does not fit into the buffer\nend", 44) == 0);
    tt_check(tn_file_writer_flush(&writer) == 0 && tn_file_writer_flush(&writer) == 0);
    tn_file_reader_init(&reader, file, memory, sizeof memory, 0);
    tt_check(tn_file_reader_line(&reader, &line) == 4 && memcmp(line, "one\n", 4) == 0);
    tt_check(tn_file_reader_line(&reader, &line) == 16 && memcmp(line, "two two two two\n", 16) == 0);
    tt_check(tn_file_reader_line(&reader, &line) == -E2BIG);
    tt_check(tn_file_reader_read(&reader, buf, 41) == 41 && memcmp(buf, "a line that", 11) == 0);
    tt_check(tn_file_reader_line(&reader, &line) == 3 && memcmp(line, "end", 3) == 0);
    tt_check(tn_file_reader_line(&reader, &line) == 0 && tn_file_reader_read(&reader, buf, 5) == 0);
    fault_set(FAULT_WRITE, 1, 1, ENOSPC, 0);
    tn_file_writer_init(&writer, file, memory, sizeof memory);
    tt_check(tn_file_writer_write(&writer, "x", 1) == 0 && tn_file_writer_flush(&writer) == -ENOSPC);
    tt_check(tn_file_writer_write(&writer, "x", 1) == -ENOSPC && tn_file_writer_flush(&writer) == -ENOSPC);
    fault_set(FAULT_NONE, 0, 0, 0, 0);
    tn_file_close(file);
    return NULL;
}

Test(fs, buffers)
{
    everywhere(buffers);
}

/* --- Many at once ----------------------------------------------------------------------------------------------------------- */

static void *one_of_many(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;
    char name[128]; /* not from path(): other tasks call it while this one waits */
    char text[32];

    snprintf(name, sizeof name, "%s/many-%u", folder, self % 7);
    snprintf(text, sizeof text, "%08u%08u", self, self);
    for (unsigned i = 0; i < 5; i++) {
        tn_contents contents;
        tt_check(tn_fs_write_file(name, text, 16, 0600) == 0);
        tt_check(tn_fs_read_file(name, 100, &contents) == 0);
        tt_check(contents.size == 16 && memcmp(contents.data, contents.data + 8, 8) == 0); /* one writer's contents, complete */
        tn_contents_fini(&contents);
    }
    return NULL;
}

static void *many(void *arg)
{
    tn_task *tasks[60];

    (void)arg;
    for (uintptr_t i = 0; i < 60; i++)
        tasks[i] = tt_spawn(one_of_many, (void *)i);
    for (uintptr_t i = 0; i < 60; i++)
        tt_join(tasks[i]);
    return NULL;
}

Test(fs, many_fibers_write_the_same_files)
{
    tt_run(many, NULL);
}
