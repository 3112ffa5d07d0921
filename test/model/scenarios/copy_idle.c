/* SPDX-License-Identifier: MIT */
/* Copying in both directions: the word that decides when two fibers rest and one continues, with input, an end, an error and a
 * cancellation at each moment. No byte is lost, no wait lasts for ever, and an idle connection has one fiber. */
#include "copy_world.h"

/* --- Threads --------------------------------------------------------------------------------------------------------------- */

/* The fiber that calls tn_copy_both. */
static void caller(void *state)
{
    stage *s = state;
    tn_copy_options options = tn_copy_options_default();
    tn_io ios[2] = {{&stream_ops, &s->streams[0]}, {&stream_ops, &s->streams[1]}};
    scope_frame frame;
    int rc;

    options.buffer_size = 64;
    enter(&frame, CANCEL);
    rc = tni_copy_both_run(s->both, ios[0], ios[1], &options);
    model_check(rc == s->expected);
    model_check(rc != TN_ECANCELED || (look(&s->world) & CANCEL) != 0); /* not by the source of the rest */
    for (unsigned i = 0; i < 2; i++)
        s->bytes[i] = s->both->directions[i].bytes;
    model_free(s->both); /* no other thread touches it any more */
    (void)mark(&s->tasks, OVER);
}

/* The fiber of the group, as often as one is spawned. Acquire and release: tn_group_spawn, await_second. */
static void second(void *state)
{
    stage *s = state;

    for (unsigned runs = 0;; runs++) {
        scope_frame frame;
        uint32_t tasks;

        while (COUNTER(tasks = tni_a32_fetch_add(&s->tasks, 0, TNI_ACQUIRE), SPAWNED) == runs) {
            if ((tasks & OVER) != 0)
                return;
            model_until_changed(&s->tasks, tasks);
        }
        enter(&frame, GROUP);
        (void)s->entry(s->arg);
        model_check(*top() == &frame);
        *top() = NULL;
        (void)tni_a32_fetch_add(&s->world, DONE, TNI_RELEASE);
    }
}

/* --- The peers and the canceller ------------------------------------------------------------------------------------------- */

static void await_count(tni_a32 *word, uint32_t one, unsigned wanted)
{
    uint32_t at;

    while (COUNTER(at = look(word), one) < wanted)
        model_until_changed(word, at);
}

/* Both directions rest: nothing else makes the caller leave the group. */
static void cancel_when_idle(void *state)
{
    stage *s = state;

    await_count(&s->progress, LEFT, 1);
    model_check(COUNTER(look(&s->progress), WRITTEN(1)) == 1); /* neither direction holds a byte */
    (void)mark(&s->world, CANCEL);
}

static void send_and_cancel_when_idle(void *state)
{
    stage *s = state;

    await_count(&s->tasks, SPAWNED, 1);
    (void)count(&s->world, ARRIVED(1));
    await_count(&s->progress, WRITTEN(0), 1);
    await_count(&s->progress, LEFT, 1);
    (void)mark(&s->world, CANCEL);
}

/* The direction to stream 1 is woken by a byte that it can write only after the other direction has copied one. */
static void send_to_full(void *state)
{
    stage *s = state;

    await_count(&s->tasks, SPAWNED, 1);
    (void)count(&s->world, ARRIVED(0));
    (void)count(&s->world, ARRIVED(1));
    await_count(&s->progress, WRITTEN(1), 2);
    await_count(&s->progress, LEFT, 1);
    (void)mark(&s->world, CANCEL);
}

/* The same when both have rested before. */
static void send_to_full_again(void *state)
{
    stage *s = state;

    await_count(&s->progress, LEFT, 1);
    (void)count(&s->world, ARRIVED(0));
    await_count(&s->tasks, SPAWNED, 2);
    (void)count(&s->world, ARRIVED(1));
    await_count(&s->progress, WRITTEN(1), 2);
    await_count(&s->progress, LEFT, 2);
    (void)mark(&s->world, CANCEL);
}

/* When one source has ended there is one fiber, which copies the other direction to its end. */
static void end_one_by_one(void *state)
{
    stage *s = state;

    await_count(&s->tasks, SPAWNED, 1);
    (void)mark(&s->world, ENDS(0));
    await_count(&s->progress, LEFT, 1);
    (void)count(&s->world, ARRIVED(1));
    await_count(&s->progress, WRITTEN(0), 1);
    (void)mark(&s->world, ENDS(1));
}

static void end_both(void *state)
{
    stage *s = state;

    await_count(&s->tasks, SPAWNED, 1);
    (void)mark(&s->world, ENDS(0));
    (void)mark(&s->world, ENDS(1));
}

static void fail_second(void *state)
{
    stage *s = state;

    await_count(&s->tasks, SPAWNED, 1);
    (void)mark(&s->world, FAILS(1));
}

static void cancel(void *state)
{
    stage *s = state;

    await_count(&s->tasks, SPAWNED, 1);
    (void)mark(&s->world, CANCEL);
}

static void send_and_cancel(void *state)
{
    stage *s = state;

    await_count(&s->tasks, SPAWNED, 1);
    (void)count(&s->world, ARRIVED(1));
    (void)mark(&s->world, CANCEL);
}

/* --- Before and after ------------------------------------------------------------------------------------------------------ */

/* A byte is there that one fiber cannot copy. */
static void setup(stage *s, int expected)
{
    current = s;
    s->both = model_alloc(sizeof *s->both, _Alignof(tni_copy_both));
    for (unsigned i = 0; i < 2; i++)
        s->streams[i].index = i;
    s->expected = expected;
    tni_a32_init(&s->world, ARRIVED(0));
    model_name_of(s->world);
    model_name_of(s->tasks);
    model_name_of(s->progress);
    model_name(&s->both->copy.idle, 4, "idle");
}

static void cancelled(void *state)
{
    setup(state, TN_ECANCELED);
}

static void ended(void *state)
{
    setup(state, 0);
}

static void failed(void *state)
{
    setup(state, TN_ECONNRESET);
}

static void finish(void *state)
{
    stage *s = state;
    uint32_t world = look(&s->world);
    uint32_t progress = look(&s->progress);

    for (unsigned i = 0; i < 2; i++) {
        model_check(s->bytes[i] == COUNTER(progress, WRITTEN(1 - i)));
        model_check(((progress & CLOSED(i)) != 0) == (s->expected == 0));
    }
    if (s->expected == 0)
        model_check(s->bytes[0] == COUNTER(world, ARRIVED(0)) && s->bytes[1] == COUNTER(world, ARRIVED(1)));
}

#define CASE(what, preemptions, how, peer) \
    { \
        .name = "copy_idle." what, .state_bytes = sizeof(stage), .bound = preemptions, .setup = how, .finish = finish, \
        .threads = {caller, second, peer}, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("rest", 2, cancelled, cancel_when_idle),
    CASE("input", 2, cancelled, send_and_cancel_when_idle),
    CASE("full", 1, cancelled, send_to_full),
    CASE("full_again", 1, cancelled, send_to_full_again),
    CASE("end", 1, ended, end_one_by_one),
    CASE("end_both", 2, ended, end_both),
    CASE("error", 2, failed, fail_second),
    CASE("cancel", 2, cancelled, cancel),
    CASE("input_cancel", 2, cancelled, send_and_cancel),
    {0},
};
