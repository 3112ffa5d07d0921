/* SPDX-License-Identifier: MIT */
/* How much stack the library's own calls need: at most 8 KiB each, so that they work on the smallest fibers. Each step below is
 * measured on a fiber whose unused stack was painted before. */
/* ctest: timeout=120 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tn.h>

#include "net/net_support.h"
#include "support/runtime.h"
#include "support/stack_use.h"

/* --- The steps -------------------------------------------------------------------------------------------------------------- */

static tn_runtime *made; /* a fiber must not destroy a runtime, so the test does it */
static char folder[] = "/tmp/tournant_stack_needs_XXXXXX";
static char file_path[sizeof folder + 16];

static void create_runtime(void)
{
    tn_options options = tn_options_default();

    tt_check_eq(tn_runtime_create(&made, &options), 0);
}

static void *return_arg(void *arg)
{
    return arg;
}

static void spawn_and_join(void)
{
    tn_task *task;

    tt_check_eq(tn_spawn(&task, return_arg, NULL), 0);
    tt_check_eq(tn_join(task, NULL), 0);
    tt_check_eq(tn_yield(), 0);
    tt_check_eq(tn_sleep(TN_MS), 0);
    tt_check_eq(tn_task_at_exit(free, NULL), 0);
}

static void refuse_options(void)
{
    tn_spawn_options options = tn_spawn_options_default();

    options.stack_size_bytes = SIZE_MAX;
    tt_check_eq(tn_spawn_on(NULL, &options, NULL, return_arg, NULL), TN_EINVAL); /* writes a line to the log */
}

