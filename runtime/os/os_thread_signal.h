/* SPDX-License-Identifier: MIT */
/* The OS layer for signals that one thread of ours sends to another, to see what it is doing. */
#ifndef TNI_OS_THREAD_SIGNAL_H
#define TNI_OS_THREAD_SIGNAL_H

#include <signal.h>

#include "base/defs.h"

/* Where a signal has interrupted a thread. */
typedef struct {
    uintptr_t pc;
    uintptr_t sp;
    uintptr_t frame; /* the frame pointer, if the code keeps one */
} tni_os_interrupted;

/* Runs in the signal handler: may only read and write memory, and wake a futex. */
typedef void (*tni_os_thread_signal_fn)(const tni_os_interrupted *at);

/* Our handler stands before the one that was there, and calls it for every signal that tni_os_thread_signal_send did not send.
 * Calls that block go on after it where the system restarts them (SA_RESTART). Counted, by signal number: each successful
 * install wants one uninstall, when no thread can get the signal from us any more. All of a process's callers pass the same
 * `fn`. 0, -EINVAL for a number that is no signal, or that cannot be caught. */
int tni_os_thread_signal_install(int number, tni_os_thread_signal_fn fn);
void tni_os_thread_signal_uninstall(int number);

/* The calling thread takes the signal from now on. */
void tni_os_thread_signal_open(int number);

/* Sends it to the thread with this number, which must still be there, and of this process. False: the system could not. */
bool tni_os_thread_signal_send(int number, int thread_id);

#endif
