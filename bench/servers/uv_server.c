/* SPDX-License-Identifier: MIT */
/* uv_server: the fixed HTTP answer on one libuv loop with streams, as libuv's own examples have it: one thread, whatever
 * --workers says; uv_read_start with one buffer for all (the loop is never inside two callbacks), uv_try_write and only when that
 * does not take all of it a write request. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "fixed.h"

typedef struct {
    uv_tcp_t tcp;
    unsigned matched;
} connection;

static fixed_options options;
static char read_buffer[64 * 1024];

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void end(connection *conn)
{
    if (!uv_is_closing((uv_handle_t *)&conn->tcp))
        uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

static void on_written(uv_write_t *request, int status)
{
    if (status < 0)
        end(request->data);
    free(request);
}

static void write_rest(connection *conn, const char *data, size_t size)
{
    uv_write_t *request = malloc(sizeof *request);
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)data, (unsigned)size);

    if (request == NULL) {
        end(conn);
        return;
    }
    request->data = conn;
    if (uv_write(request, (uv_stream_t *)&conn->tcp, &buf, 1, on_written) < 0) {
        free(request);
        end(conn);
    }
}

static void answer(connection *conn, size_t count)
{
    fixed_block_some(&options, count);
    while (count > 0) {
        size_t now = count < FIXED_REQUESTS_MAX ? count : FIXED_REQUESTS_MAX;
        size_t size = now * FIXED_ANSWER_SIZE;
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)fixed_answers, (unsigned)size);
        int sent = uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);

        if (sent < 0)
            sent = 0; /* full, or dead: the write request will tell */
        if ((size_t)sent < size)
            write_rest(conn, fixed_answers + sent, size - (size_t)sent);
        count -= now;
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(read_buffer, sizeof read_buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    connection *conn = (connection *)(void *)stream;

    if (n < 0)
        end(conn);
    else if (n > 0)
        answer(conn, fixed_count_requests(&conn->matched, buf->base, (size_t)n));
}

static void on_connection(uv_stream_t *listener, int status)
{
    connection *conn = status == 0 ? calloc(1, sizeof *conn) : NULL;

    if (conn == NULL)
        return;
    uv_tcp_init(listener->loop, &conn->tcp);
    if (uv_accept(listener, (uv_stream_t *)&conn->tcp) < 0) {
        end(conn);
        return;
    }
    uv_tcp_nodelay(&conn->tcp, 1);
    if (uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) < 0)
        end(conn);
}

/* The loop's blocking task. */
static void on_timer(uv_timer_t *timer)
{
    fixed_block_thread(options.block);
    uv_update_time(timer->loop);
    uv_timer_start(timer, on_timer, FIXED_BLOCK_MS, 0);
}

static int start_listening(uv_loop_t *loop, uv_tcp_t *listener)
{
    struct sockaddr_in address;
    int size = sizeof address;
    int rc = uv_ip4_addr("127.0.0.1", (int)options.port, &address);

    uv_tcp_init(loop, listener);
    if (rc == 0)
        rc = uv_tcp_bind(listener, (const struct sockaddr *)&address, 0);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)listener, 4096, on_connection);
    if (rc == 0)
        rc = uv_tcp_getsockname(listener, (struct sockaddr *)&address, &size);
    if (rc == 0)
        fprintf(stderr, "libuv: listening on http://127.0.0.1:%u/\n", (unsigned)ntohs(address.sin_port));
    return rc;
}

int main(int argc, char **argv)
{
    static uv_tcp_t listener;
    static uv_timer_t timer;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    uv_loop_t *loop = uv_default_loop();
    int rc;

    options = fixed_parse("libuv", argc, argv);
    sigaction(SIGPIPE, &ignore, NULL); /* libuv leaves a client that is gone to us */
    rc = start_listening(loop, &listener);
    if (rc < 0) {
        fprintf(stderr, "libuv: %s\n", uv_strerror(rc));
        return 1;
    }
    uv_timer_init(loop, &timer);
    if (fixed_has_blocking_tasks(&options))
        uv_timer_start(&timer, on_timer, 0, 0);
    return uv_run(loop, UV_RUN_DEFAULT);
}
