/* SPDX-License-Identifier: MIT */
/* For ThreadSanitizer, in a program that was compiled with it while the library was not: it does not see the library's atomics.
 * So where a thread hands something over, the library says that what was done before happens before what others do later. There
 * is one order for the whole process.
 *
 * Other programs pay one branch where this is called: at spawns, wakes, joins, and in the operations of semaphores, rwlocks,
 * notifications and channels. The mutex and the short lock have no branch for it: the free and the locked value of their words
 * are compared with variables (those of the mutex are in base/holders.h). With ThreadSanitizer no lock word is equal to them. So
 * each comparison fails and leads to the slow path, which reports the order.
 *
 * Known limit: a receiver of tn_mpsc does not report the slot that it frees. So if a bounded tn_mpsc is used as a semaphore,
 * what the receiver did before it received is not reported to the sender that gets the slot, and ThreadSanitizer may report a
 * race that is none. A report there would cost each receive a branch.
 *
 * Which functions report it: a release comes before each publication (spawn, wake, unlock, send, end of a task), an acquire after
 * each observation (run, join, lock, receive). A release that comes earlier, or an acquire that comes later, is right too if
 * the caller's code does not run in between. */
#ifndef TNI_ORDER_H
#define TNI_ORDER_H

#include "base/defs.h"

/* Whether the program runs with ThreadSanitizer. Both are written before there are tasks, and do not change afterwards. */
__attribute__((visibility("hidden"))) extern bool tni_order_on;

/* 0; with ThreadSanitizer a value that no lock word has. */
__attribute__((visibility("hidden"))) extern uint32_t tni_order_zero;

/* Checks for ThreadSanitizer. Called by tni_announce_init (fiber/announce.h). */
void tni_order_init(void);
__attribute__((cold)) void tni_order_report_release(void);
__attribute__((cold)) void tni_order_report_acquire(void);

/* What the caller did before this happens before ... */
static inline void tni_order_release(void)
{
    if (tni_unlikely(tni_order_on))
        tni_order_report_release();
}

/* ... what a thread does after this. */
static inline void tni_order_acquire(void)
{
    if (tni_unlikely(tni_order_on))
        tni_order_report_acquire();
}

#endif
