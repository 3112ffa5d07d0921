/* SPDX-License-Identifier: MIT */
/* The search: depth first over the choices of an execution, by running it again and again (stateless). README.md ("Search")
 * has the argument for the reduction.
 *
 * A node is a choice: between threads before each visible operation, or between the values that an operation may yield. The
 * nodes of the current execution are a stack. The next execution repeats them up to the deepest node that has an untried
 * alternative. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define NODES_MAX (4 * MODEL_STEPS_MAX)
#define TOKEN_BYTES 65536
#define ALONE_MAX 100 /* how often a thread may spin while no other thread can run */
#define NO_THREAD MODEL_THREADS

typedef struct {
    bool of_threads;
    uint8_t chosen;
    uint8_t preferred; /* the choice that the token does not name */
    /* Between values. */
    uint8_t count;
    /* Between threads, as sets of bits. */
    uint8_t enabled; /* can continue */
    uint8_t at_cost; /* sleepers that may wake without a wake, and spinners: costs one preemption */
    uint8_t to_try;  /* to try, as far as the bound allows */
    uint8_t tried;
    uint8_t previous; /* thread of the step before */
    uint16_t spent;   /* preemptions before this choice */
} node;

typedef struct {
    model_op op;
    uint32_t node;
    uint32_t turn;          /* first step of this thread's turn */
    uint32_t pending_since; /* the step before which the operation was known */
    uint8_t thread;
} step;

static node nodes[NODES_MAX];
static unsigned node_count;  /* of the execution */
static unsigned known_nodes; /* to repeat */
static step steps[MODEL_STEPS_MAX];
static unsigned step_count;
static unsigned steps_limit = 4000;
static unsigned bound;
static unsigned deepest;
static unsigned previous;
static bool main_steps; /* T0 has stepped while others ran: usually it only runs setup and finish */
static char token[TOKEN_BYTES];
static uint8_t followed[NODES_MAX]; /* the token's choices, plus one; 0: the preferred one */
static bool following;

void search_init(unsigned wanted_bound, bool wanted_reduce)
{
    bound = wanted_bound;
    engine.reduce = wanted_reduce;
    deepest = 0;
    known_nodes = 0;
    following = false;
}

unsigned search_deepest(void)
{
    return deepest;
}

void search_execution_begin(void)
{
    node_count = 0;
    step_count = 0;
    main_steps = false;
    previous = NO_THREAD;
}

/* --- Dependence ------------------------------------------------------------------------------------------------------------- */

static bool dependent(const model_op *a, const model_op *b)
{
    if (a->kind == OP_HEAVY || b->kind == OP_HEAVY)
        return true;
    if (a->seq_cst && b->seq_cst && (a->kind == OP_FENCE || b->kind == OP_FENCE))
        return true;
    return a->object != NULL && a->object == b->object && !(a->kind == OP_READ && b->kind == OP_READ);
}

static void backtrack_at(unsigned at, unsigned thread)
{
    node *n = &nodes[steps[at].node];

    if (n->enabled >> thread & 1)
        n->to_try |= (uint8_t)(1u << thread);
    else
        n->to_try |= n->enabled;
}

/* The thread might have gone before step `at`. It is tried there. Because that may cost a preemption that the bound forbids,
 * it is also tried at the start of the turn that the step belongs to, and of the turn before. */
static void backtrack_before(unsigned at, unsigned thread)
{
    unsigned turn = steps[at].turn;

    backtrack_at(at, thread);
    backtrack_at(turn, thread);
    if (turn > 0)
        backtrack_at(steps[turn - 1].turn, thread);
}

/* Finds where else the thread of the last step could have gone first: before each step of another thread on which the last
 * step depends. These are all steps made while its operation was already known, and, per thread, the last one before that. */
static void add_backtrack_points(void)
{
    unsigned last = step_count - 1;
    const step *mine = &steps[last];
    unsigned found = 1u << mine->thread | !main_steps;
    unsigned everyone = (1u << engine.thread_count) - 1;

    for (unsigned i = last; i-- > 0 && (i >= mine->pending_since || found != everyone);) {
        unsigned bit = 1u << steps[i].thread;
        if (i < mine->pending_since && (found & bit))
            continue;
        if (steps[i].thread == mine->thread || !dependent(&steps[i].op, &mine->op))
            continue;
        backtrack_before(i, mine->thread);
        if (i < mine->pending_since)
            found |= bit;
    }
}

/* --- Nodes ------------------------------------------------------------------------------------------------------------------ */

static node *enter_node(bool of_threads)
{
    node *n = &nodes[node_count];

    if (node_count + 1 >= NODES_MAX)
        model_fail("livelock", "the execution has more than %d choices", NODES_MAX);
    if (node_count >= known_nodes)
        *n = (node){.of_threads = of_threads};
    else if (n->of_threads != of_threads)
        model_fail("nondeterminism", "a repeated execution made another choice than before");
    if (++node_count > deepest)
        deepest = node_count;
    return n;
}

