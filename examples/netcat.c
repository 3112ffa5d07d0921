/* SPDX-License-Identifier: MIT */
/* netcat: connects standard input and output to a TCP or Unix socket.
 *
 * It shows byte streams of any kind behind one interface: a terminal, a pipe, a file and a socket are copied by one function. The
 * end of standard input is passed on as a half-close. The end of the socket ends the program, although a fiber still waits for
 * standard input: such a wait can be cancelled.
 *
 * Run:   netcat 127.0.0.1:7000      or a host name and a service
 *        netcat /run/some.socket    a Unix socket; '@name' for an abstract one
 *        netcat --listen 127.0.0.1:7000
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tn.h>

static const char *address;
static bool listens;

static bool is_unix(const char *text)
{
    return text[0] == '@' || strchr(text, '/') != NULL;
}

/* Waits for one connection, and closes the listener. */
static int accept_one(tn_stream **out)
{
    tn_listener *listener;
    int rc = is_unix(address) ? tn_unix_listen(&listener, address, NULL) : tn_tcp_listen(&listener, address, NULL);

    if (rc != 0)
        return rc;
    rc = tn_accept(listener, out);
    tn_listener_close(listener);
    return rc;
}

static int open_stream(tn_stream **out)
{
    if (listens)
        return accept_one(out);
    return is_unix(address) ? tn_unix_connect(NULL, out, address) : tn_tcp_connect(NULL, out, address);
}

/* In its own fiber: standard input to the socket. An error ends the program, except that the peer has ended first. */
static void *send_input(void *arg)
{
    tn_io socket = *(tn_io *)arg;
    tn_file *input;
    int rc = tn_file_borrow(&input, STDIN_FILENO);

    if (rc == 0) {
        rc = tn_copy(socket, tn_file_io(input), NULL, NULL);
        if (rc == 0)
            rc = tn_io_close_write(socket);
        tn_file_close(input);
    }
    if (rc == TN_EPIPE || rc == TN_ECANCELED)
        return NULL;
    if (rc != 0)
        tn_io_abort(socket);
    return (void *)(intptr_t)rc;
}

/* Cancels the sender. Returns its error, or else `rc`. */
static int end_sender(tn_task *sender, int rc)
{
    void *result = NULL;

    tn_cancel(sender);
    (void)tn_join(sender, &result);
    return result != NULL ? (int)(intptr_t)result : rc;
}

static void *run(void *arg)
{
    tn_stream *stream = NULL;
    tn_file *output = NULL;
    tn_task *sender = NULL;
    tn_io socket;
    int *result = arg;
    int rc = open_stream(&stream);

    socket = tn_stream_io(stream);
    if (rc == 0)
        rc = tn_file_borrow(&output, STDOUT_FILENO);
    if (rc == 0)
        rc = tn_spawn(&sender, send_input, &socket);
    if (rc == 0) {
        rc = tn_copy(tn_file_io(output), socket, NULL, NULL);
        rc = end_sender(sender, rc);
    }
    tn_file_close(output);
    tn_stream_close(stream);
    *result = rc;
    return NULL;
}

int main(int argc, char **argv)
{
    int result = 0;
    int rc;

    listens = argc == 3 && strcmp(argv[1], "--listen") == 0;
    if (argc != 2 && !listens) {
        (void)fprintf(stderr, "usage: netcat [--listen] ADDRESS\n");
        return 2;
    }
    address = argv[argc - 1];
    rc = tn_run(run, &result, NULL);
    if (rc == 0)
        rc = result;
    if (rc != 0)
        (void)fprintf(stderr, "netcat: %s: %s\n", address, tn_strerror(rc));
    return rc == 0 ? 0 : 1;
}
