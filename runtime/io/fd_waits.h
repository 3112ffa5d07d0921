/* SPDX-License-Identifier: MIT */
/* The waits of a core for descriptors that other libraries own (tn/fd.h). net/README.md ("Descriptors of other libraries")
 * has the argument.
 *
 * A descriptor is named by its number, and the number is all that is known: its owner may close it and open another file
 * with it at any time, without a word. So the kernel knows a number only while at least one wait for it is in progress.
 *
 * States of a wait: idle; waiting (in the table of its set); attached (waiting, and the kernel has a registration of its
 * generation); over (out of the table, with a result). All changes are made under the lock of the set, by the waiter (begin,
 * end), by the owner of the driver (report), or by any thread (forget).
 *
 * All attached waits for one number share one registration, armed for what any of them waits for, and have its generation.
 * Each arming has a new generation. A waiting wait that is not attached has generation 0: the number belongs to another file
 * now, or to a file of a kind that is always ready to read and write, and the wait is for neither. */
#ifndef TNI_FD_WAITS_H
#define TNI_FD_WAITS_H

#include <tn/future.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "os/os_borrowed.h"

typedef struct tni_fd_waits tni_fd_waits;
typedef struct tni_fd_wait tni_fd_wait;

/* In the frame of the waiter. */
struct tni_fd_wait {
    tni_fd_waits *set;   /* waiter: NULL while it is idle or over */
    tni_fd_wait *next;   /* lock: in its bucket */
    tn_waker *waker;     /* lock: counted while it waits */
    int fd;              /* constant */
    uint32_t events;     /* constant: what is waited for, beside errors and hang-ups */
    uint32_t generation; /* lock */
    int result;          /* lock; 0: it waits */
};

struct tni_fd_waits {
    tni_os_loop *loop;             /* constant: of the driver */
    tni_a32 *registrations;        /* constant: of the driver; each wait counts as one */
    const tn_allocator *allocator; /* constant */
    uint32_t fork_generation;      /* constant; of the process that opened the loop */
    tni_os_mutex lock;
    tni_fd_wait **buckets; /* lock: by number; NULL before the first wait */
    uint32_t bucket_count; /* lock: a power of two */
    uint32_t generation;   /* lock: the last one that was assigned */
    tni_a32 waiting;       /* written under the lock: number of waits */
    tni_a32 leaves_behind; /* set under the lock; 1: the kernel may have registrations that no wait knows */
};

void tni_fd_waits_init(tni_fd_waits *set, tni_os_loop *loop, tni_a32 *registrations, const tn_allocator *allocator);
/* No other thread uses the set. Waits that are still in progress become idle, and are not woken: their tasks are abandoned. */
void tni_fd_waits_fini(tni_fd_waits *set);

/* Waiter: begins a wait, which is idle. The wait takes a reference to the waker. Returns TN_PENDING; or what the wait ends
 * with at once: the events, if the file is of a kind that is always ready, or a negative error. */
int tni_fd_waits_begin(tni_fd_waits *set, tni_fd_wait *wait, tn_waker *waker);

/* Waiter, after begin: returns TN_PENDING, and `waker` is the one to be woken; or the result, and the wait is over. */
int tni_fd_waits_check(tni_fd_wait *wait, tn_waker *waker);

/* Waiter, at any time: ends the wait. Afterwards no thread touches it. */
void tni_fd_waits_end(tni_fd_wait *wait);

/* Ends all waits for the number with TN_ECANCELED. Any thread. */
void tni_fd_waits_forget(tni_fd_waits *set, int fd);

/* Owner of the driver: ends the waits for what has become ready. */
void tni_fd_waits_report(tni_fd_waits *set);

/* Owner of the driver: whether a poll of the driver has to call tni_fd_waits_report. */
static inline bool tni_fd_waits_may_report(const tni_fd_waits *set)
{
    /* Relaxed, both: a hint. A wait that begins meanwhile ends the worker's next sleep, and the monitor's. */
    return tni_a32_load(&set->waiting, TNI_RELAXED) != 0 || tni_a32_load(&set->leaves_behind, TNI_RELAXED) != 0;
}

#endif
