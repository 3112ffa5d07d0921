/* SPDX-License-Identifier: MIT */
/* A child process that ends: the reaper, a task that waits, one that sends signals, and the last close. No signal is sent after
 * the reap, no wake is lost, and nothing is freed early. */
#include "process/child.h"

#include "model.h"
#include "waker.h"

typedef struct {
    tni_os_mutex lock;
    tni_child *child;
    struct tn_waker waker;
    uint32_t reaped; /* plain: written in the reap, read by each signal */
    uint32_t signals;
} scene;

static scene *current; /* set in setup */

bool tni_os_process_reap(tni_os_process *process, bool kill_group, tni_os_process_end *end)
{
    (void)process;
    (void)kill_group;
    model_check(current->reaped == 0);
    current->reaped = 1;
    *end = (tni_os_process_end){.known = true, .code = 7};
    return true;
}

int tni_os_process_send(const tni_os_process *process, int number, bool group)
{
    (void)process;
    (void)number;
    (void)group;
    model_check(current->reaped == 0);
    current->signals++;
    return 0;
}

/* References: the reaper's, and one of each thread that closes. */
static void setup_with(scene *s, unsigned closers)
{
    current = s;
    tni_os_mutex_init(&s->lock);
    s->child = tni_child_make();
    s->child->lock = &s->lock;
    for (unsigned i = 0; i < closers; i++)
        tni_child_retain(s->child);
    model_name_of(s->waker.wakes);
    model_name_of(s->reaped);
    model_name_of(s->child->over);
    model_name_of(s->child->references);
}

static void setup(void *state)
{
    setup_with(state, 1);
}

static void setup_two(void *state)
{
    setup_with(state, 2);
}

static void reaper(void *state)
{
    scene *s = state;

    tni_os_mutex_lock(&s->lock);
    model_check(tni_child_reap_locked(s->child));
    tni_os_mutex_unlock(&s->lock);
    tni_child_finish(s->child);
}

static void waiter(void *state)
{
    scene *s = state;
    tn_waker *armed = NULL;
    uint32_t wakes = 0;
    int rc;

    while ((rc = tni_child_poll(s->child, &armed, &s->waker)) == TN_PENDING)
        wakes = waker_wait(&s->waker, wakes);
    model_check(rc == 0 && s->child->end.code == 7);
    tni_child_disarm(s->child, &armed);
    model_check(tni_child_send(s->child, 9, false) == 0);
    tni_child_release(s->child);
}

/* Does not wait to the end. */
static void fickle_waiter(void *state)
{
    scene *s = state;
    tn_waker *armed = NULL;

    if (tni_child_poll(s->child, &armed, &s->waker) == 0)
        model_check(s->child->end.code == 7);
    tni_child_disarm(s->child, &armed);
    tni_child_release(s->child);
}

static void sender(void *state)
{
    scene *s = state;

    model_check(tni_child_send(s->child, 15, false) == 0);
    tni_child_release(s->child);
}

static void finish(void *state)
{
    scene *s = state;

    model_check(s->reaped == 1);
    model_check(tni_a32_load(&s->waker.references, TNI_RELAXED) == 0);
    tni_os_mutex_fini(&s->lock);
}

#define CASE(what, before, ...) \
    { \
        .name = "child." what, .state_bytes = sizeof(scene), .setup = before, .threads = {__VA_ARGS__}, .finish = finish \
    }

const model_scenario model_scenarios[] = {
    CASE("wait", setup, reaper, waiter),
    CASE("close", setup, reaper, fickle_waiter),
    CASE("send", setup_two, reaper, waiter, sender),
    {0},
};
