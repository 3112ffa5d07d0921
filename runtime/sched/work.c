/* SPDX-License-Identifier: MIT */
/* Marked pieces of work: accounting, and the report of those that were slow. */
#include "sched/work.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/result.h"
#include "sched/runtime.h"
#include "sched/worker.h"

/* More are counted, and the count is logged in the next minute. */
#define REPORTS_A_MINUTE 60

/* --- Accounting ----------------------------------------------------------------------------------------------------------- */

static uint64_t since(uint64_t from_ns, uint64_t now_ns)
{
    return now_ns > from_ns ? now_ns - from_ns : 0; /* the clocks of two processors may differ by a little */
}

static tni_work_wait *wait_of(tni_work *work, const char *name)
{
    for (unsigned i = 0; i < TN_WORK_WAITS - 1; i++) {
        if (work->waits[i].name == NULL)
            work->waits[i].name = name;
        if (strcmp(work->waits[i].name, name) == 0)
            return &work->waits[i];
    }
    work->waits[TN_WORK_WAITS - 1].name = "other";
    return &work->waits[TN_WORK_WAITS - 1];
}

void tni_work_woken(tn_task *task)
{
    task->work->woken_ns = tni_clock_ns();
    task->measured = 1; /* so the run begins in tni_work_run_begun */
}

void tni_work_run_begun(tn_task *task, uint64_t now_ns)
{
    const char *name = task->work->waits_for;
    uint64_t woken_ns = task->work->woken_ns;

    for (tni_work *work = task->work; work != NULL; work = work->outer) {
        uint64_t waited_ns = name != NULL ? since(work->turned_ns, woken_ns) : 0;
        work->queued_ns += since(work->turned_ns + waited_ns, now_ns);
        work->turned_ns = now_ns;
        work->turns++;
        if (name != NULL) {
            tni_work_wait *wait = wait_of(work, name);
            work->waited_ns += waited_ns;
            wait->total_ns += waited_ns;
            wait->count++;
        }
    }
}

void tni_work_run_left(tn_task *task, uint64_t now_ns, const char *waits_for)
{
    tni_assert(task->run_result != TNI_RUN_ENDED, "a task ends between tn_work_begin and tn_work_end");
    task->work->waits_for = waits_for;
    for (tni_work *work = task->work; work != NULL; work = work->outer) {
        work->ran_ns += since(work->turned_ns, now_ns);
        work->turned_ns = now_ns;
    }
}

/* --- Text ----------------------------------------------------------------------------------------------------------------- */

/* Appends to a text that is cut where the buffer ends. */
__attribute__((format(printf, 3, 4))) static void append(char *text, size_t size, const char *format, ...)
{
    size_t length = strlen(text);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text + length, size - length, format, args); /* NOLINT(clang-analyzer-valist.Uninitialized): started */
    va_end(args);
}

static void append_ms(char *text, size_t size, const char *before, uint64_t ns)
{
    append(text, size, "%s%llu.%llu ms", before, (unsigned long long)(ns / 1000000), (unsigned long long)(ns / 100000 % 10));
}

void tni_work_spent(const tni_work *work, uint64_t now_ns, tn_work_spent *out)
{
    out->ran_ns = work->ran_ns + since(work->turned_ns, now_ns);
    out->queued_ns = work->queued_ns;
    out->waited_ns = work->waited_ns;
    out->total_ns = out->ran_ns + out->queued_ns + out->waited_ns;
    out->turns = work->turns;
    for (unsigned i = 0; i < TN_WORK_WAITS; i++) {
        if (work->waits[i].name == NULL)
            continue;
        (void)strncpy(out->waits[i].name, work->waits[i].name, sizeof out->waits[i].name - 1);
        out->waits[i].count = work->waits[i].count;
        out->waits[i].total_ns = work->waits[i].total_ns;
    }
}

const char *tni_work_text(const tn_work_spent *spent, char *text, size_t size)
{
    const char *separator = ": ";

    text[0] = '\0';
    append_ms(text, size, "took ", spent->total_ns);
    append_ms(text, size, ": ran ", spent->ran_ns);
    append_ms(text, size, ", was queued ", spent->queued_ns);
    append(text, size, " in %llu turns", (unsigned long long)spent->turns);
    append_ms(text, size, ", waited ", spent->waited_ns);
    for (unsigned i = 0; i < TN_WORK_WAITS; i++) {
        if (spent->waits[i].count == 0)
            continue;
        append(text, size, "%s%s", separator, spent->waits[i].name);
        separator = ", ";
        append_ms(text, size, " ", spent->waits[i].total_ns);
        append(text, size, " (%llu)", (unsigned long long)spent->waits[i].count);
    }
    return text;
}

