/* SPDX-License-Identifier: MIT */
/* Simulated threads, by the library's own context switch: a thread continues on whichever stack it was left, which may be that
 * of one of the library's fibers. */
#include "sim/sim_thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/thread.h"
#include "sim/os_memory_sim.h"
#include "sim/sim_lost.h"
#include "sim/sim_run.h"
#include "sim/sim_trace.h"

#define STACK_BYTES ((size_t)8 << 20)
#define GUARD_BYTES ((size_t)4096)
#define POPULATED_BYTES ((size_t)12288) /* of a stack, at first: most threads use no more */

/* The longest time for which a thread loses its processor, or for which a spin lets the time pass. */
#define STALL_MAX_NS (UINT64_C(16) * 1000000)
#define SPIN_MAX_NS (UINT64_C(1) * 1000000)

/* Among several threads that spin, a step takes at most SPIN_NS << SPIN_SHIFT_MAX: one of them may be at work meanwhile. */
#define SPIN_SHIFT_MAX 10

/* After so many spins without a call the limits of the run are checked: there may be no event that does it. */
#define LIMIT_SPINS 1024

/* A thread that has read the clock so often without another call gives way, and again after half as many reads. */
#define CLOCK_READS_MAX 32

static struct {
    tni_sim_thread *self;
    tni_sim_thread **all; /* by number */
    uint32_t count;
    tni_sim_thread **ready; /* the caller is among them while it runs */
    uint32_t ready_count;
    uint32_t capacity;        /* of `all` and of `ready` */
    uint32_t spins;           /* of all threads, since one of them has made a call or slept */
    const char *starved;      /* the name of a thread that gets no processor; NULL: none */
    tni_stack *unused_stacks; /* linked by `next` */
} threads;

tni_sim_thread *tni_sim_thread_self(void)
{
    return threads.self;
}

tni_sim_thread *tni_sim_thread_find(uint32_t id)
{
    return id < threads.count ? threads.all[id] : NULL;
}

const char *tni_sim_thread_name_of(const tni_sim_thread *thread)
{
    static char number[24];

    if (thread->name[0] != '\0')
        return thread->name;
    if (thread->id == 0)
        return "main";
    (void)snprintf(number, sizeof number, "thread %u", thread->id);
    return number;
}

/* --- The list of ready threads ---------------------------------------------------------------------------------------------- */

static bool is_starved(const tni_sim_thread *thread)
{
    return threads.starved != NULL && thread->joiner == NULL && strcmp(thread->name, threads.starved) == 0;
}

static void make_ready(tni_sim_thread *thread)
{
    if (tni_unlikely(is_starved(thread))) {
        thread->state = TNI_SIM_STARVED;
        return;
    }
    thread->state = TNI_SIM_READY;
    thread->ready_at = threads.ready_count;
    threads.ready[threads.ready_count++] = thread;
}

static void make_unready(tni_sim_thread *thread, tni_sim_thread_state state)
{
    tni_sim_thread *last = threads.ready[--threads.ready_count];

    thread->state = state;
    last->ready_at = thread->ready_at;
    threads.ready[thread->ready_at] = last;
}

/* --- Switching -------------------------------------------------------------------------------------------------------------- */

static void stop_clock(tni_sim_thread *thread)
{
    thread->cpu_ns += tni_sim_time_ns() - thread->since_ns;
}

static void continue_with(tni_sim_thread *next)
{
    tni_sim_thread *self = threads.self;

    if (next == self)
        return;
    if (self->state == TNI_SIM_READY)
        stop_clock(self);
    next->since_ns = tni_sim_time_ns();
    threads.self = next;
    tni_sim_trace(TNI_SIM_TRACE_CONTINUE, 0, 0);
    if (self->state == TNI_SIM_ENDED)
        tni_context_exit_to(&self->context, &next->context);
    tni_context_switch(&self->context, &next->context);
}

/* Chooses among the ready threads; lets the time pass while there is none. */
static void choose_next(void)
{
    while (threads.ready_count == 0) {
        tni_sim_lost_check((const tni_sim_thread *const *)threads.all, threads.count);
        if (!tni_sim_time_jump())
            tni_sim_run_fail("deadlock", "no thread can continue, and nothing will happen any more");
    }
    continue_with(threads.ready[tni_sim_choice_below(TNI_SIM_PICK, threads.ready_count)]);
}

/* Another ready thread than the caller, or NULL. */
static tni_sim_thread *another(void)
{
    uint32_t index;

    if (threads.ready_count < 2)
        return NULL;
    index = tni_sim_choice_below(TNI_SIM_PICK, threads.ready_count - 1);
    if (index >= threads.self->ready_at)
        index++;
    return threads.ready[index];
}

