/* SPDX-License-Identifier: MIT */
/* Replacing a whole file: tn_fs_write_file. The call is one job of the blocking pool.
 *
 * The new contents go to a temporary file in the folder of the file that is replaced, so that both are on one file system. The
 * rename then replaces the name. Therefore the links of the path are followed first, or the rename would replace a link; and
 * owner and permissions are given to the temporary file, or the rename would lose them. */
#include <stdio.h>
#include <string.h>

#include "base/thread.h"
#include "fs/fs.h"

#define PATH_BYTES 4096
#define TRIES_MAX 100
#define LINKS_MAX 40 /* as the kernel */

/* The permissions of a replaced file that the new one gets. Every write by an ordinary user clears the other two bits, too. */
#define KEPT_MODE 01777u

typedef struct {
    const char *path;
    const char *data;
    size_t size;
    unsigned mode;
} write_call;

/* On the stack of the thread that replaces the file. */
typedef struct {
    const write_call *call;
    bool exists;             /* the file exists: `old` is valid */
    struct stat old;         /* of the file that is replaced */
    unsigned folder;         /* length of the folder in `target`, with its slash */
    char target[PATH_BYTES]; /* `path` without links at its end */
    char temporary[PATH_BYTES];
} replacement;

/* Length of the folder in `path`, with its slash. */
static unsigned folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? (unsigned)(slash + 1 - path) : 0;
}

/* Replaces a link at the end of `path` by what it names, whether that exists or not. `path` has PATH_BYTES bytes. */
static int follow_links(char *path)
{
    char text[PATH_BYTES];

    for (unsigned i = 0; i < LINKS_MAX; i++) {
        size_t folder = folder_length(path);
        ssize_t length = tni_os_readlink(path, text, sizeof text);
        if (length == -EINVAL || length == -ENOENT)
            return 0; /* no link, or nothing */
        if (length < 0)
            return (int)length;
        if (length > 0 && text[0] == '/')
            folder = 0;
        if (folder + (size_t)length >= PATH_BYTES)
            return -ENAMETOOLONG;
        memcpy(path + folder, text, (size_t)length);
        path[folder + (size_t)length] = '\0';
    }
    return -ELOOP;
}

/* Whether `target` names the file to which `path` leads. The text of a link in /proc need not lead to the file that the link
 * opens. Another call may replace the file between the two calls; then they are repeated. */
static bool is_right_target(const replacement *self)
{
    struct stat meant;
    struct stat named;

    for (unsigned i = 0; i < TRIES_MAX; i++) {
        int rc = tni_os_stat(self->call->path, true, &meant);
        if (tni_os_stat(self->target, false, &named) != 0 || rc != 0)
            return rc == -ENOENT;
        if (named.st_dev == meant.st_dev && named.st_ino == meant.st_ino)
            return true;
    }
    return false;
}

/* Finds the file to replace. A FIFO, a device and a socket are refused: a rename would put a file in their place. */
static int find_target(replacement *self)
{
    size_t length = strlen(self->call->path);
    int rc = tni_os_stat(self->call->path, true, &self->old);

    self->exists = rc == 0;
    if (rc != 0 && rc != -ENOENT)
        return rc;
    if (self->exists && !S_ISREG(self->old.st_mode))
        return S_ISDIR(self->old.st_mode) ? -EISDIR : -EINVAL;
    if (length >= sizeof self->target)
        return -ENAMETOOLONG;
    memcpy(self->target, self->call->path, length + 1);
    rc = follow_links(self->target);
    self->folder = folder_length(self->target);
    if (rc == 0 && self->exists && strcmp(self->target, self->call->path) != 0 && !is_right_target(self))
        rc = -ENOENT;
    return rc;
}

/* In the same folder, so that it is on the same file system; hidden, and with an unused name. */
static int open_temporary(replacement *self)
{
    unsigned mode = self->exists ? 0600 : self->call->mode;
    uint64_t random = tni_random_seed();

    for (unsigned i = 0; i < TRIES_MAX; i++) {
        int length = snprintf(self->temporary, sizeof self->temporary, "%.*s.%s.%08x", (int)self->folder, self->target,
                              self->target + self->folder, (unsigned)tni_random_next(&random));
        int fd;
        if (length < 0 || (size_t)length >= sizeof self->temporary)
            return -ENAMETOOLONG;
        fd = tni_os_open(self->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
        if (fd != -EEXIST)
            return fd;
    }
    return -EEXIST;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        struct iovec rest = {(void *)(uintptr_t)data, size}; /* const is cast away: iovec is shared with reads */
        ssize_t n = tni_os_writev(fd, &rest, 1);
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

/* The owner first: changing it may clear permissions. */
static int copy_owner_and_mode(const replacement *self, int fd)
{
    struct stat mine;
    int rc = tni_os_fstat(fd, &mine);

    if (rc == 0 && (mine.st_uid != self->old.st_uid || mine.st_gid != self->old.st_gid))
        rc = tni_os_set_owner(fd, self->old.st_uid, self->old.st_gid);
    return rc == 0 ? tni_os_set_mode(fd, self->old.st_mode & KEPT_MODE) : rc;
}

static int fill_temporary(const replacement *self, int fd)
{
    int rc = write_all(fd, self->call->data, self->call->size);

    if (rc == 0 && self->exists)
        rc = copy_owner_and_mode(self, fd);
    return rc == 0 ? tni_os_sync(fd, true) : rc;
}

/* The rename has changed the folder, which must reach the disk too. */
static int sync_folder(replacement *self)
{
    int fd;
    int rc;

    self->temporary[self->folder] = '\0'; /* the name is no longer needed */
    fd = tni_os_open(self->folder > 0 ? self->temporary : ".", O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    rc = tni_os_sync(fd, true);
    tni_os_close(fd);
    return rc == -EINVAL ? 0 : rc; /* EINVAL: a file system that cannot sync folders */
}

static int call_write(void *arg)
{
    replacement self = {.call = arg};
    int rc = find_target(&self);
    int fd;

    if (rc != 0)
        return rc;
    fd = open_temporary(&self);
    if (fd < 0)
        return fd;
    rc = fill_temporary(&self, fd);
    tni_os_close(fd);
    if (rc == 0)
        rc = tni_os_rename(self.temporary, self.target);
    if (rc != 0) {
        (void)tni_os_unlink(self.temporary); /* `rc` has the first error */
        return rc;
    }
    return sync_folder(&self);
}

int tn_fs_write_file(const char *path, const void *data, size_t size, unsigned mode)
{
    write_call call = {.path = path, .data = data, .size = size, .mode = mode};

    return tni_fs_run(call_write, &call);
}
