/* SPDX-License-Identifier: MIT */
/* The model checker's runtime/base/atomic.h: the same names, and every operation is a call of the checker. */
#ifndef TNI_ATOMIC_MODEL_H
#define TNI_ATOMIC_MODEL_H

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

#define TNI_ATOMIC_WORD(name, word, type) \
    void name##_init(word *w, type v); \
    type name##_load(const word *w, tni_order o); \
    void name##_store(word *w, type v, tni_order o); \
    type name##_exchange(word *w, type v, tni_order o); \
    bool name##_cas(word *w, type *expected, type desired, tni_order o);

#define TNI_ATOMIC_INTEGER(name, word, type) \
    TNI_ATOMIC_WORD(name, word, type) \
    type name##_fetch_add(word *w, type v, tni_order o); \
    type name##_fetch_sub(word *w, type v, tni_order o); \
    type name##_fetch_or(word *w, type v, tni_order o); \
    type name##_fetch_and(word *w, type v, tni_order o);

TNI_ATOMIC_INTEGER(tni_a32, tni_a32, uint32_t)
TNI_ATOMIC_INTEGER(tni_a64, tni_a64, uint64_t)
TNI_ATOMIC_WORD(tni_aptr, tni_aptr, void *)

void tni_fence_full(void);
bool tni_fence_asymmetric_init(void);
void tni_fence_light(bool asymmetric);
bool tni_fence_heavy(bool asymmetric);
bool tni_fence_heavy_try(bool asymmetric);
void tni_spin_hint(void);

#endif
