/* SPDX-License-Identifier: MIT */
/* Registrations: opening and closing them in a loop, and reporting readiness to the waiters. README.md ("Driver") has the
 * argument. */
#include "io/driver.h"

#include "base/count.h"
#include "io/driver_upcalls.h"
#include "os/os_socket.h"

/* Requests of a registration to the owner of its loop. */
enum { REQUEST_OPEN = 1, REQUEST_CLOSE = 2 };

/* Neither it nor a stream is aligned to cache lines: aligning two small objects would cost more memory than the objects
 * have. */
struct tni_registration {
    tni_os_poll poll;          /* owner of the driver */
    tni_driver *driver;        /* constant; the driver of its loop */
    int fd;                    /* constant; owned by the registration once it is closed */
    bool opened;               /* owner of the driver: the fd is registered in the loop */
    bool closing;              /* owner of the driver: the fd has been closed */
    tni_a32 requests;          /* REQUEST_*; not 0: it is in the inbox */
    tni_a32 error;             /* positive errno value of registering the fd; 0: none */
    tni_inbox_node inbox_node; /* while in the inbox */
    tni_a64 readiness;         /* the readiness word */
    tni_wait waits[2];         /* by tni_side */
};

int tni_driver_init(tni_driver *driver, const tn_allocator *allocator)
{
    int rc;

    driver->allocator = allocator;
    driver->fork_generation = tni_fork_generation;
    tni_a32_init(&driver->owned, 0);
    tni_a32_init(&driver->incomplete, 0);
    driver->fetched.count = 0;
    driver->fetched.full = false;
    driver->fetched.borrowed = false;
    tni_inbox_init(&driver->inbox);
    tni_a32_init(&driver->registrations, 0);
    tni_a64_init(&driver->events, 0);
    rc = tni_os_loop_open(&driver->loop);
    if (rc == 0)
        tni_fd_waits_init(&driver->fd_waits, &driver->loop, &driver->registrations, allocator);
    return rc;
}

bool tni_driver_try_own(tni_driver *driver)
{
    uint32_t unowned = 0;

    /* Acquire: observes what the previous owner did to the loop and its registrations; partner: tni_driver_disown. */
    if (!tni_a32_cas(&driver->owned, &unowned, 1, TNI_ACQUIRE))
        return false;
    tni_held_add(&driver->owned);
    return true;
}

void tni_driver_disown(tni_driver *driver)
{
    tni_held_remove(&driver->owned);
    /* Release: publishes what this owner did; partner: tni_driver_try_own. */
    tni_a32_store(&driver->owned, 0, TNI_RELEASE);
}

/* --- Reports ---------------------------------------------------------------------------------------------------------------- */

static void report(tni_registration *registration, uint64_t bits)
{
    /* Relaxed: the CAS checks it. */
    uint64_t old = tni_a64_load(&registration->readiness, TNI_RELAXED);
    uint64_t fresh;

    /* Publishes the report; partner: tni_registration_readiness. A concurrent clear fails because of the tick. */
    while (!tni_a64_cas(&registration->readiness, &old, (old | bits) + TNI_READY_TICK, TNI_ACQ_REL))
        ;
    /* A waiter arms before it checks readiness. So the report that makes its side ready wakes it, and later reports need
     * not. */
    fresh = bits & ~old;
    if (tni_readiness_has(fresh, TNI_READ))
        (void)tni_wait_wake(&registration->waits[TNI_READ]);
    if (tni_readiness_has(fresh, TNI_WRITE))
        (void)tni_wait_wake(&registration->waits[TNI_WRITE]);
}

static void on_ready(tni_os_poll *poll, uint32_t events)
{
    tni_registration *registration = tni_container_of(poll, tni_registration, poll);

    tni_driver_assert_owner(registration->driver);
    tni_count(&registration->driver->events, 1);
    report(registration, events);
}

/* --- Opening and closing ---------------------------------------------------------------------------------------------------- */

static void free_registration(tni_registration *registration)
{
    /* Releases wakers that are left: no report will use them any more. */
    (void)tni_wait_disarm(&registration->waits[TNI_READ]);
    (void)tni_wait_disarm(&registration->waits[TNI_WRITE]);
    /* Relaxed: a hint. */
    (void)tni_a32_fetch_sub(&registration->driver->registrations, 1, TNI_RELAXED);
    tni_free(registration->driver->allocator, registration, sizeof *registration);
}

static void on_closed(tni_os_poll *poll)
{
    tni_registration *registration = tni_container_of(poll, tni_registration, poll);

    if (!registration->closing) { /* the stream was still open when the runtime was freed */
        tni_os_stop_lingering(registration->fd);
        tni_os_close(registration->fd);
    }
    free_registration(registration);
}

static const tni_os_poll_ops poll_ops = {on_ready, on_closed};

