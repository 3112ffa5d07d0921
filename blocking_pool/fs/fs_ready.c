/* SPDX-License-Identifier: MIT */
/* Waiting in the driver until a file is ready.
 *
 * The driver makes a descriptor non-blocking and keeps it registered until it is closed. Neither is right for a descriptor that
 * other processes share, or that its owner may close and open again. So each wait makes an epoll descriptor that watches the
 * file, and it is this descriptor that the driver watches, for the time of the wait. */
#include "fs/fs_ready.h"

#include <tn/future.h>

#include "base/tls.h"
#include "io/driver.h"
#include "os/os_ready.h"
#include "sched/runtime.h"
#include "scope/scope.h"

tni_fs_kind tni_fs_ready_kind(int fd)
{
    struct stat status;

    return tni_os_fstat(fd, &status) == 0 ? tni_fs_ready_kind_with(fd, &status) : TNI_FS_WAITING;
}

tni_fs_kind tni_fs_ready_kind_with(int fd, const struct stat *status)
{
    bool is_stored = S_ISREG(status->st_mode) || S_ISBLK(status->st_mode) || S_ISDIR(status->st_mode);
    int watcher;

    if (!is_stored)
        return TNI_FS_WAITING;
    if (!S_ISREG(status->st_mode) || status->st_size != 0)
        return TNI_FS_STORED;
    /* Perhaps a file that the kernel makes up, such as /proc/kmsg. The kernel can watch those of them that wait, and no file that
     * is stored. */
    watcher = tni_os_watch(fd, false);
    if (watcher < 0)
        return TNI_FS_STORED;
    tni_os_close(watcher);
    return TNI_FS_WAITING;
}

/* In the fiber's frame. If the fiber is abandoned, the end of the scope closes the registration. */
typedef struct {
    tn_future base;
    tn_scope scope;
    tni_registration *registration;
} ready_wait;

static int wait_poll(tn_future *self, tn_waker *waker)
{
    return tni_registration_poll(tni_container_of(self, ready_wait, base)->registration, TNI_READ, waker);
}

static void wait_drop(tn_future *self)
{
    tni_registration_unregister(tni_container_of(self, ready_wait, base)->registration, TNI_READ);
}

static const tn_future_ops wait_ops = {wait_poll, wait_drop, "file"};

static void wait_end(tn_scope *scope, bool abandoned)
{
    (void)abandoned;
    tni_registration_close(tni_container_of(scope, ready_wait, scope)->registration); /* closes the epoll descriptor, too */
}

int tni_fs_ready_wait(int fd, bool writes)
{
    tn_runtime *runtime = tni_tls_get()->task->runtime;
    ready_wait self = {.base = {&wait_ops}};
    int watcher = tni_os_watch(fd, writes);
    int rc;

    if (watcher < 0)
        return watcher == -EPERM ? TN_EAGAIN : watcher;
    rc = tni_registration_make(runtime, watcher, &self.registration);
    if (rc != 0) {
        tni_os_close(watcher);
        return rc;
    }
    tni_registration_watch(self.registration);
    tn_scope_enter(&self.scope, TN_NEVER);
    tni_scope_on_end(&self.scope, wait_end);
    rc = tn_await(&self.base);
    tn_scope_leave(&self.scope);
    return rc;
}
