/* SPDX-License-Identifier: MIT */
/* The OS layer for files, on Linux. */
#include "os/os_file.h"

#include <errno.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "os/os_error.h"
#include "os/os_socket.h"

_Static_assert(sizeof(off_t) == sizeof(int64_t), "files may be larger than 2 GiB");

int tni_os_open(const char *path, int flags, unsigned mode)
{
    int fd;

    do {
        fd = open(path, flags | O_CLOEXEC, (mode_t)mode);
    } while (fd < 0 && errno == EINTR);
    return fd >= 0 ? fd : tni_os_error(errno);
}

ssize_t tni_os_readv(int fd, const struct iovec *iov, int count)
{
    ssize_t n;

    do {
        n = readv(fd, iov, count);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : tni_os_error(errno);
}

ssize_t tni_os_writev(int fd, const struct iovec *iov, int count)
{
    ssize_t n;

    do {
        n = writev(fd, iov, count);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : tni_os_error(errno);
}

ssize_t tni_os_preadv(int fd, const struct iovec *iov, int count, int64_t offset)
{
    ssize_t n;

    do {
        n = preadv(fd, iov, count, offset);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : tni_os_error(errno);
}

ssize_t tni_os_pwritev(int fd, const struct iovec *iov, int count, int64_t offset)
{
    ssize_t n;

    do {
        n = pwritev(fd, iov, count, offset);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : tni_os_error(errno);
}

int tni_os_open_cached(const char *path, int flags)
{
    struct open_how how = {.flags = (uint32_t)(flags | O_CLOEXEC | O_NONBLOCK), .resolve = RESOLVE_CACHED};
    long fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how); /* the C library has no function for it */

    return fd >= 0 ? (int)fd : -EAGAIN;
}

ssize_t tni_os_readv_cached(int fd, const struct iovec *iov, int count)
{
    return tni_os_preadv_cached(fd, iov, count, -1);
}

ssize_t tni_os_preadv_cached(int fd, const struct iovec *iov, int count, int64_t offset)
{
    ssize_t n = preadv2(fd, iov, count, offset, RWF_NOWAIT);

    return n >= 0 ? n : -EAGAIN;
}

/* On Linux 5.9 and 5.10 preadv2 may return 0 in the middle of a file too (BUGS in preadv2(2)). RESOLVE_CACHED is newer:
 * 5.12. */
bool tni_os_cached_end_holds(void)
{
    struct utsname name;

    return uname(&name) == 0 && strncmp(name.release, "5.9.", 4) != 0 && strncmp(name.release, "5.10.", 5) != 0;
}

/* File systems that depend on nothing outside the kernel. The last three generate the contents of a file when it is read. */
static const long local[] = {
    EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,  BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC,    TMPFS_MAGIC,
    RAMFS_MAGIC,      PROC_SUPER_MAGIC, SYSFS_MAGIC,       CGROUP2_SUPER_MAGIC,
};

enum { LOCAL = sizeof local / sizeof *local, LOCAL_STORED = LOCAL - 3 };

static bool is_on(int fd, unsigned kinds)
{
    struct statfs status;

    if (fstatfs(fd, &status) != 0)
        return false;
    for (unsigned i = 0; i < kinds; i++) {
        if ((long)status.f_type == local[i])
            return true;
    }
    return false;
}

bool tni_os_is_local(int fd)
{
    return is_on(fd, LOCAL);
}

bool tni_os_is_stored(int fd)
{
    return is_on(fd, LOCAL_STORED);
}

int64_t tni_os_seek(int fd, int64_t offset, int whence)
{
    off_t at = lseek(fd, offset, whence);

    return at >= 0 ? at : tni_os_error(errno);
}

int tni_os_sync(int fd, bool everything)
{
    int rc;

    do {
        rc = everything ? fsync(fd) : fdatasync(fd);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : tni_os_error(errno);
}

int tni_os_truncate(int fd, int64_t size)
{
    int rc;

    do {
        rc = ftruncate(fd, size);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : tni_os_error(errno);
}

int tni_os_fstat(int fd, struct stat *out)
{
    int rc;

    do {
        rc = fstat(fd, out);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : tni_os_error(errno);
}

int tni_os_set_owner(int fd, unsigned user, unsigned group)
{
    int rc;

    do {
        rc = fchown(fd, user, group);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : tni_os_error(errno);
}

int tni_os_set_mode(int fd, unsigned mode)
{
    int rc;

    do {
        rc = fchmod(fd, (mode_t)mode);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : tni_os_error(errno);
}

ssize_t tni_os_sendfile(int socket, int file, int64_t *offset, size_t size)
{
    ssize_t n;

    (void)tni_os_set_nonblocking(socket); /* another process that has the socket may have changed its mode */
    do {
        n = sendfile(socket, file, offset, size);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : tni_os_error(errno);
}

int tni_os_stat(const char *path, bool follow, struct stat *out)
{
    int rc;

    do {
        rc = follow ? stat(path, out) : lstat(path, out);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : tni_os_error(errno);
}

int tni_os_mkdir(const char *path, unsigned mode)
{
    int rc;

    do {
        rc = mkdir(path, (mode_t)mode);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : tni_os_error(errno);
}

int tni_os_rmdir(const char *path)
{
    int rc;

    do {
        rc = rmdir(path);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : tni_os_error(errno);
}

int tni_os_rename(const char *from, const char *to)
{
    int rc;

    do {
        rc = rename(from, to);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : tni_os_error(errno);
}

int tni_os_symlink(const char *target, const char *path)
{
    int rc;

    do {
        rc = symlink(target, path);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : tni_os_error(errno);
}

ssize_t tni_os_readlink(const char *path, char *buf, size_t size)
{
    ssize_t n;

    do {
        n = readlink(path, buf, size);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : tni_os_error(errno);
}

int tni_os_dir_open(const char *path, DIR **out)
{
    do {
        *out = opendir(path);
    } while (*out == NULL && errno == EINTR);
    return *out != NULL ? 0 : tni_os_error(errno);
}

int tni_os_dir_read(DIR *dir, struct dirent **out)
{
    do {
        errno = 0;
        *out = readdir(dir);
    } while (*out == NULL && errno == EINTR);
    if (*out != NULL)
        return 1;
    return tni_os_error(errno);
}

void tni_os_dir_close(DIR *dir)
{
    (void)closedir(dir);
}
