/* SPDX-License-Identifier: MIT */
/* Reports of stuck tasks: a task that has kept its thread for report_stuck_ns in one run is logged, once, with its stack.
 *
 * A task keeps its thread by computing and by sleeping. Time in which the thread gets no processor does not count: other threads
 * use the processors, the process has used up its quota, or it is stopped. The monitor adds, from check to check, the processor
 * time of the thread. If the thread sleeps at a check, the rest of the time since the last check is added too, but not more than
 * TNI_STUCK_SLEEP_MAX_NS: if the check is later than that, the monitor itself got no processor.
 *
 * The monitor checks every worker, with or without a core. The task's own thread takes its stack (stack_sampler.h). The
 * monitor does not wait for that: it continues to check the cores. When the stack has arrived, or without it after a second, it
 * gives the report to the reporter (reporter.h), which prints it. It reports one task at a time, and at most
 * TNI_STUCK_REPORTS_A_MINUTE. A task that exceeds this limit is reported in the next minute, if it still keeps its thread. */
#include "watch/stuck.h"

#include "sched/runtime.h"
#include "watch/dump.h"
#include "watch/reporter.h"
#include "watch/task_inspect.h"

/* How long a report waits for the stack. */
#define SAMPLE_TIMEOUT_NS UINT64_C(1000000000)

/* --- Logging -------------------------------------------------------------------------------------------------------------- */

static bool may_report(tni_stuck_log *log, uint64_t now_ns)
{
    if (now_ns - log->minute_ns > TNI_MINUTE_NS) {
        log->minute_ns = now_ns;
        log->reports = 0;
    }
    return log->reports < TNI_STUCK_REPORTS_A_MINUTE;
}

/* Copies the sample of a report and gives up the sampler, because the log may block. False: there is no sample. */
static bool take_sample(tn_runtime *runtime, tni_stack_sample *out)
{
    const tni_stack_sample *sample = tni_stack_sampler_result(runtime, 0);

    if (sample != NULL) {
        *out = *sample;
        out->stack.word = out->word;
    }
    tni_stack_sampler_end(runtime);
    return sample != NULL;
}

void tni_stuck_report_print(tn_runtime *runtime, const tn_task *task, tni_stuck_details stuck)
{
    tni_dump d = tni_dump_to_log(runtime);
    tni_stack_sample sample;
    bool sampled = stuck.sampling && take_sample(runtime, &sample);
    char name[TNI_NAME_SIZE];

    tni_task_inspect_name(task, name);
    tni_dump_print(&d, "task \"%s\" (%llu) has kept its thread for %llu ms: use tn_block_in_place for what blocks, or yield",
                   name, (unsigned long long)task->id, (unsigned long long)stuck.kept_ns / 1000000);
    tni_dump_origin(&d, task);
    if (!sampled)
        tni_dump_print(&d, "    its stack could not be taken");
    else if (!sample.inside)
        tni_dump_print(&d, "    it has left that run");
    else if (sample.stack.pc == NULL)
        tni_dump_print(&d, "    it runs on a stack that is not its own");
    else
        tni_dump_stack(&d, &sample.stack);
}

/* The reporter prints it. */
static void end_report(tn_runtime *runtime)
{
    tni_stuck_log *log = &runtime->stuck_log;

    tni_reporter_give(runtime, log->task, (tni_stuck_details){log->kept_ns, log->sampling});
    log->sampling = false;
    log->task = NULL;
}

/* Continues the report in progress. */
static void continue_report(tn_runtime *runtime, uint64_t now_ns)
{
    tni_stuck_log *log = &runtime->stuck_log;
    bool over = now_ns >= log->until_ns;

    if (!log->sampling && tni_stack_sampler_begin(runtime, 0)) { /* otherwise a dump has the sampler: tried again at the next
                                                                  * check */
        log->sampling = true;
        over = over || !tni_stack_sampler_ask(runtime, log->task);
    }
    if (over || (log->sampling && tni_stack_sampler_result(runtime, 0) != NULL))
        end_report(runtime);
}

