/* SPDX-License-Identifier: MIT */
/* The OS layer for files. Each call answers 0 or a count, or a negative errno value; each may block; one that a signal
 * interrupted is made again. Fault injection and a simulator replace this header's functions and nothing else.
 */
#ifndef TNI_OS_FILE_H
#define TNI_OS_FILE_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/defs.h"
#include "os/os_socket.h" /* tni_os_close, tni_os_unlink */

/* Answers the fd, closed on exec. */
int tni_os_open(const char *path, int flags, unsigned mode);

/* At the file's own position. */
ssize_t tni_os_readv(int fd, const struct iovec *iov, int count);
ssize_t tni_os_writev(int fd, const struct iovec *iov, int count);
/* At `offset`. */
ssize_t tni_os_preadv(int fd, const struct iovec *iov, int count, int64_t offset);
ssize_t tni_os_pwritev(int fd, const struct iovec *iov, int count, int64_t offset);

/* As tni_os_open (of a file that is there), tni_os_readv and tni_os_preadv, from what is in memory. -EAGAIN: not all of that is,
 * or an error: the call is to be made where it may block, and tells. A direct read (O_DIRECT) waits all the same. */
int tni_os_open_cached(const char *path, int flags);
ssize_t tni_os_readv_cached(int fd, const struct iovec *iov, int count);
ssize_t tni_os_preadv_cached(int fd, const struct iovec *iov, int count, int64_t offset);
/* Does 0, of tni_os_preadv_cached, mean the end of the file on this system? Where tni_os_open_cached opens anything, it does. */
bool tni_os_cached_end_holds(void);
/* Is `fd` of a file system of which it is known that opening and closing a file waits for no server, in this process or
 * elsewhere? */
bool tni_os_is_local(int fd);

/* And does it keep what it has, so that lseek, not relative to the end, waits for nothing but other calls at the position? */
bool tni_os_is_stored(int fd);

int64_t tni_os_seek(int fd, int64_t offset, int whence);

/* The data and what is needed to find it; `everything`: the times too. */
int tni_os_sync(int fd, bool everything);
int tni_os_truncate(int fd, int64_t size);
int tni_os_fstat(int fd, struct stat *out);

/* From `file`, at *offset, which moves on, to a socket that does not block. May raise SIGPIPE where that is not blocked. */
ssize_t tni_os_sendfile(int socket, int file, int64_t *offset, size_t size);

/* `follow`: what a symbolic link leads to. */
int tni_os_stat(const char *path, bool follow, struct stat *out);
int tni_os_mkdir(const char *path, unsigned mode);
int tni_os_rmdir(const char *path);
int tni_os_rename(const char *from, const char *to);
int tni_os_symlink(const char *target, const char *path);
/* Not terminated; `size`: it may be cut. */
ssize_t tni_os_readlink(const char *path, char *buf, size_t size);

int tni_os_dir_open(const char *path, DIR **out);
/* 1: *out is the next entry, until the next call; 0: the end. */
int tni_os_dir_read(DIR *dir, struct dirent **out);
void tni_os_dir_close(DIR *dir);

#endif
