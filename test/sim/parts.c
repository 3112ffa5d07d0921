/* SPDX-License-Identifier: MIT */
/* The parts of the library that whole.c leaves out, in one run: those of parts_tasks.c, byte streams in memory, readers and
 * writers, names with two addresses, jobs that wait for each other, calls of a plain thread, and tasks that are abandoned. What
 * must hold is the same: each operation ends in time, nothing is lost, and nothing is left. in_time.h has the stricter variant.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parts.h"

#define ADDRESS "10.0.0.1:7000"
#define NAME_ADDRESS "pantry.example:7000" /* at the first of its two addresses nobody listens */
#define LINE_MAX_BYTES 300
#define LEFT_MAX 6

static tn_listener *listener;
static bool spreads;             /* any worker may take any task, so do_spread is tried first */
static tn_mutex shared;          /* of tasks and the plain thread */
static tn_semaphore two_at_once; /* limits jobs that wait for each other */

/* --- Byte streams -------------------------------------------------------------------------------------------------------- */

/* Lines with numbers go from one end to the other. */
typedef struct {
    tn_io ends[2];
    unsigned lines;
} conversation;

static size_t length_of(unsigned line)
{
    return line * 37 % LINE_MAX_BYTES;
}

static void *write_lines(void *arg)
{
    conversation *self = arg;
    char text[LINE_MAX_BYTES];
    tn_buffer_options options = tn_buffer_options_default();
    tn_writer writer;

    memset(text, 'x', sizeof text);
    options.buffer_size = 64 + tn_sim_choose(1000);
    tn_sim_check(tn_writer_init(&writer, self->ends[0], &options) == 0);
    for (unsigned i = 0; i < self->lines; i++) {
        char number[16];
        struct iovec parts[] = {{number, 0}, {text, length_of(i)}, {(char[]){'\n'}, 1}};
        if (tn_sim_choose(4) == 0) {
            char line[LINE_MAX_BYTES + 16];
            int size = snprintf(line, sizeof line, "%u:%.*s\n", i, (int)length_of(i), text);
            tn_sim_check(tn_writer_write(&writer, line, (size_t)size) == 0);
            continue;
        }
        if (tn_sim_choose(2) == 0) {
            tn_sim_check(tn_writer_printf(&writer, "%u:%.*s\n", i, (int)length_of(i), text) == 0);
            tn_sim_check(tn_sim_choose(2) == 0 || tn_writer_flush(&writer) == 0);
            continue;
        }
        parts[0].iov_len = (size_t)snprintf(number, sizeof number, "%u:", i);
        tn_sim_check(tn_writer_flush(&writer) == 0 && tn_io_writev_all(self->ends[0], parts, 3) == 0);
    }
    tn_sim_check(tn_writer_flush(&writer) == 0 && tn_io_close_write(self->ends[0]) == 0);
    tn_writer_fini(&writer);
    return NULL;
}

/* A read that a deadline ends has lost nothing. */
static void read_lines(conversation *self)
{
    tn_buffer_options options = tn_buffer_options_default();
    tn_reader reader;
    tn_bytes line;
    tn_scope scope;
    unsigned number = 0;
    int rc = 1;

    options.buffer_size = 64 + tn_sim_choose(1000);
    tn_sim_check(tn_reader_init(&reader, self->ends[1], &options) == 0);
    while (rc != 0) {
        bool early = enter_scope(&scope);
        rc = tn_reader_line(&reader, &line, LINE_MAX_BYTES + 16);
        if (!is_done(&scope, early, rc) || rc == 0)
            continue;
        tn_sim_check(strtoul(line.data, NULL, 10) == number);
        tn_sim_check(line.size == (size_t)snprintf(NULL, 0, "%u:", number) + length_of(number));
        number++;
    }
    tn_sim_check(number == self->lines);
    tn_reader_fini(&reader);
}

static void converse(conversation *self)
{
    tn_group group;

    self->lines = tn_sim_choose(20);
    tn_group_enter(&group, NULL);
    spawn(&group, write_lines, self);
    read_lines(self);
    leave(&group);
    tn_io_close(self->ends[0]);
    tn_io_close(self->ends[1]);
}

static void do_duplex(void)
{
    tn_duplex_options options = tn_duplex_options_default();
    conversation self;

    options.capacity = 1 + tn_sim_choose(200);
    tn_sim_check(tn_duplex_open(self.ends, &options) == 0);
    converse(&self);
}

static void *accept_one(void *arg)
{
    tn_stream **out = arg;

    tn_sim_check(tn_accept(listener, out) == 0);
    return NULL;
}

