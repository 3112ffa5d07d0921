/* SPDX-License-Identifier: MIT */
/* The twin of os/os_event.c. */
#include "os/os_event.h"

#include <errno.h>
#include <stdlib.h>

#include "os/os_loop.h"
#include "sim/os_loop_sim.h"
#include "sim/sim_run.h"
#include "sim/sim_thread.h"
#include "sim/sim_trace.h"

typedef struct {
    tni_sim_file file;
    bool posted;
} event;

static uint32_t ready(const tni_sim_file *file)
{
    return tni_container_of(file, const event, file)->posted ? TNI_OS_READABLE : 0;
}

static void release(tni_sim_file *file)
{
    free(tni_container_of(file, event, file));
}

static const tni_sim_file_ops ops = {ready, release};

static event *find(int fd)
{
    tni_sim_file *file = tni_sim_file_find(fd);

    if (file == NULL || file->ops != &ops)
        tni_sim_run_fail("assertion", "file %d is used as an event, but is none", fd);
    return tni_container_of(file, event, file);
}

int tni_os_event_open(void)
{
    event *self;
    int fd;

    tni_sim_thread_call();
    self = tni_sim_choice_happens(TNI_SIM_CALL) ? NULL : calloc(1, sizeof *self);
    if (self == NULL)
        return -ENOMEM;
    fd = tni_sim_file_open(&self->file, &ops);
    if (fd < 0)
        free(self);
    tni_sim_trace(TNI_SIM_TRACE_EVENT_OPEN, fd, 0);
    return fd;
}

void tni_os_event_close(int fd)
{
    tni_sim_thread_call();
    tni_sim_file_close(find(fd)->file.fd);
}

void tni_os_event_post(int fd)
{
    event *self;

    tni_sim_thread_call();
    self = find(fd);
    tni_sim_trace(TNI_SIM_TRACE_EVENT_POST, fd, 0);
    self->posted = true;
    tni_os_loop_sim_event(&self->file, TNI_OS_READABLE);
}

void tni_os_event_drain(int fd)
{
    tni_sim_thread_call();
    find(fd)->posted = false;
}
