/* SPDX-License-Identifier: MIT */
/* Futures that accept, read and write: results, drops that lose nothing, close beside them, select and race, budget. */
/* ctest: timeout=120 */
#include <sys/resource.h>

#include <tn.h>

#include "net_flow.h"
#include "support/abandoned.h"
#include "sync/sync_support.h"
#include "task/task.h"

enum { MUCH = 4 << 20 };

static char much[MUCH];

/* --- One future ------------------------------------------------------------------------------------------------------------ */

static void *reads_and_writes(void *arg)
{
    tn_read_future in;
    tn_write_future out;
    tn_stream *ends[2];
    char buf[8] = {0};

    ns_tcp_pair(ends);
    tn_write_init(&out, ends[0], "abc", 3);
    tt_check_eq(tn_await(&out.base), 3);
    tt_check_eq(out.done, 3);
    tn_read_init(&in, ends[1], buf, sizeof buf);
    tt_check_eq(tn_await(&in.base), 3);
    tt_check(memcmp(buf, "abc", 3) == 0);
    tn_read_init(&in, ends[1], buf, 0);
    tt_check_eq(tn_await(&in.base), 0);
    tn_write_init(&out, ends[0], NULL, 0);
    tt_check_eq(tn_await(&out.base), 0);
    tn_write_all_init(&out, ends[0], NULL, 0);
    tt_check_eq(tn_await(&out.base), 0);
    tt_check_eq(tn_stream_shutdown_write(ends[0]), 0);
    tn_read_init(&in, ends[1], buf, sizeof buf);
    tt_check_eq(tn_await(&in.base), 0); /* the end */
    tn_write_init(&out, ends[0], "d", 1);
    tt_check_eq(tn_await(&out.base), TN_EPIPE);
    tt_check_eq(out.done, 0);
    ns_close_pair(ends);
    return arg;
}

Test(stream_future, reads_and_writes)
{
    tt_run(reads_and_writes, NULL);
}

/* Nothing can be read, nothing can be written. */
static void *empty(void *arg)
{
    tn_read_future in;
    tn_write_future out;
    tn_stream *ends[2];
    stand_in waiter;

    stand_in_init(&waiter);
    ns_unix_pair(ends);
    (void)ns_fill(ends[0]);
    tn_read_init(&in, ends[0], &(char){0}, 1);
    tt_check_eq(poll_by(&in.base, &waiter), TN_PENDING); /* it is known that neither side is ready */
    drop(&in.base);
    tn_write_init(&out, ends[0], "a", 1);
    tt_check_eq(poll_by(&out.base, &waiter), TN_PENDING);
    drop(&out.base);
    tn_read_init(&in, ends[0], NULL, 0);
    tt_check_eq(poll_by(&in.base, &waiter), 0);
    tn_write_init(&out, ends[0], NULL, 0);
    tt_check_eq(poll_by(&out.base, &waiter), 0);
    tn_write_all_init(&out, ends[0], NULL, 0);
    tt_check_eq(poll_by(&out.base, &waiter), 0);
    drop(&in.base);
    drop(&out.base);
    stand_in_wait_free(&waiter);
    ns_close_pair(ends);
    return arg;
}

Test(stream_future, of_no_bytes_never_waits)
{
    tt_run(empty, NULL);
}

static void *accepts(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    tn_accept_future future;
    stand_in waiter;
    tn_stream *client;
    tn_stream *server = NULL;
    tn_stream *none;

    stand_in_init(&waiter);
    tn_accept_init(&future, listener, &server);
    tt_check_eq(poll_by(&future.base, &waiter), TN_PENDING);
    tt_check_eq(tn_try_accept(listener, &none), TN_EBUSY);
    drop(&future.base);
    tt_check_eq(tn_try_accept(listener, &none), TN_EAGAIN);
    tt_check_eq(tn_tcp_connect(NULL, &client, address), 0);
    tn_accept_init(&future, listener, &server);
    drop(&future.base); /* before its first poll: it has taken no connection */
    tn_accept_init(&future, listener, &server);
    tt_check_eq(tn_await(&future.base), 0);
    tt_check(server != NULL);
    tt_check_eq(tn_write(client, "a", 1), 1);
    tt_check_eq(tn_read(server, (char[1]){0}, 1), 1);
    tn_stream_close(server);
    tn_stream_close(client);
    tn_listener_close(listener);
    stand_in_wait_free(&waiter);
    return arg;
}

