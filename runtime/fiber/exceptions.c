/* SPDX-License-Identifier: MIT */
/* Moving the C++ runtime's record of exceptions between threads. */
#include "fiber/exceptions.h"

/* Facts about the process, which has one C++ runtime and one dynamic linker. */
static tni_aptr accessor; /* a tni_os_exceptions_fn; NULL: none was found yet */
tni_a64 tni_exceptions_none_before;

static tni_os_exceptions_fn to_function(void *address)
{
    return (tni_os_exceptions_fn)(uintptr_t)address;
}

static tni_os_exceptions_fn look_up(void)
{
    uint64_t generation = tni_os_exceptions_generation();
    tni_os_exceptions_fn found = tni_os_exceptions_find();

    if (found != NULL) {
        /* Release: partner is the load in record_here(). It comes before the 0, so that a failed look-up at the same time, which
         * writes later, finds it. */
        tni_aptr_store(&accessor, (void *)(uintptr_t)found, TNI_RELEASE);
        tni_a64_store(&tni_exceptions_none_before, 0, TNI_RELEASE);
        return found;
    }
    tni_a64_store(&tni_exceptions_none_before, generation + 1, TNI_RELAXED); /* relaxed: see tni_exceptions_possible() */
    /* Orders the store before the load. Without it, this thread could miss another one's find and overwrite its 0. */
    tni_fence_full();
    found = to_function(tni_aptr_load(&accessor, TNI_ACQUIRE)); /* acquire: as in record_here() */
    if (found != NULL)
        tni_a64_store(&tni_exceptions_none_before, 0, TNI_RELAXED); /* relaxed: as above */
    return found;
}

static tni_os_exceptions *record_here(void)
{
    /* Acquire: observes the C++ runtime as the thread that found it. Partner: look_up(). */
    tni_os_exceptions_fn found = to_function(tni_aptr_load(&accessor, TNI_ACQUIRE));

    if (found == NULL)
        found = look_up();
    return found != NULL ? found() : NULL;
}

static bool is_in_use(const tni_os_exceptions *record)
{
    return record != NULL && (record->caught != NULL || record->uncaught != 0);
}

bool tni_exceptions_in_use(void)
{
    return is_in_use(record_here());
}

bool tni_exceptions_take(tni_os_exceptions *out)
{
    tni_os_exceptions *here = record_here();

    if (!is_in_use(here))
        return false;
    *out = *here;
    here->caught = NULL;
    here->uncaught = 0;
    return true;
}

void tni_exceptions_put(const tni_os_exceptions *record)
{
    *record_here() = *record;
}
