/* SPDX-License-Identifier: MIT */
/* The OS layer for reading memory that may vanish or change meanwhile. */
#ifndef TNI_OS_COPY_H
#define TNI_OS_COPY_H

#include "base/defs.h"

/* Copies `size` bytes at the address `from` of this process. It takes no lock. False: not all of them are mapped, or the kernel
 * refuses (process_vm_readv). */
bool tni_os_copy(uintptr_t from, void *to, size_t size);

#endif
