/* SPDX-License-Identifier: MIT */
/* Tests of listeners: their addresses, what they refuse and log, and that they continue when files run out. */
/* ctest: timeout=120 serial */
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "net_support.h"
#include "support/runtime.h"

static char path[64];

static void choose_path(void)
{
    snprintf(path, sizeof path, "/tmp/tn-listener-test-%d", (int)getpid());
}

/* --- What is refused, and what the log says -------------------------------------------------------------------------------- */

static void *taken_port(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    tn_listener *other;
    tn_listen_options options = tn_listen_options_default();

    (void)arg;
    tt_check_eq(tn_tcp_listen(&other, address, NULL), TN_EADDRINUSE);
    tn_listener_close(listener);
    options.reuse_port = true;
    tt_check_eq(tn_tcp_listen(&listener, "127.0.0.1:0", &options), 0);
    tt_check_eq(tn_listener_address(listener, address, sizeof address), 0);
    tt_check_eq(tn_tcp_listen(&other, address, &options), 0);
    tn_listener_close(listener);
    tn_listener_close(other);
    return NULL;
}

Test(listener, taken_port)
{
    ns_log log;

    ns_run_logged(&log, taken_port, NULL);
    cr_assert_eq(log.lines, 1);
    cr_assert_not_null(strstr(log.text, "is in use: choose another port or stop the other server"));
    cr_assert_not_null(strstr(log.text, "address 127.0.0.1:"));
}

static void *bad_addresses(void *arg)
{
    tn_listen_options options = tn_listen_options_default();
    tn_listener *listener;

    (void)arg;
    tt_check_eq(tn_tcp_listen(&listener, "localhost:80", NULL), TN_EINVAL);
    tt_check_eq(tn_tcp_listen(&listener, "::1:80", NULL), TN_EINVAL);
    tt_check_eq(tn_tcp_listen(&listener, "192.0.2.1:8080", NULL), -EADDRNOTAVAIL);
    tt_check_eq(tn_unix_listen(&listener, "", NULL), TN_EINVAL);
    tt_check_eq(tn_unix_listen(&listener, "/no/such/directory/socket", NULL), -ENOENT);
    options.backlog = -1;
    tt_check_eq(tn_tcp_listen(&listener, "127.0.0.1:0", &options), TN_EINVAL);
    return NULL;
}

Test(listener, bad_addresses)
{
    static const char *const hints[] = {
        "names are not resolved",      "brackets", "not one of this machine", "is empty", "directory does not exist",
        "options.backlog is negative",
    };
    ns_log log;

    ns_run_logged(&log, bad_addresses, NULL);
    cr_assert_eq(log.lines, 6);
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        cr_assert_not_null(strstr(log.text, hints[i]), "%s", hints[i]);
}

static void *privileged(void *arg)
{
    tn_listener *listener;

    (void)arg;
    tt_check_eq(setegid(65534), 0);
    tt_check_eq(seteuid(65534), 0);
    tt_check_eq(tn_tcp_listen(&listener, "127.0.0.1:79", NULL), -EACCES);
    tt_check_eq(seteuid(0), 0);
    tt_check_eq(setegid(0), 0);
    tt_check_eq(prctl(PR_SET_DUMPABLE, 1), 0); /* without it the leak checker may not inspect this process */
    return NULL;
}

Test(listener, privileged_port)
{
    char limit[16] = "1024";
    FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");
    ns_log log;

    if (file != NULL && fgets(limit, sizeof limit, file) == NULL)
        limit[0] = '\0';
    if (file != NULL)
        fclose(file);
    if (geteuid() != 0 || strtoul(limit, NULL, 10) <= 79)
        cr_skip_test("needs to be root, and privileged ports");
    ns_run_logged(&log, privileged, NULL);
    cr_assert_not_null(strstr(log.text, "NET_BIND_SERVICE"), "%s", log.text);
}

static void *no_size(void *arg)
{
    tn_listen_options options = {.size = 0};
    tn_listener *listener;

    (void)arg;
    tt_check_eq(tn_tcp_listen(&listener, "127.0.0.1:0", &options), TN_EINVAL);
    return NULL;
}

Test(listener, options_without_a_size)
{
    tt_run(no_size, NULL);
}

/* --- Unix paths ------------------------------------------------------------------------------------------------------------ */

