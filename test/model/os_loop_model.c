/* SPDX-License-Identifier: MIT */
/* The model's twin of runtime/os/os_loop.h and os_event.h: a loop that behaves like libuv's and like the library's own sleep, as
 * far as the driver can observe.
 *
 * The kernel's side (eventfd, epoll) is one object. Its operations take effect in the order in which they are made, and order
 * no memory. A wake is a write to an eventfd that only a sleep reads. Polls report edges: each event once, and at the opening
 * those that are there already. The kernel knows a poll from the first run after its opening on. Until that run or a later one
 * has reported it, the poll ends a sleep, which fetches nothing of it. */
#include "os/os_loop.h"

#include <string.h>

#include "os/os_event.h"

#include "engine.h"

#define LOOPS 4
#define WATCHES 16
#define FILES 16
#define FIRST_FILE 3

typedef struct {
    tni_os_loop *loop; /* NULL: not open */
    bool signalled;    /* the eventfd */
    bool sleeping;
    unsigned sleeper;
} loop_state;

typedef struct {
    tni_os_poll *poll; /* NULL: free */
    const tni_os_poll_ops *ops;
    loop_state *state;
    int fd;        /* -1: unregistered, `closed` must still be called */
    bool added;    /* the kernel knows it */
    bool reported; /* it has been reported, and is edge-triggered from then on */
    uint32_t generation;
    uint32_t unreported;
} watch;

static loop_state loops[LOOPS];
static watch watches[WATCHES];
static struct {
    bool open;
    bool posted;    /* of an event: it has been posted */
    uint32_t ready; /* by model_fire; for a socket see model_socket_ready */
    unsigned id;    /* no other file has it */
    bool copied;    /* a copy of the descriptor is open elsewhere */
    int refused;    /* the error for a loop that starts to watch it, a negative errno value, or 0 */
} files[FILES];
/* The thread that waits in tni_os_loops_poll: at most one. */
static struct {
    bool sleeping;
    unsigned sleeper;
    const tni_os_loop *const *loops;
    unsigned count;
    int event;
} onlooker;
static uint32_t generations;
static uint32_t ready_of[FILES]; /* by id; also of files that are closed */
static unsigned ids;
static const char kernel; /* its address stands for eventfds, epoll and the table of files */

