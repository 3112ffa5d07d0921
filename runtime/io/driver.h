/* SPDX-License-Identifier: MIT */
/* The driver of a core: its event loop, and the registrations of file descriptors in it.
 *
 * Owner word. One thread at a time runs the loop or calls it: the owner, which holds the owner word. It is held for a poll, or
 * to open or close a registration, and never during a sleep. So any thread may take it, also while the core's worker sleeps in
 * the loop or waits there for a processor. A thread that finds it taken pushes its request on the inbox, or skips its poll.
 *
 * Sleep. The core's worker sleeps without the owner word. Afterwards, as the owner, it reports what the sleep has fetched from
 * the kernel. If another thread is the owner then, the events remain fetched until the next poll of that worker.
 *
 * Inbox. Registrations with requests (open, close). The owner takes all of them before it runs the loop.
 *
 * Incomplete. Only a run of the loop completes opens and closes. Not all threads that make them can run it, because they may be
 * on the small stack of a fiber. A worker that is about to sleep checks, after it has marked its core parked, whether an open
 * or a close is incomplete or the inbox has something. If so, it polls instead (idle.h). A thread that has left something makes
 * a full fence, checks whether the worker sleeps, and wakes it. A worker that does not sleep polls soon; if it does not, the
 * monitor does.
 *
 * Readiness word. The events reported so far, and a tick that each report increments. After a read that found nothing left, the
 * bit is cleared only if the tick is still the one seen before the read, so that a report in between is kept. No report is final:
 * that the peer has closed, or that the connection is broken, is what a read or write returns.
 *
 * Fork. In a child of fork the loop is the parent's. A registration there neither opens nor closes anything in it; a wait fails,
 * and a close closes the child's descriptor alone.
 *
 * Close. The stream gives its fd to the registration. The fd is closed, and the memory freed, only after the loop has
 * unregistered it. Until then accept cannot return the number again, so no report, read or write for one connection can reach
 * another.
 */
#ifndef TNI_DRIVER_H
#define TNI_DRIVER_H

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/fork.h"
#include "base/held.h"
#include "base/inbox.h"
#include "io/fd_waits.h"
#include "os/os_loop.h"
#include "task/wait.h"

typedef struct tni_registration tni_registration;

typedef struct {
    tni_cache_aligned tni_a32 owned;   /* the owner word; 1: a thread has it */
    tni_a32 incomplete;                /* written by the owner; 1: the loop has opens or closes to complete */
    tni_os_loop loop;                  /* owner, except for sleeps and wakes */
    tni_os_fetched fetched;            /* holder of the core: what its sleep has fetched and is not reported */
    tni_a32 registrations;             /* number of registrations and of waits in fd_waits; a hint for choosing a loop */
    tni_a64 events;                    /* written by the owner: number of reports since the loop was opened */
    const tn_allocator *allocator;     /* constant; for registrations */
    uint32_t fork_generation;          /* constant; of the process that opened the loop (base/fork.h) */
    tni_cache_aligned tni_inbox inbox; /* registrations with requests */
    tni_cache_aligned tni_fd_waits fd_waits;
} tni_driver;

int tni_driver_init(tni_driver *driver, const tn_allocator *allocator);
/* Closes what is still registered. No other thread may use the driver any more. */
void tni_driver_fini(tni_driver *driver);

/* Takes the owner word if it is free. Returns whether it did. */
bool tni_driver_try_own(tni_driver *driver);
void tni_driver_disown(tni_driver *driver);

/* In a function that only the owner calls. */
#define tni_driver_assert_owner(driver) tni_held_assert(&(driver)->owned, "the calling thread does not own the driver")

/* Owner: processes the inbox and runs the loop (tni_os_loop_run). */
void tni_driver_poll(tni_driver *driver);

/* Holder of the core, not the owner: sleeps in the loop (tni_os_loop_sleep). */
void tni_driver_sleep(tni_driver *driver, uint64_t timeout_ns);
/* Holder of the core: whether a sleep has fetched events that are not reported yet. */
static inline bool tni_driver_has_fetched(const tni_driver *driver)
{
    return driver->fetched.count != 0 || driver->fetched.borrowed;
}
/* Holder of the core and owner: reports what its sleep has fetched. False: there may be more, which a poll reports. */
bool tni_driver_report(tni_driver *driver);

/* Holder of the core: whether there are requests, opens or closes that only a poll completes. Call it after a full fence. */
bool tni_driver_has_incomplete(const tni_driver *driver);

typedef enum { TNI_READ, TNI_WRITE } tni_side;

/* Makes a registration of `fd`, in the loop of the calling worker's core or another core of `runtime`. Waits may begin. Returns
 * 0 or TN_ENOMEM. */
int tni_registration_make(tn_runtime *runtime, int fd, tni_registration **out);

/* Call it once: registers the fd in the loop. An error ends the waits; it may occur later, in another thread. */
void tni_registration_watch(tni_registration *registration);

/* In place of tni_registration_watch, while no other thread knows the registration: frees it. The fd remains the caller's. */
void tni_registration_discard(tni_registration *registration);

/* After tni_registration_watch: the registration owns the fd. It closes the fd as soon as the loop has unregistered it, and
 * then frees itself. No thread may use the registration any more. */
void tni_registration_close(tni_registration *registration);

/* Returns 0 if that side may be ready; TN_PENDING, with the waker registered; or the error of registering
 * the fd. */
int tni_registration_poll(tni_registration *registration, tni_side side, tn_waker *waker);

/* Removes the waker: the waiter does not wait any more. */
void tni_registration_unregister(tni_registration *registration, tni_side side);

/* Ends the waits of both sides, present and later ones, because the stream is being closed. */
void tni_registration_cancel_all(tni_registration *registration);

/* Whether this process is a child of fork, and the driver belongs to its parent. */
bool tni_registration_is_inherited(const tni_registration *registration);

/* Returns the readiness word. Call it before a read or write, and pass the value to tni_registration_clear after it. */
uint64_t tni_registration_readiness(const tni_registration *registration);

/* Clears the side's bit, because a read or write that began after `seen` was read found nothing left. Keeps it if there was a
 * report since `seen`. Returns the readiness word afterwards. */
uint64_t tni_registration_clear(tni_registration *registration, tni_side side, uint64_t seen);

/* --- The readiness word: reported events (TNI_OS_*), TNI_READY_CANCELLED, and the tick -------------------------------------- */

/* The waits of both sides have ended for good: the stream is closed, or the fd could not be registered. */

#define TNI_READY_CANCELLED UINT64_C(32)
#define TNI_READY_TICK UINT64_C(256)

static inline bool tni_readiness_has(uint64_t readiness, tni_side side)
{
    return readiness & (side == TNI_READ ? TNI_OS_READABLE | TNI_READY_CANCELLED : TNI_OS_WRITABLE | TNI_READY_CANCELLED);
}

/* Whether to try a read or write. Before the first report only a try can show whether the side is ready. */
static inline bool tni_readiness_is_worth_a_try(uint64_t readiness, tni_side side)
{
    return tni_readiness_has(readiness, side) || readiness < TNI_READY_TICK;
}

/* Whether a short count means that nothing is left to read (no byte, no end, no error), or no space to write. The end of what
 * the peer sends and urgent data say nothing about the space. */
static inline bool tni_readiness_trusts_short(uint64_t readiness, tni_side side)
{
    return !(readiness & (side == TNI_READ ? TNI_OS_URGENT | TNI_OS_HANGUP | TNI_OS_ERROR : TNI_OS_ERROR));
}

#endif
