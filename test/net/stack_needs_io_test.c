/* SPDX-License-Identifier: MIT */
/* How much stack the calls need that are built on others: byte streams, servers, child processes, descriptors of other libraries,
 * pools and pauses, measurements. stack_needs_test.c has the others. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <tn.h>

#include "net/net_support.h"
#include "support/runtime.h"
#include "support/stack_use.h"

/* --- Byte streams ----------------------------------------------------------------------------------------------------------- */

static void use_reader_and_writer(void)
{
    tn_io ends[2];
    tn_writer writer;
    tn_reader reader;
    tn_slice slice;
    tn_bytes bytes;

    tt_check_eq(tn_duplex_open(ends, NULL), 0);
    tt_check_eq(tn_writer_init(&writer, ends[0], NULL), 0);
    tt_check_eq(tn_reader_init(&reader, ends[1], NULL), 0);
    tt_check_eq(tn_writer_printf(&writer, "%s %.3f\n", "a line", 1.5), 0);
    tt_check_eq(tn_writer_frame(&writer, TN_FRAME_32_BE, "frame", 5), 0);
    tt_check_eq(tn_slice_copy(&slice, "12345678", 8, NULL), 0);
    tt_check_eq(tn_writer_slice(&writer, slice), 0);
    tt_check_eq(tn_writer_flush(&writer), 0);
    tt_check_eq(tn_reader_line(&reader, &bytes, 100), 1);
    tt_check_eq(tn_reader_frame(&reader, &bytes, TN_FRAME_32_BE, 100), 1);
    tt_check_eq(tn_reader_exact(&reader, &bytes, 8), 1);
    tn_slice_release(slice);
    tn_reader_fini(&reader);
    tn_writer_fini(&writer);
    tn_io_close(ends[0]);
    tn_io_close(ends[1]);
}

static void copy_between(void)
{
    tn_stream *from[2];
    tn_stream *to[2];
    uint64_t bytes = 0;

    ns_unix_pair(from);
    ns_unix_pair(to);
    tt_check_eq(tn_write_all(from[0], "copied", 6), 0);
    tn_stream_close(from[0]);
    tt_check_eq(tn_copy(tn_stream_io(to[0]), tn_stream_io(from[1]), NULL, &bytes), 0);
    tt_check_eq(bytes, 6);
    tn_stream_close(from[1]);
    ns_close_pair(to);
}

static void queue_writes(void)
{
    char text[] = "ab";
    struct iovec parts[2] = {{.iov_base = text, .iov_len = 1}, {.iov_base = text + 1, .iov_len = 1}};
    tn_stream *ends[2];
    tn_write_queue queue;

    ns_unix_pair(ends);
    tn_write_queue_init(&queue, ends[0]);
    tt_check_eq(tn_write_queue_write(&queue, "message", 7), 0);
    tt_check_eq(tn_write_queue_writev(&queue, parts, 2), 0);
    ns_close_pair(ends);
}

/* --- A server --------------------------------------------------------------------------------------------------------------- */

typedef struct {
    char address[TN_ADDRESS_SIZE];
    tn_cancel_token *drain;
} service;

static void reply(tn_session *session, tn_stream *stream, void *arg)
{
    char buf[16];

    (void)arg;
    while (tn_session_wait_request(session) == 0 && tn_read(stream, buf, sizeof buf) > 0)
        (void)tn_write_all(stream, "reply", 5);
}

static void *be_client(void *arg)
{
    const service *s = arg;
    tn_stream *stream;
    char buf[5];

    tt_check_eq(tn_tcp_connect(NULL, &stream, s->address), 0);
    tt_check_eq(tn_write_all(stream, "request", 7), 0);
    ns_read_all(stream, buf, sizeof buf);
    tn_stream_close(stream);
    tn_cancel_token_cancel(s->drain);
    return NULL;
}

static void serve(void)
{
    tn_serve_options options = tn_serve_options_default();
    tn_serve_result result;
    tn_listener *listener;
    tn_task *client;
    service s;

    listener = ns_listen(s.address);
    tt_check_eq(tn_cancel_token_create(&s.drain, NULL, NULL), 0);
    options.drain = s.drain;
    options.backlog_ns = TN_MS;
    client = tt_spawn(be_client, &s);
    tt_check_eq(tn_serve(&listener, 1, reply, NULL, &options, &result), 0);
    tt_check_eq(result.accepted, 1);
    (void)tt_join(client);
    tn_cancel_token_release(s.drain);
}

/* --- Processes and descriptors ---------------------------------------------------------------------------------------------- */

static void start_process(void)
{
    const char *argv[] = {"true", NULL};
    tn_process *process;
    tn_process_end end;

    tt_check_eq(tn_process_start(&process, argv, NULL), 0);
    tt_check_eq(tn_process_wait(process, &end), 0);
    tn_process_close(process);
}

static void run_process(void)
{
    const char *argv[] = {"cat", NULL};
    tn_process_output output = tn_process_output_default();

    output.input = "text";
    output.input_size = 4;
    output.timeout_ns = 60 * TN_S;
    tt_check_eq(tn_process_run(&output, argv, NULL), 0);
    tt_check(output.out_size == 4 && memcmp(output.out, "text", 4) == 0);
    tn_process_output_free(&output);
}

