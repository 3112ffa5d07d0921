/* SPDX-License-Identifier: MIT */
/* The report of a stack overflow: a handler of SIGSEGV and SIGBUS that names the task and aborts.
 *
 * Installed only where the runtime's option asks for it, as long as it does. A fault that is nobody's overflow goes to the
 * handler that was there before, or does what it would have done without us. */
#ifndef TNI_STACK_OVERFLOW_H
#define TNI_STACK_OVERFLOW_H

#include "base/defs.h"

typedef struct {
    const char *task_name;   /* NULL: none was given */
    size_t stack_size_bytes; /* what it overflowed */
} tni_stack_overflow_info;

/* Whether the calling thread runs a task whose stack `fault_address` overflowed (tni_stack_owns_guard); which. Called in the
 * signal handler, on the alternative stack: may only read memory. */
typedef bool (*tni_stack_overflow_find)(const void *fault_address, tni_stack_overflow_info *out);

/* Counted: each successful install wants one uninstall. All of a process's callers pass the same `find`. 0 or a negative errno
 * value. */
int tni_stack_overflow_install(tni_stack_overflow_find find);
void tni_stack_overflow_uninstall(void);

/* A thread's part: a stack for the handler to run on, since the thread's own is the one that overflowed. */
typedef struct {
    void *memory; /* ours; NULL: the thread had one already, which is left alone */
    size_t size;  /* bytes at memory */
} tni_stack_overflow_thread;

/* On the thread itself; 0 or a negative errno value. `fini` on the same thread, also after a failed `init`. */
int tni_stack_overflow_thread_init(tni_stack_overflow_thread *thread);
void tni_stack_overflow_thread_fini(tni_stack_overflow_thread *thread);

#endif