static void *unix_paths(void *arg)
{
    tn_listener *listener;
    tn_listener *other;
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    int fd;

    (void)arg;
    tt_check_eq(tn_unix_listen(&listener, path, NULL), 0);
    tt_check_eq(tn_unix_listen(&other, path, NULL), TN_EADDRINUSE);
    tt_check_eq(access(path, F_OK), 0);
    tn_listener_close(listener);
    tt_check(access(path, F_OK) != 0); /* at once */
    tt_check_eq(tn_unix_listen(&listener, path, NULL), 0);
    tt_check_eq(unlink(path), 0);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* another program's socket, under the same name */
    snprintf(local.sun_path, sizeof local.sun_path, "%s", path);
    tt_check_eq(bind(fd, (struct sockaddr *)&local, sizeof local), 0);
    tn_listener_close(listener);
    tt_check_eq(access(path, F_OK), 0);
    tt_check_eq(unlink(path), 0);
    close(fd);
    tt_check_eq(tn_unix_listen(&listener, path, NULL), 0);
    tt_check_eq(unlink(path), 0);
    tn_listener_close(listener); /* the path is gone: no error */
    return NULL;
}

Test(listener, unix_paths)
{
    ns_log log;

    choose_path();
    ns_run_logged(&log, unix_paths, NULL);
    cr_assert_eq(log.lines, 1);
    cr_assert_not_null(strstr(log.text, "remove the file if that server is gone"));
}

/* --- Both families --------------------------------------------------------------------------------------------------------- */

static void *dual_stack(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    char peer[TN_ADDRESS_SIZE];
    char to[TN_ADDRESS_SIZE];
    tn_listener *listener;
    tn_stream *ends[2];
    const char *port;

    (void)arg;
    tt_check_eq(tn_tcp_listen(&listener, "*:0", NULL), 0);
    tt_check_eq(tn_listener_address(listener, address, sizeof address), 0);
    port = strrchr(address, ':');
    snprintf(to, sizeof to, "127.0.0.1%s", port);
    tt_check_eq(tn_tcp_connect(NULL, &ends[0], to), 0);
    tt_check_eq(tn_accept(listener, &ends[1]), 0);
    tt_check_eq(tn_stream_peer_address(ends[1], peer, sizeof peer), 0);
    tt_check(strncmp(peer, "127.0.0.1:", 10) == 0);
    ns_close_pair(ends);
    if (strncmp(address, "[::]:", 5) == 0) {
        snprintf(to, sizeof to, "[::1]%s", port);
        tt_check_eq(tn_tcp_connect(NULL, &ends[0], to), 0);
        tt_check_eq(tn_accept(listener, &ends[1]), 0);
        tt_check_eq(tn_stream_peer_address(ends[1], peer, sizeof peer), 0);
        tt_check(strncmp(peer, "[::1]:", 6) == 0);
        ns_close_pair(ends);
    }
    tn_listener_close(listener);
    return NULL;
}

Test(listener, dual_stack)
{
    tt_run(dual_stack, NULL);
}

static void *ipv6_only(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    char to[TN_ADDRESS_SIZE];
    tn_listen_options options = tn_listen_options_default();
    tn_listener *listener;
    tn_stream *stream;

    (void)arg;
    options.ipv6_only = true;
    if (tn_tcp_listen(&listener, "[::]:0", &options) != 0)
        return NULL; /* no IPv6 on this machine */
    tt_check_eq(tn_listener_address(listener, address, sizeof address), 0);
    snprintf(to, sizeof to, "127.0.0.1%s", strrchr(address, ':'));
    tt_check_eq(tn_tcp_connect(NULL, &stream, to), TN_ECONNREFUSED);
    tn_listener_close(listener);
    return NULL;
}

Test(listener, ipv6_only)
{
    tt_run(ipv6_only, NULL);
}

/* --- Accepting ------------------------------------------------------------------------------------------------------------- */

static void *try_accept(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    tn_stream *ends[2];

    (void)arg;
    tt_check_eq(tn_try_accept(listener, &ends[1]), TN_EAGAIN);
    tt_check_eq(tn_tcp_connect(NULL, &ends[0], address), 0);
    tt_check_eq(tn_try_accept(listener, &ends[1]), 0);
    ns_close_pair(ends);
    tt_check_eq(tn_try_accept(listener, &ends[1]), TN_EAGAIN);
    tn_listener_close(listener);
    return NULL;
}

