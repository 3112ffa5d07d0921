/* SPDX-License-Identifier: MIT */
#include "endpoint/endpoint.h"

#include "base/log.h"
#include "os/os_socket.h"
#include "sched/budget_fiber.h"

/* Bits of the operation word that are never taken back; those above are in flight (tni_operation). */
#define CLOSING 1u
#define LET_GO 2u
#define FINISHED 4u
#define IN_FLIGHT (~(CLOSING | LET_GO | FINISHED))

#define USES_MAX (UINT32_MAX / TNI_OPERATION_USE - 1)

void tni_endpoint_init(tni_endpoint *endpoint, tn_runtime *runtime, const tni_endpoint_ops *ops, int fd)
{
    endpoint->runtime = runtime;
    endpoint->ops = ops;
    endpoint->fd = fd;
    tni_a32_init(&endpoint->operations, 0);
    tni_a32_init(&endpoint->references, 1);
    tni_aptr_init(&endpoint->registration, NULL);
}

/* --- In flight ------------------------------------------------------------------------------------------------------------ */

int tni_endpoint_begin(tni_endpoint *endpoint, tni_operation operation)
{
    /* Relaxed: the CAS checks it. */
    uint32_t old = tni_a32_load(&endpoint->operations, TNI_RELAXED);

    do {
        if (old & CLOSING)
            return TN_EBADF;
        if (operation != TNI_OPERATION_USE && (old & operation))
            return TN_EBUSY;
        tni_assert(old / TNI_OPERATION_USE < USES_MAX, "too many threads use a stream at once");
        /* Acquire: what the operation before on this side left behind (a side has fields of its own); partner: tni_endpoint_end.
         * That the closer sees us, or we see it, needs no more than that both change one word. */
    } while (!tni_a32_cas(&endpoint->operations, &old, old + operation, TNI_ACQUIRE));
    return 0;
}

/* Nobody is in flight and nobody will be: the number may come back from accept after this, and not before. */
static void finish(tni_endpoint *endpoint)
{
    /* Acquire: the registration as whoever opened it left it. */
    tni_registration *registration = tni_aptr_load(&endpoint->registration, TNI_ACQUIRE);
    uint32_t old;

    if (registration != NULL)
        tni_registration_close(registration);
    else
        tni_os_close(endpoint->fd);
    /* Release: who frees comes after all we did here. Acquire: if that is us, after all the others did. Partner: mark_closing. */
    old = tni_a32_fetch_or(&endpoint->operations, FINISHED, TNI_ACQ_REL);
    tni_assert(!(old & FINISHED), "a stream is closed twice");
    if (old & LET_GO)
        endpoint->ops->release(endpoint);
}

void tni_endpoint_end(tni_endpoint *endpoint, tni_operation operation)
{
    /* Release: our use of the fd comes before its close, and our fields before the next operation's look; partners: finish and
     * tni_endpoint_begin. Acquire: if the finish falls to us, the others' uses come before it. */
    uint32_t old = tni_a32_fetch_sub(&endpoint->operations, operation, TNI_ACQ_REL);

    tni_debug_assert(old & (operation == TNI_OPERATION_USE ? IN_FLIGHT : operation), "an operation ends that has not begun");
    if (tni_unlikely(old & CLOSING) && ((old - operation) & IN_FLIGHT) == 0)
        finish(endpoint);
}

bool tni_endpoint_is_closing(const tni_endpoint *endpoint)
{
    /* Acquire: what the closer wrote before is seen by who is told TN_ECANCELED. */
    return tni_a32_load(&endpoint->operations, TNI_ACQUIRE) & CLOSING;
}

/* --- The end --------------------------------------------------------------------------------------------------------------- */

/* The first closer alone, and it is in flight. */
static void end_waits(tni_endpoint *endpoint)
{
    tni_registration *registration;

    if (endpoint->ops->closing != NULL)
        endpoint->ops->closing(endpoint);
    /* CLOSING before the look at the registration; against open_registration: the registration before the look at CLOSING. One of
     * the two sees the other. */
    tni_fence_full();
    /* Acquire: the registration as its opener left it. */
    registration = tni_aptr_load(&endpoint->registration, TNI_ACQUIRE);
    if (registration != NULL)
        tni_registration_cancel_all(registration);
}

/* `more`: 0, or LET_GO. */
static void mark_closing(tni_endpoint *endpoint, uint32_t more)
{
    /* Relaxed: the CAS checks it. */
    uint32_t old = tni_a32_load(&endpoint->operations, TNI_RELAXED);
    uint32_t wanted;

    do {
        wanted = old | CLOSING | more;
        if (!(old & CLOSING))
            wanted += TNI_OPERATION_USE; /* so that nobody finishes while we wake the waiters */
        /* Release: what this holder of a reference did comes before the free; acquire: if the free falls to us, what the finisher
         * did. Partner: finish. */
    } while (!tni_a32_cas(&endpoint->operations, &old, wanted, TNI_ACQ_REL));
    if (!(old & CLOSING)) {
        end_waits(endpoint);
        tni_endpoint_end(endpoint, TNI_OPERATION_USE);
    } else if ((old & FINISHED) && more == LET_GO) {
        endpoint->ops->release(endpoint);
    }
}

