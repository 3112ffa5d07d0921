/* SPDX-License-Identifier: MIT */
/* Tests of tn/systemd.h with a socket of the test in place of the service manager's, and descriptors that a child gets. */
/* ctest: timeout=120 */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/un.h>

#include <tn/systemd.h>

#include "net_support.h"
#include "support/child.h"

/* --- States ----------------------------------------------------------------------------------------------------------------- */

/* The service manager's socket, and its path or abstract address. */
static int manager;
static char manager_path[108];

static void open_manager(bool abstract)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/tn-systemd-test-%d", abstract ? "@" : "/tmp",
                          (int)getpid());

    tt_check_eq(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
    memcpy(manager_path, address.sun_path, sizeof manager_path);
    (void)unlink(manager_path);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    tt_check(manager >= 0);
    if (abstract)
        address.sun_path[0] = '\0';
    length += (int)offsetof(struct sockaddr_un, sun_path) + !abstract;
    tt_check_eq(bind(manager, (struct sockaddr *)&address, (socklen_t)length), 0);
}

static void close_manager(void)
{
    close(manager);
    (void)unlink(manager_path); /* fails if it is abstract */
}

/* Returns whether a message has come within `ms`, and writes it to `text`. */
static bool receive(char text[512], int ms)
{
    struct pollfd file = {manager, POLLIN, 0};
    ssize_t n;

    if (poll(&file, 1, ms) == 0)
        return false;
    n = recv(manager, text, 511, 0);
    tt_check(n >= 0);
    text[n] = '\0';
    return true;
}

static void expect(int rc, const char *wanted)
{
    char text[512];

    tt_check_eq(rc, 1);
    tt_check(receive(text, 10000));
    if (strcmp(text, wanted) != 0)
        fprintf(stderr, "found: %s\n", text);
    tt_check_eq(strcmp(text, wanted), 0);
}

/* The status is cut after so many bytes of the text. */
static void expect_cut(const char *long_text, size_t size)
{
    char text[512];

    tt_check_eq(tn_systemd_status("%s", long_text), 1);
    tt_check(receive(text, 10000));
    tt_check_eq(strlen(text), strlen("STATUS=") + size);
    tt_check_eq(strncmp(text + strlen("STATUS="), long_text, size), 0);
}

