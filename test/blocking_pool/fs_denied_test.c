/* SPDX-License-Identifier: MIT */
/* A filter of the kernel denies system calls, before the runtime starts or while it runs. A call that is only a faster way is
 * then done without; any other is an error of the operation. Nothing aborts, hangs or spins. */
/* ctest: timeout=120 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tn/blocking.h>
#include <tn/fs.h>
#include <tn/names.h>
#include <tn/scope.h>

#include "support/runtime.h"

#define CALLS_MAX 16
#define NO_FILTERS 77

typedef struct {
    long calls[CALLS_MAX]; /* ends with -1 */
    int error;             /* what they return */
    bool works;            /* all operations succeed nevertheless */
    bool late;             /* the filter is set while the runtime runs */
} denial;

static char folder[64];

/* For all threads of the process, for ever. */
static void deny(const denial *self)
{
    struct sock_filter filter[2 * CALLS_MAX + 2];
    struct sock_fprog program = {.filter = filter};
    unsigned short n = 0;

    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; self->calls[i] >= 0; i++) {
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)self->calls[i], 0, 1);
        filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)self->error);
    }
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program.len = n;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
        _exit(NO_FILTERS);
}

static const char *path(const char *name)
{
    static _Thread_local char out[2][128];
    static _Thread_local unsigned next;
    char *place = out[next++ % 2];

    snprintf(place, sizeof out[0], "%s/%s", folder, name);
    return place;
}

/* Without `works` an operation may fail. */
static bool went_well(const denial *self, bool good)
{
    tt_check(good || !self->works);
    return good;
}

static void use_files(const denial *self)
{
    tn_contents contents;
    tn_file *file;
    char buf[8];
    tn_dir *dir;
    tn_entry entry;
    tn_stat status;

    (void)went_well(self, tn_fs_write_file(path("a"), "abc", 3, 0600) == 0);
    (void)went_well(self, tn_fs_write_file(path("a"), "abcdef", 6, 0600) == 0); /* replaces it */
    for (unsigned i = 0; i < 3; i++) {                                          /* the later ones may be read in place */
        (void)went_well(self, tn_fs_read_file(path("a"), 100, &contents) == 0 && contents.size == 6);
        tn_contents_fini(&contents);
    }
    (void)went_well(self, tn_fs_stat(path("a"), &status) == 0 && status.size_bytes == 6);
    (void)went_well(self, tn_fs_mkdir_all(path("x/y"), 0700) == 0);
    if (went_well(self, tn_file_open(&file, path("a"), O_RDWR, 0) == 0)) {
        (void)went_well(self, tn_file_read(file, buf, 3) == 3 && memcmp(buf, "abc", 3) == 0);
        (void)went_well(self, tn_file_pread(file, buf, 3, 3) == 3 && memcmp(buf, "def", 3) == 0);
        (void)went_well(self, tn_file_seek(file, 0, SEEK_SET) == 0);
        (void)went_well(self, tn_file_write(file, "x", 1) == 1 && tn_file_sync(file) == 0);
        tn_file_close(file);
    }
    if (went_well(self, tn_dir_open(&dir, folder) == 0)) {
        while (tn_dir_next(dir, &entry) == 1)
            ;
        tn_dir_close(dir);
    }
}

