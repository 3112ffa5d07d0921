/* SPDX-License-Identifier: MIT */
/* The OS layer for atomic words, fences and the spin hint.
 *
 * No other file of the library names <stdatomic.h>. The model checker and the simulator replace this header (TNI_MODEL, TNI_SIM)
 * and run the shipped sources unchanged.
 *
 * Atomic words are structs, so that a plain access does not compile. Every access names its memory order. The style check
 * requires a comment at each: what it publishes or observes, its partner, and what breaks if it is weaker.
 */
#ifndef TNI_ATOMIC_H
#define TNI_ATOMIC_H

#if defined(TNI_MODEL)
#include "atomic_model.h"
#elif defined(TNI_SIM)
#include "atomic_sim.h"
#else

#include <stdatomic.h>

#include "base/defs.h"

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

#define TNI_ATOMIC_INLINE static inline __attribute__((always_inline))

/* The operations of a word type: init (before another thread can access it), load, store, exchange, compare-and-swap (strong;
 * on failure *expected is the value found, loaded with acquire), and the fetch operations on integers. */
#define TNI_ATOMIC_WORD(name, word, type) \
    TNI_ATOMIC_INLINE void name##_init(word *w, type v) \
    { \
        atomic_init(&w->value, v); \
    } \
    TNI_ATOMIC_INLINE type name##_load(const word *w, tni_order o) \
    { \
        return atomic_load_explicit(&w->value, (memory_order)o); \
    } \
    TNI_ATOMIC_INLINE void name##_store(word *w, type v, tni_order o) \
    { \
        atomic_store_explicit(&w->value, v, (memory_order)o); \
    } \
    TNI_ATOMIC_INLINE type name##_exchange(word *w, type v, tni_order o) \
    { \
        return atomic_exchange_explicit(&w->value, v, (memory_order)o); \
    } \
    TNI_ATOMIC_INLINE bool name##_cas(word *w, type *expected, type desired, tni_order o) \
    { \
        return atomic_compare_exchange_strong_explicit(&w->value, expected, desired, (memory_order)o, memory_order_acquire); \
    }

#define TNI_ATOMIC_INTEGER(name, word, type) \
    TNI_ATOMIC_WORD(name, word, type) \
    TNI_ATOMIC_INLINE type name##_fetch_add(word *w, type v, tni_order o) \
    { \
        return atomic_fetch_add_explicit(&w->value, v, (memory_order)o); \
    } \
    TNI_ATOMIC_INLINE type name##_fetch_sub(word *w, type v, tni_order o) \
    { \
        return atomic_fetch_sub_explicit(&w->value, v, (memory_order)o); \
    } \
    TNI_ATOMIC_INLINE type name##_fetch_or(word *w, type v, tni_order o) \
    { \
        return atomic_fetch_or_explicit(&w->value, v, (memory_order)o); \
    } \
    TNI_ATOMIC_INLINE type name##_fetch_and(word *w, type v, tni_order o) \
    { \
        return atomic_fetch_and_explicit(&w->value, v, (memory_order)o); \
    }

TNI_ATOMIC_INTEGER(tni_a32, tni_a32, uint32_t)
TNI_ATOMIC_INTEGER(tni_a64, tni_a64, uint64_t)
TNI_ATOMIC_WORD(tni_aptr, tni_aptr, void *)

/* A full barrier: all writes before it are visible to all threads before any read after it. */
TNI_ATOMIC_INLINE void tni_fence_full(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

/* A pair of asymmetric fences, for a frequent path against a rare one. A light fence in one thread and a heavy fence in another
 * give the same order as two full fences. `asymmetric` is the result of tni_fence_asymmetric_init(). Without kernel support
 * both are full fences.
 *
 * The kernel may refuse a heavy fence later, under a seccomp filter that was set since. Then tni_fence_heavy makes one without
 * help of the light side: it visits all processors, which takes longer. tni_fence_heavy_try does not. False: the kernel refuses,
 * and the call was a full fence of the calling thread alone. Then nothing is known about a light fence at the same time, and the
 * caller must do without: give up, or check again later, because every write becomes visible after some time. */
bool tni_fence_asymmetric_init(void);
TNI_ATOMIC_INLINE void tni_fence_light(bool asymmetric)
{
    if (tni_likely(asymmetric))
        atomic_signal_fence(memory_order_seq_cst);
    else
        atomic_thread_fence(memory_order_seq_cst);
}
__attribute__((warn_unused_result)) bool tni_fence_heavy(bool asymmetric);
__attribute__((warn_unused_result)) bool tni_fence_heavy_try(bool asymmetric);

/* The processor's hint for a spin loop. */
void tni_spin_hint(void);

#endif /* TNI_MODEL, TNI_SIM */

#endif
