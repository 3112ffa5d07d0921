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

/* MADV_GUARD_INSTALL. */
#define ADVICE_GUARD_INSTALL 102

static size_t mapped;

size_t tni_os_memory_sim_mapped(void)
{
    return mapped;
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
        return guard(address, size);
    case TNI_ADVICE_DISCARD:
        return madvise(address, size, MADV_DONTNEED) == 0 ? 0 : -errno;
    case TNI_ADVICE_NO_HUGE_PAGES:
        break;
    }
    (void)madvise(address, size, MADV_NOHUGEPAGE);
    return 0;
}

int tni_os_faults(const void *address)
{
    char byte;
    struct iovec here = {&byte, 1};
    struct iovec there = {(void *)(uintptr_t)address, 1}; /* const is cast away: it is only read */

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
