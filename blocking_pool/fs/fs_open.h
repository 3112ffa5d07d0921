/* SPDX-License-Identifier: MIT */
/* Opening a file without waiting on a thread for the other end of a FIFO. */
#ifndef TNI_FS_OPEN_H
#define TNI_FS_OPEN_H

#include "fs/fs_ready.h"

/* An open under way. */
typedef struct {
    const char *path;
    int flags;
    unsigned mode;
    bool in_fiber;      /* the caller is a fiber, which can wait without a thread */
    bool again;         /* out: a FIFO whose other end is missing: pause and try again. `fd` may be open already */
    int fd;             /* out; -1: not open */
    struct stat status; /* out: of the open file; all 0 if it is unknown */
    tni_fs_kind kind;   /* out: of the open file */
    uint64_t pause_ns;
} tni_fs_open;

void tni_fs_open_init(tni_fs_open *self, const char *path, int flags, unsigned mode);

/* On a thread that may block. 0: `fd` is open, unless `again`. Or an error; then `fd` is -1. A file that is open already, by
 * tni_os_open_cached, is treated as if it had been opened here. */
int tni_fs_open_try(tni_fs_open *self);

/* For a fiber, between two tries: 0, TN_ECANCELED or TN_ETIMEDOUT. */
int tni_fs_open_pause(tni_fs_open *self);

/* Closes `fd` if it is open. */
void tni_fs_open_close(tni_fs_open *self);

#endif