void os_loop_model_reset(void)
{
    memset(loops, 0, sizeof loops);
    memset(watches, 0, sizeof watches);
    memset(files, 0, sizeof files);
    memset(&onlooker, 0, sizeof onlooker);
    generations = 0;
    memset(ready_of, 0, sizeof ready_of);
    ids = 0;
    os_borrowed_model_reset();
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

static void wake_onlooker(void)
{
    if (onlooker.sleeping)
        engine.threads[onlooker.sleeper].woken = true;
}

static void wake_sleeper(const loop_state *state)
{
    if (state->sleeping)
        engine.threads[state->sleeper].woken = true;
    for (unsigned i = 0; onlooker.sleeping && i < onlooker.count; i++)
        if (onlooker.loops[i] == state->loop)
            wake_onlooker();
}

void model_loop_event(const void *loop)
{
    for (unsigned i = 0; i < LOOPS; i++)
        if (loops[i].loop == loop)
            wake_sleeper(&loops[i]);
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
            files[fd].posted = false;
            files[fd].ready = 0;
            files[fd].refused = 0;
            files[fd].id = ids < FILES - 1 ? ++ids : 0;
            files[fd].copied = false;
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

unsigned model_file_id(int fd)
{
    return is_open(fd) ? files[fd].id : 0;
}

uint32_t model_file_ready(unsigned id)
{
    return ready_of[id];
}

bool model_fd_is_ready(int fd)
{
    return files[fd].ready != 0;
}

unsigned model_fd_copy(int fd)
{
    model_kernel_step();
    files[fd].copied = true;
    return files[fd].id;
}

void model_fire_copy(unsigned copy, uint32_t events)
{
    model_kernel_step();
    trace_add(MODEL_PC, "event %#x on the file of copy %u", events, copy);
    ready_of[copy] |= events;
    model_borrowed_event();
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
            if (watches[i].added)
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
    ready_of[files[fd].id] |= events;
    model_borrowed_event();
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
    if (!files[fd].copied)
        model_borrowed_closed(fd, files[fd].id);
    files[fd].open = false;
    model_socket_closed(fd);
}

/* --- Events ----------------------------------------------------------------------------------------------------------------- */

int tni_os_event_open(void)
{
    model_kernel_step();
    return model_file_new();
}

static void check_event(int fd, const char *what)
{
    if (!is_open(fd))
        model_fail("use-after-free", "event %d is %s, but is not open", fd, what);
}

void tni_os_event_close(int fd)
{
    model_kernel_step();
    check_event(fd, "closed");
    files[fd].open = false;
}

void tni_os_event_post(int fd)
{
    model_kernel_step();
    check_event(fd, "posted");
    trace_add(MODEL_PC, "posts event %d", fd);
    files[fd].posted = true;
    if (onlooker.event == fd)
        wake_onlooker();
}

void tni_os_event_drain(int fd)
{
    model_kernel_step();
    check_event(fd, "drained");
    files[fd].posted = false;
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

static bool is_watched(const watch *w, const loop_state *state)
{
    return w->poll != NULL && w->state == state && w->fd >= 0;
}

/* What would end a sleep? */
static bool has_events(const loop_state *state)
{
    if (state->signalled || model_borrowed_is_ready(state->loop))
        return true;
    for (unsigned i = 0; i < WATCHES; i++)
        if (is_watched(&watches[i], state) && watches[i].added && watches[i].unreported != 0)
            return true;
    return false;
}

static void sleep_in_kernel(uint64_t timeout_ns, bool *sleeping, unsigned *sleeper)
{
    model_thread *self = &engine.threads[engine.self];

    self->woken = false;
    self->may_wake_spuriously = false;
    self->deadline_ns = timeout_ns == UINT64_MAX ? TNI_FOREVER : engine.now_ns + timeout_ns;
    *sleeping = true;
    *sleeper = engine.self;
    search_visible((model_op){.kind = OP_WAKEUP, .object = &kernel});
    *sleeping = false;
    if (!self->woken && engine.now_ns < self->deadline_ns)
        engine.now_ns = self->deadline_ns;
}

static void report_events(const loop_state *state)
{
    uint32_t events[WATCHES] = {0};

    for (unsigned i = 0; i < WATCHES; i++)
        if (is_watched(&watches[i], state)) {
            events[i] = watches[i].unreported;
            watches[i].unreported = 0;
            watches[i].added = true;
            watches[i].reported = watches[i].reported || events[i] != 0;
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

void tni_os_loop_run(tni_os_loop *loop)
{
    loop_state *state = enter_loop(loop, MODEL_PC);

    model_kernel_step();
    memory_pauses();
    trace_add(MODEL_PC, "runs its loop");
    report_events(state);
    finish_closing(state);
    (void)enter_loop(loop, MODEL_PC);
}

static loop_state *find_loop(const tni_os_loop *loop, const char *what)
{
    for (unsigned i = 0; i < LOOPS; i++)
        if (loops[i].loop == loop)
            return &loops[i];
    model_fail("use-after-free", "a loop is %s that is not open", what);
}

/* Not as the loop's owner. That one thread at a time sleeps, or reports, is seen by the accesses to `fetched`. */
void tni_os_loop_sleep(tni_os_loop *loop, uint64_t timeout_ns, tni_os_fetched *fetched)
{
    loop_state *state = find_loop(loop, "slept in");

    race_access(fetched, sizeof *fetched, RACE_WRITE, MODEL_PC);
    model_kernel_step();
    memory_pauses();
    if (!has_events(state) && timeout_ns != 0) {
        trace_add(MODEL_PC, "sleeps in its loop");
        sleep_in_kernel(timeout_ns, &state->sleeping, &state->sleeper);
    }
    fetched->count = 0;
    for (unsigned i = 0; i < WATCHES; i++)
        if (is_watched(&watches[i], state) && watches[i].added && watches[i].unreported != 0) {
            struct epoll_event *event = &fetched->events[fetched->count++];
            event->events = watches[i].unreported;
            event->data.u64 = watches[i].reported ? watches[i].generation : 0;
            if (watches[i].reported)
                watches[i].unreported = 0;
        }
    fetched->borrowed = model_borrowed_is_ready(loop);
    state->signalled = false;
    trace_add(MODEL_PC, "its sleep ends with %u", fetched->count);
    race_access(fetched, sizeof *fetched, RACE_WRITE, MODEL_PC);
}

bool tni_os_loop_report(tni_os_loop *loop, tni_os_fetched *fetched)
{
    bool all = true;

    (void)enter_loop(loop, MODEL_PC);
    race_access(fetched, sizeof *fetched, RACE_WRITE, MODEL_PC);
    for (unsigned k = 0; k < fetched->count; k++) {
        uint64_t generation = fetched->events[k].data.u64;
        bool found = false;
        for (unsigned i = 0; i < WATCHES; i++)
            if (generation != 0 && watches[i].poll != NULL && watches[i].fd >= 0 && watches[i].generation == generation) {
                found = true;
                watches[i].ops->ready(watches[i].poll, fetched->events[k].events);
            }
        all = all && found;
    }
    fetched->count = 0;
    (void)enter_loop(loop, MODEL_PC);
    return all;
}

int tni_os_loops_poll(const tni_os_loop *const *looked_at, unsigned count, int event, uint64_t timeout_ns, bool *ready)
{
    uint64_t until_ns = timeout_ns == UINT64_MAX ? TNI_FOREVER : engine.now_ns + timeout_ns;

    model_kernel_step();
    for (;;) {
        bool any = event >= 0 && files[event].posted;
        for (unsigned i = 0; i < count; i++) {
            ready[i] = looked_at[i] != NULL && has_events(find_loop(looked_at[i], "looked at"));
            any = any || ready[i];
        }
        if (any || engine.now_ns >= until_ns)
            break; /* else what has woken it has been used up by a sleep */
        onlooker.loops = looked_at;
        onlooker.count = count;
        onlooker.event = event;
        trace_add(MODEL_PC, "waits for all loops");
        sleep_in_kernel(until_ns == TNI_FOREVER ? UINT64_MAX : until_ns - engine.now_ns, &onlooker.sleeping, &onlooker.sleeper);
        trace_add(MODEL_PC, "waits for the loops no longer");
    }
    return 0;
}

void tni_os_loop_wake(tni_os_loop *loop)
{
    loop_state *state = find_loop(loop, "woken");

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
            watches[i].generation = ++generations;
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
