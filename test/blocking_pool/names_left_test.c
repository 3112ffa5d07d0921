/* SPDX-License-Identifier: MIT */
/* Lookups that no caller waits for any more, more than can leave the cap of their class. */
/* ctest: timeout=120 */
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tn/blocking.h>
#include <tn/names.h>

#include "support/runtime.h"

/* That leave the cap, as tn/names.h has it; one more, which stays in it; and one that waits for a thread. */
enum { DETACHED = 64, STAYS = DETACHED, WAITS = DETACHED + 1, LOOKUPS = DETACHED + 2 };

static tt_gate asked = TT_GATE_INIT;
static tt_gate answered[LOOKUPS];

/* Overrides the C library's function: the lookup of "N.test" waits for the gate N. */
int getaddrinfo(const char *restrict host, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict out)
{
    (void)service, (void)hints, (void)out;
    tt_gate_open(&asked);
    tt_gate_wait(&answered[strtoul(host, NULL, 10)], 1);
    return EAI_AGAIN;
}

static void *resolve(void *arg)
{
    char host[16];
    tn_names names;

    (void)snprintf(host, sizeof host, "%u.test", (unsigned)(uintptr_t)arg);
    return (void *)(intptr_t)tn_resolve(NULL, host, NULL, &names);
}

static tn_blocking_counters counters(tn_runtime *runtime)
{
    tn_blocking_counters counts = {.size = sizeof counts};

    cr_assert_eq(tn_runtime_blocking(runtime, &counts), 0);
    return counts;
}

static bool one_waits_for_thread(void *arg)
{
    return counters(arg).queued == 1;
}

static void leave_lookup(tn_runtime *runtime, unsigned number)
{
    tn_task *task = tt_spawn_on(runtime, resolve, (void *)(uintptr_t)number);

    tt_gate_wait(&asked, number + 1);
    tn_cancel(task);
    cr_assert_eq((intptr_t)tt_join(task), TN_ECANCELED);
}

Test(names, at_most_64_lookups_leave_the_cap)
{
    tn_options options = tt_options();
    tn_runtime *runtime;
    tn_task *last;

    for (unsigned i = 0; i < LOOKUPS; i++)
        answered[i] = (tt_gate)TT_GATE_INIT;
    options.name_threads = 1;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    for (unsigned i = 0; i < DETACHED; i++) {
        leave_lookup(runtime, i);
        cr_assert_eq(counters(runtime).detached, i + 1);
    }
    leave_lookup(runtime, STAYS);
    cr_assert_eq(counters(runtime).detached, DETACHED);
    cr_assert_eq(counters(runtime).running_names, 1);
    last = tt_spawn_on(runtime, resolve, (void *)(uintptr_t)WAITS);
    cr_assert(tt_wait_until(one_waits_for_thread, runtime, 20 * TN_S));
    tt_gate_open(&answered[7]); /* one of the 64 ends, and the one that stayed leaves the cap in its place */
    tt_gate_wait(&asked, LOOKUPS);
    cr_assert_eq(counters(runtime).detached, DETACHED);
    cr_assert_eq(counters(runtime).running_names, 1);
    for (unsigned i = 0; i < LOOKUPS; i++)
        tt_gate_open(&answered[i]);
    cr_assert_eq((intptr_t)tt_join(last), TN_EAI_AGAIN);
    tt_runtime_destroy(runtime);
}
