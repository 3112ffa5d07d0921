/* SPDX-License-Identifier: MIT */
/* Accepting while the listener is closed, and while no file descriptor is left. */
#include "listener/listener.h"
#include "model.h"
#include "small_runtime.h"

#define FILES 13 /* the model's limit */

typedef struct {
    tn_runtime *runtime;
    tn_listener *listener; /* each thread has a reference */
    int fillers[FILES];
    int filler_count;
    int client;
    int listening; /* the listener's file */
} reception;

static void setup(void *state)
{
    reception *r = state;
    tn_listen_options options = tn_listen_options_default();

    r->runtime = small_runtime_create();
    options.runtime = r->runtime;
    model_check(tn_tcp_listen(&r->listener, "127.0.0.1:80", &options) == 0);
    (void)tn_listener_retain(r->listener);
    r->listening = r->listener->endpoint.fd;
    r->client = -1;
}

/* No file is left, and a client waits. */
static void setup_short(void *state)
{
    reception *r = state;

    setup(state);
    r->client = model_connect(r->listening);
    while (r->listening + 1 + r->filler_count < 3 + FILES)
        r->fillers[r->filler_count++] = model_fd_open();
}

static void accept_one(void *state)
{
    reception *r = state;
    tn_stream *stream;
    int rc = tn_accept(r->listener, &stream);

    model_check(rc == 0 || rc == TN_EBADF || rc == TN_ECANCELED);
    if (rc == 0)
        tn_stream_close(stream);
    tn_listener_release(r->listener);
}

static void close_listener(void *state)
{
    tn_listener_close(((reception *)state)->listener);
}

static void connect_one(void *state)
{
    reception *r = state;

    r->client = model_connect(r->listening);
}

/* Like the monitor. */
static void poll_loop(void *state)
{
    tni_driver *driver = &((reception *)state)->runtime->cores[0]->driver;

    if (!tni_driver_try_own(driver))
        return;
    tni_driver_poll(driver);
    tni_driver_disown(driver);
}

static void finish(void *state)
{
    reception *r = state;

    while (r->filler_count > 0)
        tni_os_close(r->fillers[--r->filler_count]);
    small_runtime_destroy(r->runtime);
    model_check(!model_fd_is_open(r->listening));
    model_check(r->client < 0 || model_client_fd(r->client) < 0);
}

#define CASE(what, how, ...) \
    { \
        .name = "accept." what, .state_bytes = sizeof(reception), .setup = how, .finish = finish, .no_chance = true, __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("close", setup, .threads = {accept_one, close_listener}),
    CASE("connect_close", setup, .threads = {accept_one, connect_one, close_listener, poll_loop}, .bound = 1),
    CASE("shortage_close", setup_short, .threads = {accept_one, close_listener}),
    {0},
};
