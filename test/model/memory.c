/* The memory model: RC11 without load buffering, as histories and views. README.md ("Memory model") says why it is right.
 *
 * Each atomic word has a history of stores in modification order, each with a stamp. A thread's view says, a word, the oldest
 * store it may still read, and, a thread, how much of that happened before. A store carries the view that it releases. */
#include <stdio.h>
#include <string.h>

#include "engine.h"

#define POOL_BYTES ((size_t)32 << 20)
#define BUCKETS 4096
#define STAMP_STEP 4096 /* between neighbours, so that a store can go between two others */

typedef struct {
    model_clock clock;
    unsigned count;
    uint32_t stamp[];
} snapshot; /* never changed once made */

typedef struct {
    model_clock clock;
    uint32_t stamp[MODEL_LOCATIONS];
} view;

typedef struct message {
    struct message *older;
    struct message *newer;
    const snapshot *released; /* what an acquiring reader learns; NULL: nothing */
    uint64_t value;
    uint32_t stamp;
    uint8_t thread;
    bool attached; /* a read-modify-write has read it: nothing may come between the two */
} message;

typedef struct {
    const void *address;
    message *newest;
    uint32_t sc_stamp; /* the newest seq_cst store */
    uint8_t bytes;
    bool forgotten; /* overwritten by a plain access */
    uint32_t read_at[MODEL_THREADS]; /* the thread's pauses at its last read, and one; 0: never read */
    bool read_stale[MODEL_THREADS];  /* that read came after a pause, and still was not of the newest store */
} location;

typedef struct {
    view now;      /* what the thread must see */
    view pending;  /* what a fence will add to that: released to relaxed reads */
    bool has_pending;
    const snapshot *released; /* by its last fence: goes with relaxed stores */
    const snapshot *latest;   /* of `now`, while unchanged */
    uint32_t pauses;
} thread_memory;

static char pool[POOL_BYTES];
static size_t pool_used;
static location locations[MODEL_LOCATIONS];
static unsigned location_count;
static uint16_t buckets[BUCKETS]; /* location + 1 */
static thread_memory memories[MODEL_THREADS];
static uint32_t sc_view[MODEL_LOCATIONS];

/* What unlockers leave for lockers, and the like. */
static struct {
    const void *object;
    const snapshot *left;
} published[256];
static unsigned published_count;

static void *pool_take(size_t bytes)
{
    void *ptr = pool + pool_used;

    pool_used += (bytes + 15) & ~(size_t)15;
    if (pool_used > POOL_BYTES)
        model_fail("livelock", "the execution has made too many stores");
    return ptr;
}

void memory_reset(void)
{
    for (unsigned i = 0; i < location_count; i++) {
        size_t hash = ((uintptr_t)locations[i].address >> 2) * 2654435761u % BUCKETS;
        while (buckets[hash] != 0) {
            buckets[hash] = 0;
            hash = (hash + 1) % BUCKETS;
        }
    }
    for (unsigned t = 0; t < MODEL_THREADS; t++) {
        thread_memory *mine = &memories[t];
        mine->now.clock = (model_clock){0};
        mine->now.clock[t] = 1;
        mine->pending.clock = (model_clock){0};
        memset(mine->now.stamp, 0, location_count * sizeof mine->now.stamp[0]);
        memset(mine->pending.stamp, 0, location_count * sizeof mine->pending.stamp[0]);
        mine->has_pending = false;
        mine->released = NULL;
        mine->latest = NULL;
        mine->pauses = 0;
    }
    memset(sc_view, 0, location_count * sizeof sc_view[0]);
    location_count = 0;
    published_count = 0;
    pool_used = 0;
}

model_clock memory_clock(void)
{
    return memories[engine.self].now.clock;
}

/* --- Views ------------------------------------------------------------------------------------------------------------------ */

static model_clock clock_max(model_clock a, model_clock b)
{
    model_clock newer = (model_clock)(a > b);

    return (a & newer) | (b & ~newer);
}

static void join_stamps(uint32_t *into, const uint32_t *from, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        into[i] = into[i] > from[i] ? into[i] : from[i];
}

static void join(view *into, const snapshot *from)
{
    into->clock = clock_max(into->clock, from->clock);
    join_stamps(into->stamp, from->stamp, from->count);
}

static bool clock_exceeds(model_clock a, model_clock b)
{
    typedef uint64_t halves __attribute__((vector_size(sizeof(model_clock))));
    halves later = (halves)(a > b);

    return (later[0] | later[1]) != 0;
}

static const snapshot *snapshot_of(thread_memory *mine)
{
    snapshot *made;

    if (mine->latest != NULL)
        return mine->latest;
    made = pool_take(sizeof *made + location_count * sizeof made->stamp[0]);
    made->clock = mine->now.clock;
    made->count = location_count;
    memcpy(made->stamp, mine->now.stamp, location_count * sizeof made->stamp[0]);
    mine->latest = made;
    return made;
}

