/* SPDX-License-Identifier: MIT */
/* The twin of base/alloc.c: any allocation may fail, by the seed. */
#include "base/alloc.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim/alloc_sim.h"
#include "sim/os_memory_sim.h"
#include "sim/sim_choice.h"
#include "sim/sim_run.h"

/* How much of the heap is tracked, and by how much it grows. */
#define HEAP_BYTES_MAX ((size_t)8 << 20)
#define HUGE_PAGE_BYTES ((size_t)2 << 20)
#define PROBE_BYTES ((size_t)256 << 10) /* more than the C library has at first */

static uint64_t in_use;
static char *heap; /* where the blocks of the run begin */
static size_t heap_bytes;
static void *volatile filler; /* up to the first huge page */

/* Blocks that are allocated from now on are in huge pages: a run touches one or two of these instead of a hundred small ones,
 * and the first touch of a page costs more than a step of the run. Without such pages, or with another allocator, only the time
 * differs. */
static void use_huge_pages(void)
{
    char *probe = malloc(PROBE_BYTES); /* from the end of the heap, which it is given back to */
    uintptr_t begin = (uintptr_t)probe;
    uintptr_t end = (uintptr_t)sbrk(0);
    uintptr_t huge = (begin + PROBE_BYTES + PROBE_BYTES / 4 + HUGE_PAGE_BYTES) & ~(HUGE_PAGE_BYTES - 1);

    free(probe);
    if (begin == 0 || begin > end || end - begin < HUGE_PAGE_BYTES + HEAP_BYTES_MAX)
        return; /* the blocks are elsewhere */
    filler = malloc(huge - begin - PROBE_BYTES / 8);
    (void)madvise((void *)huge, HEAP_BYTES_MAX, MADV_HUGEPAGE);
}

void tni_sim_alloc_prepare(void)
{
    (void)mallopt(M_TOP_PAD, (int)(2 * HEAP_BYTES_MAX));
    (void)mallopt(M_TRIM_THRESHOLD, (int)(4 * HEAP_BYTES_MAX));
    (void)mallopt(M_MMAP_THRESHOLD, (int)HEAP_BYTES_MAX);
    use_huge_pages();
}

void tni_sim_alloc_begin(size_t expected_bytes)
{
    size_t bytes = expected_bytes + 1;

    heap = malloc(bytes);
    if (heap != NULL)
        tni_os_memory_sim_populate(heap, bytes);
    free(heap);
}

size_t tni_sim_alloc_heap_bytes(void)
{
    return heap_bytes;
}

static void note_heap(const char *block, size_t size_bytes)
{
    size_t end = (uintptr_t)block > (uintptr_t)heap ? (uintptr_t)block - (uintptr_t)heap + size_bytes : 0;

    if (end > heap_bytes && end <= HEAP_BYTES_MAX)
        heap_bytes = end;
}

uint64_t tni_sim_alloc_in_use(void)
{
    return in_use;
}

static void *libc_alloc(void *ctx, size_t size_bytes, size_t align_bytes)
{
    void *ptr = NULL;

    (void)ctx;
    if (tni_sim_run_is_on() && tni_sim_choice_happens(TNI_SIM_ALLOC))
        return NULL;
    if (posix_memalign(&ptr, align_bytes, size_bytes) != 0)
        return NULL;
    in_use++;
    note_heap(ptr, size_bytes);
    return ptr;
}

static void libc_free(void *ctx, void *ptr, size_t size_bytes)
{
    (void)ctx;
    (void)size_bytes;
    in_use--;
    free(ptr);
}

const tn_allocator tni_alloc_default = {.alloc = libc_alloc, .free = libc_free, .ctx = NULL};

void *tni_alloc(const tn_allocator *allocator, size_t size_bytes, size_t align_bytes)
{
    void *ptr = allocator->alloc(allocator->ctx, size_bytes, align_bytes);

    if (ptr != NULL)
        memset(ptr, 0, size_bytes);
    return ptr;
}

void *tni_alloc_uninitialized(const tn_allocator *allocator, size_t size_bytes, size_t align_bytes)
{
    return allocator->alloc(allocator->ctx, size_bytes, align_bytes);
}

void tni_free(const tn_allocator *allocator, void *ptr, size_t size_bytes)
{
    if (ptr != NULL)
        allocator->free(allocator->ctx, ptr, size_bytes);
}
