/* SPDX-License-Identifier: MIT */
/* h2o_server: a short answer over HTTP/1.1 by h2o's library, an event loop per thread. Unlike the servers of bench/servers it
 * parses the request, and adds the header fields that h2o always adds: its answer is longer.
 *
 * Each loop accepts from the same listening socket. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define H2O_USE_LIBUV 0
#include <h2o.h>

#include "fixed.h"

#define BODY "Hello, world!\n"

static fixed_options options;
static int listener;
static h2o_globalconf_t config;

typedef struct {
    h2o_context_t context;
    h2o_accept_ctx_t accepting;
} loop;

static int on_request(h2o_handler_t *self, h2o_req_t *request)
{
    (void)self;
    request->res.status = 200;
    request->res.reason = "OK";
    request->res.content_length = sizeof BODY - 1;
    h2o_add_header(&request->pool, &request->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, H2O_STRLIT("text/plain"));
    h2o_send_inline(request, BODY, sizeof BODY - 1);
    return 0;
}

static void on_connection(h2o_socket_t *listening, const char *error)
{
    loop *self = listening->data;
    h2o_socket_t *socket;

    if (error != NULL)
        return;
    while ((socket = h2o_evloop_socket_accept(listening)) != NULL)
        h2o_accept(&self->accepting, socket);
}

static void *run_loop(void *arg)
{
    loop *self = calloc(1, sizeof *self);
    h2o_socket_t *listening;

    (void)arg;
    if (self == NULL)
        abort();
    h2o_context_init(&self->context, h2o_evloop_create(), &config);
    self->accepting.ctx = &self->context;
    self->accepting.hosts = config.hosts;
    listening = h2o_evloop_socket_create(self->context.loop, dup(listener), H2O_SOCKET_FLAG_DONT_READ);
    listening->data = self;
    h2o_socket_read_start(listening, on_connection);
    while (h2o_evloop_run(self->context.loop, INT32_MAX) == 0)
        ;
    return NULL;
}

int main(int argc, char **argv)
{
    h2o_pathconf_t *path;
    h2o_hostconf_t *host;
    pthread_t thread;

    options = fixed_parse("h2o", argc, argv);
    if (options.block != FIXED_BLOCK_NEVER) {
        fprintf(stderr, "h2o: its tasks never block\n");
        return 2;
    }
    h2o_config_init(&config);
    host = h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    path = h2o_config_register_path(host, "/", 0);
    h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = on_request;
    listener = fixed_listen(&options);
    for (unsigned i = 1; i < options.workers; i++)
        if (pthread_create(&thread, NULL, run_loop, NULL) != 0) {
            fprintf(stderr, "h2o: cannot start loop %u: %s\n", i + 1, strerror(errno));
            return 1;
        }
    run_loop(NULL);
}
