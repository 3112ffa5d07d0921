/* SPDX-License-Identifier: MIT */
/* The record of what the calling thread holds: a short list, newest last. */
#include "base/held.h"

#include "base/tls.h"

#ifndef NDEBUG

void tni_held_add(const void *object)
{
    tni_tls *local = tni_tls_get();

    tni_assert(local->held_count < TNI_TLS_HELD_MAX, "a thread holds too many locks");
    local->held[local->held_count++] = object;
}

void tni_held_remove(const void *object)
{
    tni_tls *local = tni_tls_get();
    unsigned at = local->held_count;

    while (at > 0 && local->held[at - 1] != object)
        at--;
    tni_assert(at > 0, "a thread gives back what it does not hold");
    for (; at < local->held_count; at++)
        local->held[at - 1] = local->held[at];
    local->held_count--;
}

bool tni_held_contains(const void *object)
{
    const tni_tls *local = tni_tls_get();

    for (unsigned i = 0; i < local->held_count; i++)
        if (local->held[i] == object)
            return true;
    return false;
}

#endif
