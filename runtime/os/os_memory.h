/* SPDX-License-Identifier: MIT */
/* The OS layer for mapping and protecting memory. Fault injection replaces these functions and nothing else. All return 0 or a
 * negative errno value unless stated otherwise. Addresses and lengths are multiples of the page size. */
#ifndef TNI_OS_MEMORY_H
#define TNI_OS_MEMORY_H

#include "base/defs.h"

typedef enum {
    TNI_ADVICE_DISCARD,       /* frees the pages: they read as zero and use no memory until they are written again */
    TNI_ADVICE_NO_HUGE_PAGES, /* a touched byte commits one small page, not a huge one */
    TNI_ADVICE_GUARD,         /* any access faults, without a further mapping; survives TNI_ADVICE_DISCARD. Linux 6.13 */
} tni_os_advice;

/* Maps memory for stacks: all zero, committed page by page on first use. */
int tni_os_map(size_t size, void **out);
int tni_os_unmap(void *address, size_t size);
int tni_os_protect_none(void *address, size_t size);
int tni_os_advise(void *address, size_t size, tni_os_advice advice);

/* Whether reading the pages faults; determined without a fault. Returns 1 or 0, or a negative errno value if the kernel does not
 * show it. */
int tni_os_faults(void *address, size_t size);

/* Bytes per page. */
size_t tni_os_page_size(void);

/* The kernel's limit of mappings per process; its default if that cannot be read. */
size_t tni_os_map_count_max(void);

#endif
