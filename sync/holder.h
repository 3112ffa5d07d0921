/* SPDX-License-Identifier: MIT */
/* Which task holds a lock, where that is recorded (base/holders.h). The word has 0 while it is not known: the lock is free, a
 * thread holds it, readers do, or a task of a runtime without the option.
 *
 * The task that gets the lock sets the word itself, so a lock that is handed over has no holder until the waiter has run. The
 * thread that releases it clears the word before. README.md ("Holders") has the argument. */
#ifndef TNI_HOLDER_H
#define TNI_HOLDER_H

#include <tn/future.h>

#include "base/holders.h"

/* A zeroed word: unknown. */
typedef struct {
    tni_a64 key; /* tni_runtime_holder_key of the task */
} tni_holder;

void tni_holder_set_slowly(tni_holder *holder);

/* The calling thread holds the lock. */
static inline void tni_holder_set(tni_holder *holder)
{
    if (tni_holders_are_recorded())
        tni_holder_set_slowly(holder);
}

/* For the thread that is about to release the lock. */
static inline void tni_holder_clear(tni_holder *holder)
{
    if (tni_holders_are_recorded())
        tni_a64_store(&holder->key, 0, TNI_RELAXED); /* relaxed: ordered by the lock's release, and by the task's next rest */
}

/* The word of the mutex, or of the read-write lock, that this future waits for; NULL: it waits for something else. */
const tni_holder *tni_mutex_awaited(const tn_future *awaited);
const tni_holder *tni_rwlock_awaited(const tn_future *awaited);

#endif
