/* SPDX-License-Identifier: MIT */
/* The OS layer for the dynamic linker: symbol names of code addresses. No function here takes a lock of the dynamic linker, of
 * malloc or of stdio. */
#ifndef TNI_OS_SYMBOL_H
#define TNI_OS_SYMBOL_H

#include "base/defs.h"

/* Writes "name+0x12 (file+0x345)" for `pc`, or the part of it that is known. addr2line takes the offset in the file. The name of
 * a static function is read from the file, which may have to wait for the disk. */
void tni_os_symbol(const void *pc, char *out, size_t size);

/* Whether two addresses are in one loaded object. False also if that cannot be found out. */
bool tni_os_symbol_same_object(const void *a, const void *b);

/* Whether a loaded object defines a symbol of that name; TNI_SYMBOL_UNKNOWN: objects came or went meanwhile, or their memory
 * cannot be read. The object may not be ready for use yet: another thread may be loading it. */
typedef enum { TNI_SYMBOL_NONE, TNI_SYMBOL_DEFINED, TNI_SYMBOL_UNKNOWN } tni_symbol_found;
tni_symbol_found tni_os_symbol_is_defined(const char *name);

/* Finds the words that are code addresses of a loaded object right behind a call instruction. Copies the first `max` of them,
 * in order, and returns their number. */
unsigned tni_os_return_addresses(const void *const *words, unsigned count, const void **out, unsigned max);

#endif
