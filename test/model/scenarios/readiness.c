/* SPDX-License-Identifier: MIT */
/* The readiness word and its tick: threads that wait read and write a stream, while a loop reports. No report is lost: a thread
 * that waits for a byte that has arrived is woken. */
#include "model.h"
#include "small_runtime.h"
#include "stream/stream.h"

typedef struct {
    tn_runtime *runtime;
    tn_stream *stream;
    int client;
    tni_a32 left; /* number of threads that need the loop */
    char sent;    /* the writer's buffer */
    char got[2];  /* the reader's buffer */
} talk;

static void setup_for(talk *t, uint32_t users, bool registered)
{
    tni_registration *registration;

    t->runtime = small_runtime_create();
    t->client = model_connect(-1);
    model_check(tn_stream_open(t->runtime, &t->stream, model_client_fd(t->client)) == 0);
    tni_a32_init(&t->left, users);
    model_name_of(t->left);
    model_name_of(t->got);
    model_name_of(t->sent);
    if (registered) {
        model_check(tni_registration_make(t->runtime, t->stream->endpoint.fd, &registration) == 0);
        tni_registration_watch(registration);
        tni_aptr_store(&t->stream->endpoint.registration, registration, TNI_RELAXED);
    }
    /* The loop's thread owns it for good, and is always about to sleep. So every registration is posted, and wakes that
     * thread. */
    model_check(tni_driver_try_own(&t->runtime->cores[0]->driver));
    tni_idle_park(&t->runtime->idle, 0);
}

static void setup(void *state)
{
    setup_for(state, 1, false);
}

static void setup_registered(void *state)
{
    setup_for(state, 1, true);
}

/* The socket's buffer is full. */
static void setup_full(void *state)
{
    talk *t = state;

    setup_for(t, 2, true);
    model_check(tn_try_write(t->stream, "x", 1) == 1);
}

/* --- The loop --------------------------------------------------------------------------------------------------------------- */

static void loop(void *state)
{
    talk *t = state;
    tni_driver *driver = &t->runtime->cores[0]->driver;
    tni_parker *parker = &t->runtime->workers->parker;

    tni_held_add(&driver->owned); /* the setup has taken the word for this thread */
    while (tni_a32_load(&t->left, TNI_ACQUIRE) > 0) {
        (void)tni_driver_report(driver);
        tni_driver_poll(driver);
        if (!tni_parker_prepare(parker, TNI_PARK_LOOP))
            continue;
        tni_driver_sleep(driver, TNI_FOREVER);
        tni_parker_finish(parker);
    }
}

static void done(talk *t)
{
    if (tni_a32_fetch_sub(&t->left, 1, TNI_ACQ_REL) == 1)
        tni_worker_unpark(t->runtime->workers);
}

/* --- Users ------------------------------------------------------------------------------------------------------------------ */

static void read_bytes(talk *t, size_t wanted, size_t at_once)
{
    char buf[4];

    for (size_t got = 0; got < wanted;) {
        ssize_t n = tn_read(t->stream, buf, at_once);
        model_check(n > 0 && (size_t)n <= wanted - got);
        for (ssize_t i = 0; i < n; i++)
            model_check(buf[i] == (char)(1 + got++));
    }
    done(t);
}

/* A short count says that nothing is left. */
static void read_much(void *state)
{
    read_bytes(state, 2, 4);
}

/* A full count does not. */
static void read_singly(void *state)
{
    read_bytes(state, 2, 1);
}

static void read_one(void *state)
{
    read_bytes(state, 1, 4);
}

/* A thread whose wait reported a byte finds it. */
static void wait_and_read(void *state)
{
    talk *t = state;

    for (int i = 0; i < 2; i++) {
        model_check(tn_wait_readable(t->stream) == 0);
        model_check(tn_try_read(t->stream, &t->got[i], 1) == 1 && t->got[i] == 1 + i);
    }
    done(t);
}

static void read_to_end(void *state)
{
    talk *t = state;
    char buf[4];

    model_check(tn_read(t->stream, buf, sizeof buf) == 1 && buf[0] == 1);
    model_check(tn_read(t->stream, buf, sizeof buf) == 0);
    model_check(tn_read(t->stream, buf, sizeof buf) == 0);
    done(t);
}

static void write_one(void *state)
{
    talk *t = state;

    t->sent = 7;
    model_check(tn_write(t->stream, &t->sent, 1) == 1);
    done(t);
}

/* --- The other end ---------------------------------------------------------------------------------------------------------- */

static void send_two(void *state)
{
    talk *t = state;

    model_client_send(t->client, 1);
    model_client_send(t->client, 2);
}

/* The socket is healthy: its error queue has an entry, which nobody takes. */
static void fail_and_send(void *state)
{
    talk *t = state;

    model_client_error_queue(t->client);
    model_client_send(t->client, 1);
}

static void send_and_end(void *state)
{
    talk *t = state;

    model_client_send(t->client, 1);
    model_client_end(t->client);
}

/* Both happen at some moment before the first report. */
static void receive_and_send_and_loop(void *state)
{
    talk *t = state;

    model_check(model_client_receive(t->client) == 'x');
    model_client_send(t->client, 1);
    loop(state);
}

static void finish(void *state)
{
    talk *t = state;

    tni_driver_disown(&t->runtime->cores[0]->driver);
    (void)tni_idle_unpark(&t->runtime->idle, 0);
    tn_stream_close(t->stream);
    small_runtime_destroy(t->runtime);
    model_check(model_client_fd(t->client) < 0);
    model_check(t->sent == 0 || model_client_receive(t->client) == 7);
}

#define CASE(what, how, ...) \
    { \
        .name = "readiness." what, .state_bytes = sizeof(talk), .setup = how, .finish = finish, .no_chance = true, __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("read", setup, .threads = {read_much, send_two, loop}),
    CASE("read_singly", setup_registered, .threads = {read_singly, send_two, loop}),
    CASE("wait", setup_registered, .threads = {wait_and_read, send_two, loop}),
    CASE("error_queue", setup_registered, .threads = {read_one, fail_and_send, loop}),
    CASE("end", setup, .threads = {read_to_end, send_and_end, loop}),
    CASE("both", setup_full, .threads = {read_one, write_one, receive_and_send_and_loop}),
    {0},
};
