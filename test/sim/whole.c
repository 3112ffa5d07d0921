/* SPDX-License-Identifier: MIT */
/* All parts of the library in one run: tasks that sleep, compute, block, talk over channels and sockets, look up names and call
 * blocking functions, each under a deadline that now and then passes. What must hold: each operation ends in time, a timer is
 * never very late, nothing is lost, and nothing is left. in_time.h has the stricter variant. */
#include <stdlib.h>

#include "in_time.h"

#define ADDRESS "10.0.0.1:7000"
#define NAME_ADDRESS "kitchen.example:7000"

static tn_listener *listener;
static tn_mutex mutex;
static bool inside; /* a task has the mutex */
static tn_semaphore permits;
static tn_mpsc *channel;
static uint64_t sent;
static uint64_t received;
static bool over;

/* --- Operations ------------------------------------------------------------------------------------------------------------- */

static void do_sleep(void)
{
    uint64_t ns = some_ns();
    uint64_t began_ns = tn_now();

    tn_sim_check(tn_sleep(ns) == 0);
    tn_sim_check(tn_now() - began_ns >= ns && tn_now() - began_ns < ns + late_ns());
}

static void do_lock(void)
{
    tn_scope scope;
    bool early = enter_scope(&scope);

    if (!is_done(&scope, early, tn_mutex_lock(&mutex)))
        return;
    tn_sim_check(!inside);
    inside = true;
    (void)tn_sleep(tn_sim_choose(2) == 0 ? 0 : some_ns() / 16);
    inside = false;
    tn_mutex_unlock(&mutex);
}

static void do_permit(void)
{
    tn_scope scope;
    bool early = enter_scope(&scope);
    uint64_t count = 1 + tn_sim_choose(2);

    if (is_done(&scope, early, tn_semaphore_acquire(&permits, count))) {
        (void)tn_yield();
        tn_semaphore_release(&permits, count);
    }
}

static void do_send(void)
{
    tn_scope scope;
    bool early = enter_scope(&scope);
    uint64_t one = 1;

    if (is_done(&scope, early, tn_mpsc_send(channel, &one)))
        sent++;
}

static void *close_soon(void *stream)
{
    (void)tn_sleep(some_ns());
    tn_stream_close(stream);
    return NULL;
}

/* The stream may be closed at any moment. */
static void talk(tn_stream *stream)
{
    char buf[100] = {0};
    size_t size = 1 + tn_sim_choose(sizeof buf);
    size_t got = 0;
    uint64_t began_ns = tn_now();
    ssize_t n = tn_write_all(stream, buf, size);

    while (n >= 0 && got < size) {
        n = tn_read(stream, buf, sizeof buf);
        tn_sim_check(n > 0 || n == TN_EBADF || n == TN_ETIMEDOUT);
        got += n > 0 ? (size_t)n : 0;
    }
    tn_sim_check(prompt_ns() == 0 || n < 0 || tn_now() - began_ns < prompt_ns());
}

static void do_connect(void)
{
    tn_stream *stream;
    tn_scope scope;
    bool early = enter_scope(&scope);
    int rc = tn_tcp_connect(NULL, &stream, tn_sim_choose(2) == 0 ? ADDRESS : NAME_ADDRESS);
    tn_group closer;

    tn_group_enter(&closer, NULL);
    if (rc == 0 && tn_sim_choose(2) == 0) {
        tn_stream_retain(stream);
        tn_sim_check(tn_group_spawn(&closer, NULL, close_soon, stream) == 0);
    }
    if (rc == 0) {
        talk(stream);
        tn_stream_close(stream);
    }
    tn_group_leave(&closer);
    (void)is_done(&scope, early, rc);
}

static void do_resolve(void)
{
    tn_scope scope;
    tn_names names;
    bool early = enter_scope(&scope);

    if (is_done(&scope, early, tn_resolve(NULL, "kitchen.example", "7000", &names))) {
        tn_sim_check(names.count == 1);
        tn_names_fini(&names);
    }
}

static void *block(void *ns)
{
    (void)tn_sleep(*(uint64_t *)ns);
    return ns;
}

static void do_blocking_call(void)
{
    uint64_t ns = some_ns();
    void *result;

    tn_sim_check(tn_run_blocking(block, &ns, &result) == 0 && result == &ns);
}

static void *count_one(void *count)
{
    (void)tn_yield();
    ++*(unsigned *)count;
    return NULL;
}

static void do_jobs(void)
{
    unsigned count = 0;
    unsigned cancelled = 0;
    tn_job *jobs[4];

    for (int i = 0; i < 4; i++)
        tn_sim_check(tn_spawn_blocking(&jobs[i], count_one, &count) == 0);
    for (int i = 0; i < 4; i++) {
        cancelled += tn_sim_choose(3) == 0 && tn_job_cancel(jobs[i]);
        (void)tn_job_join(jobs[i], NULL);
    }
    tn_sim_check(count + cancelled == 4);
}

