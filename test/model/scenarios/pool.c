/* SPDX-License-Identifier: MIT */
/* The blocking pool: jobs are submitted while its threads start, take jobs, check the queues, stand by, sleep and exit. Each
 * job runs exactly once, or is taken back. Threads exit when nothing else can continue, so an execution ends when all threads
 * have ended. A job that is left in a queue keeps the last thread for ever. pool_end.c has the end of a pool, pool_wait.c has
 * waits. */
#include "pool_alone.h"

#define JOBS 3
#define RETRY_NS (10 * TN_MS) /* as in pool.c */

typedef struct pool_scene pool_scene;

typedef struct {
    tni_work base;
    pool_scene *scene;
    bool (*body)(tni_work *job);
    uint32_t run;
    uint32_t over;
    bool refused;
    bool withdrawn;
} errand;

struct pool_scene {
    pool_house house;
    tni_pool *pool; /* NULL: the first submitter creates it */
    errand errands[JOBS];
    tni_a32 gate;   /* 1: open */
    tni_a32 inside; /* 1: a job has begun to wait at the gate */
    errand *freed;  /* an errand that is freed when it is over */
};

/* --- Jobs ------------------------------------------------------------------------------------------------------------------- */

static bool run(tni_work *job)
{
    tni_container_of(job, errand, base)->run++;
    return false;
}

static void over(tni_work *job, int error)
{
    model_check(error == 0);
    tni_container_of(job, errand, base)->over++;
}

static const tni_work_ops plain = {run, over};

static void set(tni_a32 *word)
{
    tni_a32_store(word, 1, TNI_RELEASE);
    tni_futex_wake(word, JOBS);
}

static void wait_for(tni_a32 *word)
{
    while (tni_a32_load(word, TNI_ACQUIRE) == 0)
        tni_futex_wait(word, 0, TNI_FOREVER);
}

/* Blocks until another job, or an external thread, opens the gate. */
static bool run_at_gate(tni_work *job)
{
    wait_for(&tni_container_of(job, errand, base)->scene->gate);
    return run(job);
}

static const tni_work_ops at_gate = {run_at_gate, over};

static bool tell_and_run_at_gate(tni_work *job)
{
    set(&tni_container_of(job, errand, base)->scene->inside);
    return run_at_gate(job);
}

static const tni_work_ops tells = {tell_and_run_at_gate, over};

static bool run_and_open(tni_work *job)
{
    set(&tni_container_of(job, errand, base)->scene->gate);
    return run(job);
}

static const tni_work_ops opens = {run_and_open, over};

/* As `tells`, and the job is freed by its end, as a lookup that no caller waits for. */
static void over_and_free(tni_work *job, int error)
{
    over(job, error);
    model_free(tni_container_of(job, errand, base));
}

static const tni_work_ops tells_and_is_freed = {tell_and_run_at_gate, over_and_free};

/* Runs in two parts. */
static bool run_part(tni_work *job)
{
    (void)run(job);
    return tni_container_of(job, errand, base)->run < 2;
}

static const tni_work_ops parts = {run_part, over};

static int submit_to(pool_scene *s, tni_pool *pool, unsigned i, const tni_work_ops *ops, tni_pool_class kind)
{
    errand *e = &s->errands[i];
    int rc = tni_pool_reserve(pool, kind);

    e->refused = rc != 0;
    if (rc != 0)
        return rc;
    e->scene = s;
    tni_pool_work_init(&e->base, ops, kind);
    tni_pool_push(pool, &e->base);
    return 0;
}

static void submit(pool_scene *s, unsigned i, const tni_work_ops *ops)
{
    model_check(submit_to(s, s->pool, i, ops, TNI_POOL_JOBS) == 0);
}

/* --- Before ----------------------------------------------------------------------------------------------------------------- */

static void setup_house(pool_scene *s, unsigned threads)
{
    tn_options options = {
        .size = sizeof options, .blocking_threads = threads, .file_threads = 1, .name_threads = 1, .blocking_idle_ns = TN_S};

    house_open(&s->house, &options);
    tni_a32_init(&s->gate, 0);
    tni_a32_init(&s->inside, 0);
    model_name_of(s->gate);
    model_name_of(s->inside);
}

static void no_pool(void *state)
{
    setup_house(state, 1);
}

static void setup_threads(pool_scene *s, unsigned threads)
{
    setup_house(s, threads);
    s->pool = house_pool(&s->house);
}

static void one_thread(void *state)
{
    setup_threads(state, 1);
}
static void two_threads(void *state)
{
    setup_threads(state, 2);
}

