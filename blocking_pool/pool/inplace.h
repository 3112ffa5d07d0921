/* SPDX-License-Identifier: MIT */
/* What a fiber does on its own worker though it may block: reading files that are in memory, calling functions that have been
 * brief. README.md ("Files", "Brief functions") has when and why. */
#ifndef TNI_INPLACE_H
#define TNI_INPLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tn/blocking.h>

#include "base/atomic.h"

typedef struct tni_pool tni_pool;

/* A whole file is read so if it is no larger. */
#define TNI_INPLACE_BYTES ((size_t)128 << 10)

enum { TNI_INPLACE_DEVICES = 4 };

/* What a pool knows of the file systems that its runtime reads from. Hints all: a wrong one costs time. */
typedef struct {
    tni_a64 devices[TNI_INPLACE_DEVICES]; /* on which files are opened without waiting for anybody; 0: none */
    tni_a32 next;                         /* the one to be forgotten first */
    tni_a32 calls;                        /* fibers that open a file or make a call in place now */
    tni_a64 closed_until_ns;              /* nothing is opened in place before that */
} tni_inplace_hints;

static inline void tni_inplace_init(tni_inplace_hints *hints)
{
    for (unsigned i = 0; i < TNI_INPLACE_DEVICES; i++)
        tni_a64_init(&hints->devices[i], 0);
    tni_a32_init(&hints->next, 0);
    tni_a32_init(&hints->calls, 0);
    tni_a64_init(&hints->closed_until_ns, 0);
}

/* A file that is opened, or a call that is made, in place. */
typedef struct {
    tni_pool *pool; /* NULL: it is not */
    uint64_t began_ns;
} tni_inplace;

/* May the calling fiber read in place what is in memory? Not in a job and on a plain thread: they may block. Not if it has been
 * cancelled, or its time is over: the way through the pool tells. */
bool tni_inplace_may_read(void);

/* May the calling fiber open a file in place? If so, tni_inplace_end is to follow, which is where it may suspend. */
bool tni_inplace_begin(tni_inplace *self);
void tni_inplace_end(const tni_inplace *self);

/* The same for a call of a function that may block. */
bool tni_inplace_begin_call(tni_inplace *self, tn_job_fn fn);
/* Between the two: makes it, on the worker's own stack. */
void *tni_inplace_call(const tni_inplace *self, tn_job_fn fn, void *arg);

/* Is the file system one that lets nobody wait? */
bool tni_inplace_knows(const tni_pool *pool, uint64_t device);

/* Where it may block: finds that out for the one on which `fd` is. */
void tni_inplace_learn(tni_pool *pool, int fd, uint64_t device);

#endif
