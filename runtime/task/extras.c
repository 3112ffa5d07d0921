#include "task/extras.h"

#include "base/alloc.h"
#include "base/tls.h"
#include "task/task_upcalls.h"

tni_extra *tni_extra_new(tn_runtime *runtime, tni_extra_kind kind, tni_extra *next)
{
    tni_extra *extra = tni_alloc(tni_runtime_allocator(runtime), sizeof *extra, _Alignof(tni_extra));

    if (extra == NULL)
        return NULL;
    extra->kind = kind;
    extra->next = next;
    tni_a32_init(&extra->taken, 0);
    return extra;
}

void tni_extra_free(tn_runtime *runtime, tni_extra *extra)
{
    tni_free(tni_runtime_allocator(runtime), extra, sizeof *extra);
}

void tni_extras_at_exit(tn_task *task)
{
    tn_runtime *runtime = task->runtime;
    tni_extra *extra;

    /* One by one: a hook may add others. */
    while ((extra = task->extras) != NULL && extra->kind != TNI_EXTRA_DROP_RESULT) {
        bool lent = extra->kind == TNI_EXTRA_LENT;
        task->extras = extra->next;
        if (extra->fn != NULL)
            extra->fn(extra->arg);
        if (!lent)
            tni_extra_free(runtime, extra);
    }
}

void tni_extras_result_taken(tn_task *task)
{
    /* Relaxed: the joiner's reference, given back later, orders it before the header is freed. */
    if (task->extras != NULL)
        tni_a32_store(&task->extras->taken, 1, TNI_RELAXED);
}

void tni_extras_at_free(tn_task *task)
{
    tni_extra *extra = task->extras;

    task->extras = NULL;
    /* Relaxed: the last reference is ours. */
    if (task->error == 0 && tni_a32_load(&extra->taken, TNI_RELAXED) == 0)
        extra->fn(task->result);
    tni_extra_free(task->runtime, extra);
}

/* --- Public ----------------------------------------------------------------------------------------------------------------- */

int tn_at_exit(void (*fn)(void *arg), void *arg)
{
    tn_task *task = tni_tls_get()->task;
    tni_extra *extra;

    if (task == NULL)
        return TN_EINVAL;
    extra = tni_extra_new(task->runtime, TNI_EXTRA_HOOK, task->extras);
    if (extra == NULL)
        return TN_ENOMEM;
    extra->fn = fn;
    extra->arg = arg;
    task->extras = extra;
    return 0;
}

static tni_extra *find_local(const tn_task *task, const tn_local_key *key)
{
    tni_extra *extra = task->extras;

    while (extra != NULL && extra->key != key)
        extra = extra->next;
    return extra;
}

int tn_local_set(const tn_local_key *key, void *value)
{
    tn_task *task = tni_tls_get()->task;
    tni_extra *extra;

    if (task == NULL)
        return TN_EINVAL;
    extra = find_local(task, key);
    if (extra == NULL) {
        extra = tni_extra_new(task->runtime, TNI_EXTRA_LOCAL, task->extras);
        if (extra == NULL)
            return TN_ENOMEM;
        extra->key = key;
        extra->fn = key->destroy;
        task->extras = extra;
    }
    extra->arg = value;
    return 0;
}

void *tn_local_get(const tn_local_key *key)
{
    const tn_task *task = tni_tls_get()->task;
    const tni_extra *extra = task == NULL ? NULL : find_local(task, key);

    return extra == NULL ? NULL : extra->arg;
}
