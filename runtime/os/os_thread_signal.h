/* SPDX-License-Identifier: MIT */
/* The OS layer for directed signals: one thread interrupts another thread of the library to sample its stack. */
#ifndef TNI_OS_THREAD_SIGNAL_H
#define TNI_OS_THREAD_SIGNAL_H

#include <signal.h>

#include "base/defs.h"

/* The registers of a thread where a signal interrupted it. */
typedef struct {
    uintptr_t pc;
    uintptr_t sp;
    uintptr_t frame; /* the frame pointer, if the code uses one */
} tni_os_interrupted;

/* Called in the signal handler: it may only read and write memory, and wake a futex. */
typedef void (*tni_os_thread_signal_fn)(const tni_os_interrupted *at);

/* Installs a handler in front of the existing one, and passes on every signal that tni_os_thread_signal_send did not send.
 * Blocking calls are restarted after it where the kernel does that, unless the existing handler does without (SA_RESTART).
 * Counted by signal number: each successful install needs one uninstall, when no thread can receive the signal from the library
 * any more. All callers in a process pass the same `fn`. Returns 0, or -EINVAL for a number that is not a signal or that cannot
 * be caught. */
int tni_os_thread_signal_install(int number, tni_os_thread_signal_fn fn);
void tni_os_thread_signal_uninstall(int number);

/* Unblocks the signal in the calling thread. */
void tni_os_thread_signal_open(int number);

/* Sends the signal to the thread with this number. The thread must belong to this process and must not have ended. False: the
 * kernel refused. */
bool tni_os_thread_signal_send(int number, int thread_id);

#endif
