/* SPDX-License-Identifier: MIT */
/* The admin server, over plain sockets: its pages, access, hostile input, slow clients, and stuck workers. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tn/inspect.h>
#include <tn/scope.h>
#include <tn/time.h>

#include "admin/admin_client.h"
#include "support/stack_use.h"

static reply r;

/* --- The pages ----------------------------------------------------------------------------------------------------------- */

static void *sleep_named(void *arg)
{
    tn_task_set_name(arg);
    tn_task_note("a \"note\"\n");
    (void)tn_sleep(3600 * TN_S);
    return NULL;
}

static bool waits_listed(void *arg)
{
    char *body = get(arg, "/tasks?name=slee&waits=sleep", &r);

    return strstr(body, "\"name\":\"sleeper\"") != NULL;
}

static char sleeper[] = "sleeper";
static char other[] = "other";

Test(admin, tasks_are_listed_filtered_and_paged)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_admin *admin = start(runtime);
    tn_task *tasks[3];
    char *body;

    for (int i = 0; i < 3; i++)
        cr_assert_eq(tn_spawn_on(runtime, NULL, &tasks[i], sleep_named, i == 0 ? sleeper : other), 0);
    cr_assert(tt_wait_until(waits_listed, admin, 30 * TN_S), "%s", r.text);
    body = get(admin, "/tasks?name=sleeper", &r);
    cr_assert_not_null(strstr(body, "\"note\":\"a \\\"note\\\"?\""), "%s", body);
    cr_assert_not_null(strstr(body, "\"waits_for\":\"sleep\""), "%s", body);
    cr_assert_not_null(strstr(body, "\"more\":false"), "%s", body);
    cr_assert_null(strstr(body, "other"), "%s", body);
    body = get(admin, "/tasks?limit=2", &r);
    cr_assert_not_null(strstr(body, "\"more\":true"), "%s", body);
    body = get(admin, "/tasks?limit=2&offset=2", &r);
    cr_assert_not_null(strstr(body, "\"more\":false"), "%s", body);
    body = get(admin, "/tasks?name=%73leeper", &r);
    cr_assert_not_null(strstr(body, "sleeper"), "%s", body);
    body = get(admin, "/dump", &r);
    cr_assert_not_null(strstr(body, "wait for sleep, the longest for "), "%s", body);
    for (int i = 0; i < 3; i++) {
        tn_cancel(tasks[i]);
        cr_assert_eq(tn_join(tasks[i], NULL), 0);
    }
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

