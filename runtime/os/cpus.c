/* SPDX-License-Identifier: MIT */
/* The number of usable processors (cpus.h). Documented in: sched_setaffinity(2); proc(5) on /proc/pid/mountinfo; cgroups(7) on
 * /proc/pid/cgroup; the kernel's admin-guide/cgroup-v2.rst on cpu.max and scheduler/sched-bwc.rst on cpu.cfs_quota_us.
 *
 * /proc/self/cgroup names the group of the process in each hierarchy. /proc/self/mountinfo names the mount point of a hierarchy
 * and the group that is its root there. The group's directory is the mount point followed by the rest of the path. A limit of
 * any ancestor holds too, so every directory up to the mount point is read.
 *
 * Any file may be missing or malformed: what cannot be parsed is no limit. One that is there and cannot be read may have any
 * limit. The cost is linear in the size of the files. Paths are
 * on the heap, because the caller may be a fiber with a small stack.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "os/cpus.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/defs.h"

/* The kernel refuses a mask smaller than its own with EINVAL. This is 65,536 processors in 8 KiB, 8 times the most that a
 * kernel can be built for, so the mask never needs to grow. */
#define AFFINITY_SETS 64

/* For binding threads: 8192 processors, the most that a kernel can be built for. */
#define BIND_SETS 8

#define PERIOD_DEFAULT_US 100000

typedef struct hierarchy {
    bool v2;               /* the unified hierarchy; false: that of the version 1 CPU controller */
    bool member;           /* `group` is known */
    bool mounted;          /* `folder` is known */
    bool failed;           /* a file could not be read: the result is unknown */
    bool certain;          /* the mount shows the group or an ancestor of it; false: `folder` is a guess */
    size_t top_length;     /* length of the path of the mounted group: the shorter, the more ancestors are visible */
    size_t mount_length;   /* length of the mount point, which is the start of `folder` and the last directory read */
    char group[PATH_MAX];  /* the group of the process, from /proc/self/cgroup */
    char folder[PATH_MAX]; /* the directory of its files, without the root of a test */
} hierarchy;

/* Whether the comma-separated `list` contains `word`. */
static bool list_has(const char *list, const char *word)
{
    size_t length = strlen(word);
    while (*list != '\0') {
        size_t item = strcspn(list, ",");
        if (item == length && memcmp(list, word, length) == 0)
            return true;
        list += item + (list[item] == ',');
    }
    return false;
}

/* Decodes a path in place: mountinfo writes space, tab, newline and backslash as \ and three octal digits. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0';) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' && from[3] >= '0' &&
            from[3] <= '7') {
            *to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

/* *failed: set if there may be such a file nevertheless. */
static FILE *open_at(const char *root, const char *folder, const char *name, bool *failed)
{
    char *path = NULL;
    if (asprintf(&path, "%s%s/%s", root, folder, name) < 0) {
        *failed = true;
        return NULL;
    }
    FILE *file = fopen(path, "re");
    if (file == NULL && errno != ENOENT && errno != ENOTDIR)
        *failed = true;
    free(path);
    return file;
}

/* Reads the first line of a file of the group without its newline. False: there is none that fits. */
static bool read_line_at(const char *root, hierarchy *tree, const char *name, char *line, int size)
{
    FILE *file = open_at(root, tree->folder, name, &tree->failed);
    if (file == NULL)
        return false;
    bool ok = fgets(line, size, file) != NULL && (strchr(line, '\n') != NULL || feof(file));
    tree->failed = tree->failed || ferror(file);
    fclose(file);
    if (ok)
        line[strcspn(line, "\n")] = '\0';
    return ok;
}

/* Parses a number without sign that is followed by a space or the end of the text. NULL: it is not a number. */
static const char *parse_number(const char *text, unsigned long long *value)
{
    if (*text < '0' || *text > '9')
        return NULL;
    char *end;
    *value = strtoull(text, &end, 10); /* a number that is too large becomes the largest, which is right here */
    return *end == '\0' || *end == ' ' ? end : NULL;
}

