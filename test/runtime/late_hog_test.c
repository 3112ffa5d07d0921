/* SPDX-License-Identifier: MIT */
/* Workers that get no processor because a real-time thread uses it: other workers do their work. */
/* ctest: timeout=120 serial */
#include <sched.h>

#include "late_stand.h"
#include "support/runtime.h"

#define HOG_NS (600 * TN_MS)
/* A wait of less than this was not a wait for the hog. */
#define SOON_MS 250

static int processors[2]; /* two processors that this process may use */
static atomic_uint next_pinned;

static bool pin(pid_t thread, int processor)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((unsigned)processor, &set);
    return sched_setaffinity(thread, sizeof set, &set) == 0;
}

static void pin_and_note(void *ctx)
{
    /* The worker that is chosen first gets the hog's processor. */
    tt_check(pin(0, processors[(atomic_fetch_add(&next_pinned, 1) + 1) % 2]));
    note_thread(ctx);
}

static void *hog(void *arg)
{
    const struct sched_param priority = {.sched_priority = 1};
    uint64_t until_ns;

    if (!pin(0, processors[1]) || sched_setscheduler(0, SCHED_FIFO, &priority) != 0)
        return arg;
    until_ns = tn_now() + HOG_NS;
    while (tn_now() < until_ns)
        ;
    return NULL;
}

/* This thread, and the monitor, which it starts, run on the first processor. The hog runs on the second. */
static tn_runtime *create_pinned(void)
{
    cpu_set_t usable;
    unsigned count = 0;

    cr_assert_eq(sched_getaffinity(0, sizeof usable, &usable), 0);
    for (int i = 0; i < CPU_SETSIZE && count < 2; i++)
        if (CPU_ISSET((unsigned)i, &usable))
            processors[count++] = i;
    if (count < 2)
        cr_skip_test("there is one processor");
    cr_assert(pin(0, processors[0]));
    return create(pin_and_note, false);
}

/* Checks several times that `is_served` returns true while the hog runs. Some failures are allowed: the hog may take the
 * processor from a worker that holds a lock. */
static void beside_a_hog(tn_runtime *runtime, bool (*is_served)(void *arg), void *arg)
{
    unsigned good = 0;
    unsigned tries = 0;

    for (; tries < 5 && good < 3; tries++) {
        void *refused;
        pthread_t thread;
        uint64_t end_ns = tn_now() + HOG_NS / 2;
        bool served = true;
        (void)runtime;
        thread = tt_thread_start(hog, NULL);
        tt_block_thread(20 * TN_MS);
        while (served && tn_now() < end_ns)
            served = is_served(arg);
        cr_assert_eq(pthread_join(thread, &refused), 0);
        good += served;
        tt_block_thread(100 * TN_MS); /* for the kernel's limit on real-time threads, and until the monitor sleeps */
    }
    cr_assert_geq(good, 3, "%u of %u times", good, tries);
}

/* Skips the test if this process may not start a real-time thread. */
static void need_real_time(void)
{
    const struct sched_param priority = {.sched_priority = 1};
    const struct sched_param usual = {0};

    if (sched_setscheduler(0, SCHED_FIFO, &priority) != 0)
        cr_skip_test("this process may not start a real-time thread");
    cr_assert_eq(sched_setscheduler(0, SCHED_OTHER, &usual), 0);
}

static bool spawn_soon(void *runtime)
{
    return spawns_run(runtime, 1, SOON_MS * TN_MS);
}

static bool answer_soon(void *l)
{
    return lines_answer(l, SOON_MS);
}

Test(late, spawns_do_not_wait_for_a_real_time_thread)
{
    tn_runtime *runtime;

    need_real_time();
    runtime = create_pinned();
    beside_a_hog(runtime, spawn_soon, runtime);
    tt_runtime_destroy(runtime);
}

Test(late, connections_do_not_wait_for_a_real_time_thread)
{
    static lines l;
    tn_runtime *runtime;

    need_real_time();
    runtime = create_pinned();
    lines_open(&l, runtime);
    beside_a_hog(runtime, answer_soon, &l);
    lines_close(&l);
    tt_runtime_destroy(runtime);
}