void tni_stuck_report_end(tn_runtime *runtime)
{
    if (runtime->stuck_log.task != NULL)
        end_report(runtime);
}

void tni_stuck_no_replacement(tn_runtime *runtime, uint64_t now_ns)
{
    tni_stuck_log *log = &runtime->stuck_log;

    if (log->no_replacement_ns != 0 && now_ns - log->no_replacement_ns < TNI_MINUTE_NS)
        return;
    log->no_replacement_ns = now_ns;
    tni_log_write(&runtime->log, TN_LOG_WARNING,
                  "tasks keep their threads, and no replacement thread is left for the others: raise "
                  "options.replacement_threads_max, or the "
                  "limit on threads");
}

/* --- Checking ------------------------------------------------------------------------------------------------------------- */

/* A core counts its runs. A worker without a core counts its rounds: until the next round it is in the run in which it lost
 * its core. */
static bool is_same_run(const tni_run_record *before, const tni_run_record *now)
{
    if (before->task != now->task || (now->core != NULL && now->core != before->core))
        return false;
    return now->core != NULL ? now->runs == before->runs : now->rounds == before->rounds;
}

/* Whether the task has declared that it blocks, or makes a call that may block (native.h). */
static bool may_block(const tni_worker *worker)
{
    /* Relaxed, both: hints. */
    return tni_a32_load(&worker->blocking, TNI_RELAXED) != 0 || tni_aptr_load(&worker->native, TNI_RELAXED) != NULL;
}

/* Adds for how much of the time between two checks in one run the task has kept the thread. Of the rest the thread was asleep,
 * or got no processor: add_sleep asks. */
static void add_kept(tni_run_record *now, const tni_run_record *before)
{
    uint64_t passed_ns = now->seen_ns - before->seen_ns;
    uint64_t used_ns = now->cpu_ns - before->cpu_ns;
    uint64_t rest_ns = used_ns < passed_ns ? passed_ns - used_ns : 0;

    now->kept_ns = before->kept_ns + used_ns;
    if (rest_ns >= passed_ns / 8)
        now->rest_ns = rest_ns < TNI_STUCK_SLEEP_MAX_NS ? rest_ns : TNI_STUCK_SLEEP_MAX_NS;
}

static void record_run_locked(tni_worker *worker, uint64_t now_ns)
{
    /* Acquire: observes the task's header; partner: run_task (worker.c). The task may have ended since, but its memory remains
     * a task header. The task is loaded before the number of runs, so that a run that begins in between does not get the age of
     * the previous one. */
    tn_task *task = tni_aptr_load(&worker->current, TNI_ACQUIRE);
    const tni_core *core = tni_aptr_load(&worker->core, TNI_RELAXED); /* relaxed: a hint */
    tni_run_record now = {.task = task, .seen_ns = now_ns};

    tni_os_mutex_assert_held(&worker->runtime->lock);
    if (may_block(worker))
        now.task = NULL;
    now.rounds = tni_a32_load(&worker->rounds, TNI_RELAXED); /* relaxed: a hint */
    /* Relaxed: it changes under the lock. */
    if (core != NULL && tni_aptr_load(&core->worker, TNI_RELAXED) == worker) {
        now.core = core;
        now.runs = tni_a64_load(&core->counts.polls, TNI_RELAXED); /* relaxed: a hint */
    }
    if (now.task != NULL)
        now.cpu_ns = tni_thread_clock_ns(&worker->clock);
    if (now.task != NULL && is_same_run(&worker->seen_run, &now))
        add_kept(&now, &worker->seen_run);
    worker->seen_run = now;
}

static bool is_reportable(const tni_worker *worker)
{
    return worker->seen_run.task != NULL && !tni_task_is_reported(worker->seen_run.task);
}

/* Whether the worker is between two tasks: it has no core, does not sleep as a replacement thread, and its task has
 * not declared that it blocks. So it is about to run a task that only its thread may run, or about to become a replacement
 * thread. */
