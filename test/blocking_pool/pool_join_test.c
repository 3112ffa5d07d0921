/* SPDX-License-Identifier: MIT */
/* Jobs that wait for jobs of their own pool: a join that can never end fails with TN_EDEADLK, whenever this becomes known. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <string.h>

#include "pool/pool.h"
#include "pool_jobs.h"
#include "support/runtime.h"
#include "support/thread_faults.h"
#include "sync/sync_support.h"

static atomic_int reports;  /* of jobs that wait for each other */
static atomic_int messages; /* of any kind */

static void count_messages(void *ctx, tn_log_level level, const char *message)
{
    (void)ctx;
    (void)level;
    atomic_fetch_add(&messages, 1);
    atomic_fetch_add(&reports, strstr(message, "wait for other jobs") != NULL);
}

static tn_runtime *quiet_runtime(unsigned threads, tn_log_fn log)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.blocking_threads = threads;
    options.log = log;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    return runtime;
}

/* Joins the job, or releases the handle if the join fails. */
static int join_or_release(tn_job *job)
{
    int rc = tn_job_join(job, NULL);

    tt_check(rc == 0 || rc == TN_EDEADLK);
    if (rc != 0)
        tn_job_release(job);
    return rc;
}

/* --- A full pool ------------------------------------------------------------------------------------------------------------ */

typedef struct {
    tt_gate begun;
    tt_gate spawned;
    atomic_long ran;
    atomic_long refused;
} dependence;

static void *wait_for_another(void *arg)
{
    dependence *self = arg;
    tn_job *job;
    int rc;

    tt_gate_open(&self->begun);
    tt_gate_wait(&self->begun, 2);
    tt_check(tn_spawn_blocking(&job, count_up, &self->ran) == 0);
    tt_gate_open(&self->spawned);
    tt_gate_wait(&self->spawned, 2);
    rc = tn_job_join(job, NULL);
    if (rc == TN_EDEADLK) {
        atomic_fetch_add(&self->refused, 1);
        tt_check(tn_job_cancel(job)); /* both threads are in jobs, so it cannot have begun */
        tn_job_release(job);
    } else {
        tt_check(rc == 0);
    }
    return NULL;
}

static void run_two_that_wait(tn_runtime *runtime, dependence *self)
{
    tn_job *jobs[2];

    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &jobs[i], wait_for_another, self), 0);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(tn_job_join(jobs[i], NULL), 0);
}

Test(pool_join, jobs_that_wait_for_jobs_of_a_full_pool_are_told)
{
    tn_runtime *runtime = quiet_runtime(2, count_messages);
    dependence self = {.begun = TT_GATE_INIT, .spawned = TT_GATE_INIT};

    run_two_that_wait(runtime, &self);
    cr_assert_eq(atomic_load(&self.refused), 1); /* the other job then gets its thread */
    cr_assert_eq(atomic_load(&reports), 1);
    cr_assert_eq(atomic_load(&self.ran), 1);
    tt_runtime_destroy(runtime);
}

typedef struct {
    tn_runtime *runtime;
    atomic_long leaves[2];
    atomic_long wrong; /* joins refused although one of the two leaves had ended */
} pair;

static void *join_a_leaf(pair *self, unsigned which);

static void *second_parent(void *arg)
{
    return join_a_leaf(arg, 1);
}

static void *first_parent(void *arg)
{
    return join_a_leaf(arg, 0);
}

static void *join_a_leaf(pair *self, unsigned which)
{
    tn_job *job;
    int rc;

    tt_check(tn_spawn_blocking(&job, count_up, &self->leaves[which]) == 0);
    if (which == 0) /* queued behind our leaf, which the next call joins */
        tt_check(tn_spawn_blocking(NULL, second_parent, self) == 0);
    rc = tn_job_join(job, NULL);
    tt_check(rc == 0 || rc == TN_EDEADLK);
    if (rc == TN_EDEADLK) {
        if (tn_job_is_finished(job) || (which == 1 && atomic_load(&self->leaves[0]) > 0))
            atomic_fetch_add(&self->wrong, 1);
        tn_job_release(job);
    }
    return NULL;
}

static bool is_empty(void *runtime)
{
    tn_blocking_counters now = counters(runtime);

    return now.queued == 0 && now.running_jobs == 0;
}

/* The first parent's leaf ends before the second parent begins, so at least one of the two joins succeeds. */
Test(pool_join, a_join_is_not_refused_while_another_goes_on)
{
    tn_runtime *runtime = quiet_runtime(2, count_messages);

    for (unsigned long round = 0; round < tt_scaled(1000); round++) {
        pair self = {.runtime = runtime};
        tn_job *job;
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &job, first_parent, &self), 0);
        cr_assert_eq(tn_job_join(job, NULL), 0);
        cr_assert(tt_wait_until(is_empty, runtime, 30 * TN_S));
        cr_assert_eq(atomic_load(&self.wrong), 0);
    }
    tt_runtime_destroy(runtime);
}

