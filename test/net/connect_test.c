/* SPDX-License-Identifier: MIT */
/* Tests of connecting: failures, waits and cancellation. Every other test of net covers success. */
/* ctest: timeout=60 */
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/un.h>

#include "net_support.h"
#include "support/runtime.h"

static void *refused(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    tn_stream *stream = NULL;
    unsigned before;

    (void)arg;
    tn_listener_close(listener);
    tt_check_eq(tn_sleep(20 * TN_MS), 0);
    before = tt_files();
    for (int i = 0; i < 100; i++)
        tt_check_eq(tn_tcp_connect(NULL, &stream, address), TN_ECONNREFUSED);
    tt_check(stream == NULL);
    tt_check_eq(ns_files_become(before), before);
    return NULL;
}

Test(connect, refused)
{
    tt_run(refused, NULL);
}

static void *bad_addresses(void *arg)
{
    char long_path[300];
    tn_stream *stream;

    (void)arg;
    memset(long_path, 'p', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    tt_check_eq(tn_tcp_connect(NULL, &stream, "local host:80"), TN_EINVAL);
    tt_check_eq(tn_tcp_connect(NULL, &stream, "127.0.0.1:0"), TN_EINVAL);
    tt_check_eq(tn_tcp_connect(NULL, &stream, "*:80"), TN_EINVAL);
    tt_check_eq(tn_unix_connect(NULL, &stream, ""), TN_EINVAL);
    tt_check_eq(tn_unix_connect(NULL, &stream, long_path), TN_EINVAL);
    tt_check_eq(tn_unix_connect(NULL, &stream, "/no/such/socket"), -ENOENT);
    tt_check_eq(tn_unix_connect(NULL, &stream, "@tn-no-such-socket"), TN_ECONNREFUSED);
    return NULL;
}

Test(connect, bad_addresses)
{
    ns_log log;

    ns_run_logged(&log, bad_addresses, NULL);
    cr_assert_eq(log.lines, 5);
}

/* --- A connection to itself ------------------------------------------------------------------------------------------------ */

#define ONLY_PORT "40001"
#define ONLY_PORT_NUMBER 40001

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");

    tt_check(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* Creates a network namespace in which every socket gets the same port. */
static bool enter_tiny_network(void)
{
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd;

    if (unshare(CLONE_NEWNET) != 0)
        return false;
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    tt_check_eq(ioctl(fd, SIOCSIFFLAGS, &loopback), 0);
    close(fd);
    write_file("/proc/sys/net/ipv4/ip_local_port_range", ONLY_PORT " " ONLY_PORT);
    return true;
}

/* Checks that the network is as the test needs it: without the library's check, a socket connects to itself. */
static void check_that_it_happens(void)
{
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    local.sin_port = htons(ONLY_PORT_NUMBER);
    tt_check_eq(connect(fd, (struct sockaddr *)&local, sizeof local), 0);
    tt_check_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    close(fd);
}

static void *itself(void *arg)
{
    tn_stream *stream = NULL;

    (void)arg;
    tt_check_eq(tn_tcp_connect(NULL, &stream, "127.0.0.1:" ONLY_PORT), TN_ECONNREFUSED);
    tt_check(stream == NULL);
    return NULL;
}

Test(connect, never_to_itself)
{
    if (!enter_tiny_network())
        cr_skip_test("may not make a network of its own");
    check_that_it_happens();
    tt_run(itself, NULL);
}

/* --- Full backlogs --------------------------------------------------------------------------------------------------------- */

static int full_unix_listener(const char *name, int *filler)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(local.sun_path, name, strlen(name));
    local.sun_path[0] = '\0';
    tt_check_eq(bind(fd, (struct sockaddr *)&local, length), 0);
    tt_check_eq(listen(fd, 0), 0);
    *filler = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tt_check_eq(connect(*filler, (struct sockaddr *)&local, length), 0);
    return fd;
}

static void *connect_unix(void *arg)
{
    tn_stream *stream;
    int rc = tn_unix_connect(NULL, &stream, arg);

    if (rc == 0)
        tn_stream_close(stream);
    return (void *)(intptr_t)rc;
}

static void *full_unix(void *arg)
{
    char name[64];
    tn_task *task;
    int filler;
    int accepted;
    int fd;

    (void)arg;
    snprintf(name, sizeof name, "@tn-connect-test-%d", (int)getpid());
    fd = full_unix_listener(name, &filler);
    task = tt_spawn(connect_unix, name);
    tt_check_eq(tn_sleep(120 * TN_MS), 0);
    tt_check(!tn_task_is_finished(task));
    tn_cancel(task);
    tt_check_eq((intptr_t)tt_join(task), TN_ECANCELED);
    task = tt_spawn(connect_unix, name);
    tt_check_eq(tn_sleep(120 * TN_MS), 0);
    tt_check(!tn_task_is_finished(task));
    accepted = accept(fd, NULL, NULL);
    tt_check_eq((intptr_t)tt_join(task), 0);
    close(accepted);
    close(filler);
    close(fd);
    return NULL;
}

Test(connect, full_unix_backlog)
{
    tt_run(full_unix, NULL);
}

static void *connect_tcp(void *arg)
{
    tn_stream *stream;
    int rc = tn_tcp_connect(NULL, &stream, arg);

    if (rc == 0)
        tn_stream_close(stream);
    return (void *)(intptr_t)rc;
}

/* With a full backlog a connect waits. It can be cancelled, and then its file is closed. */
static void *cancelled_tcp(void *arg)
{
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof local;
    char address[TN_ADDRESS_SIZE];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tn_task *tasks[8];
    unsigned before;
    int waiting = 0;

    (void)arg;
    tt_check_eq(bind(fd, (struct sockaddr *)&local, length), 0);
    tt_check_eq(listen(fd, 0), 0);
    tt_check_eq(getsockname(fd, (struct sockaddr *)&local, &length), 0);
    snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(local.sin_port));
    tt_check_eq(tn_sleep(TN_MS), 0);
    before = tt_files();
    for (int i = 0; i < 8; i++)
        tasks[i] = tt_spawn(connect_tcp, address);
    tt_check_eq(tn_sleep(100 * TN_MS), 0);
    for (int i = 0; i < 8; i++) {
        waiting += !tn_task_is_finished(tasks[i]);
        tn_cancel(tasks[i]);
    }
    tt_check(waiting > 0);
    for (int i = 0; i < 8; i++) {
        intptr_t rc = (intptr_t)tt_join(tasks[i]);
        tt_check(rc == 0 || rc == TN_ECANCELED);
        waiting -= rc == TN_ECANCELED;
    }
    tt_check_eq(waiting, 0);
    tt_check_eq(ns_files_become(before), before);
    close(fd);
    return NULL;
}

Test(connect, cancelled_tcp)
{
    tt_run(cancelled_tcp, NULL);
}
