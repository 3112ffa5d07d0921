/* SPDX-License-Identifier: MIT */
/* tn_why: why a call of the calling task has failed, from the record of scope/why.h. */
#include <tn/why.h>

#include <tn/inspect.h>

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/result.h"
#include "base/tls.h"
#include "sched/work.h"
#include "scope/why.h"
#include "time/task_clock.h"

/* --- Reading -------------------------------------------------------------------------------------------------------------- */

static tn_why_cause cause_of(const tni_why *why)
{
    static const tn_why_cause causes[] = {
        [TNI_SCOPE_PLAIN] = TN_WHY_SCOPE, [TNI_SCOPE_OF_SOURCE] = TN_WHY_SOURCE, [TNI_SCOPE_OF_TOKEN] = TN_WHY_TOKEN};

    if (why->error == TN_ETIMEDOUT)
        return TN_WHY_DEADLINE;
    return why->scope == NULL ? TN_WHY_TASK : causes[why->origin];
}

static void read_record(const tni_why *why, tn_why_info *out)
{
    out->error = why->error;
    out->cause = cause_of(why);
    out->scope = (const tn_scope *)(const void *)why->scope;
    out->entered_at = why->site;
    out->depth = why->depth;
    out->deadline_ns = why->deadline_ns;
    out->failed_ns = why->failed_ns;
    if (why->waited_for != NULL)
        (void)strncpy(out->waited_for, why->waited_for, sizeof out->waited_for - 1);
}

static void read_all(int error, tn_why_info *out)
{
    const tn_task *task = tni_tls_get()->task;
    const tni_why *why = tni_why_find();
    const tni_work *work = task != NULL ? tni_work_of(task) : NULL;

    if (why != NULL && why->error == error) {
        read_record(why, out);
    } else if (error == TN_ECANCELED && task != NULL && tni_task_is_cancelled(task)) {
        out->error = error;
        out->cause = TN_WHY_TASK;
        out->failed_ns = tni_task_clock_ns();
    }
    if (work != NULL) {
        out->spent.size = sizeof out->spent;
        tni_work_spent(work, tni_clock_ns(), &out->spent);
    }
}

int tn_why(int error, tn_why_info *out)
{
    size_t size = out->size;
    tn_why_info all;

    if (!tni_result_has_size(size) || (error != TN_ECANCELED && error != TN_ETIMEDOUT))
        return TN_EINVAL;
    memset(&all, 0, sizeof all);
    read_all(error, &all);
    tni_result_copy(out, size, &all, sizeof all);
    return 0;
}

/* --- Text ----------------------------------------------------------------------------------------------------------------- */

static const char *subject_of(tn_why_cause cause)
{
    switch (cause) {
    case TN_WHY_DEADLINE:
        return "the deadline passed of the scope entered in";
    case TN_WHY_SCOPE:
        return "tn_scope_cancel, of the scope entered in";
    case TN_WHY_SOURCE:
        return "the cancel source, of the scope entered in";
    case TN_WHY_TOKEN:
        return "the cancel token, of the scope entered in";
    case TN_WHY_TASK:
        return "the task was cancelled";
    case TN_WHY_UNKNOWN:
        break;
    }
    return "unknown";
}

static void print_spent(const tn_work_spent *spent, tn_dump_fn line, void *ctx)
{
    char text[TNI_LOG_LINE_SIZE];

    if (spent->size != 0)
        line(ctx, tni_work_text(spent, text, sizeof text));
}

static const char *code_of(int error)
{
    if (error == 0)
        return "no error recorded";
    return error == TN_ETIMEDOUT ? "TN_ETIMEDOUT" : "TN_ECANCELED";
}

void tn_why_print(const tn_why_info *given, tn_dump_fn line, void *ctx)
{
    tn_why_info all = {.size = 0}; /* `given` may be shorter */
    const tn_why_info *why = &all;
    char waited[64] = "";
    char code[256] = "";
    char text[TNI_LOG_LINE_SIZE];

    memcpy(&all, given, given->size < sizeof all ? given->size : sizeof all);
    if (why->waited_for[0] != '\0')
        (void)snprintf(waited, sizeof waited, ", while it waited for %.23s", why->waited_for);
    if (why->entered_at != NULL)
        tn_code_name(why->entered_at, code, sizeof code);
    (void)snprintf(text, sizeof text, "%s: %s%s%s%s", code_of(why->error), subject_of(why->cause), code[0] != '\0' ? " " : "",
                   code, waited);
    line(ctx, text);
    print_spent(&why->spent, line, ctx);
}
