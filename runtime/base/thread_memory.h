/* SPDX-License-Identifier: MIT */
/* The stacks of the library's own threads.
 *
 * The C library keeps the stacks of ended threads, up to 40 MiB, and aborts the process if the kernel refuses to unmap one more.
 * A filter of system calls (seccomp) may do that. Stacks from here are unmapped without that risk. A stack that the kernel does
 * not unmap is used by a later thread. */
#ifndef TNI_THREAD_MEMORY_H
#define TNI_THREAD_MEMORY_H

#include <pthread.h>

/* The lowest bytes of a stack, above its guard. */
typedef struct tni_thread_memory tni_thread_memory;

/* Gets a stack of the size that is usual in this process, and prepares the attributes of a thread that will run on it. The
 * caller destroys them. Returns 0 or a negative errno value. */
int tni_thread_memory_get(tni_thread_memory **out, pthread_attr_t *attributes);

/* Gives back a stack on which no thread runs. */
void tni_thread_memory_put(tni_thread_memory *stack);

/* Gives back the stack of a thread that may still run. The thread is joined when it has ended, by a later call of get. */
void tni_thread_memory_put_running(tni_thread_memory *stack, pthread_t thread);

#endif
