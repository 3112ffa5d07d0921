/* SPDX-License-Identifier: MIT */
/* The processors that the process may use: their number, which determines the number of workers, and binding a thread to some.
 *
 * Two limits apply: the affinity mask, and the CPU quota of the control groups (cgroups) of the process, which containers use.
 * A quota lets the threads run on any processor, but stops all of them for the rest of a period once their total is used up. So
 * workers beyond the quota lengthen the stops and make nothing faster.
 */
#ifndef TNI_CPUS_H
#define TNI_CPUS_H

#include <stdbool.h>
#include <stddef.h>

/* The smaller of the two limits, at least 1. It reads files and allocates by the C library: call it only at startup. */
unsigned tni_cpus_usable(void);

/* The smallest CPU quota of the process's control group and all its visible ancestors, version 2 and 1, in processors rounded
 * up. 0: none. False: a file that may be there cannot be opened or read (no descriptor left, no permission, no memory), so the
 * quota is unknown, and `*quota` is that of the rest. `root` is put before every path that is opened: "" outside tests. */
bool tni_cpus_quota_at(const char *root, unsigned *quota);

/* Whether the calling thread may run on each of these processors. It tries each, and comes back. */
bool tni_cpus_may_use(const unsigned *cpus, size_t count);

/* Binds the calling thread to these processors. False: it may run on none of them, and stays as it was. */
bool tni_cpus_bind(const unsigned *cpus, size_t count);

#endif
