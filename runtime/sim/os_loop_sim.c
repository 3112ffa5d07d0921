/* SPDX-License-Identifier: MIT */
/* The twin of os/os_loop.c: loops that behave like libuv's and like the library's own sleep, as far as the driver can observe.
 *
 * The states of a poll:
 *   opened     until the next run of its loop the kernel does not know it: nothing of it ends a sleep
 *   level      known. While its file is ready it is in the list of its loop, ends each sleep, and is reported by each run
 *   edge       from its first report on. A change puts it into the list; a sleep fetches it from there, or a run reports it
 *   closed     it is reported no more; the next run of its loop calls `closed`
 * What is reported is what the file is ready for when it is fetched, as epoll_wait does it. */
#include "sim/os_loop_sim.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/thread.h"
#include "os/os_loop.h"
#include "sim/os_borrowed_sim.h"
#include "sim/sim_run.h"
#include "sim/sim_thread.h"
#include "sim/sim_trace.h"

#define EARLY_MAX_NS (UINT64_C(2) * 1000000)

typedef struct sim_loop sim_loop;

struct tni_sim_watch {
    tni_os_poll *poll;
    const tni_os_poll_ops *ops;
    sim_loop *loop;
    tni_sim_file *file; /* NULL: closed */
    uint64_t number;    /* no other one has it */
    bool known;
    bool edge;
    bool listed;                      /* in the loop's list `ready` */
    TAILQ_ENTRY(tni_sim_watch) link;  /* of that list, of `opened`, or of `closed` */
    TAILQ_ENTRY(tni_sim_watch) other; /* of the loop's list `all` */
};

TAILQ_HEAD(watches, tni_sim_watch);

struct sim_loop {
    int64_t number;
    bool woken;              /* a wake that no sleep has consumed */
    tni_sim_thread *sleeper; /* NULL: none */
    struct watches all;      /* not closed */
    struct watches ready;
    struct watches opened;
    struct watches closed;
};

/* A thread that waits for several loops, or for an event. */
typedef struct onlooker {
    const tni_os_loop *const *loops;
    unsigned count;
    int event;
    tni_sim_thread *thread;
    struct onlooker *next;
} onlooker;

static onlooker *onlookers;
static int64_t loop_numbers;
static uint64_t watch_numbers;

static sim_loop *impl(const tni_os_loop *loop)
{
    return loop->loop.data;
}

static void wake_for_loop(const sim_loop *loop)
{
    if (loop->sleeper != NULL)
        tni_sim_thread_wake(loop->sleeper);
    for (onlooker *each = onlookers; each != NULL; each = each->next)
        for (unsigned i = 0; i < each->count; i++)
            if (each->loops[i] != NULL && impl(each->loops[i]) == loop)
                tni_sim_thread_wake(each->thread);
}

void tni_os_loop_sim_wake(const void *loop)
{
    wake_for_loop(loop);
}

static void list(tni_sim_watch *watch)
{
    if (watch->listed)
        return;
    watch->listed = true;
    TAILQ_INSERT_TAIL(&watch->loop->ready, watch, link);
    wake_for_loop(watch->loop);
}

static void unlist(tni_sim_watch *watch)
{
    if (!watch->listed)
        return;
    watch->listed = false;
    TAILQ_REMOVE(&watch->loop->ready, watch, link);
}

void tni_os_loop_sim_event(tni_sim_file *file, uint32_t events)
{
    if (file->watch != NULL && file->watch->known && events != 0)
        list(file->watch);
    tni_os_borrowed_sim_event(file);
    for (onlooker *each = onlookers; each != NULL; each = each->next)
        if (each->event >= 0 && each->event == file->fd)
            tni_sim_thread_wake(each->thread);
}

int tni_os_loop_open(tni_os_loop *loop)
{
    sim_loop *self;

    tni_sim_thread_call();
    if (tni_sim_choice_happens(TNI_SIM_FILES))
        return -EMFILE;
    self = tni_sim_choice_happens(TNI_SIM_CALL) ? NULL : calloc(1, sizeof *self);
    if (self == NULL)
        return -ENOMEM;
    self->number = loop_numbers++;
    TAILQ_INIT(&self->all);
    TAILQ_INIT(&self->ready);
    TAILQ_INIT(&self->opened);
    TAILQ_INIT(&self->closed);
    loop->loop.data = self;
    loop->wake_fd = -1;
    loop->open_polls = 0;
    loop->generation = 0;
    return 0;
}