Test(stream_future, accepts)
{
    tt_run(accepts, NULL);
}

/* --- Drops ----------------------------------------------------------------------------------------------------------------- */

/* A byte that arrives between the last poll and the drop is left to the next read. */
static void *dropped_reads(void *arg)
{
    tn_read_future in;
    tn_stream *ends[2];
    stand_in waiter;
    char buf[4] = {0};

    stand_in_init(&waiter);
    ns_unix_pair(ends);
    for (int i = 0; i < 100; i++) {
        char sent = (char)i;
        tn_read_init(&in, ends[1], buf, sizeof buf);
        tt_check_eq(poll_by(&in.base, &waiter), TN_PENDING);
        tt_check_eq(tn_try_read(ends[1], buf, 1), TN_EBUSY);
        tt_check_eq(tn_write(ends[0], &sent, 1), 1);
        drop(&in.base);
        stand_in_wait_free(&waiter);
        tt_check_eq(tn_read(ends[1], buf, sizeof buf), 1);
        tt_check_eq(buf[0], sent);
    }
    ns_close_pair(ends);
    return arg;
}

Test(stream_future, a_dropped_read_has_read_nothing)
{
    tt_run(dropped_reads, NULL);
}

/* What a dropped write has written, as `done` says, is what arrives: no byte more, none less. */
static void *dropped_writes(void *arg)
{
    tn_write_future out;
    tn_stream *ends[2];
    stand_in waiter;
    size_t arrived = 0;

    stand_in_init(&waiter);
    for (size_t i = 0; i < MUCH; i++)
        much[i] = (char)nf_pattern(i);
    ns_unix_pair(ends); /* it holds less than MUCH */
    tn_write_all_init(&out, ends[0], much, MUCH);
    tt_check_eq(poll_by(&out.base, &waiter), TN_PENDING);
    tt_check_eq(tn_try_write(ends[0], "x", 1), TN_EBUSY);
    drop(&out.base);
    tt_check(out.done > 0 && out.done < MUCH);
    tt_check_eq(tn_stream_shutdown_write(ends[0]), 0);
    for (ssize_t n = 1; n > 0; arrived += (size_t)n) {
        unsigned char buf[4096];
        n = tn_read(ends[1], buf, sizeof buf);
        tt_check(n >= 0);
        for (ssize_t i = 0; i < n; i++)
            tt_check(buf[i] == nf_pattern(arrived + (size_t)i));
    }
    tt_check_eq(arrived, out.done);
    stand_in_wait_free(&waiter);
    ns_close_pair(ends);
    return arg;
}

Test(stream_future, a_dropped_write_says_how_much_it_wrote)
{
    tt_run(dropped_writes, NULL);
}

/* A deadline ends each of many reads at any moment; together they lose no byte. */
static void *trickle(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        tt_check_eq(tn_write(arg, &(char){(char)i}, 1), 1);
        if (i % 7 == 0)
            tt_check_eq(tn_sleep(100 * TN_US), 0);
    }
    tt_check_eq(tn_stream_shutdown_write(arg), 0);
    return NULL;
}

static void *reads_with_deadlines(void *arg)
{
    tn_stream *ends[2];
    tn_task *writer;
    int count = 0;
    int n;

    ns_tcp_pair(ends);
    writer = tt_spawn(trickle, ends[0]);
    do {
        tn_read_future in;
        char byte;
        tn_read_init(&in, ends[1], &byte, 1);
        n = tn_timeout_for(&in.base, 50 * TN_US);
        if (n == 1)
            tt_check_eq(byte, (char)count++);
        else
            tt_check(n == 0 || n == TN_ETIMEDOUT);
    } while (n != 0);
    tt_check_eq(count, 2000);
    tt_join(writer);
    ns_close_pair(ends);
    return arg;
}

