/* The door to libuv: one loop that reports readiness of file descriptors, sleeps and is woken.
 *
 * One thread at a time runs a loop or opens and closes polls in it; the caller sees to that (driver.h). tni_os_loop_wake alone
 * may be called by anyone. The arming scheme is private to this door: a poll reports edges, that is, each change at least once,
 * and what was ready before tni_os_poll_open too. A simulator replaces this header's functions and nothing else.
 */
#ifndef TNI_OS_LOOP_H
#define TNI_OS_LOOP_H

#include <uv.h>

#include "defs.h"

/* What is reported. */
#define TNI_OS_READABLE 1u
#define TNI_OS_WRITABLE 2u
#define TNI_OS_READ_CLOSED 4u /* the peer sends no more: reads answer at once, for good */
#define TNI_OS_ERROR 8u       /* the fd is broken: reads and writes answer at once, for good */
#define TNI_OS_URGENT 16u     /* urgent data: a short read does not mean that nothing is left */

typedef struct tni_os_poll tni_os_poll;
typedef void (*tni_os_ready_fn)(tni_os_poll *poll, uint32_t events);
typedef void (*tni_os_closed_fn)(tni_os_poll *poll);

struct tni_os_poll {
    uv_poll_t handle;
    tni_os_ready_fn ready;   /* called inside tni_os_loop_run */
    tni_os_closed_fn closed; /* called inside tni_os_loop_run, last of all */
    bool edge;               /* has been switched to edge-triggered */
};

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
int tni_os_poll_open(tni_os_loop *loop, tni_os_poll *poll, int fd, tni_os_ready_fn ready, tni_os_closed_fn closed);

/* Lets go of the fd at once; `poll` may be freed, and the fd closed, from its `closed` on. */
void tni_os_poll_close(tni_os_loop *loop, tni_os_poll *poll);

#endif
