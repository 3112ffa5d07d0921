/* SPDX-License-Identifier: MIT */
/* Files, pipes and terminals behind tn_io: standard input with a deadline, and readers and writers over them. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tn.h>

#include "support/runtime.h"

static tn_io borrowed(int fd)
{
    tn_file *file;

    tt_check_eq(tn_file_borrow(&file, fd), 0);
    return tn_file_io(file);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* --- Pipes ------------------------------------------------------------------------------------------------------------------ */

static void *cancelled(void *arg)
{
    int *ends = arg;
    tn_io in = borrowed(ends[0]);
    char byte = 'z';

    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check_eq(tn_io_read(in, &byte, 1), TN_ETIMEDOUT);
    }
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check_eq(tn_io_wait(in, TN_READABLE), TN_ETIMEDOUT);
    }
    tt_check_eq(write(ends[1], "a", 1), 1);
    tt_check_eq(tn_io_wait(in, TN_READABLE), 0);
    tt_check_eq(tn_io_read(in, &byte, 1), 1);
    tt_check_eq(byte, 'a');
    tt_check_eq(tn_io_abort(in), TN_ENOTSUP);
    tt_check_eq(tn_io_close_write(in), TN_ENOTSUP);
    tt_check_eq(tn_io_descriptor(in, TN_READABLE), ends[0]);
    tn_io_close(in);
    tt_check(is_open(ends[0]));
    return NULL;
}

static void with_a_pipe(tn_entry_fn entry)
{
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    tt_run(entry, ends);
    close(ends[0]);
    close(ends[1]);
}

Test(file_io, a_read_of_standard_input_has_a_deadline)
{
    with_a_pipe(cancelled);
}

typedef struct {
    tn_io out;
    unsigned long count;
} lines;

static void *write_lines(void *arg)
{
    lines *l = arg;
    tn_writer writer;

    tt_check_eq(tn_writer_init(&writer, l->out, NULL), 0);
    for (unsigned long i = 0; i < l->count; i++)
        tt_check_eq(tn_writer_printf(&writer, "%lu\n", i), 0);
    tt_check_eq(tn_writer_flush(&writer), 0);
    tn_writer_fini(&writer);
    tn_io_close(l->out);
    return NULL;
}

static void *read_lines(void *arg)
{
    lines *l = arg;
    tn_file *files[2];
    tn_task *writer;
    tn_reader reader;
    tn_bytes line;
    int ends[2];

    tt_check_eq(pipe(ends), 0);
    for (int i = 0; i < 2; i++)
        tt_check_eq(tn_file_adopt(&files[i], ends[i]), 0);
    l->out = tn_file_io(files[1]);
    writer = tt_spawn(write_lines, l);
    tt_check_eq(tn_reader_init(&reader, tn_file_io(files[0]), NULL), 0);
    for (unsigned long i = 0; i < l->count; i++) {
        char text[24];
        int size = snprintf(text, sizeof text, "%lu", i);
        tt_check_eq(tn_reader_line(&reader, &line, 20), 1);
        tt_check(line.size == (size_t)size && memcmp(line.data, text, line.size) == 0);
    }
    tt_check_eq(tn_reader_line(&reader, &line, 20), 0);
    tn_reader_fini(&reader);
    tn_file_close(files[0]);
    tt_join(writer);
    return NULL;
}

Test(file_io, lines_through_a_pipe)
{
    lines l = {.count = tt_scaled(50000)};

    tt_run(read_lines, &l);
}

/* --- Terminals and regular files -------------------------------------------------------------------------------------------- */

static void *use_a_terminal(void *arg)
{
    int master = *(int *)arg;
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    tn_io terminal = borrowed(slave);
    tn_reader reader;
    tn_bytes line;

    tt_check(slave >= 0);
    tt_check_eq(tn_reader_init(&reader, terminal, NULL), 0);
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check_eq(tn_reader_line(&reader, &line, 80), TN_ETIMEDOUT);
    }
    tt_check_eq(write(master, "hello\n", 6), 6);
    tt_check_eq(tn_reader_line(&reader, &line, 80), 1);
    tt_check(line.size == 5 && memcmp(line.data, "hello", 5) == 0);
    tt_check_eq(tn_io_write_all(terminal, "bye", 3), 0);
    tn_reader_fini(&reader);
    tn_io_close(terminal);
    close(slave);
    return NULL;
}

Test(file_io, a_terminal)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);

    cr_assert(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    tt_run(use_a_terminal, &master);
    close(master);
}

static void *use_a_file(void *arg)
{
    tn_io io = borrowed(*(int *)arg);
    char text[8] = "";
    struct iovec iov[2] = {{text, 2}, {text + 2, 4}};

    tt_check_eq(tn_io_write_all(io, "abcdef", 6), 0);
    tt_check_eq(lseek(*(int *)arg, 0, SEEK_SET), 0);
    tt_check_eq(tn_io_wait(io, TN_READABLE), 0);
    tt_check_eq(tn_io_wait(io, TN_WRITABLE), 0);
    tt_check_eq(tn_io_readv(io, iov, 2), 6);
    tt_check_eq(strcmp(text, "abcdef"), 0);
    tt_check_eq(tn_io_writev(io, iov, 2), 6);
    tt_check_eq(tn_io_read(io, text, 8), 0);
    tn_io_close(io);
    return NULL;
}

static void with_a_file(void (*use)(int *fd))
{
    char name[] = "/tmp/tn-file-io-XXXXXX";
    int fd = mkstemp(name);

    cr_assert(fd >= 0);
    use(&fd);
    cr_assert(is_open(fd));
    close(fd);
    unlink(name);
}

static void in_a_fiber(int *fd)
{
    tt_run(use_a_file, fd);
}

static void in_a_thread(int *fd)
{
    use_a_file(fd);
}

Test(file_io, a_regular_file)
{
    with_a_file(in_a_fiber);
    with_a_file(in_a_thread);
}

Test(file_io, a_plain_thread_waits_for_a_pipe)
{
    int ends[2];
    tn_io in, out;
    char byte;

    cr_assert_eq(pipe(ends), 0);
    in = borrowed(ends[0]);
    out = borrowed(ends[1]);
    cr_assert_eq(tn_io_wait(out, TN_WRITABLE), 0);
    cr_assert_eq(tn_io_write(out, "a", 1), 1);
    cr_assert_eq(tn_io_wait(in, TN_READABLE), 0);
    cr_assert_eq(tn_io_read(in, &byte, 1), 1);
    tn_io_close(out);
    close(ends[1]);
    cr_assert_eq(tn_io_wait(in, TN_READABLE), 0); /* the end */
    cr_assert_eq(tn_io_read(in, &byte, 1), 0);
    tn_io_close(in);
    close(ends[0]);
}
