/* SPDX-License-Identifier: MIT */
/* The admin server beside stuck workers, many tasks, many connections, a second runtime, and at the ends of a runtime's life. */
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include <tn/inspect.h>
#include <tn/metrics.h>
#include <tn/scope.h>
#include <tn/sync.h>
#include <tn/time.h>

#include "admin/admin_client.h"

static reply r;

/* Gets a page, and prints how long it took. An idle machine needs less than 100 ms; a loaded one gets more. */
static void get_in_time(tn_admin *admin, const char *target)
{
    uint64_t began_ns = tn_now();
    char *body = get(admin, target, &r);
    uint64_t took_ns = tn_now() - began_ns;

    (void)fprintf(stderr, "%s: %llu us, %zu bytes\n", target, (unsigned long long)(took_ns / TN_US), strlen(body));
    cr_assert_lt(took_ns, 10 * TN_S, "%s", target);
}

static void get_all_in_time(tn_admin *admin)
{
    get_in_time(admin, "/metrics");
    get_in_time(admin, "/healthz");
    get_in_time(admin, "/tasks");
    get_in_time(admin, "/dump");
}

/* --- Stuck workers ------------------------------------------------------------------------------------------------------- */

static atomic_int stuck;
static atomic_bool release;
static int pipe_fds[2];

static void *compute(void *arg)
{
    atomic_fetch_add(&stuck, 1);
    while (!atomic_load(&release))
        ;
    return arg;
}

static void *read_pipe(void *arg)
{
    char byte;

    atomic_fetch_add(&stuck, 1);
    tt_check(read(pipe_fds[0], &byte, 1) == 1);
    return arg;
}

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void *lock_held(void *arg)
{
    atomic_fetch_add(&stuck, 1);
    (void)pthread_mutex_lock(&held);
    (void)pthread_mutex_unlock(&held);
    return arg;
}

static bool all_stuck(void *arg)
{
    return atomic_load(&stuck) == *(int *)arg;
}

/* All workers are inside of `entry`; `let_go` ends it in each of them. */
static void check_stuck(tn_entry_fn entry, void (*let_go)(int workers))
{
    tn_runtime *runtime = create();
    tn_admin *admin = start(runtime);
    int workers = (int)tn_runtime_workers(runtime);
    tn_task *tasks[64];

    cr_assert_leq(workers, 64);
    for (int i = 0; i < workers; i++)
        cr_assert_eq(tn_spawn_on(runtime, NULL, &tasks[i], entry, NULL), 0);
    cr_assert(tt_wait_until(all_stuck, &workers, 30 * TN_S));
    get_all_in_time(admin);
    (void)get(admin, "/profile?seconds=1", &r);
    let_go(workers);
    for (int i = 0; i < workers; i++)
        cr_assert_eq(tn_join(tasks[i], NULL), 0);
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

static void end_computing(int workers)
{
    (void)workers;
    atomic_store(&release, true);
}

static void write_pipe(int workers)
{
    for (int i = 0; i < workers; i++)
        cr_assert_eq(write(pipe_fds[1], "x", 1), 1);
}

static void unlock_held(int workers)
{
    (void)workers;
    (void)pthread_mutex_unlock(&held);
}

Test(hostile, it_responds_while_workers_compute)
{
    check_stuck(compute, end_computing);
}

Test(hostile, it_responds_while_workers_are_in_a_system_call)
{
    cr_assert_eq(pipe(pipe_fds), 0);
    check_stuck(read_pipe, write_pipe);
}

Test(hostile, it_responds_while_workers_wait_for_a_lock)
{
    (void)pthread_mutex_lock(&held);
    check_stuck(lock_held, unlock_held);
}

#if !TT_SANITIZED
/* --- A worker inside malloc ---------------------------------------------------------------------------------------------- */

/* This program's malloc has one lock, and a worker keeps it. calloc and realloc remain as they are. */
static pthread_mutex_t malloc_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool has_one_lock;
static atomic_ulong mallocs;

static void *(*next_malloc(void))(size_t)
{
    static void *(*next)(size_t);

    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "malloc");
    return next;
}

