/* SPDX-License-Identifier: MIT */
/* The stacks of a profile: a table of fixed size, in which equal stacks are one entry with the sum of their time. */
#ifndef TNI_ADMIN_STACKS_H
#define TNI_ADMIN_STACKS_H

#include <tn/inspect.h>

/* Stacks that differ, functions that differ, and frames of a stack with the labels that a profile adds. */
#define TNI_ADMIN_STACKS_MAX 2048
#define TNI_ADMIN_NAMES_MAX 4096
#define TNI_ADMIN_DEPTH_MAX (TN_TASK_FRAMES + 4)

typedef struct {
    uint64_t key; /* what it consists of, hashed; 0: the entry is unused */
    uint64_t ns;  /* how long tasks were seen there */
    tn_task_state state;
    char name[24];      /* of the tasks; empty: names are not compared */
    char waits_for[32]; /* TN_TASK_WAITS */
    const void *spawned_at;
    unsigned frames; /* before tni_admin_stacks_resolve */
    const void *frame[TN_TASK_FRAMES];
    unsigned depth;                     /* after it: length of the path */
    uint16_t path[TNI_ADMIN_DEPTH_MAX]; /* numbers of names, the root first */
} tni_admin_stack;

typedef struct {
    const void *address; /* of an entry of the cache; NULL: it is unused */
    uint16_t name;
} tni_admin_address;

typedef struct {
    uint64_t total_ns;
    uint64_t left_out_ns; /* of stacks for which the table had no entry */
    unsigned used;
    unsigned names_used;
    uint16_t order[TNI_ADMIN_STACKS_MAX];              /* entries in use; sorted by tni_admin_stacks_resolve */
    tni_admin_stack entries[2 * TNI_ADMIN_STACKS_MAX]; /* found by the key */
    tni_admin_address addresses[2 * TNI_ADMIN_NAMES_MAX];
    char names[TNI_ADMIN_NAMES_MAX][96];
} tni_admin_stacks;

void tni_admin_stacks_clear(tni_admin_stacks *self);

/* Adds a task that was seen at its place for `ns`. `by_name`: tasks with different names are different entries. */
void tni_admin_stacks_add(tni_admin_stacks *self, const tn_task_info *info, bool by_name, uint64_t ns);

/* Looks up the names of all functions, sorts the stacks by their paths, and merges those with equal ones. Nothing can be added
 * then. It may suspend between two names. Returns 0, or why it was ended. */
int tni_admin_stacks_resolve(tni_admin_stacks *self);

static inline const tni_admin_stack *tni_admin_stacks_at(const tni_admin_stacks *self, unsigned index)
{
    return &self->entries[self->order[index]];
}

#endif
