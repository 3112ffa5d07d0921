/* SPDX-License-Identifier: MIT */
/* tournant: futures and wakers, what every wait of the library is built on. */
#ifndef TN_FUTURE_H
#define TN_FUTURE_H

#include <tn/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A counted reference to a task. It is the only way to make the task runnable again. */
typedef struct tn_waker tn_waker;

/* A pollable operation in its owner's memory. It does not move in memory once it has been polled, and one thread at a time
 * polls it. Neither of its functions suspends.
 *
 * poll: returns the final int, which is 0, a count, or a negative error; a payload is stored in the concrete struct.
 *   Otherwise it returns TN_PENDING, after it has kept a waker that is woken when a new poll may return another value. Spurious
 *   polls are allowed. After a final result the future is not polled again.
 * drop: cancels the operation and releases what it holds. Once it has returned, no thread touches the future. It is legal at
 *   any time. The owner calls it exactly once. tn_await does so after the last poll, and the runtime does so for a future that
 *   was given to tn_spawn_future. If the waiting task is abandoned (tn_runtime_destroy), a thread outside of the task calls it.
 *
 * The budget: a task that has found 128 operations ready in one run has used up its budget. Then each future of the library
 * wakes the task and returns TN_PENDING, so that other tasks run first. Sleeps, intervals and timeouts do so too. So a poll
 * function that waits for something until a time polls a sleep after it, and does not read the clock itself.
 *
 * Select, race, join, timeout and the cancel scope of an await poll with at least half a budget before they decide. A future
 * that is pending then counts as not ready, even if it found 63 operations ready and would continue. */
typedef struct tn_future tn_future;

struct tn_task;

/* The functions of one kind of future. */
typedef struct tn_future_ops {
    int (*poll)(tn_future *self, tn_waker *waker);           /* see tn_future; `waker` is borrowed for the call */
    void (*drop)(tn_future *self);                           /* see tn_future */
    const char *name;                                        /* what is waited for, in dumps: static text; NULL: none */
    void (*abandon_)(tn_future *self, struct tn_task *task); /* private to the library: leave it out */
} tn_future_ops;

/* The member that each concrete future struct has, named `base` in those of the library. */
struct tn_future {
    const tn_future_ops *ops; /* of its kind */
};

/* Polls a future once. It is for owners that poll by themselves instead of calling tn_await.
 *
 * Suspends: no.
 * Callable from: anywhere; one thread at a time.
 * Ownership: borrows the future and the waker.
 * Errors: the result of the future; TN_PENDING: it is not ready.
 * Cancellation: no. */
static inline int tn_future_poll(tn_future *future, tn_waker *waker)
{
    return future->ops->poll(future, waker);
}

/* Drops a future: cancels its operation and releases what it holds. No thread touches the future afterwards.
 *
 * Suspends: no.
 * Callable from: anywhere; exactly once per future.
 * Ownership: consumes the future; its memory stays the owner's.
 * Errors: none.
 * Cancellation: no. */
static inline void tn_future_drop(tn_future *future)
{
    future->ops->drop(future);
}

/* Waits until `future` is ready, drops it, and returns its result.
 *
 * Suspends: unless the future is ready; each 128th time in any case, so that other tasks run. A plain thread is blocked.
 * Callable from: a fiber, a plain thread. On a worker outside of a fiber it ends the process with an assertion.
 * Ownership: the future is dropped in every case; its memory stays the caller's.
 * Errors: the result of the future. TN_ECANCELED, TN_ETIMEDOUT. If the future has such a result, tn_checkpoint shows it
 * (tn/scope.h).
 * Cancellation: yes; the future is dropped. */
TN_API int tn_await(tn_future *future);

/* Returns one more reference to the same task.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the caller owns the returned reference, and must wake or release it.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_waker *tn_waker_retain(tn_waker *waker);

/* Gives the reference back without waking the task.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes `waker`.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_waker_release(tn_waker *waker);

/* Makes the task runnable. The task is polled at least once after this, and that poll observes what the caller wrote before.
 * The call has no effect on a task that has ended.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler, which uses tn_async_send.
 * Ownership: consumes `waker`.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_waker_wake(tn_waker *waker);

/* Makes the task runnable like tn_waker_wake, and keeps the reference.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler, which uses tn_async_send.
 * Ownership: borrows `waker`.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_waker_wake_by_ref(tn_waker *waker);

/* A future that is ready at `deadline_ns` or later, never earlier. Its result is 0. tn_sleep states how exact it is. */
typedef struct tn_sleep_future {
    tn_future base;
    uint64_t deadline_ns; /* a time of tn_now */
} tn_sleep_future;

/* Prepares `future` to be ready at `deadline_ns`, a time of tn_now. No timer is armed until it is polled. It must be polled
 * with the waker of the task that polls it, because that task's own timer wakes it.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the memory is the caller's.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_sleep_init(tn_sleep_future *future, uint64_t deadline_ns);

#ifdef __cplusplus
}
#endif

#endif
