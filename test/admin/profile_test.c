/* SPDX-License-Identifier: MIT */
/* /profile of the admin server: what it finds, one at a time, clients that leave, stuck workers, and the end of the server. */
#include <stdatomic.h>
#include <time.h>

#include <tn/inspect.h>
#include <tn/scope.h>
#include <tn/time.h>

#include "admin/admin_client.h"

static reply r;

/* The sum of the lines that contain both texts, in microseconds. */
static unsigned long weight_of(const char *body, const char *a, const char *b)
{
    unsigned long sum = 0;

    for (const char *line = body; *line != '\0';) {
        char text[4096];
        size_t length = strcspn(line, "\n");
        (void)snprintf(text, sizeof text, "%.*s", (int)length, line);
        if (strstr(text, a) != NULL && strstr(text, b) != NULL)
            sum += strtoul(strrchr(text, ' ') + 1, NULL, 10);
        line += length + (line[length] == '\n');
    }
    return sum;
}

/* --- What workers run ---------------------------------------------------------------------------------------------------- */

static atomic_bool stop;

__attribute__((noinline)) void burn_time(void);
void burn_time(void)
{
    for (volatile int i = 0; i < 100000; i++)
        ;
}

static void *burn(void *arg)
{
    tn_task_set_name(arg);
    while (!atomic_load(&stop)) {
        burn_time();
        (void)tn_yield();
    }
    return NULL;
}

__attribute__((noinline)) void sleep_badly(void);
void sleep_badly(void)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};

    (void)nanosleep(&pause, NULL);
}

static void *block(void *arg)
{
    tn_task_set_name(arg);
    while (!atomic_load(&stop)) {
        sleep_badly();
        (void)tn_yield();
    }
    return NULL;
}

static char burner[] = "burner";
static char blocker[] = "a;b <&\">";

typedef struct {
    tn_admin *admin;
    const char *target;
    char *body;
    const char *texts[2]; /* that one line must have */
} wanted;

static bool is_found(void *arg)
{
    wanted *w = arg;

    w->body = get(w->admin, w->target, &r);
    return weight_of(w->body, w->texts[0], w->texts[1]) > 0;
}

/* A sample may be late on a loaded machine, so the profile is repeated until the stack is in it. */
static void find(wanted w)
{
    cr_assert(tt_wait_until(is_found, &w, 60 * TN_S), "no %s and %s in: %s", w.texts[0], w.texts[1], r.text);
}

