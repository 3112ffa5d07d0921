/* SPDX-License-Identifier: MIT */
/* The simulator's variant of base/thread.h: the same names, for threads of the simulator. sim/thread_sim.c defines them. */
#ifndef TNI_THREAD_SIM_H
#define TNI_THREAD_SIM_H

#include "base/atomic.h"
#include "base/defs.h"

typedef struct {
    uint32_t owner;   /* number of the thread that holds it, plus 1; 0: free */
    uint32_t waiters; /* threads that wait for it */
} tni_os_mutex;

void tni_os_mutex_init(tni_os_mutex *m);
void tni_os_mutex_fini(tni_os_mutex *m);
void tni_os_mutex_lock(tni_os_mutex *m);
void tni_os_mutex_unlock(tni_os_mutex *m);

#define TNI_FOREVER UINT64_MAX

void tni_futex_wait(tni_a32 *word, uint32_t expected, uint64_t deadline_ns);
void tni_futex_wake(tni_a32 *word, int count);

typedef struct {
    uint32_t id;
} tni_thread;

typedef struct {
    bool unused;
} tni_thread_mask;

void tni_thread_mask_get(tni_thread_mask *out);
void tni_thread_mask_set(const tni_thread_mask *mask);

int tni_thread_start(tni_thread *out, void *(*main)(void *), void *arg);
void tni_thread_stack(void **base, size_t *size);
void tni_thread_name(const char *name);
void tni_thread_join(tni_thread *thread);
void tni_thread_yield(void);
void tni_thread_detach(tni_thread *thread);
int tni_thread_at_fork(void (*in_child)(void));

typedef struct {
    uint32_t id;
} tni_thread_clock;

void tni_thread_clock_init(tni_thread_clock *clock);
uint64_t tni_thread_clock_ns(const tni_thread_clock *clock);

uint64_t tni_clock_ns(void);
uint64_t tni_random_seed(void);

#endif
