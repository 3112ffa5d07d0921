/* SPDX-License-Identifier: MIT */
/* Races on plain memory: each access is compared, by vector clocks, with all earlier ones to the same bytes. The calls that
 * the compiler inserts before each plain access (-fsanitize=thread, for that step alone) are defined at the end of this file.
 * ThreadSanitizer's own library is not linked. */
#include <stdio.h>
#include <string.h>

#include "engine.h"

#define GRANULE 8
#define CELLS (MODEL_ARENA_BYTES / GRANULE)
#define RECORDS_MAX 65536
#define KINDS 4

/* The accesses to some bytes of a granule: by kind, the last time of each thread. */
typedef struct {
    model_clock last[KINDS];
    const void *pcs[KINDS][MODEL_THREADS]; /* while tracing */
    uint32_t next;
    uint32_t cell;
    uint8_t mask;
} record;

static uint32_t cells[CELLS]; /* first record + 1 */
static record records[RECORDS_MAX];
static uint32_t record_count;

static const char *const kind_names[KINDS] = {"plain read", "plain write", "atomic read", "atomic write"};

/* For each kind of access, the kinds after which it must be ordered. */
static const bool conflicts[KINDS][KINDS] = {
    [RACE_READ] = {[RACE_WRITE] = true, [RACE_ATOMIC_WRITE] = true},
    [RACE_WRITE] = {true, true, true, true},
    [RACE_ATOMIC_READ] = {[RACE_WRITE] = true},
    [RACE_ATOMIC_WRITE] = {[RACE_READ] = true, [RACE_WRITE] = true},
};

void race_reset(void)
{
    for (uint32_t i = 0; i < record_count; i++)
        cells[records[i].cell] = 0;
    record_count = 0;
}

static size_t cell_of(const void *ptr)
{
    return ((uintptr_t)ptr - (uintptr_t)model_arena) / GRANULE;
}

static bool any_later(model_clock last, model_clock seen)
{
    typedef uint64_t halves __attribute__((vector_size(sizeof(model_clock))));
    halves later = (halves)(last > seen);

    return (later[0] | later[1]) != 0;
}

_Noreturn static void report(const void *ptr, size_t bytes, const char *what, const record *r, race_kind other, model_clock seen,
                             const void *pc)
{
    char where[64];
    char places[2][96];
    unsigned t = 0;

    while (r->last[other][t] <= seen[t])
        t++;
    arena_describe(ptr, where, sizeof where);
    (void)snprintf(places[0], sizeof places[0], "%s", trace_place(pc));
    (void)snprintf(places[1], sizeof places[1], "%s", r->pcs[other][t] == NULL ? "?" : trace_place(r->pcs[other][t]));
    model_fail("race", "%s of %zu bytes at %s by T%u (%s), not ordered after a %s by T%u (%s)", what, bytes, where, engine.self,
               places[0], kind_names[other], t, places[1]);
}

static void check(const void *ptr, size_t bytes, race_kind kind, const char *what, const record *r, model_clock seen,
                  const void *pc)
{
    for (race_kind other = 0; other < KINDS; other++)
        if (conflicts[kind][other] && any_later(r->last[other], seen))
            report(ptr, bytes, what, r, other, seen, pc);
}

static record *new_record(size_t cell, uint8_t mask, arena_origin origin)
{
    record *r = &records[record_count];

    if (record_count == RECORDS_MAX)
        model_fail("livelock", "the scenario accesses too much memory");
    for (unsigned k = 0; k < KINDS; k++)
        r->last[k] = (model_clock){0};
    r->last[RACE_WRITE][origin.thread] = origin.clock; /* the allocation zeroed it */
    r->mask = mask;
    r->cell = (uint32_t)cell;
    r->next = cells[cell];
    if (engine.tracing)
        memset(r->pcs, 0, sizeof r->pcs);
    cells[cell] = ++record_count;
    return r;
}

