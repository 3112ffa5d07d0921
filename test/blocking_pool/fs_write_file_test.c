/* SPDX-License-Identifier: MIT */
/* tn_fs_write_file of what exists already: links, special files, owner and permissions. fs_test.c has its errors. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <tn/fs.h>

#include "support/runtime.h"

static char folder[64];

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/tn-write-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

static void remove_folder(void)
{
    char command[128];

    cr_assert_eq(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(write_file, .init = make_folder, .fini = remove_folder);

static void put(const char *path, const char *text, unsigned mode)
{
    FILE *f = fopen(path, "w");

    cr_assert_not_null(f);
    cr_assert(fputs(text, f) >= 0);
    cr_assert_eq(fclose(f), 0);
    cr_assert_eq(chmod(path, (mode_t)mode), 0);
}

static void expect(const char *path, const char *text)
{
    char buf[64] = {0};
    FILE *f = fopen(path, "r");

    cr_assert_not_null(f);
    (void)!fread(buf, 1, sizeof buf - 1, f);
    cr_assert_str_eq(buf, text);
    cr_assert_eq(fclose(f), 0);
}

static struct stat lstat_of(const char *path)
{
    struct stat status;

    cr_assert_eq(lstat(path, &status), 0, "%s", path);
    return status;
}

typedef struct {
    const char *path;
    unsigned mode;
    int rc;
} writing;

static void *write_new(void *arg)
{
    writing *self = arg;

    self->rc = tn_fs_write_file(self->path, "new", 3, self->mode);
    return NULL;
}

static int write_file(const char *path, unsigned mode)
{
    writing self = {.path = path, .mode = mode};

    tt_run(write_new, &self);
    return self.rc;
}

static unsigned entries(void)
{
    FILE *f = popen("ls -A | wc -l", "r");
    unsigned count = 0;

    cr_assert_not_null(f);
    cr_assert_eq(fscanf(f, "%u", &count), 1);
    pclose(f);
    return count;
}

/* --- Links ------------------------------------------------------------------------------------------------------------------ */

Test(write_file, a_link_stays_and_its_target_gets_the_contents)
{
    cr_assert_eq(mkdir("d", 0755), 0);
    put("d/real", "old", 0644);
    cr_assert_eq(symlink("real", "d/near"), 0); /* beside the link, not in the working folder */
    cr_assert_eq(symlink("d/near", "far"), 0);
    cr_assert_eq(write_file("far", 0600), 0);
    expect("d/real", "new");
    cr_assert(S_ISLNK(lstat_of("far").st_mode) && S_ISLNK(lstat_of("d/near").st_mode) && S_ISREG(lstat_of("d/real").st_mode));
    cr_assert_eq(entries(), 2);
}

Test(write_file, an_absolute_link_is_followed)
{
    char target[128];

    put("real", "old", 0644);
    snprintf(target, sizeof target, "%s/real", folder);
    cr_assert_eq(mkdir("d", 0755), 0);
    cr_assert_eq(symlink(target, "d/link"), 0);
    cr_assert_eq(write_file("d/link", 0600), 0);
    expect("real", "new");
}

Test(write_file, the_target_of_a_link_is_made)
{
    cr_assert_eq(symlink("later", "link"), 0);
    cr_assert_eq(write_file("link", 0600), 0);
    expect("later", "new");
    cr_assert(S_ISLNK(lstat_of("link").st_mode));
}

Test(write_file, a_circle_of_links_is_an_error)
{
    cr_assert_eq(symlink("b", "a"), 0);
    cr_assert_eq(symlink("a", "b"), 0);
    cr_assert_eq(write_file("a", 0600), -ELOOP);
    cr_assert_eq(entries(), 2);
}

/* The text of such a link is "pipe:[1]", or a path with " (deleted)". */
Test(write_file, a_link_of_proc_creates_no_other_file)
{
    char path[64];
    FILE *f = fopen("gone", "w");

    cr_assert_not_null(f);
    cr_assert_eq(unlink("gone"), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(f));
    cr_assert_eq(write_file(path, 0600), -ENOENT);
    cr_assert_eq(entries(), 0);
    fclose(f);
}

Test(write_file, another_hard_link_keeps_the_old_contents)
{
    put("a", "old", 0644);
    cr_assert_eq(link("a", "b"), 0);
    cr_assert_eq(write_file("a", 0600), 0);
    expect("a", "new");
    expect("b", "old");
}

