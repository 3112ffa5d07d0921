/* SPDX-License-Identifier: MIT */
/* Tests of os/cpus: each test writes the files of an imaginary machine into a folder and reads the CPU quota from them. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/cpus.h"

#define V2_MOUNT "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT "33 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n"

static char root[PATH_MAX];

static void set_up(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/cpus_test.XXXXXX", base != NULL ? base : "/tmp");
    cr_assert_not_null(mkdtemp(root), "mkdtemp: %s", strerror(errno));
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static void tear_down(void)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes a file of the imaginary machine, and creates its parent folders. */
static void put(const char *name, const char *text)
{
    char path[2 * PATH_MAX];
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        cr_assert(mkdir(path, 0755) == 0 || errno == EEXIST, "mkdir %s: %s", path, strerror(errno));
        *slash = '/';
    }
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file, "open %s: %s", path, strerror(errno));
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

static void machine(const char *cgroup, const char *mountinfo)
{
    put("/proc/self/cgroup", cgroup);
    put("/proc/self/mountinfo", mountinfo);
}

#define expect_quota(expected) \
    do { \
        unsigned quota_; \
        cr_assert(tni_cpus_quota_at(root, &quota_)); \
        cr_assert_eq(quota_, (unsigned)(expected), "quota %u, expected %u", quota_, (unsigned)(expected)); \
    } while (0)

TestSuite(cpus, .init = set_up, .fini = tear_down);

Test(cpus, usable_is_within_the_affinity)
{
    unsigned usable = tni_cpus_usable();
    cr_assert_geq(usable, 1u);
    cpu_set_t one;
    cpu_set_t all;
    CPU_ZERO(&one);
    cr_assert_eq(sched_getaffinity(0, sizeof all, &all), 0);
    cr_assert_leq(usable, (unsigned)CPU_COUNT(&all));
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    cr_assert_eq(tni_cpus_usable(), 1u);
}

Test(cpus, nothing_readable_is_no_quota)
{
    expect_quota(0);
    put("/proc/self/cgroup", "0::/a\n");
    put("/sys/fs/cgroup/a/cpu.max", "100000 100000\n");
    expect_quota(0);
}

Test(cpus, quota_is_rounded_up)
{
    static const struct {
        const char *text;
        unsigned cpus;
    } cases[] = {
        {"max 100000\n", 0},
        {"100000 100000\n", 1},
        {"100001 100000\n", 2},
        {"150000 100000\n", 2},
        {"200000 100000\n", 2},
        {"1000 100000\n", 1},
        {"50000 10000\n", 5},
        {"250000\n", 3},
        {"max\n", 0},
        {"400000 100000", 4},
        {"", 0},
        {"\n", 0},
        {"hello\n", 0},
        {"-100000 100000\n", 0},
        {"+1 1\n", 0},
        {" 100000 100000\n", 0},
        {"100000 max\n", 0},
        {"100000 -1\n", 0},
        {"100000 0\n", 0},
        {"0 100000\n", 0},
        {"100000x 100000\n", 0},
        {"100000  100000\n", 0},
        {"100000 100000 7\n", 1},
        {"100000 ", 0},
        {"99999999999999999999999999 1\n", UINT_MAX},
    };
    machine("0::/a\n", V2_MOUNT);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put("/sys/fs/cgroup/a/cpu.max", cases[i].text);
        unsigned quota;
        cr_assert(tni_cpus_quota_at(root, &quota));
        cr_assert_eq(quota, cases[i].cpus, "\"%s\": %u, expected %u", cases[i].text, quota, cases[i].cpus);
    }
}

