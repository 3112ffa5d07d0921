/* SPDX-License-Identifier: MIT */
/* A fiber waits on a stream or listener of another runtime, and its own runtime abandons it: the operation ends. So others may
 * read and write, and a close completes. */
/* ctest: timeout=120 */
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <tn.h>

#include "sched/run.h"
#include "support/abandoned.h"

static void *never(void)
{
    tt_check(false);
    return NULL;
}

static void ignore(void *ctx, tn_log_level level, const char *message)
{
    (void)ctx, (void)level, (void)message;
}

/* The runtime that owns the stream or listener, and stays. */
static tn_runtime *create(void)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.log = ignore;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    return runtime;
}

typedef struct {
    tn_runtime *runtime;
    tn_stream *stream;
    int peer;
    unsigned files; /* open before */
} connection;

/* Does not count the files that the first runtime of the process opens for all. */
static unsigned files_before(void)
{
    tt_runtime_destroy(create());
    return tt_files();
}

static connection connection_open(void)
{
    connection c = {.files = files_before()};
    int fds[2];

    c.runtime = create();
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(tn_stream_open(c.runtime, &c.stream, fds[0]), 0);
    c.peer = fds[1];
    return c;
}

static bool has_files_of_before(void *arg)
{
    return tt_files() == *(const unsigned *)arg;
}

/* The runtime that abandoned the fiber may still be closing its own files. */
static void check_files(unsigned before)
{
    cr_assert(tt_wait_until(has_files_of_before, &before, 20 * TN_S));
}

static void connection_close(const connection *c)
{
    tn_stream_close(c->stream);
    close(c->peer);
    tt_runtime_destroy(c->runtime);
    check_files(c->files);
}

static bool is_queued(void *arg)
{
    return tni_a64_load(&((tn_task *)arg)->state, TNI_ACQUIRE) & TNI_TASK_ACTIVE;
}

/* --- Reading ---------------------------------------------------------------------------------------------------------------- */

static void *read_one(void *arg)
{
    char byte;

    (void)tn_read(arg, &byte, 1);
    return never();
}

static void *wait_one(void *arg)
{
    (void)tn_wait_readable(arg);
    return never();
}

static void *await_ready(void *arg)
{
    tn_ready_future future;

    tn_ready_init(&future, arg, TN_READABLE);
    (void)tn_await(&future.base);
    return never();
}

static void abandon_reader(tn_entry_fn entry, bool woken)
{
    connection c = connection_open();
    tt_abandoned left;
    char byte = 'a';

    tt_abandon_begin(&left, entry, c.stream);
    cr_assert_eq(tn_try_read(c.stream, &byte, 1), TN_EBUSY);
    if (woken) {
        cr_assert_eq(write(c.peer, &byte, 1), 1);
        cr_assert(tt_wait_until(is_queued, left.fiber, 20 * TN_S));
    }
    tt_abandon_end(&left);
    if (!woken) {
        cr_assert_eq(tn_try_read(c.stream, &byte, 1), TN_EAGAIN);
        cr_assert_eq(write(c.peer, &byte, 1), 1);
    }
    cr_assert_eq(tn_read(c.stream, &byte, 1), 1);
    connection_close(&c);
}

Test(abandoned, readers)
{
    static const tn_entry_fn entries[] = {read_one, wait_one, await_ready};

    for (int i = 0; i < 6; i++)
        abandon_reader(entries[i % 3], i >= 3);
}

static bool is_closed(void *arg)
{
    const connection *c = arg;

    return recv(c->peer, &(char){0}, 1, MSG_DONTWAIT) == 0;
}

/* The reader keeps a stream open that is being closed, until the reader is abandoned. */
Test(abandoned, reader_of_a_closed_stream)
{
    connection c = connection_open();
    tt_abandoned left;

    tt_abandon_begin(&left, read_one, c.stream);
    tn_stream_close(tn_stream_retain(c.stream));
    cr_assert(!is_closed(&c));
    tt_abandon_end(&left);
    cr_assert(tt_wait_until(is_closed, &c, 20 * TN_S));
    tn_stream_release(c.stream);
    close(c.peer);
    tt_runtime_destroy(c.runtime);
    check_files(c.files);
}

/* --- Writing ---------------------------------------------------------------------------------------------------------------- */

static char much[4 << 20];

static void *write_some(void *arg)
{
    (void)tn_write(arg, much, sizeof much);
    return never();
}

static void *write_all(void *arg)
{
    (void)tn_write_all(arg, much, sizeof much);
    return never();
}

