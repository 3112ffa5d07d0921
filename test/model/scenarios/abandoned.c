/* SPDX-License-Identifier: MIT */
/* Destroy abandons fibers that wait, while external threads grant what they wait for, or cancel it. The runtime is a
 * current-thread one. Watched memory stands for the fibers' frames. It is freed when destroy has returned, as the frames
 * are. */
#include <tn/cancel_token.h>
#include <tn/group.h>
#include <tn/mutex.h>
#include <tn/oneshot.h>
#include <tn/runtime.h>
#include <tn/semaphore.h>

#include "model.h"
#include "sched/runtime.h"
#include "scope/scope.h"
#include "short_lock_wait.h"
#include "waiters.h"

#define FIBERS 2

typedef struct {
    tn_semaphore_future permit;
    tn_mutex_future lock;
    tn_oneshot_future receive;
    uint64_t element;
    tn_scope scope;
    tn_cancel_token_scope token_scope;
    tn_future bell;
    tni_wait rung;
    tn_group group;
} frame;

typedef struct {
    tn_runtime *runtime;
    tn_runtime *elsewhere;
    unsigned fibers;
    frame *frames[FIBERS];
    tn_semaphore semaphore;
    tn_mutex mutex;
    tn_oneshot *oneshot;
    tn_cancel_source source;
    tn_cancel_token *token;
    tn_entry_fn child;      /* the task of a group */
    const tni_stack *stack; /* of the group's owner */
    uint32_t used;          /* plain: written by a task of the group */
} house;

static house *current; /* set by setup */

static tn_runtime *create(void)
{
    tn_options options = tn_options_default();
    tn_runtime *runtime;

    options.flavor = TN_CURRENT_THREAD;
    options.guard = TN_GUARD_NONE;
    options.stack_size_bytes = 16 * 1024;
    model_check(tn_runtime_create(&runtime, &options) == 0);
    return runtime;
}

static void *nothing(void *arg)
{
    return arg;
}

/* Starts another fiber and runs it until it waits. */
static void begin(house *h, tn_entry_fn entry)
{
    frame *f = model_alloc(sizeof *f, _Alignof(frame));

    current = h;
    if (h->runtime == NULL)
        h->runtime = create();
    h->frames[h->fibers++] = f;
    model_check(tn_spawn_on(h->runtime, NULL, NULL, entry, f) == 0);
    model_check(tn_block_on(h->runtime, nothing, NULL, NULL) == 0);
    model_name(&h->runtime->externals, 4, "externals");
    model_name(&h->runtime->pins, 4, "pins");
    model_name(&h->runtime->frames, 4, "frames");
    model_name(&h->semaphore, 8, "semaphore.word");
}

/* --- Fibers, which never continue ------------------------------------------------------------------------------------------- */

static void *never(void)
{
    model_check(false);
    return NULL;
}

static void *acquire(void *arg)
{
    frame *f = arg;

    tn_semaphore_acquire_init(&f->permit, &current->semaphore, 1);
    tni_waiter_in_frame(tni_waiter_of(&f->permit.waiter)); /* as tn_semaphore_acquire does */
    (void)tn_await(&f->permit.base);
    return never();
}

static void *lock(void *arg)
{
    frame *f = arg;

    tn_mutex_lock_init(&f->lock, &current->mutex);
    tni_waiter_in_frame(tni_waiter_of(&f->lock.waiter));
    (void)tn_await(&f->lock.base);
    return never();
}

static void *receive(void *arg)
{
    frame *f = arg;

    tn_oneshot_recv_init(&f->receive, current->oneshot, &f->element);
    (void)tn_await(&f->receive.base);
    return never();
}

static int bell_poll(tn_future *self, tn_waker *waker)
{
    tni_wait_arm(&tni_container_of(self, frame, bell)->rung, waker);
    return TN_PENDING;
}

