/* SPDX-License-Identifier: MIT */
/* The one place where Concurrency Kit comes in. Debian's 0.7.1 lacks later fixes in its queues, stacks, epoch and hazard
 * pointers, and ThreadSanitizer does not see its inline assembly: so only pieces that need no ordering of it are used. */
#ifndef TNI_CK_H
#define TNI_CK_H

#include <ck_pr.h> /* ck_pr_stall: each processor's hint for a loop that waits */

#endif
