/* SPDX-License-Identifier: MIT */
/* tn_task_tracker: nothing enters once it is closed, and the wait ends when the last has left, not before. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <stdlib.h>

#include <tn/combine.h>
#include <tn/scope.h>
#include <tn/task_tracker.h>

#include "support/runtime.h"

static void *wait_for_end(void *arg)
{
    return (void *)(intptr_t)tn_task_tracker_wait(arg);
}

static void *use(void *arg)
{
    tn_task_tracker tracker;
    tn_task *task;

    tn_task_tracker_init(&tracker);
    tt_check(tn_task_tracker_enter(&tracker) == 0);
    tn_task_tracker_leave(&tracker);
    tt_check_eq(tn_task_tracker_count(&tracker), 0);
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check_eq(tn_task_tracker_wait(&tracker), TN_ETIMEDOUT); /* empty, but not closed */
    }
    tt_check(tn_task_tracker_enter(&tracker) == 0 && tn_task_tracker_enter(&tracker) == 0);
    tn_task_tracker_close(&tracker);
    tn_task_tracker_close(&tracker);
    tt_check_eq(tn_task_tracker_enter(&tracker), TN_ESHUTDOWN);
    tt_check_eq(tn_task_tracker_count(&tracker), 2);
    task = tt_spawn(wait_for_end, &tracker);
    tn_task_tracker_leave(&tracker);
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check_eq(tn_task_tracker_wait(&tracker), TN_ETIMEDOUT); /* closed, but not empty */
    }
    tn_task_tracker_leave(&tracker);
    tt_check_eq((intptr_t)tt_join(task), 0);
    tt_check_eq(tn_task_tracker_wait(&tracker), 0);
    tn_task_tracker_fini(&tracker);
    return arg;
}

Test(task_tracker, is_closed_and_waited_for)
{
    tt_run(use, NULL);
}

static void *select_it(void *arg)
{
    tn_task_tracker tracker;
    tn_wait_group_future ended;
    tn_sleep_future time;
    tn_future *futures[2] = {&ended.base, &time.base};

    tn_task_tracker_init(&tracker);
    tn_task_tracker_wait_init(&ended, &tracker);
    tn_sleep_init(&time, tn_now() + TN_MS);
    tt_check_eq(tn_select(futures, 2, NULL), 1);
    tn_task_tracker_close(&tracker); /* the count is 0 */
    tn_sleep_init(&time, tn_now() + 60 * TN_S);
    tt_check_eq(tn_race(futures, 2, NULL), 0);
    tn_task_tracker_fini(&tracker);
    return arg;
}

Test(task_tracker, can_be_selected)
{
    tt_run(select_it, NULL);
}

/* --- A server that ends in the middle of its load -------------------------------------------------------------------------- */

enum { SESSIONS = 64 };

typedef struct {
    tn_task_tracker *tracker;
    atomic_uint entered;
    unsigned done[SESSIONS]; /* plain: each leave publishes its own */
} server;

typedef struct {
    server *server;
    unsigned index;
} session;

static void *run_session(void *arg)
{
    session *s = arg;

    if (s->index % 3 == 0)
        tt_check(tn_yield() == 0);
    s->server->done[s->index] = 1;
    tn_task_tracker_leave(s->server->tracker);
    free(s);
    return NULL;
}

static void *accept_sessions(void *arg)
{
    server *v = arg;

    for (unsigned i = 0; i < SESSIONS; i++) {
        session *s = malloc(sizeof *s);
        tt_check(s != NULL);
        *s = (session){v, i};
        if (tn_task_tracker_enter(v->tracker) != 0) {
            free(s);
            break;
        }
        atomic_fetch_add(&v->entered, 1);
        tt_check(tn_spawn(NULL, run_session, s) == 0);
        if (i % 8 == 0)
            tt_check(tn_yield() == 0);
    }
    return NULL;
}

static void *close_it(void *arg)
{
    tn_task_tracker_close(arg);
    return NULL;
}

/* The tracker is freed as soon as the wait is over: the sanitizers find an access that comes later. */
static void *one_server(void *arg)
{
    for (unsigned long i = 0; i < tt_scaled(400); i++) {
        server *v = calloc(1, sizeof *v);
        unsigned ended = 0;
        tn_task *acceptor;
        tn_task *closer;
        tt_check(v != NULL);
        v->tracker = malloc(sizeof *v->tracker);
        tt_check(v->tracker != NULL);
        tn_task_tracker_init(v->tracker);
        tt_check(tn_task_tracker_enter(v->tracker) == 0); /* for the acceptor */
        acceptor = tt_spawn(accept_sessions, v);
        closer = tt_spawn(close_it, v->tracker);
        (void)tt_join(acceptor);
        (void)tt_join(closer);
        tn_task_tracker_leave(v->tracker);
        tt_check_eq(tn_task_tracker_wait(v->tracker), 0);
        tn_task_tracker_fini(v->tracker);
        free(v->tracker);
        for (unsigned k = 0; k < SESSIONS; k++)
            ended += v->done[k];
        tt_check_eq(ended, atomic_load(&v->entered));
        free(v);
    }
    return arg;
}

Test(task_tracker, ends_with_the_last_session)
{
    tt_run(one_server, NULL);
}