void *malloc(size_t size)
{
    void *memory;

    atomic_fetch_add(&mallocs, 1);
    if (!atomic_load(&has_one_lock))
        return next_malloc()(size);
    (void)pthread_mutex_lock(&malloc_lock);
    memory = next_malloc()(size);
    (void)pthread_mutex_unlock(&malloc_lock);
    return memory;
}

static void *keep_malloc_locked(void *arg)
{
    (void)pthread_mutex_lock(&malloc_lock);
    atomic_store(&has_one_lock, true);
    atomic_fetch_add(&stuck, 1);
    while (!atomic_load(&release))
        ;
    atomic_store(&has_one_lock, false);
    (void)pthread_mutex_unlock(&malloc_lock);
    return arg;
}

/* Another thread reports if no response comes, because this one may wait for malloc too. */
Test(hostile, it_responds_while_a_worker_is_inside_malloc, .timeout = 50)
{
    static const char *const targets[] = {
        "/metrics", "/healthz", "/tasks", "/dump", "/profile?seconds=1&format=svg", "/profile?seconds=1&of=waits"};
    tn_runtime *runtime = create();
    tn_admin *admin = start(runtime);
    tn_task *task;
    int one = 1;
    bool ok[sizeof targets / sizeof targets[0]];

    cr_assert_eq(tn_spawn_on(runtime, NULL, &task, keep_malloc_locked, NULL), 0);
    cr_assert(tt_wait_until(all_stuck, &one, 30 * TN_S));
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) { /* nothing here may call malloc, not even an assertion */
        char text[128];
        int fd = connect_to(admin);
        int length = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", targets[i]);
        (void)send(fd, text, (size_t)length, MSG_NOSIGNAL);
        read_reply(fd, &r);
        ok[i] = status_is(&r, "200") && strstr(r.text, "\r\n0\r\n\r\n") != NULL;
    }
    atomic_store(&release, true);
    cr_assert_eq(tn_join(task, NULL), 0);
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        cr_assert(ok[i], "%s", targets[i]);
    cr_assert_gt(atomic_load(&mallocs), 0, "the program's malloc is not the one above");
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}
#endif

/* --- Connections --------------------------------------------------------------------------------------------------------- */

/* A connection that is not waited for: the kernel may have no space in its backlog. */
static int begin_connection(const tn_admin *admin)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    cr_assert_geq(fd, 0);
    in.sin_port = htons((uint16_t)strtoul(strrchr(tn_admin_address(admin), ':') + 1, NULL, 10));
    (void)connect(fd, (const struct sockaddr *)&in, sizeof in);
    return fd;
}

/* They send nothing, or the beginning of a request, and stay: each further connection ends the oldest of them. */
Test(hostile, a_thousand_slow_clients_keep_no_other_one_waiting)
{
    enum { CLIENTS = 1000 };
    static int fds[CLIENTS];
    struct rlimit files;
    tn_runtime *runtime = create();
    tn_admin *admin = start(runtime);
    uint64_t began_ns;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = begin_connection(admin);
        (void)send(fds[i], "GET /metr", 9, MSG_NOSIGNAL);
    }
    began_ns = tn_now();
    get_in_time(admin, "/healthz"); /* without the limit it would take 10 s for each 32 of them */
    (void)fprintf(stderr, "behind %d slow clients: %llu us\n", CLIENTS, (unsigned long long)((tn_now() - began_ns) / TN_US));
    for (int i = 0; i < CLIENTS; i++)
        (void)close(fds[i]);
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

/* All sessions respond, so none of them can be cut short for the next one. */
Test(hostile, a_connection_beside_as_many_as_the_limit_is_served)
{
    static const char request[] = "GET /profile?seconds=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    tn_admin_options options = tn_admin_options_default();
    tn_runtime *runtime = create();
    tn_admin *admin;
    int fd;

    options.connections_max = 1;
    cr_assert_eq(tn_admin_start(&admin, runtime, "127.0.0.1:0", &options), 0);
    fd = connect_to(admin);
    cr_assert_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    for (int i = 0; i < 5; i++) { /* the first ones may come before that request is read */
        cr_assert_str_eq(get(admin, "/healthz", &r), "ok\n");
        tt_block_thread(10 * TN_MS);
    }
    (void)close(fd);
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

static void *sleep_named(void *arg)
{
    tn_task_set_name("sleeper");
    (void)tn_sleep(3600 * TN_S);
    return arg;
}

static void cancel_all(tn_task **tasks, unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        tn_cancel(tasks[i]);
        cr_assert_eq(tn_join(tasks[i], NULL), 0);
    }
}

