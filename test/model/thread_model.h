/* SPDX-License-Identifier: MIT */
/* The model checker's runtime/base/thread.h: the same names, and every operation is a call of the checker. */
#ifndef TNI_THREAD_MODEL_H
#define TNI_THREAD_MODEL_H

#include "atomic_model.h"
#include "base/defs.h"

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

typedef struct {
    bool unused;
} tni_thread_mask;

void tni_thread_mask_get(tni_thread_mask *out);
void tni_thread_mask_set(const tni_thread_mask *mask);

int tni_thread_start(tni_thread *out, void *(*main)(void *), void *arg);
int tni_thread_at_fork(void (*in_child)(void));
void tni_thread_stack(void **base, size_t *size);
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
