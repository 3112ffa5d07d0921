/* SPDX-License-Identifier: MIT */
/* The table of open files. */
#include "sim/sim_file.h"

#include <errno.h>
#include <stdlib.h>

#include "sim/os_borrowed_sim.h"
#include "sim/sim_choice.h"
#include "sim/sim_run.h"
#include "sim/sim_trace.h"

static struct {
    tni_sim_file **all;
    unsigned capacity;
    unsigned lowest; /* no number below this is free */
    unsigned count;
} files;

static void grow(void)
{
    unsigned old = files.capacity;

    files.capacity = old == 0 ? 64 : 2 * old;
    files.all = realloc(files.all, files.capacity * sizeof(void *));
    if (files.all == NULL)
        tni_sim_run_fail("memory", "the simulator has no memory");
    for (unsigned i = old; i < files.capacity; i++)
        files.all[i] = NULL;
}

int tni_sim_file_open(tni_sim_file *file, const tni_sim_file_ops *ops)
{
    file->fd = -1;
    if (tni_sim_choice_happens(TNI_SIM_FILES))
        return -EMFILE;
    while (files.lowest < files.capacity && files.all[files.lowest] != NULL)
        files.lowest++;
    if (files.lowest == files.capacity)
        grow();
    file->ops = ops;
    file->watch = NULL;
    file->fd = (int)(TNI_SIM_FILE_FIRST + files.lowest);
    files.all[files.lowest] = file;
    files.count++;
    return file->fd;
}

tni_sim_file *tni_sim_file_find(int fd)
{
    unsigned index = (unsigned)(fd - TNI_SIM_FILE_FIRST);

    return fd >= TNI_SIM_FILE_FIRST && index < files.capacity ? files.all[index] : NULL;
}

void tni_sim_file_close(int fd)
{
    tni_sim_file *file = tni_sim_file_find(fd);
    unsigned index = (unsigned)(fd - TNI_SIM_FILE_FIRST);

    if (file == NULL)
        tni_sim_run_fail("assertion", "file %d is closed, but is not open", fd);
    if (file->watch != NULL)
        tni_sim_run_fail("assertion", "file %d is closed while a loop watches it", fd);
    tni_sim_trace(TNI_SIM_TRACE_CLOSE, fd, 0);
    tni_os_borrowed_sim_closed(file);
    files.all[index] = NULL;
    files.count--;
    if (index < files.lowest)
        files.lowest = index;
    file->fd = -1;
    file->ops->close(file);
}

unsigned tni_sim_file_count(void)
{
    return files.count;
}
