/* SPDX-License-Identifier: MIT */
/* The states of a child process; child.h has the protocol. */
#include "process/child.h"

#include "base/alloc.h"

tni_child *tni_child_make(void)
{
    tni_child *child = tni_alloc(&tni_alloc_default, sizeof *child, _Alignof(tni_child));

    if (child == NULL)
        return NULL;
    tni_wait_init(&child->over);
    tni_a32_init(&child->references, 1);
    return child;
}

void tni_child_retain(tni_child *child)
{
    /* Relaxed: the caller has a reference, so one more publishes nothing. */
    (void)tni_a32_fetch_add(&child->references, 1, TNI_RELAXED);
}

void tni_child_release(tni_child *child)
{
    /* Release: what each holder did comes before the free. Acquire: the last one observes that. */
    if (tni_a32_fetch_sub(&child->references, 1, TNI_ACQ_REL) == 1)
        tni_free(&tni_alloc_default, child, sizeof *child);
}

bool tni_child_reap_locked(tni_child *child)
{
    tni_os_mutex_assert_held(child->lock);
    if (!tni_os_process_reap(&child->process, child->group_ends, &child->end))
        return false;
    child->reaped = true;
    return true;
}

void tni_child_finish(tni_child *child)
{
    tn_waker *waker = tni_wait_end(&child->over);

    if (waker != NULL)
        tn_waker_wake(waker);
    tni_child_release(child);
}

int tni_child_send(tni_child *child, int number, bool group)
{
    int rc = 0;

    tni_os_mutex_lock(child->lock);
    if (!child->reaped)
        rc = tni_os_process_send(&child->process, number, group);
    tni_os_mutex_unlock(child->lock);
    return rc;
}

int tni_child_poll(tni_child *child, tn_waker **armed, tn_waker *waker)
{
    switch (tni_wait_arm_once(&child->over, *armed, waker)) {
    case TNI_WAIT_ARMED:
        *armed = waker;
        return TN_PENDING;
    case TNI_WAIT_BUSY:
        return TN_EBUSY;
    case TNI_WAIT_IS_OVER:
        break;
    }
    *armed = NULL; /* the end has taken the reference */
    return 0;
}

void tni_child_disarm(tni_child *child, tn_waker **armed)
{
    if (*armed != NULL)
        tni_wait_disarm_once(&child->over, *armed);
    *armed = NULL;
}
