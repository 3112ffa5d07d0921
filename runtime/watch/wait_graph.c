/* SPDX-License-Identifier: MIT */
/* The wait-for graph. A node is a fiber that waits for a mutex, a read-write lock, or a task's end. It has one edge: to the task
 * that holds the lock, or that is joined. README.md ("Cycles of waits") has the argument. */
#include "watch/wait_graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap_sort.h"
#include "future/future.h"
#include "os/os_memory.h"
#include "sched/holder_upcalls.h"
#include "sched/runtime.h"
#include "watch/dump.h"
#include "watch/reporter.h"
#include "watch/task_inspect.h"

/* At least this long from the end of a check to the next one. */
#define PERIOD_NS (250 * TN_MS)
/* Tasks in a cycle. A longer one is not reported. */
#define LONGEST 64
/* Cycles at a time that are remembered. */
#define CYCLES 64
#define REPORTS_A_MINUTE 5

typedef struct {
    uint64_t key;  /* of the task that waits (tni_runtime_holder_key) */
    uint64_t next; /* of the task that it waits for */
    bool joins;    /* confirm: that task is joined, and holds no lock here */
    tn_task *task; /* without a reference: the header stays one, and its key shows whether it is the same task */
    size_t mark;   /* the walk that has reached it; 0: none */
} edge;

/* A cycle: the number of its tasks, and their keys in order from the smallest one, as one number. */
typedef struct {
    uint64_t hash;
    bool reported;
    bool missed; /* reported before, and this check has not found it: one of its tasks was borrowed, or it is over */
} cycle;

struct tni_wait_graph {
    /* The monitor's. */
    uint64_t runs; /* of tasks, when it last asked for a check */
    uint64_t next_ns;
    uint32_t asked;

    tni_a32 served;    /* W: checks that the reporter has made */
    tni_a32 unsettled; /* W: 1: the last check demands another one, even if no task runs meanwhile */

    /* The reporter's. */
    edge *edges;
    size_t count;
    size_t size;
    bool no_memory;       /* in this check */
    bool moving;          /* in this check: a task runs, or is about to */
    bool unrecorded;      /* in this check: a task waits for a lock without a record */
    cycle before[CYCLES]; /* cycles of the last check */
    size_t before_count;
    cycle now[CYCLES]; /* of this one */
    size_t now_count;
    uint64_t minute_ns; /* start of the present minute */
    unsigned reports;   /* in that minute */
    edge *of[LONGEST];  /* the cycle at hand, in order */
    tni_task_inspect_snapshot was[LONGEST];
};

int tni_wait_graph_create(tn_runtime *runtime)
{
    tni_wait_graph *graph;

    if (!runtime->options.report_wait_cycles || runtime->options.flavor == TN_CURRENT_THREAD)
        return 0;
    graph = tni_alloc(&runtime->allocator, sizeof *graph, _Alignof(tni_wait_graph));
    if (graph == NULL)
        return TN_ENOMEM;
    graph->runs = UINT64_MAX;
    tni_a32_init(&graph->served, 0);
    tni_a32_init(&graph->unsettled, 0);
    runtime->wait_graph = graph;
    runtime->holders = tni_holders_enable();
    return 0;
}

void tni_wait_graph_destroy(tn_runtime *runtime)
{
    tni_wait_graph *graph = runtime->wait_graph;

    if (graph == NULL)
        return;
    tni_free(&runtime->allocator, graph, sizeof *graph);
}

bool tni_wait_graph_request(tn_runtime *runtime, uint64_t now_ns)
{
    tni_wait_graph *graph = runtime->wait_graph;
    uint64_t runs;

    if (graph == NULL)
        return false;
    /* Acquire: observes `unsettled`; partner: tni_wait_graph_check. */
    if (tni_a32_load(&graph->served, TNI_ACQUIRE) != graph->asked) {
        graph->next_ns = now_ns + PERIOD_NS; /* from the end of the check, which may wait for the log */
        return true;
    }
    runs = tni_runtime_runs(runtime);
    if (runs == graph->runs && tni_a32_load(&graph->unsettled, TNI_RELAXED) == 0) /* relaxed: published by `served` */
        return false;
    if (now_ns >= graph->next_ns) {
        graph->runs = runs;
        graph->asked++;
        tni_reporter_check_waits(runtime);
    }
    return true;
}

/* --- The edges -------------------------------------------------------------------------------------------------------------- */

/* The task is borrowed. Returns the key of the task that it waits for; TNI_HOLDERS_UNRECORDED: it waits for a lock whose holder
 * is not known; 0: for something else. */
static uint64_t waits_for(const tn_task *task)
{
    const tn_task *joined;

    if (task->kind != TNI_TASK_FIBER)
        return 0;
    joined = tni_future_joined(task->awaited);
    return joined != NULL ? tni_runtime_holder_key(joined) : tni_holder_awaited(task->awaited);
}

static void free_edges(tni_wait_graph *graph)
{
    if (graph->size > 0)
        (void)tni_os_unmap(graph->edges, graph->size * sizeof(edge));
    graph->edges = NULL;
    graph->size = 0;
}