Test(stream_future, reads_with_deadlines_lose_nothing)
{
    tt_run(reads_with_deadlines, NULL);
}

/* --- Several at once ------------------------------------------------------------------------------------------------------- */

static void *select_of_two(void *arg)
{
    tn_stream *a[2];
    tn_stream *b[2];
    tn_read_future in[2];
    tn_future *both[2] = {&in[0].base, &in[1].base};
    char buf[2];
    int result;

    ns_tcp_pair(a);
    ns_unix_pair(b);
    tn_read_init(&in[0], a[1], &buf[0], 1);
    tn_read_init(&in[1], b[1], &buf[1], 1);
    tt_check_eq(tn_write(b[0], "b", 1), 1);
    tt_check_eq(tn_select(both, 2, &result), 1);
    tt_check_eq(result, 1);
    tt_check_eq(buf[1], 'b');
    both[1] = NULL;
    tt_check_eq(tn_write(a[0], "a", 1), 1);
    tt_check_eq(tn_select(both, 2, &result), 0); /* the first one has continued */
    tt_check_eq(buf[0], 'a');
    for (int i = 0; i < 2; i++)
        drop(&in[i].base);
    ns_close_pair(a);
    ns_close_pair(b);
    return arg;
}

Test(stream_future, select_of_two)
{
    tt_run(select_of_two, NULL);
}

/* Both are ready again and again: the one that loses the race has read nothing. */
static void *races(void *arg)
{
    tn_stream *ends[2][2];
    unsigned char next[2] = {0, 0};

    for (int side = 0; side < 2; side++) {
        ns_unix_pair(ends[side]);
        for (int i = 0; i < 100; i++)
            tt_check_eq(tn_write(ends[side][0], &(unsigned char){(unsigned char)i}, 1), 1);
    }
    for (int i = 0; i < 100; i++) {
        tn_read_future in[2];
        tn_future *both[2] = {&in[0].base, &in[1].base};
        unsigned char byte[2];
        int result;
        int won;
        for (int side = 0; side < 2; side++)
            tn_read_init(&in[side], ends[side][1], &byte[side], 1);
        won = tn_race(both, 2, &result);
        tt_check(won == 0 || won == 1);
        tt_check_eq(result, 1);
        tt_check_eq(byte[won], next[won]);
        next[won]++;
    }
    ns_close_pair(ends[0]);
    ns_close_pair(ends[1]);
    return arg;
}

Test(stream_future, the_loser_of_a_race_has_read_nothing)
{
    tt_run(races, NULL);
}

/* Both directions of an echo at once, in one task. */
static void *joins(void *arg)
{
    tn_stream *ends[2];
    tn_read_future in;
    tn_write_future out;
    tn_future *both[2] = {&in.base, &out.base};
    int results[2];
    size_t received = 0;
    tn_task *echo;
    char *back = malloc(MUCH);

    ns_tcp_pair(ends);
    echo = tt_spawn(ns_echo, ends[1]);
    tn_write_all_init(&out, ends[0], much, MUCH);
    while (received < MUCH) {
        int result;
        tn_read_init(&in, ends[0], back + received, MUCH - received);
        tt_check(tn_select(both, 2, &result) >= 0);
        if (both[1] != NULL && out.done == MUCH && !out.in_flight) {
            both[1] = NULL;
            drop(&out.base);
            drop(&in.base);
            continue;
        }
        tt_check(result > 0);
        received += (size_t)result;
        drop(&in.base);
    }
    tt_check(memcmp(much, back, MUCH) == 0);
    free(back);
    tn_read_init(&in, ends[0], results, 1);
    tn_write_init(&out, ends[0], "z", 1);
    both[1] = &out.base;
    tt_check_eq(tn_join_all(both, results, 2), 0);
    tt_check_eq(results[0], 1);
    tt_check_eq(results[1], 1);
    tn_stream_close(ends[0]);
    tt_join(echo);
    return arg;
}