Test(pool_join, jobs_that_wait_for_jobs_are_served_if_there_is_room)
{
    tn_runtime *runtime = quiet_runtime(3, count_messages);
    dependence self = {.begun = TT_GATE_INIT, .spawned = TT_GATE_INIT};

    run_two_that_wait(runtime, &self);
    cr_assert_eq(atomic_load(&self.refused), 0);
    cr_assert_eq(atomic_load(&messages), 0);
    tt_runtime_destroy(runtime);
}

/* --- A thread cannot be started: found out when the jobs wait already ------------------------------------------------------- */

typedef struct {
    tn_runtime *runtime;
    tt_gate exchanged; /* open when both handles are stored */
    tn_job *jobs[2];
    int rc[2];
    unsigned waiting;
} couple;

static void *join_the_other(couple *self, unsigned which)
{
    tt_gate_wait(&self->exchanged, 1);
    self->rc[which] = join_or_release(self->jobs[1 - which]);
    return NULL;
}

static void *first_of_couple(void *arg)
{
    return join_the_other(arg, 0);
}

static void *second_of_couple(void *arg)
{
    return join_the_other(arg, 1);
}

static bool both_wait(void *arg)
{
    int error;
    tni_pool *pool = tni_pool_of(((couple *)arg)->runtime, &error);
    unsigned joining;

    tni_os_mutex_lock(&pool->lock);
    joining = pool->joining;
    tni_os_mutex_unlock(&pool->lock);
    return joining == 2;
}

/* The pool expects that it can start more threads, until a third job needs one. */
Test(pool_join, a_failed_start_ends_a_wait_that_has_begun)
{
    tn_runtime *runtime = quiet_runtime(0, count_messages);
    couple self = {.runtime = runtime, .exchanged = TT_GATE_INIT};
    atomic_long count = 0;
    tn_job *third;

    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &self.jobs[0], first_of_couple, &self), 0);
    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &self.jobs[1], second_of_couple, &self), 0);
    tt_gate_open(&self.exchanged);
    cr_assert(tt_wait_until(both_wait, &self, 30 * TN_S));
    cr_assert_eq(atomic_load(&reports), 0);
    atomic_store(&threads_left, 1);
    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &third, count_up, &count), 0);
    cr_assert_eq(tn_job_join(third, NULL), 0); /* run by the thread whose join was refused */
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&count), 1);
    cr_assert_neq(self.rc[0] == TN_EDEADLK, self.rc[1] == TN_EDEADLK);
    cr_assert_eq(atomic_load(&reports), 1);
}

static void *spawn_and_join(void *arg)
{
    tn_job *job;

    tt_check(tn_spawn_blocking(&job, count_up, arg) == 0);
    (void)join_or_release(job);
    return NULL;
}

/* The failed start for the second job may be found by the thread that has submitted the first job, at any moment. */
Test(pool_join, one_thread_is_told_whenever_the_start_fails)
{
    tn_runtime *runtime = quiet_runtime(2, count_messages);
    atomic_long count = 0;
    unsigned long rounds = tt_scaled(2000);

    atomic_store(&threads_left, 2); /* one thread can be started, no second */
    for (unsigned long round = 0; round < rounds; round++) {
        tn_job *job;
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &job, spawn_and_join, &count), 0);
        cr_assert_eq(tn_job_join(job, NULL), 0);
    }
    cr_assert(tt_wait_until(is_empty, runtime, 30 * TN_S)); /* a refused join has left its job in the queue */
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&count), (long)rounds);
}

typedef struct {
    tn_runtime *runtime;
    tt_gate begun;
    atomic_long ran;
    tn_job *first;
    int rc[2];
} chain;

static chain chain_of_log; /* used by the log function */
static uint64_t failed_starts_then;

static bool has_failed_twice_more(void *arg)
{
    (void)arg;
    return counters(chain_of_log.runtime).failed_starts >= failed_starts_then + 2;
}

/* Delays the joiner that is refused, while the monitor tries several times to start a thread. */
static void hold_up(void *ctx, tn_log_level level, const char *message)
{
    count_messages(ctx, level, message);
    if (strstr(message, "wait for other jobs") == NULL)
        return;
    failed_starts_then = counters(chain_of_log.runtime).failed_starts;
    tt_check(tt_wait_until(has_failed_twice_more, NULL, 30 * TN_S));
}

