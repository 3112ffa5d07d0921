/* SPDX-License-Identifier: MIT */
/* The thread that starts threads. starter.h has the protocol. */
#include "sched/starter.h"

#include "base/tls.h"
#include "sched/runtime.h"
#include "sched/worker_replacement.h"

/* What does not wait until the cores have given what they do not use (reclaim.h). */
#define URGENT (TNI_STARTER_WORKERS | TNI_STARTER_STOP)

void tni_starter_init(tni_starter *starter)
{
    starter->started = false;
    tni_a32_init(&starter->requests, 0);
    tni_a32_init(&starter->workers, 0);
    tni_a32_init(&starter->failed, 0);
}

void tni_starter_request(tn_runtime *runtime, tni_starter_bits bit)
{
    tni_starter *starter = &runtime->starter;

    /* Release: publishes what the caller has written for the starter; partner: tni_starter_serve. */
    if (tni_a32_fetch_or(&starter->requests, bit, TNI_RELEASE) == 0)
        tni_futex_wake(&starter->requests, 1);
    if ((bit & URGENT) != 0)
        tni_reclaim_wake(runtime);
}

bool tni_starter_is_urgent(const tni_starter *starter)
{
    /* Relaxed: after the acquire of `changes`, which the request changes after the bit; partner: tni_starter_request. */
    return (tni_a32_load(&starter->requests, TNI_RELAXED) & URGENT) != 0;
}

void tni_starter_request_workers(tn_runtime *runtime, unsigned count)
{
    /* Relaxed: published with the bit. */
    (void)tni_a32_fetch_add(&runtime->starter.workers, count, TNI_RELAXED);
    tni_starter_request(runtime, TNI_STARTER_WORKERS);
}

static void start_workers(tn_runtime *runtime)
{
    /* Relaxed: observed with the bit. One that is added now comes with a bit of its own. */
    uint32_t count = tni_a32_exchange(&runtime->starter.workers, 0, TNI_RELAXED);

    for (uint32_t i = 0; i < count; i++) {
        bool failed = !tni_worker_start_replacement(runtime);
        tni_a32_store(&runtime->starter.failed, failed, TNI_RELAXED); /* relaxed: a hint, for the log */
    }
}

uint32_t tni_starter_serve(tn_runtime *runtime)
{
    /* Acquire: observes what was written before the request; partner: tni_starter_request. */
    uint32_t bits = tni_a32_exchange(&runtime->starter.requests, 0, TNI_ACQUIRE);

    if (bits & TNI_STARTER_WORKERS)
        start_workers(runtime);
    if (bits & TNI_STARTER_MAINTAIN)
        (void)tni_runtime_maintain_attachment(runtime, tni_clock_ns());
    if (bits & TNI_STARTER_QUOTA)
        tni_worker_limit_read(runtime);
    return bits;
}

static void *starter_main(void *arg)
{
    tn_runtime *runtime = arg;
    bool stop = false;

    tni_thread_name("tn-starter");
    tni_tls_get()->log_sink = &runtime->reporter.sink;
    for (;;) {
        uint32_t bits = tni_starter_serve(runtime);
        stop = stop || (bits & TNI_STARTER_STOP) != 0;
        if (bits == 0 && stop)
            return NULL;
        if (bits == 0)
            tni_futex_wait(&runtime->starter.requests, 0, TNI_FOREVER);
    }
}

int tni_starter_start(tn_runtime *runtime)
{
    int rc = tni_thread_start(&runtime->starter.thread, starter_main, runtime);

    runtime->starter.started = rc == 0;
    return rc;
}

void tni_starter_stop(tn_runtime *runtime)
{
    if (!runtime->starter.started)
        return;
    tni_starter_request(runtime, TNI_STARTER_STOP);
    tni_thread_join(&runtime->starter.thread);
    runtime->starter.started = false;
}