/* Mapped, because a task may be stuck inside the allocator. */
static bool has_space(tni_wait_graph *graph)
{
    size_t size = graph->size == 0 ? 512 : 2 * graph->size; /* whole pages */
    void *larger;

    if (graph->count < graph->size)
        return true;
    if (tni_os_map(size * sizeof(edge), &larger) != 0)
        return false;
    if (graph->count > 0)
        memcpy(larger, graph->edges, graph->count * sizeof(edge));
    free_edges(graph);
    graph->edges = larger;
    graph->size = size;
    return true;
}

static void visit(void *arg, tn_task *task)
{
    tn_runtime *runtime = arg;
    tni_wait_graph *graph = runtime->wait_graph;
    uint64_t next = 0;

    if (graph->no_memory || !tni_task_ref_if_alive(task))
        return;
    if (tni_task_inspect_borrow(task)) {
        next = waits_for(task);
        tni_task_inspect_return(task);
        graph->unrecorded = graph->unrecorded || next == TNI_HOLDERS_UNRECORDED;
    } else if (!tni_task_waits_for_stack(task)) {
        graph->moving = true;
    }
    graph->no_memory = next > TNI_HOLDERS_UNRECORDED && !has_space(graph);
    if (next > TNI_HOLDERS_UNRECORDED && !graph->no_memory)
        graph->edges[graph->count++] = (edge){.key = tni_runtime_holder_key(task), .next = next, .task = task};
    tni_task_inspect_release(task);
}

static bool is_less(const void *of, size_t a, size_t b)
{
    const tni_wait_graph *graph = of;

    return graph->edges[a].key < graph->edges[b].key;
}

static void swap(void *of, size_t a, size_t b)
{
    tni_wait_graph *graph = of;
    edge moved = graph->edges[a];

    graph->edges[a] = graph->edges[b];
    graph->edges[b] = moved;
}

/* Lists the edges of all tasks, in the order of their keys. */
static void collect(tn_runtime *runtime)
{
    tni_wait_graph *graph = runtime->wait_graph;

    graph->count = 0;
    graph->unrecorded = false;
    tni_task_inspect_walk(runtime, visit, runtime);
    tni_heap_sort(&(tni_heap){graph, is_less, swap}, graph->count);
}

static int by_key(const void *a, const void *b)
{
    const edge *left = a;
    const edge *right = b;

    return (left->key > right->key) - (left->key < right->key);
}

static edge *find(const tni_wait_graph *graph, uint64_t key)
{
    edge wanted = {.key = key};

    if (graph->count == 0)
        return NULL;
    return bsearch(&wanted, graph->edges, graph->count, sizeof wanted, by_key);
}

/* --- A cycle ---------------------------------------------------------------------------------------------------------------- */

/* Lists the cycle from its smallest key on. Returns the number of its tasks; 0: there are too many. */
static size_t list_cycle(tni_wait_graph *graph, edge *first, uint64_t *hash)
{
    edge *smallest = first;
    edge *at;
    size_t count = 0;

    for (edge *other = find(graph, first->next); other != first; other = find(graph, other->next))
        if (other->key < smallest->key)
            smallest = other;
    at = smallest;
    *hash = UINT64_C(0xcbf29ce484222325);
    do {
        if (count == LONGEST)
            return 0;
        graph->of[count++] = at;
        *hash = (*hash ^ at->key) * UINT64_C(0x9e3779b97f4a7c15);
        at = find(graph, at->next);
    } while (at != smallest);
    return count;
}

static bool borrow_one(const edge *e)
{
    if (!tni_task_ref_if_alive(e->task))
        return false;
    if (tni_runtime_holder_key(e->task) == e->key && tni_task_inspect_borrow(e->task))
        return true;
    tni_task_inspect_release(e->task);
    return false;
}

/* Whether all tasks of the cycle wait for each other at one moment: all are borrowed together, and only then read. True: the
 * caller releases a reference to each. */
static bool confirm(tn_runtime *runtime, size_t count)
{
    tni_wait_graph *graph = runtime->wait_graph;
    size_t borrowed = 0;
    bool same;

    tn_runtime_hold(runtime);
    while (borrowed < count && borrow_one(graph->of[borrowed]))
        borrowed++;
    same = borrowed == count;
    for (size_t i = 0; i < count && same; i++)
        same = waits_for(graph->of[i]->task) == graph->of[i]->next;
    for (size_t i = 0; i < borrowed; i++) {
        if (same) {
            graph->of[i]->joins = tni_future_joined(graph->of[i]->task->awaited) != NULL;
            tni_task_inspect_read(graph->of[i]->task, &graph->was[i]);
        }
        tni_task_inspect_return(graph->of[i]->task);
        if (!same)
            tni_task_inspect_release(graph->of[i]->task);
    }
    tn_runtime_unhold(runtime); /* not quietly: the monitor may have found a hold, and rest now */
    return same;
}

