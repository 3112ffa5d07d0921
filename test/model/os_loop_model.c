/* SPDX-License-Identifier: MIT */
/* The model's twin of runtime/os/os_loop.h: a loop that behaves like libuv's, as far as the driver can observe.
 *
 * A wake is uv_async_send of 1.44: a relaxed load of the pending word, an early return if it is set, no barrier; otherwise a
 * mark and a write to an eventfd. The kernel's side (eventfd, epoll) is one object. Its operations take effect in the order
 * in which they are made, and order no memory. Polls report edges: each event once, and at the opening those that are there
 * already. */
#include "os/os_loop.h"

#include <string.h>

#include "engine.h"

#define LOOPS 4
#define WATCHES 16
#define FILES 16
#define FIRST_FILE 3

typedef struct {
    tni_os_loop *loop; /* NULL: not open */
    uint32_t pending;  /* of the wake; an atomic word */
    bool signalled;    /* the eventfd */
    bool sleeping;
    unsigned sleeper;
} loop_state;

typedef struct {
    tni_os_poll *poll; /* NULL: free */
    const tni_os_poll_ops *ops;
    loop_state *state;
    int fd; /* -1: unregistered, `closed` must still be called */
    uint32_t unreported;
} watch;

static loop_state loops[LOOPS];
static watch watches[WATCHES];
static struct {
    bool open;
    uint32_t ready; /* by model_fire; for a socket see model_socket_ready */
    int refused;    /* the error for a loop that starts to watch it, a negative errno value, or 0 */
} files[FILES];
static const char kernel; /* its address stands for eventfds, epoll and the table of files */

void os_loop_model_reset(void)
{
    memset(loops, 0, sizeof loops);
    memset(watches, 0, sizeof watches);
    memset(files, 0, sizeof files);
}

void model_kernel_step(void)
{
    search_visible((model_op){.kind = OP_OBJECT, .object = &kernel});
}

/* Only one thread at a time may be in a loop: checked as plain accesses to it. */
static loop_state *enter_loop(tni_os_loop *loop, const void *pc)
{
    race_access(&loop->open_polls, sizeof loop->open_polls, RACE_WRITE, pc);
    for (unsigned i = 0; i < LOOPS; i++)
        if (loops[i].loop == loop)
            return &loops[i];
    model_fail("assertion", "a loop that is not open is used");
}

static void wake_sleeper(loop_state *state)
{
    if (state->sleeping)
        engine.threads[state->sleeper].woken = true;
}

/* --- Files ------------------------------------------------------------------------------------------------------------------ */

static bool is_open(int fd)
{
    return fd >= FIRST_FILE && fd < FILES && files[fd].open;
}

int model_file_new(void)
{
    for (int fd = FIRST_FILE; fd < FILES; fd++)
        if (!files[fd].open) {
            files[fd].open = true;
            files[fd].ready = 0;
            files[fd].refused = 0;
            return fd;
        }
    return -1;
}

int model_fd_open(void)
{
    int fd;

    model_kernel_step();
    fd = model_file_new();
    if (fd < 0)
        model_fail("leak", "the scenario opens more than %d files", FILES - FIRST_FILE);
    trace_add(MODEL_PC, "opens file %d", fd);
    return fd;
}

bool model_fd_is_open(int fd)
{
    return is_open(fd);
}

void model_fd_refuse(int fd, int error)
{
    model_kernel_step();
    files[fd].refused = error;
}

void model_file_event(int fd, uint32_t events)
{
    for (unsigned i = 0; i < WATCHES; i++)
        if (watches[i].poll != NULL && watches[i].fd == fd && fd >= 0) {
            watches[i].unreported |= events;
            wake_sleeper(watches[i].state);
        }
}

void model_fire(int fd, uint32_t events)
{
    model_kernel_step();
    trace_add(MODEL_PC, "event %#x on file %d", events, fd);
    if (!is_open(fd))
        return;
    files[fd].ready |= events;
    model_file_event(fd, events);
}

void tni_os_close(int fd);
void tni_os_close(int fd)
{
    model_kernel_step();
    trace_add(MODEL_PC, "closes file %d", fd);
    if (!is_open(fd))
        model_fail("double-free", "file %d is closed, but is not open", fd);
    for (unsigned i = 0; i < WATCHES; i++)
        if (watches[i].poll != NULL && watches[i].fd == fd)
            model_fail("assertion", "file %d is closed while a loop watches it", fd);
    files[fd].open = false;
    model_socket_closed(fd);
}

/* --- Loops ------------------------------------------------------------------------------------------------------------------ */

int tni_os_loop_open(tni_os_loop *loop)
{
    for (unsigned i = 0; i < LOOPS; i++)
        if (loops[i].loop == NULL) {
            loops[i] = (loop_state){.loop = loop};
            loop->open_polls = 0;
            return 0;
        }
    model_fail("assertion", "the scenario opens more than %d loops", LOOPS);
}

static bool has_closing(const loop_state *state)
{
    for (unsigned i = 0; i < WATCHES; i++)
        if (watches[i].poll != NULL && watches[i].state == state && watches[i].fd < 0)
            return true;
    return false;
}

