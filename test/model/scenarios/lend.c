/* SPDX-License-Identifier: MIT */
/* A call that runs on the pool for a waiter, whose wait is cut short at any moment: before the call starts, while it runs, and
 * between two parts. When the waiter continues, the call is over or has been taken back. The call never waits behind a job that
 * ends only after that. */
#include "pool/pool_call.h"

#include "pool/inplace.h"
#include "pool_alone.h"

enum { OWNER = 1 }; /* threads[0] */

typedef struct lend_scene lend_scene;

/* As in the frame of the waiter: it is gone when the waiter continues. */
typedef struct {
    tni_pool_call base;
    lend_scene *scene;
    uint32_t parts; /* number of parts that have been run */
} loan;

struct lend_scene {
    pool_house house;
    tni_work blocker;
    tni_a32 gate;    /* 1: the call has returned to the waiter */
    uint32_t wanted; /* number of parts */
    uint32_t done;   /* the parts that were done when the call returned */
    int answer;      /* the result of the call */
};

/* --- Jobs ------------------------------------------------------------------------------------------------------------------- */

static bool run_part(tni_work *job)
{
    loan *l = tni_container_of(tni_container_of(job, tni_pool_call, base), loan, base);

    l->parts++;
    return l->parts < l->scene->wanted;
}

static const tni_work_ops parts = TNI_POOL_CALL_OPS(run_part);

/* Ends when the waiter has continued, and not before. */
static bool run_blocker(tni_work *job)
{
    lend_scene *s = tni_container_of(job, lend_scene, blocker);

    while (tni_a32_load(&s->gate, TNI_ACQUIRE) == 0)
        tni_futex_wait(&s->gate, 0, TNI_FOREVER);
    return false;
}

static void ignore(tni_work *job, int error)
{
    (void)job;
    (void)error;
}

static const tni_work_ops blocks = {run_blocker, ignore};

/* The first part queues the blocker before the second part, which would wait for ever behind it. */
static bool run_part_before_blocker(tni_work *job)
{
    lend_scene *s = tni_container_of(tni_container_of(job, tni_pool_call, base), loan, base)->scene;
    tni_pool *pool = house_pool(&s->house);

    if (s->blocker.ops == NULL) {
        tni_pool_work_init(&s->blocker, &blocks, TNI_POOL_FILES);
        model_check(tni_pool_reserve(pool, TNI_POOL_FILES) == 0);
        tni_pool_push(pool, &s->blocker);
    }
    return run_part(job);
}

static const tni_work_ops parts_before_blocker = TNI_POOL_CALL_OPS(run_part_before_blocker);

/* --- In place of the library's: nothing runs in place ----------------------------------------------------------------------- */

bool tni_inplace_begin_call(tni_inplace *self, tn_job_fn fn)
{
    (void)self;
    (void)fn;
    return false;
}

void *tni_inplace_call(const tni_inplace *self, tn_job_fn fn, void *arg)
{
    (void)self;
    (void)fn;
    return arg;
}

void tni_inplace_end(const tni_inplace *self)
{
    (void)self;
}

/* --- Before ----------------------------------------------------------------------------------------------------------------- */

static void setup(lend_scene *s, uint32_t wanted)
{
    tn_options options = {
        .size = sizeof options, .blocking_threads = 1, .file_threads = 1, .name_threads = 1, .blocking_idle_ns = TN_S};

    house_open(&s->house, &options);
    (void)house_pool(&s->house);
    s->wanted = wanted;
    tni_a32_init(&s->gate, 0);
    model_name_of(s->gate);
}

static void one_part(void *state)
{
    setup(state, 1);
}
static void two_parts(void *state)
{
    setup(state, 2);
}

/* Takes the owner's reference to the runtime, which is destroyed meanwhile. */
static void two_parts_and_owner(void *state)
{
    setup(state, 2);
    tni_runtime_retain(((lend_scene *)state)->house.runtime);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void lend_with(lend_scene *s, const tni_work_ops *ops)
{
    loan *l = model_alloc(sizeof *l, _Alignof(loan));

    l->scene = s;
    model_name(&l->base.base.state, 4, "job.state");
    model_name(&l->base.done, 8, "done");
    s->answer = tni_pool_call_run_on(s->house.runtime, &l->base, ops, TNI_POOL_FILES);
    s->done = l->parts;
    model_free(l);
    tni_a32_store(&s->gate, 1, TNI_RELEASE);
    tni_futex_wake(&s->gate, 1);
}

static void lend(void *state)
{
    lend_with(state, &parts);
}
static void lend_before_blocker(void *state)
{
    lend_with(state, &parts_before_blocker);
}

static void lend_and_release(void *state)
{
    lend(state);
    tni_runtime_release(((lend_scene *)state)->house.runtime);
}

static void destroy(void *state)
{
    model_check(house_close(&((lend_scene *)state)->house, TNI_FOREVER) == 0);
}
static void cut_short(void *state)
{
    house_cancel(&((lend_scene *)state)->house, OWNER);
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------- */

static void finish(void *state)
{
    lend_scene *s = state;
    tni_pool *pool = house_pool(&s->house);

    model_check(s->answer == 0 || s->answer == TN_ECANCELED);
    model_check(s->done <= s->wanted && (s->answer != 0 || s->done > 0));
    model_check(tni_pool_slots_taken(pool) == 0 && pool->active == 0 && pool->queues[TNI_POOL_FILES].length == 0);
    house_check_wakers(&s->house);
    model_check(house_close(&s->house, TNI_FOREVER) == 0);
}

static void finish_destroyed(void *state)
{
    lend_scene *s = state;

    model_check(s->answer == 0 || s->answer == TN_ECANCELED || s->answer == TN_ESHUTDOWN);
    model_check(s->done <= s->wanted && (s->answer != 0 || s->done > 0));
    house_check_wakers(&s->house);
}

static void finish_whole(void *state)
{
    lend_scene *s = state;

    model_check(s->answer == 0 && s->done == s->wanted);
    finish(state);
}

#define CASE(what, before, after, ...) \
    { \
        .name = "lend." what, .state_bytes = sizeof(lend_scene), .setup = before, .finish = after, .no_chance = true, \
        __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("whole", two_parts, finish_whole, .threads = {lend}),
    CASE("cancel", one_part, finish, .threads = {lend, cut_short}),
    CASE("cancel_between", two_parts, finish, .threads = {lend_before_blocker, cut_short}, .bound = 1),
    CASE("cancel_end", two_parts_and_owner, finish_destroyed, .threads = {lend_and_release, cut_short, destroy}, .bound = 1),
    {0},
};