static void *write_soon(void *arg)
{
    tt_check_eq(tn_sleep(TN_MS), 0);
    tt_check_eq(write(*(int *)arg, "x", 1), 1);
    return NULL;
}

static void wait_for_fd(void)
{
    tn_task *task;
    int fds[2];

    tt_check_eq(pipe(fds), 0);
    task = tt_spawn(write_soon, &fds[1]);
    tt_check_eq(tn_fd_wait(fds[0], TN_FD_READABLE), TN_FD_READABLE);
    (void)tt_join(task);
    tt_check_eq(tn_fd_forget(tn_runtime_current(), fds[0]), 0);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* --- Pools and pauses ------------------------------------------------------------------------------------------------------- */

static int open_resource(void *arg, void **resource)
{
    *resource = arg;
    return 0;
}

static void close_resource(void *arg, void *resource)
{
    tt_check(arg == resource);
}

static void use_resource_pool(void)
{
    static int thing;
    tn_resource_pool_options options = tn_resource_pool_options_default();
    tn_resource_pool_counters counters;
    tn_resource_pool *pool;
    void *resource;

    options.open = open_resource;
    options.close = close_resource;
    options.arg = &thing;
    tt_check_eq(tn_resource_pool_create(&pool, &options), 0);
    tt_check_eq(tn_resource_pool_acquire(pool, &resource), 0);
    counters.size = sizeof counters;
    tt_check_eq(tn_resource_pool_count(pool, &counters), 0);
    tn_resource_pool_release(pool, resource, true);
    tn_resource_pool_close(pool);
    tn_resource_pool_destroy(pool);
}

static int fail_once(void *arg, unsigned attempt)
{
    (void)arg;
    return attempt == 1 ? TN_EAGAIN : 0;
}

static void pause_and_retry(void)
{
    tn_backoff backoff = TN_BACKOFF_INIT(TN_US, TN_MS);
    tn_rate_limiter limiter;

    tn_rate_limiter_init(&limiter, 1, TN_MS, 1);
    tt_check_eq(tn_rate_limiter_acquire(&limiter, 1), 0);
    tt_check_eq(tn_rate_limiter_acquire(&limiter, 1), 0);
    tn_rate_limiter_fini(&limiter);
    tt_check_eq(tn_backoff_wait(&backoff), 0);
    tt_check_eq(tn_retry(&backoff, 3, fail_once, NULL, NULL), 0);
}

/* --- Measurements ----------------------------------------------------------------------------------------------------------- */

static tn_metrics measured; /* it is larger than the limit */

static void take_metrics(void)
{
    measured.size = sizeof measured;
    tt_check_eq(tn_metrics_snapshot(tn_runtime_current(), TN_METRICS_ALL, &measured), 0);
    tt_check(tn_histogram_quantile_ns(&measured.run_length, 0.5) < UINT64_MAX);
}

/* As a program with older headers. */
static void take_shorter_metrics(void)
{
    measured.size = offsetof(tn_metrics, counters);
    tt_check_eq(tn_metrics_snapshot(tn_runtime_current(), TN_METRICS_ALL, &measured), 0);
}

static bool count_task(void *ctx, const tn_task_info *info)
{
    (void)info;
    ++*(unsigned *)ctx;
    return true;
}

static void count_line(void *ctx, const char *line)
{
    (void)line;
    ++*(unsigned *)ctx;
}

static void inspect(void)
{
    unsigned tasks = 0;
    unsigned lines = 0;

    tn_task_set_name("inspector");
    tn_task_note("measures stacks");
    tn_tasks_each(tn_runtime_current(), count_task, &tasks);
    tt_check(tasks > 0);
    tt_check_eq(tn_dump_grouped(tn_runtime_current(), count_line, &lines), 0);
    tt_check(lines > 0);
    tn_task_note(NULL);
}

static const tt_stack_step steps[] = {
    {"use_reader_and_writer", use_reader_and_writer},
    {"copy_between", copy_between},
    {"queue_writes", queue_writes},
    {"serve", serve},
    {"start_process", start_process},
    {"run_process", run_process},
    {"wait_for_fd", wait_for_fd},
    {"use_resource_pool", use_resource_pool},
    {"pause_and_retry", pause_and_retry},
    {"take_metrics", take_metrics},
    {"take_shorter_metrics", take_shorter_metrics},
    {"inspect", inspect},
};

enum { STEPS = sizeof steps / sizeof steps[0] };

Test(stack_needs, of_the_calls_on_top_are_small, .disabled = TT_SANITIZED) /* frames are larger there */
{
    tt_stack_use_check(steps, STEPS);
}

static void *run_all(void *arg)
{
    for (unsigned i = 0; i < STEPS; i++)
        steps[i].run();
    return arg;
}

Test(stack_needs, of_the_calls_on_top_are_met_by_the_smallest_fiber, .disabled = TT_SANITIZED)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.stack_size_bytes = 1;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, run_all, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
}