/* Its budget is used up between the first part and the second. */
static void *write_in_parts(void *arg)
{
    tn_self()->budget = 2;
    (void)tn_write_all(arg, much, sizeof much);
    return never();
}

static bool yields_in_wait(const tn_task *fiber)
{
    return fiber->body.fiber.context.sp != NULL && fiber->run_result == TNI_RUN_YIELDED_IN_WAIT;
}

static void fill(const connection *c)
{
    while (tn_try_write(c->stream, much, sizeof much) > 0)
        ;
}

static void drain(const connection *c)
{
    static char read_into[1 << 16];

    while (recv(c->peer, read_into, sizeof read_into, MSG_DONTWAIT) > 0)
        ;
}

static void check_writer_has_left(const connection *c, tt_abandoned *left)
{
    cr_assert_eq(tn_try_write(c->stream, much, 1), TN_EBUSY);
    tt_abandon_end(left);
    drain(c);
    cr_assert_eq(tn_write(c->stream, much, 1), 1);
    connection_close(c);
}

Test(abandoned, writers)
{
    static const tn_entry_fn entries[] = {write_some, write_all};

    for (int i = 0; i < 2; i++) {
        connection c = connection_open();
        tt_abandoned left;

        fill(&c);
        tt_abandon_begin(&left, entries[i], c.stream);
        check_writer_has_left(&c, &left);
    }
}

Test(abandoned, writer_between_two_parts)
{
    connection c = connection_open();
    tt_abandoned left;

    tt_abandon_begin_when(&left, write_in_parts, c.stream, yields_in_wait);
    check_writer_has_left(&c, &left);
}

/* --- From a file ------------------------------------------------------------------------------------------------------------ */

typedef struct {
    connection c;
    tn_file *file;
} sending;

static void *send_file(void *arg)
{
    sending *s = arg;

    (void)tn_sendfile(s->c.stream, s->file, 0, sizeof much);
    return never();
}

static sending sending_open(void)
{
    char path[] = "/tmp/tn-abandoned-XXXXXX";
    sending s = {.c = connection_open()};
    int fd = mkstemp(path);

    cr_assert(fd >= 0);
    cr_assert_eq(ftruncate(fd, sizeof much), 0);
    cr_assert_eq(tn_file_open(&s.file, path, 0, 0), 0);
    close(fd);
    unlink(path);
    return s;
}

Test(abandoned, writer_of_a_file)
{
    sending s = sending_open();
    tt_abandoned left;

    fill(&s.c);
    tt_abandon_begin(&left, send_file, &s);
    cr_assert_eq(tn_try_write(s.c.stream, much, 1), TN_EBUSY);
    tt_abandon_end(&left);
    drain(&s.c);
    tn_file_close(s.file);
    cr_assert_eq(tn_write(s.c.stream, much, 1), 1);
    connection_close(&s.c);
}

static tt_gate begun = TT_GATE_INIT;
static tt_gate go_on = TT_GATE_INIT;
static atomic_bool holds_up;

/* Replaces the C library's function. */
ssize_t sendfile(int to, int from, off_t *offset, size_t size)
{
    if (atomic_load(&holds_up)) {
        tt_gate_open(&begun);
        tt_gate_wait(&go_on, 1);
    }
    return syscall(SYS_sendfile, to, from, offset, size);
}

/* The pool's thread returns last, and drops the waits. Until then no other task may write. */
Test(abandoned, writer_of_a_file_in_the_pool)
{
    sending s = sending_open();
    tn_runtime *runtime = create();
    tn_task *fiber;

    atomic_store(&holds_up, true);
    fiber = tt_spawn_on(runtime, send_file, &s);
    tt_gate_wait(&begun, 1);
    cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_WAIT, 0), 2); /* the fiber and its job */
    cr_assert_eq(tn_try_write(s.c.stream, much, 1), TN_EBUSY);
    tt_gate_open(&go_on);
    cr_assert_eq(tn_join(fiber, NULL), TN_ESHUTDOWN);
    atomic_store(&holds_up, false);
    drain(&s.c);
    tn_file_close(s.file);
    cr_assert_eq(tn_write(s.c.stream, much, 1), 1);
    connection_close(&s.c);
}

/* --- Accepting -------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_runtime *runtime;
    tn_listener *listener;
    char address[TN_ADDRESS_SIZE];
    unsigned files; /* open before */
} house;

static house house_open(void)
{
    tn_listen_options options = tn_listen_options_default();
    house h = {.files = files_before()};

    h.runtime = create();
    options.runtime = h.runtime;
    cr_assert_eq(tn_tcp_listen(&h.listener, "127.0.0.1:0", &options), 0);
    cr_assert_eq(tn_listener_address(h.listener, h.address, sizeof h.address), 0);
    return h;
}

