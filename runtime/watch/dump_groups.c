/* SPDX-License-Identifier: MIT */
/* tn_dump_grouped: tasks that wait at the same place are shown once. The groups are in a table of fixed size that is mapped for
 * the dump; README.md ("Dump and deadlock report") has the reading of a task. */
#include <stdio.h>
#include <string.h>

#include "os/os_memory.h"
#include "sched/runtime.h"
#include "watch/dump.h"
#include "watch/task_inspect.h"

#define GROUPS_MAX 256
#define TASKS_A_PAUSE 1024
/* How long a dump waits, in total, for threads that do not respond: the admin server makes dumps too. */
#define SAMPLES_TIMEOUT_NS (50 * TN_MS)

typedef struct {
    uint64_t key; /* what the group has in common, hashed; 0: the entry is unused */
    uint64_t count;
    bool waits; /* otherwise its tasks run, or are about to */
    bool needs_stack;
    uint64_t id; /* of the task that waits longest; the same holds for what follows */
    uint64_t parent;
    uint8_t kind;
    char name[TNI_NAME_SIZE];
    char note[64];
    tn_entry_fn entry;
    const void *site;
    tni_task_inspect_snapshot was;
} group;

typedef struct {
    tni_dump d;
    tn_dump_pause_fn pause; /* NULL: none */
    int rc;                 /* of the last pause */
    uint64_t tasks;
    uint64_t left_out; /* tasks for whose group there was no entry */
    unsigned used;
    group entries[2 * GROUPS_MAX]; /* found by the key */
    uint16_t order[GROUPS_MAX];    /* indices of those in use */
} grouping;

