/* SPDX-License-Identifier: MIT */
/* The OS layer for the dynamic linker: symbol names of code addresses. No function here takes a lock of the dynamic linker, of
 * malloc or of stdio. */
#ifndef TNI_OS_SYMBOL_H
#define TNI_OS_SYMBOL_H

#include "base/defs.h"

/* Writes "name+0x12 (file+0x345)" for `pc`, or the part of it that is known. addr2line takes the offset in the file. */
void tni_os_symbol(const void *pc, char *out, size_t size);

/* Finds the words that are code addresses of a loaded object right behind a call instruction. Copies the first `max` of them,
 * in order, and returns their number. */
unsigned tni_os_return_addresses(const void *const *words, unsigned count, const void **out, unsigned max);

#endif
