/* SPDX-License-Identifier: MIT */
/* Who keeps a thread: a task that has been inside one run for report_stuck_ns is put into the log, once, with its stack.
 *
 * The monitor looks at every worker, with a core or without one. The task's own thread takes its stack (stack_sampler.h), and the
 * monitor does not wait for that: it looks at the cores as ever, and reports when the stack is there, or without it when it has
 * not come for a second. One task at a time, at most TNI_STUCK_REPORTS_A_MINUTE; who comes too late is reported in the next
 * minute, if it still keeps its thread.
 */
#include "watch/stuck.h"

#include "sched/runtime.h"
#include "watch/dump.h"

/* How long a stack is waited for. */
#define PATIENCE_NS UINT64_C(1000000000)
#define MINUTE_NS UINT64_C(60000000000)

/* --- Saying it -------------------------------------------------------------------------------------------------------------- */

static bool may_report(tni_stuck_log *log, uint64_t now_ns)
{
    if (now_ns - log->minute_ns > MINUTE_NS) {
        log->minute_ns = now_ns;
        log->reports = 0;
    }
    return log->reports < TNI_STUCK_REPORTS_A_MINUTE;
}

static void say(tn_runtime *runtime, const tni_stack_sample *sample)
{
    tni_stuck_log *log = &runtime->stuck_log;
    tn_task *task = log->task;
    tni_dump d = tni_dump_to_log(runtime);

    tni_dump_say(&d, "task \"%s\" (%llu) has kept its thread for %llu ms: use tn_block_in_place for what blocks, or yield",
                 task->name, (unsigned long long)task->id, (unsigned long long)log->kept_ns / 1000000);
    tni_dump_origin(&d, task);
    if (sample == NULL)
        tni_dump_say(&d, "    its stack could not be taken");
    else if (!sample->inside)
        tni_dump_say(&d, "    it has gone on just now");
    else if (sample->pc == NULL)
        tni_dump_say(&d, "    it runs on a stack that is not its own");
    else
        tni_dump_sample(&d, sample);
    if (log->asking)
        tni_stack_sampler_end(runtime);
    log->asking = false;
    log->task = NULL;
    tni_task_unref(task);
}

/* Goes on with the report that is under way. */
static void proceed(tn_runtime *runtime, uint64_t now_ns)
{
    tni_stuck_log *log = &runtime->stuck_log;
    const tni_stack_sample *sample = NULL;
    bool over = now_ns >= log->until_ns;

    if (!log->asking && tni_stack_sampler_begin(runtime, 0)) { /* else a dump has the sampler: at the next look */
        log->asking = true;
        over = over || !tni_stack_sampler_ask(runtime, log->task);
    }
    if (log->asking && !over)
        sample = tni_stack_sampler_result(runtime, 0);
    if (sample != NULL || over)
        say(runtime, sample);
}

void tni_stuck_report_end(tn_runtime *runtime)
{
    if (runtime->stuck_log.task != NULL)
        say(runtime, NULL);
}

void tni_stuck_no_replacement(tn_runtime *runtime, uint64_t now_ns)
{
    tni_stuck_log *log = &runtime->stuck_log;

    if (log->spares_ns != 0 && now_ns - log->spares_ns < MINUTE_NS)
        return;
    log->spares_ns = now_ns;
    tni_log_write(&runtime->log, TN_LOG_WARNING,
                  "tasks keep their threads, and no replacement thread is left for the others: raise "
                  "options.replacement_threads_max, or the "
                  "limit on threads");
}

/* --- Looking ---------------------------------------------------------------------------------------------------------------- */

/* A core counts its runs; without one a worker counts its rounds, and is in the run in which it lost its core until the next. */
static bool is_same_run(const tni_run_record *before, const tni_run_record *now)
{
    if (before->task != now->task || (now->core != NULL && now->core != before->core))
        return false;
    return now->core != NULL ? now->runs == before->runs : now->rounds == before->rounds;
}

