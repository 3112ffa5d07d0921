/* SPDX-License-Identifier: MIT */
/* The threads that work for the monitor: each request is done by the starter, and each report is made by the reporter, whatever
 * they do when it comes, and before they end. */
#include "sched/starter.h"
#include "model.h"
#include "small_runtime.h"
#include "watch/reporter.h"

typedef struct {
    tn_runtime *runtime;
    tni_attachment attachment;
    uint32_t written; /* plain: the requester's until its request */
    tni_a32 done;     /* 1: the starter has found it written */
    tni_a32 reports;
} scene;

static scene *present; /* constant while threads run */

static size_t stop_nothing(tni_attachment *self, uint64_t deadline_ns)
{
    (void)self;
    (void)deadline_ns;
    return 0;
}

static void fini_nothing(tni_attachment *self)
{
    (void)self;
}

static void setup(void *state)
{
    scene *s = state;

    present = s;
    s->runtime = small_runtime_create();
    model_name_of(s->runtime->starter.requests);
    model_name_of(s->runtime->reporter.news);
    tni_a32_init(&s->done, 0);
    tni_a32_init(&s->reports, 0);
}

/* --- The starter ------------------------------------------------------------------------------------------------------------ */

static bool wants_it(const tni_attachment *self)
{
    (void)self;
    return true;
}

static bool note_it(tni_attachment *self, uint64_t now_ns)
{
    (void)self;
    (void)now_ns;
    if (present->written != 0) {
        tni_a32_store(&present->done, 1, TNI_RELEASE);
        tni_futex_wake(&present->done, 1);
    }
    return false;
}

static void set_up_starter(scene *s, bool (*maintain)(tni_attachment *self, uint64_t now_ns))
{
    setup(s);
    s->attachment = (tni_attachment){stop_nothing, maintain, wants_it, NULL, fini_nothing};
    tni_aptr_store(&s->runtime->attachment, &s->attachment, TNI_RELEASE);
    model_check(tni_starter_start(s->runtime) == 0);
}

static void setup_starter(void *state)
{
    set_up_starter(state, note_it);
}

static void request_and_wait(void *state)
{
    scene *s = state;

    s->written = 1;
    tni_starter_request(s->runtime, TNI_STARTER_MAINTAIN);
    while (tni_a32_load(&s->done, TNI_ACQUIRE) == 0)
        tni_futex_wait(&s->done, 0, TNI_FOREVER);
    tni_starter_stop(s->runtime);
}

static void request_and_stop(void *state)
{
    scene *s = state;

    s->written = 1;
    tni_starter_request(s->runtime, TNI_STARTER_MAINTAIN);
    tni_starter_stop(s->runtime);
}

/* The core never gives, and the wait for that has no other end in the model. */
static bool reclaim_it(tni_attachment *self, uint64_t now_ns)
{
    (void)note_it(self, now_ns);
    tni_reclaim_memory_in_starter(present->runtime);
    return false;
}

static void setup_reclaim(void *state)
{
    set_up_starter(state, reclaim_it);
    model_name_of(present->runtime->reclaim.changes);
}

static void request_and_start(void *state)
{
    scene *s = state;

    s->written = 1;
    tni_starter_request(s->runtime, TNI_STARTER_MAINTAIN);
    tni_starter_request_workers(s->runtime, 0);
    while (tni_a32_load(&s->runtime->starter.requests, TNI_RELAXED) != 0)
        tni_thread_yield();
    tni_starter_stop(s->runtime);
}

static void finish_starter(void *state)
{
    scene *s = state;

    model_check(tni_a32_load(&s->done, TNI_RELAXED) == 1);
    small_runtime_destroy(s->runtime);
}

/* --- The reporter ----------------------------------------------------------------------------------------------------------- */

static void count_report(void *ctx, tn_runtime *runtime)
{
    (void)ctx;
    (void)runtime;
    (void)tni_a32_fetch_add(&present->reports, 1, TNI_RELEASE);
    tni_futex_wake(&present->reports, 1);
}

static void setup_reporter(void *state)
{
    scene *s = state;

    setup(state);
    s->runtime->options.on_deadlock = count_report;
    model_check(tni_reporter_start(s->runtime) == 0);
}

static void report_two(scene *s)
{
    tni_reporter_deadlock(s->runtime);
    tni_reporter_deadlock(s->runtime);
}

static void report_and_wait(void *state)
{
    scene *s = state;
    uint32_t reports;

    report_two(s);
    while ((reports = tni_a32_load(&s->reports, TNI_ACQUIRE)) < 2)
        tni_futex_wait(&s->reports, reports, TNI_FOREVER);
    tni_reporter_stop(s->runtime);
}

static void report_and_stop(void *state)
{
    scene *s = state;

    report_two(s);
    tni_reporter_stop(s->runtime);
}

static void finish_reporter(void *state)
{
    scene *s = state;

    model_check(tni_a32_load(&s->reports, TNI_RELAXED) == 2);
    small_runtime_destroy(s->runtime);
}

#define CASE(what, before, after, thread) \
    { \
        .name = "starter." what, .state_bytes = sizeof(scene), .setup = before, .threads = {thread}, .finish = after, \
        .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("request", setup_starter, finish_starter, request_and_wait),
    CASE("request_stop", setup_starter, finish_starter, request_and_stop),
    CASE("reclaim", setup_reclaim, finish_starter, request_and_start),
    CASE("report", setup_reporter, finish_reporter, report_and_wait),
    CASE("report_stop", setup_reporter, finish_reporter, report_and_stop),
    {0},
};