static void bell_drop(tn_future *self)
{
    (void)tni_wait_disarm(&tni_container_of(self, frame, bell)->rung);
}

static const tn_future_ops bell_ops = {bell_poll, bell_drop, "bell"};

static void *wait_in_scope(void *arg)
{
    frame *f = arg;

    f->bell.ops = &bell_ops;
    tn_scope_enter_with(&f->scope, TN_NEVER, &current->source);
    (void)tn_await(&f->bell);
    return never();
}

static void *wait_in_token_scope(void *arg)
{
    frame *f = arg;

    f->bell.ops = &bell_ops;
    tn_cancel_token_scope_enter(&f->token_scope, TN_NEVER, current->token);
    (void)tn_await(&f->bell);
    return never();
}

/* A task of the group, in the other runtime. It uses the frame of the group's owner. */
static void *use_frame(void *arg)
{
    house *h = arg;

    model_check(h->stack->live);
    h->used++;
    return NULL;
}

/* Also spawns another task. */
static void *spawn_another(void *arg)
{
    house *h = arg;

    model_check(tn_group_spawn(&h->frames[0]->group, NULL, use_frame, h) == 0);
    return use_frame(h);
}

static void drop_in_frame(tn_future *self)
{
    model_check(current->stack->live);
    bell_drop(self);
}

static const tn_future_ops in_frame_ops = {bell_poll, drop_in_frame, "bell in a frame"};

/* Waits for ever, for an event in the frame. */
static void *wait_in_frame(void *arg)
{
    frame *f = ((house *)arg)->frames[0];

    f->bell.ops = &in_frame_ops;
    (void)tn_await(&f->bell);
    return never();
}

/* Drops the result of the task, which may be in the frame. */
static void drop_result(void *result)
{
    (void)result;
    model_check(current->stack->live);
}

static void *own_group(void *arg)
{
    tn_group_options options = tn_group_options_default();
    tn_spawn_options how = tn_spawn_options_default();
    tn_group *group = &((frame *)arg)->group;

    how.drop_result = drop_result;
    options.runtime = current->elsewhere;
    tn_group_enter(group, &options);
    current->stack = tn_self()->body.fiber.stack;
    model_check(tn_group_spawn(group, &how, current->child, current) == 0);
    (void)tn_group_wait(group);
    return never();
}

/* --- Before ----------------------------------------------------------------------------------------------------------------- */

static void one_acquires(void *state)
{
    begin(state, acquire);
}

static void two_acquire(void *state)
{
    begin(state, acquire);
    begin(state, acquire);
}

static void one_locks(void *state)
{
    model_check(tn_mutex_try_lock(&((house *)state)->mutex) == 0);
    begin(state, lock);
}

static void one_receives(void *state)
{
    model_check(tn_oneshot_create(&((house *)state)->oneshot, sizeof(uint64_t), NULL) == 0);
    begin(state, receive);
}

static void one_in_scope(void *state)
{
    tn_cancel_source_init(&((house *)state)->source);
    begin(state, wait_in_scope);
}

static void one_in_token_scope(void *state)
{
    model_check(tn_cancel_token_create(&((house *)state)->token, NULL, NULL) == 0);
    begin(state, wait_in_token_scope);
}

static void own_group_of(house *h, tn_entry_fn child)
{
    h->child = child;
    h->elsewhere = create();
    begin(h, own_group);
}

static void one_owns_group(void *state)
{
    own_group_of(state, use_frame);
}
static void one_owns_group_that_grows(void *state)
{
    own_group_of(state, spawn_another);
}

