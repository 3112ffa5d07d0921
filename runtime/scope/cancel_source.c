/* SPDX-License-Identifier: MIT */
/* Cancel sources: one call cancels every cancel scope that was entered with the source. scope.c links the scopes. */
#include "scope/scope.h"

#include "base/order.h"

void tn_cancel_source_init(tn_cancel_source *public)
{
    tni_cancel_source *source = tni_scope_source_of(public);

    tni_os_mutex_init(&source->lock);
    tni_a32_init(&source->cancelled, 0);
    source->scopes = (tni_list){.first = NULL};
}

void tn_cancel_source_fini(tn_cancel_source *public)
{
    tni_cancel_source *source = tni_scope_source_of(public);

    tni_assert(source->scopes.first == NULL, "tn_cancel_source_fini: a scope that names it is still entered");
    tni_os_mutex_fini(&source->lock);
}

void tn_cancel_source_cancel(tn_cancel_source *public)
{
    tni_cancel_source *source = tni_scope_source_of(public);

    tni_order_release();
    tni_os_mutex_lock(&source->lock);
    /* Release: publishes what the canceller wrote to tn_cancel_source_is_cancelled(), which reads it without the lock. */
    tni_a32_store(&source->cancelled, 1, TNI_RELEASE);
    for (tni_list_node *at = source->scopes.first; at != NULL; at = at->next)
        tni_scope_cancel(tni_container_of(at, tni_scope, node));
    tni_os_mutex_unlock(&source->lock);
}

bool tn_cancel_source_is_cancelled(const tn_cancel_source *public)
{
    const tni_cancel_source *source = (const tni_cancel_source *)(const void *)public;

    /* Acquire: observes what the canceller wrote; partner: tn_cancel_source_cancel. */
    bool cancelled = tni_a32_load(&source->cancelled, TNI_ACQUIRE) != 0;

    tni_order_acquire();
    return cancelled;
}
