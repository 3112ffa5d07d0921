/* SPDX-License-Identifier: MIT */
/* The record of why a cancellation point has failed: see why.h. */
#include "scope/why.h"

#include "base/alloc.h"
#include "base/tls.h"
#include "task/task_upcalls.h"
#include "time/deadline.h"

static void free_record(void *arg)
{
    tni_why *why = arg;

    tni_free(tni_runtime_allocator(why->runtime), why, sizeof *why);
}

static const tn_task_local_key key = {free_record};

_Static_assert(sizeof(tni_why) <= sizeof((tni_tls *)NULL)->why, "tni_tls.why is too small");

tni_why *tni_why_find(void)
{
    tni_tls *local = tni_tls_get();

    if (local->task == NULL)
        return (tni_why *)(void *)local->why;
    return local->task->kind == TNI_TASK_FIBER ? tn_task_local_get(&key) : NULL;
}

/* NULL: no memory. */
static tni_why *make(const tn_task *task)
{
    tni_why *why = tni_alloc(tni_runtime_allocator(task->runtime), sizeof *why, _Alignof(tni_why));

    if (why == NULL)
        return NULL;
    why->runtime = task->runtime;
    if (tn_task_local_set(&key, why) == 0)
        return why;
    free_record(why);
    return NULL;
}

static bool has(const tni_scope *scope, uint32_t flag)
{
    /* Relaxed: only which scope it was; tni_scope_check has acquired it. */
    return tni_a32_load(&scope->state, TNI_RELAXED) & flag;
}

/* The scope that has ended the call: the outermost one that was cancelled; or that has the deadline which passed first, which the
 * scopes inside it inherit. NULL: the task was cancelled. */
static const tni_scope *find_cause(const tni_scope *innermost, int error, unsigned *depth)
{
    uint32_t flag = error == TN_ECANCELED ? TNI_SCOPE_CANCELLED : TNI_SCOPE_EXPIRED;
    const tni_scope *cause = NULL;
    unsigned at = 0;

    for (const tni_scope *scope = innermost; scope != NULL; scope = scope->shield ? NULL : scope->parent, at++) {
        bool first = cause == NULL || error == TN_ECANCELED || scope->deadline_ns == cause->deadline_ns;
        if (has(scope, flag) && first) {
            cause = scope;
            *depth = at;
        }
    }
    return cause;
}

/* `scope`: the cause, or NULL: the task was cancelled. */
static void fill(tni_why *why, const tni_scope *scope, unsigned depth, int error)
{
    why->scope = scope;
    why->site = scope != NULL ? scope->site : NULL;
    why->origin = scope != NULL ? (tni_scope_origin)scope->origin : TNI_SCOPE_PLAIN;
    why->deadline_ns = scope != NULL && error == TN_ETIMEDOUT ? scope->deadline_ns : 0;
    why->failed_ns = tni_task_clock_ns();
    why->waited_for = NULL;
    why->depth = depth;
    why->error = error;
}

/* A task without scopes gets no record: its only cause is tn_cancel, and a million tasks may be cancelled at once. If it has
 * one of an earlier call, that must not stay. */
__attribute__((noinline, cold)) void tni_why_record(const tni_scope *innermost, int error)
{
    const tn_task *task = tni_tls_get()->task;
    tni_why *why = tni_why_find();
    const tni_scope *cause;
    unsigned depth = 0;

    if (why == NULL && innermost != NULL && task != NULL && task->kind == TNI_TASK_FIBER)
        why = make(task);
    if (why == NULL)
        return;
    cause = find_cause(innermost, error, &depth);
    fill(why, cause, depth, error);
}

__attribute__((noinline, cold)) void tni_why_waited(const char *name)
{
    tni_why *why = tni_why_find();

    if (why != NULL)
        why->waited_for = name;
}
