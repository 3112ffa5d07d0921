/* SPDX-License-Identifier: MIT */
/* Helpers shared by the calls on files and paths. */
#ifndef TNI_FS_H
#define TNI_FS_H

#include <tn/fs.h>

#include "base/alloc.h"
#include "os/os_file.h"

/* Calls `fn(arg)` on a thread that may block, and waits. Returns its result; TN_ECANCELED, TN_ETIMEDOUT, TN_ESHUTDOWN: it was
 * not called. */
int tni_fs_run(int (*fn)(void *arg), void *arg);

/* The allocator of the calling task's runtime; outside of tasks the C library's. */
const tn_allocator *tni_fs_allocator(void);

void tni_fs_fill_stat(tn_stat *out, const struct stat *from);

#endif
