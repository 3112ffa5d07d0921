/* SPDX-License-Identifier: MIT */
/* Waits in the blocking pool: for a free slot in a full queue, taken back at any moment, and of jobs for other jobs of a pool
 * whose threads are all in use. No slot is lost, and no wait is for ever. */
#include "pool/job.h"
#include "pool_alone.h"

#define JOBS 3

typedef struct wait_scene wait_scene;

typedef struct {
    wait_scene *scene;
    uint32_t run;
    bool refused;
    tn_job *handle;
    unsigned other;  /* index of the job that this one joins, by its handle */
    int joined;      /* the result of that join */
    unsigned thread; /* the thread that joins */
} errand;

struct wait_scene {
    pool_house house;
    tni_pool *pool;
    errand errands[JOBS];
    tni_a32 step; /* the step that has been reached */
};

/* --- Jobs ------------------------------------------------------------------------------------------------------------------- */

static void *run(void *arg)
{
    ((errand *)arg)->run++;
    return arg;
}

static void wait_for_step(wait_scene *s, uint32_t step)
{
    uint32_t at;

    while ((at = tni_a32_load(&s->step, TNI_ACQUIRE)) < step)
        tni_futex_wait(&s->step, at, TNI_FOREVER);
}

static void go_to_step(wait_scene *s, uint32_t step)
{
    tni_a32_store(&s->step, step, TNI_RELEASE);
    tni_futex_wake(&s->step, JOBS);
}

static void *run_at_step_one(void *arg)
{
    wait_for_step(((errand *)arg)->scene, 1);
    return run(arg);
}

/* The second submitter may have been granted a slot, and not know it yet. */
static void *run_and_cancel_second(void *arg)
{
    house_cancel(&((errand *)arg)->scene->house, 2); /* the number of threads[0]: the pool's thread was started first */
    return run(arg);
}

static int submit(wait_scene *s, unsigned i, tn_job_fn fn)
{
    errand *e = &s->errands[i];
    int rc = tn_spawn_blocking_on(s->house.runtime, NULL, &e->handle, fn, e);

    e->refused = rc != 0;
    return rc;
}

static void submit_detached(wait_scene *s, unsigned i, tn_job_fn fn)
{
    model_check(submit(s, i, fn) == 0);
    tn_job_release(s->errands[i].handle);
}

/* --- Before ----------------------------------------------------------------------------------------------------------------- */

static void setup(wait_scene *s, unsigned threads, size_t queue_max)
{
    tn_options options = {.size = sizeof options,
                          .blocking_threads = threads,
                          .file_threads = 1,
                          .name_threads = 1,
                          .blocking_idle_ns = TN_S,
                          .blocking_queue_max = queue_max};

    house_open(&s->house, &options);
    s->pool = house_pool(&s->house);
    for (unsigned i = 0; i < JOBS; i++)
        s->errands[i].scene = s;
    tni_a32_init(&s->step, 0);
    model_name_of(s->step);
}

static void one_thread(void *state)
{
    setup(state, 1, 0);
}
static void two_threads(void *state)
{
    setup(state, 2, 0);
}

/* Two threads are allowed, but the kernel starts one. The pool knows that by the time of the join, or only when the job already
 * waits. */
static void one_of_two_threads(void *state)
{
    setup(state, 2, 0);
    model_threads_left(1);
}

static void two_of_three_threads(void *state)
{
    setup(state, 3, 0);
    model_threads_left(2);
}

/* The first job fills the queue, until the thread takes it. */
static void full(void *state)
{
    setup(state, 1, 1);
    submit_detached(state, 0, run);
}

static void full_of_canceller(void *state)
{
    setup(state, 1, 1);
    submit_detached(state, 0, run_and_cancel_second);
}

static void full_of_what_is_cancelled(void *state)
{
    setup(state, 1, 1);
    model_check(submit(state, 0, run) == 0);
}

