/* SPDX-License-Identifier: MIT */
/* The driver of a core: its loop, and the registrations of file descriptors in it.
 *
 * Owner word. One thread at a time runs the loop or calls it: whoever has the owner word. A core's worker takes it for each
 * poll and keeps it while it sleeps in the loop; between polls it is free, and any thread may take it to open or close a
 * registration, or to poll for a worker that is inside one task too long (stuck.c). Who finds it taken posts to the inbox.
 *
 * Inbox. A stack of registrations with something to be done (open, close), pushed by CAS, taken whole by the owner. A worker
 * that is about to sleep drains it after it has set its parked mark (idle.h), and then checks its queue, because an open that
 * fails wakes a task. A poster checks, behind a full fence, whether the worker is parked, and wakes it. A worker that is awake
 * drains the inbox at its next poll; if that is late, the monitor does.
 *
 * Readiness word. The events reported so far and a tick that each report increments. A read that was told "nothing left" clears
 * the bit only if the tick is still the one seen before that read: a report that came in between stays. Once the peer has
 * closed or the fd broke, the bits stay for good.
 *
 * Close. The stream gives its fd to the registration; the fd is closed, and the memory freed, only when the loop has let go.
 * Until then the number cannot come back from accept, so no report, read or write meant for one connection can reach another.
 */
#ifndef TNI_DRIVER_H
#define TNI_DRIVER_H

#include "base/alloc.h"
#include "base/atomic.h"
#include "os/os_loop.h"
#include "task/wait.h"

typedef struct tni_registration tni_registration;

typedef struct {
    tni_cache_aligned tni_a32 owned;  /* the owner word: 1: somebody has it */
    tni_os_loop loop;                 /* owner */
    tni_a32 registrations;            /* open or asked for; a hint for who chooses a loop */
    tni_a64 events;                   /* written by the owner: reports since the loop was opened */
    const tn_allocator *allocator;    /* constant: of registrations */
    tni_cache_aligned tni_aptr inbox; /* registrations with something to be done */
} tni_driver;

int tni_driver_init(tni_driver *driver, const tn_allocator *allocator);
/* Closes what is still registered; nobody else may touch the driver any more. */
void tni_driver_fini(tni_driver *driver);

/* Takes the owner word if it is free. */
bool tni_driver_try_own(tni_driver *driver);
void tni_driver_disown(tni_driver *driver);

/* Owner: does what the inbox asks for. May make tasks runnable. */
void tni_driver_drain_inbox(tni_driver *driver);

/* Owner: drains the inbox and reports what is ready. Does not sleep. */
void tni_driver_poll(tni_driver *driver);

/* Owner, a worker that has drained the inbox after it set its parked mark: runs the loop (tni_os_loop_run). Makes no task
 * runnable before it sleeps. */
void tni_driver_sleep(tni_driver *driver, uint64_t timeout_ns);

typedef enum { TNI_READ, TNI_WRITE } tni_side;

/* Makes a registration for `fd`, to be in the loop of the calling worker's core, or in another one of `runtime`. Waits may begin.
 * 0 or TN_ENOMEM. */
int tni_registration_make(tn_runtime *runtime, int fd, tni_registration **out);

/* Once: from now on the loop watches the fd. An error, which may show only later, in another thread's loop, ends the waits. */
void tni_registration_watch(tni_registration *registration);

/* Instead of tni_registration_watch, while nobody else knows it: the fd is the caller's as before. */
void tni_registration_discard(tni_registration *registration);

/* After tni_registration_watch: the fd becomes the registration's, which closes it as soon as the loop has let go of it, and then
 * frees itself. Nobody may be using it any more. */
void tni_registration_close(tni_registration *registration);

/* 0 when that side is ready (or closed, or broken); TN_PENDING, and the waker is kept; or why the loop cannot watch the fd. */
int tni_registration_poll(tni_registration *registration, tni_side side, tn_waker *waker);

/* The waiter does not wait any more. */
void tni_registration_unregister(tni_registration *registration, tni_side side);

/* Ends both sides' waits, now and from now on: somebody is closing. */
void tni_registration_cancel_all(tni_registration *registration);

/* The readiness word, to be taken before a read or write and given to tni_registration_clear after it. */
uint64_t tni_registration_readiness(const tni_registration *registration);

/* The socket had nothing left at a read or write that began after `seen` was taken. Answers the readiness word afterwards. */
uint64_t tni_registration_clear(tni_registration *registration, tni_side side, uint64_t seen);

/* --- The readiness word: what has been reported so far (TNI_OS_*), SHUT when we are closing, and above them the tick -------- */

#define TNI_READY_CANCELLED UINT64_C(32)
#define TNI_READY_TICK UINT64_C(256)

static inline bool tni_readiness_has(uint64_t readiness, tni_side side)
{
    return readiness & (side == TNI_READ ? TNI_OS_READABLE | TNI_READY_CANCELLED : TNI_OS_WRITABLE | TNI_READY_CANCELLED);
}

/* Is a read or write worth a try? Before anything has been reported at all, only a try tells. */
static inline bool tni_readiness_is_worth_a_try(uint64_t readiness, tni_side side)
{
    return tni_readiness_has(readiness, side) || readiness < TNI_READY_TICK;
}

/* May a short read be taken as "nothing left"? */
static inline bool tni_readiness_trusts_short(uint64_t readiness)
{
    return !(readiness & TNI_OS_URGENT);
}

#endif
