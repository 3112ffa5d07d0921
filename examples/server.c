/* SPDX-License-Identifier: MIT */
/* The main function of all servers of the library; see server.h.
 *
 * It shows how a server ends: idle connections at once, busy ones when they have finished, and with the second signal all of
 * them. As a service of systemd it takes the listener that it is given, and reports its state. */
#include "server.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

typedef struct server {
    const server_options *options;
    const char *scheme;
    tn_session_fn handler;
    void *arg;
    tn_listener *listener;
    bool given; /* the listener is one of the service manager */
    tn_signal *signals;
    tn_cancel_token *drain; /* cancelled by the first signal */
    tn_cancel_token *end;   /* cancelled by the second one */
} server;

static int listen_on(server *self)
{
    char address[TN_ADDRESS_SIZE];

    int rc = tn_systemd_listeners(NULL, NULL, &self->listener, 1);
    self->given = rc == 1;
    snprintf(address, sizeof address, "127.0.0.1:%u", self->options->port);
    if (rc == 0)
        rc = tn_tcp_listen(&self->listener, address, NULL);
    if (rc < 0) {
        server_cannot_listen(self->options, tn_strerror(rc));
        return rc;
    }
    tn_listener_address(self->listener, address, sizeof address);
    fprintf(stderr, "%s: listening on %s%s%s\n", self->options->name, self->scheme, address, *self->scheme != '\0' ? "/" : "");
    return 0;
}

/* Is cancelled when the server has ended without it. */
static void *wait_for_signals(void *arg)
{
    const server *self = arg;

    if (tn_signal_wait(self->signals) < 0)
        return NULL;
    (void)tn_systemd_stopping();
    tn_cancel_token_cancel(self->drain);
    if (tn_signal_wait(self->signals) < 0)
        return NULL;
    tn_cancel_token_cancel(self->end);
    return NULL;
}

static void *keep_alive(void *arg)
{
    (void)tn_systemd_keep_alive(); /* returns at once unless this is a service with a watchdog */
    return arg;
}

/* Returns 0, 1 if a handler was left, or an error. */
static int serve(server *self)
{
    tn_serve_options options = tn_serve_options_default();
    tn_serve_result result = {0};
    tn_group group;

    options.drain = self->drain;
    options.end = self->end;
    options.shared_listeners = self->given; /* what waits in its backlog is for the next process */
    tn_group_enter(&group, NULL);
    int rc = tn_group_spawn(&group, NULL, wait_for_signals, self);
    if (rc == 0)
        rc = tn_group_spawn(&group, NULL, keep_alive, NULL);
    if (rc == 0 && self->options->beside != NULL)
        rc = tn_group_spawn(&group, NULL, self->options->beside, self->options->beside_arg);
    if (rc == 0)
        (void)tn_systemd_ready();
    if (rc == 0)
        rc = tn_serve(&self->listener, 1, self->handler, self->arg, &options, &result);
    else
        tn_listener_close(self->listener);
    tn_group_leave(&group); /* cancels these tasks */
    if (rc < 0) {
        fprintf(stderr, "%s: cannot serve: %s\n", self->options->name, tn_strerror(rc));
        return rc;
    }
    fprintf(stderr, "%s: ended: %" PRIu64 " connections finished, %" PRIu64 " cancelled, %" PRIu64 " left\n", self->options->name,
            result.finished, result.cancelled, result.left);
    return result.left > 0 ? 1 : 0;
}

/* The signals are waited for before the server listens, so from then on none ends the program at once. */
static void *run(void *arg)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    server *self = arg;
    int rc = tn_signal_open(&self->signals, NULL, numbers, sizeof numbers / sizeof numbers[0]);

    if (rc == 0)
        rc = tn_cancel_token_create(&self->drain, NULL, NULL);
    if (rc == 0)
        rc = tn_cancel_token_create(&self->end, NULL, NULL);
    if (rc < 0)
        fprintf(stderr, "%s: cannot start: %s\n", self->options->name, tn_strerror(rc));
    if (rc == 0)
        rc = listen_on(self);
    if (rc == 0)
        rc = serve(self);
    tn_cancel_token_release(self->end);
    tn_cancel_token_release(self->drain);
    tn_signal_close(self->signals);
    return (void *)(intptr_t)rc;
}

/* A handler may have been left: then tn_run would wait for it, and tn_runtime_destroy gives up on it. */
int server_main(server_options *options, int argc, char **argv, const char *scheme, tn_session_fn handler, void *arg)
{
    server self = {.options = options, .scheme = scheme, .handler = handler, .arg = arg};
    tn_options wanted = tn_options_default();
    tn_runtime *runtime;
    void *result = NULL;

    options->workers_option = "workers";
    options->workers_help = "run on N worker threads";
    server_options_parse(options, argc, argv);
    wanted.workers = options->workers;
    wanted.report_overflow = true;
    int rc = tn_runtime_create(&runtime, &wanted);
    if (rc == 0) {
        rc = tn_block_on(runtime, run, &self, &result);
        if (tn_runtime_destroy(runtime, TN_SHUTDOWN_CANCEL, TN_S) > 0)
            result = (void *)(intptr_t)1;
    }
    if (rc < 0)
        fprintf(stderr, "%s: cannot start: %s\n", options->name, tn_strerror(rc));
    return rc == 0 && result == NULL ? 0 : 1;
}
