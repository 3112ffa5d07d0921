/* SPDX-License-Identifier: MIT */
/* Heap sort: it needs no memory. qsort of the C library may call malloc, and a worker may be stuck inside of that. */
#ifndef TNI_HEAP_SORT_H
#define TNI_HEAP_SORT_H

#include <stdbool.h>
#include <stddef.h>

/* What is sorted. Elements are named by their position. */
typedef struct {
    void *of; /* passed to the functions */
    bool (*is_less)(const void *of, size_t a, size_t b);
    void (*swap)(void *of, size_t a, size_t b);
} tni_heap;

/* Moves the element at `at` down until none of its two children is greater. */
static inline void tni_heap_sift(const tni_heap *heap, size_t at, size_t count)
{
    size_t child;

    while ((child = 2 * at + 1) < count) {
        if (child + 1 < count && heap->is_less(heap->of, child, child + 1))
            child++;
        if (!heap->is_less(heap->of, at, child))
            return;
        heap->swap(heap->of, at, child);
        at = child;
    }
}

/* Sorts `count` elements, the smallest first. */
static inline void tni_heap_sort(const tni_heap *heap, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        tni_heap_sift(heap, i, count);
    for (size_t left = count; left > 1; left--) {
        heap->swap(heap->of, 0, left - 1);
        tni_heap_sift(heap, 0, left - 1);
    }
}

#endif
