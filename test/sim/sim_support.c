/* SPDX-License-Identifier: MIT */
/* The twin of support/machine.c: threads, gates and waiting of the simulated machine. */
#include "support/runtime.h"

#include <stdlib.h>

#include "base/thread.h"
#include "sim_file.h"
#include "sim_thread.h"

#define GATE_LIMIT_NS (60 * TN_S)

static unsigned long environment_number(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);

    return text != NULL && text[0] != '\0' ? strtoul(text, NULL, 10) : otherwise;
}

/* A run has few steps, and there are many runs. */
unsigned long tt_scaled(unsigned long count)
{
    unsigned long scaled = count * environment_number("TN_TEST_SCALE", 2) / 100;

    return scaled > 0 ? scaled : 1;
}

unsigned tt_threads(void)
{
    unsigned count = 0;

    for (uint32_t id = 1; tni_sim_thread_find(id) != NULL; id++)
        count += tni_sim_thread_find(id)->state != TNI_SIM_ENDED && tni_sim_thread_find(id)->name[0] != '\0';
    return count;
}

static bool threads_are(void *count)
{
    return tt_threads() == *(unsigned *)count;
}

void tt_expect_threads(unsigned count)
{
    cr_assert(tt_wait_until(threads_are, &count, 30 * TN_S), "%u threads, not %u", tt_threads(), count);
}

unsigned tt_files(void)
{
    return tni_sim_file_count();
}

size_t tt_resident_bytes(void)
{
    tt_check_failed(__FILE__, __LINE__, "the simulated machine counts memory");
}

/* --- Threads and waiting ---------------------------------------------------------------------------------------------------- */

pthread_t tt_thread_start(void *(*entry)(void *arg), void *arg)
{
    tni_thread thread;

    tt_check(tni_thread_start(&thread, entry, arg) == 0);
    return thread.id;
}

void tt_thread_join(pthread_t thread)
{
    tni_thread started = {(uint32_t)thread};

    tni_thread_join(&started);
}

void tt_gate_open(tt_gate *gate)
{
    gate->opened++;
    tni_futex_wake((tni_a32 *)(void *)&gate->opened, INT_MAX);
}

void tt_gate_wait(tt_gate *gate, unsigned times)
{
    uint64_t limit_ns = tn_now() + GATE_LIMIT_NS;

    while (gate->opened < times) {
        tt_check(tn_now() < limit_ns);
        tni_futex_wait((tni_a32 *)(void *)&gate->opened, gate->opened, limit_ns);
    }
}

unsigned tt_gate_opened(tt_gate *gate)
{
    tni_thread_yield();
    return gate->opened;
}

bool tt_wait_until(bool (*condition)(void *arg), void *arg, uint64_t limit_ns)
{
    uint64_t until_ns = tn_now() + limit_ns;

    while (!condition(arg)) {
        if (tn_now() >= until_ns)
            return false;
        tt_block_thread(TN_MS);
    }
    return true;
}

void tt_block_thread(uint64_t ns)
{
    (void)tni_sim_thread_sleep("a test", NULL, tni_clock_ns() + ns);
}

/* Time passes by reading the clock. */
void tt_burn(uint64_t ns)
{
    uint64_t until_ns = tni_clock_ns() + ns;

    while (tni_clock_ns() < until_ns)
        tni_sim_time_pass(ns / 64 + 1);
}