/* Records that the next run of the loop has something to complete. */
static void mark_incomplete(tni_driver *driver)
{
    tni_driver_assert_owner(driver);
    /* Relaxed: for a worker that is about to sleep it is ordered by the full fence in wake_for_incomplete. */
    tni_a32_store(&driver->incomplete, 1, TNI_RELAXED);
}

/* Registers the fd in the loop. If that fails, the waits end with the error. */
static void open_registration(tni_registration *registration)
{
    tni_driver *driver = registration->driver;
    int rc;

    tni_driver_assert_owner(driver);
    rc = tni_os_poll_open(&driver->loop, &registration->poll, registration->fd, &poll_ops);
    registration->opened = rc == 0;
    if (rc == 0)
        mark_incomplete(driver);
    if (rc != 0) {
        /* Relaxed: published by the report; partner: tni_registration_poll. */
        tni_a32_store(&registration->error, (uint32_t)-rc, TNI_RELAXED);
        report(registration, TNI_READY_CANCELLED);
    }
}

/* Unregisters from the loop, at once for the fd (which the caller then closes), later for the registration. */
static void unregister(tni_registration *registration)
{
    tni_driver_assert_owner(registration->driver);
    if (!registration->opened) {
        free_registration(registration);
        return;
    }
    registration->closing = true;
    tni_os_poll_close(&registration->driver->loop, &registration->poll);
    mark_incomplete(registration->driver);
}

/* Does what the requests of a registration in the inbox ask for. */
static void process_requests(tni_registration *registration)
{
    /* Acquire: observes what the poster wrote. Release: after the exchange the registration may be posted again. A poster that
     * finds 0 must not write the link before drain_inbox has read it; partner: post. */
    uint32_t requests = tni_a32_exchange(&registration->requests, 0, TNI_ACQ_REL);
    int fd = registration->fd;

    tni_driver_assert_owner(registration->driver);
    if ((requests & REQUEST_OPEN) && !(requests & REQUEST_CLOSE))
        open_registration(registration);
    if (requests & REQUEST_CLOSE) {
        unregister(registration);
        tni_os_close(fd);
    }
}

static void drain_inbox(tni_driver *driver)
{
    tni_inbox_node *next;

    tni_driver_assert_owner(driver);
    /* A worker that is about to sleep checks behind a full fence (tni_driver_has_incomplete); any other caller polls again. */
    for (tni_inbox_node *node = tni_inbox_take(&driver->inbox); node != NULL; node = next) {
        next = node->next; /* afterwards the registration may be posted again */
        process_requests(tni_container_of(node, tni_registration, inbox_node));
    }
}

/* Called after a push, or after disown if the next run of the loop may have something to complete: the core's worker must not
 * sleep before that. */
static void wake_for_incomplete(tni_driver *driver)
{
    /* Orders the push, or the mark, before the check whether the worker is parked. Pairs with the worker's fence (park, worker.c)
     * between its mark and its final check (tni_driver_has_incomplete). */
    tni_fence_full();
    tni_core_wake_driver(driver);
}

static void post(tni_registration *registration, uint32_t request)
{
    tni_driver *driver = registration->driver;

    /* Release: publishes what this thread wrote to the owner that processes the request. Acquire: orders the write of the link
     * after the owner's read. If the inbox has the registration already, its owner processes this request too; partner:
     * process_requests. */
    if (tni_a32_fetch_or(&registration->requests, request, TNI_ACQ_REL) != 0)
        return;
    tni_inbox_push(&driver->inbox, &registration->inbox_node);
    wake_for_incomplete(driver);
}

/* In place of a request, in a child of fork. The registration is left as it is: its memory may be in any state. */
static void request_in_child(tni_registration *registration, uint32_t what)
{
    if (what == REQUEST_CLOSE) {
        tni_os_close(registration->fd);
        return;
    }
    tni_fork_log_refusal("a wait for a stream or listener");
    tni_a32_store(&registration->error, (uint32_t)-TN_ESHUTDOWN, TNI_RELAXED); /* relaxed: as in open_registration */
    report(registration, TNI_READY_CANCELLED);
}

static void request(tni_registration *registration, uint32_t what)
{
    tni_driver *driver = registration->driver;
    int fd = registration->fd;

    if (tni_fork_is_inherited(driver->fork_generation)) {
        request_in_child(registration, what);
        return;
    }
    if (!tni_driver_try_own(driver)) {
        post(registration, what);
        return;
    }
    drain_inbox(driver); /* an open that was posted comes before this close */
    if (what == REQUEST_OPEN)
        open_registration(registration);
    else
        unregister(registration);
    tni_driver_disown(driver);
    wake_for_incomplete(driver);
    if (what == REQUEST_CLOSE)
        tni_os_close(fd); /* may take long, so not as the owner */
}

