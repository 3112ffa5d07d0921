/* SPDX-License-Identifier: MIT */
/* The end of a blocking pool, while jobs are submitted, queued, run, taken back and waited for. An accepted job is run or
 * dropped, once; mandatory jobs are run. Each waiter is woken. The runtime is freed when the last thread that may still access
 * it has released it. A submitter is a thread inside a task of the runtime that destroy has abandoned: it holds a reference. */
#include "pool_alone.h"

#define JOBS 3

typedef struct end_scene end_scene;

typedef struct {
    end_scene *scene;
    uint32_t run;
    uint32_t dropped;
    bool tried;
    bool refused;
    bool mandatory;
    tn_job *handle;
} errand;

struct end_scene {
    pool_house house;
    errand errands[JOBS];
    tni_a32 gate;  /* 1: open */
    uint32_t left; /* number of jobs left behind */
};

/* --- Jobs ------------------------------------------------------------------------------------------------------------------- */

static void *run(void *arg)
{
    errand *e = arg;

    e->run++;
    return e;
}

static void drop(void *arg)
{
    ((errand *)arg)->dropped++;
}

static void open_gate(end_scene *s)
{
    tni_a32_store(&s->gate, 1, TNI_RELEASE);
    tni_futex_wake(&s->gate, JOBS);
}

static void *run_at_gate(void *arg)
{
    end_scene *s = ((errand *)arg)->scene;

    while (tni_a32_load(&s->gate, TNI_ACQUIRE) == 0)
        tni_futex_wait(&s->gate, 0, TNI_FOREVER);
    return run(arg);
}

static void submit(end_scene *s, unsigned i, tn_job_fn fn)
{
    tn_blocking_options options = tn_blocking_options_default();
    errand *e = &s->errands[i];
    int rc;

    options.drop = drop;
    options.mandatory = e->mandatory;
    rc = tn_spawn_blocking_on(s->house.runtime, &options, &e->handle, fn, e);
    model_check(rc == 0 || rc == TN_ESHUTDOWN);
    e->tried = true;
    e->refused = rc != 0;
}

static void *run_and_submit(void *arg)
{
    end_scene *s = ((errand *)arg)->scene;

    submit(s, 1, run);
    return run(arg);
}

/* --- Before ----------------------------------------------------------------------------------------------------------------- */

static void setup_queue(end_scene *s, size_t queue_max)
{
    tn_options options = {.size = sizeof options,
                          .blocking_threads = 1,
                          .file_threads = 1,
                          .name_threads = 1,
                          .blocking_idle_ns = TNI_FOREVER,
                          .blocking_queue_max = queue_max};

    house_open(&s->house, &options);
    (void)house_pool(&s->house);
    for (unsigned i = 0; i < JOBS; i++)
        s->errands[i].scene = s;
    tni_a32_init(&s->gate, 0);
    model_name_of(s->gate);
}

/* With the submitter's reference. */
static void setup(void *state)
{
    setup_queue(state, 0);
    tni_runtime_retain(((end_scene *)state)->house.runtime);
}

/* A job has been submitted. Its thread may not have started yet. */
static void one_job(void *state)
{
    setup_queue(state, 0);
    submit(state, 0, run);
}

static void one_job_and_submitter(void *state)
{
    one_job(state);
    tni_runtime_retain(((end_scene *)state)->house.runtime);
}

static void full(void *state)
{
    setup_queue(state, 1);
    submit(state, 0, run);
    tni_runtime_retain(((end_scene *)state)->house.runtime);
}

static void submitting_job(void *state)
{
    setup_queue(state, 0);
    submit(state, 0, run_and_submit);
}

/* The second job may be dropped from its queue, the third one may not. */
static void three_jobs(void *state)
{
    end_scene *s = state;

    setup_queue(s, 0);
    s->errands[2].mandatory = true;
    for (unsigned i = 0; i < JOBS; i++)
        submit(s, i, run);
}

static void stuck_job(void *state)
{
    setup_queue(state, 0);
    submit(state, 0, run_at_gate);
}

static void stuck_job_and_two_more(void *state)
{
    end_scene *s = state;

    stuck_job(s);
    s->errands[2].mandatory = true;
    submit(s, 1, run);
    submit(s, 2, run);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void submit_second(void *state)
{
    end_scene *s = state;

    submit(s, 1, run);
    tni_runtime_release(s->house.runtime);
}

/* Only the handle is left, which may outlive the runtime. */
static void cancel_first(void *state)
{
    end_scene *s = state;

    if (tn_job_cancel(s->errands[0].handle))
        model_check(s->errands[0].dropped == 1);
}

static void join_first(void *state)
{
    end_scene *s = state;
    errand *e = &s->errands[0];
    void *result = NULL;
    int rc = tn_job_join(e->handle, &result);

    model_check((rc == 0 && result == e && e->run == 1) || (rc == TN_ESHUTDOWN && e->dropped == 1));
    e->handle = NULL;
}

static void close_pool(void *state)
{
    model_check(house_close(&((end_scene *)state)->house, TNI_FOREVER) == 0);
}

/* The deadline is over at once. Stuck jobs continue afterwards. */
static void give_up(void *state)
{
    end_scene *s = state;

    s->left = (uint32_t)house_close(&s->house, tni_clock_ns());
    open_gate(s);
    house_is_over(&s->house);
}

/* A task that waits for a free slot, and never runs again. */
static void submit_second_abandoned(void *state)
{
    house_abandons(&((end_scene *)state)->house);
    submit_second(state);
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------- */

static void finish(void *state)
{
    end_scene *s = state;

    model_check(s->left <= 2);
    for (unsigned i = 0; i < JOBS; i++) {
        const errand *e = &s->errands[i];
        model_check(e->run + e->dropped == (e->tried && !e->refused));
        model_check(!e->mandatory || e->dropped == 0 || s->left > 0);
        tn_job_release(e->handle);
    }
    house_check_wakers(&s->house);
}

#define CASE(what, before, ...) \
    { \
        .name = "pool_end." what, .state_bytes = sizeof(end_scene), .setup = before, .finish = finish, .no_chance = true, \
        __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("submit", setup, .threads = {submit_second, close_pool}),
    CASE("submit_second", one_job_and_submitter, .threads = {submit_second, close_pool}, .bound = 1),
    CASE("submit_in_job", submitting_job, .threads = {close_pool}, .bound = 1),
    CASE("queued", three_jobs, .threads = {close_pool}),
    CASE("cancel", one_job, .threads = {cancel_first, close_pool}),
    CASE("join", one_job, .threads = {join_first, close_pool}),
    CASE("room", full, .threads = {submit_second, close_pool}, .bound = 1),
    CASE("give_up", stuck_job, .threads = {give_up}),
    CASE("give_up_queued", stuck_job_and_two_more, .threads = {give_up}),
    CASE("give_up_room", full, .threads = {submit_second, give_up}, .bound = 1),
    CASE("give_up_room_abandoned", full, .threads = {submit_second_abandoned, give_up}, .bound = 1),
    {0},
};
