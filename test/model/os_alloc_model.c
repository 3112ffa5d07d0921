/* SPDX-License-Identifier: MIT */
/* The model's twins of runtime/base/alloc.h and runtime/base/log.h. */
#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/log.h"
#include "engine.h"

static void *allocate(void *ctx, size_t size_bytes, size_t align_bytes)
{
    (void)ctx;
    return arena_alloc(size_bytes, align_bytes, MODEL_PC);
}

static void release(void *ctx, void *ptr, size_t size_bytes)
{
    (void)ctx;
    (void)size_bytes;
    arena_free(ptr, MODEL_PC);
}

const tn_allocator tni_alloc_default = {.alloc = allocate, .free = release, .ctx = NULL};

void *tni_alloc(const tn_allocator *allocator, size_t size_bytes, size_t align_bytes)
{
    (void)allocator;
    return arena_alloc(size_bytes, align_bytes, MODEL_PC);
}

void *tni_alloc_uninitialized(const tn_allocator *allocator, size_t size_bytes, size_t align_bytes)
{
    return tni_alloc(allocator, size_bytes, align_bytes);
}

void tni_free(const tn_allocator *allocator, void *ptr, size_t size_bytes)
{
    (void)allocator;
    (void)size_bytes;
    if (ptr != NULL)
        arena_free(ptr, MODEL_PC);
}

const char *tn_strerror(int error)
{
    (void)error;
    return "an error";
}

void (*model_log)(const char *line);

void tni_log_write(const tni_log *log, tn_log_level level, const char *format, ...)
{
    char line[TNI_LOG_LINE_SIZE];
    va_list arguments;

    (void)log;
    (void)level;
    if (model_log == NULL)
        return;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    model_log(line);
}
