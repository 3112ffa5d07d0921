/* SPDX-License-Identifier: MIT */
/* A server that shows what a runtime is doing, for people and for monitoring: the library tournant_admin. */
#ifndef TN_ADMIN_H
#define TN_ADMIN_H

#include <string.h>

#include <tn/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The server. It has a thread with a runtime of its own, so it responds while every worker of the other runtime is stuck. */
typedef struct tn_admin tn_admin;

/* Options of the server; begin with tn_admin_options_default(). */
typedef struct tn_admin_options {
    size_t size;               /* of this struct, in bytes; set by tn_admin_options_default() */
    unsigned connections_max;  /* connections at once; 0: 32. A further one ends the oldest that has sent no request */
    bool allow_remote;         /* other addresses than those of this machine are allowed, and any name in Host */
    unsigned char reserved[3]; /* 0 */
} tn_admin_options;

/* Returns the default options.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result is a value.
 * Errors: none.
 * Cancellation: no. */
static inline tn_admin_options tn_admin_options_default(void)
{
    tn_admin_options options;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    return options;
}

/* Starts a server for `runtime`. `address`: "127.0.0.1:9100", "[::1]:9100" or "unix:/path"; port 0 lets the kernel choose.
 * The file of a Unix socket has mode 0600. `options`: NULL for the defaults.
 *
 * - `/metrics`: all of tn_metrics_snapshot, in the format OpenMetrics.
 * - `/tasks`: the tasks as JSON. `?name=TEXT`, `?waits=TEXT`: those whose name, or kind of wait, contains the text.
 *   `?limit=N`: at most so many, 1000 if not given. `?offset=N`: without the first ones; `more` in the response says whether
 *   there are further ones.
 * - `/dump`: tn_dump_grouped.
 * - `/profile`: what the workers run for some seconds, as folded stacks: a line for each stack, and how many microseconds tasks
 *   were seen there. `?seconds=N`: for so long, at most 60, 5 if not given. `?of=waits`: where tasks wait, and how long all of
 *   them together. `?format=svg`: a flame graph. `?by=name`: the name of the task is the root of each stack. One profile at a
 *   time: another request gets 409. Stacks of what runs need tn_options.report_stuck_ns. At most 2048 different stacks have
 *   lines of their own. It ends early if the client closes its side.
 * - `/healthz`: status 200 while a worker has slept or run a task within the last 5 s, else 503.
 *
 * Only GET and HEAD are accepted, and nothing that they do changes the runtime. The server has no passwords: each client
 * that reaches the address reads names, notes and stacks. A web page in a browser on this machine can reach a loopback
 * address too. So a request must name a loopback address or localhost in Host, unless `allow_remote` is set or the socket is
 * a Unix socket.
 *
 * What the server needs is allocated here. It takes no lock that code of the program can hold, with two exceptions. Inside
 * libuv, when the number of a descriptor exceeds all earlier ones, which calls malloc. And in a current-thread runtime a detached
 * task may end at the moment at which a page reads it: then its drop_result is called on the server's thread.
 *
 * Suspends: no; it blocks the thread until the server listens.
 * Callable from: anywhere.
 * Ownership: borrows the runtime until tn_admin_stop, which must come before tn_runtime_destroy.
 * Errors: TN_EINVAL: not an address, or the options are refused. TN_EACCES: not an address of this machine alone, and
 * allow_remote is not set. TN_EADDRINUSE, TN_EAGAIN, TN_ENOMEM, TN_EMFILE, and other errors of the kernel.
 * Cancellation: no. */
TN_API int tn_admin_start(tn_admin **out, tn_runtime *runtime, const char *address, const tn_admin_options *options);

/* Returns the address, with the port that the kernel chose; of a Unix socket the path behind "unix:".
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the text belongs to the server.
 * Errors: none.
 * Cancellation: no. */
TN_API const char *tn_admin_address(const tn_admin *admin);

/* Ends the server: requests in progress are cut short. NULL is allowed. The file of a Unix socket is removed, unless another
 * server has replaced it. In a child of fork it does nothing: the server belongs to the parent.
 *
 * Suspends: no; it blocks the thread for as long as the ends of the connections take, some milliseconds.
 * Callable from: anywhere.
 * Ownership: consumes the server.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_admin_stop(tn_admin *admin);

#ifdef __cplusplus
}
#endif

#endif
