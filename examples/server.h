/* SPDX-License-Identifier: MIT */
/* What the servers of the library share: the task that listens and accepts, and the main function around it. */
#ifndef SERVER_H
#define SERVER_H

#include <tn.h>

#include "server_options.h"

/* Parses the command line, listens on 127.0.0.1, and calls `session` with each connection (a tn_stream *) in a fiber of its
 * own, which closes it. `scheme`: what the line "listening on ..." has before the address: "http://" or "". Runs until the
 * program is killed. Returns the exit status. */
int server_main(server_options *options, int argc, char **argv, const char *scheme, tn_entry_fn session);

#endif
