/* SPDX-License-Identifier: MIT */
/* The simulator's variant of base/atomic.h: the same names, without the processor's atomic instructions. All simulated threads
 * share one thread of the process, so a plain access is atomic. Each operation is
 * counted: it takes virtual time, and after a number of them, in fine mode a small one, another thread may continue. */
#ifndef TNI_ATOMIC_SIM_H
#define TNI_ATOMIC_SIM_H

#include "base/defs.h"

typedef struct {
    uint32_t value;
} tni_a32;

typedef struct {
    uint64_t value;
} tni_a64;

typedef struct {
    void *value;
} tni_aptr;

typedef enum { TNI_RELAXED, TNI_ACQUIRE, TNI_RELEASE, TNI_ACQ_REL, TNI_SEQ_CST } tni_order;

/* In sim_fine.c: how many atomic operations the thread may still make before a step of the scheduler, and that step. */
extern uint32_t tni_sim_fine_left;
void tni_sim_fine_step(void);

#define TNI_ATOMIC_INLINE static inline __attribute__((always_inline))

TNI_ATOMIC_INLINE void tni_atomic_sim_step(void)
{
    if (tni_unlikely(--tni_sim_fine_left == 0))
        tni_sim_fine_step();
    __asm__ volatile("" ::: "memory"); /* the compiler keeps the order of the program, as a switch may come between any two */
}

#define TNI_ATOMIC_WORD(name, word, type) \
    TNI_ATOMIC_INLINE void name##_init(word *w, type v) \
    { \
        w->value = v; \
    } \
    TNI_ATOMIC_INLINE type name##_load(const word *w, tni_order o) \
    { \
        (void)o; \
        tni_atomic_sim_step(); \
        return w->value; \
    } \
    TNI_ATOMIC_INLINE void name##_store(word *w, type v, tni_order o) \
    { \
        (void)o; \
        tni_atomic_sim_step(); \
        w->value = v; \
    } \
    TNI_ATOMIC_INLINE type name##_exchange(word *w, type v, tni_order o) \
    { \
        type old; \
        (void)o; \
        tni_atomic_sim_step(); \
        old = w->value; \
        w->value = v; \
        return old; \
    } \
    TNI_ATOMIC_INLINE bool name##_cas(word *w, type *expected, type desired, tni_order o) \
    { \
        type old; \
        (void)o; \
        tni_atomic_sim_step(); \
        old = w->value; \
        if (old == *expected) { \
            w->value = desired; \
            return true; \
        } \
        *expected = old; \
        return false; \
    }

#define TNI_ATOMIC_FETCH(name, word, type, what, operator) \
    TNI_ATOMIC_INLINE type name##_fetch_##what(word *w, type v, tni_order o) \
    { \
        type old; \
        (void)o; \
        tni_atomic_sim_step(); \
        old = w->value; \
        w->value = old operator v; \
        return old; \
    }

#define TNI_ATOMIC_INTEGER(name, word, type) \
    TNI_ATOMIC_WORD(name, word, type) \
    TNI_ATOMIC_FETCH(name, word, type, add, +) \
    TNI_ATOMIC_FETCH(name, word, type, sub, -) \
    TNI_ATOMIC_FETCH(name, word, type, or, |) \
    TNI_ATOMIC_FETCH(name, word, type, and, &)

TNI_ATOMIC_INTEGER(tni_a32, tni_a32, uint32_t)
TNI_ATOMIC_INTEGER(tni_a64, tni_a64, uint64_t)
TNI_ATOMIC_WORD(tni_aptr, tni_aptr, void *)

/* The simulated machine is sequentially consistent: fences order nothing that is not ordered. */
TNI_ATOMIC_INLINE void tni_fence_full(void)
{
    tni_atomic_sim_step();
}
TNI_ATOMIC_INLINE bool tni_fence_asymmetric_init(void)
{
    return true;
}
TNI_ATOMIC_INLINE void tni_fence_light(bool asymmetric)
{
    (void)asymmetric;
    tni_atomic_sim_step();
}
TNI_ATOMIC_INLINE bool tni_fence_heavy_try(bool asymmetric)
{
    (void)asymmetric;
    tni_atomic_sim_step();
    return true;
}
TNI_ATOMIC_INLINE bool tni_fence_heavy(bool asymmetric)
{
    return tni_fence_heavy_try(asymmetric);
}

void tni_spin_hint(void);

#endif
