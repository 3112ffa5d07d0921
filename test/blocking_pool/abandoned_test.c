/* SPDX-License-Identifier: MIT */
/* A fiber waits for another runtime's pool, and its own runtime gives up on it. Nothing of the fiber stays in that pool. */
/* ctest: timeout=120 */
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>

#include <tn/names.h>

#include "pool/pool.h"
#include "pool_jobs.h"
#include "support/abandoned.h"

static void *never(void)
{
    tt_check(false);
    return NULL;
}

/* --- A slot in the queue -------------------------------------------------------------------------------------------------- */

/* A pool with one thread, which is busy, and a queue of one slot, which is taken. */
typedef struct {
    tn_runtime *runtime;
    blocker first;
    blocker second;
    atomic_long ran;
} full_pool;

static void full_pool_open(full_pool *p)
{
    *p = (full_pool){.first = BLOCKER_INIT, .second = BLOCKER_INIT};
    p->runtime = runtime_with(1, 1);
    cr_assert_eq(tn_spawn_blocking_on(p->runtime, NULL, NULL, block, &p->first), 0);
    tt_gate_wait(&p->first.begun, 1);
    cr_assert_eq(tn_spawn_blocking_on(p->runtime, NULL, NULL, block, &p->second), 0);
}

static void *wait_for_place(void *arg)
{
    full_pool *p = arg;

    (void)tn_spawn_blocking_on(p->runtime, NULL, NULL, count_up, &p->ran);
    return never();
}

static int try_spawn(full_pool *p)
{
    tn_blocking_options options = tn_blocking_options_default();

    options.when_full = TN_FULL_ERROR;
    return tn_spawn_blocking_on(p->runtime, &options, NULL, count_up, &p->ran);
}

static bool has_run(void *arg)
{
    return atomic_load(&((full_pool *)arg)->ran) > 0;
}

/* The test has spawned one job besides the first two. */
static void full_pool_close(full_pool *p)
{
    tt_gate_open(&p->second.end);
    cr_assert(tt_wait_until(has_run, p, 20 * TN_S));
    tt_runtime_destroy(p->runtime);
    cr_assert_eq(atomic_load(&p->ran), 1);
}

Test(abandoned, that_waits_for_a_place)
{
    tt_abandoned left;
    full_pool p;

    full_pool_open(&p);
    tt_abandon_begin(&left, wait_for_place, &p);
    tt_abandon_end(&left);
    tt_gate_open(&p.first.end);
    tt_gate_wait(&p.second.begun, 1);
    cr_assert_eq(try_spawn(&p), 0); /* the slot is free, not reserved for the fiber */
    full_pool_close(&p);
}

Test(abandoned, that_has_a_place)
{
    tt_abandoned left;
    full_pool p;

    full_pool_open(&p);
    tt_abandon_begin(&left, wait_for_place, &p);
    tt_gate_open(&p.first.end);
    tt_gate_wait(&p.second.begun, 1);
    cr_assert_eq(try_spawn(&p), TN_ENOBUFS); /* the slot is reserved for the fiber */
    tt_abandon_end(&left);
    cr_assert_eq(try_spawn(&p), 0);
    full_pool_close(&p);
}

static void *spawn_in_thread(void *arg)
{
    full_pool *p = arg;

    tt_check(tn_spawn_blocking_on(p->runtime, NULL, NULL, count_up, &p->ran) == 0);
    return NULL;
}

static bool one_waits(void *arg)
{
    return counters(((full_pool *)arg)->runtime).queued == 1;
}

/* The slot goes to the thread that waits behind the fiber. */
Test(abandoned, that_has_a_place_before_others)
{
    tt_abandoned left;
    pthread_t behind;
    full_pool p;

    full_pool_open(&p);
    tt_abandon_begin(&left, wait_for_place, &p);
    behind = tt_thread_start(spawn_in_thread, &p);
    tt_gate_open(&p.first.end);
    tt_gate_wait(&p.second.begun, 1);
    tt_abandon_end(&left);
    tt_thread_join(behind);
    cr_assert(tt_wait_until(one_waits, &p, 20 * TN_S));
    full_pool_close(&p);
}

/* --- Jobs ----------------------------------------------------------------------------------------------------------------- */

