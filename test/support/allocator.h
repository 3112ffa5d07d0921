/* SPDX-License-Identifier: MIT */
/* An allocator that counts, checks what is given back, and fails on demand. */
#ifndef TT_ALLOCATOR_H
#define TT_ALLOCATOR_H

#include <stdatomic.h>

#include <tn/runtime.h>

typedef struct {
    tn_allocator as_option;            /* for tn_options.allocator */
    atomic_long calls;                 /* allocations asked for */
    atomic_long blocks;                /* allocated and not freed */
    atomic_long bytes;                 /* in them */
    atomic_long fail_from;             /* the first call that gets nothing, from 1; 0: none */
    atomic_long fail_count;            /* how many do from there on */
    void (*before_failure)(void *arg); /* or NULL; called where a call gets nothing */
    void *arg;
} tt_allocator;

void tt_allocator_init(tt_allocator *allocator);

/* From now on: the `nth` call from here (from 1) fails, and `count` of them. */
void tt_allocator_fail(tt_allocator *allocator, long nth, long count);

#endif