/* A read of an idle pipe is left at the deadline, or fails. A read of one with data returns them, or fails. */
static void use_a_pipe(const denial *self, const int *ends)
{
    tn_scope scope;
    tn_file *file;
    ssize_t n;
    char byte;

    tt_check(tn_file_adopt(&file, ends[0]) == 0);
    tn_scope_enter_for(&scope, 20 * TN_MS);
    n = tn_file_read(file, &byte, 1);
    tt_check(n < 0);
    (void)went_well(self, n == TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tt_check(write(ends[1], "a", 1) == 1);
    (void)went_well(self, tn_file_read(file, &byte, 1) == 1);
    tn_file_close(file);
}

/* An open for which it is not known that it is one of a FIFO does not wait. */
static void use_a_fifo(const denial *self)
{
    tn_scope scope;
    tn_file *file;

    tn_scope_enter_for(&scope, 20 * TN_MS);
    (void)went_well(self, tn_file_open(&file, path("fifo"), O_RDONLY, 0) == TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tn_file_close(file);
}

static void use_names(const denial *self)
{
    tn_names names;

    (void)went_well(self, tn_resolve(NULL, "127.0.0.1", "80", &names) == 0);
    tn_names_fini(&names);
    (void)went_well(self, tn_resolve(NULL, "localhost", "80", &names) == 0);
    tn_names_fini(&names);
}

static void *use_all(void *arg)
{
    const denial *self = arg;
    int ends[2];

    tt_check(pipe(ends) == 0);
    if (self->late) {
        use_files(&(denial){.works = true});
        deny(self);
    }
    use_files(self);
    use_a_pipe(self, ends);
    use_a_fifo(self);
    use_names(self);
    return NULL;
}

static uint64_t processor_ns(void)
{
    struct rusage usage;

    tt_check(getrusage(RUSAGE_SELF, &usage) == 0);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * TN_S +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * TN_US;
}

static void in_child(void *arg)
{
    denial *self = arg;
    tn_runtime *runtime;
    tn_options options = tn_options_default();

    options.workers = 2;
    alarm(60);
    tt_check(tn_runtime_create(&runtime, &options) == 0); /* what libuv does not survive is no part of this test */
    tt_check(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, 30 * TN_S) == 0);
    if (!self->late)
        deny(self);
    if (!went_well(self, tn_runtime_create(&runtime, &options) == 0))
        return;
    tt_check(tn_block_on(runtime, use_all, self, NULL) == 0);
    tt_check(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, 30 * TN_S) == 0);
    tt_check(processor_ns() < 30 * TN_S);
}

static void expect(denial self)
{
    snprintf(folder, sizeof folder, "/tmp/tn-denied-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    for (unsigned late = 0; late < 2; late++) {
        char command[128];
        tt_child child;
        self.late = late;
        cr_assert_eq(mkfifo(path("fifo"), 0600), 0);
        child = tt_fork(in_child, &self);
        snprintf(command, sizeof command, "rm -rf %s/*", folder);
        cr_assert_eq(system(command), 0);
        if (WIFEXITED(child.status) && WEXITSTATUS(child.status) == NO_FILTERS)
            cr_skip_test("this system allows no filters of system calls");
        cr_assert_eq(child.status, 0, "%s", child.said);
    }
    cr_assert_eq(rmdir(folder), 0);
}

Test(fs_denied, faster_ways)
{
    static const int errors[] = {EPERM, ENOSYS, EACCES};

    for (unsigned i = 0; i < sizeof errors / sizeof *errors; i++)
        expect((denial){{SYS_openat2, SYS_preadv2, SYS_pwritev2, SYS_close_range, SYS_fallocate, SYS_copy_file_range, SYS_statx,
                         SYS_fstatfs, SYS_uname, SYS_tee, SYS_splice, -1},
                        errors[i],
                        true});
}

Test(fs_denied, one_by_one)
{
    static const long calls[] = {SYS_openat2, SYS_preadv2, SYS_pwritev2, SYS_fstatfs, SYS_uname, SYS_tee};

    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
        expect((denial){{calls[i], -1}, EPERM, true});
}

/* Calls that not every processor has. */
#ifdef SYS_poll
static const long old_calls[] = {SYS_poll, SYS_readlink, SYS_rename, SYS_mkdir};
#else
static const long old_calls[] = {SYS_ppoll};
#endif

/* Each of these makes some operations fail. */
Test(fs_denied, what_operations_need)
{
    static const long calls[] = {SYS_ppoll,         SYS_fcntl,    SYS_lseek,   SYS_fsync,     SYS_fchmod,     SYS_fchown,
                                 SYS_epoll_create1, SYS_readv,    SYS_writev,  SYS_preadv,    SYS_newfstatat, SYS_fstat,
                                 SYS_readlinkat,    SYS_renameat, SYS_mkdirat, SYS_getdents64};

    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
        expect((denial){{calls[i], -1}, EPERM, false});
    for (unsigned i = 0; i < sizeof old_calls / sizeof *old_calls; i++)
        expect((denial){{old_calls[i], -1}, EPERM, false});
}
