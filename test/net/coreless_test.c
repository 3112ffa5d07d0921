/* SPDX-License-Identifier: MIT */
/* A task whose thread has lost its core can go on and call any function of any layer. */
/* ctest: timeout=120 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tn/barrier.h>
#include <tn/blocking.h>
#include <tn/combine.h>
#include <tn/fs.h>
#include <tn/group.h>
#include <tn/mpsc.h>
#include <tn/mutex.h>
#include <tn/names.h>
#include <tn/oneshot.h>
#include <tn/scope.h>

#include "net_support.h"
#include "sched/core.h"
#include "support/runtime.h"

/* Returns without a core. */
static void lose_core(void)
{
    for (;;) {
        tn_block_begin(TN_BLOCK_EAGER);
        tn_block_end();
        if (tni_core_enter() == NULL)
            return;
        tni_core_leave();
        tt_block_thread(100 * TN_US); /* meanwhile the replacement thread starts */
    }
}

static void *empty(void *arg)
{
    return arg;
}

static void *lose_it_and_end(void *arg)
{
    lose_core();
    return arg;
}

/* --- What the task may call ------------------------------------------------------------------------------------------------- */

static void spawn_join_and_cancel(void)
{
    tn_task *tasks[20];

    for (uintptr_t i = 0; i < 20; i++)
        tt_check_eq(tn_spawn(&tasks[i], i % 2 == 0 ? empty : lose_it_and_end, (void *)i), 0);
    tt_check_eq(tn_spawn(NULL, lose_it_and_end, NULL), 0);
    for (uintptr_t i = 0; i < 20; i++) {
        if (i % 5 == 0)
            tn_cancel(tasks[i]);
        tt_check(tt_join(tasks[i]) == (void *)i);
    }
}

static void yield_and_sleep(void)
{
    tt_check_eq(tn_yield(), 0);
    lose_core();
    tt_check_eq(tn_sleep(TN_MS), 0);
    lose_core();
    tn_block_begin(TN_BLOCK_LAZY);
    tn_block_end();
    tt_check_eq(tn_checkpoint(), 0);
    tt_check_eq(tn_sleep(0), 0);
}

static void *hold_for_a_while(void *arg)
{
    tn_mutex *mutex = arg;

    tt_check_eq(tn_mutex_lock(mutex), 0);
    lose_core();
    tt_check_eq(tn_yield(), 0);
    lose_core();
    tn_mutex_unlock(mutex);
    return NULL;
}

static void lock_and_unlock(void)
{
    tn_task *tasks[8];
    tn_mutex mutex;

    tn_mutex_init(&mutex);
    for (int i = 0; i < 8; i++)
        tasks[i] = tt_spawn(hold_for_a_while, &mutex);
    (void)hold_for_a_while(&mutex);
    for (int i = 0; i < 8; i++)
        (void)tt_join(tasks[i]);
    tn_mutex_fini(&mutex);
}

typedef struct {
    tn_mpsc *channel;
    tn_oneshot *oneshot;
} channels;

static void *send_hundred(void *arg)
{
    const channels *self = arg;
    int last = 100;

    for (int i = 0; i < 100; i++) {
        if (i % 10 == 0)
            lose_core();
        tt_check_eq(tn_mpsc_send(self->channel, &i), 0);
    }
    tn_mpsc_release_sender(self->channel);
    lose_core();
    tt_check_eq(tn_oneshot_send(self->oneshot, &last), 0);
    return NULL;
}

static void send_and_receive(void)
{
    channels self;
    tn_task *sender;
    int got;

    tt_check_eq(tn_mpsc_create(&self.channel, sizeof(int), 3, NULL), 0);
    tt_check_eq(tn_oneshot_create(&self.oneshot, sizeof(int), NULL), 0);
    sender = tt_spawn(send_hundred, &self);
    for (int i = 0; i < 100; i++) {
        if (i % 7 == 0)
            lose_core();
        tt_check(tn_mpsc_recv(self.channel, &got) == 0 && got == i);
    }
    tt_check(tn_oneshot_recv(self.oneshot, &got) == 0 && got == 100);
    tn_mpsc_release_receiver(self.channel);
    tn_oneshot_release(self.oneshot);
    (void)tt_join(sender);
}

static void run_out_of_time(void)
{
    TN_SCOPE(scope, tn_now() + TN_MS);

    lose_core();
    tt_check_eq(tn_sleep(TN_S * 100), TN_ETIMEDOUT);
    lose_core();
    tt_check_eq(tn_checkpoint(), TN_ETIMEDOUT);
}

static void wait_for_several(void)
{
    tn_group_result result;
    tn_sleep_future sleeps[2];
    tn_future *both[2] = {&sleeps[0].base, &sleeps[1].base};
    int answer;
    TN_GROUP(group, NULL);

    for (uintptr_t i = 0; i < 5; i++)
        tt_check_eq(tn_group_spawn(&group, NULL, lose_it_and_end, (void *)i), 0);
    lose_core();
    while (tn_group_next(&group, &result) == 0)
        ;
    tn_sleep_init(&sleeps[0], tn_now() + 100 * TN_S);
    tn_sleep_init(&sleeps[1], tn_now() + TN_MS);
    lose_core();
    tt_check_eq(tn_race(both, 2, &answer), 1);
}

