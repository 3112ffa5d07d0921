/* SPDX-License-Identifier: MIT */
/* Waits for descriptors of other libraries: begin and end beside reports, forget, close, and a number that is opened again. */
#include "io/fd_waits.h"

#include "model.h"
#include "os/os_socket.h"
#include "waker.h"

#define READ TNI_OS_BORROWED_READ
#define WRITE TNI_OS_BORROWED_WRITE

typedef struct {
    tni_os_loop loop;
    tni_fd_waits set;
    tni_a32 registrations;
    tni_a32 left; /* number of threads that need the loop */
    tni_a32 reopened;
    tn_waker wakers[2];
    tni_fd_wait *begun; /* in the setup */
    int fd;
    unsigned copy;
} stage;

static void setup_for(stage *s, uint32_t users)
{
    (void)tni_os_loop_open(&s->loop);
    tni_a32_init(&s->registrations, 0);
    tni_a32_init(&s->left, users);
    tni_a32_init(&s->reopened, 0);
    tni_fd_waits_init(&s->set, &s->loop, &s->registrations, &tni_alloc_default);
    s->fd = model_fd_open();
    model_name_of(s->left);
    model_name_of(s->reopened);
    model_name_of(s->wakers[0].wakes);
    model_name_of(s->wakers[1].wakes);
    model_name_of(s->set.lock);
}

static void setup_one(void *state)
{
    setup_for(state, 1);
}

static void setup_two(void *state)
{
    setup_for(state, 2);
}

static void finish(void *state)
{
    stage *s = state;

    model_check(tni_a32_load(&s->registrations, TNI_RELAXED) == 0);
    for (int i = 0; i < 2; i++)
        model_check(tni_a32_load(&s->wakers[i].references, TNI_RELAXED) == 0);
    tni_fd_waits_fini(&s->set);
    tni_os_loop_close(&s->loop);
}

/* --- The loop ------------------------------------------------------------------------------------------------------------- */

/* The loop's owner, which sleeps and reports until no thread needs it. */
static void loop(void *state)
{
    stage *s = state;

    while (tni_a32_fetch_add(&s->left, 0, TNI_ACQ_REL) > 0) { /* the newest value: a wake of the loop orders no memory */
        tni_os_fetched fetched;
        tni_os_loop_sleep(&s->loop, TNI_FOREVER, &fetched);
        if (fetched.borrowed)
            tni_fd_waits_report(&s->set);
    }
}

static void done(stage *s)
{
    if (tni_a32_fetch_sub(&s->left, 1, TNI_ACQ_REL) == 1)
        tni_os_loop_wake(&s->loop);
}

static void read_and_loop(void *state)
{
    model_fire(((stage *)state)->fd, TNI_OS_READABLE);
    loop(state);
}

static void read_write_and_loop(void *state)
{
    stage *s = state;

    model_fire(s->fd, TNI_OS_READABLE);
    model_fire(s->fd, TNI_OS_WRITABLE);
    loop(state);
}

/* --- Waiters -------------------------------------------------------------------------------------------------------------- */

/* Returns the result; TN_PENDING: the wait is in progress. */
static int begin(stage *s, tni_fd_wait *wait, uint32_t events, unsigned waker)
{
    *wait = (tni_fd_wait){.fd = s->fd, .events = events};
    return tni_fd_waits_begin(&s->set, wait, &s->wakers[waker]);
}

static int await(stage *s, tni_fd_wait *wait, unsigned waker)
{
    uint32_t seen = 0;
    int rc;

    while ((rc = tni_fd_waits_check(wait, &s->wakers[waker])) == TN_PENDING)
        seen = waker_wait(&s->wakers[waker], seen);
    tni_fd_waits_end(wait);
    return rc;
}

static int wait_for(stage *s, uint32_t events, unsigned waker)
{
    tni_fd_wait *wait = model_alloc(sizeof *wait, _Alignof(tni_fd_wait));
    int rc = begin(s, wait, events, waker);

    if (rc == TN_PENDING)
        rc = await(s, wait, waker);
    model_free(wait); /* no other thread touches it any more */
    return rc;
}

