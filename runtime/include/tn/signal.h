/* SPDX-License-Identifier: MIT */
/* tournant: waiting for signals of the operating system, such as SIGTERM. */
#ifndef TN_SIGNAL_H
#define TN_SIGNAL_H

#include <tn/async.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Listens to a set of signals. It is used by one task at a time, and uses one file descriptor.
 *
 * Several of them may listen to the same signal, in one runtime or in several: each receives it. Signals of one number that
 * arrive before the wait that returns this number count as one, as in the kernel. None is lost between two waits.
 *
 * While a signal is listened to, its default action is not taken, and SIG_IGN has no effect. A handler function that was there
 * before is still called. Interrupted calls are restarted (SA_RESTART), unless such a function does without. When the last
 * listener is closed, the former disposition is restored, unless another handler was set in the meantime. Such a handler must
 * call the one that it replaced. Otherwise no signal of that number arrives any more, also for listeners that are opened later.
 *
 * A signal that all threads of the process block does not arrive. In a child of fork nothing listens: there the signal has its
 * former meaning. A program that is started by exec has the default action. */
typedef struct tn_signal tn_signal;

/* Begins to listen to the `count` signals of `numbers`. `runtime`: the runtime whose loop reports them; NULL: that of the calling
 * task. tn_options.stuck_signal of a runtime that has report_stuck_ns should not be among them: its own signals are received too.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: on success the caller owns the listener, and must close it before its runtime is destroyed.
 * Errors: TN_EMFILE, TN_ENOMEM. TN_EINVAL: there is no runtime, `count` is 0, or a number is no signal that can be caught. It is
 * also returned for signals by which the kernel reports a fault: SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS. TN_ENOTSUP:
 * in the simulator.
 * Cancellation: no. */
TN_API int tn_signal_open(tn_signal **out, tn_runtime *runtime, const int *numbers, size_t count);

/* Waits until one of the signals has arrived since the last wait that returned its number. Returns the number; if several have
 * arrived, the lowest.
 *
 * Suspends: unless a signal has arrived.
 * Callable from: a fiber, a plain thread.
 * Ownership: borrows the listener.
 * Errors: TN_EBUSY: another task or thread waits already, and no signal has arrived. TN_ECANCELED, TN_ETIMEDOUT. Otherwise, why
 * the loop cannot watch it.
 * Cancellation: yes; no signal is lost. */
TN_API int tn_signal_wait(tn_signal *signals);

/* A future that is ready when one of the signals has arrived. Its result is the one that tn_signal_wait returns. */
typedef struct tn_signal_future {
    tn_future base;
    tn_async_future async; /* private */
    tn_signal *signals;    /* the listener */
} tn_signal_future;

/* Prepares `future` to wait for one of the signals.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: the listener is borrowed until the future is dropped.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_signal_wait_init(tn_signal_future *future, tn_signal *signals);

/* Stops listening. No task or thread may wait for it any more. Signals that have arrived and were not returned are discarded.
 * NULL is allowed.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: consumes the listener.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_signal_close(tn_signal *signals);

#ifdef __cplusplus
}
#endif

#endif