static void *in_a_job(void *arg)
{
    tt_block_thread(200 * TN_US);
    return arg;
}

static void use_the_pool(void)
{
    tn_names names;
    tn_job *job;
    void *result;

    tt_check_eq(tn_run_blocking(in_a_job, &names, &result), 0);
    tt_check(result == &names);
    lose_core();
    tt_check_eq(tn_spawn_blocking(&job, in_a_job, NULL), 0);
    tt_check_eq(tn_job_join(job, NULL), 0);
    lose_core();
    tt_check_eq(tn_resolve(NULL, "127.0.0.1", "80", &names), 0);
    tn_names_fini(&names);
}

static void use_files(void)
{
    char path[] = "/tmp/tn-coreless-test-XXXXXX";
    tn_contents contents;
    tn_file *file;
    char buf[8];
    int fd = mkstemp(path);

    tt_check(fd >= 0 && close(fd) == 0);
    tt_check_eq(tn_file_open(&file, path, O_RDWR, 0), 0);
    lose_core();
    tt_check_eq(tn_file_write(file, "hello", 5), 5);
    lose_core();
    tt_check_eq(tn_file_pread(file, buf, sizeof buf, 0), 5);
    lose_core();
    tn_file_close(file);
    for (int i = 0; i < 3; i++) {
        lose_core();
        tt_check_eq(tn_fs_read_file(path, SIZE_MAX, &contents), 0);
        tt_check(contents.size == 5 && memcmp(contents.data, "hello", 5) == 0);
        tn_contents_fini(&contents);
    }
    lose_core();
    tt_check_eq(tn_fs_remove(path), 0);
}

static void *talk(void *arg)
{
    char buf[4096];
    tn_stream *conn;
    ssize_t n;

    lose_core();
    tt_check_eq(tn_tcp_connect(NULL, &conn, arg), 0);
    for (int i = 0; i < 10; i++) {
        lose_core();
        tt_check_eq(tn_write_all(conn, "ping", 4), 0);
        lose_core();
        n = tn_read(conn, buf, sizeof buf);
        tt_check(n == 4 && memcmp(buf, "ping", 4) == 0);
    }
    lose_core();
    tn_stream_close(conn);
    return NULL;
}

static void use_sockets(void)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener;
    tn_stream *conn;
    tn_task *peer;
    char buf[64];
    ssize_t n;

    tt_check_eq(tn_tcp_listen(&listener, "127.0.0.1:0", NULL), 0);
    tn_listener_address(listener, address, sizeof address);
    peer = tt_spawn(talk, address);
    lose_core();
    tt_check_eq(tn_accept(listener, &conn), 0);
    while (lose_core(), (n = tn_read(conn, buf, sizeof buf)) > 0) {
        lose_core();
        tt_check_eq(tn_write_all(conn, buf, (size_t)n), 0);
    }
    tt_check_eq(n, 0);
    lose_core();
    tn_stream_close(conn);
    tn_listener_close(listener);
    (void)tt_join(peer);
}

static void ignore_line(void *ctx, const char *line)
{
    (void)ctx;
    (void)line;
}

static void look_around(void)
{
    tn_counters counters;

    tn_dump(tn_runtime_current(), ignore_line, NULL);
    tt_check_eq(tn_runtime_counters(tn_runtime_current(), 0, &counters), 0);
    tt_check(tn_self() != NULL && tn_runtime_tasks(tn_runtime_current()) > 0);
    tt_check(tn_block_in_place(TN_BLOCK_EAGER, empty, &counters) == &counters);
}

/* --- All calls -------------------------------------------------------------------------------------------------------------- */

static void (*const calls[])(void) = {spawn_join_and_cancel, yield_and_sleep, lock_and_unlock, send_and_receive, run_out_of_time,
                                      wait_for_several,      use_the_pool,    use_files,       use_sockets,      look_around};

static void *call_all(void *arg)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        lose_core();
        calls[i]();
    }
    return arg;
}

static void *call_all_beside_others(void *arg)
{
    tn_task *tasks[4];

    for (unsigned i = 0; i < 4; i++)
        tasks[i] = tt_spawn(call_all, NULL);
    for (unsigned i = 0; i < 4; i++)
        (void)tt_join(tasks[i]);
    return arg;
}

Test(coreless, everything_can_be_called)
{
    tt_run(call_all, NULL);
}

Test(coreless, by_several_at_once)
{
    tt_run(call_all_beside_others, NULL);
}

static void *call_all_pinned(void *arg)
{
    tn_spawn_options options = tn_spawn_options_default();
    tn_task *task;

    options.pinned = true;
    tt_check_eq(tn_spawn_on(NULL, &options, &task, call_all, NULL), 0);
    (void)tt_join(task);
    return arg;
}

Test(coreless, by_a_pinned_task)
{
    tt_run(call_all_pinned, NULL);
}