Test(cpus, overlong_file_is_no_quota)
{
    char text[300];
    memset(text, '1', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    machine("0::/a\n", V2_MOUNT);
    put("/sys/fs/cgroup/a/cpu.max", text);
    expect_quota(0);
}

/* Unknown, and `rest` is that of the files that can be read. */
static bool is_unknown(unsigned rest)
{
    unsigned quota;

    return !tni_cpus_quota_at(root, &quota) && quota == rest;
}

/* As root a test can open any file, but no folder can be read as a file, nor a link to itself be opened. */
Test(cpus, a_file_that_cannot_be_read_may_have_any_quota)
{
    char path[2 * PATH_MAX];

    machine("0::/a/b\n", V2_MOUNT);
    put("/sys/fs/cgroup/a/b/cpu.max", "200000 100000\n");
    put("/sys/fs/cgroup/a/cpu.max/file", "");
    cr_assert(is_unknown(2));
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/cpu.max", root);
    cr_assert_eq(symlink("cpu.max", path), 0);
    machine("0::/\n", V2_MOUNT);
    cr_assert(is_unknown(0));
    cr_assert_eq(unlink(path), 0);
    expect_quota(0);
    put("/proc/self/mountinfo.d/file", "");
    snprintf(path, sizeof path, "%s/proc/self/mountinfo", root);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(symlink("mountinfo.d", path), 0);
    cr_assert(is_unknown(0));
}

Test(cpus, without_a_descriptor_the_quota_is_unknown)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct rlimit before;
    struct rlimit none;

    machine("0::/a\n", V2_MOUNT);
    put("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    expect_quota(2);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){(rlim_t)fd, before.rlim_max}; /* lower numbers are taken */
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    cr_assert(is_unknown(0));
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    expect_quota(2);
    close(fd);
}

Test(cpus, tightest_of_all_ancestors)
{
    machine("0::/a/b/c\n", V2_MOUNT);
    put("/sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
    expect_quota(8);
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    expect_quota(8);
    put("/sys/fs/cgroup/a/cpu.max", "30000 10000\n");
    expect_quota(3);
    put("/sys/fs/cgroup/a/b/cpu.max", "500000 100000\n");
    expect_quota(3);
    put("/sys/fs/cgroup/cpu.max", "50000 100000\n");
    expect_quota(1);
    /* Control groups above the mount point are not read. */
    put("/sys/fs/cpu.max", "1 100000\n");
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    expect_quota(2);
}

Test(cpus, missing_group_folder_leaves_its_ancestors)
{
    machine("0::/a/gone (deleted)\n", V2_MOUNT);
    put("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    expect_quota(3);
}

Test(cpus, root_group)
{
    machine("0::/\n", V2_MOUNT);
    expect_quota(0);
    put("/sys/fs/cgroup/cpu.max", "600000 100000\n");
    expect_quota(6);
}

Test(cpus, hybrid_takes_the_tighter)
{
    machine("12:pids:/p\n5:cpuset,cpu,cpuacct:/one/two\n1:name=systemd:/s\n0::/uni\n",
            "25 1 8:1 / / rw - ext4 /dev/sda1 rw\n" V1_MOUNT "40 32 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/unified/cpu.max", "100000 100000\n");
    expect_quota(1);
    put("/sys/fs/cgroup/unified/cpu.max", "max 100000\n");
    expect_quota(0);
    put("/sys/fs/cgroup/cpu,cpuacct/one/two/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/one/two/cpu.cfs_period_us", "100000\n");
    expect_quota(0);
    put("/sys/fs/cgroup/cpu,cpuacct/one/cpu.cfs_quota_us", "70000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/one/cpu.cfs_period_us", "10000\n");
    expect_quota(7);
    put("/sys/fs/cgroup/unified/uni/cpu.max", "400000 100000\n");
    expect_quota(4);
    put("/sys/fs/cgroup/cpu,cpuacct/one/cpu.cfs_period_us", "nonsense\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n");
    expect_quota(2);
}

Test(cpus, version_1_counts_the_cpu_controller_only)
{
    machine("4:cpuset:/x\n3:cpuacct:/x\n", "33 32 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
                                           "34 32 0:31 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n");
    put("/sys/fs/cgroup/cpuset/x/cpu.cfs_quota_us", "100000\n");
    put("/sys/fs/cgroup/cpuacct/x/cpu.cfs_quota_us", "100000\n");
    expect_quota(0);
}

Test(cpus, escapes_in_paths)
{
    machine("0::/my job\n", "30 24 0:26 /my\\040job /mnt/a\\040b\\134c\\011d rw - cgroup2 cgroup2 rw\n");
    put("/mnt/a b\\c\td/cpu.max", "300000 100000\n");
    expect_quota(3);
    /* These are no valid escapes: they are kept unchanged. */
    machine("0::/\n", "30 24 0:26 / /mnt/\\04x\\049\\9 rw - cgroup2 cgroup2 rw\n");
    put("/mnt/\\04x\\049\\9/cpu.max", "400000 100000\n");
    expect_quota(4);
}

Test(cpus, mounted_group_is_cut_off_the_path)
{
    machine("0::/docker/abc/inner\n", "30 24 0:26 /docker/abc /cg rw - cgroup2 cgroup2 rw\n");
    put("/cg/inner/cpu.max", "500000 100000\n");
    expect_quota(5);
    put("/cg/cpu.max", "200000 100000\n");
    expect_quota(2);
}

Test(cpus, group_outside_the_mount_falls_back_to_the_mount_point)
{
    /* The mount's root is a prefix of the group's name as text, but not as a path. */
    machine("0::/docker/abcdef\n", "30 24 0:26 /docker/abc /cg rw - cgroup2 cgroup2 rw\n");
    put("/cg/cpu.max", "200000 100000\n");
    put("/cg/def/cpu.max", "100000 100000\n");
    expect_quota(2);
}

Test(cpus, path_above_the_namespace_never_leaves_the_mount)
{
    machine("0::/../sibling\n", "30 24 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
    put("/sibling/cpu.max", "100000 100000\n");
    put("/cg/cpu.max", "300000 100000\n");
    expect_quota(3);
    machine("0::/../sibling\n", "30 24 0:26 /.. /cg rw - cgroup2 cgroup2 rw\n");
    put("/cg/sibling/cpu.max", "200000 100000\n");
    expect_quota(2);
    /* Two dots inside a name do not mean the parent folder. */
    machine("0::/a..b/..c\n", "30 24 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
    put("/cg/a..b/..c/cpu.max", "100000 100000\n");
    expect_quota(1);
}

Test(cpus, mount_that_shows_most_ancestors_wins)
{
    machine("0::/a/b\n",
            "30 24 0:26 /z /other rw - cgroup2 cgroup2 rw\n"
            "31 24 0:26 /a/b /narrow rw - cgroup2 cgroup2 rw\n" V2_MOUNT "32 24 0:26 /a /middle rw - cgroup2 cgroup2 rw\n");
    put("/other/cpu.max", "100000 100000\n");
    put("/narrow/cpu.max", "400000 100000\n");
    put("/middle/cpu.max", "300000 100000\n");
    put("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    expect_quota(2);
}

Test(cpus, optional_fields)
{
    static const char *const optional[] = {"", "shared:1 ", "shared:1 master:2 ", "shared:1 master:2 propagate_from:3 "};
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        char line[256];
        snprintf(line, sizeof line, "30 24 0:26 / /cg%zu rw,relatime %s- cgroup2 none rw\n", i, optional[i]);
        machine("0::/\n", line);
        char name[32];
        snprintf(name, sizeof name, "/cg%zu/cpu.max", i);
        char text[32];
        snprintf(text, sizeof text, "%zu00000 100000\n", i + 2);
        put(name, text);
        expect_quota(i + 2);
    }
    /* An empty source. */
    machine("7:cpu:/\n", "30 24 0:26 / /v1 rw -  cgroup  rw,cpu\n");
    put("/v1/cpu.cfs_quota_us", "900000\n");
    expect_quota(9);
}

Test(cpus, mount_point_at_the_top)
{
    machine("0::/g\n", "30 24 0:26 / / rw - cgroup2 cgroup2 rw\n");
    put("/g/cpu.max", "300000 100000\n");
    expect_quota(3);
    put("/cpu.max", "200000 100000\n");
    expect_quota(2);
}

Test(cpus, garbled_lines_are_passed_over)
{
    machine("\n:\n::\n0\n0:\n0::\n0::relative\n1:cpu\nx:y:z\n0::/a\n",
            "\n \n30\n30 24 0:26 /\n30 24 0:26 / /cg rw\n30 24 0:26 / /cg rw -\n30 24 0:26 / /cg rw - \n"
            "30 24 0:26 / /cg rw shared:1\n- - - - - - -\n30 24 0:26 / /cg rw - cgroup2\n");
    put("/cg/a/cpu.max", "600000 100000\n");
    expect_quota(6);
    machine("0::/a", "30 24 0:26 / /cg rw - cgroup2 cgroup2 rw");
    expect_quota(6);
}

Test(cpus, overlong_paths_are_passed_over)
{
    static char cgroup[3 * PATH_MAX];
    static char mounts[4 * PATH_MAX];
    static char name[PATH_MAX];
    memset(name, 'n', sizeof name - 2);
    /* A group whose path is too long is ignored. So is one that only becomes too long with the mount point. */
    snprintf(cgroup, sizeof cgroup, "0::/%s%s\n", name, name);
    machine(cgroup, V2_MOUNT);
    expect_quota(0);
    snprintf(cgroup, sizeof cgroup, "0::/%s\n", name);
    machine(cgroup, V2_MOUNT);
    expect_quota(0);
    /* A long line of another mount is skipped. */
    snprintf(mounts, sizeof mounts, "29 1 0:9 / /%s rw - overlay overlay rw,lowerdir=%s\n" V2_MOUNT, name, name);
    machine("0::/\n", mounts);
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    expect_quota(2);
}