static const snapshot *merged(const snapshot *a, const snapshot *b)
{
    const snapshot *longer;
    const snapshot *other;
    snapshot *made;

    if (a == NULL || b == NULL || a == b)
        return a == NULL ? b : a;
    longer = a->count >= b->count ? a : b;
    other = longer == a ? b : a;
    made = pool_take(sizeof *made + longer->count * sizeof made->stamp[0]);
    made->clock = clock_max(a->clock, b->clock);
    made->count = longer->count;
    memcpy(made->stamp, longer->stamp, longer->count * sizeof made->stamp[0]);
    join_stamps(made->stamp, other->stamp, other->count);
    return made;
}

/* The running thread has done something: plain accesses from here on are not covered by what it has released. */
static void tick(thread_memory *mine)
{
    mine->now.clock[engine.self]++;
    mine->latest = NULL;
}

/* --- Histories -------------------------------------------------------------------------------------------------------------- */

static message *new_message(uint64_t value, uint32_t stamp)
{
    message *m = pool_take(sizeof *m);

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
    if (location_count == MODEL_LOCATIONS)
        model_fail("livelock", "the scenario uses more than %d atomic words", MODEL_LOCATIONS);
    l = &locations[location_count];
    *l = (location){.address = word, .bytes = (uint8_t)bytes};
    begin_history(l, raw(word, bytes));
    buckets[bucket] = (uint16_t)++location_count;
    return location_count - 1;
}

/* The oldest store that the running thread may read. */
static uint32_t oldest_allowed(const location *l, unsigned index, bool seq_cst)
{
    thread_memory *mine = &memories[engine.self];
    uint32_t oldest = mine->now.stamp[index];

    if (seq_cst && l->sc_stamp > oldest)
        oldest = l->sc_stamp;
    return oldest;
}

/* Stores become visible at last: a thread that paused, read the old value once more, and paused again, reads the newest. */
static bool must_be_fresh(const location *l)
{
    unsigned self = engine.self;

    return l->read_stale[self] && l->read_at[self] != memories[self].pauses + 1;
}

static void note_read(location *l, bool stale)
{
    unsigned self = engine.self;
    uint32_t now = memories[self].pauses + 1;

    if (!stale)
        l->read_stale[self] = false;
    else if (l->read_at[self] != 0 && l->read_at[self] != now)
        l->read_stale[self] = true;
    l->read_at[self] = now;
}

static void learn(thread_memory *mine, unsigned index, const message *m, bool acquire)
{
    if (mine->now.stamp[index] < m->stamp)
        mine->now.stamp[index] = m->stamp;
    if (m->released == NULL)
        return;
    if (acquire) {
        join(&mine->now, m->released);
    } else {
        join(&mine->pending, m->released);
        mine->has_pending = true;
    }
}

/* Puts m right behind `place` in modification order. */
static void insert_behind(location *l, message *place, message *m, void *word)
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

static bool tells_no_more(const snapshot *less, const snapshot *more)
{
    if (less == NULL || less == more)
        return true;
    if (more == NULL || less->count > more->count || clock_exceeds(less->clock, more->clock))
        return false;
    for (unsigned i = 0; i < less->count; i++)
        if (less->stamp[i] > more->stamp[i])
            return false;
    return true;
}

/* Is reading m superfluous, because an older store that may be read has the same value and tells no more? Whatever can happen
 * after reading m can happen after reading that one: the reader only knows less. */
static bool is_covered(const message *m, uint32_t oldest)
{
    if (!engine.reduce)
        return false;
    for (const message *other = m->older; other != NULL && other->stamp >= oldest; other = other->older)
        if (other->value == m->value && tells_no_more(other->released, m->released))
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
    thread_memory *mine;
    location *l;
    const message *m;
    uint32_t oldest;
    unsigned index;
    unsigned stale;

    search_visible((model_op){OP_READ, seq_cst, word});
    race_access(word, bytes, RACE_ATOMIC_READ, pc);
    mine = &memories[engine.self];
    index = locate(word, bytes);
    l = &locations[index];
    oldest = must_be_fresh(l) ? l->newest->stamp : oldest_allowed(l, index, seq_cst);
    m = choose_for_load(l, oldest, &stale);
    note_read(l, m->value != l->newest->value);
    learn(mine, index, m, acquires(order));
    if (engine.tracing) {
        char rest[40];
        (void)snprintf(rest, sizeof rest, "= %s", hex(m->value));
        trace_access(pc, "load", word, order, rest, stale);
    }
    tick(mine);
    return m->value;
}

/* The places behind which a store of the running thread may go. */
static unsigned count_places(const location *l, uint32_t oldest)
{
    unsigned count = 0;

    for (const message *m = l->newest; m != NULL && m->stamp >= oldest; m = m->older)
        count += !m->attached;
    return count;
}

static message *place_at(const location *l, unsigned chosen)
{
    message *m = l->newest;

    while (m->attached || chosen-- > 0)
        m = m->older;
    return m;
}

