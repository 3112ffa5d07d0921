/* SPDX-License-Identifier: MIT */
/* Tests of the code that depends on the processor, without libuv and without a test framework: they run under an emulator. */
#include <execinfo.h>
#include <fenv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/thread.h"
#include "fiber/context.h"
#include "fiber/frames.h"
#include "fiber/stack.h"
#include "sched/deque.h"
#include "time/wheel.h"

static int checks;
static int failures;

static void check(bool holds, const char *what, int line)
{
    checks++;
    if (!holds) {
        failures++;
        printf("port_test.c:%d: does not hold: %s\n", line, what);
    }
}

#define CHECK(cond) check((cond), #cond, __LINE__)

/* Two contexts that switch to each other: the thread's and a fiber's. */
typedef struct pair {
    tni_context thread;
    tni_context fiber;
    tni_stack_pool pool;
    tni_stack *stack;
    unsigned turns;
    double sum;
    bool rounding_kept;
    int frames;
} pair;

static void pair_init(pair *p, void (*entry)(void *))
{
    tni_stack_config config = {0};
    int rc = tni_stack_pool_init(&p->pool, &config);
    CHECK(rc == 0);
    rc = tni_stack_get(&p->pool, NULL, 0, &p->stack);
    CHECK(rc == 0);
    if (rc != 0)
        exit(1);
    tni_context_init_thread(&p->thread);
    tni_context_make(&p->fiber, p->stack, entry, p);
}

static void pair_fini(pair *p)
{
    tni_context_fini(&p->fiber);
    tni_context_fini(&p->thread);
    tni_stack_put(&p->pool, NULL, p->stack);
    tni_stack_pool_fini(&p->pool);
}

/* --- The switch ------------------------------------------------------------------------------------------------------------- */

#define TURNS 10000u

/* Keeps more integers and floating-point values across the switch than there are registers. */
static void exchange_entry(void *arg)
{
    pair *p = arg;
    uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8, i = 9, j = 10, k = 11, l = 12;
    double q = 0.5, r = 1.5, s = 2.5, t = 3.5, u = 4.5, v = 5.5, w = 6.5, x = 7.5, y = 8.5;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        a += 1, b += a, c += b, d ^= c, e += d, f ^= e, g += f, h ^= g, i += h, j ^= i, k += j, l ^= k;
        q += 1.0, r += q, s += 1.0, t += s, u += 1.0, v += u, w += 1.0, x += w, y += 1.0;
        p->turns++;
        tni_context_switch(&p->fiber, &p->thread);
    }
    p->sum = q + r + s + t + u + v + w + x + y + (double)(l & 1);
    p->turns++;
    tni_context_exit_to(&p->fiber, &p->thread);
}

static double exchange_without_switch(void)
{
    uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8, i = 9, j = 10, k = 11, l = 12;
    double q = 0.5, r = 1.5, s = 2.5, t = 3.5, u = 4.5, v = 5.5, w = 6.5, x = 7.5, y = 8.5;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        a += 1, b += a, c += b, d ^= c, e += d, f ^= e, g += f, h ^= g, i += h, j ^= i, k += j, l ^= k;
        q += 1.0, r += q, s += 1.0, t += s, u += 1.0, v += u, w += 1.0, x += w, y += 1.0;
    }
    return q + r + s + t + u + v + w + x + y + (double)(l & 1);
}

static void test_exchange(void)
{
    static pair p;
    pair_init(&p, exchange_entry);
    for (unsigned turn = 0; turn <= TURNS; turn++) {
        tni_context_switch(&p.thread, &p.fiber);
        if (p.turns != turn + 1)
            CHECK(p.turns == turn + 1);
    }
    CHECK(p.turns == TURNS + 1);
    double expected = exchange_without_switch();
    CHECK(p.sum >= expected && p.sum <= expected);
    pair_fini(&p);
}

static void rounding_entry(void *arg)
{
    pair *p = arg;
    p->rounding_kept = fegetround() == FE_TONEAREST && fesetround(FE_UPWARD) == 0;
    tni_context_switch(&p->fiber, &p->thread);
    p->rounding_kept = p->rounding_kept && fegetround() == FE_UPWARD;
    tni_context_exit_to(&p->fiber, &p->thread);
}

static void test_rounding_mode_is_the_context_s(void)
{
    static pair p;
    pair_init(&p, rounding_entry);
    tni_context_switch(&p.thread, &p.fiber);
    CHECK(p.rounding_kept);
    CHECK(fegetround() == FE_TONEAREST);
    CHECK(fesetround(FE_DOWNWARD) == 0);
    tni_context_switch(&p.thread, &p.fiber);
    CHECK(p.rounding_kept);
    CHECK(fegetround() == FE_DOWNWARD);
    CHECK(fesetround(FE_TONEAREST) == 0);
    pair_fini(&p);
}

static void backtrace_entry(void *arg)
{
    pair *p = arg;
    void *frames[64];
    p->frames = backtrace(frames, 64);
    tni_context_exit_to(&p->fiber, &p->thread);
}

static void test_unwinding_ends_at_the_root(void)
{
    static pair p;
    pair_init(&p, backtrace_entry);
    tni_context_switch(&p.thread, &p.fiber);
    CHECK(p.frames >= 2 && p.frames < 8);
    pair_fini(&p);
}

/* --- Frames of a suspended context ------------------------------------------------------------------------------------------ */

#define DEPTH 3

static const void *returns_to[DEPTH];

/* Records its return address, and calls itself; the deepest call switches. */
__attribute__((noinline)) static void go_deeper(pair *p, int depth)
{
    returns_to[depth] = __builtin_return_address(0);
    if (depth + 1 < DEPTH)
        go_deeper(p, depth + 1);
    else
        tni_context_switch(&p->fiber, &p->thread);
    p->turns++; /* prevents a tail call */
}

