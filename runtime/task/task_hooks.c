/* SPDX-License-Identifier: MIT */
/* Task hooks: exit hooks, task-local values, dropping untaken results. */
#include "task/task_hooks.h"

#include "base/alloc.h"
#include "base/order.h"
#include "base/tls.h"
#include "task/task_upcalls.h"

tni_task_hook *tni_task_hook_new(tn_runtime *runtime, tni_task_hook_kind kind, tni_task_hook *next)
{
    tni_task_hook *hook = tni_alloc(tni_runtime_allocator(runtime), sizeof *hook, _Alignof(tni_task_hook));

    if (hook == NULL)
        return NULL;
    hook->kind = kind;
    hook->next = next;
    tni_a32_init(&hook->taken, 0);
    return hook;
}

void tni_task_hook_free(tn_runtime *runtime, tni_task_hook *hook)
{
    tni_free(tni_runtime_allocator(runtime), hook, sizeof *hook);
}

void tni_task_hooks_at_exit(tn_task *task)
{
    tn_runtime *runtime = task->runtime;
    tni_task_hook *hook;

    /* One by one: a hook may add others. */
    while ((hook = task->hooks) != NULL && hook->kind != TNI_TASK_HOOK_DROP_RESULT) {
        bool borrowed = hook->kind == TNI_TASK_HOOK_BORROWED;
        task->hooks = hook->next;
        if (hook->fn != NULL)
            hook->fn(hook->arg);
        if (!borrowed)
            tni_task_hook_free(runtime, hook);
    }
}

void tni_task_hooks_result_taken(tn_task *task)
{
    /* Relaxed: the joiner releases its reference later, which orders this store before tni_task_hooks_at_free(). */
    if (task->hooks != NULL)
        tni_a32_store(&task->hooks->taken, 1, TNI_RELAXED);
}

void tni_task_hooks_at_free(tn_task *task)
{
    tni_task_hook *hook = task->hooks;

    task->hooks = NULL;
    tni_order_acquire();
    /* Relaxed: the caller has the last reference. */
    if (task->error == 0 && tni_a32_load(&hook->taken, TNI_RELAXED) == 0)
        hook->fn(task->result);
    tni_task_hook_free(task->runtime, hook);
}

/* --- Public ----------------------------------------------------------------------------------------------------------------- */

int tn_task_at_exit(void (*fn)(void *arg), void *arg)
{
    tn_task *task = tni_tls_get()->task;
    tni_task_hook *hook;

    if (task == NULL)
        return TN_EINVAL;
    hook = tni_task_hook_new(task->runtime, TNI_TASK_HOOK_EXIT, task->hooks);
    if (hook == NULL)
        return TN_ENOMEM;
    hook->fn = fn;
    hook->arg = arg;
    task->hooks = hook;
    return 0;
}

static tni_task_hook *find_local(const tn_task *task, const tn_task_local_key *key)
{
    tni_task_hook *hook = task->hooks;

    while (hook != NULL && hook->key != key)
        hook = hook->next;
    return hook;
}

int tn_task_local_set(const tn_task_local_key *key, void *value)
{
    tn_task *task = tni_tls_get()->task;
    tni_task_hook *hook;

    if (task == NULL)
        return TN_EINVAL;
    hook = find_local(task, key);
    if (hook == NULL) {
        hook = tni_task_hook_new(task->runtime, TNI_TASK_HOOK_LOCAL, task->hooks);
        if (hook == NULL)
            return TN_ENOMEM;
        hook->key = key;
        hook->fn = key->destroy;
        task->hooks = hook;
    }
    hook->arg = value;
    return 0;
}

void *tn_task_local_get(const tn_task_local_key *key)
{
    const tn_task *task = tni_tls_get()->task;
    const tni_task_hook *hook = task == NULL ? NULL : find_local(task, key);

    return hook == NULL ? NULL : hook->arg;
}