static unsigned quota_to_cpus(unsigned long long quota, unsigned long long period)
{
    if (quota == 0 || period == 0)
        return 0;
    unsigned long long cpus = quota / period + (quota % period != 0);
    return cpus > UINT_MAX ? UINT_MAX : (unsigned)cpus;
}

/* The limit of one group; 0: none. */
static unsigned group_quota(const char *root, hierarchy *tree)
{
    char line[128];
    unsigned long long quota;
    unsigned long long period = PERIOD_DEFAULT_US;
    if (tree->v2) {
        if (!read_line_at(root, tree, "cpu.max", line, sizeof line))
            return 0;
        const char *rest = parse_number(line, &quota); /* fails for "max" */
        if (rest == NULL || (*rest == ' ' && parse_number(rest + 1, &period) == NULL))
            return 0;
        return quota_to_cpus(quota, period);
    }
    if (!read_line_at(root, tree, "cpu.cfs_quota_us", line, sizeof line) || parse_number(line, &quota) == NULL)
        return 0; /* -1: version 1 has no limit */
    if (read_line_at(root, tree, "cpu.cfs_period_us", line, sizeof line) && parse_number(line, &period) == NULL)
        return 0;
    return quota_to_cpus(quota, period);
}

/* Parses one line of /proc/self/cgroup, such as "4:cpu,cpuacct:/a/b" or, for version 2, "0::/a/b". */
static void read_group(char *line, hierarchy *v1, hierarchy *v2)
{
    char *controllers = strchr(line, ':');
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL || path[1] != '/')
        return;
    *controllers++ = '\0';
    *path++ = '\0';
    bool unified = strcmp(line, "0") == 0 && *controllers == '\0';
    if (!unified && !list_has(controllers, "cpu"))
        return;
    hierarchy *tree = unified ? v2 : v1;
    size_t length = strlen(path);
    if (tree->member || length >= sizeof tree->group)
        return;
    memcpy(tree->group, path, length + 1);
    tree->member = true;
}

/* Whether a component of the path is "..": the names after it are unknown. */
static bool has_parent_component(const char *path)
{
    for (const char *at = path; (at = strstr(at, "..")) != NULL; at += 2)
        if ((at == path || at[-1] == '/') && (at[2] == '/' || at[2] == '\0'))
            return true;
    return false;
}

/* The rest of `path` below `top`: "", or beginning with a slash. NULL: the path is not below `top`. */
static const char *below(const char *path, const char *top)
{
    size_t length = strcmp(top, "/") == 0 ? 0 : strlen(top);
    if (strncmp(path, top, length) != 0)
        return NULL;
    const char *rest = path + length;
    if ((*rest != '\0' && *rest != '/') || has_parent_component(rest))
        return NULL;
    return strcmp(rest, "/") == 0 ? "" : rest;
}

/* Considers a mount of the hierarchy with the group `top` at `point`: keeps it if it shows more than the known one. */
static void take_mount(hierarchy *tree, const char *top, const char *point)
{
    if (!tree->member)
        return;
    /* A container may see a group path of its host. Then the limits of the container are at the mount point. */
    const char *rest = below(tree->group, top);
    bool certain = rest != NULL;
    if (tree->mounted && (!certain || (tree->certain && strlen(top) >= tree->top_length)))
        return;
    size_t point_length = strcmp(point, "/") == 0 ? 0 : strlen(point);
    size_t rest_length = certain ? strlen(rest) : 0;
    if (point_length + rest_length >= sizeof tree->folder)
        return;
    memcpy(tree->folder, point, point_length);
    memcpy(tree->folder + point_length, certain ? rest : "", rest_length + 1);
    tree->mounted = true;
    tree->certain = certain;
    tree->top_length = strlen(top);
    tree->mount_length = point_length;
}

/* Parses one line of /proc/self/mountinfo: number, parent, device, root, mount point, options, any number of optional fields,
 * "-", type, source, options of the superblock. The source may be empty, so the options are the last field. */
