/* SPDX-License-Identifier: MIT */
/* A plain listening socket, for the servers that tournant is compared with. */
#ifndef TCP_LISTEN_H
#define TCP_LISTEN_H

#include <stdbool.h>

#include "server_options.h"

/* Listens on 127.0.0.1 at options->port and says so on stderr. Ends the program with a message when it cannot. */
int tcp_listen(const server_options *options);

/* Accepts the next connection (blocking), with `flags` of accept4 and TCP_NODELAY. Out of files or memory it says so and tries
 * again after a growing pause; connections that died in the queue are skipped. */
int tcp_accept(const server_options *options, int listener, int flags);

#endif
