/* SPDX-License-Identifier: MIT */
/* Reports stack overflows: a handler of SIGSEGV and SIGBUS that prints the name of the task and aborts.
 *
 * It is installed only while a runtime with that option exists. A fault that is not an overflow goes to the handler that was
 * installed before, or to the default action. */
#ifndef TNI_STACK_OVERFLOW_H
#define TNI_STACK_OVERFLOW_H

#include "base/defs.h"

typedef struct {
    const char *task_name;   /* NULL: the task has no name */
    size_t stack_size_bytes; /* size of the stack that overflowed */
} tni_stack_overflow_info;

/* Whether `fault_address` is an overflow of the task that the calling thread runs (tni_stack_owns_guard); describes the task in
 * *out. Called in the signal handler, on the alternate stack: it may only read memory. */
typedef bool (*tni_stack_overflow_find)(const void *fault_address, tni_stack_overflow_info *out);

/* Counted: each successful install needs one uninstall. All callers in a process pass the same `find`. Returns 0 or a negative
 * errno value. */
int tni_stack_overflow_install(tni_stack_overflow_find find);
void tni_stack_overflow_uninstall(void);

/* The alternate signal stack of a thread. The handler needs it because the thread's current stack is the one that
 * overflowed. */
typedef struct {
    void *memory; /* mapped here; NULL: the thread already had an alternate stack, which is kept */
    size_t size;  /* bytes at memory */
} tni_stack_overflow_thread;

/* Called on the thread itself. `init` returns 0 or a negative errno value. Call `fini` on the same thread, also after a failed
 * `init`. */
int tni_stack_overflow_thread_init(tni_stack_overflow_thread *thread);
void tni_stack_overflow_thread_fini(tni_stack_overflow_thread *thread);

#endif
