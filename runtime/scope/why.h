/* SPDX-License-Identifier: MIT */
/* The record of why a cancellation point has failed. It is made where the call fails, and nothing is done for it before. A
 * fiber has it as a task-local value, a plain thread in its tni_tls. */
#ifndef TNI_WHY_H
#define TNI_WHY_H

#include "scope/scope.h"

typedef struct tni_why tni_why;
struct tni_why {
    tn_runtime *runtime;    /* whose allocator it is from; NULL: a plain thread's */
    const tni_scope *scope; /* to compare with; NULL: the task was cancelled */
    const void *site;       /* where the scope was entered */
    uint64_t deadline_ns;   /* of TN_ETIMEDOUT */
    uint64_t failed_ns;
    const char *waited_for;  /* static text, or NULL */
    int error;               /* 0: nothing is recorded */
    unsigned depth;          /* scopes inside that one */
    tni_scope_origin origin; /* of TN_ECANCELED */
};

/* The calling task or thread is inside `innermost` (NULL: no scope), and its call fails with `error`. */
void tni_why_record(const tni_scope *innermost, int error);

/* The fiber's call, whose failure has just been recorded, had waited for a future of that name (NULL: it has none). */
void tni_why_waited(const char *name);

/* This plain thread begins a call of the program that has nothing to do with the calls before it. */
static inline void tni_why_clear(tni_tls *local)
{
    ((tni_why *)(void *)local->why)->error = 0;
}

/* The record of the calling fiber or thread; NULL: there is none. */
tni_why *tni_why_find(void);

#endif
