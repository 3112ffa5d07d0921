/* SPDX-License-Identifier: MIT */
/* The OS layer for the dynamic linker: names for addresses of code. */
#ifndef TNI_OS_SYMBOL_H
#define TNI_OS_SYMBOL_H

#include "base/defs.h"

/* Writes what is known about `pc`: "name+0x12 (file+0x345)", or less. The offset in the file is what addr2line wants. */
void tni_os_symbol(const void *pc, char *out, size_t size);

/* Which of these words are addresses of code of a loaded object that stand right behind a call? The first `max` of them, in
 * order; answers how many. */
unsigned tni_os_return_addresses(const void *const *words, unsigned count, const void **out, unsigned max);

#endif