static void full_at_gate(void *state)
{
    setup(state, 1, 1);
    submit_detached(state, 0, run_at_step_one);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void submit_second(void *state)
{
    submit_detached(state, 1, run);
}
static void submit_third(void *state)
{
    submit_detached(state, 2, run);
}

/* Does not wait for a free slot. */
static int submit_third_now(wait_scene *s)
{
    tn_blocking_options options = tn_blocking_options_default();
    int rc;

    options.when_full = TN_FULL_ERROR;
    rc = tn_spawn_blocking_on(s->house.runtime, &options, NULL, run, &s->errands[2]);
    model_check(rc == 0 || rc == TN_ENOBUFS);
    s->errands[2].refused = rc != 0;
    return rc;
}

static void submit_third_if_room(void *state)
{
    (void)submit_third_now(state);
}

static void submit_second_if_not_cancelled(void *state)
{
    wait_scene *s = state;
    int rc = submit(s, 1, run);

    model_check(rc == 0 || rc == TN_ECANCELED);
    if (rc == 0)
        tn_job_release(s->errands[1].handle);
}

/* Takes a job back, which frees its slot. */
static void cancel_first(void *state)
{
    wait_scene *s = state;

    s->errands[0].refused = tn_job_cancel(s->errands[0].handle);
    tn_job_release(s->errands[0].handle);
}

/* The thread is inside the first job and the queue is full, so the third job is refused. */
static void submit_second_refuse_third(void *state)
{
    wait_scene *s = state;

    submit_detached(s, 1, run);
    model_check(submit_third_now(s) == TN_ENOBUFS);
    go_to_step(s, 1);
}

/* --- Jobs that wait for jobs ------------------------------------------------------------------------------------------------ */

/* Joins the other job. A join that would wait for ever fails, and then the handle is released. */
static void *run_and_join(void *arg)
{
    errand *e = arg;
    errand *other = &e->scene->errands[e->other];
    void *result = NULL;

    e->joined = tn_job_join(other->handle, &result);
    if (e->joined == 0)
        model_check(result == other && other->run == 1);
    else
        model_check(e->joined == TN_EDEADLK || e->joined == TN_ENODATA || e->joined == TN_EBUSY || e->joined == TN_ECANCELED);
    if (e->joined == TN_EDEADLK || e->joined == TN_ECANCELED)
        tn_job_release(other->handle);
    return run(arg);
}

static void *submit_and_join(void *arg)
{
    errand *e = arg;

    model_check(submit(e->scene, e->other, run) == 0);
    return run_and_join(arg);
}

static void *join_at_step_one(void *arg)
{
    wait_for_step(((errand *)arg)->scene, 1);
    return run_and_join(arg);
}

static void *join_at_step_two(void *arg)
{
    wait_for_step(((errand *)arg)->scene, 2);
    return run_and_join(arg);
}

static void submit_joiner(void *state)
{
    wait_scene *s = state;

    s->errands[0].other = 1;
    submit_detached(s, 0, submit_and_join);
}

/* The first job joins the second, which runs on a thread of its own, and ends at any moment. */
static void submit_joined_and_joiner(void *state)
{
    wait_scene *s = state;

    model_check(submit(s, 1, run) == 0);
    s->errands[0].other = 1;
    submit_detached(s, 0, run_and_join);
}

/* Two jobs join each other: one of them must not wait. */
static void submit_two_that_join(void *state)
{
    wait_scene *s = state;

    s->errands[0].other = 1;
    model_check(submit(s, 0, join_at_step_one) == 0);
    model_check(submit(s, 1, join_at_step_one) == 0);
    go_to_step(s, 1);
}

/* Both jobs join the third, which gets a thread only when one of the two has continued: one join fails, because it is not the
 * only one. */
static void submit_two_that_join_the_third(void *state)
{
    wait_scene *s = state;

    s->errands[0].other = 2;
    s->errands[1].other = 2;
    submit_detached(s, 0, join_at_step_one);
    submit_detached(s, 1, join_at_step_one);
    model_check(submit(s, 2, run) == 0);
    go_to_step(s, 1);
}

/* The first job joins the third. There are two threads, and one of them may be inside a job of another class for a while. */
static void submit_joiner_and_one_elsewhere(void *state)
{
    wait_scene *s = state;
    tn_blocking_options options = tn_blocking_options_default();

    model_check(tni_job_spawn(s->pool, TNI_POOL_FILES, &options, NULL, run_at_step_one, &s->errands[1]) == 0);
    s->errands[0].other = 2;
    submit_detached(s, 0, submit_and_join);
    go_to_step(s, 1);
}

/* All threads are in jobs that wait for jobs. But the job that the first one waits for has been cancelled, so the first one
 * continues. */
static void submit_chain_and_cancel_end(void *state)
{
    wait_scene *s = state;

    s->errands[0].other = 2;
    model_check(submit(s, 0, join_at_step_one) == 0);
    submit_detached(s, 1, join_at_step_two); /* joins the first */
    model_check(submit(s, 2, run) == 0);
    tn_job_retain(s->errands[2].handle);
    go_to_step(s, 1);
    s->errands[2].refused = tn_job_cancel(s->errands[2].handle);
    model_check(s->errands[2].refused);
    tn_job_release(s->errands[2].handle);
    go_to_step(s, 2);
}

static void *join_to_be_cancelled(void *arg)
{
    errand *e = arg;

    wait_for_step(e->scene, 1);
    e->thread = model_self();
    go_to_step(e->scene, 2);
    return run_and_join(arg);
}

static void *cancel_and_join(void *arg)
{
    errand *e = arg;

    wait_for_step(e->scene, 2);
    house_cancel(&e->scene->house, e->scene->errands[e->other].thread);
    return run_and_join(arg);
}

/* The second job cancels the join of the first one, which waits for a job without a thread, and then joins the first one. */
static void submit_one_that_is_cancelled(void *state)
{
    wait_scene *s = state;

    s->errands[0].other = 2;
    model_check(submit(s, 0, join_to_be_cancelled) == 0);
    submit_detached(s, 1, cancel_and_join); /* joins the first */
    model_check(submit(s, 2, run) == 0);
    go_to_step(s, 1);
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------- */

static void finish_jobs(wait_scene *s, unsigned jobs)
{
    for (unsigned i = 0; i < jobs; i++)
        model_check(s->errands[i].run == !s->errands[i].refused);
    model_check(tni_pool_slots_taken(s->pool) == 0 && s->pool->granted.first == NULL && s->pool->joining == 0);
    for (unsigned kind = 0; kind < TNI_POOL_CLASSES; kind++)
        model_check(s->pool->waiting[kind].first == NULL);
    house_check_wakers(&s->house);
    model_check(house_close(&s->house, TNI_FOREVER) == 0);
}

static void finish_two(void *state)
{
    finish_jobs(state, 2);
}
static void finish_three(void *state)
{
    finish_jobs(state, 3);
}

static void finish_deadlock(void *state)
{
    model_check(((wait_scene *)state)->errands[0].joined == TN_EDEADLK);
    finish_two(state);
}

static void finish_joined(void *state)
{
    model_check(((wait_scene *)state)->errands[0].joined == 0);
    finish_two(state);
}

static void finish_three_joined(void *state)
{
    model_check(((wait_scene *)state)->errands[0].joined == 0);
    finish_three(state);
}

static void finish_joined_once(void *state)
{
    wait_scene *s = state;

    model_check((s->errands[0].joined == 0) != (s->errands[1].joined == 0));
    finish_two(state);
}

static void finish_busy(void *state)
{
    wait_scene *s = state;
    unsigned first = s->errands[0].joined != 0;

    model_check(s->errands[first].joined == 0 && s->errands[1 - first].joined == TN_EBUSY);
    finish_three(state);
}

static void finish_chain(void *state)
{
    wait_scene *s = state;

    model_check(s->errands[0].joined == TN_ENODATA && s->errands[1].joined == 0);
    finish_three(state);
}

static void finish_cancelled(void *state)
{
    wait_scene *s = state;

    model_check(s->errands[0].joined == TN_ECANCELED && s->errands[1].joined == 0);
    finish_three(state);
}

#define CASE(what, before, after, ...) \
    { \
        .name = "pool_wait." what, .state_bytes = sizeof(wait_scene), .setup = before, .finish = after, .no_chance = true, \
        __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("room", full, finish_two, .threads = {submit_second}),
    CASE("room_two", full, finish_three, .threads = {submit_second, submit_third}, .bound = 1),
    CASE("room_none", full, finish_three, .threads = {submit_second, submit_third_if_room}, .bound = 1),
    CASE("room_cancel", full_of_canceller, finish_two, .threads = {submit_second_if_not_cancelled}),
    CASE("room_cancel_two", full_of_canceller, finish_three, .threads = {submit_second_if_not_cancelled, submit_third},
         .bound = 1),
    CASE("room_job_cancelled", full_of_what_is_cancelled, finish_two, .threads = {cancel_first, submit_second}, .bound = 1),
    CASE("full", full_at_gate, finish_three, .threads = {submit_second_refuse_third}, .bound = 1),
    CASE("join_queued", one_thread, finish_deadlock, .threads = {submit_joiner}),
    CASE("join_short", one_of_two_threads, finish_deadlock, .threads = {submit_joiner}, .bound = 3),
    CASE("join_elsewhere", two_of_three_threads, finish_three_joined, .threads = {submit_joiner_and_one_elsewhere}, .bound = 1),
    CASE("join_spawned", two_threads, finish_joined, .threads = {submit_joiner}),
    CASE("join_running", two_threads, finish_joined, .threads = {submit_joined_and_joiner}),
    CASE("join_each_other", two_threads, finish_joined_once, .threads = {submit_two_that_join}, .bound = 1),
    CASE("join_busy", two_threads, finish_busy, .threads = {submit_two_that_join_the_third}, .bound = 1),
    CASE("join_goes_on", two_threads, finish_chain, .threads = {submit_chain_and_cancel_end}, .bound = 1),
    CASE("join_cancelled", two_threads, finish_cancelled, .threads = {submit_one_that_is_cancelled}, .bound = 1),
    {0},
};