/* All jobs so far have been short, so a thread that is woken stands by first. */
static void short_jobs(void *state)
{
    pool_scene *s = state;

    setup_threads(s, 2);
    s->pool->run_ns = 0;
}

/* The kernel starts only as many threads as these setups allow. */
static void no_thread(void *state)
{
    one_thread(state);
    model_threads_left(0);
}

static void only_one_thread(void *state)
{
    two_threads(state);
    model_threads_left(1);
}

static void one_job(void *state)
{
    one_thread(state);
    submit(state, 0, &plain);
}

static void one_job_of_two_parts(void *state)
{
    one_thread(state);
    submit(state, 0, &parts);
}

static void one_job_inside(void *state)
{
    one_thread(state);
    submit(state, 0, &tells);
}

static void one_job_inside_one_detached(void *state)
{
    one_job_inside(state);
    ((pool_scene *)state)->pool->detached_max = 1;
}

static void one_job_at_gate(void *state)
{
    two_threads(state);
    submit(state, 0, &at_gate);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void first(void *state)
{
    submit(state, 0, &plain);
}
static void second(void *state)
{
    submit(state, 1, &plain);
}
static void third(void *state)
{
    submit(state, 2, &plain);
}
static void second_opens(void *state)
{
    submit(state, 1, &opens);
}

static void first_makes(void *state)
{
    pool_scene *s = state;

    model_check(submit_to(s, house_pool(&s->house), 0, &plain, TNI_POOL_JOBS) == 0);
}

static void second_makes(void *state)
{
    pool_scene *s = state;

    model_check(submit_to(s, house_pool(&s->house), 1, &plain, TNI_POOL_JOBS) == 0);
}

/* A batch. The last job lets the first one end. */
static void three(void *state)
{
    submit(state, 0, &at_gate);
    submit(state, 1, &plain);
    submit(state, 2, &opens);
}

static void gate_and_opens(void *state)
{
    submit(state, 0, &at_gate);
    second_opens(state);
}

/* All threads for jobs are inside a job. A call on files does not depend on them. */
static void gate_and_file_opens(void *state)
{
    pool_scene *s = state;

    submit(s, 0, &at_gate);
    model_check(submit_to(s, s->pool, 1, &opens, TNI_POOL_FILES) == 0);
}

static void file_opens(void *state)
{
    pool_scene *s = state;

    model_check(submit_to(s, s->pool, 2, &opens, TNI_POOL_FILES) == 0);
}

/* By then the thread is about to sleep, asleep, or about to exit. */
static void twice(void *state)
{
    pool_scene *s = state;

    submit(s, 0, &opens);
    wait_for(&s->gate);
    second(s);
}

/* No further thread can be started when the first one exits: then the submit fails. */
static void twice_if_any(void *state)
{
    pool_scene *s = state;
    int rc;

    submit(s, 0, &opens);
    wait_for(&s->gate);
    rc = submit_to(s, s->pool, 1, &plain, TNI_POOL_JOBS);
    model_check(rc == 0 || rc == TN_EAGAIN);
}

static void refused(void *state)
{
    pool_scene *s = state;

    model_check(submit_to(s, s->pool, 0, &plain, TNI_POOL_JOBS) == TN_EAGAIN);
}

static void refused_too(void *state)
{
    pool_scene *s = state;

    model_check(submit_to(s, s->pool, 1, &plain, TNI_POOL_JOBS) == TN_EAGAIN);
}

/* No thread can be started for the second job: the only thread runs it after the first one. Afterwards a submitter must wake
 * that thread again. */
static void shortage(void *state)
{
    pool_scene *s = state;
    int rc;

    submit(s, 0, &at_gate);
    submit(s, 1, &plain);
    set(&s->gate);
    rc = submit_to(s, s->pool, 2, &plain, TNI_POOL_JOBS);
    model_check(rc == 0 || rc == TN_EAGAIN); /* it may have exited by then */
}

/* The thread never leaves its job by itself. After a while threads can be started again: the submitter of the third job finds
 * that out. */
static void shortage_ends(void *state)
{
    pool_scene *s = state;

    submit(s, 0, &tells);
    submit(s, 1, &plain);
    wait_for(&s->inside);
    model_threads_left(2);
    model_time_passes(RETRY_NS);
    submit(s, 2, &opens);
}

/* No third job is submitted: the monitor finds it out. */
static void shortage_tended(void *state)
{
    pool_scene *s = state;

    submit(s, 0, &tells);
    submit(s, 1, &opens);
    wait_for(&s->inside);
    model_threads_left(2);
    model_time_passes(RETRY_NS);
    (void)s->pool->base.maintain(&s->pool->base, tni_clock_ns());
}

static void detach_first(pool_scene *s)
{
    wait_for(&s->inside);
    tni_pool_detach(s->pool, &s->errands[0].base);
}

/* The first job occupies the only place of its class until it is detached. Then the second one is started, and lets it end. */
static void detach_then_second(void *state)
{
    second_opens(state);
    detach_first(state);
}

static void detach(void *state)
{
    detach_first(state);
}

/* Both jobs run. The second one waits to be detached until the first one has ended. It ends, and is freed, meanwhile. */
static void detach_both(void *state)
{
    pool_scene *s = state;

    detach_first(s);
    tni_a32_store(&s->inside, 0, TNI_RELAXED);
    s->freed = model_alloc(sizeof *s->freed, _Alignof(errand));
    s->freed->scene = s;
    model_check(tni_pool_reserve(s->pool, TNI_POOL_JOBS) == 0);
    tni_pool_work_init(&s->freed->base, &tells_and_is_freed, TNI_POOL_JOBS);
    tni_pool_push(s->pool, &s->freed->base);
    wait_for(&s->inside);
    tni_pool_detach(s->pool, &s->freed->base);
    model_check(s->pool->detached == 1 && s->pool->left == 1);
    set(&s->gate);
}

static void take_back(pool_scene *s, unsigned i)
{
    s->errands[i].withdrawn = tni_pool_withdraw(s->pool, &s->errands[i].base);
}

static void submit_and_take_back(void *state)
{
    second(state);
    take_back(state, 1);
}

static void take_back_first(void *state)
{
    take_back(state, 0);
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------- */

static void check_queues(const tni_pool *pool)
{
    model_check(tni_inbox_is_empty(&pool->inbox) && tni_pool_slots_taken(pool) == 0);
    model_check(tni_a32_load(&pool->threads, TNI_RELAXED) == 0 && pool->active == 0 && pool->detached == 0);
    model_check(pool->left == 0);
    model_check(pool->idle.first == NULL);
    for (unsigned kind = 0; kind < TNI_POOL_CLASSES; kind++)
        model_check(pool->queues[kind].length == 0 && pool->queues[kind].running == 0);
}

/* Each job that was begun was refused and not touched, taken back and never completed, or run and completed once. */
static void finish(void *state)
{
    pool_scene *s = state;

    for (unsigned i = 0; i < JOBS; i++) {
        const errand *e = &s->errands[i];
        if (e->scene == NULL || e->withdrawn)
            model_check(e->over == 0 && e->run <= (e->base.ops == &parts));
        else
            model_check(e->over == 1 && e->run == 1 + (e->base.ops == &parts));
    }
    check_queues(house_pool(&s->house));
    model_check(house_close(&s->house, TNI_FOREVER) == 0);
}

#define CASE(what, before, ...) \
    { \
        .name = "pool." what, .state_bytes = sizeof(pool_scene), .setup = before, .finish = finish, .no_chance = true, \
        __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("make", no_pool, .threads = {first_makes, second_makes}, .bound = 1),
    CASE("first", one_thread, .threads = {first, second}, .bound = 1),
    CASE("submit", one_job, .threads = {second}),
    CASE("submit_two", one_job, .threads = {second, third}, .bound = 1),
    CASE("blocked", one_job_at_gate, .threads = {second_opens}),
    CASE("batch", two_threads, .threads = {three}),
    CASE("classes", one_thread, .threads = {gate_and_file_opens}),
    CASE("above_cap", one_job_inside, .threads = {second, file_opens}, .bound = 1),
    CASE("deputy", short_jobs, .threads = {gate_and_opens}),
    CASE("deputy_batch", short_jobs, .threads = {three}),
    CASE("leave", one_thread, .threads = {twice}),
    CASE("leave_no_more", only_one_thread, .threads = {twice_if_any}),
    CASE("refused", no_thread, .threads = {refused, refused_too}),
    CASE("shortage", only_one_thread, .threads = {shortage}),
    CASE("shortage_ends", only_one_thread, .threads = {shortage_ends}),
    CASE("shortage_tended", only_one_thread, .threads = {shortage_tended}),
    CASE("detach", one_job_inside, .threads = {detach_then_second}),
    CASE("detach_beside", one_job_inside, .threads = {detach, second_opens}, .bound = 1),
    CASE("detach_left", one_job_inside_one_detached, .threads = {detach_both}, .bound = 1),
    CASE("withdraw", one_job, .threads = {submit_and_take_back}),
    CASE("withdraw_first", one_job, .threads = {take_back_first, second}, .bound = 1),
    CASE("withdraw_part", one_job_of_two_parts, .threads = {take_back_first}, .bound = 3),
    {0},
};
