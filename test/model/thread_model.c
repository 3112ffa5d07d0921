/* SPDX-License-Identifier: MIT */
/* The functions of base/thread.h: each is an operation of the model. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/thread.h"
#include "engine.h"
#include "os/os_thread.h"

void tni_thread_yield(void)
{
    search_visible((model_op){.kind = OP_YIELD});
    memory_pauses();
    trace_add(MODEL_PC, "yields");
}

/* --- Locks ------------------------------------------------------------------------------------------------------------------ */

static void trace_object(const void *pc, const char *what, const void *object)
{
    char where[64];

    if (!engine.tracing)
        return;
    arena_describe(object, where, sizeof where);
    trace_add(pc, "%s %s", what, where);
}

void tni_os_mutex_init(tni_os_mutex *m)
{
    m->owner = 0;
}

void tni_os_mutex_fini(tni_os_mutex *m)
{
    race_access(m, sizeof *m, RACE_WRITE, MODEL_PC);
    if (m->owner != 0)
        model_fail("assertion", "a mutex that T%u holds is destroyed", m->owner - 1);
}

void tni_os_mutex_lock(tni_os_mutex *m)
{
    if (m->owner == engine.self + 1)
        model_fail("deadlock", "T%u takes a mutex a second time", engine.self);
    search_visible((model_op){.kind = OP_LOCK, .object = m});
    race_access(m, sizeof *m, RACE_ATOMIC_WRITE, MODEL_PC);
    m->owner = engine.self + 1;
    tni_held_add(m);
    memory_observe(m);
    trace_object(MODEL_PC, "lock", m);
}

void tni_os_mutex_unlock(tni_os_mutex *m)
{
    search_visible((model_op){.kind = OP_OBJECT, .object = m});
    race_access(m, sizeof *m, RACE_ATOMIC_WRITE, MODEL_PC);
    if (m->owner != engine.self + 1)
        model_fail("assertion", "T%u unlocks a mutex that it does not hold", engine.self);
    memory_publish(m);
    tni_held_remove(m);
    m->owner = 0;
    trace_object(MODEL_PC, "unlock", m);
}

void model_until_changed(const void *word, uint32_t from)
{
    engine.threads[engine.self].changes_from = from;
    search_visible((model_op){.kind = OP_CHANGE, .object = word});
    race_access(word, sizeof from, RACE_ATOMIC_READ, MODEL_PC);
    memory_pauses();
    trace_object(MODEL_PC, "has changed:", word);
}

/* --- Futexes: a thread sleeps on a word while it has a pending wake-up for it --------------------------------------------- */

void tni_futex_wait(tni_a32 *word, uint32_t expected, uint64_t deadline_ns)
{
    model_thread *self = &engine.threads[engine.self];

    search_visible((model_op){.kind = OP_OBJECT, .object = word});
    race_access(word, sizeof *word, RACE_ATOMIC_READ, MODEL_PC);
    memory_pauses();
    if (memory_newest(word, sizeof *word) != expected) {
        trace_object(MODEL_PC, "futex wait, not equal:", word);
        return;
    }
    trace_object(MODEL_PC, "futex wait, sleeps:", word);
    self->woken = false;
    self->deadline_ns = deadline_ns;
    self->may_wake_spuriously = !engine.scenario->no_chance;
    search_visible((model_op){.kind = OP_WAKEUP, .object = word});
    if (!self->woken && deadline_ns != TNI_FOREVER && engine.now_ns < deadline_ns)
        engine.now_ns = deadline_ns;
    trace_object(MODEL_PC, self->woken ? "woken:" : deadline_ns != TNI_FOREVER ? "times out:" : "wakes spuriously:", word);
}