Test(stream_future, both_directions_in_one_task)
{
    for (size_t i = 0; i < MUCH; i++)
        much[i] = (char)nf_pattern(i);
    tt_run(joins, NULL);
}

/* --- Close ----------------------------------------------------------------------------------------------------------------- */

static void *closed_beside(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    tn_accept_future accept;
    tn_write_future out;
    tn_read_future in;
    tn_stream *ends[2];
    tn_stream *none;
    stand_in waiter[3];

    for (int i = 0; i < 3; i++)
        stand_in_init(&waiter[i]);
    ns_unix_pair(ends); /* it holds less than MUCH */
    tn_read_init(&in, ends[0], &(char){0}, 1);
    tn_write_all_init(&out, ends[0], much, MUCH);
    tn_accept_init(&accept, listener, &none);
    tt_check_eq(poll_by(&in.base, &waiter[0]), TN_PENDING);
    tt_check_eq(poll_by(&out.base, &waiter[1]), TN_PENDING);
    tt_check_eq(poll_by(&accept.base, &waiter[2]), TN_PENDING);
    tn_stream_close(ends[0]);
    tn_listener_close(listener);
    for (int i = 0; i < 3; i++)
        tt_check(stand_in_woken(&waiter[i]));
    tt_check_eq(poll_by(&in.base, &waiter[0]), TN_EBADF);
    tt_check_eq(poll_by(&out.base, &waiter[1]), TN_EBADF); /* the last operation on the stream: it frees it */
    tt_check_eq(poll_by(&accept.base, &waiter[2]), TN_EBADF);
    drop(&in.base);
    drop(&out.base);
    drop(&accept.base);
    for (int i = 0; i < 3; i++)
        stand_in_wait_free(&waiter[i]);
    tn_stream_close(ends[1]);
    return arg;
}

Test(stream_future, a_close_ends_them)
{
    tt_run(closed_beside, NULL);
}

static void *closed_before(void *arg)
{
    tn_stream *ends[2];
    tn_read_future in;
    tn_write_future out;

    ns_tcp_pair(ends);
    tn_stream_abort(ends[0]);
    tn_read_init(&in, ends[0], &(char){0}, 1);
    tt_check_eq(tn_await(&in.base), TN_EBADF);
    tn_write_init(&out, ends[0], "a", 1);
    tt_check_eq(tn_await(&out.base), TN_EBADF);
    tn_stream_release(ends[0]);
    tn_stream_close(ends[1]);
    return arg;
}

Test(stream_future, of_a_closed_stream)
{
    tt_run(closed_before, NULL);
}

/* The budget is used up between two parts of a write: no waker is registered, but the close is seen. */
static void *closed_between_parts(void *arg)
{
    tn_stream *ends[2];
    tn_write_future out;
    stand_in waiter;
    size_t done;

    stand_in_init(&waiter);
    ns_unix_pair(ends); /* it holds less than MUCH */
    tn_write_all_init(&out, ends[0], much, MUCH);
    waiter.task.budget = 2;
    tt_check_eq(out.base.ops->poll(&out.base, tni_task_waker(&waiter.task)), TN_PENDING);
    done = out.done;
    tn_stream_abort(ends[0]);
    tt_check_eq(poll_by(&out.base, &waiter), TN_EBADF);
    tt_check_eq(out.done, done);
    drop(&out.base);
    stand_in_wait_free(&waiter);
    tn_stream_release(ends[0]);
    tn_stream_close(ends[1]);
    return arg;
}

Test(stream_future, a_close_between_two_polls)
{
    tt_run(closed_between_parts, NULL);
}

/* --- No file is left ------------------------------------------------------------------------------------------------------- */

