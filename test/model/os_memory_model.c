/* SPDX-License-Identifier: MIT */
/* The model's twins of runtime/os/os_memory.h, stack_overflow.h and cpus.h: memory for a few small stacks, in which races are
 * not checked; no overflows; two processors. */
#include "os/os_memory.h"

#include <errno.h>
#include <string.h>

#include "engine.h"
#include "fiber/stack_overflow.h"
#include "os/cpus.h"

#define REGION_BYTES ((size_t)8 << 20)
#define MAP_MAX ((size_t)96 << 10) /* more is refused: then the library maps fewer stacks at once */
#define MAPS_MAX 64

static char region[REGION_BYTES] __attribute__((aligned(4096)));
static size_t used;
static struct {
    void *address;
    size_t bytes;
} maps[MAPS_MAX];
static unsigned map_count;

void os_memory_model_reset(void)
{
    used = 0;
    map_count = 0;
}

void os_memory_model_check_leaks(void)
{
    for (unsigned i = 0; i < map_count; i++)
        if (maps[i].bytes > 0)
            model_fail("leak", "%zu mapped bytes are never unmapped", maps[i].bytes);
}

int tni_os_map(size_t size, void **out)
{
    if (size > MAP_MAX || used + size > REGION_BYTES || map_count == MAPS_MAX)
        return -ENOMEM;
    *out = region + used;
    used += size;
    memset(*out, 0, size);
    maps[map_count].address = *out;
    maps[map_count++].bytes = size;
    return 0;
}

int tni_os_unmap(void *address, size_t size)
{
    for (unsigned i = 0; i < map_count; i++)
        if (maps[i].address == address && maps[i].bytes == size) {
            maps[i].bytes = 0;
            return 0;
        }
    model_fail("double-free", "memory that is not mapped is unmapped");
}

int tni_os_protect_none(void *address, size_t size)
{
    (void)address;
    (void)size;
    return -ENOMEM;
}

int tni_os_advise(void *address, size_t size, tni_os_advice advice)
{
    if (advice == TNI_ADVICE_GUARD)
        return -EINVAL;
    if (advice == TNI_ADVICE_DISCARD)
        memset(address, 0, size);
    return 0;
}

int tni_os_faults(void *address, size_t size)
{
    (void)address;
    (void)size;
    return 0;
}

size_t tni_os_page_size(void)
{
    return 4096;
}

size_t tni_os_map_count_max(void)
{
    return 65530;
}

int tni_stack_overflow_install(tni_stack_overflow_find find)
{
    (void)find;
    return 0;
}

void tni_stack_overflow_uninstall(void) {}

int tni_stack_overflow_thread_init(tni_stack_overflow_thread *thread)
{
    (void)thread;
    return 0;
}

void tni_stack_overflow_thread_fini(tni_stack_overflow_thread *thread)
{
    (void)thread;
}

unsigned tni_cpus_usable(void)
{
    return 2;
}

bool tni_cpus_quota_at(const char *root, unsigned *quota)
{
    (void)root;
    *quota = 2;
    return true;
}

bool tni_cpus_may_use(const unsigned *cpus, size_t count)
{
    (void)cpus, (void)count;
    return true;
}

bool tni_cpus_bind(const unsigned *cpus, size_t count)
{
    (void)cpus, (void)count;
    return true;
}
