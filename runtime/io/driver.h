/* SPDX-License-Identifier: MIT */
/* The driver of a core: its loop, and the registrations of file descriptors in it.
 *
 * Owner word. One thread at a time runs the loop or calls it: whoever has the owner word. It is held for a poll, or to open or
 * close a registration, and never while a thread sleeps: any thread may take it, also while the core's worker sleeps in the loop,
 * or waits there for a processor. Who finds it taken posts to the inbox, or does without.
 *
 * Sleep. The core's worker sleeps without the owner word. What its sleep fetches from the kernel it reports afterwards, as the
 * owner; if somebody else is the owner just then, it stays fetched until the next poll of that worker.
 *
 * Inbox. A stack of registrations with something to be done (open, close), pushed by CAS, taken whole by the owner before it
 * runs the loop.
 *
 * Unsettled. Opens and closes are completed only by a run of the loop, which not all who make them can do: they may be on the
 * small stack of a fiber. A worker that is about to sleep looks, after having said that it will, whether there is such a one, or
 * the inbox has something, and then polls instead (idle.h). Who has left something looks, behind a full fence, whether the worker
 * sleeps, and wakes it. A worker that does not sleep polls soon; if it does not, the monitor does.
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
    tni_a32 incomplete;               /* written by the owner: 1: the loop has opens or closes to complete */
    tni_os_loop loop;                 /* owner, but for sleeps and wakes */
    tni_os_fetched fetched;           /* the core's holder: what its sleep has fetched and nobody has reported */
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

/* Owner: serves the inbox and runs the loop (tni_os_loop_run). */
void tni_driver_poll(tni_driver *driver);

/* Holder of the core, not the owner: sleeps in the loop (tni_os_loop_sleep). */
void tni_driver_sleep(tni_driver *driver, uint64_t timeout_ns);
/* Holder of the core: is there something that a sleep has fetched and that was not reported? */
static inline bool tni_driver_has_fetched(const tni_driver *driver)
{
    return driver->fetched.count != 0;
}
/* Holder of the core and owner: reports what its sleep has fetched. False: there is more, which a poll reports. */
bool tni_driver_report(tni_driver *driver);

/* Holder of the core: would a sleep miss something that only a poll completes? Behind a full fence. */
bool tni_driver_has_incomplete(const tni_driver *driver);

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
