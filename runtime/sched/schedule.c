/* SPDX-License-Identifier: MIT */
#include "sched/schedule.h"

#include "base/tls.h"
#include "sched/runtime.h"
#include "sched/work.h"
#include "task/future_set.h"

/* --- Queueing --------------------------------------------------------------------------------------------------------------- */

void tni_schedule_inject(tn_runtime *runtime, tn_task *first, tn_task *last, unsigned count)
{
    tni_injector_push(&runtime->injector, first, last, count);
    tni_schedule_wake_one(runtime);
}

/* How many tasks of a queue may be moved to the injector: those that are newer than the last share of the injector. The share
 * stays until it has run, because otherwise the same tasks could go back and forth forever. */
static unsigned newer_than_share(const tni_core *core, const tni_deque *queue)
{
    /* Relaxed: the word of the core's holder; for the monitor, which evacuates, a hint. Read first: it is not beyond the end. */
    uint64_t share_end = tni_a64_load(&core->share_end[queue - core->queues], TNI_RELAXED);
    uint64_t newer = tni_deque_end(queue) - share_end;

    return newer < TNI_DEQUE_CAPACITY ? (unsigned)newer : TNI_DEQUE_CAPACITY;
}

/* Called when the deque is full: moves its newest tasks, and `task` (newer than these, or NULL), to the injector. The older
 * tasks have waited longer. In the injector they would run after tasks that came later. */
static void move_to_injector(tni_core *core, tni_deque *queue, tn_task *task)
{
    void *items[TNI_OVERFLOW_BATCH + 1];
    unsigned newer = newer_than_share(core, queue);
    unsigned count = newer < TNI_OVERFLOW_BATCH ? newer : TNI_OVERFLOW_BATCH;

    if (!tni_deque_take_newest(queue, items, count))
        count = 0;
    if (task != NULL)
        items[count++] = task;
    if (count == 0)
        return;
    for (unsigned i = 0; i + 1 < count; i++)
        ((tn_task *)items[i])->queue_next = items[i + 1];
    tni_count(&core->counts.overflows, count);
    tni_injector_push(&core->runtime->injector, items[0], items[count - 1], count);
}

static void append(tni_core *core, tni_deque *queue, tn_task *task)
{
    if (!tni_deque_push(queue, task))
        move_to_injector(core, queue, task);
}

static tni_deque *run_queue(tni_core *core)
{
    /* Relaxed: written by the holder, which is the caller. */
    return &core->queues[tni_a32_load(&core->serving, TNI_RELAXED)];
}

static tni_deque *yielded_queue(tni_core *core)
{
    /* Relaxed: as above. */
    return &core->queues[tni_a32_load(&core->serving, TNI_RELAXED) ^ 1];
}

void tni_schedule_push_to_queue(tni_core *core, tn_task *task)
{
    tn_task *displaced;

    tni_core_assert_holder(core);
    if (core->batching) {
        append(core, run_queue(core), task);
        core->batch++;
        return;
    }
    /* Release: as in tni_schedule_push. Acquire: observes the displaced task; partner: an earlier tni_schedule_push. */
    displaced = tni_aptr_exchange(&core->lifo_slot, task, TNI_ACQ_REL);
    if (displaced != NULL) {
        append(core, run_queue(core), displaced);
        tni_schedule_wake_one(core->runtime);
    }
}

/* force_migration: mails the task to another worker than the last. False: there is none. */
static bool migrate(tn_task *task)
{
    tn_runtime *runtime = task->runtime;
    tni_core *core;
    tni_worker *worker;

    if (runtime->core_count < 2)
        return false;
    core = runtime->cores[(task->last_core + 1u) % runtime->core_count];
    /* Acquire: observes the worker initialized; partner: give_core_locked (worker_replacement.c). */
    worker = tni_aptr_load(&core->worker, TNI_ACQUIRE);
    if (worker == NULL)
        return false;
    tni_meter_queued_outside(&runtime->outside, task);
    tni_worker_mail(worker, task);
    return true;
}

/* Wakes a task header that no worker runs: a member of a future set, or the task of a plain thread that waits. */
static void wake_without_queue(tn_task *task)
{
    if (task->kind == TNI_TASK_MEMBER)
        tni_future_set_push(task);
    else
        (void)tni_parker_notify(&task->body.parker);
}