static bool has_events(const loop_state *state)
{
    if (state->signalled)
        return true;
    for (unsigned i = 0; i < WATCHES; i++)
        if (watches[i].poll != NULL && watches[i].state == state && watches[i].fd >= 0 && watches[i].unreported != 0)
            return true;
    return false;
}

static void sleep_in_kernel(loop_state *state, uint64_t timeout_ns)
{
    model_thread *self = &engine.threads[engine.self];

    self->woken = false;
    self->may_wake_spuriously = false;
    self->deadline_ns = timeout_ns == UINT64_MAX ? TNI_FOREVER : engine.now_ns + timeout_ns;
    state->sleeping = true;
    state->sleeper = engine.self;
    trace_add(MODEL_PC, "sleeps in its loop");
    search_visible((model_op){.kind = OP_WAKEUP, .object = &kernel});
    state->sleeping = false;
    if (!self->woken && engine.now_ns < self->deadline_ns)
        engine.now_ns = self->deadline_ns;
    trace_add(MODEL_PC, self->woken ? "woken in its loop" : "times out in its loop");
}

static void report_events(const loop_state *state)
{
    uint32_t events[WATCHES] = {0};

    for (unsigned i = 0; i < WATCHES; i++)
        if (watches[i].poll != NULL && watches[i].state == state && watches[i].fd >= 0) {
            events[i] = watches[i].unreported;
            watches[i].unreported = 0;
        }
    for (unsigned i = 0; i < WATCHES; i++) /* a report may close another poll: its own report is dropped then */
        if (events[i] != 0 && watches[i].poll != NULL && watches[i].fd >= 0)
            watches[i].ops->ready(watches[i].poll, events[i]);
}

static void finish_closing(const loop_state *state)
{
    for (unsigned i = 0; i < WATCHES; i++)
        if (watches[i].poll != NULL && watches[i].state == state && watches[i].fd < 0) {
            tni_os_poll *poll = watches[i].poll;
            watches[i].poll = NULL;
            watches[i].ops->closed(poll);
        }
}

void tni_os_loop_run(tni_os_loop *loop, uint64_t timeout_ns)
{
    loop_state *state = enter_loop(loop, MODEL_PC);

    model_kernel_step();
    memory_pauses();
    trace_add(MODEL_PC, "runs its loop");
    if (timeout_ns != 0 && !has_closing(state) && !has_events(state))
        sleep_in_kernel(state, timeout_ns);
    if (state->signalled) {
        state->signalled = false;
        (void)memory_rmw(&state->pending, sizeof state->pending, RMW_EXCHANGE, 0, 0, TNI_RELAXED, MODEL_PC);
    }
    report_events(state);
    finish_closing(state);
    (void)enter_loop(loop, MODEL_PC);
}

void tni_os_loop_wake(tni_os_loop *loop)
{
    loop_state *state = &loops[0];

    while (state < loops + LOOPS && state->loop != loop)
        state++;
    if (state == loops + LOOPS)
        model_fail("use-after-free", "a loop that is not open is woken");
    if (memory_load(&state->pending, sizeof state->pending, TNI_RELAXED, MODEL_PC) != 0)
        return;
    if (memory_rmw(&state->pending, sizeof state->pending, RMW_CAS, 1, 0, TNI_RELAXED, MODEL_PC) != 0)
        return;
    model_kernel_step();
    trace_add(MODEL_PC, "wakes the loop");
    state->signalled = true;
    wake_sleeper(state);
}

int tni_os_poll_open(tni_os_loop *loop, tni_os_poll *poll, int fd, const tni_os_poll_ops *ops)
{
    loop_state *state = enter_loop(loop, MODEL_PC);

    model_kernel_step();
    if (!is_open(fd))
        model_fail("assertion", "a loop starts to watch file %d, which is not open", fd);
    if (files[fd].refused != 0)
        return files[fd].refused;
    for (unsigned i = 0; i < WATCHES; i++)
        if (watches[i].poll == NULL) {
            watches[i] = (watch){.poll = poll, .state = state, .fd = fd, .unreported = files[fd].ready | model_socket_ready(fd)};
            watches[i].ops = ops;
            loop->open_polls++;
            trace_add(MODEL_PC, "watches file %d", fd);
            return 0;
        }
    model_fail("assertion", "the scenario watches too many files");
}

void tni_os_poll_close(tni_os_loop *loop, tni_os_poll *poll)
{
    (void)enter_loop(loop, MODEL_PC);
    model_kernel_step();
    for (unsigned i = 0; i < WATCHES; i++)
        if (watches[i].poll == poll) {
            trace_add(MODEL_PC, "stops watching file %d", watches[i].fd);
            watches[i].fd = -1;
            loop->open_polls--;
            return;
        }
    model_fail("double-free", "a poll that is not open is closed");
}

void tni_os_loop_close(tni_os_loop *loop)
{
    loop_state *state = enter_loop(loop, MODEL_PC);

    for (unsigned i = 0; i < WATCHES; i++)
        if (watches[i].poll != NULL && watches[i].state == state)
            watches[i].fd = -1;
    finish_closing(state);
    state->loop = NULL;
}
