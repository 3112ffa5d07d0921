/* SPDX-License-Identifier: MIT */
/* The OS layer for memory. */
#include "os/os_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* MADV_POPULATE_READ (Linux 5.14) and MADV_GUARD_INSTALL, which are newer than the C library's headers. */
#define ADVICE_POPULATE_READ 22
#define ADVICE_GUARD_INSTALL 102

#define USUAL_MAP_COUNT_MAX 65530

int tni_os_map(size_t size, void **out)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
    void *address = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (address == MAP_FAILED)
        return -errno;
    *out = address;
    return 0;
}

int tni_os_unmap(void *address, size_t size)
{
    return munmap(address, size) == 0 ? 0 : -errno;
}

int tni_os_protect_none(void *address, size_t size)
{
    return mprotect(address, size, PROT_NONE) == 0 ? 0 : -errno;
}

int tni_os_advise(void *address, size_t size, tni_os_advice advice)
{
    static const int number[] = {
        [TNI_ADVICE_DISCARD] = MADV_DONTNEED,
        [TNI_ADVICE_NO_HUGE_PAGES] = MADV_NOHUGEPAGE,
        [TNI_ADVICE_GUARD] = ADVICE_GUARD_INSTALL,
    };
    return madvise(address, size, number[advice]) == 0 ? 0 : -errno;
}

int tni_os_faults(void *address, size_t size)
{
    /* No call that takes a pointer to data: some tools of valgrind read that themselves. */
    if (madvise(address, size, ADVICE_POPULATE_READ) == 0)
        return 0;
    return errno == EFAULT ? 1 : -errno;
}

size_t tni_os_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

size_t tni_os_map_count_max(void)
{
    char digits[24];
    size_t value = 0;
    int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return USUAL_MAP_COUNT_MAX;
    ssize_t n = read(fd, digits, sizeof digits);
    close(fd);
    for (ssize_t i = 0; i < n && digits[i] >= '0' && digits[i] <= '9'; i++)
        value = value * 10 + (size_t)(digits[i] - '0');
    return value > 0 ? value : USUAL_MAP_COUNT_MAX;
}
