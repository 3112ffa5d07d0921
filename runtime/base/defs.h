/* SPDX-License-Identifier: MIT */
/* Small words every file of the library uses. */
#ifndef TNI_DEFS_H
#define TNI_DEFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Two lines, because x86 prefetches pairs of them: a neighbour's writes must not steal ours. */
#define TNI_CACHE_LINE 128
#define tni_cache_aligned _Alignas(TNI_CACHE_LINE)

#define tni_likely(x) __builtin_expect(!!(x), 1)
#define tni_unlikely(x) __builtin_expect(!!(x), 0)

/* The struct that `member` at `ptr` lives in. */
#define tni_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Misuse and broken invariants stop the program in every build: a runtime that runs on with a wrong state word
 * corrupts somebody else's data. The checks that cost time are tni_debug_assert. */
#define tni_assert(cond, message) \
    do { \
        if (tni_unlikely(!(cond))) \
            tni_log_fatal(__FILE__, __LINE__, __func__, (message)); \
    } while (0)

#ifdef NDEBUG
#define tni_debug_assert(cond, message) ((void)sizeof(cond))
#else
#define tni_debug_assert(cond, message) tni_assert(cond, message)
#endif

/* Says where and why on stderr, then aborts. */
_Noreturn void tni_log_fatal(const char *file, int line, const char *func, const char *message);

#endif
