/* SPDX-License-Identifier: MIT */
/* Makes the Nth system call of the library fail. These definitions take precedence over the C library's; include this in one
 * source per program.
 *
 * Only calls of the program itself fail, to which the library is linked statically, and the one by which libuv tries whether the
 * kernel can watch a file. libuv leaks a file or ends the process if others fail (runtime/os/os_loop.c). */
#ifndef TT_FAILING_CALLS_H
#define TT_FAILING_CALLS_H

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "support/sanitizers.h"

static atomic_long calls_left;                   /* at 1, the next call fails; 0: none */
static atomic_int failed_error;                  /* errno of the call that has failed last */
static _Atomic(const char *) failed_call;        /* its name */
static atomic_long mapped_bytes;                 /* by mmap, without those that munmap has given back */
extern const char __executable_start[], etext[]; /* the code of the program, set by the linker */

/* Under ThreadSanitizer a child has memory of its own before execve: a failure there would not be counted here. */
static bool is_forked(void)
{
    static atomic_int first;
    int none = 0;
    int now = TT_TSAN ? getpid() : 0;

    return TT_TSAN && !atomic_compare_exchange_strong(&first, &none, now) && none != now;
}

/* Counts down; returns true at the step from 1 to 0, with errno set. */
static bool call_fails(int error, const char *name)
{
    long now = is_forked() ? 0 : atomic_load(&calls_left);

    while (now > 0)
        if (atomic_compare_exchange_weak(&calls_left, &now, now - 1)) {
            if (now > 1)
                return false;
            atomic_store(&failed_error, error);
            atomic_store(&failed_call, name);
            errno = error;
            return true;
        }
    return false;
}

/* `caller`: a return address. */
static bool is_own(const void *caller)
{
    return (const char *)caller >= __executable_start && (const char *)caller < etext;
}

/* Sockets, pipes and regular files; no eventfd, which is a wake. */
static bool has_bytes(int fd)
{
    struct stat found;

    return syscall(SYS_fstat, fd, &found) == 0 && (S_ISSOCK(found.st_mode) || S_ISFIFO(found.st_mode) || S_ISREG(found.st_mode));
}

