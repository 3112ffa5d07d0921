/* SPDX-License-Identifier: MIT */
/* Try, then clear: how every operation on an endpoint asks the kernel, and waits if the socket is not ready.
 *
 *   1. Load the readiness word (seen). If it says that the side is not ready, do not try: the result is TN_EAGAIN.
 *   2. Try: one call of the kernel, which does not wait.
 *   3. If nothing was left, clear the side's bit, unless there was a report since `seen`.
 *   4. On TN_EAGAIN, wait until the side is ready, and begin again.
 *
 * An endpoint that has never waited has no registration: steps 1 and 3 are left out. README.md ("Readiness") has the argument.
 *
 * The functions are inline, and `run` is a constant in each call, so a read is one function without an indirect call.
 */
#ifndef TNI_ATTEMPT_H
#define TNI_ATTEMPT_H

#include "endpoint/endpoint.h"
#include "sched/budget_fiber.h"

/* The kernel moves at most 2^31 - 4096 bytes per call. Only for requests below that does a short count come from the socket. */
#define TNI_ATTEMPT_BYTES_MAX ((size_t)1 << 30)

/* One call of the kernel that does not wait. Returns a result that is not negative; TN_EAGAIN: the side is not ready; or an
 * error. */
typedef ssize_t (*tni_attempt_fn)(tni_endpoint *endpoint, void *arg);

/* What an operation asks for. */
typedef struct {
    tni_attempt_fn run;
    void *arg;
    size_t size; /* bytes; 0: the result is no number of bytes, or one that says nothing about the socket */
} tni_attempt;

/* Whether a count means that the receive queue is empty, or the send queue full. */
__attribute__((always_inline)) static inline bool tni_attempt_is_short(const tni_endpoint *endpoint, const tni_attempt *what,
                                                                       ssize_t n)
{
    return n > 0 && (size_t)n < what->size && what->size <= TNI_ATTEMPT_BYTES_MAX && endpoint->tcp;
}

/* In flight: steps 1 to 3. */
__attribute__((always_inline)) static inline ssize_t tni_attempt_once(tni_endpoint *endpoint, tni_side side,
                                                                      const tni_attempt *what)
{
    tni_registration *registration = tni_endpoint_registration(endpoint);
    uint64_t seen = 0;
    ssize_t n;

    if (registration != NULL) {
        seen = tni_registration_readiness(registration);
        if (!tni_readiness_is_worth_a_try(seen, side))
            return TN_EAGAIN;
    }
    n = what->run(endpoint, what->arg);
    if (registration == NULL)
        return n;
    if (n == TN_EAGAIN || (tni_attempt_is_short(endpoint, what, n) && tni_readiness_trusts_short(seen, side))) {
        seen = tni_registration_clear(registration, side, seen);
        /* A report after a clear is about new bytes, except one that was already under way during this try (tn/net.h says so).
         * If a report came in between, also one of a writable socket, the clear has no effect; then READ may be stale. */
        if (side == TNI_READ)
            endpoint->read_may_be_stale = tni_readiness_is_worth_a_try(seen, TNI_READ);
    }
    return n;
}

/* In flight: steps 1 to 4. */
__attribute__((always_inline)) static inline ssize_t tni_attempt_waiting(tni_endpoint *endpoint, tni_side side,
                                                                         const tni_attempt *what)
{
    ssize_t n;

    while ((n = tni_attempt_once(endpoint, side, what)) == TN_EAGAIN) {
        int rc = tni_endpoint_wait(endpoint, side);
        if (rc != 0)
            return rc;
    }
    return n;
}

/* A cancellation point: begins the operation of that side. */
__attribute__((always_inline)) static inline int tni_attempt_begin(tni_endpoint *endpoint, tni_side side)
{
    int rc = tni_budget_enter();

    return rc != 0 ? rc : tni_endpoint_begin(endpoint, tni_endpoint_operation(side));
}

/* A whole operation that waits; a cancellation point. */
__attribute__((always_inline)) static inline ssize_t tni_attempt_until_done(tni_endpoint *endpoint, tni_side side,
                                                                            const tni_attempt *what)
{
    ssize_t n = tni_attempt_begin(endpoint, side);

    if (n != 0)
        return n;
    n = tni_attempt_waiting(endpoint, side, what);
    tni_endpoint_end(endpoint, tni_endpoint_operation(side));
    return n;
}

/* A whole operation that does not wait. */
__attribute__((always_inline)) static inline ssize_t tni_attempt_now(tni_endpoint *endpoint, tni_side side,
                                                                     const tni_attempt *what)
{
    ssize_t n = tni_endpoint_begin(endpoint, tni_endpoint_operation(side));

    if (n != 0)
        return n;
    n = tni_attempt_once(endpoint, side, what);
    tni_endpoint_end(endpoint, tni_endpoint_operation(side));
    return n;
}

#endif