static void finish_closing(sim_loop *loop)
{
    tni_sim_watch *watch;

    while ((watch = TAILQ_FIRST(&loop->closed)) != NULL) {
        TAILQ_REMOVE(&loop->closed, watch, link);
        watch->ops->closed(watch->poll);
        free(watch);
    }
}

void tni_os_loop_close(tni_os_loop *loop)
{
    sim_loop *self = impl(loop);

    tni_sim_thread_call();
    if (self->sleeper != NULL)
        tni_sim_run_fail("assertion", "a loop is closed while a thread sleeps in it");
    while (!TAILQ_EMPTY(&self->all))
        tni_os_poll_close(loop, TAILQ_FIRST(&self->all)->poll);
    finish_closing(self);
    tni_os_borrowed_sim_loop_closed(self);
    loop->loop.data = NULL;
    free(self);
}

/* --- Polls ------------------------------------------------------------------------------------------------------------------ */

int tni_os_poll_open(tni_os_loop *loop, tni_os_poll *poll, int fd, const tni_os_poll_ops *ops)
{
    tni_sim_file *file;
    tni_sim_watch *watch;

    tni_sim_thread_call();
    file = tni_sim_file_find(fd);
    if (file == NULL)
        return -EBADF;
    if (file->watch != NULL)
        tni_sim_run_fail("assertion", "two polls watch file %d", fd);
    watch = tni_sim_choice_happens(TNI_SIM_CALL) ? NULL : calloc(1, sizeof *watch);
    if (watch == NULL)
        return -ENOMEM;
    *watch = (tni_sim_watch){.poll = poll, .ops = ops, .loop = impl(loop), .file = file, .number = ++watch_numbers};
    file->watch = watch;
    poll->handle.data = watch;
    loop->open_polls++;
    TAILQ_INSERT_TAIL(&watch->loop->opened, watch, link);
    TAILQ_INSERT_TAIL(&watch->loop->all, watch, other);
    tni_sim_trace(TNI_SIM_TRACE_POLL_OPEN, watch->loop->number, fd);
    return 0;
}

void tni_os_poll_close(tni_os_loop *loop, tni_os_poll *poll)
{
    tni_sim_watch *watch = poll->handle.data;

    tni_sim_thread_call();
    if (watch->file == NULL)
        tni_sim_run_fail("assertion", "a poll is closed twice");
    tni_sim_trace(TNI_SIM_TRACE_POLL_CLOSE, watch->loop->number, watch->file->fd);
    unlist(watch);
    if (!watch->known)
        TAILQ_REMOVE(&watch->loop->opened, watch, link);
    TAILQ_REMOVE(&watch->loop->all, watch, other);
    watch->file->watch = NULL;
    watch->file = NULL;
    TAILQ_INSERT_TAIL(&watch->loop->closed, watch, link);
    loop->open_polls--;
}

/* --- Reports ---------------------------------------------------------------------------------------------------------------- */

/* Takes the poll out of the list. 0: it is not ready any more. */
static uint32_t fetch(tni_sim_watch *watch)
{
    uint32_t events = watch->file->ops->ready(watch->file);

    unlist(watch);
    if (events != 0 && tni_sim_choice_happens(TNI_SIM_EXTRA))
        events |= TNI_OS_READABLE | TNI_OS_WRITABLE;
    return events;
}

static void learn_opened(sim_loop *loop)
{
    tni_sim_watch *watch;

    while ((watch = TAILQ_FIRST(&loop->opened)) != NULL) {
        TAILQ_REMOVE(&loop->opened, watch, link);
        watch->known = true;
        if (watch->file->ops->ready(watch->file) != 0)
            list(watch);
    }
}

void tni_os_loop_run(tni_os_loop *loop)
{
    sim_loop *self = impl(loop);
    const tni_sim_watch *last;
    tni_sim_watch *watch;
    int64_t reported = 0;
    bool more = true;

    tni_sim_thread_call();
    learn_opened(self);
    last = TAILQ_LAST(&self->ready, watches);
    while (more && (watch = TAILQ_FIRST(&self->ready)) != NULL) {
        uint32_t events = fetch(watch);
        more = watch != last;
        if (events == 0)
            continue;
        watch->edge = true;
        reported++;
        watch->ops->ready(watch->poll, events); /* it may close polls, but not free them */
        if (!more || (last != NULL && !last->listed))
            break; /* `last` has been closed: what is left is reported by the next run */
    }
    finish_closing(self);
    tni_sim_trace(TNI_SIM_TRACE_LOOP_RUN, self->number, reported);
}

