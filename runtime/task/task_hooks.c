/* SPDX-License-Identifier: MIT */
#include "task/task_hooks.h"

#include "base/alloc.h"
#include "base/tls.h"
#include "task/task_upcalls.h"

tni_task_hook *tni_task_hook_new(tn_runtime *runtime, tni_task_hook_kind kind, tni_task_hook *next)
{
    tni_task_hook *extra = tni_alloc(tni_runtime_allocator(runtime), sizeof *extra, _Alignof(tni_task_hook));

    if (extra == NULL)
        return NULL;
    extra->kind = kind;
    extra->next = next;
    tni_a32_init(&extra->taken, 0);
    return extra;
}

void tni_task_hook_free(tn_runtime *runtime, tni_task_hook *extra)
{
    tni_free(tni_runtime_allocator(runtime), extra, sizeof *extra);
}

void tni_task_hooks_at_exit(tn_task *task)
{
    tn_runtime *runtime = task->runtime;
    tni_task_hook *extra;

    /* One by one: a hook may add others. */
    while ((extra = task->extras) != NULL && extra->kind != TNI_TASK_HOOK_DROP_RESULT) {
        bool lent = extra->kind == TNI_TASK_HOOK_BORROWED;
        task->extras = extra->next;
        if (extra->fn != NULL)
            extra->fn(extra->arg);
        if (!lent)
            tni_task_hook_free(runtime, extra);
    }
}

void tni_task_hooks_result_taken(tn_task *task)
{
    /* Relaxed: the joiner's reference, given back later, orders it before the header is freed. */
    if (task->extras != NULL)
        tni_a32_store(&task->extras->taken, 1, TNI_RELAXED);
}

void tni_task_hooks_at_free(tn_task *task)
{
    tni_task_hook *extra = task->extras;

    task->extras = NULL;
    /* Relaxed: the last reference is ours. */
    if (task->error == 0 && tni_a32_load(&extra->taken, TNI_RELAXED) == 0)
        extra->fn(task->result);
    tni_task_hook_free(task->runtime, extra);
}

/* --- Public ----------------------------------------------------------------------------------------------------------------- */

int tn_task_at_exit(void (*fn)(void *arg), void *arg)
{
    tn_task *task = tni_tls_get()->task;
    tni_task_hook *extra;

    if (task == NULL)
        return TN_EINVAL;
    extra = tni_task_hook_new(task->runtime, TNI_TASK_HOOK_EXIT, task->extras);
    if (extra == NULL)
        return TN_ENOMEM;
    extra->fn = fn;
    extra->arg = arg;
    task->extras = extra;
    return 0;
}

static tni_task_hook *find_local(const tn_task *task, const tn_task_local_key *key)
{
    tni_task_hook *extra = task->extras;

    while (extra != NULL && extra->key != key)
        extra = extra->next;
    return extra;
}

int tn_task_local_set(const tn_task_local_key *key, void *value)
{
    tn_task *task = tni_tls_get()->task;
    tni_task_hook *extra;

    if (task == NULL)
        return TN_EINVAL;
    extra = find_local(task, key);
    if (extra == NULL) {
        extra = tni_task_hook_new(task->runtime, TNI_TASK_HOOK_LOCAL, task->extras);
        if (extra == NULL)
            return TN_ENOMEM;
        extra->key = key;
        extra->fn = key->destroy;
        task->extras = extra;
    }
    extra->arg = value;
    return 0;
}

void *tn_task_local_get(const tn_task_local_key *key)
{
    const tn_task *task = tni_tls_get()->task;
    const tni_task_hook *extra = task == NULL ? NULL : find_local(task, key);

    return extra == NULL ? NULL : extra->arg;
}
