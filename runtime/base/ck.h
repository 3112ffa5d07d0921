/* SPDX-License-Identifier: MIT */
/* The only header that includes Concurrency Kit. Debian's 0.7.1 lacks later fixes in its queues, stacks, epoch and hazard
 * pointers, and ThreadSanitizer does not see its inline assembly. So only parts whose memory order does not matter are used. */
#ifndef TNI_CK_H
#define TNI_CK_H

#include <ck_pr.h> /* ck_pr_stall: the processor's hint for a spin loop */

#endif
