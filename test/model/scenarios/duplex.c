/* SPDX-License-Identifier: MIT */
/* The connection in memory: an abort beside the close by its owner, a close and a half-close beside reads and writes. No thread
 * waits for ever, no byte is lost or appears behind the end, and the memory is freed once. */
#include <tn/io.h>

#include "sleeper.h"

typedef struct {
    tn_io ends[2];
    uint32_t written; /* by write_two, read after all have ended */
    uint32_t read;
} duplex_state;

static void setup_with(duplex_state *d, size_t capacity)
{
    tn_duplex_options options = tn_duplex_options_default();

    options.capacity = capacity;
    model_check(tn_duplex_open(d->ends, &options) == 0);
    model_name(d->ends[0].object, 4, "operations.0");
    model_name(d->ends[1].object, 4, "operations.1");
}

static void setup(void *state)
{
    setup_with(state, 1);
}

static void setup_wide(void *state)
{
    setup_with(state, 2);
}

/* --- Threads --------------------------------------------------------------------------------------------------------------- */

static void abort_first(void *state)
{
    model_check(tn_io_abort(((duplex_state *)state)->ends[0]) == 0);
}

static void close_second(void *state)
{
    tn_io_close(((duplex_state *)state)->ends[1]);
}

/* The owner of the first end reads until it is told to stop, and closes. */
static void read_and_close_first(void *state)
{
    duplex_state *d = state;
    char byte;
    ssize_t n;

    while ((n = tn_io_read(d->ends[0], &byte, 1)) == 1)
        d->read++;
    model_check(n == 0 || n == TN_EBADF);
    tn_io_close(d->ends[0]);
}

/* The owner of both ends sees that the first one has been aborted, and frees the memory, perhaps while the abort is under way. */
static void read_aborted_and_close_both(void *state)
{
    duplex_state *d = state;
    char byte;

    model_check(tn_io_read(d->ends[0], &byte, 1) == TN_EBADF);
    tn_io_close(d->ends[0]);
    tn_io_close(d->ends[1]);
}

/* The ring is full after the first byte: the second one waits until the abort. */
static void write_aborted_and_close_first(void *state)
{
    duplex_state *d = state;
    ssize_t n = tn_io_write(d->ends[0], "a", 1);

    model_check(n == 1 || n == TN_EBADF);
    model_check(tn_io_write(d->ends[0], "b", 1) == TN_EBADF);
    tn_io_close(d->ends[0]);
}

static void write_two_and_close_second(void *state)
{
    duplex_state *d = state;

    for (int i = 0; i < 2; i++) {
        ssize_t n = tn_io_write(d->ends[1], "a", 1);
        model_check(n == 1 || n == TN_EPIPE);
        d->written += n == 1;
    }
    tn_io_close(d->ends[1]);
}

/* Beside a half-close by another thread. */
static void write_one_second(void *state)
{
    duplex_state *d = state;
    ssize_t n = tn_io_write(d->ends[1], "a", 1);

    model_check(n == 1 || n == TN_EPIPE);
    d->written += n == 1;
}

static void half_close_second(void *state)
{
    model_check(tn_io_close_write(((duplex_state *)state)->ends[1]) == 0);
}

static void wait_and_close_first(void *state)
{
    duplex_state *d = state;

    model_check(tn_io_wait(d->ends[0], TN_READABLE) == 0);
    tn_io_close(d->ends[0]);
}

static void finish(void *state)
{
    duplex_state *d = state;

    model_check(d->read == d->written);
}

static void finish_and_close_second(void *state)
{
    finish(state);
    close_second(state);
}

#define CASE(what, how, end, ...) \
    { \
        .name = "duplex." what, .state_bytes = sizeof(duplex_state), .setup = how, .finish = end, __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("abort_close", setup, finish, .threads = {read_aborted_and_close_both, abort_first}),
    CASE("abort_write", setup, close_second, .threads = {write_aborted_and_close_first, abort_first}),
    CASE("both_close", setup, finish, .threads = {read_and_close_first, close_second}),
    CASE("bytes", setup, finish, .threads = {read_and_close_first, write_two_and_close_second}),
    CASE("half_close", setup_wide, finish_and_close_second,
         .threads = {read_and_close_first, write_one_second, half_close_second}),
    CASE("wait", setup, NULL, .threads = {wait_and_close_first, close_second}),
    {0},
};
