/* SPDX-License-Identifier: MIT */
/* A cache of symbol names, for a dump: many tasks wait at the same few places, and to look up a name takes long. */
#ifndef TNI_SYMBOL_CACHE_H
#define TNI_SYMBOL_CACHE_H

#include "base/defs.h"

typedef struct tni_symbol_cache tni_symbol_cache;

/* Maps the memory of a cache, so that malloc's lock is not needed. NULL: there is no memory. */
tni_symbol_cache *tni_symbol_cache_create(void);
void tni_symbol_cache_destroy(tni_symbol_cache *cache);

/* As tni_os_symbol (os_symbol.h). `cache`: NULL for none. */
void tni_symbol_cache_name(tni_symbol_cache *cache, const void *pc, char *out, size_t size);

#endif
