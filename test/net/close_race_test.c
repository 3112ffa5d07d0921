/* SPDX-License-Identifier: MIT */
/* The race of a close with a read on another worker, while the number of the closed file is reused for another connection.
 *
 * Every byte that is sent names its connection, and every reader checks all that it gets. If a file were closed while a task is
 * about to read from it, one of the next connections would get the number, and the wrong task would get its bytes. A round is
 * one connection. Nine of ten are Unix pairs, because they are cheap; the others come from accept. */
/* ctest: timeout=300 serial */
#include "base/atomic.h"
#include "base/thread.h"
#include "net_support.h"
#include "support/runtime.h"

#define ROUNDS 250000ul
#define LANES 4u
#define OUTSTANDING 8u

/* A reader that may still run after its round. */
typedef struct {
    tn_stream *stream;
    tn_task *task;
    unsigned char id;
    unsigned long bytes;
} reader;

/* A task that opens and closes connections. Its readers run on during the next rounds. */
typedef struct {
    unsigned number;
    unsigned long rounds;
    bool tcp;
    uint64_t random;
    tn_listener *listener;
    char address[TN_ADDRESS_SIZE];
    reader readers[OUTSTANDING];
    unsigned long bytes; /* bytes that were read and were right */
} lane;

static void *read_and_check(void *arg)
{
    reader *r = arg;
    unsigned char buf[64];
    ssize_t n;

    while ((n = tn_read(r->stream, buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            tt_check_eq(buf[i], r->id);
        r->bytes += (unsigned long)n;
    }
    tt_check(n == 0 || n == TN_ECANCELED || n == TN_EBADF || n == TN_ECONNRESET);
    tn_stream_release(r->stream);
    return NULL;
}

static void finish_reader(lane *l, reader *r)
{
    if (r->task == NULL)
        return;
    tt_join(r->task);
    l->bytes += r->bytes;
    r->task = NULL;
}

static void connect_ends(lane *l, tn_stream *ends[2])
{
    if (!l->tcp) {
        ns_unix_pair(ends);
        return;
    }
    tt_check_eq(tn_tcp_connect(NULL, &ends[0], l->address), 0);
    tt_check_eq(tn_accept(l->listener, &ends[1]), 0);
}

/* Waits for a random time: nothing, some cycles, or a turn of the other tasks. */
static void dawdle(lane *l)
{
    uint32_t choice = tni_random_next(&l->random);

    if (choice % 4 == 0)
        (void)tn_yield();
    else if (choice % 4 == 1)
        for (uint32_t i = 0; i < choice / 4 % 512; i++)
            tni_spin_hint();
}

static void play_round(lane *l, unsigned long round)
{
    reader *r = &l->readers[round % OUTSTANDING];
    tn_stream *ends[2];
    unsigned char data[96];

    finish_reader(l, r);
    connect_ends(l, ends);
    *r = (reader){.stream = tn_stream_retain(ends[1]), .id = (unsigned char)(round * LANES + l->number)};
    memset(data, r->id, sizeof data);
    if (tni_random_next(&l->random) % 2 == 0)
        tt_check_eq(tn_try_write(ends[0], data, sizeof data), sizeof data);
    tt_check_eq(tn_spawn(&r->task, read_and_check, r), 0);
    dawdle(l);
    if (tni_random_next(&l->random) % 2 == 0)
        tt_check_eq(tn_try_write(ends[0], data, sizeof data), sizeof data);
    dawdle(l);
    tn_stream_close(ends[1]);
    tn_stream_close(ends[0]);
}

static void *run_lane(void *arg)
{
    lane *l = arg;

    if (l->tcp)
        l->listener = ns_listen(l->address);
    for (unsigned long i = 0; i < l->rounds; i++)
        play_round(l, i);
    for (unsigned i = 0; i < OUTSTANDING; i++)
        finish_reader(l, &l->readers[i]);
    tn_listener_close(l->listener);
    return NULL;
}

static void *race(void *arg)
{
    lane lanes[LANES];
    tn_task *tasks[LANES];
    unsigned long bytes = 0;
    bool tcp = arg != NULL;
    unsigned long rounds = ns_scaled(tcp ? ROUNDS / 10 : ROUNDS - ROUNDS / 10);

    memset(lanes, 0, sizeof lanes);
    for (unsigned i = 0; i < LANES; i++) {
        lanes[i].number = i;
        lanes[i].rounds = rounds / LANES + 1;
        lanes[i].tcp = tcp;
        lanes[i].random = tni_random_seed() | 1;
        tasks[i] = tt_spawn(run_lane, &lanes[i]);
    }
    for (unsigned i = 0; i < LANES; i++) {
        tt_join(tasks[i]);
        bytes += lanes[i].bytes;
    }
    tt_check(bytes > rounds); /* much was read, and much was not */
    return NULL;
}

Test(close_race, unix_pairs)
{
    unsigned before = ns_files_of_no_runtime();

    tt_run(race, NULL);
    cr_assert_eq(tt_files(), before);
}

Test(close_race, accepted)
{
    unsigned before = ns_files_of_no_runtime();
    char tcp[] = "tcp";

    tt_run(race, tcp);
    cr_assert_eq(tt_files(), before);
}
