/* SPDX-License-Identifier: MIT */
/* Moving the C++ runtime's record of exceptions between threads. */
#include "fiber/exceptions.h"

/* Of the process, which has one C++ runtime and one dynamic linker. */
tni_exceptions_lookup tni_exceptions_found;

static tni_os_exceptions_fn to_function(void *address)
{
    return (tni_os_exceptions_fn)(uintptr_t)address;
}

/* A call that finds nothing may overlap one that finds the C++ runtime. If its write to `none_before` is last, it must find the
 * accessor after it, and write 0. It does: its exchange reads the newest value, so also what came with a 0 that was written
 * before. Every 0 is written after the accessor, or after a load that has observed it, and with release; and an exchange between
 * a 0 and this one continues the 0's release sequence. */
static tni_os_exceptions_fn look_up(void)
{
    uint64_t generation = tni_os_exceptions_generation();
    tni_os_exceptions_fn found = tni_os_exceptions_find();

    if (found != NULL) {
        /* Release: publishes the C++ runtime as this thread found it; partner: record_here. */
        tni_aptr_store(&tni_exceptions_found.accessor, (void *)(uintptr_t)found, TNI_RELEASE);
    } else {
        /* Acquire: observes the accessor if a 0 was written before; partner: the store in look_up. A store, or a weaker exchange,
         * could overwrite the 0 of a thread whose accessor this one then does not find. */
        (void)tni_a64_exchange(&tni_exceptions_found.none_before, generation + 1, TNI_ACQUIRE);
        /* Acquire: as in record_here. */
        found = to_function(tni_aptr_load(&tni_exceptions_found.accessor, TNI_ACQUIRE));
    }
    /* Release: publishes the accessor; partner: the exchange in look_up. */
    if (found != NULL)
        tni_a64_store(&tni_exceptions_found.none_before, 0, TNI_RELEASE);
    return found;
}

static tni_os_exceptions *record_here(void)
{
    /* Acquire: observes the C++ runtime as the thread that found it. Partner: look_up(). */
    tni_os_exceptions_fn found = to_function(tni_aptr_load(&tni_exceptions_found.accessor, TNI_ACQUIRE));

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