/* It asks for a long page and reads none of it. */
Test(hostile, a_client_that_does_not_read_keeps_no_other_one_waiting)
{
    unsigned long count = tt_scaled(3000);
    tn_task **tasks = calloc(count, sizeof *tasks);
    tn_runtime *runtime = create();
    tn_admin *admin = start(runtime);
    int fds[8];

    for (unsigned long i = 0; i < count; i++)
        cr_assert_eq(tn_spawn_on(runtime, NULL, &tasks[i], sleep_named, NULL), 0);
    for (int i = 0; i < 8; i++) {
        fds[i] = connect_to(admin);
        cr_assert_eq(send(fds[i], "GET /tasks?limit=100000 HTTP/1.1\r\nHost: localhost\r\n\r\n", 53, MSG_NOSIGNAL), 53);
    }
    get_in_time(admin, "/metrics");
    get_in_time(admin, "/dump");
    for (int i = 0; i < 8; i++)
        (void)close(fds[i]);
    cancel_all(tasks, count);
    free(tasks);
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

/* --- Many tasks ---------------------------------------------------------------------------------------------------------- */

static bool all_wait(void *arg)
{
    char text[64];

    (void)snprintf(text, sizeof text, "%lu tasks (fiber) wait for sleep", *(unsigned long *)arg);
    return strstr(r.text, text) != NULL;
}

/* 2000 here; TN_TEST_SCALE=5000 makes 100,000 of them. */
Test(hostile, many_tasks_take_bounded_memory)
{
    unsigned long count = tt_scaled(2000);
    tn_task **tasks = calloc(count, sizeof *tasks);
    tn_runtime *runtime = create();
    tn_admin *admin = start(runtime);
    size_t before;
    size_t after;

    cr_assert_not_null(tasks);
    for (unsigned long i = 0; i < count; i++)
        cr_assert_eq(tn_spawn_on(runtime, NULL, &tasks[i], sleep_named, NULL), 0);
    for (int i = 0; i < 600; i++) {
        (void)get(admin, "/dump", &r);
        if (all_wait(&count))
            break;
        tt_block_thread(100 * TN_MS);
    }
    cr_assert(all_wait(&count), "%s", r.text);
    before = tt_resident_bytes();
    get_in_time(admin, "/metrics");
    get_in_time(admin, "/dump");
    get_in_time(admin, "/tasks");
    get_in_time(admin, "/tasks?name=none");
    get_in_time(admin, "/profile?seconds=1&of=waits");
    get_in_time(admin, "/profile?seconds=1&of=waits&format=svg&by=name");
    after = tt_resident_bytes();
    (void)fprintf(stderr, "%lu tasks: %zu KiB more\n", count, after > before ? (after - before) / 1024 : 0);
    if (!TT_SANITIZED)
        cr_assert_lt(after, before + ((size_t)16 << 20));
    cancel_all(tasks, count);
    free(tasks);
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

/* --- Runtimes ------------------------------------------------------------------------------------------------------------ */

Test(hostile, two_runtimes_have_servers_of_their_own)
{
    tn_runtime *runtimes[2] = {create(), create()};
    tn_admin *admins[2] = {start(runtimes[0]), start(runtimes[1])};
    tn_task *task;

    cr_assert_eq(tn_spawn_on(runtimes[1], NULL, &task, sleep_named, NULL), 0);
    (void)get(admins[0], "/metrics", &r);
    cr_assert_not_null(strstr(r.text, "tournant_spawned_total 0\n"), "%s", r.text);
    (void)get(admins[1], "/metrics", &r);
    cr_assert_not_null(strstr(r.text, "tournant_spawned_total 1\n"), "%s", r.text);
    tn_admin_stop(admins[0]);
    tt_runtime_destroy(runtimes[0]);
    cr_assert_str_eq(get(admins[1], "/healthz", &r), "ok\n");
    cancel_all(&task, 1);
    tn_admin_stop(admins[1]);
    tt_runtime_destroy(runtimes[1]);
}

static atomic_bool end_clients;

/* Asks for pages whatever comes back: the server may not listen yet, or may have ended. */
static void *ask_always(void *arg)
{
    static const char *const targets[] = {"/metrics", "/tasks", "/dump", "/healthz", "/profile?seconds=1"};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char text[128];
    char buffer[4096];

    (void)strncpy(un.sun_path, arg, sizeof un.sun_path - 1);
    for (unsigned i = 0; !atomic_load(&end_clients); i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        int length = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n\r\n", targets[i % 5]);
        if (connect(fd, (const struct sockaddr *)&un, sizeof un) == 0) {
            (void)send(fd, text, (size_t)length, MSG_NOSIGNAL);
            while (read(fd, buffer, sizeof buffer) > 0)
                ;
        }
        (void)close(fd);
    }
    return NULL;
}

/* Tasks that begin and end, as they do when a program starts and stops. */
static void *come_and_go(void *arg)
{
    for (int i = 0; i < 200; i++) {
        tn_task *task;
        if (tn_spawn(&task, sleep_named, NULL) != 0)
            break;
        (void)tn_yield();
        tn_cancel(task);
        (void)tn_join(task, NULL);
    }
    return arg;
}

Test(hostile, it_is_asked_while_runtimes_start_and_stop)
{
    unsigned long rounds = tt_scaled(10);
    char path[64];
    char address[72];
    pthread_t clients[2];

    (void)snprintf(path, sizeof path, "/tmp/tournant_hostile_%d", (int)getpid());
    (void)snprintf(address, sizeof address, "unix:%s", path);
    for (int i = 0; i < 2; i++)
        clients[i] = tt_thread_start(ask_always, path);
    for (unsigned long i = 0; i < rounds; i++) {
        tn_runtime *runtime = create();
        tn_admin *admin;
        cr_assert_eq(tn_admin_start(&admin, runtime, address, NULL), 0);
        cr_assert_eq(tn_block_on(runtime, come_and_go, NULL, NULL), 0);
        tn_admin_stop(admin);
        tt_runtime_destroy(runtime);
    }
    atomic_store(&end_clients, true);
    for (int i = 0; i < 2; i++)
        tt_thread_join(clients[i]);
}

/* --- GET changes nothing ------------------------------------------------------------------------------------------------- */

Test(hostile, nothing_changes_by_a_request)
{
    static const char *const requests[] = {
        "GET /tasks?cancel=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",   "GET /dump HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /metrics?reset=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",  "HEAD /profile HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /tasks HTTP/1.1\r\nHost: localhost\r\n\r\n",           "DELETE /tasks HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "PUT /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",          "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /profile?seconds=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"};
    tn_runtime *runtime = create();
    tn_admin *admin = start(runtime);
    tn_metrics before = {.size = sizeof before};
    tn_metrics after = {.size = sizeof after};
    tn_task *task;

    cr_assert_eq(tn_spawn_on(runtime, NULL, &task, sleep_named, NULL), 0);
    while (strstr(get(admin, "/tasks?waits=sleep", &r), "\"sleeper\"") == NULL)
        tt_block_thread(TN_MS);
    cr_assert_eq(tn_metrics_snapshot(runtime, TN_METRICS_ALL, &before), 0);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        exchange(admin, requests[i], &r);
    cr_assert_eq(tn_metrics_snapshot(runtime, TN_METRICS_ALL, &after), 0);
    cr_assert_eq(after.counters.spawned, before.counters.spawned);
    cr_assert_eq(after.counters.finished, before.counters.finished);
    cr_assert_eq(after.counters.polls, before.counters.polls, "a task has run");
    cr_assert_not_null(strstr(get(admin, "/tasks?waits=sleep", &r), "\"cancelled\":false"), "%s", r.text);
    cancel_all(&task, 1);
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}
