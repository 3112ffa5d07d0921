/* SPDX-License-Identifier: MIT */
/* The phases of a server: it serves, drains, and ends, while another thread asks it to. One worker runs tn_serve, its acceptor
 * and its session, with no time limits: a wake that is lost is a deadlock. */
#include <tn/serve.h>

#include "base/tls.h"
#include "listener/listener.h"
#include "model.h"
#include "small_runtime.h"

typedef enum { RETURNS, WAITS_FOR_TOKEN, WAITS_FOR_REQUEST, STOPS, NEVER_STOPS } conduct;

typedef struct {
    tn_runtime *runtime;
    tn_listener *listener;
    tn_cancel_token *drain;
    tn_cancel_token *end;
    conduct conduct; /* of the handler; constant */
    int client;
    uint32_t said;  /* written before the drain is asked for */
    tni_a32 called; /* how often the handler was called */
} inn;

static void ask_to_drain(inn *s)
{
    s->said = 1;
    tn_cancel_token_cancel(s->drain);
}

static void handler(tn_session *session, tn_stream *stream, void *arg)
{
    inn *s = arg;

    (void)stream;
    (void)tni_a32_fetch_add(&s->called, 1, TNI_RELAXED);
    if (s->conduct == STOPS)
        ask_to_drain(s);
    if (s->conduct == WAITS_FOR_TOKEN)
        (void)tn_cancel_token_wait(tn_session_token(session));
    if (s->conduct == WAITS_FOR_REQUEST)
        model_check(tn_session_wait_request(session) != 0);
    if (s->conduct == NEVER_STOPS)
        model_check(tn_sleep(TNI_FOREVER) == TN_ECANCELED);
    if (s->conduct != NEVER_STOPS && tn_session_is_ending(session) && tn_cancel_token_is_cancelled(s->drain))
        model_check(s->said == 1);
}

static void *serve(void *state)
{
    inn *s = state;
    tn_serve_options options = tn_serve_options_default();
    tn_serve_result result;

    options.runtime = s->runtime;
    options.drain = s->drain;
    options.end = s->end;
    options.connections_max = 1;
    options.grace_ns = 1;
    options.drain_ns = TN_NEVER;
    options.cancel_ns = TN_NEVER;
    options.idle_ns = TN_NEVER;
    options.handler_first = true;
    model_check(tn_serve(&s->listener, 1, handler, s, &options, &result) == 0);
    model_check(result.left == 0 && result.refused == 0 && result.accepted == result.finished + result.cancelled);
    model_check(result.accepted == tni_a32_load(&s->called, TNI_RELAXED) || result.cancelled > 0);
    tni_a32_store(&s->runtime->quiet, 1, TNI_RELEASE);
    tni_worker_unpark(s->runtime->workers);
    return NULL;
}

static void setup_for(inn *s, conduct what)
{
    tn_listen_options options = tn_listen_options_default();

    s->runtime = small_runtime_create();
    s->conduct = what;
    options.runtime = s->runtime;
    model_check(tn_tcp_listen(&s->listener, "127.0.0.1:80", &options) == 0);
    s->client = model_connect(s->listener->endpoint.fd);
    model_check(tn_cancel_token_create(&s->drain, NULL, NULL) == 0);
    model_check(tn_cancel_token_create(&s->end, NULL, NULL) == 0);
    tni_a32_init(&s->called, 0);
    model_check(tn_spawn_on(s->runtime, NULL, NULL, serve, s) == 0);
}

static void setup_returns(void *state)
{
    setup_for(state, RETURNS);
}

static void setup_token(void *state)
{
    setup_for(state, WAITS_FOR_TOKEN);
}

static void setup_request(void *state)
{
    setup_for(state, WAITS_FOR_REQUEST);
}

static void setup_stops(void *state)
{
    setup_for(state, STOPS);
}

static void setup_never(void *state)
{
    setup_for(state, NEVER_STOPS);
}

static void work(void *state)
{
    tni_worker_drive(((inn *)state)->runtime->workers, NULL, TNI_FOREVER);
}

static void drain(void *state)
{
    ask_to_drain(state);
}

static void end(void *state)
{
    tn_cancel_token_cancel(((inn *)state)->end);
}

static void drain_and_end(void *state)
{
    drain(state);
    end(state);
}

static void finish(void *state)
{
    inn *s = state;

    tn_cancel_token_release(s->drain);
    tn_cancel_token_release(s->end);
    small_runtime_destroy(s->runtime);
    model_check(model_client_fd(s->client) < 0);
}

#define CASE(what, how, ...) \
    { \
        .name = "serve." what, .state_bytes = sizeof(inn), .setup = how, .finish = finish, .no_chance = true, .bound = 1, \
        __VA_ARGS__ \
    }

const model_scenario model_scenarios[] = {
    CASE("drain", setup_returns, .threads = {work, drain}),
    CASE("token", setup_token, .threads = {work, drain}),
    CASE("request", setup_request, .threads = {work, drain}, .no_preemptions = true),
    CASE("stops", setup_stops, .threads = {work, end}, .no_preemptions = true),
    CASE("twice", setup_never, .threads = {work, drain_and_end}, .no_preemptions = true),
    CASE("end", setup_token, .threads = {work, end}),
    {0},
};
