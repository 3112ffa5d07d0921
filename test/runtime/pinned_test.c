/* SPDX-License-Identifier: MIT */
/* Where pinned tasks begin: on the workers in turn. A worker that is stuck, or gets no processor, holds none of them up before
 * their first run, and from then on each stays on its thread. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <unistd.h>

#include "support/runtime.h"

enum { MOST_WORKERS = 16, EACH = 16, MOST = MOST_WORKERS * EACH };

static tn_runtime *create_with(unsigned workers, uint64_t stuck_after_ns)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.workers = workers;
    options.stuck_after_ns = stuck_after_ns;
    tt_check(tn_runtime_create(&runtime, &options) == 0);
    return runtime;
}

static tn_task *spawn_pinned(tn_runtime *runtime, tn_entry_fn entry, void *arg)
{
    tn_spawn_options options = tn_spawn_options_default();
    tn_task *task;

    options.pinned = true;
    tt_check(tn_spawn_on(runtime, &options, &task, entry, arg) == 0);
    return task;
}

/* --- Spread ----------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_runtime *runtime;
    unsigned tasks;
    int *thread; /* of each task, the thread on which it began */
} spread;

static void *note_thread(void *arg)
{
    int *thread = arg;

    *thread = gettid();
    for (int i = 0; i < 3; i++) {
        tt_check(tn_yield() == 0);
        tt_check(gettid() == *thread);
    }
    return NULL;
}

static void *spawn_children(void *arg)
{
    const spread *s = arg;
    tn_task *tasks[MOST];

    for (unsigned i = 0; i < s->tasks; i++)
        tasks[i] = spawn_pinned(s->runtime, note_thread, &s->thread[i]);
    for (unsigned i = 0; i < s->tasks; i++)
        tt_join(tasks[i]);
    return NULL;
}

/* How many of the tasks began on the thread with the most of them. */
static unsigned most_on_one(const spread *s)
{
    unsigned most = 0;

    for (unsigned i = 0; i < s->tasks; i++) {
        unsigned here = 0;
        for (unsigned j = 0; j < s->tasks; j++)
            here += s->thread[j] == s->thread[i];
        most = here > most ? here : most;
    }
    return most;
}

/* In how many of some attempts no thread had more than `most` tasks. A worker without a processor gives its tasks to others, so
 * on a busy machine not each attempt is even. The attempts end when there are enough. */
static unsigned count_even(unsigned workers, bool from_a_task, unsigned most, unsigned enough)
{
    int thread[MOST];
    unsigned even = 0;

    for (unsigned attempts = 0; attempts < 400 && even < enough; attempts++) {
        tn_runtime *runtime = create_with(workers, UINT64_MAX);
        spread s = {.runtime = runtime, .tasks = workers * EACH, .thread = thread};
        if (from_a_task)
            tt_join(tt_spawn_on(runtime, spawn_children, &s));
        else
            spawn_children(&s);
        even += most_on_one(&s) <= most;
        tt_runtime_destroy(runtime);
    }
    return even;
}

enum { ENOUGH = 40 };

Test(pinned, children_are_spread_evenly)
{
    cr_assert_eq(count_even(2, true, EACH, ENOUGH), ENOUGH);
}

Test(pinned, spawns_from_outside_are_spread_evenly)
{
    cr_assert_eq(count_even(2, false, EACH, ENOUGH), ENOUGH);
}

/* More workers than processors: some of them get none in time. */
Test(pinned, sixteen_workers_share_them)
{
    cr_assert_eq(count_even(MOST_WORKERS, true, 3 * EACH, 1), 1);
    cr_assert_eq(count_even(MOST_WORKERS, false, 3 * EACH, 1), 1);
}

/* --- Beside a stuck worker -------------------------------------------------------------------------------------------------- */

static void *stay_inside(void *arg)
{
    tt_gate *gates = arg;

    tt_gate_open(&gates[0]);
    tt_gate_wait(&gates[1], 1);
    return NULL;
}

static void *stay_on_thread(void *arg)
{
    int thread = gettid();

    for (int i = 0; i < 20; i++) {
        tt_check((i % 8 == 7 ? tn_sleep(TN_MS) : tn_yield()) == 0);
        tt_check(gettid() == thread);
    }
    return arg;
}

/* All pinned tasks end while a worker stays inside a task. */
static void end_beside_stuck_workers(unsigned workers, unsigned stuck, uint64_t stuck_after_ns)
{
    tn_runtime *runtime = create_with(workers, stuck_after_ns);
    tt_gate gates[2] = {TT_GATE_INIT, TT_GATE_INIT};
    tn_task *inside[MOST_WORKERS];
    tn_task *tasks[MOST];

    for (unsigned i = 0; i < stuck; i++)
        inside[i] = tt_spawn_on(runtime, stay_inside, gates);
    tt_gate_wait(&gates[0], stuck);
    for (unsigned i = 0; i < MOST; i++)
        tasks[i] = spawn_pinned(runtime, stay_on_thread, NULL);
    for (unsigned i = 0; i < MOST; i++)
        tt_join(tasks[i]);
    tt_gate_open(&gates[1]);
    for (unsigned i = 0; i < stuck; i++)
        tt_join(inside[i]);
    tt_runtime_destroy(runtime);
}

Test(pinned, begin_on_the_replacement_of_a_stuck_worker)
{
    end_beside_stuck_workers(2, 2, 0);
    end_beside_stuck_workers(MOST_WORKERS, MOST_WORKERS, 0);
}

