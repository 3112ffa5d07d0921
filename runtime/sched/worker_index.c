/* SPDX-License-Identifier: MIT */
/* Which worker runs the caller. */
#include "base/tls.h"
#include "sched/runtime.h"

int tn_worker_index(void)
{
    tni_worker *worker = tni_tls_get()->worker;
    tni_core *core = worker != NULL ? tni_worker_enter(worker) : NULL;
    int index;

    if (core == NULL)
        return -1;
    index = (int)core->index;
    tni_worker_leave(worker);
    return index;
}
