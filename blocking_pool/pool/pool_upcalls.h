/* SPDX-License-Identifier: MIT */
/* Functions of the lookups of names that the pool calls. Defined in lookups.c. */
#ifndef TNI_POOL_UPCALLS_H
#define TNI_POOL_UPCALLS_H

/* The pool gives up its reference to the table of lookups; NULL is allowed. */
void tni_lookups_release(void *table);

#endif
