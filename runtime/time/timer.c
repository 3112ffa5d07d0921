/* SPDX-License-Identifier: MIT */
#include "time/timer.h"

void tni_timers_init(tni_timers *timers)
{
    tni_os_mutex_init(&timers->lock);
    tni_wheel_init(&timers->wheel, tni_clock_ns());
    timers->sleeping_until_ns = 0;
    tni_a64_init(&timers->next_ns, TNI_FOREVER);
}

void tni_timers_fini(tni_timers *timers)
{
    tni_os_mutex_fini(&timers->lock);
}

/* Lock held. */
static void publish_next(tni_timers *timers)
{
    /* Relaxed: a hint, looked at again at each poll of the loop; a sleeper goes by tni_timers_sleep, which holds the lock. */
    tni_a64_store(&timers->next_ns, tni_wheel_next_ns(&timers->wheel), TNI_RELAXED);
}

/* Lock held. The node is in no wheel afterwards. */
static void take_out(tni_timers *timers, tn_task *task)
{
    tni_wheel_remove(&timers->wheel, &task->timer);
    /* Publishes that the node is free; partner: the load in tni_timer_arm and tni_timer_disarm. */
    tni_aptr_store(&task->armed_in, NULL, TNI_RELEASE);
}

/* Saturates: the last tick's time is beyond the clock. */
static uint64_t due_ns(const tn_task *task)
{
    uint64_t ns;

    return __builtin_mul_overflow(task->timer.deadline_tick, TNI_WHEEL_TICK_NS, &ns) ? TNI_FOREVER : ns;
}

/* Does the node that is armed go off no later than one armed for the deadline would? */
static bool goes_off_in_time(const tn_task *task)
{
    uint64_t wanted_tick = task->deadline_ns / TNI_WHEEL_TICK_NS + (task->deadline_ns % TNI_WHEEL_TICK_NS != 0);

    return due_ns(task) / TNI_WHEEL_TICK_NS <= wanted_tick;
}

/* Lock held. True: the core's worker sleeps too long now. */
static bool put_in(tni_timers *timers, tn_task *task)
{
    tni_wheel_add(&timers->wheel, &task->timer, task->deadline_ns);
    /* Relaxed: the next one to look is the task's next run or end, ordered by its state word, or this lock. */
    tni_aptr_store(&task->armed_in, timers, TNI_RELAXED);
    /* Relaxed: as in publish_next. */
    if (due_ns(task) < tni_a64_load(&timers->next_ns, TNI_RELAXED))
        tni_a64_store(&timers->next_ns, due_ns(task), TNI_RELAXED);
    return task->deadline_ns < timers->sleeping_until_ns;
}

bool tni_timer_arm(tni_timers *timers, tn_task *task)
{
    /* Observes who took the node out; partner: take_out. */
    tni_timers *armed = tni_aptr_load(&task->armed_in, TNI_ACQUIRE);
    bool wake;

    if (armed != NULL) {
        bool enough;

        tni_os_mutex_lock(&armed->lock);
        /* Relaxed: under the lock. Another thread may have fired it since. */
        if (tni_aptr_load(&task->armed_in, TNI_RELAXED) != NULL) {
            enough = goes_off_in_time(task);
            if (!enough)
                take_out(armed, task);
        } else {
            enough = false;
        }
        tni_os_mutex_unlock(&armed->lock);
        if (enough)
            return false;
    }
    tni_os_mutex_lock(&timers->lock);
    wake = put_in(timers, task);
    tni_os_mutex_unlock(&timers->lock);
    return wake;
}

void tni_timer_disarm(tn_task *task)
{
    /* Observes who took the node out: it has finished with the node; partner: take_out. */
    tni_timers *armed = tni_aptr_load(&task->armed_in, TNI_ACQUIRE);

    if (armed == NULL)
        return;
    tni_os_mutex_lock(&armed->lock);
    /* Relaxed: under the lock. */
    if (tni_aptr_load(&task->armed_in, TNI_RELAXED) != NULL)
        take_out(armed, task);
    tni_os_mutex_unlock(&armed->lock);
}

/* Takes out what is due, with a reference to each task; a chain through timer.next. */
static unsigned collect(tni_timers *timers, uint64_t now_ns, tn_task **due)
{
    tni_timer *timer;
    unsigned count = 0;

    tni_os_mutex_lock(&timers->lock);
    for (timer = tni_wheel_expire(&timers->wheel, now_ns, TNI_TIMER_BATCH); timer != NULL; count++) {
        tn_task *task = tni_container_of(timer, tn_task, timer);
        timer = timer->next;
        tni_task_ref(task);
        due[count] = task;
        /* As in take_out. From here on the task's own run may arm the node again. */
        tni_aptr_store(&task->armed_in, NULL, TNI_RELEASE);
    }
    publish_next(timers);
    tni_os_mutex_unlock(&timers->lock);
    return count;
}

unsigned tni_timers_fire(tni_timers *timers, uint64_t now_ns)
{
    tn_task *due[TNI_TIMER_BATCH];
    unsigned fired = 0;
    unsigned count;

    /* Relaxed: a hint; see publish_next. */
    if (tni_a64_load(&timers->next_ns, TNI_RELAXED) > now_ns)
        return 0;
    do {
        count = collect(timers, now_ns, due);
        for (unsigned i = 0; i < count; i++) {
            tni_task_wake(due[i]);
            tni_task_unref(due[i]);
        }
        fired += count;
    } while (count == TNI_TIMER_BATCH);
    return fired;
}

uint64_t tni_timers_sleep(tni_timers *timers)
{
    uint64_t until;

    tni_os_mutex_lock(&timers->lock);
    until = tni_wheel_next_ns(&timers->wheel);
    timers->sleeping_until_ns = until;
    tni_os_mutex_unlock(&timers->lock);
    return until;
}

bool tni_timers_sleep_for_good(tni_timers *timers)
{
    bool for_good;

    tni_os_mutex_lock(&timers->lock);
    /* Until when does not matter: what it sleeps until may have been cancelled since. */
    for_good = timers->sleeping_until_ns != 0 && tni_wheel_next_ns(&timers->wheel) == TNI_FOREVER;
    tni_os_mutex_unlock(&timers->lock);
    return for_good;
}

void tni_timers_awake(tni_timers *timers)
{
    tni_os_mutex_lock(&timers->lock);
    timers->sleeping_until_ns = 0;
    /* Has the next fire move the wheel on. The wheel files by the time of its last expire, which was before the sleep. And the
     * sleep may have been until the start of a slot, while next_ns is the first deadline in it: no fire before that would empty
     * the slot, and the next sleep would be until its start again, which has passed. Relaxed: as in publish_next. */
    tni_a64_store(&timers->next_ns, 0, TNI_RELAXED);
    tni_os_mutex_unlock(&timers->lock);
}
