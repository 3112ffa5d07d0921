/* SPDX-License-Identifier: MIT */
/* The twin of base/thread.c: locks, futexes, threads, the clock and seeds of the simulated machine. */
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/tls.h"
#include "os/os_thread.h"
#include "sim/sim_run.h"
#include "sim/sim_thread.h"
#include "sim/sim_trace.h"

/* The longest sleep that ends without a cause. */
#define SPURIOUS_MAX_NS (UINT64_C(2) * 1000000)

/* Threads that sleep on a word or on a lock, the longest sleeper first. */
static tni_sim_thread *sleepers;

static void sleepers_add(tni_sim_thread *thread)
{
    tni_sim_thread **at = &sleepers;

    while (*at != NULL)
        at = &(*at)->next;
    thread->next = NULL;
    *at = thread;
}

static void sleepers_remove(const tni_sim_thread *thread)
{
    tni_sim_thread **at = &sleepers;

    while (*at != NULL && *at != thread)
        at = &(*at)->next;
    if (*at != NULL)
        *at = thread->next;
}

/* The sleeper with this number among those on `object`; wakes it. */
static void sleepers_wake(const void *object, uint32_t number)
{
    for (tni_sim_thread *each = sleepers; each != NULL; each = each->next)
        if (each->object == object && number-- == 0) {
            sleepers_remove(each);
            tni_sim_thread_wake(each);
            return;
        }
}

static uint32_t sleepers_count(const void *object)
{
    uint32_t count = 0;

    for (const tni_sim_thread *each = sleepers; each != NULL; each = each->next)
        count += each->object == object;
    return count;
}

/* --- Locks ------------------------------------------------------------------------------------------------------------------ */

/* Both calls begin as an atomic operation: a loop that only locks and unlocks takes time, and others run meanwhile. */

void tni_os_mutex_init(tni_os_mutex *m)
{
    m->owner = 0;
    m->waiters = 0;
}

void tni_os_mutex_fini(tni_os_mutex *m)
{
    tni_assert(m->owner == 0 && m->waiters == 0, "a mutex is destroyed while it is held");
}

void tni_os_mutex_lock(tni_os_mutex *m)
{
    tni_sim_thread *self = tni_sim_thread_self();

    tni_atomic_sim_step();
    if (m->owner == self->id + 1)
        tni_sim_run_fail("deadlock", "a thread locks a mutex that it holds");
    while (m->owner != 0) {
        tni_sim_trace(TNI_SIM_TRACE_LOCK, m->owner - 1, 0);
        m->waiters++;
        sleepers_add(self);
        (void)tni_sim_thread_sleep("a lock", m, TNI_FOREVER);
        m->waiters--;
    }
    m->owner = self->id + 1;
    tni_held_add(m);
}

void tni_os_mutex_unlock(tni_os_mutex *m)
{
    uint32_t count;

    tni_atomic_sim_step();
    tni_held_remove(m);
    tni_assert(m->owner == tni_sim_thread_self()->id + 1, "a thread unlocks a mutex that it does not hold");
    m->owner = 0;
    if (m->waiters == 0)
        return;
    count = sleepers_count(m);
    if (count > 0)
        sleepers_wake(m, tni_sim_choice_below(TNI_SIM_WAITER, count));
    tni_sim_thread_call(); /* the wake is a call: the waiter may run before the caller locks again */
}

/* --- Futexes ---------------------------------------------------------------------------------------------------------------- */

void tni_futex_wait(tni_a32 *word, uint32_t expected, uint64_t deadline_ns)
{
    tni_sim_thread *self = tni_sim_thread_self();
    uint64_t until_ns = deadline_ns;

    tni_sim_thread_call();
    if (word->value != expected)
        return;
    if (tni_sim_choice_happens(TNI_SIM_SPURIOUS)) {
        uint64_t early_ns = tni_sim_time_ns() + tni_sim_choice_scale(TNI_SIM_SPURIOUS, SPURIOUS_MAX_NS);
        until_ns = early_ns < deadline_ns ? early_ns : deadline_ns;
    }
    sleepers_add(self);
    if (!tni_sim_thread_sleep("a futex", word, until_ns))
        sleepers_remove(self);
}

void tni_futex_wake(tni_a32 *word, int count)
{
    uint32_t sleeping;
    uint32_t woken;

    tni_sim_thread_call();
    sleeping = sleepers_count(word);
    woken = count < 0 || (uint32_t)count > sleeping ? sleeping : (uint32_t)count;
    tni_sim_trace(TNI_SIM_TRACE_FUTEX_WAKE, woken, sleeping);
    for (; woken > 0; woken--, sleeping--)
        sleepers_wake(word, tni_sim_choice_below(TNI_SIM_WAITER, sleeping));
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

/* There are no signals. */
void tni_thread_mask_get(tni_thread_mask *out)
{
    *out = (tni_thread_mask){false};
}

void tni_thread_mask_set(const tni_thread_mask *mask)
{
    (void)mask;
}

int tni_thread_start(tni_thread *out, void *(*main)(void *), void *arg)
{
    tni_sim_thread *thread;

    tni_sim_thread_call();
    thread = tni_sim_choice_happens(TNI_SIM_THREAD) || tni_sim_choice_happens(TNI_SIM_CALL) ? NULL
                                                                                            : tni_sim_thread_start(main, arg);
    if (thread == NULL) {
        tni_sim_trace(TNI_SIM_TRACE_THREAD_FAIL, -EAGAIN, 0);
        return -EAGAIN;
    }
    out->id = thread->id;
    return 0;
}

/* For fiber/announce.c, which does nothing here. */
void tni_thread_stack(void **base, size_t *size)
{
    *base = NULL;
    *size = 0;
}

void tni_thread_name(const char *name)
{
    tni_sim_thread *self = tni_sim_thread_self();

    (void)snprintf(self->name, sizeof self->name, "%.15s", name);
}

void tni_thread_join(tni_thread *thread)
{
    tni_sim_thread_call();
    (void)tni_sim_thread_join(tni_sim_thread_find(thread->id));
}

void tni_thread_yield(void)
{
    tni_sim_thread_spin();
}

void tni_thread_detach(tni_thread *thread)
{
    tni_sim_thread_detach(tni_sim_thread_find(thread->id));
}

/* A run forks only if the program does, and then as on a real machine. */
int tni_thread_at_fork(void (*in_child)(void))
{
    return -pthread_atfork(NULL, NULL, in_child);
}

void tni_thread_clock_init(tni_thread_clock *clock)
{
    clock->id = tni_sim_thread_self()->id;
}

uint64_t tni_thread_clock_ns(const tni_thread_clock *clock)
{
    return tni_sim_thread_cpu_ns(tni_sim_thread_find(clock->id));
}

int tni_os_thread_id(void)
{
    return (int)tni_sim_thread_self()->id;
}

bool tni_os_thread_sleeps(int id)
{
    const tni_sim_thread *thread = tni_sim_thread_find((uint32_t)id);

    return thread == NULL || (thread->state != TNI_SIM_READY && !thread->stalled);
}

tni_tls *tni_tls_get(void)
{
    return &tni_sim_thread_self()->tls;
}

/* --- Clock and random numbers ----------------------------------------------------------------------------------------------- */

uint64_t tni_clock_ns(void)
{
    tni_sim_thread_clock();
    return tni_sim_time_ns();
}

uint64_t tni_random_seed(void)
{
    return tni_sim_choice_bits(TNI_SIM_SEED) | 1;
}