Test(listener, try_accept)
{
    tt_run(try_accept, NULL);
}

/* A cancelled accept has taken no connection: the next connection goes to the next accept. */
static void *accept_and_close(void *arg)
{
    tn_stream *stream;
    int rc = tn_accept(arg, &stream);

    if (rc == 0)
        tn_stream_close(stream);
    return (void *)(intptr_t)rc;
}

static void *cancelled_accept(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);

    (void)arg;
    for (unsigned i = 0; i < ns_scaled(200); i++) {
        tn_task *task = tt_spawn(accept_and_close, listener);
        tn_stream *ends[2];
        intptr_t rc;

        (void)tn_yield();
        tt_check_eq(tn_tcp_connect(NULL, &ends[0], address), 0);
        tn_cancel(task);
        rc = (intptr_t)tt_join(task);
        tt_check(rc == 0 || rc == TN_ECANCELED);
        if (rc == TN_ECANCELED) {
            tt_check_eq(tn_accept(listener, &ends[1]), 0);
            tn_stream_close(ends[1]);
        }
        tn_stream_close(ends[0]);
    }
    tn_listener_close(listener);
    return NULL;
}

Test(listener, cancelled_accept_loses_nothing)
{
    tt_run(cancelled_accept, NULL);
}

/* --- Out of files ---------------------------------------------------------------------------------------------------------- */

