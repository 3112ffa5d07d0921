/* SPDX-License-Identifier: MIT */
/* In place of starter.c and reporter.c: a runtime without their two threads, which would sleep when the scenario's threads have
 * ended. */
#ifndef NO_STARTER_H
#define NO_STARTER_H

#include "sched/starter.h"
#include "watch/reporter.h"

void tni_starter_init(tni_starter *starter)
{
    (void)starter;
}

int tni_starter_start(tn_runtime *runtime)
{
    (void)runtime;
    return 0;
}

void tni_starter_stop(tn_runtime *runtime)
{
    (void)runtime;
}

bool tni_starter_is_urgent(const tni_starter *starter)
{
    (void)starter;
    return false;
}

void tni_starter_request(tn_runtime *runtime, tni_starter_bits bit)
{
    (void)runtime, (void)bit;
}

void tni_starter_request_workers(tn_runtime *runtime, unsigned count)
{
    (void)runtime, (void)count;
}

void tni_reporter_init(tni_reporter *reporter)
{
    (void)reporter;
}

void tni_reporter_fini(tn_runtime *runtime)
{
    (void)runtime;
}

int tni_reporter_start(tn_runtime *runtime)
{
    (void)runtime;
    return 0;
}

void tni_reporter_stop(tn_runtime *runtime)
{
    (void)runtime;
}

void tni_reporter_deadlock(tn_runtime *runtime)
{
    (void)runtime;
}

void tni_reporter_check_waits(tn_runtime *runtime)
{
    (void)runtime;
}

bool tni_reporter_takes_last(const tn_runtime *runtime)
{
    (void)runtime;
    return false;
}

void tni_reporter_give_last(tn_runtime *runtime, tn_task *task)
{
    (void)runtime, (void)task;
}

bool tni_reporter_can_take(const tn_runtime *runtime)
{
    (void)runtime;
    return false;
}

void tni_reporter_give(tn_runtime *runtime, tn_task *task, tni_stuck_details stuck)
{
    (void)runtime, (void)task, (void)stuck;
}

#endif