unsigned search_value(unsigned count)
{
    bool fresh = node_count >= known_nodes;
    node *n;

    if (count <= 1)
        return 0;
    n = enter_node(false);
    if (count > 250)
        model_fail("livelock", "too many stores can be read");
    if (fresh) {
        n->count = (uint8_t)count;
        if (following && followed[node_count - 1] != 0)
            n->chosen = (uint8_t)(followed[node_count - 1] - 1);
    }
    if (n->count != count || n->chosen >= count)
        model_fail("nondeterminism", "a repeated execution has %u values instead of %u", count, n->count);
    return n->chosen;
}

unsigned model_choose(unsigned count)
{
    return search_value(count);
}

/* --- Which threads can continue ------------------------------------------------------------------------------------------- */

typedef struct {
    unsigned enabled;
    unsigned spinning;  /* enabled, but no other thread has stepped since they checked */
    unsigned deadlines; /* asleep, with a deadline */
    unsigned spurious;  /* asleep, and may wake spuriously */
} readiness;

static bool others_have_ended(unsigned self)
{
    for (unsigned t = 0; t < engine.thread_count; t++)
        if (t != self && !engine.threads[t].ended)
            return false;
    return true;
}

static bool is_enabled(unsigned t)
{
    const model_thread *thread = &engine.threads[t];
    const model_op *op = &thread->pending;

    if (op->kind == OP_LOCK)
        return ((const tni_os_mutex *)op->object)->owner == 0;
    if (op->kind == OP_CHANGE)
        return memory_newest(op->object, sizeof(uint32_t)) != thread->changes_from;
    if (op->kind == OP_JOIN)
        return ((const model_thread *)op->object)->ended;
    if (op->kind == OP_ALL)
        return others_have_ended(t);
    return op->kind != OP_WAKEUP || thread->woken;
}

static readiness find_ready_threads(void)
{
    readiness ready = {0};

    for (unsigned t = 0; t < engine.thread_count; t++) {
        const model_thread *thread = &engine.threads[t];
        if (thread->ended)
            continue;
        if (is_enabled(t))
            *(thread->yielded ? &ready.spinning : &ready.enabled) |= 1u << t;
        else if (thread->pending.kind == OP_WAKEUP && thread->deadline_ns != TNI_FOREVER)
            ready.deadlines |= 1u << t;
        else if (thread->pending.kind == OP_WAKEUP && thread->may_wake_spuriously)
            ready.spurious |= 1u << t;
    }
    return ready;
}

_Noreturn static void fail_deadlock(void)
{
    static const char *const doing[] = {
        [OP_LOCK] = "waits for a lock",         [OP_CHANGE] = "waits for a word to change", [OP_WAKEUP] = "sleeps",
        [OP_JOIN] = "waits for a thread's end", [OP_ALL] = "waits for all threads' ends",
    };
    char text[512];
    size_t used = 0;

    text[0] = '\0';
    for (unsigned t = 1; t < engine.thread_count; t++)
        if (!engine.threads[t].ended) {
            char where[64] = "";
            if (engine.threads[t].pending.object != NULL)
                arena_describe(engine.threads[t].pending.object, where, sizeof where);
            used += (size_t)snprintf(text + used, sizeof text - used, "; T%u %s: %s", t, doing[engine.threads[t].pending.kind],
                                     where);
        }
    model_fail("deadlock", "no thread can continue%s", text);
}

/* --- The choice between threads --------------------------------------------------------------------------------------------- */

static unsigned cost_of(const node *n, unsigned thread)
{
    if (n->at_cost >> thread & 1)
        return 1;
    return n->previous != NO_THREAD && n->previous != thread && (n->enabled >> n->previous & 1);
}

static unsigned preferred_of(const node *n)
{
    unsigned t = n->previous;

    if (t != NO_THREAD && (n->enabled >> t & 1))
        return t;
    for (t = t == NO_THREAD ? 0 : t + 1;; t++)
        if (n->enabled >> (t % MODEL_THREADS) & 1)
            return t % MODEL_THREADS;
}

static void fill_node(node *n, unsigned enabled, unsigned at_cost, bool all)
{
    const node *before = step_count == 0 ? NULL : &nodes[steps[step_count - 1].node];

    n->enabled = (uint8_t)enabled;
    n->at_cost = (uint8_t)at_cost;
    n->previous = (uint8_t)previous;
    n->spent = before == NULL ? 0 : (uint16_t)(before->spent + cost_of(before, before->chosen));
    n->preferred = (uint8_t)preferred_of(n);
    n->chosen = n->preferred;
    if (following && followed[node_count - 1] != 0)
        n->chosen = (uint8_t)(followed[node_count - 1] - 1);
    n->to_try = (uint8_t)((all || !engine.reduce ? enabled : 1u << n->chosen) | at_cost);
    n->tried = (uint8_t)(1u << n->chosen);
}

