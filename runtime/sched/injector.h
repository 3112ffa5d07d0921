/* SPDX-License-Identifier: MIT */
/* The injector: the global run queue of a runtime. Spawns and wakes by external threads append here, and so does the overflow
 * of a full local queue.
 *
 * A mutex and an intrusive list, as in Tokio and Go: by published measurements lock-free queues scale worse, and this is not
 * the common path. The length is also an atomic word, so that an idle worker checks it without the lock. */
#ifndef TNI_INJECTOR_H
#define TNI_INJECTOR_H

#include "base/count.h"
#include "task/task.h"

typedef struct {
    tni_os_mutex lock;
    tn_task *first;                   /* lock: oldest, linked through queue_next */
    tn_task *last;                    /* lock */
    bool closed;                      /* lock: spawns from outside are refused */
    tni_cache_aligned tni_a32 length; /* written under the lock */
} tni_injector;

void tni_injector_init(tni_injector *injector);
void tni_injector_fini(tni_injector *injector);

/* Appends `count` tasks, linked through queue_next from `first` to `last`. */
static inline void tni_injector_append_locked(tni_injector *injector, tn_task *first, tn_task *last, unsigned count)
{
    tni_os_mutex_assert_held(&injector->lock);
    last->queue_next = NULL;
    if (injector->last == NULL)
        injector->first = first;
    else
        injector->last->queue_next = first;
    injector->last = last;
    /* Relaxed: the lock orders writers. Readers without it take the length as a hint, or have made a full fence (idle.h). */
    tni_a32_store(&injector->length, tni_a32_load(&injector->length, TNI_RELAXED) + count, TNI_RELAXED);
}

/* From now on tni_injector_begin refuses spawns from outside. */
void tni_injector_close(tni_injector *injector);

/* Appends tasks that exist already: `count` of them, linked through queue_next from `first` to `last`. Never refused. */
void tni_injector_push(tni_injector *injector, tn_task *first, tn_task *last, unsigned count);

/* The same in front of all others: tasks that were taken from there, and have not run. */
void tni_injector_return(tni_injector *injector, tn_task *first, tn_task *last, unsigned count);

/* Begins a spawn by a thread without a core. `inside`: the thread is inside one of the runtime's tasks. False: the injector is
 * closed, and the thread is outside. True: the lock is held. The caller then creates the task, with a header from the slabs
 * that the lock also guards, and calls tni_injector_commit at once. So no task is created from outside after the close. */
static inline bool tni_injector_begin(tni_injector *injector, bool inside)
{
    tni_os_mutex_lock(&injector->lock);
    if (inside || !injector->closed)
        return true;
    tni_os_mutex_unlock(&injector->lock);
    return false;
}

/* Ends the spawn and releases the lock. `task`: the new task; NULL: there was no memory for it. Increments `count`, which the
 * lock guards, before it appends the task: a reader that counts the end of the task must count its creation too. */
static inline void tni_injector_commit(tni_injector *injector, tn_task *task, tni_a64 *count)
{
    tni_os_mutex_assert_held(&injector->lock);
    if (task != NULL) {
        tni_count(count, 1);
        tni_injector_append_locked(injector, task, task, 1);
    }
    tni_os_mutex_unlock(&injector->lock);
}

/* Takes the oldest tasks, at most `max`; returns how many are in `tasks`. */
unsigned tni_injector_take(tni_injector *injector, tn_task **tasks, unsigned max);

/* Returns the number of tasks, by a load without the lock. */
static inline unsigned tni_injector_length(const tni_injector *injector)
{
    /* Relaxed: a hint. A caller that must not miss a task makes a full fence before. */
    return tni_a32_load(&injector->length, TNI_RELAXED);
}

#endif
