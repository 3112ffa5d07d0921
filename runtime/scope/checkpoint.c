/* SPDX-License-Identifier: MIT */
/* Cancellation points: calls that return an error once the calling task is cancelled or its deadline has passed. */
#include "scope/checkpoint.h"

#include "scope/scope.h"

int tni_checkpoint(void)
{
    const tni_tls *local = tni_tls_get();
    const tni_scope *scope = tni_scope_of(local);
    bool cancelled = local->task != NULL && tni_task_is_cancelled(local->task);

    return tni_likely(scope == NULL && !cancelled) ? 0 : tni_scope_check(scope, cancelled);
}

int tn_checkpoint(void)
{
    const tni_tls *local = tni_tls_get();
    tni_scope *scope = tni_scope_of(local);
    bool cancelled = local->task != NULL && tni_task_is_cancelled(local->task);

    if (scope != NULL)
        tni_scope_read_clock(scope);
    return tni_likely(scope == NULL && !cancelled) ? 0 : tni_scope_check(scope, cancelled);
}
