/* SPDX-License-Identifier: MIT */
#include "support/others_run.h"

#include <stdatomic.h>

#include "base/config.h"
#include "support/runtime.h"

enum { CALLS_MAX = 8 * TNI_BUDGET };

static void *note_that_it_ran(void *ran)
{
    atomic_store((atomic_bool *)ran, true);
    return NULL;
}

void tt_others_run(void (*call)(void *arg), void *arg)
{
    static atomic_bool ran; /* static: the task may run after a failed test has left */

    atomic_store(&ran, false);
    tt_check_eq(tn_spawn(NULL, note_that_it_ran, &ran), 0);
    for (int calls = 0; !atomic_load(&ran) && calls < CALLS_MAX; calls++)
        call(arg);
    tt_check(atomic_load(&ran));
}
