/* SPDX-License-Identifier: MIT */
/* Cancellation points: calls that return an error once the calling task is cancelled or its deadline has passed. */
#include "scope/checkpoint.h"

#include "scope/scope.h"

int tni_checkpoint(void)
{
    const tni_tls *local = tni_tls_get();
    const tni_scope *scope = tni_scope_of(local);
    bool cancelled = local->task != NULL && tni_task_is_cancelled(local->task);

    if (tni_likely(scope == NULL))
        return cancelled ? TN_ECANCELED : 0;
    return tni_scope_check(scope, cancelled);
}

int tn_checkpoint(void)
{
    const tni_tls *local = tni_tls_get();
    tni_scope *scope = tni_scope_of(local);
    bool cancelled = local->task != NULL && tni_task_is_cancelled(local->task);

    if (tni_likely(scope == NULL))
        return cancelled ? TN_ECANCELED : 0;
    return tni_scope_check_clock(scope, cancelled);
}
