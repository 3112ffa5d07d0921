/* SPDX-License-Identifier: MIT */
/* Each request of a server is a marked work: with tn_options.report_slow_ns a slow one is logged, with how its time was spent. */
#include <pthread.h>

#include "serve_support.h"

#define PAUSE_NS (30 * TN_MS)

/* The slow request is number 2, from 0. What a handler does when its client has closed the connection is one more work. */
enum { REQUESTS = 4, SLOW = 2, WORKS = REQUESTS + 1 };

typedef struct {
    tn_options options;
    unsigned responded;
    pthread_mutex_t lock;
    unsigned count; /* lock */
    char lines[WORKS][400];
} scene;

static void take_line(void *ctx, tn_log_level level, const char *line)
{
    scene *s = ctx;

    tt_check_eq(level, TN_LOG_WARNING);
    tt_check(strncmp(line, "slow: ", 6) == 0);
    pthread_mutex_lock(&s->lock);
    tt_check(s->count < WORKS);
    (void)snprintf(s->lines[s->count++], sizeof s->lines[0], "%s", line);
    pthread_mutex_unlock(&s->lock);
}

static void respond(tn_session *session, tn_stream *stream, void *arg)
{
    scene *s = arg;
    char byte;

    while (tn_session_wait_request(session) == 0 && tn_read(stream, &byte, 1) == 1) {
        if (s->responded++ == SLOW)
            tt_check_eq(tn_sleep(PAUSE_NS), 0);
        tt_check_eq(tn_write(stream, &byte, 1), 1);
    }
}

/* The connection is idle between two requests, for as long as the slow one takes. */
static void *exchange(void *arg)
{
    ss_server server;
    tn_stream *client;

    ss_open(&server, respond, arg);
    ss_start(&server);
    client = ss_connect(&server);
    for (int i = 0; i < REQUESTS; i++) {
        tt_check_eq(tn_sleep(PAUSE_NS), 0);
        tt_check_eq(ss_exchange(client), SS_REQUEST);
    }
    tn_stream_close(client);
    ss_drain(&server);
    tt_check_eq(ss_join(&server), 0);
    return NULL;
}

static scene *serve(uint64_t slow_ns)
{
    static scene s;
    tn_runtime *runtime;

    memset(&s, 0, sizeof s);
    pthread_mutex_init(&s.lock, NULL);
    s.options = tt_options();
    s.options.report_slow_ns = slow_ns;
    s.options.log = take_line;
    s.options.log_ctx = &s;
    cr_assert_eq(tn_runtime_create(&runtime, &s.options), 0);
    cr_assert_eq(tn_block_on(runtime, exchange, &s, NULL), 0);
    tt_runtime_destroy(runtime);
    return &s;
}

/* One line for each: the time between two requests is none of either. */
Test(serve_slow, a_request_is_logged_with_its_waits)
{
    scene *s = serve(1);

    cr_assert_eq(s->count, WORKS);
    for (int i = 0; i < WORKS; i++) {
        const char *line = s->lines[i];
        cr_assert(strncmp(line, "slow: \"request\" of task ", 24) == 0, "%s", line);
        cr_assert_not_null(strstr(line, " took "), "%s", line);
        if (i == SLOW)
            cr_assert(strstr(line, ": sleep ") != NULL && strstr(line, " (1)") != NULL, "%s", line);
        else
            cr_assert_not_null(strstr(line, ", waited 0.0 ms"), "%s", line);
    }
}

Test(serve_slow, quick_requests_are_not_logged)
{
    cr_assert_eq(serve(3600 * TN_S)->count, 0);
}
