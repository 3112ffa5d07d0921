/* SPDX-License-Identifier: MIT */
/* File system calls that take a path: stat, mkdir, remove, rename, links. */
#include <string.h>

#include "fs/fs.h"

#define PATH_BYTES 4096

typedef struct {
    const char *path;
    const char *other;
    unsigned mode;
    bool follow;
    char *buf;
    size_t size;
    struct stat status;
} path_call;

static int call_stat(void *arg)
{
    path_call *call = arg;

    return tni_os_stat(call->path, call->follow, &call->status);
}

static int get_stat(const char *path, bool follow, tn_stat *out)
{
    path_call call = {.path = path, .follow = follow};
    int rc = tni_fs_run(call_stat, &call);

    if (rc == 0)
        tni_fs_fill_stat(out, &call.status);
    return rc;
}

int tn_fs_stat(const char *path, tn_stat *out)
{
    return get_stat(path, true, out);
}

int tn_fs_lstat(const char *path, tn_stat *out)
{
    return get_stat(path, false, out);
}

static int call_mkdir(void *arg)
{
    const path_call *call = arg;

    return tni_os_mkdir(call->path, call->mode);
}

int tn_fs_mkdir(const char *path, unsigned mode)
{
    path_call call = {.path = path, .mode = mode};

    return tni_fs_run(call_mkdir, &call);
}

/* Makes one directory; 0 also if it exists. */
static int make_folder(const char *path, unsigned mode)
{
    struct stat status;
    int rc = tni_os_mkdir(path, mode);

    if (rc != -EEXIST && rc != -EACCES && rc != -EROFS && rc != -EISDIR)
        return rc; /* the other three are also returned for an existing directory whose parent is not writable */
    if (tni_os_stat(path, true, &status) != 0)
        return rc;
    return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
}

static int call_mkdir_all(void *arg)
{
    const path_call *call = arg;
    char path[PATH_BYTES];
    size_t length = strlen(call->path);
    int rc;

    if (length >= sizeof path)
        return -ENAMETOOLONG;
    memcpy(path, call->path, length + 1);
    rc = make_folder(path, call->mode);
    if (rc != -ENOENT || length == 0)
        return rc;
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        rc = make_folder(path, call->mode);
        *slash = '/';
        if (rc != 0)
            return rc;
    }
    return make_folder(path, call->mode);
}

int tn_fs_mkdir_all(const char *path, unsigned mode)
{
    path_call call = {.path = path, .mode = mode};

    return tni_fs_run(call_mkdir_all, &call);
}

static int call_remove(void *arg)
{
    const path_call *call = arg;
    int rc = tni_os_unlink(call->path);
    int as_folder;

    /* For a directory Linux returns EISDIR, and POSIX requires EPERM, which may also mean missing permission. */
    if (rc != -EISDIR && rc != -EPERM)
        return rc;
    as_folder = tni_os_rmdir(call->path);
    return as_folder == -ENOTDIR ? rc : as_folder;
}

int tn_fs_remove(const char *path)
{
    path_call call = {.path = path};

    return tni_fs_run(call_remove, &call);
}

static int call_rename(void *arg)
{
    const path_call *call = arg;

    return tni_os_rename(call->path, call->other);
}

int tn_fs_rename(const char *from, const char *to)
{
    path_call call = {.path = from, .other = to};

    return tni_fs_run(call_rename, &call);
}

static int call_symlink(void *arg)
{
    const path_call *call = arg;

    return tni_os_symlink(call->other, call->path);
}

int tn_fs_symlink(const char *target, const char *path)
{
    path_call call = {.path = path, .other = target};

    return tni_fs_run(call_symlink, &call);
}

static int call_readlink(void *arg)
{
    path_call *call = arg;
    ssize_t n = tni_os_readlink(call->path, call->buf, call->size);

    if (n < 0)
        return (int)n;
    if ((size_t)n >= call->size)
        return -ENAMETOOLONG;
    call->buf[n] = '\0';
    return 0;
}

int tn_fs_readlink(const char *path, char *buf, size_t size)
{
    path_call call = {.path = path, .buf = buf, .size = size};

    return size == 0 ? -ENAMETOOLONG : tni_fs_run(call_readlink, &call);
}
