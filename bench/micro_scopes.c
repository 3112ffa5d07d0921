/* What it costs to be ready to be cut short: a deadline that is not used, a select that need not wait. */
#include <stdint.h>

#include "measure.h"
#include "micro_cases.h"

/* A future that is always ready. */
static int ready_poll(tn_future *self, tn_waker *waker)
{
    (void)self;
    (void)waker;
    return 1;
}

static void ready_drop(tn_future *self) { (void)self; }

static const tn_future_ops ready_ops = {.poll = ready_poll, .drop = ready_drop};

typedef struct {
    const char *name;
    long count;
    void (*once)(tn_future *ready);
} scope_job;

static void await_alone(tn_future *ready) { measure_check(tn_await(ready) == 1); }

/* One deadline for many operations, as a server computes one a request. */
static uint64_t deadline_ns;

static void await_until(tn_future *ready)
{
    tn_scope scope;

    tn_scope_enter(&scope, deadline_ns);
    measure_check(tn_await(ready) == 1);
    tn_scope_leave(&scope);
}

/* A second from now each time, which needs the clock. */
static void await_for(tn_future *ready)
{
    tn_scope scope;

    tn_scope_enter_for(&scope, TN_S);
    measure_check(tn_await(ready) == 1);
    tn_scope_leave(&scope);
}

static void select_two(tn_future *ready)
{
    tn_future *const futures[2] = {ready, ready};

    measure_check(tn_select(futures, 2, NULL) >= 0);
}

static void *repeat(void *arg)
{
    const scope_job *job = arg;
    tn_future ready = {&ready_ops};

    deadline_ns = tn_now() + 3600 * TN_S;
    for (long i = 0; i < job->count; i++)
        job->once(&ready);
    return NULL;
}

static void measure_job(const micro_settings *settings, tn_runtime *runtime, const char *name, void (*once)(tn_future *ready))
{
    scope_job job = {.name = name, .count = 1000, .once = once};
    uint64_t began_ns;
    uint64_t cpu_ns;

    micro_run(runtime, repeat, &job);
    job.count = settings->quick ? 100000 : 10000000;
    cpu_ns = measure_cpu_ns();
    began_ns = tn_now();
    micro_run(runtime, repeat, &job);
    began_ns = tn_now() - began_ns;
    measure_note(name, "ns/op", (double)began_ns / (double)job.count, (double)(measure_cpu_ns() - cpu_ns) / (double)job.count);
}

void micro_timeout_unused(const micro_settings *settings)
{
    tn_runtime *runtime = micro_start(settings);

    measure_job(settings, runtime, "await_ready", await_alone);
    measure_job(settings, runtime, "timeout_unused", await_until);
    measure_job(settings, runtime, "timeout_unused_for", await_for);
    micro_stop(runtime);
}

void micro_select_ready(const micro_settings *settings)
{
    tn_runtime *runtime = micro_start(settings);

    measure_job(settings, runtime, "select_ready", select_two);
    micro_stop(runtime);
}