Test(profile, shows_what_runs_and_what_blocks_a_worker)
{
    tn_runtime *runtime = create();
    tn_admin *admin = start(runtime);
    tn_task *tasks[2];

    cr_assert_eq(tn_spawn_on(runtime, NULL, &tasks[0], burn, burner), 0);
    cr_assert_eq(tn_spawn_on(runtime, NULL, &tasks[1], block, blocker), 0);
    find((wanted){admin, "/profile?seconds=1", NULL, {"burn;burn_time ", ""}});
    cr_assert_null(strstr(r.text, "[task "), "%s", r.text);
    find((wanted){admin, "/profile?seconds=1&by=name", NULL, {"[task a:b <&\">];[blocks its worker]", "sleep_badly"}});
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(tn_join(tasks[i], NULL), 0);
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

/* --- Where tasks wait ---------------------------------------------------------------------------------------------------- */

static void *sleep_long(void *arg)
{
    tn_task_set_name(arg);
    (void)tn_sleep(3600 * TN_S);
    return NULL;
}

typedef struct {
    tn_admin *admin;
    unsigned count;
} sleepers;

static bool all_sleep(void *arg)
{
    const sleepers *s = arg;
    unsigned count = 0;

    for (const char *at = get(s->admin, "/tasks?waits=sleep", &r); (at = strstr(at, "\"waits_for\"")) != NULL; at++)
        count++;
    return count == s->count;
}

static void wait_for_sleepers(tn_admin *admin, unsigned count)
{
    cr_assert(tt_wait_until(all_sleep, &(sleepers){admin, count}, 30 * TN_S), "%s", r.text);
}

static void cancel_all(tn_task **tasks, int count)
{
    for (int i = 0; i < count; i++) {
        tn_cancel(tasks[i]);
        cr_assert_eq(tn_join(tasks[i], NULL), 0);
    }
}

/* Ten tasks wait for a second each: ten seconds together. */
Test(profile, weighs_waits_by_time)
{
    enum { SLEEPERS = 10 };
    tn_runtime *runtime = create();
    tn_admin *admin = start(runtime);
    tn_task *tasks[SLEEPERS];
    unsigned long us;
    uint64_t began_ns;

    for (int i = 0; i < SLEEPERS; i++)
        cr_assert_eq(tn_spawn_on(runtime, NULL, &tasks[i], sleep_long, blocker), 0);
    wait_for_sleepers(admin, SLEEPERS);
    began_ns = tn_now();
    us = weight_of(get(admin, "/profile?seconds=1&of=waits&by=name", &r), "[task a:b <&\">];", ";[waits for sleep] ");
    cr_assert_geq(us, SLEEPERS * 900000UL, "%s", r.text);
    cr_assert_leq(us, SLEEPERS * (tn_now() - began_ns) / TN_US, "%s", r.text);
    cancel_all(tasks, SLEEPERS);
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

/* --- The picture --------------------------------------------------------------------------------------------------------- */

static void check_by_python(const char *svg)
{
    FILE *file = popen("/usr/bin/python3 -c 'import sys, xml.dom.minidom as x\n"
                       "d = x.parse(sys.stdin.buffer)\n"
                       "assert len(d.getElementsByTagName(\"rect\")) > 3\n"
                       "t = [n.firstChild.data for n in d.getElementsByTagName(\"title\")]\n"
                       "assert any(n.startswith(\"[task a:b <&\\\">]\") for n in t), t\n'",
                       "w");

    cr_assert_not_null(file);
    cr_assert_eq(fputs(svg, file) < 0, 0);
    cr_assert_eq(pclose(file), 0, "%s", svg);
}

Test(profile, draws_a_flame_graph_that_is_escaped)
{
    tn_runtime *runtime = create();
    tn_admin *admin = start(runtime);
    tn_task *task;
    char *body;

    cr_assert_eq(tn_spawn_on(runtime, NULL, &task, sleep_long, blocker), 0);
    wait_for_sleepers(admin, 1);
    body = get(admin, "/profile?seconds=1&of=waits&format=svg&by=name", &r);
    cr_assert_not_null(strstr(r.text, "Content-Type: image/svg+xml\r\n"));
    cr_assert_not_null(strstr(r.text, "Content-Security-Policy: default-src 'none'"));
    cr_assert_not_null(strstr(body, "<title>[task a:b &lt;&amp;&quot;&gt;] ("), "%s", body);
    check_by_python(body);
    cancel_all(&task, 1);
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

/* --- Requests ------------------------------------------------------------------------------------------------------------ */

Test(profile, refuses_wrong_parameters)
{
    static const char *const targets[] = {"seconds=0",        "seconds=61", "seconds=-1",    "seconds=1x", "seconds=",
                                          "seconds=99999999", "format=png", "of=everything", "by=",        "format=%"};
    tn_runtime *runtime = create();
    tn_admin *admin = start(runtime);
    char text[128];

    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        (void)snprintf(text, sizeof text, "GET /profile?%s HTTP/1.1\r\nHost: localhost\r\n\r\n", targets[i]);
        exchange(admin, text, &r);
        cr_assert(status_is(&r, "400"), "%s: %s", targets[i], r.text);
    }
    exchange(admin, "HEAD /profile HTTP/1.1\r\nHost: localhost\r\n\r\n", &r);
    cr_assert(status_is(&r, "200"), "%s", r.text);
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

static const char long_profile[] = "GET /profile?seconds=60 HTTP/1.1\r\nHost: localhost\r\n\r\n";

static bool is_accepted(void *arg)
{
    exchange(arg, "GET /profile?seconds=1 HTTP/1.1\r\nHost: localhost\r\n\r\n", &r);
    cr_assert(status_is(&r, "200") || status_is(&r, "409"), "%s", r.text);
    return status_is(&r, "200");
}

/* Begins a profile of a minute. The server need not serve connections in order, so the other requests may come first. If it is
 * the profile, this one is refused. */
static int begin_long(tn_admin *admin)
{
    for (;;) {
        int fd = connect_to(admin);
        cr_assert_eq(send(fd, long_profile, strlen(long_profile), MSG_NOSIGNAL), (ssize_t)strlen(long_profile));
        (void)get(admin, "/healthz", &r);
        if (!is_accepted(admin))
            return fd;
        (void)close(fd);
    }
}

Test(profile, is_one_at_a_time_and_ends_with_its_client)
{
    tn_runtime *runtime = create();
    tn_admin *admin = start(runtime);
    int fd = begin_long(admin);

    cr_assert_str_eq(get(admin, "/healthz", &r), "ok\n");
    cr_assert_eq(send(fd, long_profile, strlen(long_profile), MSG_NOSIGNAL), (ssize_t)strlen(long_profile), "what it drops");
    (void)close(fd);
    cr_assert(tt_wait_until(is_accepted, admin, 30 * TN_S), "the client has left, and its profile goes on");
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}

Test(profile, ends_with_the_server)
{
    tn_runtime *runtime = create();
    tn_admin *admin = start(runtime);
    int fd = begin_long(admin);
    uint64_t began_ns = tn_now();

    tn_admin_stop(admin);
    cr_assert_lt(tn_now() - began_ns, 20 * TN_S);
    read_reply(fd, &r);
    cr_assert_eq(r.length, 0, "%s", r.text);
    tt_runtime_destroy(runtime);
}

/* --- More stacks than the table has -------------------------------------------------------------------------------------- */

enum { MANY = 3000 };

static void *sleep_numbered(void *arg)
{
    char name[24];

    (void)snprintf(name, sizeof name, "sleeper %d", *(int *)arg);
    return sleep_long(name);
}

Test(profile, is_bounded)
{
    static int numbers[MANY];
    static tn_task *tasks[MANY];
    tn_runtime *runtime = create();
    tn_admin *admin = start(runtime);

    for (int i = 0; i < MANY; i++) {
        numbers[i] = i;
        cr_assert_eq(tn_spawn_on(runtime, NULL, &tasks[i], sleep_numbered, &numbers[i]), 0);
    }
    find((wanted){admin, "/profile?seconds=1&of=waits&by=name", NULL, {"[further stacks] ", ""}});
    (void)get(admin, "/profile?seconds=1&of=waits&by=name&format=svg", &r);
    cancel_all(tasks, MANY);
    tn_admin_stop(admin);
    tt_runtime_destroy(runtime);
}