static uint64_t cpu_ns(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * TN_S +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

static rlim_t set_file_limit(rlim_t limit)
{
    struct rlimit files;
    rlim_t before;

    tt_check_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    before = files.rlim_cur;
    files.rlim_cur = limit;
    tt_check_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    return before;
}

static void *serve(void *arg)
{
    tn_listener *listener = arg;
    tn_stream *stream;
    intptr_t rc;

    while ((rc = tn_accept(listener, &stream)) == 0)
        tt_check_eq(tn_spawn(NULL, ns_echo, stream), 0);
    return (void *)rc;
}

static void exchange_byte(tn_stream *stream)
{
    char byte = 'a';

    tt_check_eq(tn_write(stream, &byte, 1), 1);
    tt_check_eq(tn_read(stream, &byte, 1), 1);
    tt_check_eq(byte, 'a');
}

#define WAITING 5

/* Sockets that exist before files run out, and are connected later. */
typedef struct {
    int fds[WAITING];
    struct sockaddr_in server;
} prepared;

static prepared prepare(const char *address)
{
    prepared sockets = {.server = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};

    sockets.server.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
    for (int i = 0; i < WAITING; i++)
        tt_check((sockets.fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
    return sockets;
}

/* On loopback the kernel completes the connection without the server. */
static tn_stream *connect_prepared(const prepared *sockets, int i)
{
    tt_check_eq(connect(sockets->fds[i], (const struct sockaddr *)&sockets->server, sizeof sockets->server), 0);
    return ns_open(sockets->fds[i]);
}

/* Connections wait in the backlog, because the limit of files allows no more. The served connection continues, and no thread
 * spins. */
static void *out_of_files(void *arg)
{
    ns_log *log = arg;
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    tn_stream *served;
    tn_stream *waiting[WAITING];
    tn_task *server = tt_spawn(serve, listener);
    prepared sockets = prepare(address);
    rlim_t before;
    uint64_t cpu;

    tt_check_eq(tn_tcp_connect(NULL, &served, address), 0);
    exchange_byte(served);
    before = set_file_limit(0); /* the limit is the number of open files */
    for (int i = 0; i < WAITING; i++) {
        waiting[i] = connect_prepared(&sockets, i);
        exchange_byte(served);
    }
    tt_check_eq(tn_sleep(300 * TN_MS), 0);
    cpu = cpu_ns();
    for (int i = 0; i < 10; i++) {
        exchange_byte(served);
        tt_check_eq(tn_sleep(100 * TN_MS), 0);
    }
    cpu = cpu_ns() - cpu;
    tt_check(cpu < TN_S / 10 * (TT_SANITIZED ? 5 : 1));
    tt_check_eq(__atomic_load_n(&log->lines, __ATOMIC_RELAXED), 1);
    set_file_limit(before);
    for (int i = 0; i < WAITING; i++) {
        exchange_byte(waiting[i]);
        tn_stream_close(waiting[i]);
    }
    tt_check_eq(tn_tcp_connect(NULL, &waiting[0], address), 0);
    exchange_byte(waiting[0]);
    tn_stream_close(waiting[0]);
    tn_stream_close(served);
    tt_check_eq(__atomic_load_n(&log->lines, __ATOMIC_RELAXED), 1);
    tn_listener_close(listener);
    tt_check_eq((intptr_t)tt_join(server), TN_EBADF);
    return NULL;
}

Test(listener, out_of_files)
{
    ns_log log;

    ns_run_logged(&log, out_of_files, &log);
    cr_assert_not_null(strstr(log.text, "ulimit -n"), "%s", log.text);
}

/* The pause ends at once when the listener is closed or the task is cancelled. */
static void *pause_ends(void *arg)
{
    for (int close = 0; close < 2; close++) {
        char address[TN_ADDRESS_SIZE];
        tn_listener *listener = ns_listen(address);
        tn_task *server = tt_spawn(serve, listener);
        prepared sockets = prepare(address);
        tn_stream *streams[WAITING];
        rlim_t before;
        uint64_t began;

        ns_settle();
        before = set_file_limit(0);
        for (int i = 0; i < WAITING; i++)
            streams[i] = connect_prepared(&sockets, i);
        (void)tn_sleep(1300 * TN_MS); /* by now each pause lasts a second */
        began = tn_now();
        if (close)
            tn_listener_close(tn_listener_retain(listener));
        else
            tn_cancel(server);
        tt_check_eq((intptr_t)tt_join(server), close ? TN_EBADF : TN_ECANCELED);
        tt_check(tn_now() - began < 500 * TN_MS); /* before the pause ends */
        set_file_limit(before);
        tn_listener_release(listener);
        for (int i = 0; i < WAITING; i++)
            tn_stream_close(streams[i]);
    }
    (void)arg;
    return NULL;
}

Test(listener, pause_ends)
{
    ns_log log;

    ns_run_logged(&log, pause_ends, NULL);
}

/* tn_try_accept reports the shortage instead of pausing. */
static void *try_accept_out_of_files(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    tn_stream *ends[2];
    rlim_t before;

    (void)arg;
    tt_check_eq(tn_tcp_connect(NULL, &ends[0], address), 0);
    before = set_file_limit(0);
    tt_check_eq(tn_try_accept(listener, &ends[1]), TN_EMFILE);
    set_file_limit(before);
    tt_check_eq(tn_try_accept(listener, &ends[1]), 0);
    ns_close_pair(ends);
    tn_listener_close(listener);
    return NULL;
}

Test(listener, try_accept_out_of_files)
{
    tt_run(try_accept_out_of_files, NULL);
}

/* --- Many ------------------------------------------------------------------------------------------------------------------ */

#define MANY 8000

static void *many(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    unsigned long count = ns_scaled(MANY);
    tn_stream **streams = calloc(count, sizeof(tn_stream *));
    tn_task *server = tt_spawn(serve, listener);

    (void)arg;
    for (unsigned long i = 0; i < count; i++)
        tt_check_eq(tn_tcp_connect(NULL, &streams[i], address), 0);
    for (int round = 0; round < 3; round++) {
        for (unsigned long i = 0; i < count; i++)
            tt_check_eq(tn_write(streams[i], &(char){(char)(i % 97)}, 1), 1);
        for (unsigned long i = 0; i < count; i++) {
            char byte;
            tt_check_eq(tn_read(streams[i], &byte, 1), 1);
            tt_check_eq(byte, i % 97);
        }
    }
    for (unsigned long i = 0; i < count; i++)
        tn_stream_close(streams[i]);
    free(streams);
    tn_listener_close(listener);
    tt_check_eq((intptr_t)tt_join(server), TN_EBADF);
    return NULL;
}

Test(listener, many_connections_held_and_served)
{
    struct rlimit files;
    unsigned before = ns_files_of_no_runtime();

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < 2 * MANY + 100)
        cr_skip_test("the limit of open files is %lu, %d are needed", (unsigned long)files.rlim_cur, 2 * MANY + 100);
    tt_run(many, NULL);
    cr_assert_eq(tt_files(), before);
}
