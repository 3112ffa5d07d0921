/* SPDX-License-Identifier: MIT */
/* Lookups in flight: equal questions are asked once, and a lookup that no caller waits for gives its thread's place back.
 *
 * A lookup is in the table of its pool from its first caller until it is done. The table has a lock. Under the lock a caller
 * finds an equal lookup and joins its waiters, or enters its own. The fields marked T are accessed under this lock only.
 *
 * No wake is lost: a waiter stores its waker, and the thread that completes the lookup sets `done` and takes all wakers, each
 * under the lock.
 *
 * Nothing is freed early: `references` counts the pool, from the push until the completion, and each caller. The completion
 * unlinks all waiters under the lock, and a waiter that leaves unlinks itself there, so no waiter's frame is accessed after it.
 * The table is counted too, by the pool and each lookup, because a caller may belong to another runtime than the pool.
 *
 * The last waiter that leaves before the lookup is done withdraws it if it is queued. If it runs, its thread leaves the cap
 * of the class (tni_pool_detach). Both need the pool. It exists while the lock is held and `done` is not set: a thread of
 * the pool has yet to take the lock to complete the lookup, and holds the runtime until then. For the detach, which makes
 * its own use of locks, the caller retains the runtime before it releases the lock. A later equal question joins the lookup
 * that still runs. */
#ifndef TNI_LOOKUPS_H
#define TNI_LOOKUPS_H

#include <tn/names.h>

#include "base/list.h"
#include "names/names.h"
#include "pool/pool.h"

typedef struct tni_lookups tni_lookups;

/* Looks up the addresses, on a thread that may block. `out` has no address yet. */
typedef int tni_lookup_ask(const tn_allocator *allocator, const char *host, const char *service, tn_names *out);

typedef struct {
    tni_work work;
    tni_lookups *table;  /* S */
    tni_pool *pool;      /* S: see above */
    tni_lookup_ask *ask; /* S */
    tni_list_node node;  /* T: in the table until it is done */
    tni_list waiters;    /* T */
    unsigned references; /* T */
    bool done;           /* T; set: `error` and `names` are constant */
    bool has_service;    /* S */
    int error;
    tn_names names;
    char host[TNI_HOST_BYTES];       /* S */
    char service[TNI_SERVICE_BYTES]; /* S; valid if has_service */
} tni_lookup;

/* Asks by `ask`, on a thread of the pool, unless the same question is being asked. Returns what `ask` has returned, and a
 * copy of its addresses; or an error of the pool or of the caller's wait. Suspends. */
int tni_lookups_resolve(tni_pool *pool, tni_lookup_ask *ask, const char *host, const char *service, tn_names *out);

#endif