static void on_deadline(tni_sim_event *event)
{
    tni_sim_thread *thread = tni_container_of(event, tni_sim_thread, timer);

    thread->woken = false;
    make_ready(thread);
}

/* Sleeps; the caller has set `asleep`. */
static void sleep_until(uint64_t deadline_ns)
{
    tni_sim_thread *self = threads.self;

    stop_clock(self);
    make_unready(self, TNI_SIM_ASLEEP);
    if (deadline_ns != TNI_FOREVER)
        tni_sim_time_set(&self->timer, deadline_ns, on_deadline);
    choose_next();
    self->since_ns = tni_sim_time_ns();
}

static void stall(void)
{
    uint64_t ns = tni_sim_choice_scale(TNI_SIM_STALL, STALL_MAX_NS);

    tni_sim_trace(TNI_SIM_TRACE_STALLED, (int64_t)ns, 0);
    threads.self->asleep = "nothing: it has lost its processor";
    threads.self->stalled = true;
    sleep_until(tni_sim_time_ns() + ns);
    threads.self->stalled = false;
}

void tni_sim_thread_call(void)
{
    threads.spins = 0;
    threads.self->spins = 0;
    threads.self->clock_reads = 0;
    tni_sim_time_pass(TNI_SIM_CALL_NS);
    if (tni_unlikely(tni_sim_choice_happens(TNI_SIM_STALL)))
        stall();
    if (threads.ready_count > 1 && tni_sim_choice_happens(TNI_SIM_SWITCH))
        continue_with(another());
}

void tni_sim_thread_clock(void)
{
    tni_sim_time_pass(TNI_SIM_CLOCK_NS);
    if (tni_unlikely(++threads.self->clock_reads >= CLOCK_READS_MAX)) {
        tni_sim_thread_spin();
        threads.self->clock_reads = CLOCK_READS_MAX / 2;
    }
}

void tni_sim_thread_preempt(void)
{
    tni_sim_thread *other = another();

    if (other != NULL)
        continue_with(other);
    else if (!tni_sim_choice_is_left_out(TNI_SIM_STALL))
        stall();
}

void tni_sim_thread_spin(void)
{
    tni_sim_thread *self = threads.self;
    tni_sim_thread *other;
    uint64_t ns = (uint64_t)TNI_SIM_SPIN_NS << (self->spins < 24 ? self->spins : 24);
    uint32_t rounds = threads.spins++ / (2 * threads.ready_count);

    if (threads.spins % LIMIT_SPINS == 0)
        tni_sim_run_check_limits();
    tni_sim_time_pass((uint64_t)TNI_SIM_SPIN_NS << (rounds < SPIN_SHIFT_MAX ? rounds : SPIN_SHIFT_MAX));
    other = another();
    if (other != NULL) {
        self->spins = 0;
        continue_with(other);
        return;
    }
    /* Nothing else runs: only time can bring what it waits for. */
    self->spins++;
    tni_sim_time_pass(ns < SPIN_MAX_NS ? ns : SPIN_MAX_NS);
}

/* --- Sleeping --------------------------------------------------------------------------------------------------------------- */

bool tni_sim_thread_sleep(const char *what, const void *object, uint64_t deadline_ns)
{
    tni_sim_thread *self = threads.self;

    self->asleep = what;
    self->object = object;
    self->spins = 0;
    threads.spins = 0;
    tni_sim_trace_note(TNI_SIM_TRACE_SLEEP, what, 0);
    if (tni_sim_time_ns() >= deadline_ns) {
        self->woken =
            false; /* as if it had slept, so that others run: a loop of such sleeps must not keep the time from passing */
        deadline_ns = tni_sim_time_ns();
    }
    sleep_until(deadline_ns);
    tni_sim_trace(self->woken ? TNI_SIM_TRACE_WOKEN : TNI_SIM_TRACE_TIMEOUT, 0, 0);
    return self->woken;
}

void tni_sim_thread_wake(tni_sim_thread *thread)
{
    if (thread->state != TNI_SIM_ASLEEP || thread->stalled)
        return;
    tni_sim_time_clear(&thread->timer);
    thread->woken = true;
    make_ready(thread);
}

/* --- Beginning and end ------------------------------------------------------------------------------------------------------ */