static void *join_what_has_no_thread(void *arg)
{
    chain *self = arg;
    tn_job *job;

    tt_gate_wait(&self->begun, 1);
    tt_check(tn_spawn_blocking(&job, count_up, &self->ran) == 0);
    self->rc[0] = join_or_release(job);
    return NULL;
}

static void *join_first(void *arg)
{
    chain *self = arg;

    tt_gate_open(&self->begun);
    self->rc[1] = join_or_release(self->first);
    return NULL;
}

Test(pool_join, one_that_is_told_is_enough)
{
    chain *self = &chain_of_log;
    tn_job *second;

    self->runtime = quiet_runtime(0, hold_up);
    atomic_store(&threads_left, 3); /* two threads can be started, no third */
    cr_assert_eq(tn_spawn_blocking_on(self->runtime, NULL, &self->first, join_what_has_no_thread, self), 0);
    cr_assert_eq(tn_spawn_blocking_on(self->runtime, NULL, &second, join_first, self), 0);
    cr_assert_eq(tn_job_join(second, NULL), 0);
    cr_assert(tt_wait_until(is_empty, self->runtime, 30 * TN_S)); /* else destroy drops the queued job */
    tt_runtime_destroy(self->runtime);
    cr_assert_eq(atomic_load(&self->ran), 1);
    cr_assert_neq(self->rc[0] == TN_EDEADLK, self->rc[1] == TN_EDEADLK);
    cr_assert_eq(atomic_load(&reports), 1);
}

/* --- A join whose result is known is no deadlock ---------------------------------------------------------------------------- */

typedef struct {
    tn_runtime *runtime;
    tn_job *shared; /* joined by two jobs; queued until one of these joins returns */
    tt_gate exchanged;
    int rc[2];
} rivals;

static bool one_joins(void *arg)
{
    int error;
    tni_pool *pool = tni_pool_of(((rivals *)arg)->runtime, &error);
    unsigned joining;

    tni_os_mutex_lock(&pool->lock);
    joining = pool->joining;
    tni_os_mutex_unlock(&pool->lock);
    return joining == 1;
}

static void *join_shared(void *arg)
{
    rivals *self = arg;

    tt_gate_wait(&self->exchanged, 1);
    self->rc[0] = tn_job_join(self->shared, NULL);
    return NULL;
}

static void *join_shared_too(void *arg)
{
    rivals *self = arg;

    tt_gate_wait(&self->exchanged, 1);
    tt_check(tt_wait_until(one_joins, self, 30 * TN_S));
    self->rc[1] = tn_job_join(self->shared, NULL);
    return NULL;
}

Test(pool_join, who_is_second_is_told_so_when_all_others_wait)
{
    tn_runtime *runtime = quiet_runtime(2, count_messages);
    rivals self = {.runtime = runtime, .exchanged = TT_GATE_INIT};
    atomic_long ran = 0;
    tn_job *jobs[2];

    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &jobs[0], join_shared, &self), 0);
    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &jobs[1], join_shared_too, &self), 0);
    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &self.shared, count_up, &ran), 0);
    tt_gate_open(&self.exchanged);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(tn_job_join(jobs[i], NULL), 0);
    cr_assert_eq(self.rc[0], 0);
    cr_assert_eq(self.rc[1], TN_EBUSY);
    cr_assert_eq(atomic_load(&ran), 1);
    cr_assert_eq(atomic_load(&reports), 0);
    tt_runtime_destroy(runtime);
}

/* A future waits for the shared job, and the only thread for jobs joins it. */
Test(pool_join, who_is_second_behind_a_future_is_told_so)
{
    tn_runtime *runtime = quiet_runtime(1, count_messages);
    rivals self = {.runtime = runtime, .exchanged = TT_GATE_INIT};
    atomic_long ran = 0;
    tn_job_future future;
    stand_in one;
    tn_job *job;

    stand_in_init(&one);
    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &job, join_shared, &self), 0);
    cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &self.shared, count_up, &ran), 0);
    tn_job_init(&future, self.shared);
    cr_assert_eq(poll_by(&future.base, &one), TN_PENDING);
    tt_gate_open(&self.exchanged);
    cr_assert_eq(tn_job_join(job, NULL), 0);
    cr_assert_eq(self.rc[0], TN_EBUSY);
    drop(&future.base);
    cr_assert(stand_in_is_free(&one));
    cr_assert_eq(tn_job_join(self.shared, NULL), 0);
    cr_assert_eq(atomic_load(&reports), 0);
    tt_runtime_destroy(runtime);
}

/* --- A join that ends by its deadline --------------------------------------------------------------------------------------- */

typedef struct {
    tn_runtime *runtime;
    tn_job *hopeless; /* joins, with a deadline, the job that is queued behind both threads */
    tn_job *queued;
    tt_gate exchanged;
    unsigned joining; /* number of joins that wait when the one with the deadline begins */
    int rc[2];
} hopes;

