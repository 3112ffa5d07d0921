/* SPDX-License-Identifier: MIT */
/* Operations in flight, closing and waiting of streams and listeners. endpoint.h describes the operation word. */
#include "endpoint/endpoint.h"

#include "base/log.h"
#include "os/os_socket.h"
#include "sched/budget_fiber.h"
#include "sched/runtime.h"

/* Bits of the operation word that are never cleared. The bits above them are the operations in flight (tni_operation). */
#define CLOSING 1u
#define RELEASED 2u
#define FINISHED 4u
#define IN_FLIGHT (~(CLOSING | RELEASED | FINISHED))

#define USES_MAX (UINT32_MAX / TNI_OPERATION_USE - 1)

void tni_endpoint_init(tni_endpoint *endpoint, tn_runtime *runtime, const tni_endpoint_ops *ops, int fd, bool tcp)
{
    endpoint->runtime = runtime;
    endpoint->ops = ops;
    endpoint->fd = fd;
    endpoint->tcp = tcp;
    endpoint->given = false;
    endpoint->read_may_be_stale = true;
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
        tni_assert(old / TNI_OPERATION_USE < USES_MAX, "too many short uses of a stream or listener at once");
        /* Acquire: observes what the previous operation on this side wrote (each side has its own fields); partner:
         * tni_endpoint_end. No stronger order is needed against a closer: both change the same word, so one sees the other. */
    } while (!tni_a32_cas(&endpoint->operations, &old, old + operation, TNI_ACQUIRE));
    return 0;
}

/* Called when no operation is in flight and none can begin. The fd's number may be reused after this call, and not before. */
static void finish(tni_endpoint *endpoint)
{
    /* Acquire: observes the registration as its opener left it; partner: open_registration. */
    tni_registration *registration = tni_aptr_load(&endpoint->registration, TNI_ACQUIRE);
    uint32_t old;

    /* Else the close could wait for the peer, on a worker. A child of fork shares the socket's options with its parent, and a
     * listener may share them with the next process, whose streams inherit them. */
    if (endpoint->given && !endpoint->ops->listens && !tni_runtime_is_inherited(endpoint->runtime))
        tni_os_stop_lingering(endpoint->fd);
    if (registration != NULL)
        tni_registration_close(registration);
    else
        tni_os_close(endpoint->fd);
    /* Release: publishes this thread's last accesses to the thread that frees. Acquire: if this call frees, it observes those
     * of the others. Partner: mark_closing. */
    old = tni_a32_fetch_or(&endpoint->operations, FINISHED, TNI_ACQ_REL);
    tni_assert(!(old & FINISHED), "a stream is closed twice");
    if (old & RELEASED)
        endpoint->ops->release(endpoint);
}

void tni_endpoint_end(tni_endpoint *endpoint, tni_operation operation)
{
    /* Release: this thread's use of the fd comes before its close, and its writes to the fields of this side before the next
     * operation on this side. Partners: finish and tni_endpoint_begin. Acquire: if this call finishes, the uses of the others
     * come before that. */
    uint32_t old = tni_a32_fetch_sub(&endpoint->operations, operation, TNI_ACQ_REL);

    tni_debug_assert(old & (operation == TNI_OPERATION_USE ? IN_FLIGHT : operation), "an operation ends that has not begun");
    if (tni_unlikely(old & CLOSING) && ((old - operation) & IN_FLIGHT) == 0)
        finish(endpoint);
}

bool tni_endpoint_is_closing(const tni_endpoint *endpoint)
{
    /* Acquire: a caller that gets TN_EBADF observes what the closer wrote before; partner: mark_closing. */
    return tni_a32_load(&endpoint->operations, TNI_ACQUIRE) & CLOSING;
}

/* --- The end --------------------------------------------------------------------------------------------------------------- */

