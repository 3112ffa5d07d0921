/* SPDX-License-Identifier: MIT */
/* The model's twin of runtime/os/os_borrowed.h: for each loop an epoll instance of its own, as far as its users can observe.
 *
 * A registration belongs to a pair of number and file. It reports once after each arming, what the file is ready for when it
 * is fetched. When its number is closed it goes, unless a copy of the descriptor is open elsewhere (model_fd_copy): then it
 * stays, and no call can reach it by its number. */
#include "os/os_borrowed.h"

#include <errno.h>
#include <string.h>

#include "engine.h"

#define REGISTRATIONS 8

typedef struct {
    const tni_os_loop *loop; /* NULL: free */
    int fd;
    unsigned file; /* model_file_id */
    uint32_t events;
    uint32_t generation;
    bool armed;
} registration;

static registration registrations[REGISTRATIONS];

void os_borrowed_model_reset(void)
{
    memset(registrations, 0, sizeof registrations);
}

/* TNI_OS_READABLE and TNI_OS_WRITABLE are what files of the model have. */
static uint32_t ready_events(const registration *r)
{
    uint32_t ready = model_file_ready(r->file);
    uint32_t events = (ready & TNI_OS_READABLE ? TNI_OS_BORROWED_READ : 0) |
                      (ready & TNI_OS_WRITABLE ? TNI_OS_BORROWED_WRITE : 0);

    return r->armed ? events & (r->events | TNI_OS_BORROWED_ERROR | TNI_OS_BORROWED_HANGUP) : 0;
}

bool model_borrowed_is_ready(const void *loop)
{
    for (unsigned i = 0; i < REGISTRATIONS; i++)
        if (registrations[i].loop == loop && loop != NULL && ready_events(&registrations[i]) != 0)
            return true;
    return false;
}

void model_borrowed_event(void)
{
    for (unsigned i = 0; i < REGISTRATIONS; i++)
        if (registrations[i].loop != NULL && ready_events(&registrations[i]) != 0)
            model_loop_event(registrations[i].loop);
}

void model_borrowed_closed(int fd, unsigned file)
{
    for (unsigned i = 0; i < REGISTRATIONS; i++)
        if (registrations[i].fd == fd && registrations[i].file == file)
            registrations[i].loop = NULL;
}

static registration *find(const tni_os_loop *loop, int fd)
{
    unsigned file = model_file_id(fd);

    for (unsigned i = 0; i < REGISTRATIONS; i++)
        if (file != 0 && registrations[i].loop == loop && registrations[i].fd == fd && registrations[i].file == file)
            return &registrations[i];
    return NULL;
}

static registration *make(const tni_os_loop *loop, int fd)
{
    for (unsigned i = 0; i < REGISTRATIONS; i++)
        if (registrations[i].loop == NULL) {
            registrations[i] = (registration){.loop = loop, .fd = fd, .file = model_file_id(fd)};
            return &registrations[i];
        }
    model_fail("leak", "the scenario leaves more than %d registrations behind", REGISTRATIONS);
}

static void arm(registration *r, uint32_t events, uint32_t generation)
{
    r->events = events;
    r->generation = generation;
    r->armed = true;
    trace_add(MODEL_PC, "arms file %d for %#x, generation %u", r->fd, events, generation);
    model_borrowed_event();
}

int tni_os_borrowed_add(tni_os_loop *loop, int fd, uint32_t events, uint32_t generation)
{
    registration *r;

    model_kernel_step();
    if (model_file_id(fd) == 0)
        return -EBADF;
    r = find(loop, fd);
    arm(r != NULL ? r : make(loop, fd), events, generation);
    return 0;
}

int tni_os_borrowed_change(tni_os_loop *loop, int fd, uint32_t events, uint32_t generation)
{
    registration *r;

    model_kernel_step();
    r = find(loop, fd);
    if (r == NULL)
        return model_file_id(fd) == 0 ? -EBADF : -ENOENT;
    arm(r, events, generation);
    return 0;
}

bool tni_os_borrowed_remove(tni_os_loop *loop, int fd)
{
    registration *r;

    model_kernel_step();
    r = find(loop, fd);
    trace_add(MODEL_PC, "removes file %d: %s", fd, r != NULL ? "done" : "not registered");
    if (r == NULL)
        return false;
    r->loop = NULL;
    return true;
}

unsigned tni_os_borrowed_fetch(tni_os_loop *loop, tni_os_borrowed_event *events)
{
    unsigned count = 0;

    model_kernel_step();
    for (unsigned i = 0; i < REGISTRATIONS; i++) {
        registration *r = &registrations[i];
        uint32_t ready = r->loop == loop ? ready_events(r) : 0;
        if (ready == 0)
            continue;
        r->armed = false;
        events[count++] = (tni_os_borrowed_event){r->fd, r->generation, ready};
        trace_add(MODEL_PC, "fetches %#x of file %d, generation %u", ready, r->fd, r->generation);
    }
    return count;
}

int tni_os_borrowed_poll(int fd, uint32_t events, int timeout_ms)
{
    (void)fd, (void)events, (void)timeout_ms;
    return -ENOTSUP;
}
