/* SPDX-License-Identifier: MIT */
/* The OS layer for libuv: one loop that reports readiness of file descriptors, sleeps and is woken.
 *
 * One thread at a time runs a loop or opens and closes polls in it; the caller sees to that (driver.h). tni_os_loop_wake alone
 * may be called by anyone. The arming scheme is private to this door: a poll reports edges, that is, each change at least once,
 * and what was ready before tni_os_poll_open too. A simulator replaces this header's functions and nothing else.
 */
#ifndef TNI_OS_LOOP_H
#define TNI_OS_LOOP_H

#include <uv.h>

#include "base/defs.h"

/* What is reported. */
#define TNI_OS_READABLE 1u
#define TNI_OS_WRITABLE 2u
#define TNI_OS_READ_CLOSED 4u /* the peer sends no more: reads answer at once, for good; comes with READABLE */
#define TNI_OS_ERROR 8u       /* the fd is broken: writes too answer at once, for good; comes as TNI_OS_BROKEN */
#define TNI_OS_URGENT 16u     /* urgent data: a short read does not mean that nothing is left */
#define TNI_OS_BROKEN (TNI_OS_READABLE | TNI_OS_WRITABLE | TNI_OS_READ_CLOSED | TNI_OS_ERROR)

/* There is one a connection, so it has nothing beside libuv's handle, whose `data` are the operations. */
typedef struct {
    uv_poll_t handle;
} tni_os_poll;

/* Both are called inside tni_os_loop_run, `closed` last of all. */
typedef struct {
    void (*ready)(tni_os_poll *poll, uint32_t events);
    void (*closed)(tni_os_poll *poll);
} tni_os_poll_ops;

typedef struct {
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t timeout;
    uint64_t open_polls; /* not yet closed */
} tni_os_loop;

/* 0, or a negative errno value (TN_EMFILE, TN_ENOMEM) with nothing left behind. */
int tni_os_loop_open(tni_os_loop *loop);

/* Closes all polls that are still open (their `closed` is called) and the loop. */
void tni_os_loop_close(tni_os_loop *loop);

/* Reports what is ready; if nothing is, sleeps at most `timeout_ns` (0: does not sleep; UINT64_MAX: until something happens) or
 * until woken. May return early. */
void tni_os_loop_run(tni_os_loop *loop, uint64_t timeout_ns);

/* Makes the current tni_os_loop_run, or else the next, return soon. From any thread. */
void tni_os_loop_wake(tni_os_loop *loop);

/* Reports on `fd` (a non-blocking socket) from now on. 0 or a negative errno value. */
int tni_os_poll_open(tni_os_loop *loop, tni_os_poll *poll, int fd, const tni_os_poll_ops *ops);

/* Lets go of the fd at once; `poll` may be freed, and the fd closed, from its `closed` on. */
void tni_os_poll_close(tni_os_loop *loop, tni_os_poll *poll);

#endif
