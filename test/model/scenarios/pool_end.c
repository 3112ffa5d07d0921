/* The end of a blocking pool, while jobs are submitted, queued, run, taken back and waited for. What was taken on is run or
 * dropped, once; mandatory jobs are run; whoever waits is told; the runtime goes when the last one who may still touch it has let
 * go of it. A submitter is a thread that destroy has given up on, inside of one of the runtime's tasks: it holds a reference. */
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
    tni_a32 gate; /* 1: open */
    uint32_t left; /* jobs left behind */
};

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
    tni_runtime_retain(s->house.runtime); /* the submitter's */
    for (unsigned i = 0; i < JOBS; i++)
        s->errands[i].scene = s;
    tni_a32_init(&s->gate, 0);
    model_name_of(s->gate);
}

static void setup(void *state) { setup_queue(state, 0); }
static void small_queue(void *state) { setup_queue(state, 1); }

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

static void release(end_scene *s, unsigned i)
{
    tn_job_release(s->errands[i].handle);
    s->errands[i].handle = NULL;
}

static void *run_and_submit(void *arg)
{
    end_scene *s = ((errand *)arg)->scene;

    submit(s, 1, run);
    release(s, 1);
    return run(arg);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void submit_one(void *state)
{
    end_scene *s = state;

    submit(s, 0, run);
    release(s, 0);
    tni_runtime_release(s->house.runtime);
}

static void submit_submitter(void *state)
{
    end_scene *s = state;

    submit(s, 0, run_and_submit);
    release(s, 0);
    tni_runtime_release(s->house.runtime);
}

/* The second one may be dropped where it lies, the third one may not. */
static void submit_three(void *state)
{
    end_scene *s = state;

    s->errands[2].mandatory = true;
    submit(s, 0, run_at_gate);
    submit(s, 1, run);
    submit(s, 2, run);
    for (unsigned i = 0; i < JOBS; i++)
        release(s, i);
    open_gate(s);
    tni_runtime_release(s->house.runtime);
}

/* The handle alone is left: it may outlive the runtime. */
static void submit_and_cancel(void *state)
{
    end_scene *s = state;
    errand *e = &s->errands[0];

    submit(s, 0, run);
    tni_runtime_release(s->house.runtime);
    if (e->handle == NULL)
        return;
    if (tn_job_cancel(e->handle))
        model_check(e->dropped == 1);
    release(s, 0);
}

static void submit_and_join(void *state)
{
    end_scene *s = state;
    errand *e = &s->errands[0];
    void *result = NULL;
    int rc;

    submit(s, 0, run);
    tni_runtime_release(s->house.runtime);
    if (e->handle == NULL)
        return;
    rc = tn_job_join(e->handle, &result);
    model_check((rc == 0 && result == e && e->run == 1) || (rc == TN_ESHUTDOWN && e->dropped == 1));
}

/* The thread is inside of the first job, or about to be. The second waits for room, and fills the queue in turn. */
static void submit_two_wait_for_room(void *state)
{
    end_scene *s = state;

    submit(s, 0, run_at_gate);
    submit(s, 1, run);
    release(s, 0);
    release(s, 1);
    tni_runtime_release(s->house.runtime);
}

static void submit_at_gate(void *state)
{
    end_scene *s = state;

    submit(s, 0, run_at_gate);
    release(s, 0);
    tni_runtime_release(s->house.runtime);
}

static void close_pool(void *state)
{
    model_check(house_close(&((end_scene *)state)->house, TNI_FOREVER) == 0);
}

static void open_and_close(void *state)
{
    open_gate(state);
    close_pool(state);
}

/* The time is up at once. */
static void give_up(void *state)
{
    end_scene *s = state;

    s->left = (uint32_t)house_close(&s->house, tni_clock_ns());
    open_gate(s);
}

static void open_and_give_up(void *state)
{
    end_scene *s = state;

    open_gate(s);
    s->left = (uint32_t)house_close(&s->house, tni_clock_ns());
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------- */

static void finish(void *state)
{
    end_scene *s = state;

    model_check(s->left <= 2);
    for (unsigned i = 0; i < JOBS; i++) {
        const errand *e = &s->errands[i];
        model_check(e->run + e->dropped == (e->tried && !e->refused));
        model_check(!e->mandatory || e->dropped == 0);
    }
    house_check_wakers(&s->house);
}

#define CASE(what, before, ...) \
    {.name = "pool_end." what, .state_bytes = sizeof(end_scene), .setup = before, .finish = finish, .no_chance = true, __VA_ARGS__}

const model_scenario model_scenarios[] = {
    CASE("submit", setup, .threads = {submit_one, close_pool}),
    CASE("submit_in_job", setup, .threads = {submit_submitter, close_pool}, .bound = 1),
    CASE("queued", setup, .threads = {submit_three, close_pool}, .bound = 1),
    CASE("cancel", setup, .threads = {submit_and_cancel, close_pool}),
    CASE("join", setup, .threads = {submit_and_join, close_pool}, .bound = 1),
    CASE("room", small_queue, .threads = {submit_two_wait_for_room, open_and_close}, .bound = 1),
    CASE("give_up", setup, .threads = {submit_at_gate, give_up}),
    CASE("give_up_room", small_queue, .threads = {submit_two_wait_for_room, open_and_give_up}, .bound = 1),
    {0},
};