static void *join_job(void *arg)
{
    (void)tn_job_join(arg, NULL);
    return never();
}

/* Another thread can join the job. */
Test(abandoned, that_joins_a_job)
{
    tn_runtime *runtime = runtime_with(0, 0);
    blocker busy = BLOCKER_INIT;
    tt_abandoned left;
    tn_job *job;

    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &job, block, &busy), 0);
    tt_gate_wait(&busy.begun, 1);
    tt_abandon_begin(&left, join_job, job);
    tt_abandon_end(&left);
    tt_gate_open(&busy.end);
    cr_assert_eq(tn_job_join(job, NULL), 0);
    tt_runtime_destroy(runtime);
}

/* --- Names ---------------------------------------------------------------------------------------------------------------- */

static tt_gate asked = TT_GATE_INIT;
static tt_gate answered = TT_GATE_INIT;

/* Overrides the C library's function. */
int getaddrinfo(const char *restrict host, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict out)
{
    (void)host, (void)service, (void)hints, (void)out;
    tt_gate_open(&asked);
    tt_gate_wait(&answered, 1);
    return EAI_AGAIN;
}

typedef struct {
    tn_runtime *runtime;
    const char *port; /* of another port than the others, so that it is another question */
    tn_names names;
} question;

static void *resolve(void *arg)
{
    question *q = arg;

    (void)tn_resolve(q->runtime, "hangs.test", q->port, &q->names);
    return never();
}

static void *resolve_in_thread(void *arg)
{
    question q = {.runtime = ((const question *)arg)->runtime,
                  .port = ((const question *)arg)->port}; /* the names of the original are in use by the fiber */

    tt_check(tn_resolve(q.runtime, "hangs.test", q.port, &q.names) == TN_EAI_AGAIN);
    return NULL;
}

static bool one_is_queued(void *arg)
{
    return counters(((question *)arg)->runtime).queued == 1;
}

/* The fiber has read the hosts file before. */
static tn_runtime *asked_runtime;

static bool is_asked(const tn_task *fiber)
{
    (void)fiber;
    return tt_gate_opened(&asked) > 0;
}

static bool is_queued(const tn_task *fiber)
{
    (void)fiber;
    return counters(asked_runtime).queued == 1;
}

static bool waits_for_slot(const tn_task *fiber)
{
    int error;
    tni_pool *pool = tni_pool_of(asked_runtime, &error);
    bool waits;

    (void)fiber;
    tni_os_mutex_lock(&pool->lock);
    waits = pool->waiting[TNI_POOL_NAMES].first != NULL;
    tni_os_mutex_unlock(&pool->lock);
    return waits;
}

/* The fiber is abandoned while its lookup runs, while it is queued, and while the fiber waits for a slot in the queue. */
Test(abandoned, that_asks_for_a_name)
{
    tn_options options = tt_options();
    pthread_t others[2];
    question questions[2];
    tt_abandoned left;
    question q;

    options.name_threads = 1;
    options.blocking_queue_max = 1;
    cr_assert_eq(tn_runtime_create(&q.runtime, &options), 0);
    asked_runtime = q.runtime;
    q.port = "1";
    tt_abandon_begin_when(&left, resolve, &q, is_asked);
    tt_abandon_end(&left);
    cr_assert_eq(counters(q.runtime).detached, 1); /* another lookup gets the place of the class */
    questions[0] = (question){.runtime = q.runtime, .port = "2"};
    others[0] = tt_thread_start(resolve_in_thread, &questions[0]);
    tt_gate_wait(&asked, 2);
    q.port = "3";
    tt_abandon_begin_when(&left, resolve, &q, is_queued);
    tt_abandon_end(&left);
    cr_assert_eq(counters(q.runtime).queued, 0); /* the lookup was removed from the queue */
    questions[1] = (question){.runtime = q.runtime, .port = "4"};
    others[1] = tt_thread_start(resolve_in_thread, &questions[1]);
    cr_assert(tt_wait_until(one_is_queued, &q, 20 * TN_S));
    q.port = "5";
    tt_abandon_begin_when(&left, resolve, &q, waits_for_slot);
    tt_abandon_end(&left);
    tt_gate_open(&answered);
    for (int i = 0; i < 2; i++)
        tt_thread_join(others[i]);
    tt_runtime_destroy(q.runtime);
}