bool tni_os_loop_report(tni_os_loop *loop, tni_os_fetched *fetched)
{
    sim_loop *self = impl(loop);
    bool all = !fetched->full;

    for (unsigned i = 0; i < fetched->count; i++) {
        tni_sim_watch *watch;
        TAILQ_FOREACH(watch, &self->all, other)
        if (watch->number == fetched->events[i].data.u64)
            break;
        if (watch != NULL)
            watch->ops->ready(watch->poll, fetched->events[i].events);
        else
            all = false;
    }
    fetched->count = 0;
    fetched->full = false;
    return all;
}

/* --- Sleeping --------------------------------------------------------------------------------------------------------------- */

static bool has_events(const sim_loop *loop)
{
    return loop->woken || !TAILQ_EMPTY(&loop->ready) || tni_os_borrowed_sim_is_ready(loop);
}

/* Whole milliseconds from now, rounded up, as the kernel's calls take them; sometimes less: a sleep may return early. */
static uint64_t until(uint64_t timeout_ns)
{
    uint64_t now_ns = tni_sim_time_ns();
    uint64_t ms = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
    uint64_t until_ns = timeout_ns >= TNI_FOREVER - now_ns - 1000000 ? TNI_FOREVER : now_ns + ms * 1000000;

    if (timeout_ns > 0 && tni_sim_choice_happens(TNI_SIM_SPURIOUS)) {
        uint64_t early_ns = now_ns + tni_sim_choice_scale(TNI_SIM_SPURIOUS, EARLY_MAX_NS);
        until_ns = early_ns < until_ns ? early_ns : until_ns;
    }
    return until_ns;
}

static void fetch_all(sim_loop *loop, tni_os_fetched *fetched)
{
    tni_sim_watch *watch = TAILQ_FIRST(&loop->ready);

    fetched->count = 0;
    fetched->borrowed = tni_os_borrowed_sim_is_ready(loop);
    while (watch != NULL && fetched->count < TNI_OS_FETCH_MAX) {
        tni_sim_watch *next = TAILQ_NEXT(watch, link);
        struct epoll_event *event = &fetched->events[fetched->count];
        if (watch->edge) {
            event->events = fetch(watch);
            event->data.u64 = watch->number;
            fetched->count += event->events != 0;
        } else {
            event->events = 0;
            event->data.u64 = 0; /* only a run may report it */
            fetched->count++;
        }
        watch = next;
    }
    fetched->full = watch != NULL;
}

void tni_os_loop_sleep(tni_os_loop *loop, uint64_t timeout_ns, tni_os_fetched *fetched)
{
    sim_loop *self = impl(loop);
    uint64_t until_ns = until(timeout_ns);

    tni_sim_thread_call();
    if (self->sleeper != NULL)
        tni_sim_run_fail("assertion", "two threads sleep in one loop");
    if (!has_events(self) && timeout_ns > 0) {
        self->sleeper = tni_sim_thread_self();
        (void)tni_sim_thread_sleep("a loop", self, until_ns);
        self->sleeper = NULL;
    }
    self->woken = false;
    fetch_all(self, fetched);
    tni_sim_trace(TNI_SIM_TRACE_LOOP_FETCH, fetched->count, self->number);
}

void tni_os_loop_wake(tni_os_loop *loop)
{
    sim_loop *self = impl(loop);

    tni_sim_thread_call();
    tni_sim_trace(TNI_SIM_TRACE_LOOP_WAKE, self->number, 0);
    self->woken = true;
    wake_for_loop(self);
}

static bool check_loops(const onlooker *self, bool *ready)
{
    const tni_sim_file *event = tni_sim_file_find(self->event);
    bool any = event != NULL && event->ops->ready(event) != 0;

    for (unsigned i = 0; i < self->count; i++) {
        ready[i] = self->loops[i] != NULL && has_events(impl(self->loops[i]));
        any = any || ready[i];
    }
    return any;
}

int tni_os_loops_poll(const tni_os_loop *const *loops, unsigned count, int event, uint64_t timeout_ns, bool *ready)
{
    onlooker self = {.loops = loops, .count = count, .event = event, .thread = tni_sim_thread_self()};
    uint64_t until_ns;

    tni_sim_thread_call();
    until_ns = until(timeout_ns);
    if (check_loops(&self, ready) || timeout_ns == 0)
        return 0;
    self.next = onlookers;
    onlookers = &self;
    (void)tni_sim_thread_sleep("all loops", NULL, until_ns);
    for (onlooker **at = &onlookers; *at != NULL; at = &(*at)->next)
        if (*at == &self) {
            *at = self.next;
            break;
        }
    (void)check_loops(&self, ready);
    return 0;
}
