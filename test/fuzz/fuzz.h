/* SPDX-License-Identifier: MIT */
/* What fuzz targets share. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tn.h>

/* The name is libFuzzer's. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define fuzz_check(cond) ((cond) ? (void)0 : fuzz_failed(__FILE__, __LINE__, #cond))

_Noreturn static inline void fuzz_failed(const char *file, int line, const char *text)
{
    (void)fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
    abort();
}

/* --- A byte stream of given bytes, a few per read ------------------------------------------------------------------------ */

typedef struct fuzz_source {
    const uint8_t *bytes;
    size_t size;
    size_t done;
    size_t piece; /* bytes per read, at least 1 */
} fuzz_source;

static inline ssize_t fuzz_source_read(void *object, void *buf, size_t size)
{
    fuzz_source *source = object;
    size_t n = size < source->piece ? size : source->piece;

    if (n > source->size - source->done)
        n = source->size - source->done;
    if (n > 0)
        memcpy(buf, source->bytes + source->done, n);
    source->done += n;
    return (ssize_t)n;
}

static inline tn_io fuzz_source_io(fuzz_source *source)
{
    static const tn_io_ops ops = {.size = sizeof ops, .read = fuzz_source_read};

    return (tn_io){&ops, source};
}

/* Takes a byte off the input; 0 if there is none. */
static inline uint8_t fuzz_take(const uint8_t **data, size_t *size)
{
    if (*size == 0)
        return 0;
    (*size)--;
    return *(*data)++;
}

#endif
