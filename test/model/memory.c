/* SPDX-License-Identifier: MIT */
/* The memory model: RC11 without load buffering, as histories and views. README.md ("Memory model") says why it is right.
 *
 * Each atomic word has a history of stores in modification order, each with a stamp. A thread's view has, per word, the
 * oldest store that the thread may still read, and, per thread, how much of its work happened before. A store carries the
 * view that it releases. */
#include <stdio.h>
#include <string.h>

#include "engine.h"
#include "views.h"

#define BUCKETS 4096
#define STAMP_STEP 4096 /* between neighbors, so that a store fits between two others */

typedef struct message {
    struct message *older;
    struct message *newer;
    const model_snapshot *released; /* what an acquiring reader learns; NULL: nothing */
    uint64_t value;
    uint32_t stamp;
    uint8_t thread;
    bool attached; /* a read-modify-write has read it: no store may come between the two */
} message;

typedef struct {
    const void *address;
    message *newest;
    uint8_t bytes;
    bool forgotten;                  /* overwritten by a plain access */
    uint32_t read_at[MODEL_THREADS]; /* the thread's pauses at its last read, plus one; 0: never read */
    bool read_stale[MODEL_THREADS];  /* that read came after a pause, and still was not of the newest store */
} location;

static location locations[MODEL_LOCATIONS];
static uint16_t buckets[BUCKETS]; /* location + 1 */

void memory_reset(void)
{
    for (unsigned i = 0; i < views_width; i++) {
        size_t hash = ((uintptr_t)locations[i].address >> 2) * 2654435761u % BUCKETS;
        while (buckets[hash] != 0) {
            buckets[hash] = 0;
            hash = (hash + 1) % BUCKETS;
        }
    }
    views_reset();
}

/* --- Histories -------------------------------------------------------------------------------------------------------------- */

static message *new_message(uint64_t value, uint32_t stamp)
{
    message *m = views_alloc(sizeof *m);

    *m = (message){.value = value, .stamp = stamp, .thread = (uint8_t)engine.self};
    return m;
}

static uint64_t raw(const void *word, unsigned bytes)
{
    uint64_t value = 0;

    memcpy(&value, word, bytes);
    return value;
}

static void begin_history(location *l, uint64_t value)
{
    uint32_t stamp = l->newest == NULL ? STAMP_STEP : l->newest->stamp + STAMP_STEP;

    l->newest = new_message(value, stamp);
    l->forgotten = false;
}

static size_t bucket_of(const void *word)
{
    size_t hash = ((uintptr_t)word >> 2) * 2654435761u % BUCKETS;

    while (buckets[hash] != 0 && locations[buckets[hash] - 1].address != word)
        hash = (hash + 1) % BUCKETS;
    return hash;
}

static unsigned locate(const void *word, unsigned bytes)
{
    size_t bucket = bucket_of(word);
    location *l;

    if (buckets[bucket] != 0) {
        l = &locations[buckets[bucket] - 1];
        if (l->forgotten || l->bytes != bytes) {
            l->bytes = (uint8_t)bytes;
            begin_history(l, raw(word, bytes));
        }
        return buckets[bucket] - 1u;
    }
    if (views_width == MODEL_LOCATIONS)
        model_fail("livelock", "the scenario uses more than %d atomic words", MODEL_LOCATIONS);
    l = &locations[views_width];
    *l = (location){.address = word, .bytes = (uint8_t)bytes};
    begin_history(l, raw(word, bytes));
    buckets[bucket] = (uint16_t)++views_width;
    return views_width - 1;
}

/* Returns the oldest store that the running thread may read. */
static uint32_t oldest_allowed(unsigned index, bool seq_cst)
{
    model_knowledge *mine = views_self();
    uint32_t oldest = mine->now.stamp[index];

    if (seq_cst && views_sc_stores[index] > oldest)
        oldest = views_sc_stores[index];
    return oldest;
}

/* Stores become visible eventually: a thread that paused, read the old value once more, and paused again, reads the newest. */
static bool must_be_fresh(const location *l)
{
    unsigned self = engine.self;

    return l->read_stale[self] && l->read_at[self] != views_self()->pauses + 1;
}

static void note_read(location *l, bool stale)
{
    unsigned self = engine.self;
    uint32_t now = views_self()->pauses + 1;

    if (!stale)
        l->read_stale[self] = false;
    else if (l->read_at[self] != 0 && l->read_at[self] != now)
        l->read_stale[self] = true;
    l->read_at[self] = now;
}

static void learn(model_knowledge *mine, unsigned index, const message *m, bool acquire)
{
    if (mine->now.stamp[index] < m->stamp)
        mine->now.stamp[index] = m->stamp;
    if (m->released == NULL)
        return;
    if (acquire) {
        views_join(&mine->now, m->released);
    } else {
        views_join(&mine->pending, m->released);
        mine->has_pending = true;
    }
}