static bool is_between_locked(const tni_worker *worker)
{
    tni_os_mutex_assert_held(&worker->runtime->lock);
    return worker->seen_run.core == NULL && worker->seen_run.task == NULL && !may_block(worker) &&
           !tni_worker_is_replacement_locked(worker);
}

static bool is_due(const tni_worker *worker)
{
    return is_reportable(worker) && worker->seen_run.kept_ns >= worker->runtime->options.report_stuck_ns;
}

/* A task to report. */
typedef struct {
    tn_task *task;    /* with a reference; NULL: none */
    uint64_t kept_ns; /* 0: the worker has left that run */
} candidate;

/* With the reference the header cannot become another task's. If the worker is still in the same run after that,
 * the reference is to the right task. */
static void choose_task_locked(candidate *c, tni_worker *worker, uint64_t now_ns)
{
    tn_task *task = worker->seen_run.task;

    tni_os_mutex_assert_held(&worker->runtime->lock);
    if (!tni_task_ref_if_alive(task))
        return;
    record_run_locked(worker, now_ns);
    c->task = task;
    c->kept_ns = worker->seen_run.task == task ? worker->seen_run.kept_ns : 0;
}

/* True: a worker without a core is inside a task that may have to be reported, or will soon be inside one. */
static bool record_all_runs_locked(tn_runtime *runtime, uint64_t now_ns)
{
    bool again = false;

    tni_os_mutex_assert_held(&runtime->lock);
    for (tni_worker *worker = runtime->workers; worker != NULL; worker = worker->next_worker) {
        record_run_locked(worker, now_ns);
        again = again || (worker->seen_run.core == NULL && is_reportable(worker)) || is_between_locked(worker);
    }
    return again;
}

/* Asks the kernel about the threads that used less time than has passed. Without the lock, because it reads a file: a worker
 * leaves the list, and is freed, only with the runtime, and only this thread uses the records. Returns the first worker whose
 * task must be reported; NULL: there is none. */
static tni_worker *add_sleep(tni_worker *first)
{
    tni_worker *due = NULL;

    for (tni_worker *worker = first; worker != NULL; worker = worker->next_worker) {
        if (worker->seen_run.rest_ns > 0 && tni_os_thread_sleeps(worker->thread_id))
            worker->seen_run.kept_ns += worker->seen_run.rest_ns;
        worker->seen_run.rest_ns = 0;
        if (due == NULL && is_due(worker))
            due = worker;
    }
    return due;
}

/* True: check again soon. `c`: the task to report; NULL: none can be reported now. */
static bool check_runs(tn_runtime *runtime, uint64_t now_ns, candidate *c)
{
    tni_worker *first;
    tni_worker *due;
    bool again;

    tni_os_mutex_lock(&runtime->lock);
    again = record_all_runs_locked(runtime, now_ns);
    first = runtime->workers;
    tni_os_mutex_unlock(&runtime->lock);
    due = add_sleep(first);
    if (due == NULL || c == NULL)
        return again;
    tni_os_mutex_lock(&runtime->lock);
    choose_task_locked(c, due, now_ns);
    tni_os_mutex_unlock(&runtime->lock);
    return again;
}

bool tni_stuck_report(tn_runtime *runtime, uint64_t now_ns)
{
    tni_stuck_log *log = &runtime->stuck_log;
    candidate c = {.task = NULL};
    bool may_choose;
    bool again;

    if (runtime->sampler == NULL)
        return false;
    if (log->task != NULL)
        continue_report(runtime, now_ns);
    may_choose = log->task == NULL && may_report(log, now_ns) && tni_reporter_can_take(runtime);
    again = check_runs(runtime, now_ns, may_choose ? &c : NULL);
    if (c.kept_ns > 0 && tni_task_set_reported(c.task)) {
        log->reports++;
        log->task = c.task;
        log->kept_ns = c.kept_ns;
        log->until_ns = now_ns + SAMPLE_TIMEOUT_NS;
        continue_report(runtime, now_ns);
    } else if (c.task != NULL) {
        tni_reporter_give(runtime, c.task, (tni_stuck_details){0, false});
    }
    return again || log->task != NULL;
}
