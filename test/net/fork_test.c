/* SPDX-License-Identifier: MIT */
/* Children of fork without exec that use inherited streams and listeners: the parent's sockets stay armed, and waits fail in the
 * child at once. */
/* ctest: timeout=120 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tn.h>

#include "support/runtime.h"
#include "support/sanitizers.h"

/* A child that hangs is ended by SIGALRM. */
#define CHILD_SECONDS 20

/* In a child: ends it with the number of the line if `cond` is false. */
#define need(cond) \
    do { \
        if (!(cond)) \
            _exit(__LINE__ % 200 + 1); \
    } while (0)

typedef struct {
    tn_stream *waiting; /* a task of the parent waits for it */
    tn_stream *unused;  /* no task has waited for it yet */
    tn_listener *listener;
    int ends[2]; /* the peers */
    char got;
} sockets;

static int fork_and_wait(void (*in_child)(sockets *s), sockets *s)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        (void)alarm(CHILD_SECONDS);
        in_child(s);
        _exit(0);
    }
    tt_check(child > 0 && waitpid(child, &status, 0) == child);
    if (status != 0)
        (void)fprintf(stderr, "a child ended with status 0x%x\n", (unsigned)status);
    return status;
}

static void *read_one(void *arg)
{
    sockets *s = arg;

    tt_check(tn_read(s->waiting, &s->got, 1) == 1);
    return NULL;
}

static void *accept_one(void *arg)
{
    sockets *s = arg;
    tn_stream *stream;

    tt_check(tn_accept(s->listener, &stream) == 0);
    tn_stream_close(stream);
    return NULL;
}

static void close_all(sockets *s)
{
    tn_stream_close(s->waiting);
    tn_stream_close(s->unused);
    tn_listener_close(s->listener);
    need(tn_sleep(20 * TN_MS) == 0);
}

static void use_all(sockets *s)
{
    tn_stream *stream;
    char byte;

    need(tn_read(s->waiting, &byte, 1) == TN_EBUSY); /* the parent's reader is in the copy too */
    need(tn_read(s->unused, &byte, 1) == TN_ESHUTDOWN);
    need(tn_write(s->unused, "c", 1) == 1);
    need(tn_accept(s->listener, &stream) == TN_EBUSY);
    close_all(s);
}

static tn_stream *open_pair(int *peer)
{
    tn_stream *stream;
    int ends[2];

    tt_check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    tt_check(tn_stream_open(NULL, &stream, ends[0]) == 0);
    *peer = ends[1];
    return stream;
}

/* The reader and the accepter of the parent wait meanwhile. */
static void *fork_meanwhile(void *arg)
{
    void (*in_child)(sockets *) = *(void (**)(sockets *))arg;
    char address[TN_ADDRESS_SIZE];
    tn_stream *client;
    sockets s = {.got = 0};
    tn_task *reader;
    tn_task *accepter;
    char byte = 0;

    s.waiting = open_pair(&s.ends[0]);
    s.unused = open_pair(&s.ends[1]);
    tt_check(tn_tcp_listen(&s.listener, "127.0.0.1:0", NULL) == 0);
    tt_check(tn_listener_address(s.listener, address, sizeof address) == 0);
    reader = tt_spawn(read_one, &s);
    accepter = tt_spawn(accept_one, &s);
    tt_check(tn_sleep(20 * TN_MS) == 0);
    tt_check(fork_and_wait(in_child, &s) == 0);
    if (in_child == use_all)
        tt_check(read(s.ends[1], &byte, 1) == 1 && byte == 'c');
    tt_check(write(s.ends[0], "x", 1) == 1 && write(s.ends[1], "y", 1) == 1);
    tt_join(reader);
    tt_check(s.got == 'x' && tn_read(s.unused, &byte, 1) == 1 && byte == 'y');
    tt_check(tn_tcp_connect(NULL, &client, address) == 0);
    tt_join(accepter);
    tn_stream_close(client);
    tn_stream_close(s.waiting);
    tn_stream_close(s.unused);
    tn_listener_close(s.listener);
    close(s.ends[0]);
    close(s.ends[1]);
    return NULL;
}

static void in_a_runtime(void (*in_child)(sockets *))
{
    tn_runtime *runtime = tt_runtime_create();

    for (int i = 0; i < 5; i++)
        tt_join(tt_spawn_on(runtime, fork_meanwhile, &in_child));
    tt_runtime_destroy(runtime);
}

Test(fork, a_close_in_the_child_changes_nothing_for_the_parent)
{
    if (TT_TSAN)
        cr_skip_test("a child of a sanitized process with threads may hang in its locks");
    in_a_runtime(close_all);
}

Test(fork, waits_fail_in_the_child)
{
    if (TT_TSAN)
        cr_skip_test("a child of a sanitized process with threads may hang in its locks");
    in_a_runtime(use_all);
}

/* --- SO_LINGER -------------------------------------------------------------------------------------------------------------- */

static void close_lingering(sockets *s)
{
    tn_stream_close(s->unused);
}

static void *fork_beside_lingering(void *arg)
{
    struct linger linger = {1, 5};
    socklen_t length = sizeof linger;
    sockets s = {.got = 0};
    int ends[2];

    tt_check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    tt_check(setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    tt_check(tn_stream_open(NULL, &s.unused, ends[0]) == 0);
    tt_check(fork_and_wait(close_lingering, &s) == 0);
    tt_check(getsockopt(ends[0], SOL_SOCKET, SO_LINGER, &linger, &length) == 0);
    tt_check(linger.l_onoff && linger.l_linger == 5);
    tn_stream_close(s.unused);
    close(ends[1]);
    return arg;
}

Test(fork, a_close_in_the_child_leaves_the_options_of_the_socket)
{
    if (TT_TSAN)
        cr_skip_test("a child of a sanitized process with threads may hang in its locks");
    tt_run(fork_beside_lingering, NULL);
}

/* --- A runtime of the child ------------------------------------------------------------------------------------------------- */

static void *serve_in_child(void *arg)
{
    sockets s;

    s.waiting = open_pair(&s.ends[0]);
    need(write(s.ends[0], "x", 1) == 1);
    read_one(&s);
    need(s.got == 'x');
    return arg;
}

static void run_own_runtime(sockets *s)
{
    (void)s;
    need(tn_run(serve_in_child, NULL, NULL) == 0);
}

/* ThreadSanitizer lets no child of a process with threads start a thread. */
Test(fork, sockets_of_a_runtime_of_the_child, .disabled = TT_TSAN)
{
    in_a_runtime(run_own_runtime);
}