/* --- Reports -------------------------------------------------------------------------------------------------------------- */

/* True: one more may be logged in this minute. The word has the minute above, and the number of its reports in the low half. */
static bool may_report(tn_runtime *runtime, uint64_t now_ns)
{
    uint64_t minute = now_ns / TNI_MINUTE_NS << 32;
    uint64_t old = tni_a64_load(&runtime->slow_reports, TNI_RELAXED); /* relaxed: the CAS verifies it */
    uint64_t wanted;

    do {
        wanted = old >> 32 << 32 == minute ? old + 1 : minute + 1;
        /* Acquire, as a CAS has at least; it guards no data. */
    } while (!tni_a64_cas(&runtime->slow_reports, &old, wanted, TNI_ACQUIRE));
    if (wanted == minute + 1 && (uint32_t)old > REPORTS_A_MINUTE)
        tni_log_write(&runtime->log, TN_LOG_WARNING, "slow: %u more were not logged", (uint32_t)old - REPORTS_A_MINUTE);
    return (uint32_t)wanted <= REPORTS_A_MINUTE;
}

static void report(const tni_work *work, uint64_t now_ns)
{
    tn_runtime *runtime = work->task->runtime;
    char text[TNI_LOG_LINE_SIZE];
    tn_work_spent spent;

    if (!may_report(runtime, now_ns))
        return;
    memset(&spent, 0, sizeof spent);
    tni_work_spent(work, now_ns, &spent);
    tni_log_write(&runtime->log, TN_LOG_WARNING, "slow: \"%s\" of task %llu \"%s\" %s", work->name,
                  (unsigned long long)work->task->id, work->task->name, tni_work_text(&spent, text, sizeof text));
}

/* --- Public --------------------------------------------------------------------------------------------------------------- */

static tni_work *impl_of(tn_work *work)
{
    return (tni_work *)(void *)work;
}

void tn_work_begin(tn_work *public, const char *name)
{
    tni_tls *local = tni_tls_get();
    tn_task *task = local->task;
    tni_work *work = impl_of(public);

    if (!TNI_MEASURES || task == NULL || task->runtime->options.report_slow_ns == 0) {
        work->task = NULL;
        return;
    }
    for (const tni_work *begun = tni_work_of(task); begun != NULL; begun = begun->outer)
        tni_assert(begun != work, "tn_work_begin: the work has not ended");
    memset(work, 0, sizeof *work);
    work->outer = tni_work_of(task);
    work->task = task;
    work->name = name;
    work->began_ns = tni_clock_ns();
    work->turned_ns = work->began_ns;
    task->work = work;
    task->accounted = 1;
    if (local->worker->run_began == 0)
        local->worker->run_began = TNI_WORK_STAMP; /* so the run ends in tni_work_run_left */
}

/* The work is in the chain of its task, unless the program ends it twice. */
static void unlink_work(tn_task *task, const tni_work *work)
{
    tni_work **link = &task->work;

    while (*link != work) {
        tni_assert(*link != NULL, "tn_work_end: the work has ended before");
        link = &(*link)->outer;
    }
    *link = work->outer;
    if (task->work == NULL)
        task->accounted = 0;
}

void tn_work_end(tn_work *public)
{
    tni_work *work = impl_of(public);
    tn_task *task = tni_tls_get()->task;
    uint64_t now_ns;

    if (work->task == NULL || task == NULL)
        return;
    tni_assert(work->task == task, "tn_work_end: another task has begun the work");
    now_ns = tni_clock_ns();
    unlink_work(task, work);
    if (now_ns - work->began_ns >= task->runtime->options.report_slow_ns)
        report(work, now_ns);
    work->task = NULL;
}

int tn_work_read(const tn_work *public, tn_work_spent *out)
{
    const tni_work *work = (const tni_work *)(const void *)public;
    size_t size = out->size;
    tn_work_spent spent;

    if (!tni_result_has_size(size))
        return TN_EINVAL;
    if (work->task == NULL)
        return TN_ENOTSUP;
    memset(&spent, 0, sizeof spent);
    tni_work_spent(work, tni_clock_ns(), &spent);
    tni_result_copy(out, size, &spent, sizeof spent);
    return 0;
}