bool tni_schedule_specially(tn_task *task)
{
    if (task->kind >= TNI_TASK_THREAD) {
        wake_without_queue(task);
        return true;
    }
    if (TNI_MEASURES && task->accounted)
        tni_work_woken(task);
    if (task->pinned_worker != NULL) {
        tni_meter_queued_outside(&task->runtime->outside, task);
        tni_worker_mail(task->pinned_worker, task);
        return true;
    }
    return task->runtime->options.force_migration && migrate(task);
}

void tni_schedule_ready(tn_task *task)
{
    const tni_tls *local = tni_tls_get();
    tni_core *core;

    if (tni_schedule_elsewhere(task))
        return;
    core = local->runtime == task->runtime ? tni_worker_enter(local->worker) : NULL;
    if (core == NULL) {
        if (!tni_runtime_is_inherited(task->runtime)) { /* otherwise it never runs in this child of fork */
            tni_meter_queued_outside(&task->runtime->outside, task);
            tni_schedule_inject(task->runtime, task, task, 1);
        }
        return;
    }
    tni_schedule_push(core, task);
    tni_worker_leave(local->worker);
}

static inline void requeue_on(tni_core *core, tn_task *task, bool to_the_end)
{
    tni_core_assert_holder(core);
    append(core, to_the_end ? yielded_queue(core) : run_queue(core), task);
}

/* Out of line, so that the usual path needs no frame. */
__attribute__((noinline)) static void requeue_measured(tni_core *core, tn_task *task, bool to_the_end)
{
    tni_meter_queued_now(&core->meter, &core->sampler, task);
    requeue_on(core, task, to_the_end);
}

void tni_schedule_requeue(tni_core *core, tn_task *task, bool to_the_end)
{
    if (tni_schedule_elsewhere(task))
        return;
    if (core == NULL) {
        tni_schedule_inject(task->runtime, task, task, 1);
        return;
    }
    if (tni_sampler_hits(&core->sampler))
        requeue_measured(core, task, to_the_end);
    else
        requeue_on(core, task, to_the_end);
}

/* --- Dequeueing ------------------------------------------------------------------------------------------------------------- */

/* Prefetches the stack of the next task and the header of the one after that. Among thousands of connections each finds both
 * evicted from the caches. The header is prefetched one run earlier, because it points to the stack. */
static void prefetch_following(const tni_deque *queue)
{
    tn_task *next = tni_deque_peek(queue, 0);

    if (next == NULL)
        return;
    tni_context_prefetch(&next->body.fiber.context);
    next = tni_deque_peek(queue, 1);
    if (next != NULL)
        __builtin_prefetch(next, 1);
}

static tn_task *take_own(tni_deque *queue)
{
    void *task;

    for (;;) {
        switch (tni_deque_take_own(queue, &task)) {
        case TNI_TAKE_GOT:
            prefetch_following(queue);
            return task;
        case TNI_TAKE_EMPTY:
            return NULL;
        case TNI_TAKE_RETRY: /* a thief has taken that one */
            break;
        }
    }
}

static unsigned injected_share(const tn_runtime *runtime, unsigned max)
{
    unsigned share = tni_injector_length(&runtime->injector) / runtime->core_count + 1;

    return share < max ? share : max;
}

static unsigned free_slots(const tni_core *core)
{
    return TNI_DEQUE_CAPACITY - tni_schedule_backlog(core);
}

/* Records that what is in the run queue now is no newer than the last share of the injector. */
static void note_share(tni_core *core)
{
    const tni_deque *queue = run_queue(core);
    uint64_t end = tni_deque_end(queue);

    /* Relaxed: as in newer_than_share. */
    tni_a64_store(&core->share_end[queue - core->queues], end, TNI_RELAXED);
}

void tni_schedule_append_injected(tni_core *core, unsigned max)
{
    tn_runtime *runtime = core->runtime;
    tn_task *tasks[TNI_INJECTED_MAX];
    unsigned share = injected_share(runtime, max);
    unsigned count;

    tni_core_assert_holder(core);
    if (tni_injector_length(&runtime->injector) == 0)
        return;
    /* Twice the share: otherwise the share fills the queue, and each later append moves tasks to the injector. */
    if (free_slots(core) < 2 * share)
        move_to_injector(core, run_queue(core), NULL);
    if (free_slots(core) < 2 * share)
        return; /* enough slots become free when tasks of the queue run */
    count = tni_injector_take(&runtime->injector, tasks, share);
    tni_count(&core->counts.injector_takes, count);
    for (unsigned i = 0; i < count; i++)
        append(core, run_queue(core), tasks[i]);
    note_share(core);
}