static void read_mount(char *line, hierarchy *v1, hierarchy *v2)
{
    enum { TOP = 3, POINT = 4, FIXED = 6 };
    char *rest = NULL;
    char *fixed[FIXED];
    char *field = strtok_r(line, " ", &rest);
    for (int i = 0; i < FIXED; i++, field = strtok_r(NULL, " ", &rest)) {
        if (field == NULL)
            return;
        fixed[i] = field;
    }
    while (field != NULL && strcmp(field, "-") != 0)
        field = strtok_r(NULL, " ", &rest);
    const char *type = strtok_r(NULL, " ", &rest);
    if (field == NULL || type == NULL)
        return;
    const char *options = "";
    while ((field = strtok_r(NULL, " ", &rest)) != NULL)
        options = field;
    unescape(fixed[TOP]);
    unescape(fixed[POINT]);
    if (strcmp(type, "cgroup2") == 0)
        take_mount(v2, fixed[TOP], fixed[POINT]);
    else if (strcmp(type, "cgroup") == 0 && list_has(options, "cpu"))
        take_mount(v1, fixed[TOP], fixed[POINT]);
}

static void each_line(const char *root, const char *name, void (*use)(char *, hierarchy *, hierarchy *), hierarchy *v1,
                      hierarchy *v2)
{
    FILE *file = open_at(root, "/proc/self", name, &v1->failed);
    if (file == NULL)
        return;
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    while ((length = getline(&line, &size, file)) >= 0) {
        if (length > 0 && line[length - 1] == '\n')
            line[length - 1] = '\0';
        use(line, v1, v2);
    }
    v1->failed = v1->failed || !feof(file);
    free(line);
    fclose(file);
}

/* The smallest limit of the process's group and its ancestors up to the mount point; 0: none. */
static unsigned tree_quota(const char *root, hierarchy *tree)
{
    unsigned least = 0;
    if (!tree->mounted)
        return 0;
    for (;;) {
        unsigned quota = group_quota(root, tree);
        if (quota != 0 && (least == 0 || quota < least))
            least = quota;
        if (strlen(tree->folder) <= tree->mount_length)
            return least;
        *strrchr(tree->folder, '/') = '\0';
    }
}

bool tni_cpus_quota_at(const char *root, unsigned *quota)
{
    hierarchy *trees = calloc(2, sizeof *trees);
    *quota = 0;
    if (trees == NULL)
        return false;
    hierarchy *v1 = &trees[0];
    hierarchy *v2 = &trees[1];
    v2->v2 = true;
    each_line(root, "cgroup", read_group, v1, v2);
    each_line(root, "mountinfo", read_mount, v1, v2);
    unsigned old = tree_quota(root, v1);
    unsigned unified = tree_quota(root, v2);
    bool known = !v1->failed && !v2->failed;
    free(trees);
    *quota = old == 0 || (unified != 0 && unified < old) ? unified : old;
    return known;
}

static unsigned affinity(void)
{
    size_t bytes = AFFINITY_SETS * sizeof(cpu_set_t);
    cpu_set_t *sets = calloc(1, bytes);
    long count = 0;
    if (sets != NULL && sched_getaffinity(0, bytes, sets) == 0)
        count = CPU_COUNT_S(bytes, sets);
    else
        count = sysconf(_SC_NPROCESSORS_ONLN);
    free(sets);
    return count > 0 ? (unsigned)count : 1;
}

bool tni_cpus_bind(const unsigned *cpus, size_t count)
{
    cpu_set_t sets[BIND_SETS];

    CPU_ZERO_S(sizeof sets, sets);
    for (size_t i = 0; i < count; i++)
        CPU_SET_S(cpus[i], sizeof sets, sets); /* one that is too large is left out */
    return sched_setaffinity(0, sizeof sets, sets) == 0;
}

bool tni_cpus_may_use(const unsigned *cpus, size_t count)
{
    cpu_set_t before[BIND_SETS];
    bool may = sched_getaffinity(0, sizeof before, before) == 0;

    for (size_t i = 0; i < count && may; i++)
        may = tni_cpus_bind(&cpus[i], 1);
    (void)sched_setaffinity(0, sizeof before, before);
    return may;
}

unsigned tni_cpus_usable(void)
{
    unsigned allowed = affinity();
    unsigned quota;
    (void)tni_cpus_quota_at("", &quota); /* unknown: what can be read holds */
    return quota != 0 && quota < allowed ? quota : allowed;
}
