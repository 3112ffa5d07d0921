/* SPDX-License-Identifier: MIT */
/* The injector: the global run queue of a runtime, a list under a mutex. */
#include "sched/injector.h"

void tni_injector_init(tni_injector *injector)
{
    tni_os_mutex_init(&injector->lock);
    injector->first = NULL;
    injector->last = NULL;
    injector->closed = false;
    tni_a32_init(&injector->length, 0);
}

void tni_injector_fini(tni_injector *injector)
{
    tni_os_mutex_fini(&injector->lock);
}

void tni_injector_close(tni_injector *injector)
{
    tni_os_mutex_lock(&injector->lock);
    injector->closed = true;
    tni_os_mutex_unlock(&injector->lock);
}

void tni_injector_push(tni_injector *injector, tn_task *first, tn_task *last, unsigned count)
{
    tni_os_mutex_lock(&injector->lock);
    tni_injector_append_locked(injector, first, last, count);
    tni_os_mutex_unlock(&injector->lock);
}

void tni_injector_return(tni_injector *injector, tn_task *first, tn_task *last, unsigned count)
{
    tni_os_mutex_lock(&injector->lock);
    last->queue_next = injector->first;
    injector->first = first;
    if (injector->last == NULL)
        injector->last = last;
    /* Relaxed: as in tni_injector_append_locked. */
    tni_a32_store(&injector->length, tni_a32_load(&injector->length, TNI_RELAXED) + count, TNI_RELAXED);
    tni_os_mutex_unlock(&injector->lock);
}

unsigned tni_injector_take(tni_injector *injector, tn_task **tasks, unsigned max)
{
    unsigned taken = 0;

    if (tni_injector_length(injector) == 0)
        return 0;
    tni_os_mutex_lock(&injector->lock);
    while (taken < max && injector->first != NULL) {
        tasks[taken++] = injector->first;
        injector->first = injector->first->queue_next;
    }
    if (injector->first == NULL)
        injector->last = NULL;
    /* Relaxed: as in tni_injector_append_locked. */
    tni_a32_store(&injector->length, tni_a32_load(&injector->length, TNI_RELAXED) - taken, TNI_RELAXED);
    tni_os_mutex_unlock(&injector->lock);
    return taken;
}