tn_task *tni_schedule_take_injected(tni_core *core, unsigned max)
{
    tn_runtime *runtime = core->runtime;
    tn_task *tasks[TNI_INJECTED_MAX];
    unsigned share = injected_share(runtime, max);
    unsigned count;

    tni_core_assert_holder(core);
    if (share > free_slots(core) + 1)
        share = free_slots(core) + 1;
    count = tni_injector_take(&runtime->injector, tasks, share);
    if (count == 0)
        return NULL;
    tni_count(&core->counts.injector_takes, count);
    for (unsigned i = 1; i < count; i++)
        append(core, run_queue(core), tasks[i]);
    note_share(core);
    return tasks[0];
}

/* Called when the run queue is empty: the queue of the tasks that yielded becomes the run queue, and the other one collects. */
static void swap_queues(tni_core *core)
{
    /* Relaxed, both: own word; thieves take from both queues. */
    tni_a32_store(&core->serving, tni_a32_load(&core->serving, TNI_RELAXED) ^ 1, TNI_RELAXED);
}

tn_task *tni_schedule_next_from_queues(tni_core *core)
{
    tn_task *task = NULL;

    tni_core_assert_holder(core);
    /* Relaxed: as in tni_schedule_next. */
    if (tni_aptr_load(&core->lifo_slot, TNI_RELAXED) != NULL)
        task = tni_schedule_take_lifo_slot(core);
    if (task != NULL)
        append(core, run_queue(core), task);
    core->lifo_streak = 0;
    task = take_own(run_queue(core));
    if (task != NULL)
        return task;
    task = tni_schedule_take_injected(core, TNI_INJECTED_MAX);
    if (task != NULL)
        return task;
    swap_queues(core);
    return take_own(run_queue(core));
}

void tni_schedule_requeue_yielded(tni_core *core)
{
    tni_core_assert_holder(core);
    /* Even if the run queue is empty: tni_schedule_next swaps only when the LIFO slot is empty too. */
    if (tni_schedule_backlog(core) == 0) {
        swap_queues(core);
        return;
    }
    for (unsigned count = tni_deque_length(yielded_queue(core)); count > 0; count--) {
        tn_task *task = take_own(yielded_queue(core));
        if (task == NULL)
            return;
        append(core, run_queue(core), task);
    }
}

/* --- Stealing --------------------------------------------------------------------------------------------------------------- */

static tn_task *steal_lifo_slot(tni_core *victim)
{
    void *task = tni_aptr_load(&victim->lifo_slot, TNI_RELAXED); /* the CAS checks it */

    /* Acquire: observes the task; partner: tni_schedule_push. */
    return task != NULL && tni_aptr_cas(&victim->lifo_slot, &task, NULL, TNI_ACQ_REL) ? task : NULL;
}

/* Takes up to half of a queue, each task by its own CAS. Returns the first; the others go to the thief's run queue. */
static tn_task *steal_half(tni_core *core, tni_deque *queue)
{
    unsigned wanted = (tni_deque_length(queue) + 1) / 2;
    tn_task *first = NULL;
    unsigned got = 0;
    void *task;

    while (got < wanted) {
        tni_take took = tni_deque_take(queue, &task);
        if (took == TNI_TAKE_EMPTY)
            break;
        if (took == TNI_TAKE_RETRY)
            continue;
        if (got++ == 0)
            first = task;
        else
            append(core, run_queue(core), task);
    }
    if (got > 0)
        tni_count(&core->counts.steals, got);
    return first;
}

static tn_task *steal_from(tni_core *core, tni_core *victim, bool lifo_slot_too)
{
    tn_task *task;

    tni_count(&core->counts.steal_attempts, 1);
    task = steal_half(core, run_queue(victim));
    if (task == NULL)
        task = steal_half(core, yielded_queue(victim));
    if (task == NULL && lifo_slot_too)
        task = steal_lifo_slot(victim);
    return task;
}

tn_task *tni_schedule_steal(tni_core *core)
{
    tn_runtime *runtime = core->runtime;
    unsigned count = runtime->core_count;

    tni_core_assert_holder(core);
    if (count == 1)
        return NULL; /* no other core; the check before the sleep finds what has come to the injector */
    for (unsigned sweep = 0; sweep < TNI_STEAL_SWEEPS; sweep++) {
        unsigned start = tni_random_next(&core->random) % count;
        for (unsigned i = 0; i < count; i++) {
            tni_core *victim = runtime->cores[(start + i) % count];
            tn_task *task = victim == core ? NULL : steal_from(core, victim, sweep + 1 == TNI_STEAL_SWEEPS);
            if (task != NULL)
                return task;
        }
        tni_spin_hint();
    }
    return tni_schedule_take_injected(core, TNI_INJECTED_MAX);
}

