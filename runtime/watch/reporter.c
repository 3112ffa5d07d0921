/* SPDX-License-Identifier: MIT */
/* The thread that calls the program's functions for reports. reporter.h has the protocol. */
#include "watch/reporter.h"

#include <string.h>

#include "os/os_memory.h"
#include "sched/runtime.h"
#include "watch/deadlock.h"
#include "watch/stuck.h"
#include "watch/wait_graph.h"

enum { NEWS = 1, STOP = 2, CHECK_WAITS = 4 };

/* --- The monitor and the starter -------------------------------------------------------------------------------------------- */

static void announce(tni_reporter *reporter, uint32_t bit)
{
    /* Release: publishes the report; partner: serve. Weaker: the thread could take the bit and find no report yet. */
    if (tni_a32_fetch_or(&reporter->news, bit, TNI_RELEASE) == 0)
        tni_futex_wake(&reporter->news, 1);
}

static void put_line(tni_log_sink *sink, tn_log_level level, const char *text)
{
    tni_reporter *reporter = tni_container_of(sink, tni_reporter, sink);

    tni_os_mutex_lock(&reporter->lock);
    if (reporter->count < TNI_REPORTER_LINES) {
        tni_report_line *line = &reporter->lines[(reporter->first + reporter->count++) % TNI_REPORTER_LINES];
        line->level = level;
        memcpy(line->text, text, strnlen(text, sizeof line->text - 1) + 1);
        line->text[sizeof line->text - 1] = '\0';
    } else {
        reporter->dropped++;
    }
    tni_os_mutex_unlock(&reporter->lock);
    announce(reporter, NEWS);
}

void tni_reporter_deadlock(tn_runtime *runtime)
{
    tni_os_mutex_lock(&runtime->reporter.lock);
    runtime->reporter.deadlocks++;
    tni_os_mutex_unlock(&runtime->reporter.lock);
    announce(&runtime->reporter, NEWS);
}

void tni_reporter_check_waits(tn_runtime *runtime)
{
    announce(&runtime->reporter, CHECK_WAITS);
}

bool tni_reporter_can_take(const tn_runtime *runtime)
{
    /* Acquire: the reporter has read `stuck`; partner: report_task. */
    return tni_aptr_load(&runtime->reporter.task, TNI_ACQUIRE) == NULL;
}

void tni_reporter_give(tn_runtime *runtime, tn_task *task, tni_stuck_details stuck)
{
    tni_assert(tni_reporter_can_take(runtime), "the monitor reports one task at a time");
    runtime->reporter.stuck = stuck;
    /* Release: publishes the task and `stuck`; partner: report_task. */
    tni_aptr_store(&runtime->reporter.task, task, TNI_RELEASE);
    announce(&runtime->reporter, NEWS);
}

bool tni_reporter_takes_last(const tn_runtime *runtime)
{
    /* Relaxed: a hint. A task that is given to the thread after its end is released by tni_reporter_fini. */
    return tni_a32_load(&runtime->reporter.started, TNI_RELAXED) != 0;
}

void tni_reporter_give_last(tn_runtime *runtime, tn_task *task)
{
    tni_inbox_push(&runtime->reporter.ended, &task->inbox_node); /* the task has ended: the link is the holder's of the header */
    announce(&runtime->reporter, NEWS);
}

/* --- The reporter ----------------------------------------------------------------------------------------------------------- */

/* Takes the oldest line. False: there is none. *dropped: lines that were dropped until now. */
static bool take_line(tni_reporter *reporter, tni_report_line *out, unsigned *dropped)
{
    bool any;

    tni_os_mutex_lock(&reporter->lock);
    any = reporter->count > 0;
    if (any) {
        *out = reporter->lines[reporter->first];
        reporter->first = (reporter->first + 1) % TNI_REPORTER_LINES;
        reporter->count--;
    }
    *dropped = any ? 0 : reporter->dropped;
    if (!any)
        reporter->dropped = 0;
    tni_os_mutex_unlock(&reporter->lock);
    return any;
}

static bool take_deadlock(tni_reporter *reporter)
{
    bool any;

    tni_os_mutex_lock(&reporter->lock);
    any = reporter->deadlocks > 0;
    reporter->deadlocks -= any;
    tni_os_mutex_unlock(&reporter->lock);
    return any;
}

