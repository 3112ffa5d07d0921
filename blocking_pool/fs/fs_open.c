/* SPDX-License-Identifier: MIT */
/* Opening a file without waiting on a thread for the other end of a FIFO.
 *
 * The kernel lets an open of a FIFO wait until another process opens the other end, which may never happen. So for a fiber a
 * file is opened in non-blocking mode, in which such an open returns at once, and the fiber waits by trying again after a pause.
 * No event reports that the other end has been opened.
 *
 *   reading   The open succeeds. It is over when a writer has come: one has the FIFO open, or has left data or a hang-up.
 *   writing   The open fails with ENXIO until there is a reader.
 *   both      The open never waits.
 *
 * A FIFO stays in non-blocking mode, and so do a terminal and a file that the kernel makes up (fs_ready.h). So no thread ever
 * waits in their reads and writes. Any other file leaves the mode again. A device is opened without it, because drivers treat it
 * differently (a CD drive without a disc); so the kind of the file is asked for first. If a path changes its kind between the two
 * calls, one thread may wait. */
#include "fs/fs_open.h"

#include <tn/scope.h>

#include "base/tls.h"
#include "os/os_ready.h"

#define PAUSE_MIN_NS TN_MS
#define PAUSE_MAX_NS (32 * TN_MS)

void tni_fs_open_init(tni_fs_open *self, const char *path, int flags, unsigned mode)
{
    *self = (tni_fs_open){.path = path, .flags = flags, .mode = mode, .fd = -1, .pause_ns = PAUSE_MIN_NS};
    self->in_fiber = tni_tls_get()->task != NULL;
}

/* The caller waits here for what the kernel waits for. */
static int open_blocking(const tni_fs_open *self)
{
    return tni_os_open(self->path, self->flags, self->mode);
}

/* Sets `again` for a FIFO without a reader. */
static int open_without_waiting(tni_fs_open *self)
{
    struct stat status;
    bool exists = tni_os_stat(self->path, true, &status) == 0;
    int fd;

    if (exists && (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)))
        return open_blocking(self);
    fd = tni_os_open(self->path, self->flags | O_NONBLOCK, self->mode);
    if (fd == -ENXIO && exists && S_ISFIFO(status.st_mode))
        self->again = true;
    return fd == -EWOULDBLOCK ? open_blocking(self) : fd; /* another process has a lease on it, which the kernel ends soon */
}

static bool stays_nonblocking(const tni_fs_open *self)
{
    if (S_ISREG(self->status.st_mode))
        return self->kind == TNI_FS_WAITING;
    return S_ISCHR(self->status.st_mode) && tni_os_is_terminal(self->fd);
}

/* Finds out what has been opened, and sets its mode. */
static void examine(tni_fs_open *self)
{
    if (tni_os_fstat(self->fd, &self->status) != 0)
        self->status = (struct stat){.st_mode = 0};
    self->kind = tni_fs_ready_kind_with(self->fd, &self->status);
    self->again = false;
    if (!self->in_fiber || (self->flags & O_NONBLOCK))
        return; /* the caller's own mode */
    if (S_ISFIFO(self->status.st_mode))
        self->again = (self->flags & O_ACCMODE) == O_RDONLY && !tni_os_fifo_has_writer(self->fd);
    else
        tni_os_set_nonblocking_mode(self->fd, stays_nonblocking(self));
}

int tni_fs_open_try(tni_fs_open *self)
{
    self->again = false;
    if (self->fd < 0)
        self->fd = self->in_fiber && !(self->flags & (O_NONBLOCK | O_PATH)) ? open_without_waiting(self) : open_blocking(self);
    if (self->fd >= 0) {
        examine(self);
        return 0;
    }
    if (!self->again) {
        int rc = self->fd;
        self->fd = -1;
        return rc;
    }
    self->fd = -1;
    return 0;
}

int tni_fs_open_pause(tni_fs_open *self)
{
    int rc = tn_sleep(self->pause_ns);

    if (self->pause_ns < PAUSE_MAX_NS)
        self->pause_ns *= 2;
    return rc;
}

void tni_fs_open_close(tni_fs_open *self)
{
    if (self->fd >= 0)
        tni_os_close(self->fd);
    self->fd = -1;
}