enum { CROWD = 16, ROUNDS = 20 };

static void *write_again_and_again(void *arg)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        tt_check(tn_fs_write_file(arg, "new", 3, 0600) == 0);
    return NULL;
}

Test(write_file, many_write_through_one_link)
{
    tn_runtime *runtime = tt_runtime_create();
    static char link[] = "link";
    tn_task *tasks[CROWD];

    put("real", "old", 0644);
    cr_assert_eq(symlink("real", link), 0);
    for (unsigned i = 0; i < CROWD; i++)
        tasks[i] = tt_spawn_on(runtime, write_again_and_again, link);
    for (unsigned i = 0; i < CROWD; i++)
        tt_join(tasks[i]);
    expect("real", "new");
    cr_assert_eq(entries(), 2);
    tt_runtime_destroy(runtime);
}

/* --- What is no file -------------------------------------------------------------------------------------------------------- */

Test(write_file, special_files_are_refused_and_stay)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    cr_assert_eq(mkfifo("fifo", 0600), 0);
    cr_assert_eq(symlink("fifo", "link"), 0);
    cr_assert(bind(fd, (void *)&address, sizeof address) == 0);
    cr_assert_eq(mkdir("d", 0755), 0);
    cr_assert_eq(write_file("fifo", 0600), TN_EINVAL);
    cr_assert_eq(write_file("link", 0600), TN_EINVAL);
    cr_assert_eq(write_file("socket", 0600), TN_EINVAL);
    cr_assert_eq(write_file("/dev/null", 0600), TN_EINVAL);
    cr_assert_eq(write_file("d", 0600), -EISDIR);
    cr_assert(S_ISFIFO(lstat_of("fifo").st_mode) && S_ISLNK(lstat_of("link").st_mode) && S_ISSOCK(lstat_of("socket").st_mode));
    cr_assert(S_ISCHR(lstat_of("/dev/null").st_mode) && S_ISDIR(lstat_of("d").st_mode));
    cr_assert_eq(entries(), 4);
    close(fd);
}

/* --- Owner and permissions -------------------------------------------------------------------------------------------------- */

Test(write_file, permissions_are_kept)
{
    static const unsigned modes[] = {0600, 0644, 0777, 0444, 0};

    umask(077);
    for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
        put("a", "old", 0600);
        cr_assert_eq(chmod("a", (mode_t)modes[i]), 0);
        cr_assert_eq(write_file("a", 0640), 0);
        cr_assert_eq(lstat_of("a").st_mode & 07777, modes[i]);
        cr_assert_eq(unlink("a"), 0);
    }
    put("a", "old", 0600);
    cr_assert_eq(chmod("a", 06755), 0);
    cr_assert_eq(write_file("a", 0640), 0);
    cr_assert_eq(lstat_of("a").st_mode & 07777, 0755); /* the new contents do not run as the owner */
}

Test(write_file, a_new_file_gets_the_mode_less_the_umask)
{
    umask(027);
    cr_assert_eq(write_file("a", 0666), 0);
    cr_assert_eq(lstat_of("a").st_mode & 07777, 0640);
}

Test(write_file, the_owner_is_kept)
{
    if (geteuid() != 0)
        cr_skip_test("only root may make a file of another user");
    put("a", "old", 0640);
    cr_assert_eq(chown("a", 12345, 23456), 0);
    cr_assert_eq(write_file("a", 0600), 0);
    cr_assert(lstat_of("a").st_uid == 12345 && lstat_of("a").st_gid == 23456);
    cr_assert_eq(lstat_of("a").st_mode & 07777, 0640);
}

static void as_another_user(void *arg)
{
    (void)arg;
    if (setgid(54321) != 0 || setuid(54321) != 0)
        _exit(3);
    _exit(write_file("a", 0600) == -EPERM ? 0 : 4);
}

Test(write_file, a_file_of_another_user_is_not_taken_over)
{
    tt_child child;

    if (geteuid() != 0)
        cr_skip_test("only root may become another user");
    put("a", "old", 0666);
    cr_assert_eq(chmod(folder, 0777), 0);
    child = tt_fork(as_another_user, NULL);
    cr_assert_eq(child.status, 0);
    expect("a", "old");
    cr_assert_eq(lstat_of("a").st_uid, 0);
    cr_assert_eq(entries(), 1);
}
