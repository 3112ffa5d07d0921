/* SPDX-License-Identifier: MIT */
/* The twin of os/os_borrowed.c. A simulated descriptor has no copies, so a registration goes with its number. */
#include "os/os_borrowed.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "sim/os_borrowed_sim.h"
#include "sim/os_loop_sim.h"
#include "sim/sim_choice.h"
#include "sim/sim_refuse.h"
#include "sim/sim_thread.h"
#include "sim/sim_trace.h"

#define ALWAYS (TNI_OS_BORROWED_ERROR | TNI_OS_BORROWED_HANGUP)

typedef struct registration {
    const void *loop; /* the state of the loop */
    const tni_sim_file *file;
    uint32_t events;
    uint32_t generation;
    bool armed;
    TAILQ_ENTRY(registration) link;
} registration;

static TAILQ_HEAD(registrations, registration) all = TAILQ_HEAD_INITIALIZER(all);

static uint32_t ready_events(const registration *self)
{
    uint32_t ready = self->armed ? self->file->ops->ready(self->file) : 0;
    uint32_t events = ready & TNI_OS_READABLE ? TNI_OS_BORROWED_READ : 0;

    events |= ready & TNI_OS_WRITABLE ? TNI_OS_BORROWED_WRITE : 0;
    events |= ready & TNI_OS_ERROR ? TNI_OS_BORROWED_ERROR : 0;
    events |= ready & TNI_OS_URGENT ? TNI_OS_BORROWED_PRIORITY : 0;
    return events & (self->events | ALWAYS);
}

static registration *find(const tni_os_loop *loop, const tni_sim_file *file)
{
    registration *self;

    TAILQ_FOREACH(self, &all, link)
    if (self->loop == loop->loop.data && self->file == file)
        break;
    return self;
}

static void release(registration *self)
{
    TAILQ_REMOVE(&all, self, link);
    free(self);
}

void tni_os_borrowed_sim_event(const tni_sim_file *file)
{
    const registration *self;

    TAILQ_FOREACH(self, &all, link)
    if (self->file == file && ready_events(self) != 0)
        tni_os_loop_sim_wake(self->loop);
}

void tni_os_borrowed_sim_closed(const tni_sim_file *file)
{
    registration *next;

    for (registration *self = TAILQ_FIRST(&all); self != NULL; self = next) {
        next = TAILQ_NEXT(self, link);
        if (self->file == file)
            release(self);
    }
}

void tni_os_borrowed_sim_loop_closed(const void *loop)
{
    registration *next;

    for (registration *self = TAILQ_FIRST(&all); self != NULL; self = next) {
        next = TAILQ_NEXT(self, link);
        if (self->loop == loop)
            release(self);
    }
}

bool tni_os_borrowed_sim_is_ready(const void *loop)
{
    const registration *self;

    TAILQ_FOREACH(self, &all, link)
    if (self->loop == loop && ready_events(self) != 0)
        return true;
    return false;
}

static void arm(registration *self, uint32_t events, uint32_t generation)
{
    self->events = events;
    self->generation = generation;
    self->armed = true;
    tni_sim_trace(TNI_SIM_TRACE_BORROWED_ARM, self->file->fd, events);
    tni_os_borrowed_sim_event(self->file);
}

int tni_os_borrowed_add(tni_os_loop *loop, int fd, uint32_t events, uint32_t generation)
{
    const tni_sim_file *file;
    registration *self;

    tni_sim_thread_call();
    file = tni_sim_file_find(fd);
    if (file == NULL)
        return -EBADF;
    self = find(loop, file);
    if (self == NULL) {
        self = tni_sim_choice_happens(TNI_SIM_CALL) ? NULL : calloc(1, sizeof *self);
        if (self == NULL)
            return -ENOMEM;
        self->loop = loop->loop.data;
        self->file = file;
        TAILQ_INSERT_TAIL(&all, self, link);
    }
    arm(self, events, generation);
    return 0;
}

int tni_os_borrowed_change(tni_os_loop *loop, int fd, uint32_t events, uint32_t generation)
{
    const tni_sim_file *file;
    registration *self;

    tni_sim_thread_call();
    file = tni_sim_file_find(fd);
    self = file != NULL ? find(loop, file) : NULL;
    if (self == NULL)
        return file == NULL ? -EBADF : -ENOENT;
    arm(self, events, generation);
    return 0;
}

bool tni_os_borrowed_remove(tni_os_loop *loop, int fd)
{
    const tni_sim_file *file;
    registration *self;

    tni_sim_thread_call();
    file = tni_sim_file_find(fd);
    self = file != NULL ? find(loop, file) : NULL;
    tni_sim_trace(TNI_SIM_TRACE_BORROWED_REMOVE, fd, self != NULL);
    if (self == NULL)
        return false;
    release(self);
    return true;
}

unsigned tni_os_borrowed_fetch(tni_os_loop *loop, tni_os_borrowed_event *events)
{
    registration *self;
    unsigned count = 0;

    tni_sim_thread_call();
    TAILQ_FOREACH(self, &all, link)
    {
        uint32_t ready = self->loop == loop->loop.data && count < TNI_OS_BORROWED_FETCH_MAX ? ready_events(self) : 0;
        if (ready == 0)
            continue;
        self->armed = false;
        events[count++] = (tni_os_borrowed_event){self->file->fd, self->generation, ready};
    }
    tni_sim_trace(TNI_SIM_TRACE_BORROWED_FETCH, count, 0);
    return count;
}

/* For a fiber whose deadline has passed before it waits. A plain thread that would wait is refused. */
int tni_os_borrowed_poll(int fd, uint32_t events, int timeout_ms)
{
    const tni_sim_file *file;
    registration self = {.events = events, .armed = true};
    uint32_t ready;

    tni_sim_thread_call();
    file = tni_sim_file_find(fd);
    if (file == NULL)
        return -EBADF;
    self.file = file;
    ready = ready_events(&self);
    if (ready == 0 && timeout_ms != 0)
        tni_sim_refuse("a wait of a plain thread for a descriptor");
    return (int)ready;
}