static size_t mapped_size(void)
{
    size_t page = tni_os_page_size();

    return (sizeof(grouping) + page - 1) / page * page;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t key_of(const group *g)
{
    uint64_t hash = mix(g->waits, g->needs_stack);

    if (!g->waits) { /* the innermost code differs between tasks that do the same */
        hash = mix(hash, (uintptr_t)g->site);
        for (unsigned i = 0; g->was.stack.pc != NULL && i < g->was.stack.frames; i++)
            hash = mix(hash, (uintptr_t)g->was.stack.frame[i]);
        return hash | 1;
    }
    hash = mix(hash, (uintptr_t)g->was.ops.poll);
    hash = mix(hash, (uintptr_t)g->was.stack.pc);
    if (g->was.stack.pc == NULL)
        return mix(hash, (uintptr_t)g->site) | 1;
    for (unsigned i = 0; i < g->was.stack.frames; i++)
        hash = mix(hash, (uintptr_t)g->was.stack.frame[i]);
    return hash | 1;
}

/* The entry with the key, or an unused one, or NULL. */
static group *find(grouping *all, uint64_t key)
{
    unsigned place = (unsigned)(key >> 40) % (2 * GROUPS_MAX);

    while (all->entries[place].key != 0 && all->entries[place].key != key)
        place = (place + 1) % (2 * GROUPS_MAX);
    if (all->entries[place].key == 0) {
        if (all->used == GROUPS_MAX)
            return NULL;
        all->order[all->used++] = (uint16_t)place;
    }
    return &all->entries[place];
}

static void add(grouping *all, const group *one)
{
    group *g = find(all, one->key);
    uint64_t count;

    all->tasks++;
    if (g == NULL) {
        all->left_out++;
        return;
    }
    count = g->count + 1;
    if (g->key == 0 || (g->waits && one->was.since_ns < g->was.since_ns)) {
        *g = *one;
        g->was.stack.word = g->was.word;
    }
    g->count = count;
}

/* The stack of a task that a worker is inside of, if it can be had. */
static void take_running(const tni_dump *d, const tn_task *task, tni_task_inspect_snapshot *out)
{
    const tni_stack_sample *sample;

    if (!tni_stack_sampler_begin(d->runtime, d->until_ns))
        return;
    sample = tni_stack_sampler_take(d->runtime, task, d->until_ns);
    if (sample != NULL && sample->inside && sample->stack.pc != NULL) {
        out->stack = sample->stack;
        if (out->stack.words > TNI_TASK_INSPECT_WORDS)
            out->stack.words = TNI_TASK_INSPECT_WORDS;
        memcpy(out->word, sample->word, out->stack.words * sizeof out->word[0]);
        out->stack.word = out->word;
    }
    tni_stack_sampler_end(d->runtime);
}

static void visit(void *arg, tn_task *task)
{
    grouping *all = arg;
    group one;

    if (all->rc != 0 || !tni_task_ref_if_alive(task))
        return;
    memset(&one, 0, offsetof(group, was));
    one.id = task->id;
    one.parent = task->parent;
    one.kind = task->kind;
    one.site = task->spawn_site;
    one.entry = task->kind == TNI_TASK_FIBER ? task->body.fiber.entry : NULL;
    tni_task_inspect_name(task, one.name);
    tni_task_inspect_note(task, one.note, sizeof one.note);
    one.waits = tni_task_inspect_take(task, &one.was);
    one.needs_stack = !one.waits && tni_task_waits_for_stack(task);
    if (!one.waits) {
        one.was.stack.pc = NULL;
        if (!one.needs_stack)
            take_running(&all->d, task, &one.was);
    }
    tni_task_inspect_release(task);
    one.key = key_of(&one);
    add(all, &one);
    if (all->pause != NULL && all->tasks % TASKS_A_PAUSE == 0)
        all->rc = all->pause(all->d.ctx);
}

static void sort(grouping *all)
{
    for (unsigned i = 1; i < all->used; i++) {
        uint16_t moved = all->order[i];
        unsigned at = i;
        for (; at > 0 && all->entries[all->order[at - 1]].count < all->entries[moved].count; at--)
            all->order[at] = all->order[at - 1];
        all->order[at] = moved;
    }
}

static void print_wait(const tni_dump *d, const group *g)
{
    char code[TNI_DUMP_NAME_SIZE];

    tni_dump_wait(d, &g->was.ops, code);
    tni_dump_print(d, "%llu tasks (%s) wait for %s, the longest for %llu ms: task %llu \"%s\"", (unsigned long long)g->count,
                   tni_dump_kind(g->kind), code, (unsigned long long)(tni_task_inspect_waited_ns(&g->was, d->now_ns) / TN_MS),
                   (unsigned long long)g->id, g->name);
}

static void print_group(const tni_dump *d, const group *g)
{
    char site[TNI_DUMP_NAME_SIZE];

    if (g->waits)
        print_wait(d, g);
    else
        tni_dump_print(d, "%llu tasks (%s) %s: task %llu \"%s\"", (unsigned long long)g->count, tni_dump_kind(g->kind),
                       g->needs_stack ? "wait for a stack" : "run, or are about to", (unsigned long long)g->id, g->name);
    tni_symbol_cache_name(d->names, g->site, site, sizeof site);
    if (g->parent != 0)
        tni_dump_print(d, "    spawned at %s by task %llu", site, (unsigned long long)g->parent);
    else
        tni_dump_print(d, "    spawned at %s", site);
    if (g->note[0] != '\0')
        tni_dump_print(d, "    note: %s", g->note);
    if (g->waits && g->was.deadline_ns != UINT64_MAX)
        tni_dump_print(d, "    deadline in %lld ms", ((long long)g->was.deadline_ns - (long long)d->now_ns) / (long long)TN_MS);
    if (g->was.stack.pc != NULL)
        tni_dump_stack(d, &g->was.stack);
}

static void print(grouping *all)
{
    const tni_dump *d = &all->d;

    sort(all);
    tni_dump_print(d, "runtime \"%s\": %llu tasks in %u groups, %u workers", d->runtime->name, (unsigned long long)all->tasks,
                   all->used, d->runtime->core_count);
    for (unsigned i = 0; i < all->used; i++)
        print_group(d, &all->entries[all->order[i]]);
    if (all->left_out > 0)
        tni_dump_print(d, "%llu tasks more, in further groups", (unsigned long long)all->left_out);
}

int tn_dump_grouped_pausing(tn_runtime *runtime, tn_dump_fn line, tn_dump_pause_fn pause, void *ctx)
{
    void *memory;
    grouping *all;
    int rc;

    if (tni_os_map(mapped_size(), &memory) != 0)
        return TN_ENOMEM;
    all = memory; /* all zero */
    all->d = (tni_dump){
        .runtime = runtime, .line = line, .ctx = ctx, .names = tni_symbol_cache_create(), .now_ns = tni_clock_ns()};
    all->d.until_ns = all->d.now_ns + SAMPLES_TIMEOUT_NS;
    all->pause = pause;
    if (!tni_runtime_is_inherited(runtime))
        tni_task_inspect_walk(runtime, visit, all);
    rc = all->rc;
    if (rc == 0)
        print(all);
    tni_symbol_cache_destroy(all->d.names);
    (void)tni_os_unmap(memory, mapped_size());
    return rc;
}

int tn_dump_grouped(tn_runtime *runtime, tn_dump_fn line, void *ctx)
{
    return tn_dump_grouped_pausing(runtime, line, NULL, ctx);
}