/* A list of tasks linked by queue_next, oldest first. */
typedef struct {
    tn_task *first;
    tn_task *last;
    unsigned count;
} chain;

static void link_last(chain *c, tn_task *task)
{
    if (c->count++ == 0)
        c->first = task;
    else
        c->last->queue_next = task;
    c->last = task;
}

static void take_oldest(tni_deque *queue, unsigned count, chain *c)
{
    void *task;

    while (count > 0) {
        tni_take took = tni_deque_take(queue, &task);
        if (took == TNI_TAKE_EMPTY)
            return;
        if (took == TNI_TAKE_RETRY)
            continue;
        link_last(c, task);
        count--;
    }
}

/* What came later has a worker that runs, or the next check. */
static void take_starts(tni_core *core, chain *c)
{
    unsigned left = tni_injector_length(&core->starts);
    tn_task *tasks[TNI_INJECTED_MAX];

    while (left > 0) {
        unsigned count = tni_injector_take(&core->starts, tasks, left < TNI_INJECTED_MAX ? left : TNI_INJECTED_MAX);
        for (unsigned i = 0; i < count; i++)
            link_last(c, tasks[i]);
        if (count == 0)
            return;
        left -= count;
    }
}

void tni_schedule_evacuate(tni_core *core)
{
    chain shared = {.count = 0};
    chain moved = {.count = 0};
    /* The core's worker may return at any moment, swap the queues and queue more. So which queue is which is read once, and only
     * the tasks that are there now are moved. */
    tni_deque *queue = run_queue(core);
    tni_deque *yielded = queue == &core->queues[0] ? &core->queues[1] : &core->queues[0];
    unsigned waiting = tni_deque_length(queue);
    unsigned newer = newer_than_share(core, queue);
    unsigned waiting_yielded;
    tn_task *next;

    /* Tasks that a share has brought return to the front of the injector. Otherwise they could be moved to its end each time. */
    take_oldest(queue, waiting > newer ? waiting - newer : 0, &shared);
    take_oldest(queue, waiting < newer ? waiting : newer, &moved);
    next = steal_lifo_slot(core);
    if (next != NULL)
        link_last(&moved, next);
    waiting_yielded = tni_deque_length(yielded);
    take_oldest(yielded, waiting_yielded, &moved);
    take_starts(core, &moved);
    if (shared.count > 0)
        tni_injector_return(&core->runtime->injector, shared.first, shared.last, shared.count);
    if (moved.count > 0)
        tni_injector_push(&core->runtime->injector, moved.first, moved.last, moved.count);
}

/* --- Waking ----------------------------------------------------------------------------------------------------------------- */

bool tni_schedule_any_work(const tn_runtime *runtime)
{
    if (tni_injector_length(&runtime->injector) > 0)
        return true;
    for (unsigned i = 0; i < runtime->core_count; i++)
        if (tni_deque_length(&runtime->cores[i]->queues[0]) > 0 || tni_deque_length(&runtime->cores[i]->queues[1]) > 0)
            return true;
    return false;
}

void tni_schedule_wake_one(tn_runtime *runtime)
{
    tni_core *mine;
    int chosen;

    /* Orders the push before the check of the marks; partners: the fences in park (worker.c) and stop_search (worker.c). */
    tni_fence_full();
    chosen = tni_idle_choose(&runtime->idle);
    if (chosen < 0)
        return;
    mine = tni_core_enter();
    if (mine != NULL) {
        tni_count(&mine->counts.wakes, 1);
        tni_core_leave();
    } else {
        tni_count_shared(&runtime->external.wakes, 1);
    }
    /* Acquire: observes the worker initialized; partner: give_core_locked (worker_replacement.c). It holds the core until
     * it wakes, because only workers inside a task lose their core. */
    tni_worker_unpark(tni_aptr_load(&runtime->cores[chosen]->worker, TNI_ACQUIRE));
}

void tni_schedule_batch_begin(tni_core *core)
{
    tni_core_assert_holder(core);
    core->batching = true;
    core->batch = 0;
}

void tni_schedule_batch_end(tni_core *core)
{
    unsigned backlog;

    tni_core_assert_holder(core);
    core->batching = false;
    if (core->batch == 0)
        return;
    /* One task runs here next. The others may need one more worker. */
    backlog = tni_schedule_backlog(core);
    if (backlog > 1 && (backlog - 1) * core->run_ns > TNI_BACKLOG_NS)
        tni_schedule_wake_one(core->runtime);
}