static bool so_many_join(hopes *self, unsigned count)
{
    int error;
    tni_pool *pool = tni_pool_of(self->runtime, &error);
    unsigned joining;

    tni_os_mutex_lock(&pool->lock);
    joining = pool->joining;
    tni_os_mutex_unlock(&pool->lock);
    return joining == count;
}

static bool is_first_turn(void *self)
{
    return so_many_join(self, 0);
}
static bool is_second_turn(void *self)
{
    return so_many_join(self, 1);
}

static void *join_until_a_deadline(void *arg)
{
    hopes *self = arg;
    TN_SCOPE(scope, tn_now() + 3600 * TN_S);

    tt_gate_wait(&self->exchanged, 1);
    tt_check(tt_wait_until(self->joining == 0 ? is_first_turn : is_second_turn, self, 30 * TN_S));
    self->rc[0] = join_or_release(self->queued);
    return NULL;
}

static void *join_the_hopeless(void *arg)
{
    hopes *self = arg;

    tt_gate_wait(&self->exchanged, 1);
    tt_check(tt_wait_until(self->joining == 0 ? is_second_turn : is_first_turn, self, 30 * TN_S));
    self->rc[1] = join_or_release(self->hopeless);
    return NULL;
}

/* The join with the deadline is refused, whichever of the two begins last. */
Test(pool_join, who_has_a_deadline_is_told)
{
    for (unsigned joining = 0; joining < 2; joining++) {
        tn_runtime *runtime = quiet_runtime(2, count_messages);
        hopes self = {.runtime = runtime, .exchanged = TT_GATE_INIT, .joining = joining};
        atomic_long ran = 0;
        tn_job *other;

        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &self.hopeless, join_until_a_deadline, &self), 0);
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &other, join_the_hopeless, &self), 0);
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &self.queued, count_up, &ran), 0);
        tt_gate_open(&self.exchanged);
        cr_assert_eq(tn_job_join(other, NULL), 0);
        cr_assert_eq(self.rc[0], TN_EDEADLK);
        cr_assert_eq(self.rc[1], 0);
        cr_assert(tt_wait_until(is_empty, runtime, 30 * TN_S)); /* else destroy drops the queued job */
        tt_runtime_destroy(runtime);
        cr_assert_eq(atomic_load(&ran), 1);
        cr_assert_eq(atomic_load(&reports), (int)joining + 1);
    }
}

/* --- A join that is cancelled ----------------------------------------------------------------------------------------------- */

typedef struct {
    hopes hopes;
    tn_cancel_source source;
} cancelled_hopes;

static void *join_until_cancelled(void *arg)
{
    cancelled_hopes *self = arg;
    tn_scope scope;

    tt_gate_wait(&self->hopes.exchanged, 1);
    tn_scope_enter_with(&scope, TN_NEVER, &self->source);
    self->hopes.rc[0] = tn_job_join(self->hopes.queued, NULL);
    tn_scope_leave(&scope);
    tn_job_release(self->hopes.queued);
    return NULL;
}

static void *cancel_and_join(void *arg)
{
    cancelled_hopes *self = arg;

    tt_check(tt_wait_until(is_second_turn, &self->hopes, 30 * TN_S));
    tn_cancel_source_cancel(&self->source);
    self->hopes.rc[1] = join_or_release(self->hopes.hopeless);
    return NULL;
}

/* The cancelled join returns, so the other one is not refused. The cancellation may arrive after the other one begins to
 * wait. */
Test(pool_join, who_is_cancelled_is_waited_for)
{
    tn_runtime *runtime = quiet_runtime(2, count_messages);

    for (unsigned long round = tt_scaled(50); round > 0; round--) {
        cancelled_hopes self = {.hopes = {.runtime = runtime, .exchanged = TT_GATE_INIT}};
        atomic_long ran = 0;
        tn_job *other;

        tn_cancel_source_init(&self.source);
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &self.hopes.hopeless, join_until_cancelled, &self), 0);
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &other, cancel_and_join, &self), 0);
        cr_assert_eq(tn_spawn_blocking_on(runtime, NULL, &self.hopes.queued, count_up, &ran), 0);
        tt_gate_open(&self.hopes.exchanged);
        cr_assert_eq(tn_job_join(other, NULL), 0);
        cr_assert_eq(self.hopes.rc[0], TN_ECANCELED);
        cr_assert_eq(self.hopes.rc[1], 0);
        cr_assert(tt_wait_until(is_empty, runtime, 30 * TN_S));
        cr_assert_eq(atomic_load(&ran), 1);
        tn_cancel_source_fini(&self.source);
    }
    cr_assert_eq(atomic_load(&reports), 0);
    tt_runtime_destroy(runtime);
}
