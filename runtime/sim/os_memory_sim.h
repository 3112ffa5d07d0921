/* SPDX-License-Identifier: MIT */
/* The memory that is mapped. */
#ifndef TNI_OS_MEMORY_SIM_H
#define TNI_OS_MEMORY_SIM_H

#include "base/defs.h"

/* The stacks of fibers in use at once lie apart, and each begins with a page of its own. What a run has used of them lets the
 * next one make those pages present before they are used. */
typedef struct {
    size_t stack_bytes; /* how far apart they are; 0: unknown */
    size_t stacks;      /* how many have been used */
} tni_os_memory_sim_use;

/* At the beginning of a run: what a run before has used. */
void tni_os_memory_sim_begin(const tni_os_memory_sim_use *expected);
tni_os_memory_sim_use tni_os_memory_sim_used(void);

/* In bytes. */
size_t tni_os_memory_sim_mapped(void);

/* Makes the whole pages of a range present at once, which takes far less time than a fault for each. Their contents are kept. */
void tni_os_memory_sim_populate(void *address, size_t size);

#endif