static void report_task(tn_runtime *runtime)
{
    tni_reporter *reporter = &runtime->reporter;
    /* Acquire: observes the task and `stuck`; partner: tni_reporter_give. */
    tn_task *task = tni_aptr_load(&reporter->task, TNI_ACQUIRE);
    tni_stuck_details stuck;

    if (task == NULL)
        return;
    stuck = reporter->stuck;
    /* Release: `stuck` has been read; partner: tni_reporter_can_take. The monitor may fill the slot again at once. */
    tni_aptr_store(&reporter->task, NULL, TNI_RELEASE);
    if (stuck.kept_ns > 0)
        tni_stuck_report_print(runtime, task, stuck);
    tni_task_unref(task);
}

static void release_ended(tn_runtime *runtime)
{
    tni_inbox_node *node = tni_inbox_take(&runtime->reporter.ended);

    while (node != NULL) {
        tn_task *task = tni_container_of(node, tn_task, inbox_node);
        node = node->next;
        tni_task_unref(task);
    }
}

/* Makes all reports that are there. Returns the bits of `news`. */
static uint32_t serve(tn_runtime *runtime)
{
    tni_reporter *reporter = &runtime->reporter;
    /* Acquire: observes the reports; partner: announce. */
    uint32_t bits = tni_a32_exchange(&reporter->news, 0, TNI_ACQUIRE);
    tni_report_line line;
    unsigned dropped;

    while (take_line(reporter, &line, &dropped))
        tni_log_write(&runtime->log, (tn_log_level)line.level, "%s", line.text);
    if (dropped > 0)
        tni_log_write(&runtime->log, TN_LOG_WARNING, "%u lines of reports were dropped, because the log takes them too slowly",
                      dropped);
    while (take_deadlock(reporter))
        tni_deadlock_report(runtime);
    release_ended(runtime);
    report_task(runtime);
    if (bits & CHECK_WAITS)
        tni_wait_graph_check(runtime);
    return bits;
}

static void *reporter_main(void *arg)
{
    tn_runtime *runtime = arg;
    bool stop = false;

    tni_thread_name("tn-reporter");
    tni_thread_mask_set(&runtime->mask); /* it calls functions of the program */
    for (;;) {
        uint32_t bits = serve(runtime);
        stop = stop || (bits & STOP) != 0;
        if (bits == 0 && stop)
            return NULL;
        if (bits == 0)
            tni_futex_wait(&runtime->reporter.news, 0, TNI_FOREVER);
    }
}

/* --- Creating and ending ---------------------------------------------------------------------------------------------------- */

static size_t mapped_size(void)
{
    size_t page = tni_os_page_size();

    return (TNI_REPORTER_LINES * sizeof(tni_report_line) + page - 1) / page * page;
}

void tni_reporter_init(tni_reporter *reporter)
{
    reporter->sink.put = put_line;
    tni_os_mutex_init(&reporter->lock);
    tni_a32_init(&reporter->news, 0);
    tni_a32_init(&reporter->started, 0);
    tni_aptr_init(&reporter->task, NULL);
    tni_inbox_init(&reporter->ended);
}

int tni_reporter_start(tn_runtime *runtime)
{
    tni_reporter *reporter = &runtime->reporter;
    void *lines = NULL;
    int rc = tni_os_map(mapped_size(), &lines);

    if (rc != 0)
        return rc;
    reporter->lines = lines;
    rc = tni_thread_start(&reporter->thread, reporter_main, runtime);
    tni_a32_store(&reporter->started, rc == 0, TNI_RELAXED); /* relaxed: as in tni_reporter_takes_last */
    return rc;
}

void tni_reporter_fini(tn_runtime *runtime)
{
    release_ended(runtime); /* given by a walk that has lasted longer than the thread */
    if (runtime->reporter.lines != NULL)
        (void)tni_os_unmap(runtime->reporter.lines, mapped_size());
    tni_os_mutex_fini(&runtime->reporter.lock);
}

void tni_reporter_stop(tn_runtime *runtime)
{
    tni_reporter *reporter = &runtime->reporter;

    if (tni_a32_load(&reporter->started, TNI_RELAXED) == 0) /* relaxed: written by the creator of the runtime, and below */
        return;
    announce(reporter, STOP);
    tni_thread_join(&reporter->thread);
    tni_a32_store(&reporter->started, 0, TNI_RELAXED); /* relaxed: as in tni_reporter_takes_last */
}
