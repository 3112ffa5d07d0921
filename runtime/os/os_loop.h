/* SPDX-License-Identifier: MIT */
/* The OS layer for libuv: an event loop that reports the readiness of file descriptors, sleeps, and can be woken.
 *
 * At most one thread at a time runs a loop or opens and closes polls in it; the caller ensures that (driver.h). Only
 * tni_os_loop_wake may be called by any thread at any time. How polls are armed is private to this layer. A poll reports edges:
 * each change at least once, and also what was ready before tni_os_poll_open. The simulator replaces the functions of this
 * header and nothing else.
 */
#ifndef TNI_OS_LOOP_H
#define TNI_OS_LOOP_H

#include <uv.h>

#include "base/defs.h"

/* What is reported. */
#define TNI_OS_READABLE 1u
#define TNI_OS_WRITABLE 2u
#define TNI_OS_READ_CLOSED 4u /* the peer sends no more: from now on reads return at once; set together with READABLE */
#define TNI_OS_ERROR 8u       /* the fd is broken: from now on writes return at once too; set as part of TNI_OS_BROKEN */
#define TNI_OS_URGENT 16u     /* urgent data: after a short read more data may be left */
#define TNI_OS_BROKEN (TNI_OS_READABLE | TNI_OS_WRITABLE | TNI_OS_READ_CLOSED | TNI_OS_ERROR)

/* One per connection, so it consists of libuv's handle only; the `data` of the handle points to the operations. */
typedef struct {
    uv_poll_t handle;
} tni_os_poll;

/* Both are called inside tni_os_loop_run. `closed` is the last call for a poll. */
typedef struct {
    void (*ready)(tni_os_poll *poll, uint32_t events);
    void (*closed)(tni_os_poll *poll);
} tni_os_poll_ops;

typedef struct {
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t timeout;
    uint64_t open_polls; /* polls that are not closed */
} tni_os_loop;

/* Returns 0, or a negative errno value (TN_EMFILE, TN_ENOMEM) without leaking anything. */
int tni_os_loop_open(tni_os_loop *loop);

/* Closes all polls that are still open (their `closed` is called) and the loop. */
void tni_os_loop_close(tni_os_loop *loop);

/* Reports what is ready. If nothing is, sleeps until an event, a wake, or `timeout_ns` (0: does not sleep; UINT64_MAX: no
 * limit). It may return early. */
void tni_os_loop_run(tni_os_loop *loop, uint64_t timeout_ns);

/* Makes the current tni_os_loop_run, or otherwise the next one, return soon. Any thread. */
void tni_os_loop_wake(tni_os_loop *loop);

/* Begins to report on `fd`, a non-blocking socket. Returns 0 or a negative errno value. */
int tni_os_poll_open(tni_os_loop *loop, tni_os_poll *poll, int fd, const tni_os_poll_ops *ops);

/* Stops reporting on the fd at once. `poll` may be freed, and the fd closed, once its `closed` is called. */
void tni_os_poll_close(tni_os_loop *loop, tni_os_poll *poll);

#endif