static void *accept_in_a_shortage(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    tn_accept_future accept;
    struct rlimit all;
    struct rlimit few;
    tn_stream *client;
    tn_stream *server;

    tt_check_eq(tn_tcp_connect(NULL, &client, address), 0);
    tt_check_eq(tn_sleep(TN_MS), 0); /* the loops have the descriptors that they need */
    tt_check_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
    few = all;
    few.rlim_cur = STDERR_FILENO +
                   1; /* all numbers below it are in use, whatever the library's threads open and close meanwhile */
    tt_check_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    tn_accept_init(&accept, listener, &server);
    tt_check_eq(tn_timeout_for(&accept.base, 30 * TN_MS), TN_ETIMEDOUT);
    tt_check_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
    tn_accept_init(&accept, listener, &server);
    tt_check_eq(tn_await(&accept.base), 0); /* the connection has waited in the backlog */
    tn_stream_close(server);
    tn_stream_close(client);
    tn_listener_close(listener);
    return arg;
}

Test(stream_future, an_accept_waits_until_files_are_there)
{
    ns_log log;

    ns_run_logged(&log, accept_in_a_shortage, NULL);
    cr_assert_not_null(strstr(log.text, "ulimit -n"), "%s", log.text);
}

/* --- Budget ---------------------------------------------------------------------------------------------------------------- */

/* Starts with a whole budget, and spends `units` of it. */
static void spend(int units)
{
    tn_mutex mutex = TN_MUTEX_INIT;

    tt_check_eq(tn_yield(), 0);
    for (int i = 0; i < units; i++) {
        tt_check_eq(tn_mutex_lock(&mutex), 0);
        tn_mutex_unlock(&mutex);
    }
}

static void *ready_in_time(void *arg)
{
    tn_stream *ends[2];
    char bytes[2 * TNI_BUDGET] = {0};

    ns_unix_pair(ends);
    tt_check_eq(tn_write_all(ends[0], bytes, sizeof bytes), 0);
    tt_check_eq(tn_wait_readable(ends[1]), 0);
    for (int units = 0; units <= TNI_BUDGET; units++) {
        tn_read_future in;
        tn_write_future out;
        tn_read_init(&in, ends[1], bytes, 1);
        tn_write_init(&out, ends[0], bytes, 1);
        spend(units);
        tt_check_eq(tn_timeout(&in.base, 1), 1); /* a time that has passed */
        spend(units);
        tt_check_eq(tn_timeout(&out.base, 1), 1);
    }
    ns_close_pair(ends);
    return arg;
}

Test(stream_future, what_is_ready_is_never_late)
{
    tt_run(ready_in_time, NULL);
}

static void *poll_without_budget(void *arg)
{
    tn_stream *ends[2];
    tn_write_future out;
    stand_in waiter;

    stand_in_init(&waiter);
    ns_tcp_pair(ends);
    tn_write_init(&out, ends[0], "a", 1);
    waiter.task.budget = 1;
    tt_check_eq(out.base.ops->poll(&out.base, tni_task_waker(&waiter.task)), TN_PENDING);
    tt_check(stand_in_woken(&waiter));
    tt_check_eq(out.done, 0);
    tt_check_eq(poll_by(&out.base, &waiter), 1);
    tt_check_eq(waiter.task.budget, TNI_BUDGET - 1);
    drop(&out.base);
    stand_in_wait_free(&waiter);
    ns_close_pair(ends);
    return arg;
}

Test(stream_future, a_used_up_budget_postpones)
{
    tt_run(poll_without_budget, NULL);
}

/* --- Abandoned ------------------------------------------------------------------------------------------------------------- */

static void *read_for_ever(void *arg)
{
    tn_read_future in;

    tn_read_init(&in, arg, &(char){0}, 1);
    (void)tn_await(&in.base);
    tt_check(false);
    return NULL;
}

Test(stream_future, an_abandoned_fiber_leaves_the_stream)
{
    tn_runtime *runtime = tt_runtime_create();
    tt_abandoned left;
    tn_stream *stream;
    char byte;
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(tn_stream_open(runtime, &stream, fds[0]), 0);
    tt_abandon_begin(&left, read_for_ever, stream);
    cr_assert_eq(tn_try_read(stream, &byte, 1), TN_EBUSY);
    tt_abandon_end(&left);
    cr_assert_eq(tn_try_read(stream, &byte, 1), TN_EAGAIN);
    tn_stream_close(stream);
    close(fds[1]);
    tt_runtime_destroy(runtime);
}