/* One task at a time accepts. */
static void connect_to(const char *address, tn_stream *streams[2])
{
    tn_group group;

    tn_mutex_lock_always(&shared);
    tn_group_enter(&group, NULL);
    spawn(&group, accept_one, &streams[0]);
    tn_sim_check(tn_tcp_connect(NULL, &streams[1], address) == 0);
    leave(&group);
    tn_mutex_unlock(&shared);
}

static void do_connect_by_name(void)
{
    conversation self;
    tn_stream *streams[2];
    tn_names names;

    tn_sim_check(tn_resolve(NULL, "pantry.example", "7000", &names) == 0 && names.count == 2);
    tn_names_fini(&names);
    connect_to(tn_sim_choose(4) == 0 ? ADDRESS : NAME_ADDRESS, streams);
    self.ends[0] = tn_stream_io(streams[0]);
    self.ends[1] = tn_stream_io(streams[1]);
    converse(&self);
}

typedef struct {
    tn_stream *stream;
    uint64_t closed_ns;
} closed_stream;

static void *read_until_closed(void *arg)
{
    closed_stream *self = arg;
    char byte;

    tn_sim_check(tn_read(self->stream, &byte, 1) == TN_EBADF);
    check_late(self->closed_ns);
    tn_stream_close(self->stream);
    return NULL;
}

static void *write_until_closed(void *arg)
{
    static const char bytes[4096];
    closed_stream *self = arg;
    int rc;

    while ((rc = tn_write_all(self->stream, bytes, sizeof bytes)) == 0)
        ;
    tn_sim_check(rc == TN_EBADF);
    check_late(self->closed_ns);
    tn_stream_close(self->stream);
    return NULL;
}

/* A stream is closed while tasks wait for a peer that sends nothing and reads nothing. */
static void do_close(void)
{
    closed_stream self = {0};
    tn_stream *streams[2];
    tn_group group;

    connect_to(ADDRESS, streams);
    self.stream = streams[tn_sim_choose(2)]; /* of 0 nobody has waited yet */
    tn_group_enter(&group, NULL);
    for (unsigned i = 1 + tn_sim_choose(3); i > 0; i -= i < 2 ? 1 : 2) { /* 1: a reader, 2: a writer, 3: both */
        tn_stream_retain(self.stream);
        spawn(&group, i < 2 ? read_until_closed : write_until_closed, &self);
    }
    (void)tn_sleep(tn_sim_choose(2) == 0 ? 0 : some_ns() / 4);
    self.closed_ns = tn_now();
    tn_stream_close(self.stream);
    leave(&group);
    tn_stream_close(self.stream == streams[0] ? streams[1] : streams[0]);
}

/* --- Jobs ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_oneshot *oneshot;
    unsigned ran;
} meeting;

static void *wait_in_job(void *arg)
{
    meeting *self = arg;
    char byte;

    tn_sim_check(tn_oneshot_recv(self->oneshot, &byte) == 0);
    self->ran++;
    return NULL;
}

static void *count_in_job(void *count)
{
    ++*(unsigned *)count;
    return NULL;
}

static void *send_in_job(void *arg)
{
    meeting *self = arg;

    self->ran++;
    tn_sim_check(tn_oneshot_send(self->oneshot, "x") == 0);
    return NULL;
}

/* A job waits for a later one, which another thread must run. Behind short jobs that thread may stand by. */
static void do_meeting(void)
{
    meeting self = {0};
    unsigned count = 0;
    tn_job *jobs[2];
    tn_job *between;
    uint64_t began_ns;

    if (tn_semaphore_try_acquire(&two_at_once, 1) != 0)
        return;
    tn_sim_check(tn_oneshot_create(&self.oneshot, 1, NULL) == 0);
    tn_sim_check(tn_spawn_blocking(&jobs[0], wait_in_job, &self) == 0);
    if (tn_sim_choose(2) == 0) {
        for (unsigned i = tn_sim_choose(2) == 0 ? 1 : 60; i > 0; i--) /* so many that the pool expects short jobs */
            tn_sim_check(tn_spawn_blocking(&between, count_in_job, &count) == 0 && tn_job_join(between, NULL) == 0);
        (void)tn_sleep(some_ns() / 16);
    }
    began_ns = tn_now();
    tn_sim_check(tn_spawn_blocking(&jobs[1], send_in_job, &self) == 0);
    tn_sim_check(tn_job_join(jobs[0], NULL) == 0 && tn_job_join(jobs[1], NULL) == 0);
    tn_sim_check(self.ran == 2 && tn_now() - began_ns < OPERATION_NS);
    tn_oneshot_release(self.oneshot);
    tn_semaphore_release(&two_at_once, 1);
}

