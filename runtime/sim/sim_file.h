/* SPDX-License-Identifier: MIT */
/* The open files of the simulated process: events and sockets. */
#ifndef TNI_SIM_FILE_H
#define TNI_SIM_FILE_H

#include "base/defs.h"

/* The number of the first file. Real files have smaller numbers, so a simulated one given to the kernel by mistake is EBADF. */
#define TNI_SIM_FILE_FIRST 100000

typedef struct tni_sim_file tni_sim_file;
typedef struct tni_sim_watch tni_sim_watch; /* a poll of a loop: os_loop_sim.c */

typedef struct {
    uint32_t (*ready)(const tni_sim_file *file); /* what a loop would report now: TNI_OS_READABLE and so on */
    void (*close)(tni_sim_file *file);           /* frees it */
} tni_sim_file_ops;

/* Embedded in what the file is. */
struct tni_sim_file {
    const tni_sim_file_ops *ops;
    int fd;               /* -1: not open */
    tni_sim_watch *watch; /* NULL: no loop watches it */
};

/* Gives the file the lowest number that is free. Returns it, or -EMFILE if that fault happens. */
int tni_sim_file_open(tni_sim_file *file, const tni_sim_file_ops *ops);

/* Closes a number; closing one that is not open, or that a loop watches, fails the run. */
void tni_sim_file_close(int fd);

/* NULL: not open. */
tni_sim_file *tni_sim_file_find(int fd);

/* How many are open. */
unsigned tni_sim_file_count(void);

#endif
