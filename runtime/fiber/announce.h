/* SPDX-License-Identifier: MIT */
/* Announcing fibers to tools that the program runs under, if the library itself was built without them: AddressSanitizer and
 * ThreadSanitizer, when the program was compiled with one of them, and memcheck. (base/san.h is for a library that was.)
 *
 * The sanitizers are found by weak symbols, memcheck by a client request. If there is one, the first runtime replaces the
 * functions that make, enter and finalize contexts by ones that also announce. Otherwise a switch costs nothing. */
#ifndef TNI_ANNOUNCE_H
#define TNI_ANNOUNCE_H

#include "fiber/context.h"

/* Called before a runtime makes its first fiber: checks for the tools. */
void tni_announce_init(void);

/* Called in a child of fork: another thread of the parent may have had the lock of the table of contexts. The
 * table itself is complete at each instruction (announce.c). */
void tni_announce_in_child(void);

#endif
