/* SPDX-License-Identifier: MIT */
/* Calls that a fiber makes on its own worker although they may block: reads of files in the page cache, and short-running
 * functions. README.md ("Files", "Short-running functions") says when and why. */
#ifndef TNI_INPLACE_H
#define TNI_INPLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tn/blocking.h>

#include "base/atomic.h"

typedef struct tni_pool tni_pool;

/* The largest whole file that is read in place. */
#define TNI_INPLACE_BYTES ((size_t)128 << 10)

enum { TNI_INPLACE_DEVICES = 4 };

/* What a pool knows of the file systems that its runtime reads from. All values are hints: a wrong one costs time only. */
typedef struct {
    tni_a64 devices[TNI_INPLACE_DEVICES]; /* devices on which an open does not block on a server; 0: none */
    tni_a32 next;                         /* the entry to replace next */
    tni_a32 calls;                        /* fibers that are opening a file or making a call in place */
    tni_a64 closed_until_ns;              /* no file is opened in place before this time */
} tni_inplace_hints;

static inline void tni_inplace_init(tni_inplace_hints *hints)
{
    for (unsigned i = 0; i < TNI_INPLACE_DEVICES; i++)
        tni_a64_init(&hints->devices[i], 0);
    tni_a32_init(&hints->next, 0);
    tni_a32_init(&hints->calls, 0);
    tni_a64_init(&hints->closed_until_ns, 0);
}

/* A call in place under way, or an open of a file. */
typedef struct {
    tni_pool *pool; /* NULL: not in place */
    uint64_t began_ns;
} tni_inplace;

/* May the calling fiber read from the page cache in place? False in a job and on a plain thread, which may block; false if the
 * fiber is cancelled or its deadline has passed: the way through the pool then reports it. */
bool tni_inplace_may_read(void);

/* May the calling fiber open a file in place? On true tni_inplace_end must follow; the fiber may suspend there. */
bool tni_inplace_begin(tni_inplace *self);
void tni_inplace_end(const tni_inplace *self);

/* As tni_inplace_begin, for a call of `fn`, which may block. */
bool tni_inplace_begin_call(tni_inplace *self, tn_job_fn fn);
/* Between begin and end: calls `fn` on the worker's own stack. */
void *tni_inplace_call(const tni_inplace *self, tn_job_fn fn, void *arg);

/* For a fiber: calls `fn` on the worker's own stack, whatever that does to the worker. During the call the thread looks like a
 * thread of the pool, but it is not counted and is in no list. `pool` NULL: it looks like a plain thread. */
void *tni_inplace_run_as_thread(tni_pool *pool, tn_job_fn fn, void *arg);

/* Is the device known to be one whose open does not block on a server? */
bool tni_inplace_knows(const tni_pool *pool, uint64_t device);

/* For a thread that may block: finds out whether `device`, on which `fd` is, is such a device. */
void tni_inplace_learn(tni_pool *pool, int fd, uint64_t device);

#endif