static void use_scopes(void)
{
    tn_scope scope;
    tn_group group;

    tn_scope_enter_for(&scope, TN_MS);
    tt_check_eq(tn_sleep(TN_S), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tn_group_enter(&group, NULL);
    tt_check_eq(tn_group_spawn(&group, NULL, return_arg, NULL), 0);
    tt_check_eq(tn_group_wait(&group), 0);
    tn_group_leave(&group);
}

static void select_and_race(void)
{
    tn_sleep_future sleeps[2];
    tn_future *both[] = {&sleeps[0].base, &sleeps[1].base};
    int results[2];

    tn_sleep_init(&sleeps[0], tn_now());
    tn_sleep_init(&sleeps[1], tn_now() + TN_MS);
    tt_check_eq(tn_join_all(both, results, 2), 0);
    tn_sleep_init(&sleeps[0], tn_now());
    tn_sleep_init(&sleeps[1], tn_now() + TN_MS);
    tt_check_eq(tn_race(both, 2, &results[0]), 0);
}

static void count_line(void *ctx, const char *line)
{
    (void)line;
    (*(unsigned *)ctx)++;
}

static void observe(void)
{
    tn_runtime *runtime = tn_runtime_current();
    unsigned lines = 0;
    tn_counters counters;
    tn_blocking_counters blocking;

    tn_dump(runtime, count_line, &lines);
    tt_check(lines > 0);
    tt_check_eq(tn_runtime_counters(runtime, 0, &counters), 0);
    (void)tn_runtime_blocking(runtime, &blocking);
    tt_check(tn_strerror(TN_EINVAL) != NULL && tn_strerror(-100000) != NULL);
}

static void run_jobs(void)
{
    tn_job *job;

    tt_check_eq(tn_run_blocking(return_arg, NULL, NULL), 0);
    tt_check_eq(tn_spawn_blocking(&job, return_arg, NULL), 0);
    tt_check_eq(tn_job_join(job, NULL), 0);
}

static void use_channels(void)
{
    tn_mpsc *channel;
    int value = 1;

    tt_check_eq(tn_mpsc_create(&channel, sizeof value, 1, NULL), 0);
    tt_check_eq(tn_mpsc_send(channel, &value), 0);
    tt_check_eq(tn_mpsc_recv(channel, &value), 0);
    tn_mpsc_release_sender(channel);
    tn_mpsc_release_receiver(channel);
}

static void use_locks(void)
{
    tn_mutex mutex;
    tn_semaphore semaphore;
    tn_rwlock rwlock;

    tn_mutex_init(&mutex);
    tt_check_eq(tn_mutex_lock(&mutex), 0);
    tn_mutex_unlock(&mutex);
    tn_mutex_fini(&mutex);
    tn_semaphore_init(&semaphore, 1);
    tt_check_eq(tn_semaphore_acquire(&semaphore, 1), 0);
    tn_semaphore_release(&semaphore, 1);
    tn_semaphore_fini(&semaphore);
    tn_rwlock_init(&rwlock);
    tt_check_eq(tn_rwlock_write(&rwlock), 0);
    tn_rwlock_write_unlock(&rwlock);
    tn_rwlock_fini(&rwlock);
}

static void write_and_read_whole_file(void)
{
    tn_contents contents;

    tt_check_eq(tn_fs_write_file(file_path, "some text\n", 10, 0600), 0);
    tt_check_eq(tn_fs_read_file(file_path, 100, &contents), 0);
    tn_contents_fini(&contents);
}

static void use_paths(void)
{
    char path[sizeof folder + 32];
    tn_stat status;
    tn_dir *dir;
    tn_entry entry;

    (void)snprintf(path, sizeof path, "%s/a", folder);
    tt_check_eq(tn_fs_mkdir_all(path, 0700), 0);
    tt_check_eq(tn_fs_stat(path, &status), 0);
    tt_check_eq(tn_dir_open(&dir, folder), 0);
    while (tn_dir_next(dir, &entry) == 1)
        ;
    tn_dir_close(dir);
    tt_check_eq(tn_fs_remove(path), 0);
}

static void use_file(void)
{
    char buf[64];
    tn_file *file;
    tn_stat status;

    tt_check_eq(tn_file_open(&file, file_path, O_RDWR | O_CREAT, 0600), 0);
    tt_check_eq(tn_file_write(file, "more text\n", 10), 10);
    tt_check_eq(tn_file_pread(file, buf, sizeof buf, 0), 10);
    tt_check_eq(tn_file_sync(file), 0);
    tt_check_eq(tn_file_stat(file, &status), 0);
    tn_file_close(file);
}

static void buffer_file(void)
{
    char buf[64];
    char *line;
    tn_file *file;
    tn_file_writer writer;
    tn_file_reader reader;

    tt_check_eq(tn_file_open(&file, file_path, O_RDWR | O_CREAT | O_TRUNC, 0600), 0);
    tn_file_writer_init(&writer, file, buf, sizeof buf);
    tt_check_eq(tn_file_writer_write(&writer, "a line\n", 7), 0);
    tt_check_eq(tn_file_writer_flush(&writer), 0);
    tn_file_reader_init(&reader, file, buf, sizeof buf, 0);
    tt_check_eq(tn_file_reader_line(&reader, &line), 7);
    tn_file_close(file);
}

static void resolve_names(void)
{
    tn_names names;

    tt_check_eq(tn_resolve(NULL, "localhost", "80", &names), 0);
    tn_names_fini(&names);
    tt_check_eq(tn_resolve(NULL, "127.0.0.1", "80", &names), 0);
    tn_names_fini(&names);
}

static void *accept_one(void *arg)
{
    char buf[16];
    tn_stream *stream;

    tt_check_eq(tn_accept(arg, &stream), 0);
    while (tn_read(stream, buf, sizeof buf) > 0)
        ;
    tn_stream_close(stream);
    return NULL;
}

static void connect_and_send(void)
{
    char address[TN_ADDRESS_SIZE];
    char peer[TN_ADDRESS_SIZE];
    char name[TN_ADDRESS_SIZE + 16];
    tn_listener *listener = ns_listen(address);
    tn_task *task = tt_spawn(accept_one, listener);
    tn_stream *stream;
    tn_file *file;

    (void)snprintf(name, sizeof name, "localhost%s", strrchr(address, ':'));
    tt_check_eq(tn_tcp_connect(NULL, &stream, name), 0);
    tt_check_eq(tn_stream_peer_address(stream, peer, sizeof peer), 0);
    tt_check_eq(tn_write_all(stream, "hello", 5), 0);
    tt_check_eq(tn_file_open(&file, file_path, O_RDONLY, 0), 0);
    tt_check(tn_sendfile(stream, file, 0, 5) > 0);
    tn_file_close(file);
    tn_stream_close(stream);
    (void)tt_join(task);
    tn_listener_close(listener);
}

static const tt_stack_step steps[] = {
    {"create_runtime", create_runtime},
    {"spawn_and_join", spawn_and_join},
    {"refuse_options", refuse_options},
    {"use_scopes", use_scopes},
    {"select_and_race", select_and_race},
    {"run_jobs", run_jobs},
    {"observe", observe},
    {"use_channels", use_channels},
    {"use_locks", use_locks},
    {"write_and_read_whole_file", write_and_read_whole_file},
    {"use_paths", use_paths},
    {"use_file", use_file},
    {"buffer_file", buffer_file},
    {"resolve_names", resolve_names},
    {"connect_and_send", connect_and_send},
};

enum { STEPS = sizeof steps / sizeof steps[0] };

Test(stack_needs, of_the_calls_are_small, .disabled = TT_SANITIZED) /* frames are larger there */
{
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(file_path, sizeof file_path, "%s/file", folder);
    tt_stack_use_check(steps, STEPS);
    tt_runtime_destroy(made);
    (void)unlink(file_path);
    (void)rmdir(folder);
}

/* --- The smallest fibers ---------------------------------------------------------------------------------------------------- */

static void *run_all(void *arg)
{
    for (unsigned i = 0; i < STEPS; i++)
        if (steps[i].run != create_runtime)
            steps[i].run();
    create_runtime();
    return arg;
}

Test(stack_needs, are_met_by_the_smallest_fiber, .disabled = TT_SANITIZED)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(file_path, sizeof file_path, "%s/file", folder);
    options.stack_size_bytes = 1;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, run_all, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
    tt_runtime_destroy(made);
    (void)unlink(file_path);
    (void)rmdir(folder);
}
