/* SPDX-License-Identifier: MIT */
/* Virtual time, for counting instructions: the clock advances by a fixed step per task run. How often the loop is polled, the
 * injector is checked and a budget is used up then depends on the program alone, not on the machine or on the counting tool.
 *
 * The library is linked as shipped: ld's --wrap=NAME redirects its calls of NAME to __wrap_NAME below. What these functions
 * execute is not counted (harness/callgrind.py skips them by their prefix); what they call is. For runtimes with one worker,
 * whose runs drive the clock.
 *
 *   reading the clock         reads the real one too, so that it costs what it costs, and returns virtual time
 *   a task run                advances the clock by one step: each begins by one of three functions (runs_x86_64.S)
 *   a sleep in the loop       with a timeout: does not wait; the clock jumps
 *   a futex wait              with a deadline: takes STRETCH times as long in real time. Where time alone ends it, it must end;
 *                             elsewhere the slow tool must not make it end early
 *   random seeds              the same in each run
 */
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

enum { STRETCH = 1000, NS_PER_S = 1000000000 };

static const uint64_t forever = UINT64_MAX;                  /* TNI_FOREVER */
_Atomic uint64_t virtual_now_ns = UINT64_C(1000) * NS_PER_S; /* runs_x86_64.S adds to it */
static _Atomic uint64_t seeds;

/* As the library declares them, with pointers to its types untyped. */
uint64_t __real_tni_clock_ns(void);
void __real_tni_futex_wait(void *word, uint32_t expected, uint64_t deadline_ns);
void __real_tni_os_loop_sleep(void *loop, uint64_t timeout_ns, void *fetched);
uint64_t __wrap_tni_clock_ns(void);
uint64_t __wrap_tni_random_seed(void);
void __wrap_tni_futex_wait(void *word, uint32_t expected, uint64_t deadline_ns);
void __wrap_tni_os_loop_sleep(void *loop, uint64_t timeout_ns, void *fetched);

/* Relaxed, both: the worker alone writes it, and nothing else is published by it. */
static uint64_t now(void)
{
    return atomic_load_explicit(&virtual_now_ns, memory_order_relaxed);
}

static void advance(uint64_t ns)
{
    atomic_store_explicit(&virtual_now_ns, now() + ns, memory_order_relaxed);
}

uint64_t __wrap_tni_clock_ns(void)
{
    (void)__real_tni_clock_ns();
    return now();
}

uint64_t __wrap_tni_random_seed(void)
{
    return 2 * atomic_fetch_add(&seeds, 1) + 1;
}

void __wrap_tni_futex_wait(void *word, uint32_t expected, uint64_t deadline_ns)
{
    uint64_t left_ns = deadline_ns > now() ? deadline_ns - now() : 0;
    struct timespec real;

    if (left_ns > forever / 2 / STRETCH) {
        deadline_ns = forever;
    } else {
        clock_gettime(CLOCK_MONOTONIC, &real);
        deadline_ns = (uint64_t)real.tv_sec * NS_PER_S + (uint64_t)real.tv_nsec + left_ns * STRETCH;
    }
    __real_tni_futex_wait(word, expected, deadline_ns);
}

void __wrap_tni_os_loop_sleep(void *loop, uint64_t timeout_ns, void *fetched)
{
    if (timeout_ns == forever) {
        __real_tni_os_loop_sleep(loop, timeout_ns, fetched);
        return;
    }
    __real_tni_os_loop_sleep(loop, 0, fetched);
    advance(timeout_ns);
}
