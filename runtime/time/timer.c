/* SPDX-License-Identifier: MIT */
/* Timers of tasks: arming, disarming and firing them in the timer wheel of a core. */
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

static void publish_next_locked(tni_timers *timers)
{
    tni_os_mutex_assert_held(&timers->lock);
    /* Relaxed: a hint, read again at each poll of the loop. A sleeper uses tni_timers_sleep, which holds the lock. */
    tni_a64_store(&timers->next_ns, tni_wheel_next_ns(&timers->wheel), TNI_RELAXED);
}

/* Afterwards the node is in no wheel. */
static void remove_node_locked(tni_timers *timers, tn_task *task)
{
    tni_os_mutex_assert_held(&timers->lock);
    tni_wheel_remove(&timers->wheel, &task->timer);
    /* Publishes that the node is free; partner: the load in tni_timer_arm and tni_timer_disarm. */
    tni_aptr_store(&task->armed_in, NULL, TNI_RELEASE);
}

/* Saturates: the time of the last tick is beyond the clock's range. */
static uint64_t due_ns(const tn_task *task)
{
    uint64_t ns;

    return __builtin_mul_overflow(task->timer.deadline_tick, TNI_WHEEL_TICK_NS, &ns) ? TNI_FOREVER : ns;
}

/* Whether the armed node fires no later than a node armed for the deadline would. */
static bool fires_in_time(const tn_task *task)
{
    uint64_t wanted_tick = task->deadline_ns / TNI_WHEEL_TICK_NS + (task->deadline_ns % TNI_WHEEL_TICK_NS != 0);

    return due_ns(task) / TNI_WHEEL_TICK_NS <= wanted_tick;
}

/* True: the core's worker now sleeps too long. */
static bool insert_node_locked(tni_timers *timers, tn_task *task)
{
    tni_os_mutex_assert_held(&timers->lock);
    tni_wheel_add(&timers->wheel, &task->timer, task->deadline_ns);
    /* Relaxed: the next reader is the task's next run or its end, which its state word orders, or a holder of this lock. */
    tni_aptr_store(&task->armed_in, timers, TNI_RELAXED);
    /* Relaxed: as in publish_next_locked. */
    if (due_ns(task) < tni_a64_load(&timers->next_ns, TNI_RELAXED))
        tni_a64_store(&timers->next_ns, due_ns(task), TNI_RELAXED);
    return task->deadline_ns < timers->sleeping_until_ns;
}

bool tni_timer_arm(tni_timers *timers, tn_task *task)
{
    /* Observes that the node was removed; partner: remove_node_locked. */
    tni_timers *armed = tni_aptr_load(&task->armed_in, TNI_ACQUIRE);
    bool wake;

    if (armed != NULL) {
        bool enough;

        tni_os_mutex_lock(&armed->lock);
        /* Relaxed: under the lock. Another thread may have fired the node since. */
        if (tni_aptr_load(&task->armed_in, TNI_RELAXED) != NULL) {
            enough = fires_in_time(task);
            if (!enough)
                remove_node_locked(armed, task);
        } else {
            enough = false;
        }
        tni_os_mutex_unlock(&armed->lock);
        if (enough)
            return false;
    }
    tni_os_mutex_lock(&timers->lock);
    wake = insert_node_locked(timers, task);
    tni_os_mutex_unlock(&timers->lock);
    return wake;
}

/* Out of line: the end of a task whose node is in no wheel needs no stack frame. */
__attribute__((noinline)) void tni_timer_disarm_from(tni_timers *armed, tn_task *task)
{
    tni_os_mutex_lock(&armed->lock);
    /* Relaxed: under the lock. */
    if (tni_aptr_load(&task->armed_in, TNI_RELAXED) != NULL)
        remove_node_locked(armed, task);
    tni_os_mutex_unlock(&armed->lock);
}

/* Removes the nodes that are due and writes their tasks to `due`, with a reference to each. Returns how many. Lowers *first_ns to
 * the earliest of their times. */
static unsigned collect(tni_timers *timers, uint64_t now_ns, tn_task **due, uint64_t *first_ns)
{
    tni_timer *timer;
    unsigned count = 0;

    tni_os_mutex_lock(&timers->lock);
    for (timer = tni_wheel_expire(&timers->wheel, now_ns, TNI_TIMER_BATCH); timer != NULL; count++) {
        tn_task *task = tni_container_of(timer, tn_task, timer);
        timer = timer->next;
        if (due_ns(task) < *first_ns)
            *first_ns = due_ns(task);
        tni_task_ref(task);
        due[count] = task;
        /* As in remove_node_locked. From here on the task's own run may arm the node again. */
        tni_aptr_store(&task->armed_in, NULL, TNI_RELEASE);
    }
    publish_next_locked(timers);
    tni_os_mutex_unlock(&timers->lock);
    return count;
}

unsigned tni_timers_fire(tni_timers *timers, uint64_t now_ns, uint64_t *late_ns)
{
    tn_task *due[TNI_TIMER_BATCH];
    uint64_t first_ns = now_ns;
    unsigned fired = 0;
    unsigned count;

    /* Relaxed: a hint; see publish_next_locked. */
    if (tni_a64_load(&timers->next_ns, TNI_RELAXED) > now_ns)
        return 0;
    do {
        count = collect(timers, now_ns, due, &first_ns);
        for (unsigned i = 0; i < count; i++) {
            tni_task_wake(due[i]);
            tni_task_unref(due[i]);
        }
        fired += count;
    } while (count == TNI_TIMER_BATCH);
    if (late_ns != NULL)
        *late_ns = now_ns - first_ns;
    return fired;
}

uint64_t tni_timers_sleep(tni_timers *timers)
{
    uint64_t until;

    tni_os_mutex_lock(&timers->lock);
    publish_next_locked(timers); /* the monitor goes by it, also if timers were taken out since the last time */
    until = tni_wheel_next_ns(&timers->wheel);
    timers->sleeping_until_ns = until;
    tni_os_mutex_unlock(&timers->lock);
    return until;
}

bool tni_timers_sleep_for_good(tni_timers *timers)
{
    bool for_good;

    tni_os_mutex_lock(&timers->lock);
    /* The end of the sleep does not matter: the timer that set it may have been cancelled since. */
    for_good = timers->sleeping_until_ns != 0 && tni_wheel_next_ns(&timers->wheel) == TNI_FOREVER;
    tni_os_mutex_unlock(&timers->lock);
    return for_good;
}

void tni_timers_awake(tni_timers *timers)
{
    tni_os_mutex_lock(&timers->lock);
    timers->sleeping_until_ns = 0;
    /* Makes the next tni_timers_fire advance the wheel, for two reasons. The wheel files nodes by the time of its last
     * expire, which was before the sleep. And the sleep may have ended at the start of a slot, while next_ns is the first
     * deadline in that slot: no fire before that deadline would empty the slot, and the next sleep would end at the same
     * start, which has passed. Relaxed: as in publish_next_locked. */
    tni_a64_store(&timers->next_ns, 0, TNI_RELAXED);
    tni_os_mutex_unlock(&timers->lock);
}
