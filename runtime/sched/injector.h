/* SPDX-License-Identifier: MIT */
/* The injector: the global queue of a runtime. Spawns and wakes from outside land here, and what a full local queue spills.
 *
 * A mutex and an intrusive list, as in Tokio and Go: measured elsewhere, lock-free queues scaled worse, and it is not the
 * common path. The length is an atomic word besides, so that an idle worker's look costs no lock.
 */
#ifndef TNI_INJECTOR_H
#define TNI_INJECTOR_H

#include "task/task.h"

typedef struct {
    tni_os_mutex lock;
    tn_task *first;                   /* lock: oldest, linked through queue_next */
    tn_task *last;                    /* lock */
    bool closed;                      /* lock: no spawns from outside any more */
    tni_cache_aligned tni_a32 length; /* written under the lock */
} tni_injector;

void tni_injector_init(tni_injector *injector);
void tni_injector_fini(tni_injector *injector);

/* From now on tni_injector_begin refuses those from outside. */
void tni_injector_close(tni_injector *injector);

/* Appends tasks that exist already: `count` of them, linked through queue_next from `first` to `last`. Never refused. */
void tni_injector_push(tni_injector *injector, tn_task *first, tn_task *last, unsigned count);

/* Before a spawn by a thread without a core, also if that is `inside` one of the runtime's tasks: false when closed for it. True:
 * the lock is held. The caller makes the task, of headers that the lock guards too, and commits it at once: so no task from
 * outside is born after the close. */
bool tni_injector_begin(tni_injector *injector, bool inside);
/* NULL: there was no memory for one. Increments `count`, which the lock guards, first: no reader sees the task end before it
 * began. */
void tni_injector_commit(tni_injector *injector, tn_task *task, tni_a64 *count);

/* Takes the oldest tasks, at most `max`; answers how many are in `tasks`. */
unsigned tni_injector_take(tni_injector *injector, tn_task **tasks, unsigned max);

/* How many there are, by a look without the lock. */
static inline unsigned tni_injector_length(const tni_injector *injector)
{
    /* Relaxed: a hint. Who must not miss a task puts a full fence before. */
    return tni_a32_load(&injector->length, TNI_RELAXED);
}

#endif
