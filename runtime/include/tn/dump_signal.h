/* SPDX-License-Identifier: MIT */
/* A dump in the log of a running program, asked for by a signal: kill -USR1 PID. */
#ifndef TN_DUMP_SIGNAL_H
#define TN_DUMP_SIGNAL_H

#include <tn/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A thread that waits for a signal. */
typedef struct tn_dump_signal tn_dump_signal;

/* From now on each signal of this number makes a thread of the library write tn_dump_grouped to the log of `runtime`. The handler
 * only wakes that thread, so the dump is made also while all workers are stuck. Signals that arrive during a dump lead to one
 * more. Several runtimes may have the same signal: each makes its dump. The rules of tn_signal_open hold for the handler that was
 * there before.
 *
 * Suspends: no.
 * Callable from: a plain thread.
 * Ownership: borrows the runtime until tn_dump_signal_stop, which must come before tn_runtime_destroy. The caller owns `*out`.
 * Errors: TN_EINVAL: the number is no signal that can be caught, or stands for a fault. TN_ENOMEM, TN_EMFILE, TN_EAGAIN.
 * TN_ENOTSUP: in the simulator.
 * Cancellation: no. */
TN_API int tn_dump_signal_start(tn_dump_signal **out, tn_runtime *runtime, int number);

/* Ends it. A dump in progress is completed first. NULL is allowed. In a child of fork it does nothing.
 *
 * Suspends: no; it blocks the thread while a dump is in progress.
 * Callable from: a plain thread.
 * Ownership: consumes `signal`.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_dump_signal_stop(tn_dump_signal *signal);

#ifdef __cplusplus
}
#endif

#endif