static void wait_to_read(void *state)
{
    model_check(wait_for(state, READ, 0) == (int)READ);
    done(state);
}

/* Before that nothing can be written. */
static void wait_to_read_then_fire(void *state)
{
    stage *s = state;

    model_check(wait_for(s, READ, 0) == (int)READ);
    model_fire(s->fd, TNI_OS_WRITABLE);
    done(s);
}

static void wait_to_write(void *state)
{
    model_check(wait_for(state, WRITE, 1) == (int)WRITE);
    done(state);
}

static void wait_to_read_too(void *state)
{
    model_check(wait_for(state, READ, 1) == (int)READ);
    done(state);
}

/* Ends its wait at once, whatever has happened. */
static void wait_briefly(void *state)
{
    stage *s = state;
    tni_fd_wait *wait = model_alloc(sizeof *wait, _Alignof(tni_fd_wait));

    model_check(begin(s, wait, READ, 0) == TN_PENDING);
    tni_fd_waits_end(wait);
    model_free(wait);
    done(s);
}

/* --- Forget and close ----------------------------------------------------------------------------------------------------- */

static void setup_begun(void *state)
{
    stage *s = state;

    setup_for(s, 1);
    s->begun = model_alloc(sizeof(tni_fd_wait), _Alignof(tni_fd_wait));
    model_check(begin(s, s->begun, READ, 0) == TN_PENDING);
}

static void await_begun(void *state)
{
    stage *s = state;
    int rc = await(s, s->begun, 0);

    model_free(s->begun);
    model_check(rc == (int)READ || rc == TN_ECANCELED);
    done(s);
}

static void forget_and_close(void *state)
{
    stage *s = state;

    tni_fd_waits_forget(&s->set, s->fd);
    tni_os_close(s->fd);
}

/* --- The number is closed and opened again under a wait ------------------------------------------------------------------- */

static void setup_copied(void *state)
{
    stage *s = state;

    setup_begun(s);
    s->copy = model_fd_copy(s->fd);
}

/* What begins after the number has another file is told about that file alone. */
static void reopen_and_wait(void *state)
{
    stage *s = state;
    int rc;

    tni_os_close(s->fd);
    model_check(model_fd_open() == s->fd);
    tni_a32_store(&s->reopened, 1, TNI_RELEASE);
    model_check(wait_for(s, READ, 1) == (int)READ);
    model_check(model_fd_is_ready(s->fd));
    rc = tni_fd_waits_check(s->begun, &s->wakers[0]);
    model_check(rc == TN_PENDING || (rc == (int)READ && s->copy != 0)); /* only the old file ends the wait for it */
    tni_fd_waits_end(s->begun);
    model_free(s->begun);
    done(s);
}

static void fire_new(void *state)
{
    stage *s = state;

    model_until_changed(&s->reopened, 0);
    model_fire(s->fd, TNI_OS_READABLE);
}

static void fire_old_and_new(void *state)
{
    stage *s = state;

    model_fire_copy(s->copy, TNI_OS_READABLE);
    fire_new(s);
}

#define CASE(what, how, ...) \
    { \
        .name = "fd." what, .state_bytes = sizeof(stage), .setup = how, .finish = finish, .threads = {__VA_ARGS__}, \
        .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("wait", setup_one, wait_to_read, read_and_loop),
    CASE("two_events", setup_two, wait_to_read_then_fire, wait_to_write, read_and_loop),
    CASE("two_alike", setup_two, wait_to_read, wait_to_read_too, read_and_loop),
    CASE("end", setup_two, wait_briefly, wait_to_write, read_write_and_loop),
    CASE("forget", setup_begun, await_begun, forget_and_close, read_and_loop),
    CASE("closed", setup_begun, reopen_and_wait, fire_new, loop),
    CASE("reuse", setup_copied, reopen_and_wait, fire_old_and_new, loop),
    {0},
};
