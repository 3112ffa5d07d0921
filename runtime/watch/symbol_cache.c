/* SPDX-License-Identifier: MIT */
/* A cache of symbol names: a table with one entry for each value of a hash of the address. */
#include "watch/symbol_cache.h"

#include <string.h>

#include <tn/inspect.h>

#include "os/os_memory.h"
#include "os/os_symbol.h"

#define BITS 9

typedef struct {
    const void *pc; /* NULL: unused */
    char name[248];
} entry;

struct tni_symbol_cache {
    entry entries[1 << BITS];
};

static size_t mapped_size(void)
{
    size_t page = tni_os_page_size();

    return (sizeof(tni_symbol_cache) + page - 1) / page * page;
}

tni_symbol_cache *tni_symbol_cache_create(void)
{
    void *cache;

    return tni_os_map(mapped_size(), &cache) == 0 ? cache : NULL;
}

void tni_symbol_cache_destroy(tni_symbol_cache *cache)
{
    if (cache != NULL)
        (void)tni_os_unmap(cache, mapped_size());
}

void tni_symbol_cache_name(tni_symbol_cache *cache, const void *pc, char *out, size_t size)
{
    entry *e;

    if (cache == NULL || size < sizeof e->name) {
        tni_os_symbol(pc, out, size);
        return;
    }
    e = &cache->entries[(uint64_t)(uintptr_t)pc * UINT64_C(0x9e3779b97f4a7c15) >> (64 - BITS)];
    if (e->pc != pc || pc == NULL) {
        tni_os_symbol(pc, e->name, sizeof e->name);
        e->pc = pc;
    }
    memcpy(out, e->name, sizeof e->name);
}

void tn_code_name(const void *address, char *out, size_t size)
{
    tni_os_symbol(address, out, size);
}
