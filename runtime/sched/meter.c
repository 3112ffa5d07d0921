/* SPDX-License-Identifier: MIT */
/* Measurements of tasks: what is done for one that is measured, and reading the results. */
#include "sched/meter.h"

#include <string.h>

#include "sched/work.h"

/* The name of an entry, as words. */
typedef union {
    char text[sizeof((tni_meter_wait *)NULL)->name];
    uint64_t words[sizeof((tni_meter_wait *)NULL)->name / sizeof(uint64_t)];
} entry_name;

/* A hash of a name. Never 0. The text is hashed and not its address: an address differs between builds, and two places that
 * name the same wait may have two copies of the text. */
static uint64_t hash_of(const entry_name *name)
{
    uint64_t hash = 0;

    for (size_t i = 0; i < sizeof name->words / sizeof name->words[0]; i++) {
        hash = (hash ^ name->words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return hash != 0 ? hash : 1;
}

/* The entry of waits with that name, as far as an entry has space for it: the first one with its hash, or free, from a place
 * that follows from the hash. */
static tni_meter_wait *wait_of(tni_meter *meter, const char *text)
{
    entry_name name = {.words = {0}};
    uint64_t hash;
    unsigned place;

    (void)strncpy(name.text, text, sizeof name.text - 1);
    hash = hash_of(&name);
    place = (unsigned)(hash % (TN_METRICS_WAITS - 1));
    for (unsigned i = 0; i < TN_METRICS_WAITS - 1; i++) {
        tni_meter_wait *wait = &meter->waits[(place + i) % (TN_METRICS_WAITS - 1)];
        uint64_t key = tni_a64_load(&wait->key, TNI_RELAXED); /* relaxed: it is only compared */
        /* It decides which thread fills the entry; `ready` publishes it. Relaxed would do; the exchange reads with acquire when
         * it fails, and may not succeed with less. */
        if (key == 0 && tni_a64_cas(&wait->key, &key, hash, TNI_ACQUIRE)) {
            memcpy(wait->name, name.text, sizeof wait->name);
            /* Release: publishes the name; partner: tni_meter_read. */
            tni_a32_store(&wait->ready, 1, TNI_RELEASE);
            return wait;
        }
        if (key == hash)
            return wait;
    }
    return &meter->waits[TN_METRICS_WAITS - 1];
}

/* The name of what the task has waited for, or NULL. The caller owns the task, which has not run since. */
static const char *waited_for(const tn_task *task)
{
    const tn_future *future;

    if (task->run_result != TNI_RUN_SUSPENDED)
        return NULL;
    future = task->kind == TNI_TASK_FIBER ? task->awaited : task->body.future;
    return future->ops->name != NULL ? future->ops->name : "future without a name";
}

static void count_wait(tni_meter *meter, const tn_task *task, uint64_t now_ns, uint64_t weight)
{
    const char *name = waited_for(task);
    tni_meter_wait *wait;

    if (name == NULL)
        return;
    wait = wait_of(meter, name);
    /* Relaxed, both: statistics. Other threads count here too when they wake tasks of a core. */
    (void)tni_a64_fetch_add(&wait->count, weight, TNI_RELAXED);
    if (now_ns > task->since_ns)
        (void)tni_a64_fetch_add(&wait->total_ns, (now_ns - task->since_ns) * weight, TNI_RELAXED);
}

void tni_meter_queued_now(tni_meter *meter, tni_sampler *sampler, tn_task *task)
{
    uint64_t now_ns = tni_clock_ns();
    tni_stamp stamp = tni_sampler_take(sampler, now_ns);

    if (tni_unlikely(task->accounted))
        task->work->queued_at = stamp;
    else
        task->queued_at = stamp;
    task->measured = 1;
    count_wait(meter, task, now_ns, tni_sampler_weight(stamp));
}

void tni_meter_begun_now(tni_meter *meter, bool shared, tn_task *task, tni_stamp *run_began)
{
    uint64_t now_ns = tni_clock_ns();
    tni_stamp stamp = task->queued_at;

    task->measured = 0;
    if (tni_unlikely(task->accounted)) {
        stamp = task->work->queued_at;
        task->work->queued_at = 0;
        tni_work_run_begun(task, now_ns);
        *run_began = TNI_WORK_STAMP;
        if (stamp == 0)
            return;
    }
    (shared ? tni_histogram_add_shared : tni_histogram_add)(&meter->queue_delay, tni_sampler_since(stamp, now_ns),
                                                            tni_sampler_weight(stamp));
    *run_began = (now_ns & ~TNI_STAMP_LOG2) | (stamp & TNI_STAMP_LOG2);
}

void tni_meter_left_now(tni_meter *meter, bool shared, tn_task *task, tni_stamp *run_began)
{
    tni_stamp stamp = *run_began;
    uint64_t now_ns = tni_clock_ns();

    *run_began = 0;
    if (tni_unlikely(task->accounted))
        tni_work_run_left(task, now_ns, waited_for(task));
    if (tni_likely(stamp != TNI_WORK_STAMP))
        (shared ? tni_histogram_add_shared : tni_histogram_add)(&meter->run_length, tni_sampler_since(stamp, now_ns),
                                                                tni_sampler_weight(stamp));
}

/* Adds an entry of one core to the one with the same name; the last one has what finds no place. */
static void add_wait(const tni_meter_wait *wait, tn_metrics *out)
{
    unsigned i = 0;

    /* Acquire: observes the name; partner: wait_of. */
    if (tni_a32_load(&wait->ready, TNI_ACQUIRE) == 0)
        return;
    while (i < TN_METRICS_WAITS - 1 && out->waits[i].name[0] != '\0' && strcmp(out->waits[i].name, wait->name) != 0)
        i++;
    if (i < TN_METRICS_WAITS - 1)
        memcpy(out->waits[i].name, wait->name, sizeof wait->name);
    /* Relaxed, both: statistics. */
    out->waits[i].count += tni_a64_load(&wait->count, TNI_RELAXED);
    out->waits[i].total_ns += tni_a64_load(&wait->total_ns, TNI_RELAXED);
}

void tni_meter_read(const tni_meter *meter, tn_metrics *out)
{
    const tni_meter_wait *other = &meter->waits[TN_METRICS_WAITS - 1];
    tn_metrics_wait *others = &out->waits[TN_METRICS_WAITS - 1];

    tni_histogram_read(&meter->queue_delay, &out->queue_delay);
    tni_histogram_read(&meter->run_length, &out->run_length);
    tni_histogram_read(&meter->poll_gap, &out->poll_gap);
    tni_histogram_read(&meter->timer_lateness, &out->timer_lateness);
    for (unsigned i = 0; i < TN_METRICS_WAITS - 1; i++)
        add_wait(&meter->waits[i], out);
    /* Relaxed, both: statistics. */
    others->count += tni_a64_load(&other->count, TNI_RELAXED);
    others->total_ns += tni_a64_load(&other->total_ns, TNI_RELAXED);
    if (others->count > 0)
        memcpy(others->name, "other", sizeof "other");
}