void tni_driver_fini(tni_driver *driver)
{
    tni_held_add(&driver->owned); /* no other thread uses it, so there is no need to take the word */
    drain_inbox(driver);
    tni_fd_waits_fini(&driver->fd_waits);
    tni_os_loop_close(&driver->loop);
    tni_held_remove(&driver->owned);
}

void tni_driver_poll(tni_driver *driver)
{
    drain_inbox(driver);
    /* Relaxed: only the owner writes it. */
    tni_a32_store(&driver->incomplete, 0, TNI_RELAXED);
    tni_os_loop_run(&driver->loop);
    if (tni_fd_waits_may_report(&driver->fd_waits))
        tni_fd_waits_report(&driver->fd_waits);
}

void tni_driver_sleep(tni_driver *driver, uint64_t timeout_ns)
{
    tni_os_loop_sleep(&driver->loop, timeout_ns, &driver->fetched);
}

bool tni_driver_report(tni_driver *driver)
{
    bool all;

    tni_driver_assert_owner(driver);
    all = tni_os_loop_report(&driver->loop, &driver->fetched);
    if (driver->fetched.borrowed) {
        driver->fetched.borrowed = false;
        tni_fd_waits_report(&driver->fd_waits);
    }
    return all;
}

bool tni_driver_has_incomplete(const tni_driver *driver)
{
    /* Relaxed, as the inbox: behind the fence of a worker that has marked its core parked; partner: wake_for_incomplete. */
    return tni_a32_load(&driver->incomplete, TNI_RELAXED) != 0 || !tni_inbox_is_empty(&driver->inbox);
}

/* --- For streams --------------------------------------------------------------------------------------------------------- */

int tni_registration_make(tn_runtime *runtime, int fd, tni_registration **out)
{
    tni_driver *driver = tni_core_choose_driver(runtime);
    tni_registration *registration = tni_alloc(driver->allocator, sizeof *registration, _Alignof(tni_registration));

    if (registration == NULL)
        return TN_ENOMEM;
    registration->driver = driver;
    /* Relaxed: a hint. */
    (void)tni_a32_fetch_add(&driver->registrations, 1, TNI_RELAXED);
    registration->fd = fd;
    tni_a32_init(&registration->requests, 0);
    tni_a64_init(&registration->readiness, 0);
    tni_a32_init(&registration->error, 0);
    tni_wait_init(&registration->waits[TNI_READ]);
    tni_wait_init(&registration->waits[TNI_WRITE]);
    *out = registration;
    return 0;
}

void tni_registration_discard(tni_registration *registration)
{
    free_registration(registration);
}

void tni_registration_watch(tni_registration *registration)
{
    request(registration, REQUEST_OPEN);
}

void tni_registration_close(tni_registration *registration)
{
    request(registration, REQUEST_CLOSE);
}

uint64_t tni_registration_readiness(const tni_registration *registration)
{
    /* Acquire: observes the report; partner: report. */
    return tni_a64_load(&registration->readiness, TNI_ACQUIRE);
}

bool tni_registration_is_inherited(const tni_registration *registration)
{
    return tni_fork_is_inherited(registration->driver->fork_generation);
}

int tni_registration_poll(tni_registration *registration, tni_side side, tn_waker *waker)
{
    if (!tni_readiness_has(tni_registration_readiness(registration), side)) {
        if (tni_fork_is_inherited(registration->driver->fork_generation)) {
            tni_fork_log_refusal("a wait for a stream or listener");
            return TN_ESHUTDOWN;
        }
        tni_wait_arm(&registration->waits[side], waker);
        if (!tni_readiness_has(tni_registration_readiness(registration), side))
            return TN_PENDING;
        (void)tni_wait_disarm(&registration->waits[side]);
    }
    /* Relaxed: ordered by the load of the readiness, if the error caused it. */
    return -(int)tni_a32_load(&registration->error, TNI_RELAXED);
}

void tni_registration_unregister(tni_registration *registration, tni_side side)
{
    (void)tni_wait_disarm(&registration->waits[side]);
}

void tni_registration_cancel_all(tni_registration *registration)
{
    report(registration, TNI_READY_CANCELLED);
}

uint64_t tni_registration_clear(tni_registration *registration, tni_side side, uint64_t seen)
{
    uint64_t bit = side == TNI_READ ? TNI_OS_READABLE : TNI_OS_WRITABLE;
    uint64_t old = seen;

    /* Acq_rel: a report that is before this clear is also before the caller's read. The CAS fails if there was a report since
     * `seen`, and the bit is kept. After a clear of the other side it is tried again. */
    while (!tni_a64_cas(&registration->readiness, &old, old & ~bit, TNI_ACQ_REL))
        if (old / TNI_READY_TICK != seen / TNI_READY_TICK)
            return old;
    return old & ~bit;
}
