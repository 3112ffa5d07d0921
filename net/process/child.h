/* SPDX-License-Identifier: MIT */
/* A child process from its start until the kernel has nothing of it any more. README.md ("Child processes") has the rules.
 *
 * States: *alive*; *reaped*: the kernel has given its result and may give its number to another process; *over*: a waiter may
 * see the result.
 *
 * Steps:
 *   reaper:  1. under the lock: take the result from the kernel, set `reaped`;  2. end the wait, which wakes the waiter;
 *            3. give up its reference
 *   sender:  under the lock: unless `reaped` is set, send the signal
 *   waiter:  arms the wait, which is over after step 2
 *   close:   gives up its reference; the last one frees
 *
 * No signal reaches another process: while the lock is held and `reaped` is not set, the number is the child's.
 *
 * No wake is lost: the wait ends once (task/wait.h).
 *
 * Nothing is freed early: the reaper has a reference until step 3. */
#ifndef TNI_CHILD_H
#define TNI_CHILD_H

#include <tn/future.h>

#include "base/list.h"
#include "base/thread.h"
#include "os/os_process.h"
#include "task/wait.h"

typedef struct {
    tni_os_mutex *lock;     /* constant: the reaper's */
    bool leads_group;       /* constant */
    bool group_ends;        /* constant: at its end the rest of its group is killed */
    bool watched;           /* lock: its pidfd is in the reaper's set; otherwise the reaper asks for it from time to time */
    bool reaped;            /* lock */
    tni_os_process process; /* lock, until `reaped` */
    tni_list_node node;     /* lock: of the reaper's children */
    tni_os_process_end end; /* written before the wait is over */
    tni_wait over;
    tni_a32 references;
} tni_child;

/* The caller has one reference. NULL: no memory. It is of the C library's allocator, because it may outlive its runtime. */
tni_child *tni_child_make(void);
void tni_child_retain(tni_child *child);
void tni_child_release(tni_child *child);

/* Step 1 of the reaper; returns whether the child has ended. Steps 2 and 3. */
bool tni_child_reap_locked(tni_child *child);
void tni_child_finish(tni_child *child);

/* Sends a signal, unless the child is reaped. */
int tni_child_send(tni_child *child, int number, bool group);

/* 0: it is over; TN_PENDING: `waker` is armed; TN_EBUSY: another task waits. *armed: the waker that this waiter has armed, NULL
 * before its first poll. */
int tni_child_poll(tni_child *child, tn_waker **armed, tn_waker *waker);
/* Ends the wait. */
void tni_child_disarm(tni_child *child, tn_waker **armed);

#endif
