/* SPDX-License-Identifier: MIT */
/* The wait-for graph: reports of tasks that wait for each other in a cycle, while the rest of the program runs
 * (tn_options.report_wait_cycles). README.md ("Cycles of waits") has the protocol and the argument. */
#ifndef TNI_WAIT_GRAPH_H
#define TNI_WAIT_GRAPH_H

#include <tn/runtime.h>

/* Creates the graph of a runtime that wants it, before its threads are started. Does nothing for another runtime. */
int tni_wait_graph_create(tn_runtime *runtime);
void tni_wait_graph_destroy(tn_runtime *runtime);

/* Called by the monitor: makes the reporter check the graph, if it is time. True: another check is needed, so this must be
 * called again. */
bool tni_wait_graph_request(tn_runtime *runtime, uint64_t now_ns);

/* Called by the reporter: finds cycles, and reports those that the check before has found too. */
void tni_wait_graph_check(tn_runtime *runtime);

#endif
