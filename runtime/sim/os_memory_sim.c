/* SPDX-License-Identifier: MIT */
/* The twin of os/os_memory.c: real memory, and failures by the seed. What a kernel can do is the same on every machine. */
#include "os/os_memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sim/os_memory_sim.h"
#include "sim/sim_choice.h"
#include "sim/sim_thread.h"
#include "sim/sim_trace.h"

#define PAGE_BYTES ((size_t)4096)

/* MADV_GUARD_INSTALL, MADV_POPULATE_WRITE. */
#define ADVICE_GUARD_INSTALL 102
#define ADVICE_POPULATE_WRITE 23

static size_t mapped;
static tni_os_memory_sim_use expected; /* `stacks`: those of mappings to come */
static tni_os_memory_sim_use used;
static char *last_guard;

size_t tni_os_memory_sim_mapped(void)
{
    return mapped;
}

void tni_os_memory_sim_begin(const tni_os_memory_sim_use *use)
{
    expected = *use;
}

tni_os_memory_sim_use tni_os_memory_sim_used(void)
{
    return used;
}

void tni_os_memory_sim_populate(void *address, size_t size)
{
    uintptr_t begin = ((uintptr_t)address + PAGE_BYTES - 1) & ~(uintptr_t)(PAGE_BYTES - 1);
    uintptr_t end = ((uintptr_t)address + size) & ~(uintptr_t)(PAGE_BYTES - 1);

    if (begin < end)
        (void)madvise((void *)begin, end - begin, ADVICE_POPULATE_WRITE); /* a kernel that does not know it loses time only */
}

/* Makes the last pages of the stacks in a new mapping present. Less than a stack is no mapping of stacks. */
static void populate_stacks(char *mapping, size_t size)
{
    for (size_t bytes = expected.stack_bytes; bytes != 0 && bytes <= size && expected.stacks > 0; bytes += expected.stack_bytes) {
        tni_os_memory_sim_populate(mapping + bytes - PAGE_BYTES, PAGE_BYTES);
        expected.stacks--;
    }
}

/* `guard`: the low end of a stack that is taken into use. */
static void note_stack(char *guard)
{
    size_t bytes = guard > last_guard ? (size_t)(guard - last_guard) : (size_t)(last_guard - guard);

    if (last_guard != NULL && (used.stack_bytes == 0 || bytes < used.stack_bytes))
        used.stack_bytes = bytes;
    last_guard = guard;
    used.stacks++;
}

int tni_os_map(size_t size, void **out)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
    void *address;

    tni_sim_thread_call();
    if (tni_sim_choice_happens(TNI_SIM_MAP) || tni_sim_choice_happens(TNI_SIM_CALL)) {
        tni_sim_trace(TNI_SIM_TRACE_MAP, (int64_t)size, -ENOMEM);
        return -ENOMEM;
    }
    address = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (address == MAP_FAILED)
        return -errno;
    tni_sim_trace(TNI_SIM_TRACE_MAP, (int64_t)size, 0);
    mapped += size;
    populate_stacks(address, size);
    *out = address;
    return 0;
}

int tni_os_unmap(void *address, size_t size)
{
    tni_sim_thread_call();
    if (munmap(address, size) != 0)
        return -errno;
    mapped -= size;
    return 0;
}

int tni_os_protect_none(void *address, size_t size)
{
    return mprotect(address, size, PROT_NONE) == 0 ? 0 : -errno;
}

/* A kernel that has no light guards gets a protected page instead. */
static int guard(void *address, size_t size)
{
    return madvise(address, size, ADVICE_GUARD_INSTALL) == 0 ? 0 : tni_os_protect_none(address, size);
}

int tni_os_advise(void *address, size_t size, tni_os_advice advice)
{
    switch (advice) {
    case TNI_ADVICE_GUARD:
        note_stack(address);
        return guard(address, size);
    case TNI_ADVICE_DISCARD:
        return madvise(address, size, MADV_DONTNEED) == 0 ? 0 : -errno;
    case TNI_ADVICE_NO_HUGE_PAGES:
        break;
    }
    (void)madvise(address, size, MADV_NOHUGEPAGE);
    return 0;
}

int tni_os_faults(void *address, size_t size)
{
    char byte;
    struct iovec here = {&byte, 1};
    struct iovec there = {address, size};

    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) < 0;
}

size_t tni_os_page_size(void)
{
    return PAGE_BYTES;
}

size_t tni_os_map_count_max(void)
{
    return 65530;
}
