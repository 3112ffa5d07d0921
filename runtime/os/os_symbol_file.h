/* SPDX-License-Identifier: MIT */
/* The OS layer for the symbol table in the file of a loaded object: it has the names of static functions, which the dynamic
 * linker does not load. */
#ifndef TNI_OS_SYMBOL_FILE_H
#define TNI_OS_SYMBOL_FILE_H

#include <link.h>

#include "base/defs.h"

/* What identifies a loaded object: its program headers. */
typedef struct {
    const ElfW(Phdr) * headers;
    unsigned count;
} tni_symbol_file_id;

/* Finds the function at `address`, as counted in the file's own addresses. Writes its name, and its first address. It reads the
 * file, so it may wait for a disk. False: the file is not that of the object, has no such function, or was stripped. */
bool tni_os_symbol_in_file(const char *path, tni_symbol_file_id id, uintptr_t address, char *name, size_t size, uintptr_t *begin);

#endif
