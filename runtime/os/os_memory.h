/* SPDX-License-Identifier: MIT */
/* The OS layer for the system's memory calls. Fault injection replaces these and nothing else. All answer 0 or a negative errno
 * value unless said otherwise; addresses and lengths are multiples of the page size. */
#ifndef TNI_OS_MEMORY_H
#define TNI_OS_MEMORY_H

#include "base/defs.h"

typedef enum {
    TNI_ADVICE_DISCARD,       /* the contents go, the pages read as zero and cost nothing until they are written again */
    TNI_ADVICE_NO_HUGE_PAGES, /* one touched byte shall cost one small page */
    TNI_ADVICE_GUARD,         /* any access faults, at no cost in mappings; survives TNI_ADVICE_DISCARD. Linux 6.13 */
} tni_os_advice;

/* Fresh memory for stacks, all zero, committed page by page as it is touched. */
int tni_os_map(size_t size, void **out);
int tni_os_unmap(void *address, size_t size);
int tni_os_protect_none(void *address, size_t size);
int tni_os_advise(void *address, size_t size, tni_os_advice advice);

/* Whether it is known that touching these eight bytes would fault; found out without faulting. */
bool tni_os_faults(const void *address);

/* Bytes a page. */
size_t tni_os_page_size(void);

/* How many mappings the system lets one process have; its usual value where it does not say. */
size_t tni_os_map_count_max(void);

#endif
