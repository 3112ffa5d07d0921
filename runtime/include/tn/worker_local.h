/* SPDX-License-Identifier: MIT */
/* tournant: a value for each thread that runs tasks, which a task uses without a lock.
 *
 *     typedef struct { uint64_t requests; char scratch[4096]; } mine;
 *
 *     tn_worker_local_create(&local, runtime, sizeof(mine), NULL, NULL, NULL);
 *     ...
 *     mine *m = tn_worker_local_get(local);       // in a task
 *     m->requests++;                              // no other task does so until this one suspends
 *
 * A value belongs to a thread, not to a core. A task that loses its core while it blocks keeps its value, and the thread that
 * gets the core has another one. So there are at most as many values as workers and replacement threads. */
#ifndef TN_WORKER_LOCAL_H
#define TN_WORKER_LOCAL_H

#include <tn/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The values of the threads of one runtime. */
typedef struct tn_worker_local tn_worker_local;

/* Receives a value. `arg`: that of the call that names the function. */
typedef void (*tn_worker_local_fn)(void *value, void *arg);

/* Makes a value of `size_bytes` for each thread that will call tn_worker_local_get in a task of `runtime`. A value is all zero
 * bytes, and `init(value, arg)` is called for it, on that thread, when it is first asked for. It shares no cache line with
 * others. `init`, `fini`: NULL: none. `init` must neither suspend nor ask for the same value.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the caller owns it, and destroys it with tn_worker_local_destroy. Until then `arg` is borrowed. If the runtime is
 * destroyed before, its memory is freed then.
 * Errors: TN_EINVAL: `size_bytes` is 0. TN_ENOMEM.
 * Cancellation: no. */
TN_API int tn_worker_local_create(tn_worker_local **out, tn_runtime *runtime, size_t size_bytes, tn_worker_local_fn init,
                                  tn_worker_local_fn fini, void *arg);

/* Returns the value of the calling thread. No other task has it until the caller suspends or ends. Then another task may run on
 * this thread, and the caller may continue on another one: call it again after each call that suspends.
 *
 * It returns NULL if the caller is no task of that runtime, and if there is no memory for the value.
 *
 * Suspends: no.
 * Callable from: a fiber, a stackless task; elsewhere it returns NULL.
 * Ownership: the value is borrowed until the caller suspends.
 * Errors: none.
 * Cancellation: no. */
TN_API void *tn_worker_local_get(tn_worker_local *local);

/* Calls `visit(value, arg)` for each value that there is, for example to add up counters. The threads may use theirs meanwhile:
 * what they write and `visit` reads must be atomic. A value whose `init` has not returned is left out.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: borrows `local` and `arg`.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_worker_local_each(tn_worker_local *local, tn_worker_local_fn visit, void *arg);

/* Calls `fini(value, arg)` for each value, on the calling thread, and frees all. No task may use a value any more. The runtime
 * may have been destroyed before. NULL: does nothing.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes `local`.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_worker_local_destroy(tn_worker_local *local);

#ifdef __cplusplus
}
#endif

#endif