static void *work_in_job(void *arg)
{
    unsigned *state = arg;

    *state = 1;
    (void)tn_sleep(some_ns());
    *state = 2;
    return NULL;
}

/* A job that is cancelled before, while or after it runs; the wait for it may end early and is repeated. */
static void do_cancel_job(void)
{
    unsigned state = 0;
    tn_job *job;
    bool prevented;
    int rc;

    tn_sim_check(tn_spawn_blocking(&job, work_in_job, &state) == 0);
    (void)tn_sleep(some_ns() / 4);
    prevented = tn_sim_choose(2) == 0 && tn_job_cancel(job);
    tn_sim_check(!prevented || state == 0);
    do {
        tn_scope scope;
        bool early = enter_scope(&scope);
        rc = tn_job_join(job, NULL);
        tn_scope_leave(&scope);
        tn_sim_check(rc != TN_ETIMEDOUT || early);
    } while (rc == TN_ETIMEDOUT);
    tn_sim_check(prevented ? rc == TN_ENODATA && state == 0 : rc == 0 && state == 2);
}

/* --- A plain thread ------------------------------------------------------------------------------------------------------ */

static void do_share(void)
{
    tn_scope scope;
    bool early = enter_scope(&scope);

    if (is_done(&scope, early, tn_mutex_lock(&shared))) {
        (void)tn_sleep(some_ns() / 16);
        tn_mutex_unlock(&shared);
    }
}

static void *cancel_soon(void *token)
{
    (void)tn_sleep(some_ns());
    tn_cancel_token_cancel(token);
    return NULL;
}

/* The calling thread waits until a task cancels the token, or until the scope ends. */
static void wait_in_thread(tn_runtime *runtime)
{
    uint64_t until_ns = tn_now() + some_ns();
    tn_cancel_token_scope scope;
    tn_cancel_token *token;
    tn_task *task;
    int rc;

    tn_sim_check(tn_cancel_token_create(&token, NULL, NULL) == 0);
    tn_sim_check(tn_spawn_on(runtime, NULL, &task, cancel_soon, token) == 0);
    tn_cancel_token_scope_enter(&scope, until_ns, token);
    rc = tn_sim_choose(2) == 0 ? tn_sleep(3600 * TN_S) : tn_join(task, NULL);
    tn_cancel_token_scope_leave(&scope);
    tn_sim_check(rc == 0 || rc == TN_ECANCELED || (rc == TN_ETIMEDOUT && tn_now() >= until_ns));
    tn_sim_check(rc != TN_ECANCELED || tn_cancel_token_is_cancelled(token));
    if (rc != 0)
        tn_sim_check(tn_join(task, NULL) == 0);
    tn_cancel_token_release(token);
}

/* --- All of them --------------------------------------------------------------------------------------------------------- */

static void (*const operations[])(void) = {
    do_set,     do_combined, do_race,   do_timers,  do_yield_beside, do_pinned,          do_token, do_cancel, do_close_channel,
    do_permits, do_duplex,   do_duplex, do_meeting, do_cancel_job,   do_connect_by_name, do_share, do_close,  do_close,
};

static void *work(void *arg)
{
    for (uint64_t i = tn_sim_size("operations", 5); i > 0; i--) {
        uint64_t began_ns = tn_now();
        operations[tn_sim_choose(sizeof operations / sizeof operations[0])]();
        tn_sim_check(tn_now() - began_ns < 2 * OPERATION_NS);
    }
    return arg;
}

static void *root(void *arg)
{
    tn_group group;

    tn_sim_check(tn_tcp_listen(&listener, ADDRESS, NULL) == 0);
    if (spreads)
        do_spread();
    tn_group_enter(&group, NULL);
    for (uint64_t i = tn_sim_size("tasks", 4); i > 0; i--)
        spawn(&group, work, NULL);
    leave(&group);
    tn_listener_close(listener);
    return arg;
}

/* --- Tasks that are left when the runtime is destroyed ------------------------------------------------------------------- */

static struct {
    tn_semaphore semaphore;
    tn_notify notify;
    tn_mpsc *channel;
    tn_cancel_token *token;
} outlasting;