/* Called only by the first closer, which counts as a short use meanwhile. */
static void end_waits(tni_endpoint *endpoint)
{
    tni_registration *registration;

    if (endpoint->ops->closing != NULL)
        endpoint->ops->closing(endpoint);
    /* Orders the store of CLOSING before the load of the registration. Partner: the fence in open_registration, which orders
     * the store of the registration before the load of CLOSING. So at least one of the two sees the other's store. */
    tni_fence_full();
    /* Acquire: observes the registration as its opener left it; partner: open_registration. */
    registration = tni_aptr_load(&endpoint->registration, TNI_ACQUIRE);
    if (registration != NULL)
        tni_registration_cancel_all(registration);
}

/* Sets CLOSING and `more`: 0 or RELEASED. */
static void mark_closing(tni_endpoint *endpoint, uint32_t more)
{
    /* Relaxed: the CAS checks it. */
    uint32_t old = tni_a32_load(&endpoint->operations, TNI_RELAXED);
    uint32_t wanted;

    do {
        wanted = old | CLOSING | more;
        if (!(old & CLOSING))
            wanted += TNI_OPERATION_USE; /* so that no thread finishes while this one wakes the waiters */
        /* Release: publishes what this holder of a reference did to the thread that frees. Acquire: if this call frees, it
         * observes what the finisher did. Partner: finish. */
    } while (!tni_a32_cas(&endpoint->operations, &old, wanted, TNI_ACQ_REL));
    if (!(old & CLOSING)) {
        end_waits(endpoint);
        tni_endpoint_end(endpoint, TNI_OPERATION_USE);
    } else if ((old & FINISHED) && more == RELEASED) {
        endpoint->ops->release(endpoint);
    }
}

void tni_endpoint_retain(tni_endpoint *endpoint)
{
    /* Relaxed: the caller has a reference, so one more publishes nothing. */
    uint32_t old = tni_a32_fetch_add(&endpoint->references, 1, TNI_RELAXED);

    tni_assert(old != 0 && old != UINT32_MAX, "a stream or listener is retained without a reference to it");
}

void tni_endpoint_release(tni_endpoint *endpoint)
{
    /* Release: what each holder did comes before the free. Acquire: the last one observes that. */
    uint32_t old = tni_a32_fetch_sub(&endpoint->references, 1, TNI_ACQ_REL);

    tni_assert(old != 0, "a stream or listener is released more often than retained");
    if (old == 1)
        mark_closing(endpoint, RELEASED);
}

void tni_endpoint_close(tni_endpoint *endpoint)
{
    mark_closing(endpoint, 0);
    tni_endpoint_release(endpoint);
}

/* --- Waiting --------------------------------------------------------------------------------------------------------------- */

/* The reader and the writer may call this at the same time; the second one finds the registration of the first. Not inline: it
 * runs once per connection, and inlined it would enlarge the frame of each poll. */
__attribute__((noinline)) static int open_registration(tni_endpoint *endpoint)
{
    tni_registration *registration;
    void *expected = NULL;
    int rc = tni_registration_make(endpoint->runtime, endpoint->fd, &registration);

    if (rc != 0) /* the other side may have succeeded */
        return tni_endpoint_registration(endpoint) != NULL ? 0 : rc;
    /* Release: publishes the registration; partner: tni_endpoint_registration. Weaker, its readers would see it
     * uninitialized. */
    if (!tni_aptr_cas(&endpoint->registration, &expected, registration, TNI_RELEASE)) {
        tni_registration_discard(registration);
        return 0;
    }
    /* Only now, when it is published. The other side may already wait on it, but its close comes later, because this operation
     * is in flight. */
    tni_registration_watch(registration);
    /* Orders the store of the registration before the load of CLOSING. Partner: the fence in end_waits. If the closer did not
     * see the registration, this thread sees CLOSING and cancels. So each wait on the registration ends, on both sides, now or
     * later, and no wait needs its own fence. */
    tni_fence_full();
    if (tni_endpoint_is_closing(endpoint))
        tni_registration_cancel_all(registration);
    return 0;
}

int tni_endpoint_poll(tni_endpoint *endpoint, tni_side side, tn_waker *waker)
{
    if (tni_endpoint_is_closing(endpoint))
        return TN_EBADF;
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

/* Ends the operation, because the code of the fiber that would end it never runs. */
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
        tni_log_write(NULL, TN_LOG_ERROR, "%s: called outside a task: pass the runtime in the call", what);
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
