/* SPDX-License-Identifier: MIT */
/* Macros that every file of the library uses: cache lines, branch hints, container_of, assertions. */
#ifndef TNI_DEFS_H
#define TNI_DEFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Two lines, because x86 prefetches lines in pairs: writes to an adjacent line must not cause false sharing. */
#define TNI_CACHE_LINE 128
#define tni_cache_aligned _Alignas(TNI_CACHE_LINE)

#define tni_likely(x) __builtin_expect(!!(x), 1)
#define tni_unlikely(x) __builtin_expect(!!(x), 0)

/* The struct that contains the `member` at `ptr`. */
#define tni_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Misuse and broken invariants abort the process in every build: a runtime that continues with a wrong state word corrupts data
 * of other code. Checks that cost time are tni_debug_assert. */
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

/* Prints the place and the message to stderr, then aborts. */
_Noreturn void tni_log_fatal(const char *file, int line, const char *func, const char *message);

#endif
