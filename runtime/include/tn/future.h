/* SPDX-License-Identifier: MIT */
/* tournant: futures and wakers, what every wait of the library is built on. */
#ifndef TN_FUTURE_H
#define TN_FUTURE_H

#include <tn/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A counted reference to a task: the only way to make it runnable again. */
typedef struct tn_waker tn_waker;

/* A pollable operation in its owner's memory.
 *
 * poll: answers the final int (0, a count, or a negative error; a payload goes into the concrete struct), or TN_PENDING after it
 *   has kept a waker that will be woken when a new poll may answer more. Spurious polls are allowed. After a final answer it
 *   is not polled again.
 * drop: cancels and lets go; once it returned no thread touches the future. Legal at any time, called exactly once by whoever
 *   owns it: tn_await does after the last poll, and the runtime does for a future given to tn_spawn_future. If the task that
 *   waits is abandoned (tn_runtime_destroy), a thread outside the task does.
 *
 * A future never moves in memory once polled, and is polled by one thread at a time. Neither function suspends.
 *
 * The budget: when a task has found 128 operations ready in one run, each future of the library wakes it and returns TN_PENDING,
 * so that other tasks run first. Sleeps, intervals and timeouts do so too: a poll that waits for something until a time polls a
 * sleep after it, and does not read the clock itself. Select, race, join, timeout and the scope of an await poll with at least
 * half a budget before they decide: what is pending then is not ready, even if it found 63 operations ready and would go on. */
typedef struct tn_future tn_future;

struct tn_task;

typedef struct tn_future_ops {
    int (*poll)(tn_future *self, tn_waker *waker); /* waker: borrowed for the call */
    void (*drop)(tn_future *self);
    const char *name;                                        /* what is waited for, in dumps: static text; NULL: none */
    void (*abandon_)(tn_future *self, struct tn_task *task); /* the library's own; leave it out */
} tn_future_ops;

struct tn_future {
    const tn_future_ops *ops;
};

/* For owners who poll by themselves. */
static inline int tn_future_poll(tn_future *future, tn_waker *waker)
{
    return future->ops->poll(future, waker);
}

static inline void tn_future_drop(tn_future *future)
{
    future->ops->drop(future);
}

/* Waits until `future` is ready, then drops it and answers its result.
 * Suspends: unless ready, and each 128th time to let others run. In a fiber other tasks run meanwhile; a plain thread is blocked.
 * Callable from: a fiber, a plain thread; asserts on a worker outside a fiber.
 * Ownership: the future is dropped in every case; its memory stays the caller's.
 * Errors: whatever the future answers.
 * Cancellation: checkpoint; the future is dropped and TN_ECANCELED or (in a scope) TN_ETIMEDOUT answered. */
TN_API int tn_await(tn_future *future);

/* One more reference.
 * Suspends: no. Callable from: anywhere. Ownership: answers `waker`, to be woken or released. Cancellation: no checkpoint. */
TN_API tn_waker *tn_waker_retain(tn_waker *waker);

/* Gives the reference back without waking.
 * Suspends: no. Callable from: anywhere. Ownership: consumes `waker`. Cancellation: no checkpoint. */
TN_API void tn_waker_release(tn_waker *waker);

/* Makes the task runnable; it is polled at least once after this. A task that has ended is left alone. What the caller wrote
 * before is visible to that poll.
 * Suspends: no. Callable from: anywhere but a signal handler. Ownership: consumes `waker`. Cancellation: no checkpoint. */
TN_API void tn_waker_wake(tn_waker *waker);

/* As tn_waker_wake, but the reference stays the caller's. */
TN_API void tn_waker_wake_by_ref(tn_waker *waker);

/* A future that is ready `deadline_ns` (tn_now) or later, never earlier; see tn_sleep for its exactness. Answers 0. */
typedef struct tn_sleep_future {
    tn_future base;
    uint64_t deadline_ns;
} tn_sleep_future;

/* Prepares `future` to be ready at `deadline_ns`; nothing happens until it is polled. It has to be polled with the waker of the
 * task that polls it: the task's own timer serves it.
 * Suspends: no. Callable from: anywhere. Ownership: the caller's memory. Cancellation: no checkpoint. */
TN_API void tn_sleep_init(tn_sleep_future *future, uint64_t deadline_ns);

#ifdef __cplusplus
}
#endif

#endif
