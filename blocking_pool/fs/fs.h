/* SPDX-License-Identifier: MIT */
/* What the files of file access share. */
#ifndef TNI_FS_H
#define TNI_FS_H

#include <tn/fs.h>

#include "base/alloc.h"
#include "os/os_file.h"

/* Has `fn(arg)` called where it may block, and waits. Answers what it does; TN_ECANCELED, TN_ESHUTDOWN: it was not called. */
int tni_fs_run(int (*fn)(void *arg), void *arg);

/* That of the calling task's runtime; elsewhere the C library's. */
const tn_allocator *tni_fs_allocator(void);

void tni_fs_fill_stat(tn_stat *out, const struct stat *from);

#endif
