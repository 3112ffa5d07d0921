/* SPDX-License-Identifier: MIT */
/* Paused time, for tests: the clock of a current-thread runtime stands still while tasks run, and moves to the next timer when
 * none can run. So a test of timeouts takes no time, and its result does not depend on the speed of the machine.
 *
 *     static void *test(void *arg)
 *     {
 *         uint64_t begin_ns;
 *
 *         tn_time_pause();
 *         begin_ns = tn_now();
 *         tn_sleep(3600 * UINT64_C(1000000000));                         // returns at once
 *         assert(tn_now() - begin_ns >= 3600 * UINT64_C(1000000000));    // an hour has passed
 *         return NULL;
 *     }
 *
 * What paused time applies to: tn_now, tn_sleep, the deadlines of scopes, timeouts and intervals, in all tasks of the runtime.
 * To nothing else: blocking jobs and plain threads read the real clock, and so does tn_runtime_destroy.
 *
 * When no task can run, the worker polls its sockets once more, and then moves the clock to the next timer. It does not while a
 * blocking job runs or is queued, or while tn_runtime_hold is in effect: then it waits in real time for what they bring. It
 * cannot know that the kernel or another process is about to send something. So a timeout may fire before data arrive over a
 * socket that would have come in time. A test that waits for such data takes a hold meanwhile. */
#ifndef TN_TIME_H
#define TN_TIME_H

#include <tn/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Stops the clock of the calling task's runtime at its present time. Does nothing if it is stopped. Returns 0.
 *
 * Suspends: no.
 * Callable from: a fiber or stackless task of a current-thread runtime.
 * Ownership: none.
 * Errors: TN_EINVAL: the caller is not such a task.
 * Cancellation: no. */
TN_API int tn_time_pause(void);

/* Lets the clock run on from where it stands. It stays ahead of the real clock by what it has jumped. Does nothing if it runs.
 * Returns 0.
 *
 * Suspends: no.
 * Callable from: a fiber or stackless task of a current-thread runtime.
 * Ownership: none.
 * Errors: TN_EINVAL: the caller is not such a task.
 * Cancellation: no. */
TN_API int tn_time_resume(void);

/* Moves the stopped clock forward by `ns` nanoseconds at once, and makes the tasks runnable whose timers are due then; the
 * earlier timer first. They find a clock that is past their time, as after a delay of the machine. To let each of them run at
 * its own time, call tn_sleep instead. Then yields, so that these tasks run first. Returns 0, or why the caller must end; the
 * clock has moved in that case too.
 *
 * Suspends: yes.
 * Callable from: a fiber of a current-thread runtime.
 * Ownership: none.
 * Errors: TN_EINVAL: the caller is not such a fiber, the clock is not stopped, or it would pass UINT64_MAX; it has not moved.
 * TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; the clock has moved. */
TN_API int tn_time_advance(uint64_t ns);

#ifdef __cplusplus
}
#endif

#endif
