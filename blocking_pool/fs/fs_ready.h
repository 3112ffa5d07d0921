/* SPDX-License-Identifier: MIT */
/* Files whose reads and writes may wait for another party, perhaps for ever: pipes, FIFOs, terminals, /proc/kmsg and the like. No
 * thread of the pool waits there for a fiber: the thread makes only calls that do not wait, and the driver of a core waits. */
#ifndef TNI_FS_READY_H
#define TNI_FS_READY_H

#include "fs/fs.h"

/* What is known of a file. */
typedef enum {
    TNI_FS_UNKNOWN,
    TNI_FS_STORED,  /* a stored file, a block device or a folder: a read or write ends without another party */
    TNI_FS_WAITING, /* all others */
} tni_fs_kind;

/* The kind of an open file, by fstat. If that fails, TNI_FS_WAITING: right for all kinds, but slower. */
tni_fs_kind tni_fs_ready_kind(int fd);
/* The same, for a caller that has the result of fstat. */
tni_fs_kind tni_fs_ready_kind_with(int fd, const struct stat *status);

/* For a fiber: waits until a read (`writes`: a write) of `fd`, of kind TNI_FS_WAITING, is worth a try. 0; TN_ECANCELED,
 * TN_ETIMEDOUT; TN_EAGAIN: the kernel cannot wait for this file; another error of the kernel. */
int tni_fs_ready_wait(int fd, bool writes);

#endif