static void one_owns_group_that_waits(void *state)
{
    house *h = state;

    own_group_of(h, wait_in_frame);
    model_check(tn_block_on(h->elsewhere, nothing, NULL, NULL) == 0);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void free_frames(house *h)
{
    for (unsigned i = 0; i < h->fibers; i++)
        model_free(h->frames[i]);
}

static void give_up(house *h, tn_shutdown how)
{
    model_check(tn_runtime_destroy(h->runtime, how, 0) == h->fibers);
}

static void destroy(void *state)
{
    give_up(state, TN_SHUTDOWN_WAIT);
    free_frames(state);
}

/* The fibers are woken, and do not run. */
static void destroy_cancel(void *state)
{
    give_up(state, TN_SHUTDOWN_CANCEL);
    free_frames(state);
}

/* The frame stays until the task of the group has ended. */
static void destroy_owner(void *state)
{
    give_up(state, TN_SHUTDOWN_WAIT);
}

static void release(void *state)
{
    tn_semaphore_release(&((house *)state)->semaphore, 1);
}
static void unlock(void *state)
{
    tn_mutex_unlock(&((house *)state)->mutex);
}

static void send_element(void *state)
{
    const uint64_t element = 7;

    (void)tn_oneshot_send(((house *)state)->oneshot, &element);
}

static void cancel_source(void *state)
{
    tn_cancel_source_cancel(&((house *)state)->source);
}
static void cancel_token(void *state)
{
    tn_cancel_token_cancel(((house *)state)->token);
}

static void run_elsewhere(void *state)
{
    house *h = state;

    model_check(tn_block_on(h->elsewhere, nothing, NULL, NULL) == 0);
    model_check(h->used >= 1);
}

/* The other runtime gives up too. */
static void destroy_elsewhere(void *state)
{
    model_check(tn_runtime_destroy(((house *)state)->elsewhere, TN_SHUTDOWN_WAIT, 0) == 1);
}

/* --- After ------------------------------------------------------------------------------------------------------------------ */

static void has_permit(void *state)
{
    house *h = state;

    model_check(tn_semaphore_available(&h->semaphore) == 1);
    tn_semaphore_fini(&h->semaphore);
}

static void is_unlocked(void *state)
{
    tn_mutex_fini(&((house *)state)->mutex);
}

static void has_element(void *state)
{
    house *h = state;
    uint64_t element = 0;

    model_check(tn_oneshot_try_recv(h->oneshot, &element) == 0 && element == 7);
    tn_oneshot_release(h->oneshot);
}

static void source_is_free(void *state)
{
    tn_cancel_source_fini(&((house *)state)->source);
}
static void token_is_free(void *state)
{
    tn_cancel_token_release(((house *)state)->token);
}

static void elsewhere_is_quiet(void *state)
{
    house *h = state;

    model_check(tn_runtime_destroy(h->elsewhere, TN_SHUTDOWN_WAIT, TNI_FOREVER) == 0);
    model_check(h->used == (h->child == spawn_another ? 2 : 1));
    free_frames(h);
}

static void both_are_gone(void *state)
{
    free_frames(state);
}

#define CASE(what, preemptions, before, after, ...) \
    { \
        .name = "abandoned." what, .state_bytes = sizeof(house), .bound = preemptions, .setup = before, \
        .threads = {__VA_ARGS__}, .finish = after, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("grant", 2, one_acquires, has_permit, destroy, release),
    CASE("grant_queued", 2, one_acquires, has_permit, destroy_cancel, release),
    CASE("grant_two", 2, two_acquire, has_permit, destroy, release),
    CASE("lock", 2, one_locks, is_unlocked, destroy, unlock),
    CASE("send", 2, one_receives, has_element, destroy, send_element),
    CASE("source", 2, one_in_scope, source_is_free, destroy, cancel_source),
    CASE("token", 2, one_in_token_scope, token_is_free, destroy, cancel_token),
    CASE("group", 2, one_owns_group, elsewhere_is_quiet, destroy_owner, run_elsewhere),
    CASE("group_spawn", 2, one_owns_group_that_grows, elsewhere_is_quiet, destroy_owner, run_elsewhere),
    CASE("group_both", 2, one_owns_group_that_waits, both_are_gone, destroy_owner, destroy_elsewhere),
    {0},
};
