/* SPDX-License-Identifier: MIT */
/* The memory of the admin server: mapped at its start, so that no request waits for a lock of malloc. */
#ifndef TNI_ADMIN_MEMORY_H
#define TNI_ADMIN_MEMORY_H

#include <stdatomic.h>

#include <tn/runtime.h>

/* Blocks are powers of two from 64 bytes; free ones are kept in a list for each size. */
#define TNI_ADMIN_MEMORY_SIZES 24

typedef struct {
    tn_allocator allocator; /* for the options of a runtime */
    char *base;
    size_t size;
    atomic_flag busy; /* over what follows */
    size_t used;
    void *free[TNI_ADMIN_MEMORY_SIZES];
} tni_admin_memory;

/* Returns 0 or TN_ENOMEM. It must not move. */
int tni_admin_memory_init(tni_admin_memory *self, size_t size);
void tni_admin_memory_fini(tni_admin_memory *self);

#endif
