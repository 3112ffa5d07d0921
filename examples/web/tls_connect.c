/* SPDX-License-Identifier: MIT */
/* tls_connect: standard input and output over TLS, as netcat does over TCP.
 *
 * It shows a client: a connection, a handshake with a deadline that verifies the server's name, and tn_copy_both between the
 * session and the standard streams. A session is a byte stream like any other.
 *
 * Run:   tls_connect www.example.org:443
 *        (`--authorities FILE`, `--certificate FILE --key FILE`; `--name NAME`: the name to verify)
 * See:   "connected: TLS 1.3, …", then what the server sends. If its certificate is refused: the reason, and status 1. */
#include <stdio.h>
#include <string.h>
#include <tn.h>
#include <tn/tls.h>
#include <unistd.h>

enum { CONNECT_S = 10, NAME_SIZE = 256 };

typedef struct setup {
    tn_tls_context_options options;
    const char *address;
    const char *name;
    int rc; /* how it has ended */
} setup;

/* Sends standard input, then close_notify. */
static void *send_input(void *arg)
{
    tn_io io = tn_tls_io(arg);
    tn_file *input;
    char buf[4096];
    ssize_t n = 0;

    if (tn_file_borrow(&input, STDIN_FILENO) != 0)
        return NULL;
    while (n >= 0 && (n = tn_io_read(tn_file_io(input), buf, sizeof buf)) > 0)
        n = tn_io_write_all(io, buf, (size_t)n);
    (void)tn_io_close_write(io);
    tn_file_close(input);
    return NULL;
}

static int copy_output(tn_tls *tls)
{
    tn_file *output;
    char buf[4096];
    ssize_t n;
    int rc = tn_file_borrow(&output, STDOUT_FILENO);

    if (rc != 0)
        return rc;
    while ((n = tn_io_read(tn_tls_io(tls), buf, sizeof buf)) > 0 && rc == 0)
        rc = tn_io_write_all(tn_file_io(output), buf, (size_t)n);
    tn_file_close(output);
    return n < 0 ? (int)n : rc;
}

static int talk(tn_tls *tls)
{
    tn_tls_info info = {.size = sizeof info};
    tn_group group;
    int rc;

    (void)tn_tls_get_info(tls, &info);
    fprintf(stderr, "connected: TLS 1.%d, %s, %s\n", (int)info.version % 10, info.cipher, info.peer_subject);
    tn_group_enter(&group, NULL);
    rc = tn_group_spawn(&group, NULL, send_input, tls);
    if (rc == 0)
        rc = copy_output(tls);
    tn_group_cancel(&group);
    tn_group_leave(&group);
    return rc;
}

static int connect_and_talk(const setup *self, tn_tls_context *context)
{
    tn_tls_options options = tn_tls_options_default();
    tn_stream *stream;
    tn_tls_error error;
    tn_tls *tls;
    int rc;

    options.host_name = self->name;
    options.peer = self->address;
    {
        TN_SCOPE(scope, tn_now() + CONNECT_S * TN_S);
        rc = tn_tcp_connect(NULL, &stream, self->address);
        if (rc != 0) {
            fprintf(stderr, "tls_connect: %s: %s\n", self->address, tn_strerror(rc));
            return rc;
        }
        rc = tn_tls_open(&tls, context, tn_stream_io(stream), &options);
        if (rc != 0) {
            tn_stream_close(stream);
            return rc;
        }
        rc = tn_tls_handshake(tls);
    }
    if (rc == 0)
        rc = talk(tls);
    tn_tls_last_error(tls, &error);
    if (rc != 0)
        fprintf(stderr, "tls_connect: %s\n", error.code != 0 ? error.text : tn_strerror(rc));
    tn_io_close(tn_tls_io(tls));
    return rc;
}

static void *run(void *arg)
{
    setup *self = arg;
    tn_tls_context *context;
    tn_tls_error error;

    self->rc = tn_tls_context_open(&context, &self->options, &error);
    if (self->rc != 0) {
        fprintf(stderr, "tls_connect: %s\n", error.text);
        return NULL;
    }
    self->rc = connect_and_talk(self, context);
    tn_tls_context_release(context);
    return NULL;
}

int main(int argc, char **argv)
{
    static char name[NAME_SIZE];
    setup self = {.options = tn_tls_context_options_default()};

    for (int i = 1; i < argc; i++) {
        const char **to = strcmp(argv[i], "--authorities") == 0   ? &self.options.authorities
                          : strcmp(argv[i], "--certificate") == 0 ? &self.options.certificate
                          : strcmp(argv[i], "--key") == 0         ? &self.options.key
                          : strcmp(argv[i], "--name") == 0        ? &self.name
                                                                  : &self.address;
        if (to != &self.address && ++i == argc)
            break;
        *to = argv[i];
    }
    if (self.address == NULL) {
        fprintf(stderr, "usage: tls_connect [--authorities FILE] [--certificate FILE --key FILE] [--name NAME] HOST:PORT\n");
        return 2;
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(self.address, ":"), self.address);
    if (self.name == NULL)
        self.name = name;
    return tn_run(run, &self, NULL) == 0 && self.rc == 0 ? 0 : 1;
}
