/* SPDX-License-Identifier: MIT */
/* The starter: a thread that starts threads, and does what else may wait for a lock of the C library, so that the monitor never
 * does. Starting a thread allocates memory, and a task may be inside the allocator, or inside dlopen, for long.
 *
 * State: one word of request bits. A request: 1. write what the starter will read (for workers: their number); 2. set the bit
 * (release); 3. if the word was 0, wake the thread. The thread: 1. exchange the word for 0 (acquire); 2. if it was 0, sleep while
 * it is 0; otherwise do what was requested; 3. repeat. It ends at an exchange that finds 0 after one that has found the stop bit.
 *
 * *No request is lost.* The sleep compares the word with 0, so a bit that was set before ends it, or step 3 of the request does.
 * Each exchange takes all bits, and what the bits announce was written before them. A request that comes while an earlier one is
 * done finds 0 and sets the bit again.
 *
 * *At the end* (tn_runtime_destroy) the monitor has been joined, and no task is left or tasks have been given up. The stop bit
 * ends the thread, which is joined before `stopping` is set. A request by an abandoned task after that is never done, and what it
 * has counted as starting stays so: the runtime gives no core away any more.
 *
 * A runtime of the flavor TN_CURRENT_THREAD has no starter, and no thread that makes a request. */
#ifndef TNI_STARTER_H
#define TNI_STARTER_H

#include "base/atomic.h"
#include "base/thread.h"
#include "sched/monitor_state.h"

typedef enum {
    TNI_STARTER_WORKERS = 1,  /* start replacement threads */
    TNI_STARTER_MAINTAIN = 2, /* maintain the attachment (runtime.h) */
    TNI_STARTER_STOP = 4,
    TNI_STARTER_QUOTA = 8, /* read the CPU quota (worker_limit.h) */
} tni_starter_bits;

typedef struct {
    tni_thread thread;
    bool started;
    tni_cache_aligned tni_a32 requests; /* bits of tni_starter_bits; the thread sleeps on it */
    tni_a32 workers;                    /* replacement threads to start */
    tni_a32 failed;                     /* 1: the last of them could not be started */
} tni_starter;

void tni_starter_init(tni_starter *starter);
/* Starts the thread. Returns 0 or a negative errno value. */
int tni_starter_start(tn_runtime *runtime);
/* Stops and joins the thread. Does nothing if it was not started. */
void tni_starter_stop(tn_runtime *runtime);

/* Any thread. Makes the thread do what the bit says, soon. */
void tni_starter_request(tn_runtime *runtime, tni_starter_bits bit);
/* Any thread. Makes it start `count` replacement threads, which are counted as starting (worker_replacement.c). */
void tni_starter_request_workers(tn_runtime *runtime, unsigned count);

/* The starter: whether it is to start threads or to end. A wait in what the thread does for the attachment then ends early. */
bool tni_starter_is_urgent(const tni_starter *starter);

/* The starter, or a scenario of the model in its place: does what has been requested. Returns the bits. */
uint32_t tni_starter_serve(tn_runtime *runtime);

#endif
