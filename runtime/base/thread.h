/* SPDX-License-Identifier: MIT */
/* The OS layer for locks, futexes, threads, clocks and random numbers.
 *
 * No other file of the library names <pthread.h>, <time.h> or a futex. The model checker and the simulator (TNI_MODEL, TNI_SIM)
 * have types and definitions of their own and run the shipped sources unchanged.
 */
#ifndef TNI_THREAD_H
#define TNI_THREAD_H

#include "base/held.h"

#if defined(TNI_MODEL)
#include "thread_model.h"
#elif defined(TNI_SIM)
#include "thread_sim.h"
#else

#include <pthread.h>
#include <signal.h>

#include "base/atomic.h"
#include "base/defs.h"

typedef struct {
    pthread_mutex_t mutex;
} tni_os_mutex;

typedef struct {
    pthread_t id;
} tni_thread;

typedef struct {
    sigset_t set;
} tni_thread_mask;

typedef struct {
    clockid_t id;
} tni_thread_clock;

#endif /* TNI_MODEL, TNI_SIM: the types */

/* --- Locks, sleeping, threads ----------------------------------------------------------------------------------------------- */

/* tni_os_mutex: a lock for short sections, never held across a suspension. */
void tni_os_mutex_init(tni_os_mutex *m);
void tni_os_mutex_fini(tni_os_mutex *m);
void tni_os_mutex_lock(tni_os_mutex *m);
void tni_os_mutex_unlock(tni_os_mutex *m);

#define TNI_FOREVER UINT64_MAX

/* Sleeps if *word == expected, until tni_futex_wake, a spurious return, or `deadline_ns` (tni_clock_ns; TNI_FOREVER: never).
 * The comparison and falling asleep are atomic with respect to tni_futex_wake. */
void tni_futex_wait(tni_a32 *word, uint32_t expected, uint64_t deadline_ns);
void tni_futex_wake(tni_a32 *word, int count);

/* tni_thread_mask: a set of signals that a thread blocks. These get and set that of the calling thread. */
void tni_thread_mask_get(tni_thread_mask *out);
void tni_thread_mask_set(const tni_thread_mask *mask);

/* Starts `main(arg)` on a thread with all asynchronous signals (SIGPROF excepted) and SIGPIPE blocked. Returns 0 or a negative
 * errno value (TN_EAGAIN if the process cannot have another thread). */
int tni_thread_start(tni_thread *out, void *(*main)(void *), void *arg);
/* Makes the child of each later fork call `in_child` before fork returns there. Returns 0 or TN_ENOMEM. */
int tni_thread_at_fork(void (*in_child)(void));
/* The stack of the calling thread: its lowest address, and its bytes. */
void tni_thread_stack(void **base, size_t *size);
/* Names the calling thread, for debuggers and tools. At most 15 characters. */
void tni_thread_name(const char *name);
void tni_thread_join(tni_thread *thread);
/* Yields the processor to another thread. */
void tni_thread_yield(void);
/* Runs on each processor that threads of the process may use, one after the other, and then where it may run again. So each
 * other thread that was running when this began has been taken off its processor once, which is a full barrier in it. False:
 * the kernel refuses. It takes a switch per processor, or longer where these are busy. */
bool tni_thread_visit_cpus(void);
/* Detaches a thread: it is never joined. */
void tni_thread_detach(tni_thread *thread);

/* tni_thread_clock: the processor time of a thread, readable by other threads. */
void tni_thread_clock_init(tni_thread_clock *clock); /* of the calling thread */
/* Returns nanoseconds. The thread must not have been joined. */
uint64_t tni_thread_clock_ns(const tni_thread_clock *clock);

/* --- Clock and random numbers ----------------------------------------------------------------------------------------------- */

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t tni_clock_ns(void);

/* A seed from the kernel, different at each call. */
uint64_t tni_random_seed(void);

/* In a function that needs the lock: the calling thread holds it. Such a function has a name that ends in `_locked`. */
#define tni_os_mutex_assert_held(m) tni_held_assert(m, "the calling thread does not hold the lock")
#define tni_os_mutex_assert_not_held(m) tni_held_assert_not(m, "the calling thread holds the lock")

/* A small generator (xorshift64*; Vigna, 2016) for choices that need speed and no secrecy. */
static inline uint32_t tni_random_next(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return (uint32_t)((x * UINT64_C(0x2545F4914F6CDD1D)) >> 32);
}

#endif