void tni_futex_wake(tni_a32 *word, int count)
{
    unsigned sleepers[MODEL_THREADS];
    unsigned found = 0;

    search_visible((model_op){.kind = OP_OBJECT, .object = word});
    for (unsigned t = 0; t < engine.thread_count; t++) {
        const model_thread *thread = &engine.threads[t];
        if (!thread->ended && thread->pending.kind == OP_WAKEUP && thread->pending.object == word && !thread->woken)
            sleepers[found++] = t;
    }
    trace_object(MODEL_PC, found > 0 ? "futex wake:" : "futex wake, no sleeper:", word);
    while (found > 0 && count-- > 0) {
        unsigned chosen = search_value(found);
        engine.threads[sleepers[chosen]].woken = true;
        sleepers[chosen] = sleepers[--found];
    }
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static struct {
    void *(*main)(void *);
    void *arg;
} starts[MODEL_THREADS];

static void run_started(void *arg)
{
    unsigned id = (unsigned)(uintptr_t)arg;

    (void)starts[id].main(starts[id].arg);
}

/* There are no signals. */
void tni_thread_mask_get(tni_thread_mask *out)
{
    *out = (tni_thread_mask){false};
}

void tni_thread_mask_set(const tni_thread_mask *mask)
{
    (void)mask;
}

int tni_thread_start(tni_thread *out, void *(*main)(void *), void *arg)
{
    bool limited = engine.threads_left != UINT_MAX; /* then the order of starts matters */
    unsigned id;

    search_visible((model_op){.kind = OP_START, .object = limited ? &engine.threads_left : NULL});
    if (limited && engine.threads_left == 0) {
        trace_add(MODEL_PC, "cannot start a thread");
        return -EAGAIN;
    }
    engine.threads_left -= limited;
    id = engine.thread_count;
    if (model_thread_new(run_started, (void *)(uintptr_t)id, NULL) < 0)
        model_fail("livelock", "the scenario starts more than %d threads", MODEL_THREADS - 1);
    starts[id].main = main;
    starts[id].arg = arg;
    out->id = id;
    memory_thread_edge(engine.self, id);
    trace_add(MODEL_PC, "starts T%u", id);
    return 0;
}

void model_threads_left(unsigned count)
{
    search_visible((model_op){.kind = OP_OBJECT, .object = &engine.threads_left});
    engine.threads_left = count;
    trace_add(MODEL_PC, "%u more threads can be started", count);
}

void tni_thread_join(tni_thread *thread)
{
    search_visible((model_op){.kind = OP_JOIN, .object = &engine.threads[thread->id]});
    memory_thread_edge(thread->id, engine.self);
    trace_add(MODEL_PC, "joins T%u", thread->id);
}

/* No thread computes. The scenario says whether threads sleep: a hint, and no step. */
void tni_thread_clock_init(tni_thread_clock *clock)
{
    clock->id = engine.self;
}

uint64_t tni_thread_clock_ns(const tni_thread_clock *clock)
{
    (void)clock;
    return 0;
}

int tni_os_thread_id(void)
{
    return (int)engine.self;
}

bool tni_os_thread_sleeps(int id)
{
    (void)id;
    return engine.scenario->asleep;
}

void tni_thread_detach(tni_thread *thread)
{
    (void)thread;
}

int tni_thread_at_fork(void (*in_child)(void))
{
    (void)in_child;
    return 0;
}

/* No tool of announce.c watches the scenarios' threads. */
void tni_thread_stack(void **base, size_t *size)
{
    *base = NULL;
    *size = 0;
}

void tni_thread_name(const char *name)
{
    engine.threads[engine.self].name = name;
}

/* --- Time and chance, messages ---------------------------------------------------------------------------------------------- */

uint64_t tni_clock_ns(void)
{
    return engine.now_ns;
}

uint64_t tni_random_seed(void)
{
    return UINT64_C(0x9e3779b97f4a7c15);
}

_Noreturn void tni_log_fatal(const char *file, int line, const char *func, const char *message)
{
    model_fail("assertion", "%s:%d: %s: %s", file, line, func, message);
}
