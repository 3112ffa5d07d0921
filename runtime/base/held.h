/* SPDX-License-Identifier: MIT */
/* Assertions that the calling thread holds a lock, or a right that one thread has at a time.
 *
 * Debug builds record in the state of each thread (tls.h) what the thread holds. No other thread reads the record: it cannot
 * race, and it is no step of the model checker. Release builds record and check nothing.
 */
#ifndef TNI_HELD_H
#define TNI_HELD_H

#include "base/defs.h"

#ifdef NDEBUG
static inline void tni_held_add(const void *object)
{
    (void)object;
}

static inline void tni_held_remove(const void *object)
{
    (void)object;
}
#else
/* The calling thread holds the object from now on, until tni_held_remove. */
void tni_held_add(const void *object);
void tni_held_remove(const void *object);
#endif

/* Whether the calling thread holds the object. Only debug builds define it. */
bool tni_held_contains(const void *object);

#define tni_held_assert(object, message) tni_debug_assert(tni_held_contains(object), message)
#define tni_held_assert_not(object, message) tni_debug_assert(!tni_held_contains(object), message)

#endif
