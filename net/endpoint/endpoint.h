/* SPDX-License-Identifier: MIT */
/* What streams and listeners share: an fd, who is using it, how to wait on it, and its end. README.md has the argument.
 *
 * Operation word. Who uses the fd is in flight: at most one reader (who accepts, for a listener), at most one writer, and any
 * number of short uses that never wait. Bits that are only ever set: CLOSING, LET_GO (nobody holds a reference), FINISHED (the fd
 * has been given away to be closed).
 *
 *   begin   needs !CLOSING, and its own side free       sets its bit, or counts one use more
 *   end     takes it back; with CLOSING and nothing in flight any more: finish
 *   close   sets CLOSING, once; ends the waits; is a short use meanwhile
 *   finish  once: gives the fd to be closed, sets FINISHED
 *   free    once: by whoever brings LET_GO and FINISHED together
 *
 * So who is in flight has the fd for himself: it is not closed, and its number is nobody else's.
 */
#ifndef TNI_ENDPOINT_H
#define TNI_ENDPOINT_H

#include <tn/task.h>

#include "address/address.h"
#include "io/driver.h"

typedef struct tni_endpoint tni_endpoint;

typedef struct {
    void (*closing)(tni_endpoint *endpoint); /* once, the fd still open: ends what waits elsewhere; may be NULL */
    void (*release)(tni_endpoint *endpoint); /* last of all: frees the memory */
} tni_endpoint_ops;

/* Small: a connection among thousands has left the caches by its next request. */
struct tni_endpoint {
    tn_runtime *runtime;         /* constant */
    const tni_endpoint_ops *ops; /* constant */
    int fd;                      /* constant; ours until FINISHED */
    tni_a32 operations;          /* the operation word */
    tni_a32 references;          /* of the callers */
    bool tcp;                    /* a stream's, constant: a short read or write says that nothing is left */
    bool read_may_be_stale;      /* a stream's reader: the readiness word may say READ though all has been read */
    tni_aptr registration;       /* tni_registration *, from the first wait to the finish; before: NULL */
};

typedef enum {
    TNI_OPERATION_READ = 8,
    TNI_OPERATION_WRITE = 16,
    TNI_OPERATION_USE = 32, /* short, any number of them */
} tni_operation;

/* The fd becomes the endpoint's; the caller has the one reference. */
void tni_endpoint_init(tni_endpoint *endpoint, tn_runtime *runtime, const tni_endpoint_ops *ops, int fd);

void tni_endpoint_retain(tni_endpoint *endpoint);
/* The last one closes. */
void tni_endpoint_release(tni_endpoint *endpoint);
/* Ends the waits with TN_ECANCELED, and gives back a reference. */
void tni_endpoint_close(tni_endpoint *endpoint);

/* 0; TN_EBADF: it is closed; TN_EBUSY: somebody else has that side. */
int tni_endpoint_begin(tni_endpoint *endpoint, tni_operation operation);
void tni_endpoint_end(tni_endpoint *endpoint, tni_operation operation);

bool tni_endpoint_is_closing(const tni_endpoint *endpoint);

/* What follows is for who is in flight on `side`. */

/* The registration, or NULL if nobody has waited yet. */
static inline tni_registration *tni_endpoint_registration(const tni_endpoint *endpoint)
{
    /* Acquire: the registration as its opener left it; partner: open_registration. */
    return tni_aptr_load(&endpoint->registration, TNI_ACQUIRE);
}

/* 0: worth a try; TN_ECANCELED: it is closing; TN_PENDING: `waker` is kept; or another error: it cannot be waited for. */
int tni_endpoint_poll(tni_endpoint *endpoint, tni_side side, tn_waker *waker);
/* The waker is let go. */
void tni_endpoint_unregister(tni_endpoint *endpoint, tni_side side);

/* Suspends until tni_endpoint_poll answers; checkpoint. If the fiber is abandoned meanwhile, its operation on `side` ends. */
int tni_endpoint_wait(tni_endpoint *endpoint, tni_side side);

/* As tni_budget_enter, between two parts of the operation. If the fiber is abandoned meanwhile, the operation ends. */
int tni_endpoint_go_on(tni_endpoint *endpoint, tni_side side);

static inline tni_operation tni_endpoint_operation(tni_side side)
{
    return side == TNI_READ ? TNI_OPERATION_READ : TNI_OPERATION_WRITE;
}

/* `runtime`, or that of the calling task; NULL: there is none, and a line in the log says so about `what`. */
tn_runtime *tni_endpoint_runtime(tn_runtime *runtime, const char *what);

/* The address that `get` (tni_os_local_address, tni_os_peer_address) answers, as text. */
typedef int (*tni_address_get)(int fd, struct sockaddr *address, socklen_t *length);
int tni_endpoint_address(tni_endpoint *endpoint, tni_address_get get, char *buf, size_t size);

#endif
