/* SPDX-License-Identifier: MIT */
/* Fault injection for file system calls. The definitions override the C library's: include this in one source per program. */
#ifndef FS_FAULTS_H
#define FS_FAULTS_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

typedef enum { FAULT_NONE, FAULT_OPEN, FAULT_READ, FAULT_WRITE, FAULT_SYNC, FAULT_RENAME, FAULT_CACHED, FAULT_SEEK } fault_call;

static struct {
    _Atomic int call;     /* a fault_call: the call that fails */
    atomic_long nth;      /* number of the first call that fails, from 1 */
    atomic_long count;    /* number of calls that fail */
    _Atomic int error;    /* errno; 0: the call succeeds, but is cut to `bytes` */
    _Atomic size_t bytes; /* most bytes that one read or write moves */
} fault;

static inline void fault_set(fault_call call, long nth, long count, int error, size_t bytes)
{
    atomic_store(&fault.nth, nth);
    atomic_store(&fault.count, count);
    atomic_store(&fault.error, error);
    atomic_store(&fault.bytes, bytes);
    atomic_store(&fault.call, call);
}

/* May be NULL. Called before each transfer and each seek, on the thread that makes it. */
typedef void (*fault_hook)(fault_call call, int fd);

static _Atomic(fault_hook) fault_before;

static void fault_tell(fault_call call, int fd)
{
    fault_hook hook = atomic_load(&fault_before);

    if (hook != NULL)
        hook(call, fd);
}

/* Returns whether this call gets a fault. */
static bool fault_now(fault_call call)
{
    if (atomic_load(&fault.call) != (int)call)
        return false;
    if (atomic_fetch_sub(&fault.nth, 1) > 1)
        return false;
    return atomic_fetch_sub(&fault.count, 1) > 0;
}

/* The function that a definition here overrides: ThreadSanitizer's interceptor if there is one, else the C library's. */
#define FAULT_ORIGINAL(result, name, ...) \
    extern result __interceptor_##name(__VA_ARGS__) __attribute__((weak)); \
    static result (*original_##name(void))(__VA_ARGS__) \
    { \
        result (*found)(__VA_ARGS__) = __interceptor_##name; \
        if (found == NULL) \
            *(void **)&found = dlsym(RTLD_NEXT, #name); \
        return found; \
    }

FAULT_ORIGINAL(ssize_t, readv, int, const struct iovec *, int)
FAULT_ORIGINAL(ssize_t, writev, int, const struct iovec *, int)
FAULT_ORIGINAL(ssize_t, preadv, int, const struct iovec *, int, off_t)
FAULT_ORIGINAL(ssize_t, pwritev, int, const struct iovec *, int, off_t)
FAULT_ORIGINAL(ssize_t, preadv2, int, const struct iovec *, int, off_t, int)
FAULT_ORIGINAL(ssize_t, pwritev2, int, const struct iovec *, int, off_t, int)
FAULT_ORIGINAL(off_t, lseek, int, off_t, int)
FAULT_ORIGINAL(int, fsync, int)
FAULT_ORIGINAL(int, rename, const char *, const char *)
FAULT_ORIGINAL(int, open, const char *, int, ...)

/* Returns -1 with errno set, or 0. If *cut is true on return, the call uses `first`, a shortened first buffer. */
static int fault_transfer(fault_call call, const struct iovec *iov, struct iovec *first, bool *cut)
{
    *cut = false;
    if (!fault_now(call))
        return 0;
    if (atomic_load(&fault.error) != 0) {
        errno = atomic_load(&fault.error);
        return -1;
    }
    *first = iov[0];
    if (first->iov_len > atomic_load(&fault.bytes))
        first->iov_len = atomic_load(&fault.bytes);
    *cut = true;
    return 0;
}

ssize_t readv(int fd, const struct iovec *iov, int count)
{
    struct iovec first;
    bool cut;

    fault_tell(FAULT_READ, fd);
    if (fault_transfer(FAULT_READ, iov, &first, &cut) < 0)
        return -1;
    return cut ? original_readv()(fd, &first, 1) : original_readv()(fd, iov, count);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    struct iovec first;
    bool cut;

    fault_tell(FAULT_WRITE, fd);
    if (fault_transfer(FAULT_WRITE, iov, &first, &cut) < 0)
        return -1;
    return cut ? original_writev()(fd, &first, 1) : original_writev()(fd, iov, count);
}

ssize_t preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
    struct iovec first;
    bool cut;

    if (fault_transfer(FAULT_READ, iov, &first, &cut) < 0)
        return -1;
    return cut ? original_preadv()(fd, &first, 1, offset) : original_preadv()(fd, iov, count, offset);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    struct iovec first;
    bool cut;

    if (fault_transfer(FAULT_WRITE, iov, &first, &cut) < 0)
        return -1;
    return cut ? original_pwritev()(fd, &first, 1, offset) : original_pwritev()(fd, iov, count, offset);
}

/* Reads that do not wait, from the page cache. With FAULT_READ they fail, so that the call that may wait gets the fault. */
ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    struct iovec first;
    bool cut;

    fault_tell(FAULT_CACHED, fd);
    if (atomic_load(&fault.call) == FAULT_READ) {
        errno = EAGAIN;
        return -1;
    }
    if (fault_transfer(FAULT_CACHED, iov, &first, &cut) < 0)
        return -1;
    return cut ? original_preadv2()(fd, &first, 1, offset, flags) : original_preadv2()(fd, iov, count, offset, flags);
}

/* Writes that do not wait, to a pipe; they fail like those reads. */
ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    if (fault_now(FAULT_CACHED)) {
        errno = atomic_load(&fault.error);
        return -1;
    }
    return original_pwritev2()(fd, iov, count, offset, flags);
}

off_t lseek(int fd, off_t offset, int whence)
{
    fault_tell(FAULT_SEEK, fd);
    return original_lseek()(fd, offset, whence);
}

int fsync(int fd)
{
    if (fault_now(FAULT_SYNC)) {
        errno = atomic_load(&fault.error);
        return -1;
    }
    return original_fsync()(fd);
}

int rename(const char *from, const char *to)
{
    if (fault_now(FAULT_RENAME)) {
        errno = atomic_load(&fault.error);
        return -1;
    }
    return original_rename()(from, to);
}

int open(const char *path, int flags, ...)
{
    va_list args;
    int mode;

    if (fault_now(FAULT_OPEN)) {
        errno = atomic_load(&fault.error);
        return -1;
    }
    va_start(args, flags);
    mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, int) : 0;
    va_end(args);
    return original_open()(path, flags, mode);
}

#endif
