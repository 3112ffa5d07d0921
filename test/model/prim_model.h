/* SPDX-License-Identifier: MIT */
/* The model's runtime/base/prim.h in the model checker: the same names, and every operation is a call of the checker. */
#ifndef TNI_PRIM_MODEL_H
#define TNI_PRIM_MODEL_H

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

#define TNI_PRIM_WORD(name, word, type) \
    void name##_init(word *w, type v); \
    type name##_load(const word *w, tni_order o); \
    void name##_store(word *w, type v, tni_order o); \
    type name##_exchange(word *w, type v, tni_order o); \
    bool name##_cas(word *w, type *expected, type desired, tni_order o);

#define TNI_PRIM_INTEGER(name, word, type) \
    TNI_PRIM_WORD(name, word, type) \
    type name##_fetch_add(word *w, type v, tni_order o); \
    type name##_fetch_sub(word *w, type v, tni_order o); \
    type name##_fetch_or(word *w, type v, tni_order o); \
    type name##_fetch_and(word *w, type v, tni_order o);

TNI_PRIM_INTEGER(tni_a32, tni_a32, uint32_t)
TNI_PRIM_INTEGER(tni_a64, tni_a64, uint64_t)
TNI_PRIM_WORD(tni_aptr, tni_aptr, void *)

void tni_fence_full(void);
bool tni_fence_asymmetric_init(void);
void tni_fence_light(bool asymmetric);
void tni_fence_heavy(bool asymmetric);
void tni_spin_hint(void);

typedef struct {
    uint32_t owner; /* thread + 1; 0: free */
} tni_os_mutex;

void tni_os_mutex_init(tni_os_mutex *m);
void tni_os_mutex_fini(tni_os_mutex *m);
void tni_os_mutex_lock(tni_os_mutex *m);
void tni_os_mutex_unlock(tni_os_mutex *m);

#define TNI_FOREVER UINT64_MAX

void tni_futex_wait(tni_a32 *word, uint32_t expected, uint64_t deadline_ns);
void tni_futex_wake(tni_a32 *word, int count);

typedef struct {
    unsigned id;
} tni_thread;

int tni_thread_start(tni_thread *out, void *(*main)(void *), void *arg);
void tni_thread_name(const char *name);
void tni_thread_join(tni_thread *thread);
void tni_thread_yield(void);
void tni_thread_detach(tni_thread *thread);

typedef struct {
    unsigned id;
} tni_thread_clock;

void tni_thread_clock_init(tni_thread_clock *clock);
uint64_t tni_thread_clock_ns(const tni_thread_clock *clock);

uint64_t tni_clock_ns(void);
uint64_t tni_random_seed(void);

#endif