static tni_stack *stack_get(void)
{
    tni_stack *stack = threads.unused_stacks;
    char *memory;

    if (stack != NULL) {
        threads.unused_stacks = stack->next;
        return stack;
    }
    memory = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    (void)mprotect(memory, GUARD_BYTES, PROT_NONE);
    tni_os_memory_sim_populate(memory + STACK_BYTES - POPULATED_BYTES, POPULATED_BYTES);
    stack = (tni_stack *)(void *)(memory + STACK_BYTES - sizeof *stack);
    *stack = (tni_stack){.base = memory + GUARD_BYTES};
    return stack;
}

/* The link is in the descriptor, at the upper end: the lower end has never been used, and a first touch costs a page. */
static void stack_put(tni_stack *stack)
{
    stack->next = threads.unused_stacks;
    threads.unused_stacks = stack;
}

static void run_thread(void *arg)
{
    tni_sim_thread *self = arg;

    self->result = self->main(self->arg);
    tni_sim_trace(TNI_SIM_TRACE_END, 0, 0);
    make_unready(self, TNI_SIM_ENDED);
    if (self->joiner != NULL)
        tni_sim_thread_wake(self->joiner);
    /* The stack is reused by a thread that another one starts, after this one has left it. */
    stack_put(self->stack);
    choose_next();
    abort();
}

static void reserve_one(void)
{
    if (threads.count < threads.capacity)
        return;
    threads.capacity = threads.capacity == 0 ? 16 : 2 * threads.capacity;
    threads.all = realloc(threads.all, threads.capacity * sizeof(tni_sim_thread *));
    threads.ready = realloc(threads.ready, threads.capacity * sizeof(tni_sim_thread *));
    if (threads.all == NULL || threads.ready == NULL)
        tni_sim_run_fail("memory", "the simulator has no memory");
}

static tni_sim_thread *add_thread(void)
{
    tni_sim_thread *thread = calloc(1, sizeof *thread);

    if (thread == NULL)
        return NULL;
    reserve_one();
    thread->id = threads.count;
    threads.all[threads.count++] = thread;
    return thread;
}

void tni_sim_thread_begin(const char *starved)
{
    tni_sim_thread *main = add_thread();

    if (main == NULL)
        abort();
    tni_context_init_thread(&main->context);
    main->joined = true;
    threads.starved = starved;
    threads.self = main;
    make_ready(main);
}

tni_sim_thread *tni_sim_thread_start(void *(*main)(void *), void *arg)
{
    tni_stack *stack = stack_get();
    tni_sim_thread *thread = stack != NULL ? add_thread() : NULL;

    if (thread == NULL)
        return NULL;
    thread->stack = stack;
    thread->main = main;
    thread->arg = arg;
    tni_context_make(&thread->context, stack, run_thread, thread);
    make_ready(thread);
    tni_sim_trace(TNI_SIM_TRACE_START, thread->id, 0);
    return thread;
}

void *tni_sim_thread_join(tni_sim_thread *thread)
{
    tni_sim_trace(TNI_SIM_TRACE_JOIN, thread->id, 0);
    if (thread->joined)
        tni_sim_run_fail("assertion", "thread %u is joined twice, or after it was detached", thread->id);
    thread->joined = true;
    thread->joiner = threads.self;
    if (thread->state == TNI_SIM_STARVED)
        make_ready(thread);
    while (thread->state != TNI_SIM_ENDED)
        (void)tni_sim_thread_sleep("a join", thread, TNI_FOREVER);
    return thread->result;
}

void tni_sim_thread_detach(tni_sim_thread *thread)
{
    thread->joined = true;
}

uint64_t tni_sim_thread_cpu_ns(const tni_sim_thread *thread)
{
    return thread->cpu_ns + (thread == threads.self ? tni_sim_time_ns() - thread->since_ns : 0);
}

/* --- Reports ---------------------------------------------------------------------------------------------------------------- */

void tni_sim_thread_print_all(void)
{
    for (uint32_t i = 0; i < threads.count; i++) {
        const tni_sim_thread *thread = threads.all[i];
        if (thread->state == TNI_SIM_ASLEEP)
            (void)fprintf(stderr, "  %s sleeps in %s\n", tni_sim_thread_name_of(thread), thread->asleep);
        else if (thread->state == TNI_SIM_STARVED)
            (void)fprintf(stderr, "  %s gets no processor\n", tni_sim_thread_name_of(thread));
        else if (thread->state == TNI_SIM_READY)
            (void)fprintf(stderr, "  %s can run\n", tni_sim_thread_name_of(thread));
    }
}

unsigned tni_sim_thread_left(void)
{
    unsigned left = 0;

    for (uint32_t i = 1; i < threads.count; i++)
        left += threads.all[i]->state != TNI_SIM_ENDED && !threads.all[i]->joined;
    return left;
}
