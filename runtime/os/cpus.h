/* SPDX-License-Identifier: MIT */
/* How many processors the process may really use: what decides the number of workers.
 *
 * Two limits count: the affinity mask, and the CPU quota of the control groups (cgroups) the process is in, which containers use.
 * A quota lets the threads run anywhere, but stops all of them for the rest of a period once their sum is spent; so workers
 * beyond it make the stops longer and nothing faster.
 */
#ifndef TNI_CPUS_H
#define TNI_CPUS_H

/* The smaller of the two limits; at least 1. Reads files and allocates by the C library: for starting up only. */
unsigned tni_cpus_usable(void);

/* The tightest CPU quota of the process's control group and all its visible ancestors, version 2 and 1, in processors rounded
 * up. 0: none, or none that can be read. `root` stands before every path that is opened: "" outside tests. */
unsigned tni_cpus_quota_at(const char *root);

#endif
