/* SPDX-License-Identifier: MIT */
/* An allocator that counts, checks each free, and fails on demand. */
#ifndef TT_ALLOCATOR_H
#define TT_ALLOCATOR_H

#include <stdatomic.h>

#include <tn/runtime.h>

typedef struct {
    tn_allocator as_option;            /* for tn_options.allocator */
    atomic_long calls;                 /* calls of alloc */
    atomic_long blocks;                /* allocated and not freed */
    atomic_long bytes;                 /* in these blocks */
    atomic_long fail_from;             /* number of the first call that fails, from 1; 0: none */
    atomic_long fail_count;            /* how many calls fail from there on */
    void (*before_failure)(void *arg); /* or NULL; called before a call fails */
    void *arg;
} tt_allocator;

void tt_allocator_init(tt_allocator *allocator);

/* Makes `count` calls fail, beginning with the `nth` from now on (from 1); nth 0: none. */
void tt_allocator_fail(tt_allocator *allocator, long nth, long count);

#endif