static void *stay(void *arg)
{
    tn_cancel_token_scope scope;
    uint64_t element;
    int rc;

    tn_cancel_token_scope_enter(&scope, tn_now() + 3600 * TN_S, outlasting.token);
    switch ((uintptr_t)arg % LEFT_MAX) {
    case 0:
        rc = tn_mpsc_recv(outlasting.channel, &element);
        break;
    case 1:
        rc = tn_semaphore_acquire(&outlasting.semaphore, 1 + tn_sim_choose(2));
        break;
    case 2:
        rc = tn_notify_wait(&outlasting.notify);
        break;
    case 3:
        rc = tn_cancel_token_wait(outlasting.token);
        break;
    case 4:
        rc = tn_sleep(1800 * TN_S);
        break;
    default:
        while ((rc = tn_yield()) == 0)
            ;
    }
    tn_sim_check(rc == TN_ECANCELED);
    tn_cancel_token_scope_leave(&scope);
    return NULL;
}

static void destroy(tn_runtime *runtime)
{
    tn_task *tasks[LEFT_MAX];
    unsigned count = tn_sim_choose(LEFT_MAX + 1);
    bool cancel = tn_sim_choose(2) == 0;
    size_t left;

    tn_semaphore_init(&outlasting.semaphore, 0);
    tn_notify_init(&outlasting.notify);
    tn_sim_check(tn_mpsc_create(&outlasting.channel, sizeof(uint64_t), 1, NULL) == 0);
    tn_sim_check(tn_cancel_token_create(&outlasting.token, NULL, NULL) == 0);
    for (uintptr_t i = 0; i < count; i++)
        tn_sim_check(tn_spawn_on(runtime, NULL, &tasks[i], stay, (void *)i) == 0);
    if (tn_sim_choose(2) == 0)
        (void)tn_sleep(some_ns());
    left = tn_runtime_destroy(runtime, cancel ? TN_SHUTDOWN_CANCEL : TN_SHUTDOWN_WAIT, cancel ? UINT64_MAX : some_ns());
    tn_sim_check(cancel ? left == 0 : left >= count); /* more: a task of a group that has been left is not over yet */
    for (unsigned i = 0; i < count; i++)              /* shows that it has left what it waited in */
        tn_sim_check(tn_join(tasks[i], NULL) == (cancel ? 0 : TN_ESHUTDOWN));
    tn_sim_check(cancel || tn_sleep(OPERATION_NS) == 0); /* a thread that was inside a task frees the rest of the runtime */
    tn_cancel_token_release(outlasting.token);
    tn_mpsc_release_sender(outlasting.channel);
    tn_mpsc_release_receiver(outlasting.channel);
    tn_notify_fini(&outlasting.notify);
    tn_semaphore_fini(&outlasting.semaphore);
}

static void run(void *arg)
{
    tn_options options = tn_options_default();
    tn_sim_link link = tn_sim_link_default();
    tn_runtime *runtime;
    tn_task *task;

    options.workers = 1 + tn_sim_choose(4); /* at most WORKERS_MAX of parts_tasks.c */
    options.stuck_after_ns = TN_MS << tn_sim_choose(6);
    options.blocking_threads = 2 + tn_sim_choose(2);
    options.blocking_idle_ns = some_ns();
    options.yield_often = tn_sim_choose(2) == 0;
    spreads = prompt_ns() > 0 && tn_sim_choose(2) == 0;
    options.no_migration = !spreads && tn_sim_choose(4) == 0;
    options.force_migration = !spreads && !options.no_migration && tn_sim_choose(4) == 0;
    if (prompt_ns() > 0)
        tn_sim_check(tn_sim_set_link("10.0.0.1", &link) == 0);
    tn_sim_check(tn_sim_add_name("pantry.example", "10.0.0.2") == 0);
    tn_sim_check(tn_sim_add_name("pantry.example", "10.0.0.1") == 0);
    tn_sim_check(tn_sim_cut_link("10.0.0.2", tn_sim_choose(2) == 0) == 0); /* refuses, or does not respond */
    tn_mutex_init(&shared);
    tn_semaphore_init(&two_at_once, 1);
    tn_sim_check(tn_runtime_create(&runtime, &options) == 0);
    tn_sim_check(tn_spawn_on(runtime, NULL, &task, root, arg) == 0);
    for (unsigned i = tn_sim_choose(4); i > 0; i--) {
        do_share();
        wait_in_thread(runtime);
    }
    tn_sim_check(tn_join(task, NULL) == 0);
    destroy(runtime);
    tn_semaphore_fini(&two_at_once);
    tn_mutex_fini(&shared);
}

int main(int argc, char **argv)
{
    return tn_sim_main(argc, argv, run, NULL);
}