/* Inserts m directly after `place` in modification order. */
static void insert_after(location *l, message *place, message *m, void *word)
{
    if (place->newer == NULL) {
        m->stamp = place->stamp + STAMP_STEP;
        l->newest = m;
        memcpy(word, &m->value, l->bytes); /* plain accesses and debuggers see the newest */
    } else {
        m->stamp = place->stamp + (place->newer->stamp - place->stamp) / 2;
        if (m->stamp == place->stamp)
            model_fail("livelock", "too many stores between two others");
        place->newer->older = m;
        m->newer = place->newer;
    }
    m->older = place;
    place->newer = m;
}

static bool acquires(tni_order order)
{
    return order == TNI_ACQUIRE || order == TNI_ACQ_REL || order == TNI_SEQ_CST;
}

static bool releases(tni_order order)
{
    return order == TNI_RELEASE || order == TNI_ACQ_REL || order == TNI_SEQ_CST;
}

static const char *order_name(tni_order order)
{
    static const char *const names[] = {"rlx", "acq", "rel", "a_r", "sc"};

    return names[order];
}

static void trace_access(const void *pc, const char *what, const void *word, tni_order order, const char *rest, unsigned stale)
{
    char where[64];
    char late[32] = "";

    arena_describe(word, where, sizeof where);
    if (stale > 0)
        (void)snprintf(late, sizeof late, " (%u newer)", stale);
    trace_add(pc, "%s %s %s %s%s", what, order_name(order), where, rest, late);
}

static const char *hex(uint64_t value)
{
    static char texts[4][24];
    static unsigned next;
    char *text = texts[next++ % 4];

    (void)snprintf(text, sizeof texts[0], value < 1000 ? "%llu" : "%#llx", (unsigned long long)value);
    return text;
}

/* --- Accesses -------------------------------------------------------------------------------------------------------------- */

void memory_init(void *word, unsigned bytes, uint64_t value)
{
    size_t bucket = bucket_of(word);

    race_access(word, bytes, RACE_WRITE, MODEL_PC);
    memcpy(word, &value, bytes);
    if (buckets[bucket] != 0) {
        location *l = &locations[buckets[bucket] - 1];
        l->bytes = (uint8_t)bytes;
        begin_history(l, value);
    }
}

/* Whether m need not be read, because an older store that may be read has the same value and carries no more. Everything that
 * can follow a read of m can follow a read of that store: the reader only knows less. */
static bool is_covered(const message *m, uint32_t oldest)
{
    if (!engine.reduce)
        return false;
    for (const message *other = m->older; other != NULL && other->stamp >= oldest; other = other->older)
        if (other->value == m->value && views_carries_no_more(other->released, m->released))
            return true;
    return false;
}

/* Chooses a store that the running thread may read, the newest first. */
static const message *choose_for_load(const location *l, uint32_t oldest, unsigned *stale)
{
    unsigned count = 0;
    unsigned chosen;
    const message *m;

    for (m = l->newest; m != NULL && m->stamp >= oldest; m = m->older)
        count += !is_covered(m, oldest);
    chosen = search_value(count);
    for (m = l->newest, *stale = 0; is_covered(m, oldest) || chosen-- > 0; m = m->older)
        (*stale)++;
    return m;
}

uint64_t memory_load(const void *word, unsigned bytes, tni_order order, const void *pc)
{
    bool seq_cst = order == TNI_SEQ_CST;
    model_knowledge *mine;
    location *l;
    const message *m;
    uint32_t oldest;
    unsigned index;
    unsigned stale;

    search_visible((model_op){OP_READ, seq_cst, word});
    race_access(word, bytes, RACE_ATOMIC_READ, pc);
    mine = views_self();
    index = locate(word, bytes);
    l = &locations[index];
    oldest = must_be_fresh(l) ? l->newest->stamp : oldest_allowed(index, seq_cst);
    m = choose_for_load(l, oldest, &stale);
    note_read(l, m->value != l->newest->value);
    learn(mine, index, m, acquires(order));
    if (engine.tracing) {
        char rest[40];
        (void)snprintf(rest, sizeof rest, "= %s", hex(m->value));
        trace_access(pc, "load", word, order, rest, stale);
    }
    views_tick(mine);
    return m->value;
}

/* Counts the stores after which a store of the running thread may be inserted. */
static unsigned count_positions(const location *l, uint32_t oldest)
{
    unsigned count = 0;

    for (const message *m = l->newest; m != NULL && m->stamp >= oldest; m = m->older)
        count += !m->attached;
    return count;
}

static message *position_at(const location *l, unsigned chosen)
{
    message *m = l->newest;

    while (m->attached || chosen-- > 0)
        m = m->older;
    return m;
}