/* Runs a command of the shell that reads the text. Returns its exit status. */
static int feed(const char *command, const char *text)
{
    FILE *file = popen(command, "w");
    int status;

    cr_assert_not_null(file);
    (void)fputs(text, file);
    status = pclose(file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Two checkers, if they are installed: the parser of the reference implementation for OpenMetrics, which is strict, and promtool,
 * which reads the older format that OpenMetrics extends, and has rules for names and help texts. To it the help texts of counters
 * belong to other names: those without _total. */
static void check_metrics(const char *text)
{
    int python = feed("/usr/bin/python3 -c 'import sys\ntry:\n from prometheus_client.openmetrics.parser import "
                      "text_string_to_metric_families as p\nexcept ImportError:\n sys.exit(77)\n"
                      "n = len(list(p(sys.stdin.read())))\nassert n > 25, n'",
                      text);
    int promtool = feed("command -v promtool >/dev/null || exit 77; found=$(promtool check metrics 2>&1); status=$?; "
                        "[ $status = 0 ] || [ $status = 3 ] || exit $status; "
                        "! printf '%s\\n' \"$found\" | grep -v '_total no help text$' | grep . >&2",
                        text);

    if (python == 77 || promtool == 77)
        (void)fprintf(stderr, "NOT CHECKED by%s%s: not installed\n", python == 77 ? " python3-prometheus-client" : "",
                      promtool == 77 ? " promtool" : "");
    cr_assert(python == 0 || python == 77, "%s", text);
    cr_assert(promtool == 0 || promtool == 77, "%s", text);
}

Test(admin, metrics_are_openmetrics)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_admin *admin = start(runtime);
    tn_task *task;
    char *body;

    cr_assert_eq(tn_spawn_on(runtime, NULL, &task, sleep_named, sleeper), 0);
    tn_cancel(task);
    cr_assert_eq(tn_join(task, NULL), 0);
    body = get(admin, "/metrics", &r);
    cr_assert_not_null(strstr(r.text, "Content-Type: application/openmetrics-text; version=1.0.0"));
    cr_assert_not_null(strstr(body, "tournant_spawned_total 1\n"), "%s", body);
    cr_assert_not_null(strstr(body, "tournant_tasks 0\n"), "%s", body);
    cr_assert_not_null(strstr(body, "tournant_queue_delay_seconds_bucket{le=\"+Inf\"} "), "%s", body);
    cr_assert_str_eq(body + strlen(body) - 6, "# EOF\n");
    check_metrics(body);
    cr_assert_str_eq(get(admin, "/healthz", &r), "ok\n");
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

/* --- Access -------------------------------------------------------------------------------------------------------------- */

Test(admin, hosts_methods_and_paths_are_checked)
{
    static const struct {
        const char *request;
        const char *status;
    } cases[] = {
        {"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:9100\r\n\r\n", "200"},
        {"GET /healthz HTTP/1.1\r\nHost: [::1]\r\n\r\n", "200"},
        {"GET /healthz HTTP/1.1\r\nHost: LocalHost:80\r\n\r\n", "200"},
        {"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "200"},
        {"GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403"},
        {"GET /healthz HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", "403"},
        {"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:80x\r\n\r\n", "403"},
        {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", "403"},
        {"GET /healthz HTTP/1.1\r\n\r\n", "403"},
        {"GET /healthz HTTP/1.0\r\n\r\n", "403"},
        {"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", "405"},
        {"GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"},
        {"GET /metricsx HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"},
        {"nonsense\r\n\r\n", "400"},
    };
    tn_runtime *runtime = tt_runtime_create();
    tn_admin *admin = start(runtime);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        exchange(admin, cases[i].request, &r);
        cr_assert(status_is(&r, cases[i].status), "%s -> %s", cases[i].request, r.text);
    }
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

Test(admin, heads_have_no_body_and_old_clients_no_chunks)
{
    static const char *const heads[] = {"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
                                        "HEAD /other HTTP/1.1\r\nHost: localhost\r\n\r\n",
                                        "HEAD /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n"};
    tn_runtime *runtime = tt_runtime_create();
    tn_admin *admin = start(runtime);

    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        exchange(admin, heads[i], &r);
        cr_assert_str_eq(strstr(r.text, "\r\n\r\n"), "\r\n\r\n", "%s -> %s", heads[i], r.text);
    }
    exchange(admin, "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n", &r);
    cr_assert(status_is(&r, "200"), "%s", r.text);
    cr_assert_null(strstr(r.text, "Transfer-Encoding"), "%s", r.text);
    cr_assert_str_eq(strstr(r.text, "\r\n\r\n"), "\r\n\r\nok\n");
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

Test(admin, addresses_and_options_are_checked)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_admin_options options = tn_admin_options_default();
    tn_admin *admin;

    cr_assert_eq(tn_admin_start(&admin, runtime, "0.0.0.0:0", NULL), TN_EACCES);
    cr_assert_eq(tn_admin_start(&admin, runtime, "*:0", NULL), TN_EACCES);
    cr_assert_eq(tn_admin_start(&admin, runtime, "127.0.0.1:x", NULL), TN_EINVAL);
    cr_assert_eq(tn_admin_start(&admin, runtime, "unix:", NULL), TN_EINVAL);
    cr_assert_null(admin);
    options.reserved[1] = 1;
    cr_assert_eq(tn_admin_start(&admin, runtime, "127.0.0.1:0", &options), TN_EINVAL);
    options = tn_admin_options_default();
    options.allow_remote = true;
    cr_assert_eq(tn_admin_start(&admin, runtime, "0.0.0.0:0", &options), 0);
    exchange(admin, "GET /healthz HTTP/1.1\r\nHost: monitor.example\r\n\r\n", &r);
    cr_assert(status_is(&r, "200"), "%s", r.text);
    tn_admin_stop(admin);
    tn_admin_stop(NULL);
    tt_runtime_destroy(runtime);
}

Test(admin, a_unix_socket_is_the_owners_alone)
{
    tn_runtime *runtime = tt_runtime_create();
    char path[64];
    char address[72];
    struct stat status;
    tn_admin *admin;
    tn_admin *second;

    (void)snprintf(path, sizeof path, "/tmp/tournant_admin_%d", (int)getpid());
    (void)snprintf(address, sizeof address, "unix:%s", path);
    (void)unlink(path);
    cr_assert_eq(tn_admin_start(&admin, runtime, address, NULL), 0);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    cr_assert_eq(tn_admin_start(&second, runtime, address, NULL), TN_EADDRINUSE);
    exchange(admin, "GET /healthz HTTP/1.1\r\nHost: any\r\n\r\n", &r);
    cr_assert(status_is(&r, "200"), "%s", r.text);
    tn_admin_stop(admin);
    cr_assert_neq(stat(path, &status), 0, "the file is removed");
    tt_runtime_destroy(runtime);
}

/* --- What it withstands -------------------------------------------------------------------------------------------------- */

Test(admin, a_head_without_an_end_is_refused)
{
    static char text[64 * 1024];
    tn_runtime *runtime = tt_runtime_create();
    tn_admin *admin = start(runtime);
    int fd = connect_to(admin);

    memset(text, 'a', sizeof text);
    memcpy(text, "GET /", 5);
    (void)send(fd, text, sizeof text, MSG_NOSIGNAL);
    read_reply(fd, &r);
    cr_assert(r.length == 0 || status_is(&r, "400"), "%s", r.text); /* the close may overtake the response */
    cr_assert_str_eq(get(admin, "/healthz", &r), "ok\n");
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

static uint64_t random_state = 12345;

static uint64_t next_random(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return random_state >> 33;
}

/* Requests with bytes changed, cut and doubled. Each ends with a response or a close, and the server goes on. */
Test(admin, broken_requests_end_nothing_but_themselves)
{
    static const char good[] =
        "GET /tasks?name=%41&limit=2&offset=%zz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody";
    tn_runtime *runtime = tt_runtime_create();
    tn_admin *admin = start(runtime);
    unsigned long count = tt_scaled(100);

    for (unsigned long i = 0; i < count; i++) {
        char text[sizeof good];
        size_t length = next_random() % sizeof good;
        int fd = connect_to(admin);
        memcpy(text, good, sizeof good);
        for (int changes = (int)(next_random() % 4); changes > 0; changes--)
            text[next_random() % sizeof text] = (char)next_random();
        (void)send(fd, text, length, MSG_NOSIGNAL);
        (void)shutdown(fd, SHUT_WR);
        read_reply(fd, &r);
        cr_assert(r.length == 0 || strncmp(r.text, "HTTP/1.1 ", 9) == 0, "%s", r.text);
    }
    cr_assert_str_eq(get(admin, "/healthz", &r), "ok\n");
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

Test(admin, it_stops_while_clients_are_connected)
{
    enum { CLIENTS = 20 };
    tn_runtime *runtime = tt_runtime_create();
    tn_admin *admin = start(runtime);
    int fds[CLIENTS];

    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = connect_to(admin);
        if (i % 2 == 0)
            cr_assert_eq(send(fds[i], "GET /met", 8, MSG_NOSIGNAL), 8);
    }
    cr_assert_str_eq(get(admin, "/healthz", &r), "ok\n");
    tn_admin_stop(admin);
    for (int i = 0; i < CLIENTS; i++)
        (void)close(fds[i]);
    tt_runtime_destroy(runtime);
}

static atomic_int spinning;
static atomic_bool release;

static void *spin(void *arg)
{
    void *memory = malloc(64);

    atomic_fetch_add(&spinning, 1);
    while (!atomic_load(&release))
        ;
    free(memory);
    return arg;
}

static bool all_spin(void *arg)
{
    return atomic_load(&spinning) == *(int *)arg;
}

Test(admin, it_responds_while_all_workers_are_stuck)
{
    tn_runtime *runtime = tt_runtime_create();
    tn_admin *admin = start(runtime);
    int workers = (int)tn_runtime_workers(runtime);
    tn_task *tasks[64];
    uint64_t began_ns;
    char *body;

    cr_assert_leq(workers, 64);
    for (int i = 0; i < workers; i++)
        cr_assert_eq(tn_spawn_on(runtime, NULL, &tasks[i], spin, NULL), 0);
    cr_assert(tt_wait_until(all_spin, &workers, 30 * TN_S));
    began_ns = tn_now();
    (void)get(admin, "/metrics", &r);
    body = get(admin, "/tasks", &r);
    cr_assert_not_null(strstr(body, "\"state\":\"runs\""), "%s", body);
    body = get(admin, "/dump", &r);
    cr_assert_not_null(strstr(body, "run, or are about to"), "%s", body);
    (void)fprintf(stderr, "three pages beside %d stuck workers: %llu us\n", workers,
                  (unsigned long long)((tn_now() - began_ns) / TN_US));
    cr_assert_lt(tn_now() - began_ns, 10 * TN_S);
    atomic_store(&release, true);
    for (int i = 0; i < workers; i++)
        cr_assert_eq(tn_join(tasks[i], NULL), 0);
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

/* --- Its stack -------------------------------------------------------------------------------------------------------------- */

static void start_and_stop(void)
{
    tn_admin *admin;

    tt_check_eq(tn_admin_start(&admin, tn_runtime_current(), "127.0.0.1:0", NULL), 0);
    tt_check(strlen(tn_admin_address(admin)) > 10);
    tn_admin_stop(admin);
}

Test(admin, it_is_started_on_a_small_stack, .disabled = TT_SANITIZED) /* frames are larger there */
{
    static const tt_stack_step steps[] = {{"start_and_stop", start_and_stop}};

    tt_stack_use_check(steps, 1);
}