static void accept_and_close(house *h)
{
    tn_stream *ends[2];

    cr_assert_eq(tn_tcp_connect(h->runtime, &ends[0], h->address), 0);
    cr_assert_eq(tn_accept(h->listener, &ends[1]), 0);
    tn_stream_close(ends[0]);
    tn_stream_close(ends[1]);
    tn_listener_close(h->listener);
    tt_runtime_destroy(h->runtime);
    check_files(h->files);
}

static void *accept_one(void *arg)
{
    tn_stream *stream;

    (void)tn_accept(arg, &stream);
    return never();
}

Test(abandoned, in_accept)
{
    house h = house_open();
    tt_abandoned left;
    tn_stream *stream;

    tt_abandon_begin(&left, accept_one, h.listener);
    cr_assert_eq(tn_try_accept(h.listener, &stream), TN_EBUSY);
    tt_abandon_end(&left);
    cr_assert_eq(tn_try_accept(h.listener, &stream), TN_EAGAIN);
    accept_and_close(&h);
}

static void limit_files(rlim_t count)
{
    struct rlimit limit;

    tt_check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = count != 0 ? count : limit.rlim_max;
    tt_check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* Out of files, the accept pauses. */
static void *accept_without_files(void *arg)
{
    limit_files(3);
    return accept_one(arg);
}

Test(abandoned, in_the_pause_of_an_accept)
{
    house h = house_open();
    tt_abandoned left;
    tn_stream *peer;
    tn_stream *stream;

    cr_assert_eq(tn_tcp_connect(h.runtime, &peer, h.address), 0);
    tt_abandon_begin(&left, accept_without_files, h.listener);
    limit_files(0);
    cr_assert_eq(tn_try_accept(h.listener, &stream), TN_EBUSY);
    tt_abandon_end(&left);
    cr_assert_eq(tn_accept(h.listener, &stream), 0);
    tn_stream_close(stream);
    tn_stream_close(peer);
    accept_and_close(&h);
}

/* --- Connecting ------------------------------------------------------------------------------------------------------------- */

enum { CALLERS = 4 };

/* A listener whose owner accepts no connection, and whose backlog is full. */
typedef struct {
    tn_runtime *runtime;
    char address[TN_ADDRESS_SIZE];
    int listener;
    int callers[CALLERS];
    unsigned files; /* open when it was created */
} full_house;

static void full_house_open(full_house *h, struct sockaddr *local, socklen_t size)
{
    socklen_t length = size;

    h->runtime = create();
    h->listener = socket(local->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(h->listener, local, size), 0);
    cr_assert_eq(listen(h->listener, 0), 0);
    cr_assert_eq(getsockname(h->listener, local, &length), 0);
    for (int i = 0; i < CALLERS; i++) {
        h->callers[i] = socket(local->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(h->callers[i], local, length);
    }
    h->files = tt_files();
}

static void full_house_close(full_house *h)
{
    check_files(h->files);
    close(h->listener);
    for (int i = 0; i < CALLERS; i++)
        close(h->callers[i]);
    tt_runtime_destroy(h->runtime);
}

static void *connect_tcp(void *arg)
{
    full_house *h = arg;
    tn_stream *stream;

    (void)tn_tcp_connect(h->runtime, &stream, h->address);
    return never();
}

static void *connect_unix(void *arg)
{
    full_house *h = arg;
    tn_stream *stream;

    (void)tn_unix_connect(h->runtime, &stream, h->address);
    return never();
}

Test(abandoned, in_a_tcp_connect)
{
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    tt_abandoned left;
    full_house h;

    full_house_open(&h, (struct sockaddr *)&local, sizeof local);
    snprintf(h.address, sizeof h.address, "127.0.0.1:%u", ntohs(local.sin_port));
    tt_abandon_begin(&left, connect_tcp, &h);
    tt_abandon_end(&left);
    full_house_close(&h);
}

Test(abandoned, in_a_unix_connect)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    tt_abandoned left;
    full_house h;

    snprintf(local.sun_path, sizeof local.sun_path, "/tmp/tn-abandoned-%d", (int)getpid());
    memcpy(h.address, local.sun_path, sizeof local.sun_path);
    full_house_open(&h, (struct sockaddr *)&local, sizeof local);
    tt_abandon_begin(&left, connect_unix, &h);
    tt_abandon_end(&left);
    unlink(h.address);
    full_house_close(&h);
}
