/* SPDX-License-Identifier: MIT */
/* An operation on an endpoint as a future: the same try, then clear (attempt.h), with a poll in place of the wait. The operation
 * is in flight from the first poll until the result or the drop. */
#ifndef TNI_ATTEMPT_POLL_H
#define TNI_ATTEMPT_POLL_H

#include "endpoint/attempt.h"
#include "task/budget.h"

/* Begins the operation, unless an earlier poll has. Between two polls the endpoint may have been closed, also if the earlier one
 * ended for lack of budget and registered no waker. */
static inline int tni_attempt_poll_begin(tni_endpoint *endpoint, tni_side side, bool *in_flight)
{
    int rc;

    if (*in_flight)
        return tni_endpoint_is_closing(endpoint) ? TN_EBADF : 0;
    rc = tni_endpoint_begin(endpoint, tni_endpoint_operation(side));
    if (rc == 0)
        *in_flight = true;
    return rc;
}

/* In flight: tries, and registers the waker if the side is not ready. A poll that follows one that was pending asks for a close
 * before it tries, as a waiting call does. Returns the result of the try, TN_PENDING, or why it cannot be waited for. */
static inline int tni_attempt_poll(tni_endpoint *endpoint, tni_side side, const tni_attempt *what, bool *waiting, tn_waker *waker)
{
    for (;;) {
        ssize_t n;

        if (*waiting) {
            int rc = tni_endpoint_poll(endpoint, side, waker);
            if (rc != 0)
                return rc;
            *waiting = false;
        }
        n = tni_attempt_once(endpoint, side, what);
        if (n != TN_EAGAIN)
            return (int)n;
        *waiting = true;
    }
}

/* Ends the operation, if it is in flight. */
static inline void tni_attempt_poll_end(tni_endpoint *endpoint, tni_side side, bool *in_flight, bool *waiting)
{
    if (!*in_flight)
        return;
    if (*waiting)
        tni_endpoint_unregister(endpoint, side);
    *waiting = false;
    *in_flight = false;
    tni_endpoint_end(endpoint, tni_endpoint_operation(side));
}

#endif