/* It has said that it blocks, or calls what may (native.h). */
static bool may_block(const tni_worker *worker)
{
    /* Relaxed, both: hints. */
    return tni_a32_load(&worker->blocking, TNI_RELAXED) != 0 || tni_aptr_load(&worker->native, TNI_RELAXED) != NULL;
}

static void look(tni_worker *worker, uint64_t now_ns)
{
    /* Acquire: the task's header, which stays one; partner: run_task (worker.c). Before the count: a run that begins meanwhile
     * does not get the age of the last one. */
    tn_task *task = tni_aptr_load(&worker->current, TNI_ACQUIRE);
    const tni_core *core = tni_aptr_load(&worker->core, TNI_RELAXED); /* relaxed: a hint */
    tni_run_record now = {.task = task, .since_ns = now_ns};

    if (may_block(worker))
        now.task = NULL;
    now.rounds = tni_a32_load(&worker->rounds, TNI_RELAXED); /* relaxed: a hint */
    /* Relaxed: it changes under the lock, which we hold. */
    if (core != NULL && tni_aptr_load(&core->worker, TNI_RELAXED) == worker) {
        now.core = core;
        now.runs = tni_a64_load(&core->counts.polls, TNI_RELAXED); /* relaxed: a hint */
    }
    if (is_same_run(&worker->stay, &now))
        now.since_ns = worker->stay.since_ns;
    worker->stay = now;
}

static bool is_reportable(const tni_worker *worker)
{
    return worker->stay.task != NULL && !tni_task_is_reported(worker->stay.task);
}

/* It has no core and does not sleep as a spare, nor may it block: it is about to run what only its thread may run,
 * or about to be a spare. Lock held. */
static bool is_between(const tni_worker *worker)
{
    return worker->stay.core == NULL && worker->stay.task == NULL && !may_block(worker) && !tni_worker_is_replacement(worker);
}

static bool is_due(const tni_worker *worker, uint64_t now_ns)
{
    return is_reportable(worker) && now_ns - worker->stay.since_ns >= worker->runtime->options.report_stuck_ns;
}

/* A task that is to be reported. */
typedef struct {
    tn_task *task;    /* with a reference; NULL: none */
    uint64_t kept_ns; /* 0: not that one after all */
} culprit;

/* Lock held. With the reference it cannot become another task any more; if the worker is still in the same run then, it is the
 * one. */
static void accuse(culprit *c, tni_worker *worker, uint64_t now_ns)
{
    tn_task *task = worker->stay.task;

    if (!tni_task_ref_if_alive(task))
        return;
    look(worker, now_ns);
    c->task = task;
    c->kept_ns = worker->stay.task == task ? now_ns - worker->stay.since_ns : 0;
}

/* Lock held. True: a worker without a core is inside a task that may have to be reported, or will soon be in one. */
static bool look_at_all(tn_runtime *runtime, uint64_t now_ns, culprit *c)
{
    bool again = false;

    for (tni_worker *worker = runtime->workers; worker != NULL; worker = worker->next_worker) {
        look(worker, now_ns);
        again = again || (worker->stay.core == NULL && is_reportable(worker)) || is_between(worker);
        if (c->task == NULL && is_due(worker, now_ns))
            accuse(c, worker, now_ns);
    }
    return again;
}

bool tni_stuck_report(tn_runtime *runtime, uint64_t now_ns)
{
    tni_stuck_log *log = &runtime->stuck_log;
    culprit c = {.task = NULL};
    bool again;

    if (runtime->sampler == NULL)
        return false;
    if (log->task != NULL)
        proceed(runtime, now_ns);
    tni_os_mutex_lock(&runtime->lock);
    again = look_at_all(runtime, now_ns, &c);
    tni_os_mutex_unlock(&runtime->lock);
    if (c.kept_ns > 0 && log->task == NULL && may_report(log, now_ns) && tni_task_set_reported(c.task)) {
        log->reports++;
        log->task = c.task;
        log->kept_ns = c.kept_ns;
        log->until_ns = now_ns + PATIENCE_NS;
        proceed(runtime, now_ns);
    } else if (c.task != NULL) {
        tni_task_unref(c.task);
    }
    return again || log->task != NULL;
}
