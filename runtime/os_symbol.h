/* The door to the dynamic linker: names for addresses of code. */
#ifndef TNI_OS_SYMBOL_H
#define TNI_OS_SYMBOL_H

#include "defs.h"

/* Writes what is known about `pc`: "name+0x12 (file+0x345)", or less. The offset in the file is what addr2line wants. */
void tni_os_symbol(const void *pc, char *out, size_t size);

#endif
