/* SPDX-License-Identifier: MIT */
/* Scopes around calls that go to the blocking pool. A call that has not begun ends at the deadline; for one that has begun the
 * caller waits. A running job is no deadlock. */
/* ctest: timeout=120 */
#include <fcntl.h>
#include <stdatomic.h>

#include <tn.h>

#include "support/manual.h"
#include "support/runtime.h"

typedef struct {
    tn_runtime *runtime;
    tt_gate begun;
    tt_gate end;
    tn_job *job;
} setting;

static void *block(void *arg)
{
    setting *s = arg;

    tt_gate_open(&s->begun);
    tt_gate_wait(&s->end, 1);
    return arg;
}

static void start(setting *s, unsigned threads)
{
    tn_options options = tt_options();

    *s = (setting){.begun = TT_GATE_INIT, .end = TT_GATE_INIT};
    options.blocking_threads = threads;
    cr_assert_eq(tn_runtime_create(&s->runtime, &options), 0);
}

/* Starts a job that keeps the only thread. */
static void keep_the_thread(setting *s)
{
    start(s, 1);
    cr_assert_eq(tn_spawn_blocking_on(s->runtime, NULL, &s->job, block, s), 0);
    tt_gate_wait(&s->begun, 1);
}

static void finish(setting *s)
{
    tt_gate_open(&s->end);
    cr_assert_eq(tn_job_join(s->job, NULL), 0);
    tt_runtime_destroy(s->runtime);
}

static void *must_not_run(void *arg)
{
    tt_check(false);
    return arg;
}

static void *leave_at_the_deadline(void *arg)
{
    setting *s = arg;

    TN_SCOPE(scope, tn_now() + 5 * TN_MS);
    tt_check(tn_run_blocking(must_not_run, NULL, NULL) == TN_ETIMEDOUT);
    tt_check(tn_job_join(s->job, NULL) == TN_ETIMEDOUT);
    return NULL;
}

Test(pool_scopes, what_has_not_begun_is_left_at_the_deadline)
{
    setting s;

    keep_the_thread(&s);
    tt_join(tt_spawn_on(s.runtime, leave_at_the_deadline, &s));
    finish(&s);
}

static void *run_past_the_deadline(void *arg)
{
    void *result = NULL;

    TN_SCOPE(scope, tn_now() + 50 * TN_MS); /* usually begun long before; else this checks nothing */
    int rc = tn_run_blocking(block, arg, &result);
    tt_check((rc == 0 && result == arg) || rc == TN_ETIMEDOUT);
    tt_check(tn_checkpoint() == TN_ETIMEDOUT);
    tt_check(tn_run_blocking(must_not_run, NULL, NULL) == TN_ETIMEDOUT);
    return NULL;
}

Test(pool_scopes, what_has_begun_is_waited_for)
{
    setting s;
    tn_task *task;

    start(&s, 1);
    task = tt_spawn_on(s.runtime, run_past_the_deadline, &s);
    tt_block_thread(100 * TN_MS);
    cr_assert(tt_gate_opened(&s.begun) == 0 || !tn_task_is_finished(task));
    tt_gate_open(&s.end);
    tt_join(task);
    tt_runtime_destroy(s.runtime);
}

/* --- A plain thread whose frame the pool uses ------------------------------------------------------------------------------- */

typedef struct {
    tn_listener *listener;
    tn_stream *stream;
    tn_stream *peer;
    tn_file *file;
} transfer;

static void *open_all(void *arg)
{
    transfer *t = arg;
    char address[TN_ADDRESS_SIZE];

    tt_check(tn_tcp_listen(&t->listener, "127.0.0.1:0", NULL) == 0);
    tt_check(tn_listener_address(t->listener, address, sizeof address) == 0);
    tt_check(tn_tcp_connect(NULL, &t->stream, address) == 0);
    tt_check(tn_accept(t->listener, &t->peer) == 0);
    tt_check(tn_file_open(&t->file, "/proc/self/exe", O_RDONLY, 0) == 0);
    return NULL;
}

static void *close_all(void *arg)
{
    transfer *t = arg;

    tn_file_close(t->file);
    tn_stream_close(t->peer);
    tn_stream_close(t->stream);
    tn_listener_close(t->listener);
    return NULL;
}

/* The deadline comes at any moment of the transfer, and the peer does not read. After the call the pool no longer uses its
 * frame. */
Test(pool_scopes, a_plain_thread_leaves_a_transfer)
{
    setting s;
    transfer t;

    start(&s, 1);
    tt_join(tt_spawn_on(s.runtime, open_all, &t));
    for (unsigned i = 0; i < 200; i++) {
        TN_SCOPE(scope, tn_now() + i * 2 * TN_US);
        ssize_t n = tn_sendfile(t.stream, t.file, 0, 1 << 20);
        tt_check(n > 0 || n == TN_ETIMEDOUT);
    }
    tt_join(tt_spawn_on(s.runtime, close_all, &t));
    tt_runtime_destroy(s.runtime);
}

/* --- Deadlocks -------------------------------------------------------------------------------------------------------------- */

static atomic_uint reports;
static tt_gate reported = TT_GATE_INIT;

static void on_deadlock(void *ctx, tn_runtime *runtime)
{
    (void)ctx;
    (void)runtime;
    atomic_fetch_add(&reports, 1);
    tt_gate_open(&reported);
}

static void *await_it(void *arg)
{
    (void)tn_await(&((tt_manual *)arg)->base);
    return NULL;
}

Test(pool_scopes, a_job_under_way_is_no_deadlock)
{
    tn_options options = tt_options();
    setting s = {.begun = TT_GATE_INIT, .end = TT_GATE_INIT};
    tt_manual never;
    tn_task *task;

    options.on_deadlock = on_deadlock;
    cr_assert_eq(tn_runtime_create(&s.runtime, &options), 0);
    tt_manual_init(&never);
    cr_assert_eq(tn_spawn_blocking_on(s.runtime, NULL, &s.job, block, &s), 0);
    task = tt_spawn_on(s.runtime, await_it, &never);
    tt_block_thread(200 * TN_MS); /* the monitor checks after 50 ms */
    cr_assert_eq(atomic_load(&reports), 0);
    tt_gate_open(&s.end); /* then no task runs, but the job has ended */
    tt_gate_wait(&reported, 1);
    cr_assert_eq(tn_job_join(s.job, NULL), 0);
    tn_cancel(task);
    tt_join(task);
    tt_runtime_destroy(s.runtime);
}