static unsigned choose_thread(void)
{
    bool fresh = node_count >= known_nodes;
    readiness ready = find_ready_threads();
    unsigned at_cost = ready.deadlines | ready.spurious | ready.spinning; /* not every spin waits for another thread */
    unsigned enabled = ready.enabled;
    bool all = ready.spinning != 0; /* a spinner depends on all threads: try all */
    node *n;

    if (enabled == 0) { /* spinners continue, and time passes */
        enabled = ready.spinning | ready.deadlines;
        at_cost = ready.spurious;
        all = true;
    }
    if (enabled == 0)
        fail_deadlock();
    n = enter_node(true);
    if (fresh)
        fill_node(n, enabled, at_cost, all);
    if (n->enabled != enabled || n->at_cost != at_cost || !((enabled | at_cost) >> n->chosen & 1))
        model_fail("nondeterminism", "in a repeated execution other threads can continue than before");
    return n->chosen;
}

static void note_spinning(unsigned chosen)
{
    model_thread *thread = &engine.threads[chosen];

    if (thread->yielded && ++thread->yields_alone > ALONE_MAX)
        model_fail("livelock", "T%u spins, and no other thread can continue", chosen);
    for (unsigned t = 0; t < engine.thread_count; t++)
        if (t != chosen) {
            engine.threads[t].yielded = false;
            engine.threads[t].yields_alone = 0;
        }
    thread->yielded = thread->pending.kind == OP_YIELD;
}

/* Chooses the thread of the next step, and records the step. */
static unsigned next_step(void)
{
    unsigned chosen = choose_thread();
    step *s = &steps[step_count];

    if (step_count >= steps_limit)
        model_fail("livelock", "the execution has more than %u steps", steps_limit);
    *s = (step){.op = engine.threads[chosen].pending,
                .node = node_count - 1,
                .turn = step_count > 0 && steps[step_count - 1].thread == chosen ? steps[step_count - 1].turn : step_count,
                .pending_since = engine.threads[chosen].pending_since,
                .thread = (uint8_t)chosen};
    note_spinning(chosen);
    if (chosen == 0 && s->op.kind != OP_ALL)
        main_steps = true;
    step_count++;
    previous = chosen;
    if (engine.reduce && node_count >= known_nodes) /* for repeated choices this has been done */
        add_backtrack_points();
    return chosen;
}

void search_visible(model_op op)
{
    model_thread *self = &engine.threads[engine.self];
    unsigned chosen;

    self->pending = op;
    self->pending_since = step_count;
    if (others_have_ended(engine.self) && engine.self == 0)
        return; /* setup and finish */
    chosen = next_step();
    if (chosen != engine.self)
        model_thread_switch(chosen);
}

void search_thread_ended(void)
{
    model_thread_switch(next_step());
}

/* --- The next execution ----------------------------------------------------------------------------------------------------- */

static bool advance(node *n)
{
    unsigned left;

    if (!n->of_threads) {
        if (n->chosen + 1 >= n->count)
            return false;
        n->chosen++;
        return true;
    }
    left = (unsigned)n->to_try & ~(unsigned)n->tried;
    for (unsigned t = 0; t < MODEL_THREADS; t++)
        if ((left >> t & 1) && n->spent + cost_of(n, t) <= bound) {
            n->chosen = (uint8_t)t;
            n->tried |= (uint8_t)(1u << t);
            return true;
        }
    return false;
}

bool search_next(void)
{
    while (node_count > 0) {
        if (advance(&nodes[node_count - 1])) {
            known_nodes = node_count;
            return true;
        }
        node_count--;
    }
    return false;
}

/* --- Tokens ----------------------------------------------------------------------------------------------------------------- */

/* INDEXtTHREAD and INDEXvVALUE for each choice that is not the preferred one; index and value count from 0. */
const char *search_token(void)
{
    size_t used = 0;

    token[0] = '-';
    token[1] = '\0';
    for (unsigned i = 0; i < node_count; i++) {
        const node *n = &nodes[i];
        if (n->chosen == n->preferred)
            continue;
        if (used + 24 > sizeof token)
            break;
        used += (size_t)snprintf(token + used, sizeof token - used, "%s%u%c%u", used > 0 ? "." : "", i, n->of_threads ? 't' : 'v',
                                 n->chosen);
    }
    return token;
}

bool search_follow(const char *text)
{
    const char *at = text;

    memset(followed, 0, sizeof followed);
    following = true;
    known_nodes = 0;
    if (strcmp(text, "-") == 0)
        return true;
    while (*at != '\0') {
        char *end;
        unsigned long index = strtoul(at, &end, 10);
        unsigned long value;
        if (end == at || (*end != 't' && *end != 'v') || index >= NODES_MAX)
            return false;
        at = end + 1;
        value = strtoul(at, &end, 10);
        if (end == at || value > 250 || (*end != '.' && *end != '\0'))
            return false;
        followed[index] = (uint8_t)(value + 1);
        at = *end == '.' ? end + 1 : end;
    }
    return true;
}