/* Its core is not taken: the others run what was to begin there. */
Test(pinned, begin_elsewhere_if_a_stuck_worker_keeps_its_core)
{
    end_beside_stuck_workers(2, 1, UINT64_MAX);
    end_beside_stuck_workers(MOST_WORKERS, MOST_WORKERS - 1, UINT64_MAX);
}

typedef struct {
    tt_gate gates[2];
    tn_task *first;
    int thread;
    atomic_bool ended;
} comes_back;

/* Pinned to the thread that is stuck later, and woken while it is. */
static void *wait_there(void *arg)
{
    comes_back *c = arg;

    c->thread = gettid();
    tt_gate_open(&c->gates[0]);
    tt_check(tn_sleep(3600 * TN_S) == TN_ECANCELED);
    tt_check(gettid() == c->thread);
    atomic_store(&c->ended, true);
    return NULL;
}

static void *get_stuck(void *arg)
{
    comes_back *c = arg;

    tt_check(gettid() == c->thread);
    tn_cancel(c->first);
    tt_gate_open(&c->gates[0]);
    tt_gate_wait(&c->gates[1], 1);
    return NULL;
}

/* What has begun on a stuck worker waits for its thread, and continues there when that has no core any more. */
Test(pinned, those_that_have_begun_wait_for_their_thread)
{
    tn_runtime *runtime = create_with(1, 0);
    comes_back c = {.gates = {TT_GATE_INIT, TT_GATE_INIT}};
    tn_task *stuck;

    c.first = spawn_pinned(runtime, wait_there, &c);
    tt_gate_wait(&c.gates[0], 1);
    stuck = spawn_pinned(runtime, get_stuck, &c);
    tt_gate_wait(&c.gates[0], 2);
    tt_join(spawn_pinned(runtime, stay_on_thread, NULL)); /* on a replacement thread */
    cr_assert(!atomic_load(&c.ended));
    tt_gate_open(&c.gates[1]);
    tt_join(c.first);
    tt_join(stuck);
    tt_runtime_destroy(runtime);
}

/* --- No task keeps them out ------------------------------------------------------------------------------------------------- */

typedef struct {
    atomic_bool over;
    atomic_int begun;
} noise;

static void *yield_until_over(void *arg)
{
    noise *n = arg;

    atomic_fetch_add(&n->begun, 1);
    while (!atomic_load(&n->over))
        (void)tn_yield();
    return NULL;
}

static void *begin(void *arg)
{
    return arg;
}

/* The mailbox of each worker is never empty. */
Test(pinned, begin_beside_pinned_tasks_that_never_rest)
{
    enum { WORKERS = 2, NOISY = 8, LATER = 64 };
    tn_runtime *runtime = create_with(WORKERS, 0);
    noise n = {0};
    tn_task *noisy[NOISY];
    tn_task *later[LATER];

    for (int i = 0; i < NOISY; i++)
        noisy[i] = spawn_pinned(runtime, yield_until_over, &n);
    for (int i = 0; i < LATER; i++)
        later[i] = spawn_pinned(runtime, begin, NULL);
    for (int i = 0; i < LATER; i++)
        tt_join(later[i]);
    atomic_store(&n.over, true);
    for (int i = 0; i < NOISY; i++)
        tt_join(noisy[i]);
    tt_runtime_destroy(runtime);
}

/* --- Shutdown --------------------------------------------------------------------------------------------------------------- */

static void *count_one(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return NULL;
}

static void spawn_unjoined(tn_runtime *runtime, atomic_int *ran, unsigned count)
{
    tn_spawn_options options = tn_spawn_options_default();

    options.pinned = true;
    for (unsigned i = 0; i < count; i++)
        tt_check(tn_spawn_on(runtime, &options, NULL, count_one, ran) == 0);
}

/* An entry function always runs: destroy waits for tasks that have not begun, cancelled or not. */
Test(pinned, destroy_waits_for_those_that_have_not_begun)
{
    static const tn_shutdown how[] = {TN_SHUTDOWN_WAIT, TN_SHUTDOWN_CANCEL};

    for (unsigned i = 0; i < 40; i++) {
        tn_runtime *runtime = create_with(i % 4 < 2 ? 2 : MOST_WORKERS, 0);
        atomic_int ran = 0;
        spawn_unjoined(runtime, &ran, MOST);
        cr_assert_eq(tn_runtime_destroy(runtime, how[i % 2], 60 * TN_S), 0);
        cr_assert_eq(atomic_load(&ran), MOST);
    }
}

/* All workers are stuck and keep their cores, so none of them begins: all are given up on, and freed. ThreadSanitizer does not
 * see that the kernel gives a number of a file to another thread only after its close. */
Test(pinned, destroy_gives_up_on_those_that_have_not_begun, .disabled = TT_TSAN)
{
    tn_options options = tt_options();
    tn_runtime *runtime;
    static tt_gate gates[2] = {TT_GATE_INIT, TT_GATE_INIT}; /* the stuck threads outlive the runtime */
    static atomic_int ran;

    options.workers = 2;
    options.stuck_after_ns = UINT64_MAX;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    for (int i = 0; i < 2; i++)
        tn_task_release(tt_spawn_on(runtime, stay_inside, gates));
    tt_gate_wait(&gates[0], 2);
    spawn_unjoined(runtime, &ran, 20);
    cr_assert_eq(tn_runtime_destroy(runtime, TN_SHUTDOWN_CANCEL, 0), 22);
    cr_assert_eq(atomic_load(&ran), 0);
    tt_gate_open(&gates[1]);
    tt_expect_threads(0);
}
