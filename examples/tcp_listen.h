/* SPDX-License-Identifier: MIT */
/* A listening socket without tournant, for the servers that it is compared with. */
#ifndef TCP_LISTEN_H
#define TCP_LISTEN_H

#include <stdbool.h>

#include "server_options.h"

/* Listens on 127.0.0.1 at options->port and prints that on stderr. If it cannot listen, it ends the program with a message. */
int tcp_listen(const server_options *options);

/* Waits for the next connection and accepts it, with `flags` of accept4 and TCP_NODELAY. When files or memory run out, it
 * prints a message and tries again after a pause, which grows. Connections that were closed before they were accepted are
 * skipped. */
int tcp_accept(const server_options *options, int listener, int flags);

#endif