void memory_store(void *word, unsigned bytes, uint64_t value, tni_order order, const void *pc)
{
    bool seq_cst = order == TNI_SEQ_CST;
    thread_memory *mine;
    location *l;
    message *m;
    unsigned index;
    unsigned chosen;

    search_visible((model_op){OP_WRITE, seq_cst, word});
    race_access(word, bytes, RACE_ATOMIC_WRITE, pc);
    mine = &memories[engine.self];
    index = locate(word, bytes);
    l = &locations[index];
    chosen = search_value(count_places(l, oldest_allowed(l, index, seq_cst)));
    m = new_message(value, 0);
    insert_behind(l, place_at(l, chosen), m, word);
    mine->now.stamp[index] = m->stamp;
    mine->latest = NULL;
    m->released = releases(order) ? snapshot_of(mine) : mine->released;
    if (seq_cst)
        l->sc_stamp = m->stamp;
    if (engine.tracing) {
        char rest[40];
        (void)snprintf(rest, sizeof rest, ":= %s", hex(value));
        trace_access(pc, "store", word, order, rest, chosen);
    }
    tick(mine);
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

/* May the operation read m? A store that another one has been attached to can only be read without writing. */
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
    thread_memory *mine;
    location *l;
    message *read;
    message *made = NULL;
    unsigned index;
    unsigned stale;

    search_visible((model_op){OP_WRITE, seq_cst, word});
    race_access(word, bytes, RACE_ATOMIC_WRITE, pc);
    mine = &memories[engine.self];
    index = locate(word, bytes);
    l = &locations[index];
    read = choose_for_rmw(l, must_be_fresh(l) ? l->newest->stamp : oldest_allowed(l, index, seq_cst), how, expected, &stale);
    note_read(l, stale > 0);
    if (how == RMW_CAS && read->value != expected) {
        learn(mine, index, read, true); /* the door's promise: a failed one acquires */
    } else {
        learn(mine, index, read, acquires(order));
        made = new_message(desired(how, read->value, operand, bytes), 0);
        read->attached = true;
        insert_behind(l, read, made, word);
        mine->now.stamp[index] = made->stamp;
        mine->latest = NULL;
        /* A release sequence goes on through read-modify-writes. */
        made->released = merged(read->released, releases(order) ? snapshot_of(mine) : mine->released);
        if (seq_cst)
            l->sc_stamp = made->stamp;
    }
    if (engine.tracing)
        trace_rmw(word, how, order, read, made, stale, pc);
    tick(mine);
    return read->value;
}

uint64_t memory_newest(const void *word, unsigned bytes)
{
    return locations[locate(word, bytes)].newest->value;
}

/* --- Fences ----------------------------------------------------------------------------------------------------------------- */

static void fence_of(unsigned thread)
{
    thread_memory *mine = &memories[thread];

    if (mine->has_pending) {
        mine->now.clock = clock_max(mine->now.clock, mine->pending.clock);
        join_stamps(mine->now.stamp, mine->pending.stamp, location_count);
        mine->has_pending = false;
    }
    for (unsigned i = 0; i < location_count; i++) {
        uint32_t seen = mine->now.stamp[i] > sc_view[i] ? mine->now.stamp[i] : sc_view[i];
        if (seen < locations[i].sc_stamp)
            seen = locations[i].sc_stamp;
        mine->now.stamp[i] = seen;
        sc_view[i] = seen;
    }
    mine->latest = NULL;
    mine->released = snapshot_of(mine);
    mine->now.clock[thread]++;
    mine->latest = NULL;
}

void memory_fence(const void *pc)
{
    search_visible((model_op){OP_FENCE, true, NULL});
    fence_of(engine.self);
    trace_add(pc, "fence");
}

void memory_fence_everywhere(const void *pc)
{
    search_visible((model_op){OP_HEAVY, true, NULL});
    fence_of(engine.self);
    for (unsigned t = 0; t < engine.thread_count; t++)
        if (t != engine.self) /* also those that have ended: their stores are visible all the more */
            fence_of(t);
    fence_of(engine.self);
    trace_add(pc, "fence in every thread");
}

/* --- Order that does not come from atomic words ----------------------------------------------------------------------------- */

void memory_thread_edge(unsigned from, unsigned to)
{
    join(&memories[to].now, snapshot_of(&memories[from]));
    memories[to].latest = NULL;
    memories[from].now.clock[from]++;
    memories[from].latest = NULL;
}

void memory_publish(const void *object)
{
    thread_memory *mine = &memories[engine.self];
    unsigned i = 0;

    while (i < published_count && published[i].object != object)
        i++;
    if (i == sizeof published / sizeof published[0])
        model_fail("livelock", "the scenario uses too many locks");
    if (i == published_count)
        published_count++;
    published[i].object = object;
    published[i].left = snapshot_of(mine);
    tick(mine);
}

void memory_observe(const void *object)
{
    thread_memory *mine = &memories[engine.self];

    for (unsigned i = 0; i < published_count; i++)
        if (published[i].object == object)
            join(&mine->now, published[i].left);
    tick(mine);
}

void memory_pauses(void)
{
    memories[engine.self].pauses++;
}

void memory_forget(const void *ptr, size_t bytes)
{
    for (size_t offset = 0; offset < bytes; offset += 4) {
        size_t bucket = bucket_of((const char *)ptr + offset);
        if (buckets[bucket] != 0)
            locations[buckets[bucket] - 1].forgotten = true;
    }
}
