/* SPDX-License-Identifier: MIT */
/* Lookups of names: callers join them, leave them, withdraw or detach them, while a pool thread does them and the pool ends. */
#include "names/lookups.h"
#include "pool_alone.h"

#define ADDRESS "192.0.2.1:0"

typedef struct {
    pool_house house;
    tni_pool *pool;
    tni_a32 step;      /* the step that has been reached */
    uint32_t asked[2]; /* plain: how often "a" and "b" were asked */
    int results[2];    /* of threads[0] and threads[1] */
} scene;

static scene *scene_of_all; /* set in setup */

/* --- What lookups use of the rest ------------------------------------------------------------------------------------------- */

void tn_names_fini(tn_names *names)
{
    if (names->text != NULL)
        names->free(names->free_ctx, names->text, names->capacity * sizeof *names->text);
}

/* No fiber is abandoned in these scenarios. */
void tni_scope_on_end(tn_scope *scope, tni_scope_end_fn end)
{
    (void)scope, (void)end;
}

/* --- The resolver ----------------------------------------------------------------------------------------------------------- */

static void go_to_step(uint32_t step)
{
    tni_a32_store(&scene_of_all->step, step, TNI_RELEASE);
    tni_futex_wake(&scene_of_all->step, MODEL_SCENARIO_THREADS);
}

static void wait_for_step(uint32_t step)
{
    uint32_t at;

    while ((at = tni_a32_load(&scene_of_all->step, TNI_ACQUIRE)) < step)
        tni_futex_wait(&scene_of_all->step, at, TNI_FOREVER);
}

static int ask(const tn_allocator *allocator, const char *host, const char *service, tn_names *out)
{
    (void)service;
    scene_of_all->asked[host[0] - 'a']++;
    out->text = allocator->alloc(allocator->ctx, sizeof *out->text, sizeof(void *));
    model_check(out->text != NULL);
    memcpy(out->text[0], ADDRESS, sizeof ADDRESS);
    out->count = out->capacity = 1;
    return 0;
}

/* "a" is found only when "b" is being asked. */
static int ask_in_turn(const tn_allocator *allocator, const char *host, const char *service, tn_names *out)
{
    if (host[0] == 'a') {
        go_to_step(1);
        wait_for_step(2);
    } else {
        go_to_step(2);
    }
    return ask(allocator, host, service, out);
}

/* --- Callers ---------------------------------------------------------------------------------------------------------------- */

static void resolve(scene *s, unsigned caller, tni_lookup_ask *how, const char *host)
{
    tn_names names = {.count = 0};
    int rc = tni_lookups_resolve(s->pool, how, host, NULL, &names);

    model_check(rc == 0 || rc == TN_ECANCELED || rc == TN_ESHUTDOWN);
    if (rc == 0)
        model_check(names.count == 1 && strcmp(names.text[0], ADDRESS) == 0);
    s->results[caller] = rc;
    tn_names_fini(&names);
}

static void first(void *state)
{
    resolve(state, 0, ask, "a");
}

static void second(void *state)
{
    resolve(state, 1, ask, "a");
}

/* The caller has a reference to the runtime; the pool may end meanwhile. */
static void first_beside_close(void *state)
{
    scene *s = state;
    tn_runtime *runtime = s->pool->runtime;

    first(state);
    tni_runtime_release(runtime);
}

static void cancel_first(void *state)
{
    house_cancel(&((scene *)state)->house, 1);
}

static void cancel_both(void *state)
{
    cancel_first(state);
    house_cancel(&((scene *)state)->house, 2);
}

static void first_in_turn(void *state)
{
    resolve(state, 0, ask_in_turn, "a");
}

/* The only place for names is occupied until the first lookup is detached. */
static void second_in_turn(void *state)
{
    wait_for_step(1);
    cancel_first(state);
    resolve(state, 1, ask_in_turn, "b");
}

static void close_pool(void *state)
{
    scene *s = state;

    s->house.runtime = NULL;
    (void)house_close(&(pool_house){.runtime = s->pool->runtime}, TNI_FOREVER);
}

/* --- Before and after ------------------------------------------------------------------------------------------------------- */

static void setup(void *state)
{
    scene *s = state;
    tn_options options = {.size = sizeof options, .blocking_threads = 1, .file_threads = 1, .name_threads = 1};

    options.blocking_idle_ns = TN_S;
    scene_of_all = s;
    house_open(&s->house, &options);
    s->pool = house_pool(&s->house);
    tni_a32_init(&s->step, 0);
    model_name_of(s->step);
}

static void setup_with_reference(void *state)
{
    setup(state);
    tni_runtime_retain(((scene *)state)->house.runtime);
}

static void finish(void *state)
{
    scene *s = state;

    house_check_wakers(&s->house);
    if (s->house.runtime != NULL) {
        model_check(s->pool->detached == 0 && s->pool->left == 0 && tni_pool_slots_taken(s->pool) == 0);
        model_check(house_close(&s->house, TNI_FOREVER) == 0);
    }
}

/* Both have the result; the question was asked again only if the first lookup was done by then. */
static void finish_both(void *state)
{
    scene *s = state;

    model_check(s->results[0] == 0 && s->results[1] == 0 && (s->asked[0] == 1 || s->asked[0] == 2));
    finish(state);
}

/* The one that was not cancelled has the result. */
static void finish_second(void *state)
{
    scene *s = state;

    model_check(s->results[1] == 0 && (s->results[0] == 0 || s->results[0] == TN_ECANCELED));
    finish(state);
}

#define CASE(what, preemptions, before, after, ...) \
    { \
        .name = "lookups." what, .state_bytes = sizeof(scene), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
        .no_preemptions = (preemptions) == 0, .finish = after, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("join", 1, setup, finish_both, first, second),
    CASE("cancel", 2, setup, finish, first, cancel_first),
    CASE("cancel_joined", 0, setup, finish_second, first, second, cancel_first),
    CASE("cancel_both", 0, setup, finish, first, second, cancel_both),
    CASE("detach", 1, setup, finish_second, first_in_turn, second_in_turn),
    CASE("close", 1, setup_with_reference, finish, first_beside_close, close_pool),
    CASE("close_cancelled", 0, setup_with_reference, finish, first_beside_close, cancel_first, close_pool),
    {0},
};
