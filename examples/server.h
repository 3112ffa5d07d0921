/* SPDX-License-Identifier: MIT */
/* What the servers of the library share: the command line, the listener, and the end. */
#ifndef SERVER_H
#define SERVER_H

#include <tn.h>

#include "server_options.h"

/* Parses the command line, listens on 127.0.0.1, and calls `handler` with `arg` for each connection, in a fiber of its own
 * (tn/serve.h). `scheme`: what the line "listening on ..." has before the address: "http://" or "". Returns the exit status.
 *
 * The first SIGTERM or SIGINT ends idle connections, and lets busy ones finish. The second one ends all of them. After that a
 * further one kills the program, as it kills any other. */
int server_main(server_options *options, int argc, char **argv, const char *scheme, tn_session_fn handler, void *arg);

#endif
