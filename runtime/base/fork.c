/* SPDX-License-Identifier: MIT */
/* Counting forks. */
#include "base/fork.h"

#include "base/atomic.h"
#include "base/log.h"
#include "base/thread.h"

uint32_t tni_fork_generation;

/* One per process, as the C library's handlers of fork are. */
static tni_a32 state; /* 0: not watched; 1: a thread is registering the handler; 2: watched */
static void (*then)(void);
static bool logged;

static void child_handler(void)
{
    tni_fork_generation++;
    tni_a32_store(&state, 2, TNI_RELAXED); /* relaxed: there is one thread; the one that registered may not be here */
    logged = false;
    then();
}

int tni_fork_watch(void (*in_child)(void))
{
    uint32_t unwatched = 0;
    int rc;

    /* Acquire: observes `then`; partner: tni_fork_watch. */
    while (!tni_a32_cas(&state, &unwatched, 1, TNI_ACQUIRE)) {
        if (unwatched == 2)
            return 0;
        unwatched = 0;
        tni_thread_yield();
    }
    then = in_child;
    rc = tni_thread_at_fork(child_handler);
    /* Release: publishes `then`. */
    tni_a32_store(&state, rc == 0 ? 2 : 0, TNI_RELEASE);
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
