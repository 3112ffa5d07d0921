/* SPDX-License-Identifier: MIT */
/* The OS layer for files. Each call returns 0 or a count, or a negative error of os_error.h. Each may block, and is repeated if a
 * signal interrupts it. Fault injection and the simulator replace the functions of this header and nothing else.
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

/* Returns the fd, closed on exec. */
int tni_os_open(const char *path, int flags, unsigned mode);

/* At the file's own position. */
ssize_t tni_os_readv(int fd, const struct iovec *iov, int count);
ssize_t tni_os_writev(int fd, const struct iovec *iov, int count);
/* At `offset`. */
ssize_t tni_os_preadv(int fd, const struct iovec *iov, int count, int64_t offset);
ssize_t tni_os_pwritev(int fd, const struct iovec *iov, int count, int64_t offset);

/* As tni_os_open (of an existing file), tni_os_readv and tni_os_preadv, but only from the page and directory caches. -EAGAIN:
 * not all of it is cached, or there was an error: the caller repeats the call where it may block, and gets the error there. A
 * direct read (O_DIRECT) blocks nevertheless. The descriptor is in non-blocking mode: the open of a FIFO does not wait. */
int tni_os_open_cached(const char *path, int flags);
ssize_t tni_os_readv_cached(int fd, const struct iovec *iov, int count);
ssize_t tni_os_preadv_cached(int fd, const struct iovec *iov, int count, int64_t offset);
/* Whether 0 from tni_os_preadv_cached means the end of the file on this kernel. It does on every kernel on which
 * tni_os_open_cached can open a file. */
bool tni_os_cached_end_holds(void);
/* Whether `fd` is on a file system that is known to need no server for opening and closing a file, in this process or
 * elsewhere. */
bool tni_os_is_local(int fd);

/* Whether in addition the file system stores its contents. Then lseek, unless relative to the end, waits only for other calls
 * that use the file position. */
bool tni_os_is_stored(int fd);

int64_t tni_os_seek(int fd, int64_t offset, int whence);

/* Writes back the data and the metadata needed to find it. `everything`: also the other metadata, such as times. */
int tni_os_sync(int fd, bool everything);
int tni_os_truncate(int fd, int64_t size);
int tni_os_fstat(int fd, struct stat *out);
int tni_os_set_owner(int fd, unsigned user, unsigned group);
/* `mode`: the permissions, whatever the umask. */
int tni_os_set_mode(int fd, unsigned mode);

/* Sends from `file` at *offset, which it advances, to a non-blocking socket. May raise SIGPIPE where that is not blocked
 * (os_pipe_signal.h). */
ssize_t tni_os_sendfile(int socket, int file, int64_t *offset, size_t size);

/* `follow`: reports the target of a symbolic link. */
int tni_os_stat(const char *path, bool follow, struct stat *out);
int tni_os_mkdir(const char *path, unsigned mode);
int tni_os_rmdir(const char *path);
int tni_os_rename(const char *from, const char *to);
int tni_os_symlink(const char *target, const char *path);
/* The text is not terminated. A result equal to `size` may be truncated. */
ssize_t tni_os_readlink(const char *path, char *buf, size_t size);

int tni_os_dir_open(const char *path, DIR **out);
/* 1: *out is the next entry, valid until the next call. 0: the end. */
int tni_os_dir_read(DIR *dir, struct dirent **out);
void tni_os_dir_close(DIR *dir);

#endif