static void do_children(void)
{
    unsigned count = 0;
    tn_group group;

    tn_group_enter(&group, NULL);
    for (int i = 0; i < 5; i++)
        tn_sim_check(tn_group_spawn(&group, NULL, count_one, &count) == 0);
    tn_sim_check(tn_group_wait(&group) == 0);
    tn_group_leave(&group);
    tn_sim_check(count == 5);
}

/* Keeps its thread, so that a replacement thread takes the core. */
static void do_compute(void)
{
    uint64_t until_ns = prompt_ns() > 0 ? 0 : tn_now() + 16 * some_ns();

    while (tn_now() < until_ns)
        ;
}

static void do_yields(void)
{
    uint64_t began_ns = tn_now();

    for (unsigned i = tn_sim_choose(200); i > 0; i--)
        tn_sim_check(tn_yield() == 0);
    tn_sim_check(tn_now() - began_ns < OPERATION_NS);
}

/* --- Tasks ------------------------------------------------------------------------------------------------------------------ */

static void *work(void *arg)
{
    static void (*const operations[])(void) = {
        do_sleep, do_lock,          do_permit, do_send,     do_connect, do_resolve,
        do_jobs,  do_blocking_call, do_yields, do_children, do_compute,
    };

    for (uint64_t i = tn_sim_size("operations", 8); i > 0; i--) {
        uint64_t began_ns = tn_now();
        operations[tn_sim_choose(sizeof operations / sizeof operations[0])]();
        tn_sim_check(tn_now() - began_ns < 2 * OPERATION_NS);
    }
    return arg;
}

static void *receive(void *arg)
{
    uint64_t one;

    while (tn_mpsc_recv(channel, &one) == 0) {
        received += one;
        if (tn_sim_choose(4) == 0)
            (void)tn_sleep(some_ns() / 16);
    }
    return arg;
}

/* Each millisecond a timer, which is never very late. */
static void *tick(void *arg)
{
    while (!over) {
        uint64_t began_ns = tn_now();
        tn_sim_check(tn_sleep(TN_MS) == 0);
        tn_sim_check(tn_now() - began_ns < TN_MS + late_ns());
    }
    return arg;
}

static void *respond(void *stream)
{
    char buf[64];
    ssize_t n;

    while ((n = tn_read(stream, buf, sizeof buf)) > 0 && tn_write_all(stream, buf, (size_t)n) == 0)
        ;
    tn_stream_close(stream);
    return NULL;
}

static void *serve(void *arg)
{
    tn_stream *stream;

    while (tn_accept(listener, &stream) == 0)
        tn_sim_check(tn_spawn(NULL, respond, stream) == 0);
    return arg;
}

static void *root(void *arg)
{
    uint64_t count = tn_sim_size("tasks", 8);
    tn_task **tasks = calloc(count + 3, sizeof(tn_task *));

    tn_sim_check(tasks != NULL && tn_tcp_listen(&listener, ADDRESS, NULL) == 0);
    tn_sim_check(tn_spawn(&tasks[count], serve, NULL) == 0);
    tn_sim_check(tn_spawn(&tasks[count + 1], receive, NULL) == 0);
    tn_sim_check(tn_spawn(&tasks[count + 2], tick, NULL) == 0);
    for (uint64_t i = 0; i < count; i++)
        tn_sim_check(tn_spawn(&tasks[i], work, NULL) == 0);
    for (uint64_t i = 0; i < count; i++)
        tn_sim_check(tn_join(tasks[i], NULL) == 0);
    over = true;
    tn_cancel(tasks[count]);
    tn_sim_check(tn_join(tasks[count], NULL) == 0);
    tn_listener_close(listener);
    tn_mpsc_release_sender(channel);
    for (uint64_t i = count + 1; i < count + 3; i++)
        tn_sim_check(tn_join(tasks[i], NULL) == 0);
    tn_sim_check(sent == received);
    free(tasks);
    return arg;
}

static void run(void *arg)
{
    tn_options options = tn_options_default();
    tn_sim_link link = tn_sim_link_default();

    options.workers = 1 + tn_sim_choose(4);
    options.stuck_after_ns = TN_MS << tn_sim_choose(6);
    options.blocking_threads = 1 + tn_sim_choose(3);
    options.blocking_idle_ns = some_ns();
    options.name_threads = 1 + tn_sim_choose(2);
    options.yield_often = tn_sim_choose(2) == 0;
    options.no_migration = tn_sim_choose(4) == 0;
    options.force_migration = !options.no_migration && tn_sim_choose(4) == 0;
    if (prompt_ns() > 0)
        tn_sim_check(tn_sim_set_link("10.0.0.1", &link) == 0);
    tn_sim_check(tn_sim_add_name("kitchen.example", "10.0.0.1") == 0);
    tn_sim_check(tn_mpsc_create(&channel, sizeof(uint64_t), 1 + tn_sim_choose(3), NULL) == 0);
    tn_mutex_init(&mutex);
    tn_semaphore_init(&permits, 2);
    tn_sim_check(tn_run(root, arg, &options) == 0);
    tn_semaphore_fini(&permits);
    tn_mutex_fini(&mutex);
    tn_mpsc_release_receiver(channel);
}

int main(int argc, char **argv)
{
    return tn_sim_main(argc, argv, run, NULL);
}
