/* SPDX-License-Identifier: MIT */
/* The operation word of a stream: reads, writes, short uses, closes and releases at once, and file numbers that are reused as
 * soon as they are closed. No byte reaches the wrong connection, no thread waits for ever, and everything ends once. */
#include "stream/stream.h"
#include "model.h"
#include "os/os_socket.h"
#include "small_runtime.h"

typedef struct {
    tn_runtime *runtime;
    tn_stream *stream; /* to client A; each thread has a reference */
    int a;
    int b; /* connects when A's stream has been closed; -1: not yet */
} ends;

static void setup_for(ends *e, unsigned threads)
{
    e->runtime = small_runtime_create();
    e->a = model_connect(-1);
    e->b = -1;
    model_check(tn_stream_open(e->runtime, &e->stream, model_client_fd(e->a)) == 0);
    model_name(e->stream, sizeof(int), "stream");
    while (threads-- > 1)
        (void)tn_stream_retain(e->stream);
}

static void setup_two(void *state)
{
    ends *e = state;

    setup_for(e, 2);
    model_client_send(e->a, 'a');
}

static void setup_three(void *state)
{
    ends *e = state;

    setup_for(e, 3);
    model_client_send(e->a, 'a');
}

static void setup_empty_two(void *state)
{
    setup_for(state, 2);
}

/* Nothing to read, and the socket's buffer is full. */
static void setup_stuck_three(void *state)
{
    ends *e = state;

    setup_for(e, 3);
    model_check(tn_try_write(e->stream, "x", 1) == 1);
}

/* A read is in flight that has no reference of its own: forbidden, but harmless. */
static void setup_borrowed(void *state)
{
    ends *e = state;

    setup_for(e, 1);
    model_check(tni_endpoint_begin(&e->stream->endpoint, TNI_OPERATION_READ) == 0);
}

/* --- Users ------------------------------------------------------------------------------------------------------------------ */

static bool is_end(ssize_t n)
{
    return n == TN_EBADF || n == TN_ECANCELED;
}

static void try_read(void *state)
{
    ends *e = state;
    char byte = 0;
    ssize_t n = tn_try_read(e->stream, &byte, 1);

    model_check((n == 1 && byte == 'a') || is_end(n));
    tn_stream_release(e->stream);
}

static void try_write(void *state)
{
    ends *e = state;
    ssize_t n = tn_try_write(e->stream, "w", 1);

    model_check(n == 1 || is_end(n));
    tn_stream_release(e->stream);
}

/* No data arrives: only the close ends the wait. */
static void wait_to_read(void *state)
{
    ends *e = state;
    char byte;

    model_check(is_end(tn_read(e->stream, &byte, 1)));
    tn_stream_release(e->stream);
}

static void end_read(void *state)
{
    ends *e = state;
    char byte;

    model_check(tni_os_recv(e->stream->endpoint.fd, &byte, 1) == TN_EAGAIN);
    tni_endpoint_end(&e->stream->endpoint, TNI_OPERATION_READ);
}

static void wait_to_write(void *state)
{
    ends *e = state;

    model_check(is_end(tn_write(e->stream, "w", 1)));
    tn_stream_release(e->stream);
}

static void use_briefly(void *state)
{
    ends *e = state;
    int rc = tn_stream_shutdown_write(e->stream);

    model_check(rc == 0 || is_end(rc));
    tn_stream_release(e->stream);
}

/* --- Ends ------------------------------------------------------------------------------------------------------------------- */

static void release_stream(void *state)
{
    tn_stream_release(((ends *)state)->stream);
}

static void close_stream(void *state)
{
    tn_stream_close(((ends *)state)->stream);
}

/* The next connection gets the lowest free number, and has a byte of its own, which only its own reader gets. */
static void close_and_go_on(void *state)
{
    ends *e = state;
    tn_stream *next;
    char byte = 0;

    tn_stream_close(e->stream);
    e->b = model_connect(-1);
    model_client_send(e->b, 'b');
    model_check(tn_stream_open(e->runtime, &next, model_client_fd(e->b)) == 0);
    model_check(tn_try_read(next, &byte, 1) == 1 && byte == 'b');
    model_check(tn_try_write(next, "b", 1) == 1);
    tn_stream_close(next);
}

/* A thread owns the loop for a while. */
static void poll_loop(void *state)
{
    tni_driver *driver = &((ends *)state)->runtime->cores[0]->driver;

    if (!tni_driver_try_own(driver))
        return;
    tni_driver_poll(driver);
    tni_driver_disown(driver);
}

static void finish(void *state)
{
    ends *e = state;

    small_runtime_destroy(e->runtime); /* with registrations that were posted and not processed */
    model_check(model_client_fd(e->a) < 0);
    model_check(e->b < 0 || (model_client_fd(e->b) < 0 && model_client_receive(e->b) == 'b'));
}

#define CASE(what, how, ...) \
    { \
        .name = "stream." what, .state_bytes = sizeof(ends), .setup = how, .finish = finish, .no_chance = true, __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("read_close", setup_two, .threads = {try_read, close_and_go_on}),
    CASE("write_close", setup_two, .threads = {try_write, close_and_go_on}),
    CASE("use_close", setup_two, .threads = {use_briefly, close_and_go_on}),
    CASE("read_write_close", setup_three, .threads = {try_read, try_write, close_and_go_on}),
    CASE("wait_close", setup_empty_two, .threads = {wait_to_read, close_and_go_on}),
    CASE("wait_close_poll", setup_empty_two, .threads = {wait_to_read, close_and_go_on, poll_loop}),
    CASE("two_waits_close", setup_stuck_three, .threads = {wait_to_read, wait_to_write, close_stream}, .bound = 1),
    CASE("borrowed", setup_borrowed, .threads = {end_read, close_stream}),
    CASE("closes", setup_three, .threads = {close_stream, close_stream, release_stream}),
    CASE("releases", setup_three, .threads = {try_read, release_stream, release_stream}),
    {0},
};
