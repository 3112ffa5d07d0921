/* SPDX-License-Identifier: MIT */
/* Counting forks. */
#include "base/fork.h"

#include "base/atomic.h"
#include "base/log.h"
#include "base/thread.h"

uint32_t tni_fork_generation;

/* One per process, as the C library's handlers of fork are. No thread waits for another one that registers the handlers: in a
 * child of fork that thread does not exist. So each of several threads that are first at the same time registers them. A child
 * then runs them several times, which has the effect of once: only the equality of generations counts, and `in_child` may be
 * called again. A child that has them and not this word registers them once more. */
static tni_a32 watched; /* 1: the handlers are registered */
static bool logged;

static void count_generation(void)
{
    tni_fork_generation++;
    logged = false;
}

int tni_fork_watch(void (*in_child)(void))
{
    int rc;

    /* Relaxed, as the store below: it guards no data. The C library's list of handlers has a lock of its own, and a fork that
     * comes after this call takes it. */
    if (tni_a32_load(&watched, TNI_RELAXED) != 0)
        return 0;
    rc = tni_thread_at_fork(count_generation);
    if (rc == 0)
        rc = tni_thread_at_fork(in_child);
    if (rc == 0)
        tni_a32_store(&watched, 1, TNI_RELAXED); /* relaxed: as above */
    return rc;
}

void tni_fork_log_refusal(const char *call)
{
    if (logged)
        return;
    logged = true;
    /* Not by the log of the runtime: a lock of that may have been held by a thread that is not here. */
    tni_log_write(NULL, TN_LOG_ERROR, "%s: a child of fork uses a runtime of its parent: create one after fork, or call exec",
                  call);
}