void tni_endpoint_retain(tni_endpoint *endpoint)
{
    /* Relaxed: the caller has a reference, one more publishes nothing. */
    uint32_t old = tni_a32_fetch_add(&endpoint->references, 1, TNI_RELAXED);

    tni_assert(old != 0 && old != UINT32_MAX, "a stream or listener is retained that nobody holds");
}

void tni_endpoint_release(tni_endpoint *endpoint)
{
    /* Release: what each holder did comes before the free. Acquire: for the last one. */
    uint32_t old = tni_a32_fetch_sub(&endpoint->references, 1, TNI_ACQ_REL);

    tni_assert(old != 0, "a stream or listener is released that nobody holds");
    if (old == 1)
        mark_closing(endpoint, LET_GO);
}

void tni_endpoint_close(tni_endpoint *endpoint)
{
    mark_closing(endpoint, 0);
    tni_endpoint_release(endpoint);
}

/* --- Waiting --------------------------------------------------------------------------------------------------------------- */

/* Reader and writer may come here at once: who is second finds the registration of the first. Not inline: once a connection, and
 * each poll would pay for its frame. */
__attribute__((noinline)) static int open_registration(tni_endpoint *endpoint)
{
    tni_registration *registration;
    void *nobody = NULL;
    int rc = tni_registration_make(endpoint->runtime, endpoint->fd, &registration);

    if (rc != 0) /* the other side may have had more luck */
        return tni_endpoint_registration(endpoint) != NULL ? 0 : rc;
    /* Publishes the registration; partner: tni_endpoint_registration. */
    if (!tni_aptr_cas(&endpoint->registration, &nobody, registration, TNI_RELEASE)) {
        tni_registration_discard(registration);
        return 0;
    }
    /* Not before others know it: the second one's waits may come earlier, and its close does not, because we are in flight. */
    tni_registration_watch(registration);
    /* Against end_waits: a closer that did not see it is seen here, and then the shutting falls to us. So every wait on this
     * registration, now or later and by whomever, ends, and none of them needs a fence of its own. */
    tni_fence_full();
    if (tni_endpoint_is_closing(endpoint))
        tni_registration_cancel_all(registration);
    return 0;
}

int tni_endpoint_poll(tni_endpoint *endpoint, tni_side side, tn_waker *waker)
{
    if (tni_endpoint_is_closing(endpoint))
        return TN_ECANCELED;
    if (tni_unlikely(tni_endpoint_registration(endpoint) == NULL)) {
        int rc = open_registration(endpoint);
        if (rc != 0)
            return rc;
    }
    return tni_registration_poll(tni_endpoint_registration(endpoint), side, waker);
}

void tni_endpoint_unregister(tni_endpoint *endpoint, tni_side side)
{
    tni_registration *registration = tni_endpoint_registration(endpoint);

    if (registration != NULL)
        tni_registration_unregister(registration, side);
}

typedef struct {
    tn_future base;
    tni_endpoint *endpoint;
    tni_side side;
} wait_future;

static int wait_poll(tn_future *self, tn_waker *waker)
{
    wait_future *future = tni_container_of(self, wait_future, base);

    return tni_endpoint_poll(future->endpoint, future->side, waker);
}

static void wait_drop(tn_future *self)
{
    wait_future *future = tni_container_of(self, wait_future, base);

    tni_endpoint_unregister(future->endpoint, future->side);
}

/* The code that would end the operation never runs. */
static void wait_abandon(tn_future *self, tn_task *task)
{
    wait_future *future = tni_container_of(self, wait_future, base);

    (void)task;
    wait_drop(self);
    tni_endpoint_end(future->endpoint, tni_endpoint_operation(future->side));
}

static const tn_future_ops wait_ops = {wait_poll, wait_drop, "socket", wait_abandon};

int tni_endpoint_wait(tni_endpoint *endpoint, tni_side side)
{
    wait_future future = {{&wait_ops}, endpoint, side};

    return tn_await(&future.base);
}

int tni_endpoint_go_on(tni_endpoint *endpoint, tni_side side)
{
    wait_future in_flight = {{&wait_ops}, endpoint, side};

    return tni_budget_enter_part(&in_flight.base);
}

tn_runtime *tni_endpoint_runtime(tn_runtime *runtime, const char *what)
{
    if (runtime == NULL)
        runtime = tn_runtime_current();
    if (runtime == NULL)
        tni_log_write(NULL, TN_LOG_ERROR, "%s: called on a thread that is in no task: name the runtime in the call", what);
    return runtime;
}

int tni_endpoint_address(tni_endpoint *endpoint, tni_address_get get, char *buf, size_t size)
{
    tni_address address;
    int rc;

    if (size < TN_ADDRESS_SIZE)
        return TN_EINVAL;
    rc = tni_endpoint_begin(endpoint, TNI_OPERATION_USE);
    if (rc != 0)
        return rc;
    address.length = sizeof address.socket;
    rc = get(endpoint->fd, &address.socket.any, &address.length);
    tni_endpoint_end(endpoint, TNI_OPERATION_USE);
    if (rc == 0)
        tni_address_print(&address, buf);
    return rc;
}
