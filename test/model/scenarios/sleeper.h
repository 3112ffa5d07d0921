/* SPDX-License-Identifier: MIT */
/* Replaces tasks, their runs and their scopes where only what they wait for matters. A waiter is a sleeper: for sync/ it is a
 * plain thread, with a waker that counts its references and is freed with the last of them. tn_await polls and sleeps until
 * there is a result. Defines functions of the library, so it is for one source of a program. */
#ifndef TN_MODEL_SLEEPER_H
#define TN_MODEL_SLEEPER_H

#include "model.h"
#include "sched/budget_fiber.h"
#include "sched/run.h"
#include "sched/runtime.h"
#include "sched/schedule.h"
#include "scope/scope.h"
#include "short_lock_wait.h"

typedef struct {
    tn_task task; /* first: its waker leads to it; only its kind, its budget and its runtime, NULL, are used */
    tni_a32 references;
    tni_a32 wakes;
} sleeper;

static inline sleeper *sleeper_of(tn_waker *waker)
{
    return (sleeper *)(void *)waker;
}

static inline tn_waker *sleeper_waker(sleeper *self)
{
    return tni_task_waker(&self->task);
}

/* Returns a sleeper with one reference, the caller's. */
static inline sleeper *sleeper_new(void)
{
    sleeper *self = model_alloc(sizeof *self, _Alignof(sleeper));

    self->task.kind = TNI_TASK_THREAD;
    self->task.budget = TNI_BUDGET;
    tni_a32_init(&self->references, 1);
    tni_a32_init(&self->wakes, 0);
    model_name(&self->references, 4, "references");
    model_name(&self->wakes, 4, "wakes");
    return self;
}

tn_waker *tn_waker_retain(tn_waker *waker)
{
    (void)tni_a32_fetch_add(&sleeper_of(waker)->references, 1, TNI_RELAXED);
    return waker;
}

void tn_waker_release(tn_waker *waker)
{
    if (tni_a32_fetch_sub(&sleeper_of(waker)->references, 1, TNI_ACQ_REL) == 1)
        model_free(sleeper_of(waker));
}

void tn_waker_wake_by_ref(tn_waker *waker)
{
    (void)tni_a32_fetch_add(&sleeper_of(waker)->wakes, 1, TNI_RELEASE);
    tni_futex_wake(&sleeper_of(waker)->wakes, 1);
}

void tn_waker_wake(tn_waker *waker)
{
    tn_waker_wake_by_ref(waker);
    tn_waker_release(waker);
}

/* Sleeps until there have been more than `seen` wakes. Returns their number. */
static inline uint32_t sleeper_sleep(sleeper *self, uint32_t seen)
{
    uint32_t wakes;

    while ((wakes = tni_a32_load(&self->wakes, TNI_ACQUIRE)) == seen)
        tni_futex_wait(&self->wakes, seen, TNI_FOREVER);
    return wakes;
}

/* Polls and sleeps until there is a result. It polls again also at the time for which the future has asked (tni_deadline_ask). */
static inline int sleeper_wait(sleeper *self, tn_future *future)
{
    uint32_t seen = 0;
    int rc;

    for (;;) {
        self->task.deadline_ns = TNI_FOREVER;
        rc = tn_future_poll(future, sleeper_waker(self));
        if (rc != TN_PENDING)
            return rc;
        if (self->task.deadline_ns == TNI_FOREVER) {
            seen = sleeper_sleep(self, seen);
        } else {
            tni_futex_wait(&self->wakes, seen, self->task.deadline_ns);
            seen = tni_a32_load(&self->wakes, TNI_ACQUIRE);
        }
    }
}

int tn_await(tn_future *future)
{
    sleeper *self = sleeper_new();
    int rc = sleeper_wait(self, future);

    tn_future_drop(future);
    tn_waker_release(sleeper_waker(self));
    return rc;
}

/* Like a task that is cancelled while it waits: polls once, and drops. Returns TN_PENDING if the wait was cancelled. */
static inline int sleeper_cancelled(tn_future *future)
{
    sleeper *self = sleeper_new();
    int rc = tn_future_poll(future, sleeper_waker(self));

    tn_future_drop(future);
    tn_waker_release(sleeper_waker(self));
    return rc;
}

/* Polls first with another waker than the one with which it then waits. */
static inline int sleeper_wait_by_two(tn_future *future)
{
    sleeper *first = sleeper_new();
    int rc = tn_future_poll(future, sleeper_waker(first));

    if (rc == TN_PENDING)
        rc = tn_await(future);
    else
        tn_future_drop(future);
    tn_waker_release(sleeper_waker(first));
    return rc;
}

/* --- What sync/ uses of the rest of the runtime ---------------------------------------------------------------------------- */

int tni_budget_enter(void)
{
    return 0;
}

void tni_schedule_ready(tn_task *task)
{
    (void)task;
    model_check(false); /* no tasks here */
}

/* For locks that cannot fail, which no scenario takes. */
void tn_shield_enter(tn_scope *scope, uint64_t deadline_ns)
{
    (void)scope;
    (void)deadline_ns;
    model_check(false);
}

void tn_scope_leave(tn_scope *scope)
{
    (void)scope;
    model_check(false);
}

#endif