void memory_store(void *word, unsigned bytes, uint64_t value, tni_order order, const void *pc)
{
    bool seq_cst = order == TNI_SEQ_CST;
    model_knowledge *mine;
    location *l;
    message *m;
    unsigned index;
    unsigned chosen;

    search_visible((model_op){OP_WRITE, seq_cst, word});
    race_access(word, bytes, RACE_ATOMIC_WRITE, pc);
    mine = views_self();
    index = locate(word, bytes);
    l = &locations[index];
    chosen = search_value(count_positions(l, oldest_allowed(index, seq_cst)));
    m = new_message(value, 0);
    insert_after(l, position_at(l, chosen), m, word);
    mine->now.stamp[index] = m->stamp;
    mine->latest = NULL;
    m->released = releases(order) ? views_snapshot(mine) : mine->released;
    if (seq_cst)
        views_sc_stores[index] = m->stamp;
    if (engine.tracing) {
        char rest[40];
        (void)snprintf(rest, sizeof rest, ":= %s", hex(value));
        trace_access(pc, "store", word, order, rest, chosen);
    }
    views_tick(mine);
}

static uint64_t desired(model_rmw how, uint64_t old, uint64_t operand, unsigned bytes)
{
    uint64_t value = operand;

    if (how == RMW_ADD)
        value = old + operand;
    else if (how == RMW_SUB)
        value = old - operand;
    else if (how == RMW_OR)
        value = old | operand;
    else if (how == RMW_AND)
        value = old & operand;
    return bytes == 4 ? (uint32_t)value : value;
}

/* Whether the operation may read m. A store to which a read-modify-write is attached can only be read without writing. */
static bool may_read(const message *m, model_rmw how, uint64_t expected)
{
    return !m->attached || (how == RMW_CAS && m->value != expected);
}

static message *choose_for_rmw(location *l, uint32_t oldest, model_rmw how, uint64_t expected, unsigned *stale)
{
    unsigned count = 0;
    unsigned chosen;
    message *m;

    for (m = l->newest; m != NULL && m->stamp >= oldest; m = m->older)
        count += may_read(m, how, expected);
    chosen = search_value(count);
    for (m = l->newest, *stale = 0; !may_read(m, how, expected) || chosen-- > 0; m = m->older)
        (*stale)++;
    return m;
}

static void trace_rmw(const void *word, model_rmw how, tni_order order, const message *read, const message *made, unsigned stale,
                      const void *pc)
{
    static const char *const names[] = {"xchg", "add", "sub", "or", "and", "cas"};
    char rest[64];

    if (made == NULL)
        (void)snprintf(rest, sizeof rest, "failed, = %s", hex(read->value));
    else
        (void)snprintf(rest, sizeof rest, "%s -> %s", hex(read->value), hex(made->value));
    trace_access(pc, names[how], word, order, rest, stale);
}

uint64_t memory_rmw(void *word, unsigned bytes, model_rmw how, uint64_t operand, uint64_t expected, tni_order order,
                    const void *pc)
{
    bool seq_cst = order == TNI_SEQ_CST;
    model_knowledge *mine;
    location *l;
    message *read;
    message *made = NULL;
    unsigned index;
    unsigned stale;

    search_visible((model_op){OP_WRITE, seq_cst, word});
    race_access(word, bytes, RACE_ATOMIC_WRITE, pc);
    mine = views_self();
    index = locate(word, bytes);
    l = &locations[index];
    read = choose_for_rmw(l, must_be_fresh(l) ? l->newest->stamp : oldest_allowed(index, seq_cst), how, expected, &stale);
    note_read(l, stale > 0);
    if (how == RMW_CAS && read->value != expected) {
        learn(mine, index, read, true); /* by contract of the OS layer a failed one acquires */
    } else {
        learn(mine, index, read, acquires(order));
        made = new_message(desired(how, read->value, operand, bytes), 0);
        read->attached = true;
        insert_after(l, read, made, word);
        mine->now.stamp[index] = made->stamp;
        mine->latest = NULL;
        /* A release sequence continues through read-modify-writes. */
        made->released = views_merged(read->released, releases(order) ? views_snapshot(mine) : mine->released);
        if (seq_cst)
            views_sc_stores[index] = made->stamp;
    }
    if (engine.tracing)
        trace_rmw(word, how, order, read, made, stale, pc);
    views_tick(mine);
    return read->value;
}

uint64_t memory_newest(const void *word, unsigned bytes)
{
    return locations[locate(word, bytes)].newest->value;
}

void memory_forget(const void *ptr, size_t bytes)
{
    for (size_t offset = 0; offset < bytes; offset += 4) {
        size_t bucket = bucket_of((const char *)ptr + offset);
        if (buckets[bucket] != 0)
            locations[buckets[bucket] - 1].forgotten = true;
    }
}
