/* SPDX-License-Identifier: MIT */
/* Threads of the model: fibers of the checker, which is itself one thread. They use the library's own context switch, so that
 * the library's fibers can run on top of them: a thread continues on whichever stack it waited. */
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine.h"

#define STACK_BYTES ((size_t)256 << 10)

/* In runtime/fiber/fiber_<machine>.S. */
void *tni_fiber_switch(void **save_sp, void *to_sp, void *message);
void *tni_fiber_frame(void *top, void (*entry)(void *), void *arg);

model_engine engine;
static void *checker_sp; /* the stack of the checker itself */
static char *stacks;

static void run_thread(void *arg)
{
    model_thread *self = arg;

    self->entry(self->arg);
    self->ended = true;
    if (self == &engine.threads[0])
        model_execution_over();
    search_thread_ended();
    abort();
}

int model_thread_new(void (*entry)(void *arg), void *arg, const char *name)
{
    unsigned id = engine.thread_count;
    model_thread *thread = &engine.threads[id];

    if (id == MODEL_THREADS)
        return -1;
    if (stacks == NULL) {
        stacks = mmap(NULL, STACK_BYTES * MODEL_THREADS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                      0);
        if (stacks == MAP_FAILED)
            abort();
        for (unsigned i = 0; i < MODEL_THREADS; i++)
            (void)mprotect(stacks + i * STACK_BYTES, 4096, PROT_NONE);
    }
    *thread = (model_thread){.exists = true, .deadline_ns = TNI_FOREVER, .entry = entry, .arg = arg, .name = name};
    thread->pending = (model_op){.kind = OP_START};
    thread->sp = tni_fiber_frame(stacks + (id + 1) * STACK_BYTES, run_thread, thread);
    engine.thread_count++;
    return (int)id;
}

void model_thread_switch(unsigned to)
{
    unsigned from = engine.self;

    if (to == from)
        return;
    engine.self = to;
    (void)tni_fiber_switch(&engine.threads[from].sp, engine.threads[to].sp, NULL);
}

/* Leaves the execution for good, from any stack. */
_Noreturn void model_execution_over(void)
{
    void *never;

    engine.running = false;
    (void)tni_fiber_switch(&never, checker_sp, NULL);
    abort();
}

_Noreturn void model_fail(const char *kind, const char *format, ...)
{
    va_list args;

    if (engine.failure == NULL) {
        va_start(args, format);
        (void)vsnprintf(engine.message, sizeof engine.message, format, args);
        va_end(args);
        engine.failure = kind;
    }
    if (!engine.running)
        abort();
    model_execution_over();
}

void model_check_at(bool holds, const char *text, const char *file, int line)
{
    if (!holds)
        model_fail("assertion", "%s:%d: %s", file, line, text);
}

unsigned model_self(void)
{
    return engine.self;
}

void model_time_passes(uint64_t ns)
{
    engine.now_ns += ns;
}

/* --- Crashes ---------------------------------------------------------------------------------------------------------------- */

static void on_crash(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (!engine.running)
        abort();
    model_fail("crash", "signal %d at address %p", number, info->si_addr);
}

void model_report_crashes(void)
{
    static char stack[65536];
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    (void)sigaltstack(&alternative, NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] - 1; i++)
        (void)sigaction(numbers[i], &action, NULL);
}

/* --- An execution ----------------------------------------------------------------------------------------------------------- */

static void run_main(void *arg)
{
    const model_scenario *scenario = engine.scenario;

    (void)arg;
    if (scenario->state_bytes > 0) {
        engine.state = arena_alloc(scenario->state_bytes, 128, MODEL_PC);
        model_name(engine.state, scenario->state_bytes, "state");
    }
    if (scenario->setup != NULL)
        scenario->setup(engine.state);
    for (unsigned i = 0; i < MODEL_SCENARIO_THREADS && scenario->threads[i] != NULL; i++) {
        int id = model_thread_new(scenario->threads[i], engine.state, NULL);
        memory_thread_edge(0, (unsigned)id);
    }
    search_visible((model_op){.kind = OP_ALL});
    for (unsigned t = 1; t < engine.thread_count; t++)
        memory_thread_edge(t, 0);
    if (scenario->finish != NULL)
        scenario->finish(engine.state);
    if (scenario->state_bytes > 0)
        arena_free(engine.state, MODEL_PC);
    arena_check_leaks();
    os_memory_model_check_leaks();
}

void model_execute(void)
{
    search_execution_begin();
    memory_reset();
    race_reset();
    arena_reset();
    trace_reset();
    os_loop_model_reset();
    os_socket_model_reset();
    os_tls_model_reset();
    os_memory_model_reset();
    engine.thread_count = 0;
    engine.self = 0;
    engine.threads_left = UINT_MAX;
    engine.now_ns = UINT64_C(1000000000);
    engine.failure = NULL;
    engine.running = true;
    (void)model_thread_new(run_main, NULL, "main");
    (void)tni_fiber_switch(&checker_sp, engine.threads[0].sp, NULL);
}