/* Within one granule. */
static void access_granule(const void *ptr, size_t bytes, race_kind kind, const void *pc)
{
    size_t cell = cell_of(ptr);
    uint8_t mask = (uint8_t)(((1u << bytes) - 1) << ((uintptr_t)ptr % GRANULE));
    arena_origin origin = arena_touch(ptr, bytes, pc);
    model_clock seen = memory_clock();
    record *mine = NULL;

    for (uint32_t i = cells[cell]; i != 0; i = records[i - 1].next) {
        record *r = &records[i - 1];
        if (r->mask == mask)
            mine = r;
        if (r->mask & mask) {
            check(ptr, bytes, kind, kind_names[kind], r, seen, pc);
            if (kind == RACE_WRITE && (any_later(r->last[RACE_ATOMIC_WRITE], (model_clock){0})))
                memory_forget((const void *)((uintptr_t)ptr & ~(uintptr_t)3), bytes);
        }
    }
    if (mine == NULL) {
        mine = new_record(cell, mask, origin);
        check(ptr, bytes, kind, kind_names[kind], mine, seen, pc);
    }
    mine->last[kind][engine.self] = seen[engine.self];
    if (engine.tracing)
        mine->pcs[kind][engine.self] = pc;
}

void race_access(const void *ptr, size_t bytes, race_kind kind, const void *pc)
{
    const char *at = ptr;

    if (!arena_contains(ptr) || !engine.running)
        return;
    while (bytes > 0) {
        size_t here = GRANULE - (uintptr_t)at % GRANULE;
        if (here > bytes)
            here = bytes;
        access_granule(at, here, kind, pc);
        at += here;
        bytes -= here;
    }
}

void race_free(const void *ptr, size_t bytes, const void *pc)
{
    model_clock seen = memory_clock();
    size_t begin = cell_of(ptr);

    for (size_t cell = begin; cell <= begin + (bytes - 1) / GRANULE; cell++)
        for (uint32_t i = cells[cell]; i != 0; i = records[i - 1].next)
            check((const char *)ptr + (cell - begin) * GRANULE, GRANULE, RACE_WRITE, "the free", &records[i - 1], seen, pc);
}

/* --- What the compiler calls ------------------------------------------------------------------------------------------------ */

/* clang-format off */
#define PLAIN(size) \
    void __tsan_read##size(void *ptr); \
    void __tsan_write##size(void *ptr); \
    void __tsan_unaligned_read##size(void *ptr); \
    void __tsan_unaligned_write##size(void *ptr); \
    void __tsan_volatile_read##size(void *ptr); \
    void __tsan_volatile_write##size(void *ptr); \
    void __tsan_read##size(void *ptr) { race_access(ptr, size, RACE_READ, MODEL_PC); } \
    void __tsan_write##size(void *ptr) { race_access(ptr, size, RACE_WRITE, MODEL_PC); } \
    void __tsan_unaligned_read##size(void *ptr) { race_access(ptr, size, RACE_READ, MODEL_PC); } \
    void __tsan_unaligned_write##size(void *ptr) { race_access(ptr, size, RACE_WRITE, MODEL_PC); } \
    void __tsan_volatile_read##size(void *ptr) { race_access(ptr, size, RACE_READ, MODEL_PC); } \
    void __tsan_volatile_write##size(void *ptr) { race_access(ptr, size, RACE_WRITE, MODEL_PC); }
/* clang-format on */

PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void);
void __tsan_read_range(void *ptr, size_t bytes);
void __tsan_write_range(void *ptr, size_t bytes);
void __tsan_vptr_update(void **ptr, void *value);
void __tsan_vptr_read(void **ptr);

void __tsan_init(void) {}
void __tsan_func_entry(void *caller)
{
    (void)caller;
}
void __tsan_func_exit(void) {}
void __tsan_read_range(void *ptr, size_t bytes)
{
    race_access(ptr, bytes, RACE_READ, MODEL_PC);
}
void __tsan_write_range(void *ptr, size_t bytes)
{
    race_access(ptr, bytes, RACE_WRITE, MODEL_PC);
}
void __tsan_vptr_update(void **ptr, void *value)
{
    (void)value;
    race_access(ptr, sizeof *ptr, RACE_WRITE, MODEL_PC);
}
void __tsan_vptr_read(void **ptr)
{
    race_access(ptr, sizeof *ptr, RACE_READ, MODEL_PC);
}