/* A listener that the kernel could not watch once stays without waits: its registration keeps the error. */
static bool is_listener(int fd)
{
    socklen_t size = sizeof(int);
    int listens = 0;

    return syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

/* The function that a definition here overrides: the interceptor of a sanitizer if there is one, else the C library's. */
#define FAILING_ORIGINAL(result, name, ...) \
    extern result __interceptor_##name(__VA_ARGS__) __attribute__((weak)); \
    static result (*original_##name(void))(__VA_ARGS__) \
    { \
        static _Atomic(void *) kept; \
        void *found = (void *)(uintptr_t)__interceptor_##name; \
        if (found == NULL) \
            found = atomic_load(&kept); \
        if (found == NULL) { \
            found = dlsym(RTLD_NEXT, #name); \
            atomic_store(&kept, found); \
        } \
        return (result(*)(__VA_ARGS__))(uintptr_t)found; \
    }

/* Overrides a function that fails by `value`, with errno `error`, when `condition` holds; `arguments` in brackets. */
#define FAILING(result, value, name, error, condition, arguments, ...) \
    FAILING_ORIGINAL(result, name, __VA_ARGS__) \
    result name(__VA_ARGS__) \
    { \
        bool own __attribute__((unused)) = is_own(__builtin_return_address(0)); \
        if ((condition) && call_fails(error, #name)) \
            return value; \
        return original_##name() arguments; \
    }

/* --- Calls that open files and set them up ------------------------------------------------------------------------------- */

FAILING(int, -1, socket, EMFILE, own, (a, b, c), int a, int b, int c)
FAILING(int, -1, pipe2, EMFILE, own, (fds, flags), int fds[2], int flags)
FAILING(int, -1, eventfd, EMFILE, own, (a, b), unsigned a, int b)
FAILING(int, -1, epoll_create1, EMFILE, own, (flags), int flags)
FAILING(DIR *, NULL, opendir, EMFILE, own, (path), const char *path)
FAILING(FILE *, NULL, fopen, EMFILE, own, (path, mode), const char *restrict path, const char *restrict mode)
FAILING(int, -1, accept4, EMFILE, own, (fd, a, size, b), int fd, struct sockaddr *restrict a, socklen_t *restrict size, int b)
FAILING(int, -1, bind, ENOBUFS, own, (fd, a, size), int fd, const struct sockaddr *a, socklen_t size)
FAILING(int, -1, connect, ENOBUFS, own, (fd, a, size), int fd, const struct sockaddr *a, socklen_t size)
FAILING(int, -1, listen, ENOBUFS, own, (fd, backlog), int fd, int backlog)
FAILING(int, -1, shutdown, ENOBUFS, own, (fd, how), int fd, int how)
FAILING(int, -1, getsockname, ENOBUFS, own, (fd, a, size), int fd, struct sockaddr *restrict a, socklen_t *restrict size)
FAILING(int, -1, getpeername, ENOBUFS, own, (fd, a, size), int fd, struct sockaddr *restrict a, socklen_t *restrict size)
/* What a socket is cannot fail: an error says that the descriptor is none. */
FAILING(int, -1, getsockopt, ENOBUFS, own &&b != SO_TYPE && b != SO_ACCEPTCONN, (fd, a, b, value, size), int fd, int a, int b,
        void *restrict value, socklen_t *restrict size)
FAILING(int, -1, setsockopt, ENOBUFS, own, (fd, a, b, value, size), int fd, int a, int b, const void *value, socklen_t size)
/* libuv's try has no number in the event; its later calls have. */
FAILING(int, -1, epoll_ctl, ENOSPC, event != NULL && how != EPOLL_CTL_DEL && (own || event->data.fd == -1) && !is_listener(fd),
        (set, how, fd, event), int set, int how, int fd, struct epoll_event *event)

FAILING_ORIGINAL(int, open, const char *, int, ...)

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list more;

    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
    }
    return is_own(__builtin_return_address(0)) && call_fails(EMFILE, "open") ? -1 : original_open()(path, flags, mode);
}

FAILING_ORIGINAL(int, fcntl, int, int, ...)

/* Its last argument is a number or a pointer. What fails makes a new number or a larger pipe. */
int fcntl(int fd, int what, ...)
{
    void *value;
    va_list more;

    va_start(more, what);
    value = va_arg(more, void *);
    va_end(more);
    if ((what == F_DUPFD_CLOEXEC || what == F_SETPIPE_SZ) && is_own(__builtin_return_address(0)) && call_fails(EMFILE, "fcntl"))
        return -1;
    return original_fcntl()(fd, what, value);
}

/* --- Calls on files ------------------------------------------------------------------------------------------------------ */

FAILING(int, -1, stat, EIO, own, (path, out), const char *restrict path, struct stat *restrict out)
FAILING(int, -1, lstat, EIO, own, (path, out), const char *restrict path, struct stat *restrict out)
FAILING(int, -1, fstat, EIO, own, (fd, out), int fd, struct stat *out)
FAILING(off_t, -1, lseek, EIO, own, (fd, offset, from), int fd, off_t offset, int from)
FAILING(int, -1, fsync, EIO, own, (fd), int fd)
FAILING(int, -1, fdatasync, EIO, own, (fd), int fd)
FAILING(int, -1, ftruncate, EIO, own, (fd, size), int fd, off_t size)
FAILING(int, -1, fchmod, EIO, own, (fd, mode), int fd, mode_t mode)
FAILING(int, -1, mkdir, EIO, own, (path, mode), const char *path, mode_t mode)
FAILING(int, -1, rename, EIO, own, (from, to), const char *from, const char *to)
FAILING(int, -1, rmdir, EIO, own, (path), const char *path)
FAILING(int, -1, symlink, EIO, own, (from, to), const char *from, const char *to)
FAILING(int, -1, unlink, EIO, own, (path), const char *path)
FAILING(ssize_t, -1, readlink, EIO, own, (path, out, size), const char *restrict path, char *restrict out, size_t size)
FAILING(struct dirent *, NULL, readdir, EIO, own, (folder), DIR *folder)

/* --- Transfers ----------------------------------------------------------------------------------------------------------- */

FAILING(ssize_t, -1, read, EIO, own &&has_bytes(fd), (fd, out, size), int fd, void *out, size_t size)
FAILING(ssize_t, -1, write, EIO, own &&has_bytes(fd), (fd, bytes, size), int fd, const void *bytes, size_t size)
FAILING(ssize_t, -1, readv, EIO, own, (fd, iov, count), int fd, const struct iovec *iov, int count)
FAILING(ssize_t, -1, writev, EIO, own, (fd, iov, count), int fd, const struct iovec *iov, int count)
FAILING(ssize_t, -1, preadv, EIO, own, (fd, iov, count, at), int fd, const struct iovec *iov, int count, off_t at)
FAILING(ssize_t, -1, pwritev, EIO, own, (fd, iov, count, at), int fd, const struct iovec *iov, int count, off_t at)
FAILING(ssize_t, -1, preadv2, EIO, own, (fd, iov, count, at, b), int fd, const struct iovec *iov, int count, off_t at, int b)
FAILING(ssize_t, -1, pwritev2, EIO, own, (fd, iov, count, at, b), int fd, const struct iovec *iov, int count, off_t at, int b)
FAILING(ssize_t, -1, recv, EIO, own, (fd, out, size, flags), int fd, void *out, size_t size, int flags)
FAILING(ssize_t, -1, send, EIO, own, (fd, bytes, size, flags), int fd, const void *bytes, size_t size, int flags)
FAILING(ssize_t, -1, recvmsg, EIO, own, (fd, message, flags), int fd, struct msghdr *message, int flags)
FAILING(ssize_t, -1, sendmsg, EIO, own, (fd, message, flags), int fd, const struct msghdr *message, int flags)
FAILING(ssize_t, -1, sendto, EIO, own, (fd, bytes, size, flags, to, b), int fd, const void *bytes, size_t size, int flags,
        const struct sockaddr *to, socklen_t b)
FAILING(ssize_t, -1, sendfile, EIO, own, (to, from, at, size), int to, int from, off_t *at, size_t size)
FAILING(ssize_t, -1, splice, EIO, own, (from, a, to, b, size, flags), int from, off64_t *a, int to, off64_t *b, size_t size,
        unsigned flags)

/* --- Memory -------------------------------------------------------------------------------------------------------------- */

FAILING(int, -1, mprotect, ENOMEM, own &&what == PROT_NONE, (address, size, what), void *address, size_t size, int what)

FAILING_ORIGINAL(void *, mmap, void *, size_t, int, int, int, off_t)
FAILING_ORIGINAL(int, munmap, void *, size_t)

void *mmap(void *address, size_t size, int what, int flags, int fd, off_t at)
{
    bool own = is_own(__builtin_return_address(0));
    void *found;

    if (own && call_fails(ENOMEM, "mmap"))
        return MAP_FAILED;
    found = original_mmap()(address, size, what, flags, fd, at);
    if (own && found != MAP_FAILED)
        atomic_fetch_add(&mapped_bytes, (long)size);
    return found;
}

int munmap(void *address, size_t size)
{
    if (is_own(__builtin_return_address(0)))
        atomic_fetch_sub(&mapped_bytes, (long)size);
    return original_munmap()(address, size);
}

/* --- Processes, and calls that are made by their number ------------------------------------------------------------------ */

FAILING_ORIGINAL(int, clone, int (*)(void *), void *, int, void *, ...)

int clone(int (*entry)(void *), void *stack, int flags, void *arg, ...)
{
    va_list more;
    void *id;

    va_start(more, arg);
    id = va_arg(more, void *);
    va_end(more);
    return call_fails(EAGAIN, "clone") ? -1 : original_clone()(entry, stack, flags, arg, id);
}

/* Returns errno; 0: it never fails. */
static int error_of_number(long number, long a, long b)
{
    switch (number) {
    case SYS_openat2:
        return EMFILE;
    case SYS_fcntl:
        return b == F_DUPFD_CLOEXEC ? EMFILE : 0;
    case SYS_epoll_ctl:
        return b != EPOLL_CTL_DEL ? ENOSPC : 0;
    case SYS_clone:
        return EAGAIN;
    case SYS_setsid:
    case SYS_setpgid:
    case SYS_prlimit64:
    case SYS_chdir:
    case SYS_dup3:
    case SYS_execve:
        return EPERM;
    case SYS_recvfrom:
    case SYS_sendto:
        return has_bytes((int)a) ? EIO : 0;
    default:
        return 0;
    }
}

FAILING_ORIGINAL(long, syscall, long, ...)

/* It reads six values, whatever the caller has passed, as the C library's does. */
__attribute__((no_sanitize("address"))) long syscall(long number, ...)
{
    long values[6];
    va_list more;
    int error;

    va_start(more, number);
    for (unsigned i = 0; i < 6; i++)
        values[i] = va_arg(more, long);
    va_end(more);
    error = is_own(__builtin_return_address(0)) && atomic_load(&calls_left) > 0 ? error_of_number(number, values[0], values[1])
                                                                                : 0;
    if (error != 0 && call_fails(error, "syscall"))
        return -1;
    return original_syscall()(number, values[0], values[1], values[2], values[3], values[4], values[5]);
}

#endif
