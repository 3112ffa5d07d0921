/* SPDX-License-Identifier: MIT */
/* The struct of a process: a child, the pipes to it, and what its close does. */
#ifndef TNI_PROCESS_H
#define TNI_PROCESS_H

#include <tn/process.h>

#include "process/child.h"
#include "process/pipe.h"
#include "process/reaper.h"

struct tn_process {
    tn_runtime *runtime;
    tni_reaper *reaper;
    tni_child *child;
    pid_t id;
    bool kill_on_close;
    tni_pipe *pipes[3]; /* this process's ends; NULL: none, or taken */
};

/* Of a process whose child was not started, or has been adopted by the reaper: closes the pipes and frees. */
void tni_process_free(tn_process *process);

/* Kills the child, or its group if it leads one. */
void tni_process_kill(tn_process *process);

#endif
