/* SPDX-License-Identifier: MIT */
/* The program of sim_test.py: simulations that pass, and one for each way to fail. The last argument, behind `--`, names one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <tn.h>
#include <tn/sim.h>

#define MESSAGE_BYTES 16

static tn_listener *listener;
static char address[TN_ADDRESS_SIZE];
static uint64_t clients;
static uint64_t requests;
static bool may_fail; /* connections may end at any time */

/* --- Requests and responses ------------------------------------------------------------------------------------------------- */

static void *session(void *arg)
{
    tn_stream *stream = arg;
    char buf[64];
    ssize_t n;

    while ((n = tn_read(stream, buf, sizeof buf)) > 0)
        if (tn_write_all(stream, buf, (size_t)n) < 0)
            break;
    tn_sim_check(n == 0 || may_fail);
    tn_stream_close(stream);
    return NULL;
}

static void *serve(void *arg)
{
    tn_stream *stream;

    while (tn_accept(listener, &stream) == 0)
        if (tn_spawn(NULL, session, stream) != 0)
            tn_stream_close(stream);
    return arg;
}

static bool request(tn_stream *stream, uint64_t number)
{
    char out[MESSAGE_BYTES];
    char in[MESSAGE_BYTES];
    size_t got = 0;

    memset(out, (int)('a' + number % 26), sizeof out);
    if (tn_write_all(stream, out, sizeof out) < 0)
        return false;
    while (got < sizeof in) {
        ssize_t n = tn_read(stream, in + got, sizeof in - got);
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    tn_sim_check(memcmp(in, out, sizeof in) == 0);
    return true;
}

static void *client(void *arg)
{
    tn_stream *stream;

    if (tn_tcp_connect(NULL, &stream, address) != 0) {
        tn_sim_check(may_fail);
        return arg;
    }
    for (uint64_t i = 0; i < requests; i++)
        if (!request(stream, i)) {
            tn_sim_check(may_fail);
            break;
        }
    tn_stream_close(stream);
    return arg;
}

static void *echo(void *arg)
{
    tn_task **tasks = calloc(clients, sizeof(tn_task *));
    tn_task *server;

    tn_sim_check(tasks != NULL);
    tn_sim_check(tn_tcp_listen(&listener, "10.0.0.1:7000", NULL) == 0);
    tn_sim_check(tn_listener_address(listener, address, sizeof address) == 0);
    tn_sim_check(tn_spawn(&server, serve, NULL) == 0);
    for (uint64_t i = 0; i < clients; i++)
        tn_sim_check(tn_spawn(&tasks[i], client, NULL) == 0);
    for (uint64_t i = 0; i < clients; i++)
        tn_sim_check(tn_join(tasks[i], NULL) == 0);
    tn_listener_close(listener);
    tn_sim_check(tn_join(server, NULL) == 0);
    free(tasks);
    return arg;
}

static void run_echo(void)
{
    tn_options options = tn_options_default();

    clients = tn_sim_size("clients", 50);
    requests = tn_sim_size("requests", 20);
    options.workers = 2;
    tn_sim_check(tn_run(echo, NULL, &options) == 0);
}

static void run_faults(void)
{
    may_fail = true;
    tn_sim_allow_faults(TN_SIM_FAULT_RESET | TN_SIM_FAULT_REFUSE | TN_SIM_FAULT_BLACK_HOLE | TN_SIM_FAULT_BACKLOG |
                        TN_SIM_FAULT_ABORT); /* not HALF_OPEN: a read without a deadline would wait for ever */
    run_echo();
}

static void *connect_once(void *arg)
{
    tn_stream *stream;

    tn_sim_check(tn_tcp_connect(NULL, &stream, address) == 0);
    tn_stream_close(stream);
    return arg;
}

/* The link of a host that has had no connection yet is cut: a connection waits until it is healed. */
static void *cut_first(void *arg)
{
    tn_task *connecting;
    tn_task *server;
    uint64_t began_ns;

    tn_sim_check(tn_tcp_listen(&listener, "10.0.0.1:7000", NULL) == 0);
    tn_sim_check(tn_listener_address(listener, address, sizeof address) == 0);
    tn_sim_check(tn_spawn(&server, serve, NULL) == 0);
    tn_sim_check(tn_sim_cut_link("10.0.0.1", true) == 0);
    began_ns = tn_now();
    tn_sim_check(tn_spawn(&connecting, connect_once, NULL) == 0);
    tn_sim_check(tn_sleep(10 * TN_S) == 0);
    tn_sim_check(tn_sim_cut_link("10.0.0.1", false) == 0);
    tn_sim_check(tn_join(connecting, NULL) == 0 && tn_now() - began_ns >= 10 * TN_S);
    tn_listener_close(listener);
    tn_sim_check(tn_join(server, NULL) == 0);
    return arg;
}

/* --- Single faults ---------------------------------------------------------------------------------------------------------- */

/* For `--fail half_open:1`: the peer of the client disappears. */
static void *miss_the_peer(void *arg)
{
    tn_stream *client_end;
    tn_stream *server_end;
    tn_scope scope;
    char byte = 'x';

    tn_sim_check(tn_tcp_listen(&listener, "10.0.0.1:7000", NULL) == 0);
    tn_sim_check(tn_tcp_connect(NULL, &client_end, "10.0.0.1:7000") == 0);
    tn_sim_check(tn_accept(listener, &server_end) == 0);
    tn_stream_close(server_end);
    tn_scope_enter_for(&scope, 3600 * TN_S);
    tn_sim_check(tn_read(client_end, &byte, 1) == TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tn_sim_check(tn_write(client_end, &byte, 1) == 1);
    tn_sim_check(tn_read(client_end, &byte, 1) == TN_ETIME);
    tn_stream_close(client_end);
    tn_listener_close(listener);
    return arg;
}

static bool is_expected(int rc)
{
    return rc == TN_ENOMEM || rc == TN_EAGAIN || rc == TN_EMFILE || rc == TN_EAI_AGAIN || rc == -ENOBUFS || rc == TN_ECONNRESET ||
           rc == TN_EPIPE || rc == TN_EAI_NONAME;
}

static void *blocking_job(void *arg)
{
    (*(int *)arg)++;
    return NULL;
}

static void *respond(void *arg)
{
    tn_stream *stream;
    char byte;
    int rc = tn_accept(listener, &stream);

    if (rc == 0) {
        if (tn_read(stream, &byte, 1) == 1)
            (void)tn_write_all(stream, &byte, 1);
        tn_stream_close(stream);
    }
    return arg;
}

static int exchange(void)
{
    tn_stream *stream;
    tn_scope scope;
    char byte = 'x';
    ssize_t rc;

    tn_scope_enter_for(&scope, 60 * TN_S);
    rc = tn_tcp_connect(NULL, &stream, "kitchen.example:7000");
    if (rc == 0) {
        rc = tn_write_all(stream, &byte, 1);
        rc = rc == 0 ? tn_read(stream, &byte, 1) : rc;
        tn_stream_close(stream);
    }
    tn_scope_leave(&scope);
    return rc >= 0 ? 0 : (int)rc;
}

/* Names, connections, tasks and jobs; whatever fails, it fails with an error that is documented, in time, and leaves nothing. */
static void *try_everything(void *arg)
{
    int *rc = arg;
    int jobs = 0;
    tn_task *task;

    tn_sim_check(tn_sim_add_name("kitchen.example", "10.0.0.1") == 0);
    *rc = tn_tcp_listen(&listener, "10.0.0.1:7000", NULL);
    if (*rc != 0)
        return NULL;
    *rc = tn_spawn(&task, respond, NULL);
    if (*rc == 0) {
        *rc = exchange();
        tn_cancel(task);
        tn_sim_check(tn_join(task, NULL) == 0);
    }
    if (*rc == 0)
        *rc = tn_run_blocking(blocking_job, &jobs, NULL);
    tn_sim_check(jobs == (*rc == 0));
    tn_listener_close(listener);
    return NULL;
}

static void run_single_fault(void)
{
    int inside = 0;
    int rc = tn_run(try_everything, &inside, NULL);

    tn_sim_check(rc == 0 || is_expected(rc));
    tn_sim_check(inside == 0 || is_expected(inside));
    tn_sim_check(tn_sim_size("faults", 1) > 0 || (rc == 0 && inside == 0));
}

/* --- Ways to fail ----------------------------------------------------------------------------------------------------------- */

static int counter;

/* Loses an increment if the task is switched between its two accesses. */
static void *increment(void *arg)
{
    int before = counter;

    (void)tn_yield();
    counter = before + 1;
    return arg;
}

static void *race(void *arg)
{
    uint64_t count = tn_sim_size("tasks", 16);

    for (uint64_t i = 0; i < count; i++) {
        tn_task *first;
        tn_task *second;
        counter = 0;
        tn_sim_check(tn_spawn(&first, increment, NULL) == 0);
        if (tn_sim_choose(4) != 0)
            (void)tn_sleep(TN_MS);
        tn_sim_check(tn_spawn(&second, increment, NULL) == 0);
        tn_sim_check(tn_join(first, NULL) == 0 && tn_join(second, NULL) == 0);
        tn_sim_check(counter == 2);
    }
    return arg;
}

static void *wait_for_ever(void *arg)
{
    tn_stream *stream;

    tn_sim_check(tn_tcp_listen(&listener, "10.0.0.1:7000", NULL) == 0);
    (void)tn_accept(listener, &stream);
    return arg;
}

static void *sleep_really(void *arg)
{
    struct timespec second = {.tv_sec = 1};

    (void)nanosleep(&second, NULL);
    return arg;
}

static void *leave_sockets(void *arg)
{
    int fds[2];

    tn_sim_check(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    return arg;
}

static bool child_has_run;

static void *run_child(void *arg)
{
    child_has_run = true;
    return arg;
}

/* Keeps its thread until a task has run that only another thread can run. */
static void *keep_thread(void *arg)
{
    tn_sim_check(tn_spawn(NULL, run_child, NULL) == 0);
    while (!child_has_run)
        (void)tn_now();
    return arg;
}

static void run_kept_thread(void)
{
    tn_options options = tn_options_default();

    options.workers = 1;
    tn_sim_check(tn_run(keep_thread, NULL, &options) == 0);
}

static void *pass_an_hour(void *arg)
{
    uint64_t began_ns = tn_now();
    time_t began = time(NULL);

    tn_sim_check(tn_sleep(3600 * TN_S) == 0);
    tn_sim_check(tn_now() - began_ns >= 3600 * TN_S && time(NULL) - began >= 3599);
    return arg;
}

static void run(void *arg)
{
    static const struct {
        const char *name;
        tn_entry_fn entry;
    } simulations[] = {
        {"race", race},         {"deadlock", wait_for_ever}, {"refused", sleep_really},    {"leak", leave_sockets},
        {"hour", pass_an_hour}, {"cut", cut_first},          {"half_open", miss_the_peer},
    };
    const char *name = arg;

    if (strcmp(name, "echo") == 0)
        run_echo();
    if (strcmp(name, "faults") == 0)
        run_faults();
    if (strcmp(name, "single_fault") == 0)
        run_single_fault();
    if (strcmp(name, "kept_thread") == 0)
        run_kept_thread();
    if (strcmp(name, "own_seed") == 0)
        tn_sim_check(tn_sim_seed() > 0);
    for (size_t i = 0; i < sizeof simulations / sizeof simulations[0]; i++)
        if (strcmp(name, simulations[i].name) == 0)
            tn_sim_check(tn_run(simulations[i].entry, NULL, NULL) == 0);
}

int main(int argc, char **argv)
{
    return tn_sim_main(argc, argv, run, argv[argc - 1]);
}
