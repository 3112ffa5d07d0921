/* SPDX-License-Identifier: MIT */
/* What the wait-for graph (watch/wait_graph.h) asks the locks. It is defined in sync/holder.c. */
#ifndef TNI_HOLDER_UPCALLS_H
#define TNI_HOLDER_UPCALLS_H

#include <tn/future.h>

/* The holder of the mutex or read-write lock that the future waits for, as tni_runtime_holder_key has it;
 * TNI_HOLDERS_UNRECORDED: not known; 0: it waits for something else. The task that awaits the future is borrowed. */
uint64_t tni_holder_awaited(const tn_future *awaited);

#endif
