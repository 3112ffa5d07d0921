/* SPDX-License-Identifier: MIT */
/* The functions of the OS layer that are refused: files. */
#include "os/os_file.h"
#include "os/os_pipe_signal.h"
#include "os/os_ready.h"
#include "sim/sim_refuse.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"
/* NOLINTBEGIN(misc-unused-parameters) */

TNI_SIM_REFUSE(ssize_t, tni_os_readv, (int fd, const struct iovec *iov, int count))
TNI_SIM_REFUSE(ssize_t, tni_os_writev, (int fd, const struct iovec *iov, int count))
TNI_SIM_REFUSE(ssize_t, tni_os_preadv, (int fd, const struct iovec *iov, int count, int64_t offset))
TNI_SIM_REFUSE(ssize_t, tni_os_pwritev, (int fd, const struct iovec *iov, int count, int64_t offset))
TNI_SIM_REFUSE(ssize_t, tni_os_readv_cached, (int fd, const struct iovec *iov, int count))
TNI_SIM_REFUSE(ssize_t, tni_os_preadv_cached, (int fd, const struct iovec *iov, int count, int64_t offset))
TNI_SIM_REFUSE(bool, tni_os_cached_end_holds, (void))
TNI_SIM_REFUSE(bool, tni_os_is_local, (int fd))
TNI_SIM_REFUSE(bool, tni_os_is_stored, (int fd))
TNI_SIM_REFUSE(int64_t, tni_os_seek, (int fd, int64_t offset, int whence))
TNI_SIM_REFUSE(int, tni_os_sync, (int fd, bool everything))
TNI_SIM_REFUSE(int, tni_os_truncate, (int fd, int64_t size))
TNI_SIM_REFUSE(int, tni_os_fstat, (int fd, struct stat *out))
TNI_SIM_REFUSE(ssize_t, tni_os_sendfile, (int socket, int file, int64_t *offset, size_t size))
TNI_SIM_REFUSE(int, tni_os_mkdir, (const char *path, unsigned mode))
TNI_SIM_REFUSE(int, tni_os_rmdir, (const char *path))
TNI_SIM_REFUSE(int, tni_os_rename, (const char *from, const char *to))
TNI_SIM_REFUSE(int, tni_os_symlink, (const char *target, const char *path))
TNI_SIM_REFUSE(ssize_t, tni_os_readlink, (const char *path, char *buf, size_t size))
TNI_SIM_REFUSE(int, tni_os_dir_open, (const char *path, DIR **out))
TNI_SIM_REFUSE(int, tni_os_dir_read, (DIR * dir, struct dirent **out))
TNI_SIM_REFUSE(void, tni_os_dir_close, (DIR * dir))
TNI_SIM_REFUSE(int, tni_os_set_owner, (int fd, unsigned user, unsigned group))
TNI_SIM_REFUSE(int, tni_os_set_mode, (int fd, unsigned mode))

/* Pipes, FIFOs and terminals. */
TNI_SIM_REFUSE(int, tni_os_watch, (int fd, bool writes))
TNI_SIM_REFUSE(int, tni_os_wait_ready, (int fd, bool writes))
TNI_SIM_REFUSE(ssize_t, tni_os_readv_now, (int fd, const struct iovec *iov, int count))
TNI_SIM_REFUSE(ssize_t, tni_os_writev_now, (int fd, const struct iovec *iov, int count))
TNI_SIM_REFUSE(ssize_t, tni_os_preadv_now, (int fd, const struct iovec *iov, int count, int64_t offset))
TNI_SIM_REFUSE(ssize_t, tni_os_pwritev_now, (int fd, const struct iovec *iov, int count, int64_t offset))
TNI_SIM_REFUSE(bool, tni_os_fifo_has_writer, (int fd))
TNI_SIM_REFUSE(bool, tni_os_is_terminal, (int fd))
TNI_SIM_REFUSE(void, tni_os_set_nonblocking_mode, (int fd, bool on))
TNI_SIM_REFUSE(void, tni_os_pipe_signal_block, (tni_os_pipe_signal * self))
TNI_SIM_REFUSE(void, tni_os_pipe_signal_restore, (const tni_os_pipe_signal *self, bool cut))
/* NOLINTEND(misc-unused-parameters) */