static void frames_entry(void *arg)
{
    pair *p = arg;

    go_deeper(p, 0);
    tni_context_exit_to(&p->fiber, &p->thread);
}

static void test_frames_of_a_suspended_context(void)
{
    static pair p;
    const void *words[16];
    tni_frames stack = {.word = words, .words_max = 16};

    pair_init(&p, frames_entry);
    tni_frames_suspended(&stack, &p.thread, tni_stack_base(p.stack), tni_stack_top(p.stack));
    CHECK(stack.pc == NULL && stack.frames == 0 && stack.words == 0);
    tni_context_switch(&p.thread, &p.fiber);
    tni_frames_suspended(&stack, &p.fiber, tni_stack_base(p.stack), tni_stack_top(p.stack));
    CHECK(stack.pc != NULL && stack.frames >= DEPTH + 1 && stack.words == 0); /* the calls, the first frame */
    for (unsigned i = 0; i < DEPTH && stack.frames >= DEPTH + 1; i++)
        CHECK(stack.frame[i] == returns_to[DEPTH - 1 - i]);
    tni_context_switch(&p.thread, &p.fiber);
    pair_fini(&p);
}

/* --- A fiber that continues on another thread ------------------------------------------------------------------------------- */

static void *other_thread(void *arg)
{
    pair *p = arg;
    tni_context here;
    tni_context_init_thread(&here);
    p->thread = here;
    tni_context_switch(&p->thread, &p->fiber);
    tni_context_fini(&here);
    return NULL;
}

static void migrating_entry(void *arg)
{
    pair *p = arg;
    volatile uint64_t kept = UINT64_C(0x0123456789abcdef);
    for (;;) {
        p->turns += kept == UINT64_C(0x0123456789abcdef);
        tni_context_switch(&p->fiber, &p->thread);
    }
}

static void test_migration(void)
{
    static pair p;
    pair_init(&p, migrating_entry);
    tni_context home = p.thread;
    for (unsigned round = 0; round < 100; round++) {
        tni_thread thread;
        CHECK(tni_thread_start(&thread, other_thread, &p) == 0);
        tni_thread_join(&thread);
        p.thread = home;
        tni_context_switch(&p.thread, &p.fiber);
        home = p.thread;
    }
    CHECK(p.turns == 200);
    pair_fini(&p);
}

/* --- Atomics and the OS layer for threads -------------------------------------------------------------------------------- */

#define ADDS 20000u

static tni_a64 counter;
static tni_deque queue;
static tni_a32 taken;

static void *adder(void *arg)
{
    void *item;
    (void)arg;
    for (unsigned i = 0; i < ADDS; i++) {
        tni_a64_fetch_add(&counter, 1, TNI_RELAXED); /* a plain count, read after the join */
        if (tni_deque_take(&queue, &item) == TNI_TAKE_GOT)
            tni_a32_fetch_add(&taken, 1, TNI_RELAXED); /* as above */
    }
    return NULL;
}

static void test_atomics(void)
{
    tni_thread thread;
    void *item;
    unsigned pushed = 0;
    bool asymmetric = tni_fence_asymmetric_init();
    tni_a64_init(&counter, 0);
    tni_a32_init(&taken, 0);
    tni_deque_init(&queue);
    CHECK(tni_thread_start(&thread, adder, NULL) == 0);
    for (unsigned i = 0; i < ADDS; i++) {
        tni_a64_fetch_add(&counter, 1, TNI_RELAXED); /* as in adder() */
        pushed += tni_deque_push(&queue, &item);
    }
    tni_fence_light(asymmetric);        /* only checks that it can be called */
    CHECK(tni_fence_heavy(asymmetric)); /* as above */
    CHECK(tni_thread_visit_cpus());
    tni_thread_join(&thread);
    for (tni_take take; (take = tni_deque_take_own(&queue, &item)) != TNI_TAKE_EMPTY;)
        tni_a32_fetch_add(&taken, take == TNI_TAKE_GOT, TNI_RELAXED); /* no other thread is left */
    CHECK(tni_a64_load(&counter, TNI_RELAXED) == 2 * ADDS);           /* the thread was joined */
    CHECK(tni_a32_load(&taken, TNI_RELAXED) == pushed);               /* as above */
    uint64_t before_ns = tni_clock_ns();
    tni_futex_wait(&taken, pushed, before_ns + 2000000);
    CHECK(tni_clock_ns() >= before_ns);
    tni_spin_hint();
}

static void test_wheel(void)
{
    static tni_wheel wheel;
    static tni_timer timers[200];
    uint64_t now_ns = 1000000000;
    unsigned fired = 0;
    tni_wheel_init(&wheel, now_ns);
    for (unsigned i = 0; i < 200; i++)
        tni_wheel_add(&wheel, &timers[i], now_ns + (uint64_t)i * i * TNI_WHEEL_TICK_NS);
    for (uint64_t next_ns; (next_ns = tni_wheel_next_ns(&wheel)) != UINT64_MAX;) {
        for (tni_timer *timer = tni_wheel_expire(&wheel, next_ns, 1000); timer != NULL; timer = timer->next)
            fired += timer == &timers[fired];
    }
    CHECK(fired == 200);
}

int main(void)
{
    test_exchange();
    test_rounding_mode_is_the_context_s();
    test_unwinding_ends_at_the_root();
    test_frames_of_a_suspended_context();
    test_migration();
    test_atomics();
    test_wheel();
    printf("%d checks, %d failed\n", checks, failures);
    return failures == 0 && checks > 0 ? 0 : 1;
}
