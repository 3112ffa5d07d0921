/* SPDX-License-Identifier: MIT */
/* The OS layer for atomic words, threads, clocks and random numbers.
 *
 * No other file of the library names <stdatomic.h>, <pthread.h>, <time.h> or a futex. The model checker replaces this header
 * (TNI_MODEL) and runs the shipped sources unchanged.
 *
 * Atomic words are structs, so that a plain access does not compile. Every access names its memory order. The style check
 * requires a comment at each: what it publishes or observes, its partner, and what breaks if it is weaker.
 */
#ifndef TNI_PRIM_H
#define TNI_PRIM_H

#ifdef TNI_MODEL
#include "prim_model.h"
#else

#include <pthread.h>
#include <stdatomic.h>

#include "base/defs.h"

/* --- Atomic words ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    _Atomic uint32_t value;
} tni_a32;

typedef struct {
    _Atomic uint64_t value;
} tni_a64;

typedef struct {
    _Atomic(void *) value;
} tni_aptr;

typedef enum {
    TNI_RELAXED = memory_order_relaxed,
    TNI_ACQUIRE = memory_order_acquire,
    TNI_RELEASE = memory_order_release,
    TNI_ACQ_REL = memory_order_acq_rel,
    TNI_SEQ_CST = memory_order_seq_cst,
} tni_order;

#define TNI_PRIM_INLINE static inline __attribute__((always_inline))

/* The operations of a word type: init (before another thread can access it), load, store, exchange, compare-and-swap (strong;
 * on failure *expected is the value found, loaded with acquire), and the fetch operations on integers. */
#define TNI_PRIM_WORD(name, word, type) \
    TNI_PRIM_INLINE void name##_init(word *w, type v) \
    { \
        atomic_init(&w->value, v); \
    } \
    TNI_PRIM_INLINE type name##_load(const word *w, tni_order o) \
    { \
        return atomic_load_explicit(&w->value, (memory_order)o); \
    } \
    TNI_PRIM_INLINE void name##_store(word *w, type v, tni_order o) \
    { \
        atomic_store_explicit(&w->value, v, (memory_order)o); \
    } \
    TNI_PRIM_INLINE type name##_exchange(word *w, type v, tni_order o) \
    { \
        return atomic_exchange_explicit(&w->value, v, (memory_order)o); \
    } \
    TNI_PRIM_INLINE bool name##_cas(word *w, type *expected, type desired, tni_order o) \
    { \
        return atomic_compare_exchange_strong_explicit(&w->value, expected, desired, (memory_order)o, memory_order_acquire); \
    }

#define TNI_PRIM_INTEGER(name, word, type) \
    TNI_PRIM_WORD(name, word, type) \
    TNI_PRIM_INLINE type name##_fetch_add(word *w, type v, tni_order o) \
    { \
        return atomic_fetch_add_explicit(&w->value, v, (memory_order)o); \
    } \
    TNI_PRIM_INLINE type name##_fetch_sub(word *w, type v, tni_order o) \
    { \
        return atomic_fetch_sub_explicit(&w->value, v, (memory_order)o); \
    } \
    TNI_PRIM_INLINE type name##_fetch_or(word *w, type v, tni_order o) \
    { \
        return atomic_fetch_or_explicit(&w->value, v, (memory_order)o); \
    } \
    TNI_PRIM_INLINE type name##_fetch_and(word *w, type v, tni_order o) \
    { \
        return atomic_fetch_and_explicit(&w->value, v, (memory_order)o); \
    }

TNI_PRIM_INTEGER(tni_a32, tni_a32, uint32_t)
TNI_PRIM_INTEGER(tni_a64, tni_a64, uint64_t)
TNI_PRIM_WORD(tni_aptr, tni_aptr, void *)

/* A full barrier: all writes before it are visible to all threads before any read after it. */
TNI_PRIM_INLINE void tni_fence_full(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

/* A pair of asymmetric fences, for a frequent path against a rare one. A light fence in one thread and a heavy fence in another
 * give the same order as two full fences. `asymmetric` is the result of tni_fence_asymmetric_init(). Without kernel support
 * both are full fences. */
bool tni_fence_asymmetric_init(void);
TNI_PRIM_INLINE void tni_fence_light(bool asymmetric)
{
    if (tni_likely(asymmetric))
        atomic_signal_fence(memory_order_seq_cst);
    else
        atomic_thread_fence(memory_order_seq_cst);
}
void tni_fence_heavy(bool asymmetric);

/* The processor's hint for a spin loop. */
void tni_spin_hint(void);

/* --- Locks, sleeping, threads ----------------------------------------------------------------------------------------------- */

/* A lock for short sections, never held across a suspension. */
typedef struct {
    pthread_mutex_t mutex;
} tni_os_mutex;

void tni_os_mutex_init(tni_os_mutex *m);
void tni_os_mutex_fini(tni_os_mutex *m);
void tni_os_mutex_lock(tni_os_mutex *m);
void tni_os_mutex_unlock(tni_os_mutex *m);

#define TNI_FOREVER UINT64_MAX

/* Sleeps if *word == expected, until tni_futex_wake, a spurious return, or `deadline_ns` (tni_clock_ns; TNI_FOREVER: never).
 * The comparison and falling asleep are atomic with respect to tni_futex_wake. */
void tni_futex_wait(tni_a32 *word, uint32_t expected, uint64_t deadline_ns);
void tni_futex_wake(tni_a32 *word, int count);

typedef struct {
    pthread_t id;
} tni_thread;

/* Starts `main(arg)` on a thread with all asynchronous signals (SIGPROF excepted) and SIGPIPE blocked. Returns 0 or a negative
 * errno value (TN_EAGAIN if the process cannot have another thread). */
int tni_thread_start(tni_thread *out, void *(*main)(void *), void *arg);
/* Names the calling thread, for debuggers and tools. At most 15 characters. */
void tni_thread_name(const char *name);
void tni_thread_join(tni_thread *thread);
/* Yields the processor to another thread. */
void tni_thread_yield(void);
/* Detaches a thread: it is never joined. */
void tni_thread_detach(tni_thread *thread);

/* The processor time of a thread, readable by other threads. */
typedef struct {
    clockid_t id;
} tni_thread_clock;

void tni_thread_clock_init(tni_thread_clock *clock); /* of the calling thread */
/* Returns nanoseconds. The thread must not have been joined. */
uint64_t tni_thread_clock_ns(const tni_thread_clock *clock);

/* --- Clock and random numbers ----------------------------------------------------------------------------------------------- */

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t tni_clock_ns(void);

/* A seed from the kernel, different at each call. */
uint64_t tni_random_seed(void);

#endif /* TNI_MODEL */

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