static void print(tn_runtime *runtime, size_t count)
{
    const tni_wait_graph *graph = runtime->wait_graph;
    tni_dump d = tni_dump_to_log(runtime);

    d.names = tni_symbol_cache_create();
    if (count == 1)
        tni_dump_print(&d, "cycle of waits: 1 task waits for what it holds, and continues only if the wait ends otherwise");
    else
        tni_dump_print(&d, "cycle of waits: %zu tasks wait for each other, and continue only if a wait ends otherwise", count);
    for (size_t i = 0; i < count; i++) {
        const edge *at = graph->of[i];
        const tn_task *next = graph->of[(i + 1) % count]->task;
        char name[TNI_NAME_SIZE];
        char note[64];
        tni_dump_waiting(&d, at->task, &graph->was[i]);
        tni_task_inspect_name(next, name);
        tni_dump_print(&d, "    %s %s task %llu \"%s\"", at->joins ? "the task that it joins" : "the lock",
                       at->joins ? "is" : "is held by", (unsigned long long)next->id, name);
        tni_task_inspect_note(at->task, note, sizeof note);
        if (note[0] != '\0')
            tni_dump_print(&d, "    note: %s", note);
    }
    tni_symbol_cache_destroy(d.names);
}

/* --- A check ---------------------------------------------------------------------------------------------------------------- */

/* Returns the one of these cycles that has the hash, or NULL. */
static const cycle *find_cycle(const cycle *cycles, size_t count, uint64_t hash)
{
    for (size_t i = 0; i < count; i++)
        if (cycles[i].hash == hash)
            return &cycles[i];
    return NULL;
}

static bool may_report(tni_wait_graph *graph)
{
    uint64_t now_ns = tni_clock_ns();

    if (now_ns - graph->minute_ns > TNI_MINUTE_NS) {
        graph->minute_ns = now_ns;
        graph->reports = 0;
    }
    return graph->reports < REPORTS_A_MINUTE;
}

/* A walk has come back to an edge of its own. */
static void found(tn_runtime *runtime, edge *first)
{
    tni_wait_graph *graph = runtime->wait_graph;
    uint64_t hash;
    size_t count = list_cycle(graph, first, &hash);
    const cycle *before = find_cycle(graph->before, graph->before_count, hash);
    bool reported = count == 0 || (before != NULL && before->reported);

    if (graph->now_count == CYCLES)
        return;
    if (!reported && before != NULL && may_report(graph) && confirm(runtime, count)) {
        graph->reports++;
        reported = true;
        print(runtime, count);
        for (size_t i = 0; i < count; i++)
            tni_task_inspect_release(graph->of[i]->task);
    }
    graph->now[graph->now_count++] = (cycle){.hash = hash, .reported = reported};
}

/* Follows the edges from each node until one that a walk has reached. If it was this walk, it closes a cycle. */
static void find_cycles(tn_runtime *runtime)
{
    tni_wait_graph *graph = runtime->wait_graph;

    for (size_t i = 0; i < graph->count; i++) {
        edge *at = &graph->edges[i];
        while (at != NULL && at->mark == 0) {
            at->mark = i + 1;
            at = find(graph, at->next);
        }
        if (at != NULL && at->mark == i + 1)
            found(runtime, at);
    }
}

/* A cycle that was reported, and is missed once, is remembered: another reader may have borrowed one of its tasks just then. */
static void remember(tni_wait_graph *graph)
{
    size_t found_count = graph->now_count;

    for (size_t i = 0; i < graph->before_count && graph->now_count < CYCLES; i++) {
        const cycle *old = &graph->before[i];
        if (old->reported && !old->missed && find_cycle(graph->now, found_count, old->hash) == NULL)
            graph->now[graph->now_count++] = (cycle){.hash = old->hash, .reported = true, .missed = true};
    }
    memcpy(graph->before, graph->now, graph->now_count * sizeof graph->now[0]);
    graph->before_count = graph->now_count;
}

void tni_wait_graph_check(tn_runtime *runtime)
{
    tni_wait_graph *graph = runtime->wait_graph;
    bool unsettled;

    graph->now_count = 0;
    graph->no_memory = false;
    graph->moving = false;
    collect(runtime);
    /* A task may have got the lock in its last run, and recorded it after the visit of the one that waits. If no task runs now,
     * all runs that the monitor has counted are over, and a second walk observes what they recorded. */
    if (graph->unrecorded && !graph->moving)
        collect(runtime);
    find_cycles(runtime);
    free_edges(graph);
    remember(graph);
    unsettled = graph->no_memory || graph->moving;
    for (size_t i = 0; i < graph->before_count; i++)
        unsettled = unsettled || !graph->before[i].reported;
    tni_a32_store(&graph->unsettled, unsettled, TNI_RELAXED); /* relaxed: published by `served` */
    /* Release: `unsettled`; partner: tni_wait_graph_request. This thread is its only writer. */
    tni_a32_store(&graph->served, tni_a32_load(&graph->served, TNI_RELAXED) + 1, TNI_RELEASE);
}