static void report_states(bool abstract)
{
    char long_text[400];
    char text[512];
    uint64_t usec;

    open_manager(abstract);
    expect(tn_systemd_ready(), "READY=1");
    expect(tn_systemd_stopping(), "STOPPING=1");
    expect(tn_systemd_main_pid(4711), "MAINPID=4711");
    expect(tn_systemd_status("%d of\n%s", 3, "four"), "STATUS=3 of four");
    memset(long_text, 'x', sizeof long_text);
    long_text[399] = '\0';
    tt_check_eq(tn_systemd_status("%s", long_text), 1);
    tt_check(receive(text, 10000));
    tt_check_eq(strlen(text), strlen("STATUS=") + 200);
    memset(long_text, 'x', 198);
    memcpy(long_text + 198, "\xe2\x82\xac", 4); /* a character of three bytes, of which two fit */
    expect_cut(long_text, 198);
    memcpy(long_text + 197, "\xe2\x82\xacx", 5); /* it fits */
    expect_cut(long_text, 200);
    tt_check_eq(tn_systemd_reloading(), 1);
    tt_check(receive(text, 10000));
    tt_check_eq(strncmp(text, "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
    usec = strtoull(text + 27, NULL, 10);
    tt_check(usec <= tn_now() / 1000 && usec > tn_now() / 1000 - 60000000);
    close_manager();
}

Test(systemd, states_go_to_a_path)
{
    report_states(false);
}

Test(systemd, states_go_to_an_abstract_address)
{
    report_states(true);
}

Test(systemd, without_a_manager_nothing_happens)
{
    tn_listener *listener;

    unsetenv("NOTIFY_SOCKET");
    cr_assert_eq(tn_systemd_ready(), 0);
    cr_assert_eq(tn_systemd_status("%d", 1), 0);
    unsetenv("LISTEN_PID");
    cr_assert_eq(tn_systemd_listeners(NULL, NULL, &listener, 1), 0);
    unsetenv("WATCHDOG_USEC");
    cr_assert_eq(tn_systemd_keep_alive(), 0);
    setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
    cr_assert_eq(tn_systemd_ready(), TN_EINVAL);
    setenv("NOTIFY_SOCKET", "/tmp/no/such/socket", 1);
    cr_assert_eq(tn_systemd_ready(), -ENOENT);
}

/* A manager that does not read: the call does not wait. */
Test(systemd, a_full_queue_is_reported)
{
    int rc = 1;

    open_manager(true);
    for (int i = 0; i < 100000 && rc == 1; i++)
        rc = tn_systemd_ready();
    cr_assert_eq(rc, TN_EAGAIN);
    close_manager();
}

/* --- The watchdog ----------------------------------------------------------------------------------------------------------- */

static void *keep_alive(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)tn_systemd_keep_alive();
}

static void *three_keep_alives(void *arg)
{
    tn_task *task = tt_spawn(keep_alive, NULL);
    char text[512];

    for (unsigned found = 0; found < 3; found++) {
        while (!receive(text, 0))
            tt_check_eq(tn_sleep(TN_MS), 0);
        tt_check_eq(strcmp(text, "WATCHDOG=1"), 0);
    }
    tn_cancel(task);
    tt_check_eq((intptr_t)tt_join(task), TN_ECANCELED);
    return arg;
}

Test(systemd, keep_alives_come)
{
    open_manager(true);
    setenv("WATCHDOG_USEC", "20000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    cr_assert_eq(tn_systemd_keep_alive(), 0); /* for another process */
    unsetenv("WATCHDOG_PID");
    tt_run(three_keep_alives, NULL);
    close_manager();
}

/* While the only thread of the runtime is inside a task, no keep-alive comes; afterwards they come again. */
static void *hold_the_thread(void *arg)
{
    tn_task *task = tt_spawn(keep_alive, NULL);
    char text[512];

    while (!receive(text, 0))
        tt_check_eq(tn_sleep(TN_MS), 0);
    while (receive(text, 0))
        ;
    tt_check(!receive(text, 200)); /* ten intervals */
    while (!receive(text, 0))
        tt_check_eq(tn_sleep(TN_MS), 0);
    tn_cancel(task);
    tt_check_eq((intptr_t)tt_join(task), TN_ECANCELED);
    return arg;
}

Test(systemd, keep_alives_stop_without_progress)
{
    tn_options options = tn_options_default();
    tn_runtime *runtime;

    open_manager(true);
    setenv("WATCHDOG_USEC", "20000", 1);
    unsetenv("WATCHDOG_PID");
    options.flavor = TN_CURRENT_THREAD;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    cr_assert_eq(tn_block_on(runtime, hold_the_thread, NULL, NULL), 0);
    tt_runtime_destroy(runtime);
    close_manager();
}

/* --- Listeners -------------------------------------------------------------------------------------------------------------- */

enum { FIRST = 3, COUNT = 3 };

/* Puts listening sockets at 3, 4 and 5, as the service manager does before it executes the program. */
static void pass_listeners(const char *names)
{
    char text[32];
    int fds[COUNT];

    for (int i = 0; i < COUNT; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        fds[i] = fcntl(fd, F_DUPFD, 100);
        close(fd);
        tt_check(fds[i] >= 100);
        tt_check_eq(bind(fds[i], (struct sockaddr *)&address, sizeof address), 0);
        tt_check_eq(listen(fds[i], 10), 0);
    }
    for (int i = 0; i < COUNT; i++)
        tt_check_eq(dup2(fds[i], FIRST + i), FIRST + i);
    tt_check_eq(dup2(STDERR_FILENO, FIRST + COUNT), FIRST + COUNT); /* is no socket that listens */
    snprintf(text, sizeof text, "%d", (int)getpid());
    setenv("LISTEN_PID", text, 1);
    setenv("LISTEN_FDS", "3", 1);
    unsetenv("LISTEN_FDNAMES");
    if (names != NULL)
        setenv("LISTEN_FDNAMES", names, 1);
}

/* A client reaches the listener by the address of descriptor `fd`. */
static void check_listener(tn_listener *listener, int fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    char wanted[TN_ADDRESS_SIZE];
    char found[TN_ADDRESS_SIZE];
    tn_stream *ends[2];

    tt_check_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    snprintf(wanted, sizeof wanted, "127.0.0.1:%u", ntohs(address.sin_port));
    tt_check_eq(tn_listener_address(listener, found, sizeof found), 0);
    tt_check_eq(strcmp(found, wanted), 0);
    tt_check_eq(tn_tcp_connect(NULL, &ends[0], found), 0);
    tt_check_eq(tn_accept(listener, &ends[1]), 0);
    ns_close_pair(ends);
    tn_listener_close(listener);
    tt_check(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void *take_by_name(void *arg)
{
    tn_listener *out[COUNT] = {NULL};

    for (int twice = 0; twice < 2; twice++) {
        tt_check_eq(tn_systemd_listeners(NULL, "admin", out, COUNT), 1);
        check_listener(out[0], FIRST + 1);
        tt_check_eq(tn_systemd_listeners(NULL, "http", out, COUNT), 2);
        check_listener(out[0], FIRST);
        check_listener(out[1], FIRST + 2);
    }
    tt_check_eq(tn_systemd_listeners(NULL, "htt", out, COUNT), 0);
    tt_check_eq(tn_systemd_listeners(NULL, "http", out, 1), TN_EOVERFLOW);
    return arg;
}

static void by_name(void *arg)
{
    tn_options options = tn_options_default();
    tn_runtime *runtime;

    pass_listeners("http:admin:http");
    tt_check_eq(tn_runtime_create(&runtime, &options), 0);
    tt_check_eq(tn_block_on(runtime, take_by_name, arg, NULL), 0);
    tt_check_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, UINT64_MAX), 0);
}

Test(systemd, listeners_have_names)
{
    child_end end = child_run(by_name, NULL);

    cr_assert(child_exited(end, 0), "%s", end.text);
}

static void *take_unnamed(void *arg)
{
    tn_listener *out[COUNT] = {NULL};

    tt_check_eq(tn_systemd_listeners(NULL, "unknown", out, COUNT), COUNT);
    for (int i = 0; i < COUNT; i++)
        check_listener(out[i], FIRST + i);
    tt_check_eq(tn_systemd_listeners(NULL, NULL, out, COUNT), COUNT);
    for (int i = 0; i < COUNT; i++)
        check_listener(out[i], FIRST + i);
    setenv("LISTEN_FDS", "4", 1);
    tt_check(tn_systemd_listeners(NULL, NULL, out, COUNT) < 0);
    setenv("LISTEN_FDS", "3x", 1);
    tt_check_eq(tn_systemd_listeners(NULL, NULL, out, COUNT), TN_EINVAL);
    setenv("LISTEN_PID", "1", 1);
    tt_check_eq(tn_systemd_listeners(NULL, NULL, out, COUNT), 0);
    return arg;
}

static void unnamed(void *arg)
{
    tn_options options = tn_options_default();
    tn_runtime *runtime;

    pass_listeners(NULL);
    tt_check_eq(tn_runtime_create(&runtime, &options), 0);
    tt_check_eq(tn_block_on(runtime, take_unnamed, arg, NULL), 0);
    tt_check_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, UINT64_MAX), 0);
}

Test(systemd, listeners_without_names)
{
    child_end end = child_run(unnamed, NULL);

    cr_assert(child_exited(end, 0), "%s", end.text);
}
