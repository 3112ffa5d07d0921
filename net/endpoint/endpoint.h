/* SPDX-License-Identifier: MIT */
/* The common part of streams and listeners: a file descriptor, the operations in flight on it, waiting, and closing. README.md
 * ("The operation word") has the argument.
 *
 * The operation word says which operations are *in flight*, that is, use the fd: at most one reader (for a listener: the
 * accepting task), at most one writer, and any number of short uses that never wait. Three more bits are set once and never
 * cleared: CLOSING, RELEASED (no reference is left), FINISHED (the fd has been handed over to be closed).
 *
 *   begin   requires !CLOSING and that the operation's own side is free; sets its bit, or counts one more use
 *   end     undoes that; if CLOSING is set and nothing is in flight any more: finish
 *   close   sets CLOSING, once, and cancels the waits; it counts as a short use until that is done
 *   finish  once: hands the fd over to be closed, sets FINISHED
 *   free    once: by the thread whose change completes RELEASED and FINISHED
 *
 * While an operation is in flight, the fd is not closed. So the kernel cannot give its number to another file.
 */
#ifndef TNI_ENDPOINT_H
#define TNI_ENDPOINT_H

#include <tn/task.h>

#include "address/address.h"
#include "io/driver.h"

typedef struct tni_endpoint tni_endpoint;

typedef struct {
    void (*closing)(tni_endpoint *endpoint); /* called once, while the fd is open: ends other waits; may be NULL */
    void (*release)(tni_endpoint *endpoint); /* called last: frees the memory */
    bool listens;                            /* its close waits for no peer, and other processes may accept from its socket */
} tni_endpoint_ops;

/* Kept small: of thousands of connections, each has left the caches by its next request. */
struct tni_endpoint {
    tn_runtime *runtime;         /* constant */
    const tni_endpoint_ops *ops; /* constant */
    int fd;                      /* constant; the endpoint's until FINISHED */
    tni_a32 operations;          /* the operation word */
    tni_a32 references;          /* held by callers */
    bool tcp;                    /* constant: the socket is TCP */
    bool given;             /* constant: the fd was made elsewhere, so the program may know it, use it, and set its options */
    bool read_may_be_stale; /* written by the reader (attempt.h): the readiness word may have READ set although all is read */
    tni_aptr registration;  /* tni_registration *, from the first wait to the finish; NULL before */
};

typedef enum {
    TNI_OPERATION_READ = 8,
    TNI_OPERATION_WRITE = 16,
    TNI_OPERATION_USE = 32, /* a short use; any number at once */
} tni_operation;

/* Takes over the fd; the caller owns the only reference. */
void tni_endpoint_init(tni_endpoint *endpoint, tn_runtime *runtime, const tni_endpoint_ops *ops, int fd, bool tcp);

void tni_endpoint_retain(tni_endpoint *endpoint);
/* Gives up a reference; the last one closes. */
void tni_endpoint_release(tni_endpoint *endpoint);
/* Cancels the waits (TN_EBADF), and gives up a reference. */
void tni_endpoint_close(tni_endpoint *endpoint);

/* Begins an operation. Returns 0; TN_EBADF: the endpoint is closed; TN_EBUSY: another operation is in flight on that side. */
int tni_endpoint_begin(tni_endpoint *endpoint, tni_operation operation);
void tni_endpoint_end(tni_endpoint *endpoint, tni_operation operation);

bool tni_endpoint_is_closing(const tni_endpoint *endpoint);

/* Call the following functions only while an operation on `side` is in flight. */

/* Returns the registration, or NULL if no operation has waited yet. */
static inline tni_registration *tni_endpoint_registration(const tni_endpoint *endpoint)
{
    /* Acquire: observes the registration as its opener left it; partner: open_registration. */
    return tni_aptr_load(&endpoint->registration, TNI_ACQUIRE);
}

/* Returns 0: the operation may succeed now; TN_PENDING: `waker` is registered; TN_EBADF: the endpoint is closing; or the
 * error for which it cannot be waited for. */
int tni_endpoint_poll(tni_endpoint *endpoint, tni_side side, tn_waker *waker);
/* Releases the registered waker. */
void tni_endpoint_unregister(tni_endpoint *endpoint, tni_side side);

/* Suspends until tni_endpoint_poll returns a result; a cancellation point. If the fiber is abandoned in it, its operation on
 * `side` ends. */
int tni_endpoint_wait(tni_endpoint *endpoint, tni_side side);

/* Does what tni_budget_enter does, between two parts of the operation. If the fiber is abandoned in it, the operation ends. */
int tni_endpoint_go_on(tni_endpoint *endpoint, tni_side side);

static inline tni_operation tni_endpoint_operation(tni_side side)
{
    return side == TNI_READ ? TNI_OPERATION_READ : TNI_OPERATION_WRITE;
}

/* Returns `runtime`, or if that is NULL, that of the calling task. If there is none, it logs a line that names the call `what`,
 * and returns NULL. */
tn_runtime *tni_endpoint_runtime(tn_runtime *runtime, const char *what);

/* tni_os_local_address or tni_os_peer_address. */
typedef int (*tni_address_get)(int fd, struct sockaddr *address, socklen_t *length);
/* Writes the address that `get` returns to `buf`, as text. */
int tni_endpoint_address(tni_endpoint *endpoint, tni_address_get get, char *buf, size_t size);

#endif
