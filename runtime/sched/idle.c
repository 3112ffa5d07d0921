/* SPDX-License-Identifier: MIT */
#include "sched/idle.h"

#define PARKED UINT64_C(0x00000000ffffffff)
#define SEARCHING UINT64_C(0xffffffff00000000)

static uint64_t parked_mark(unsigned core)
{
    return UINT64_C(1) << (core % TNI_IDLE_CORES);
}

static uint64_t searching_mark(unsigned core)
{
    return parked_mark(core) << TNI_IDLE_CORES;
}

static uint64_t load_marks(const tni_idle *idle, unsigned word)
{
    /* Relaxed: the callers have made a full fence, or use it as a hint. */
    return tni_a64_load(&idle->marks[word], TNI_RELAXED);
}

/* In place of __builtin_popcountll, which is a function call if the compiler may not use the instruction. */
static unsigned count_bits(uint64_t bits)
{
    bits -= bits >> 1 & UINT64_C(0x5555555555555555);
    bits = (bits & UINT64_C(0x3333333333333333)) + (bits >> 2 & UINT64_C(0x3333333333333333));
    bits = (bits + (bits >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (unsigned)(bits * UINT64_C(0x0101010101010101) >> 56);
}

static unsigned count_marks(const tni_idle *idle, uint64_t which)
{
    unsigned sum = 0;

    for (unsigned word = 0; word * TNI_IDLE_CORES < idle->cores; word++)
        sum += count_bits(load_marks(idle, word) & which);
    return sum;
}

/* The bitwise or of all words. */
static uint64_t all_marks(const tni_idle *idle)
{
    uint64_t marks = load_marks(idle, 0);

    for (unsigned word = 1; tni_unlikely(word * TNI_IDLE_CORES < idle->cores); word++)
        marks |= load_marks(idle, word);
    return marks;
}

void tni_idle_init(tni_idle *idle, unsigned cores)
{
    for (unsigned i = 0; i < TNI_IDLE_WORDS; i++)
        tni_a64_init(&idle->marks[i], 0);
    idle->cores = cores;
    tni_a32_init(&idle->limit, cores);
}

void tni_idle_park(tni_idle *idle, unsigned core)
{
    /* Publishes the mark; the caller's fence orders it before the second check. Release: the thread that clears the mark
     * observes this worker's state. Partner: tni_idle_choose. */
    (void)tni_a64_fetch_or(&idle->marks[core / TNI_IDLE_CORES], parked_mark(core), TNI_RELEASE);
}

bool tni_idle_unpark(tni_idle *idle, unsigned core)
{
    /* Exactly one of the sleeper and its wakers clears the mark. Acquire: observes what the waker did before it cleared the
     * mark; partner: choose_in. */
    return tni_a64_fetch_and(&idle->marks[core / TNI_IDLE_CORES], ~parked_mark(core), TNI_ACQ_REL) & parked_mark(core);
}

bool tni_idle_is_parked(const tni_idle *idle, unsigned core)
{
    return load_marks(idle, core / TNI_IDLE_CORES) & parked_mark(core);
}

bool tni_idle_is_searching(const tni_idle *idle, unsigned core)
{
    return load_marks(idle, core / TNI_IDLE_CORES) & searching_mark(core);
}

bool tni_idle_all_parked(const tni_idle *idle)
{
    return count_marks(idle, PARKED) == idle->cores;
}

void tni_idle_set_limit(tni_idle *idle, unsigned limit)
{
    tni_assert(limit > 0, "no worker may be awake");
    tni_a32_store(&idle->limit, limit, TNI_RELAXED); /* relaxed: as in tni_idle_limit */
}

bool tni_idle_has_surplus(const tni_idle *idle)
{
    return idle->cores - count_marks(idle, PARKED) > tni_idle_limit(idle);
}

bool tni_idle_search_begin(tni_idle *idle, unsigned core)
{
    /* Hints: a searcher more or less costs time, but never strands a task. */
    unsigned busy = idle->cores - count_marks(idle, PARKED);

    if (2 * count_marks(idle, SEARCHING) >= busy)
        return false;
    /* Seq_cst: a submit that observes the mark and wakes no worker comes before the mark's end. The fence after that end orders
     * this worker's final check; partner: tni_idle_choose. */
    (void)tni_a64_fetch_or(&idle->marks[core / TNI_IDLE_CORES], searching_mark(core), TNI_SEQ_CST);
    return true;
}

tni_search tni_idle_search_end(tni_idle *idle, unsigned core)
{
    /* Seq_cst: as above; the caller's full fence follows, then its check of the queues. */
    uint64_t old = tni_a64_fetch_and(&idle->marks[core / TNI_IDLE_CORES], ~searching_mark(core), TNI_SEQ_CST);

    if (!(old & searching_mark(core)))
        return TNI_SEARCH_STRUCK;
    if (idle->cores <= TNI_IDLE_CORES)
        return old & SEARCHING & ~searching_mark(core) ? TNI_SEARCH_ENDED : TNI_SEARCH_LAST;
    /* Of two searches that end in different words at the same time, one observes that the other has ended. */
    tni_fence_full();
    return all_marks(idle) & SEARCHING ? TNI_SEARCH_ENDED : TNI_SEARCH_LAST;
}

/* Chooses the first parked core of a word to search; -1: there is none, or it is a reserve, as all after it are. */
static int choose_in(tni_idle *idle, unsigned word)
{
    uint64_t marks = load_marks(idle, word);

    while ((marks & PARKED) && !(marks & SEARCHING)) {
        unsigned core = word * TNI_IDLE_CORES + (unsigned)__builtin_ctzll(marks);
        if (tni_idle_is_reserve(idle, core))
            return -1;
        /* Seq_cst: the core is marked searching before its worker is woken; partner: tni_idle_search_end. Acquire: observes the
         * state of the sleeper; partner: tni_idle_park. */
        if (tni_a64_cas(&idle->marks[word], &marks, (marks & ~parked_mark(core)) | searching_mark(core), TNI_SEQ_CST))
            return (int)core;
    }
    return -1;
}

int tni_idle_choose(tni_idle *idle)
{
    uint64_t marks = all_marks(idle);
    int core = -1;

    /* Behind the submit's full fence: a searcher whose mark is observed here makes its final check after that fence. */
    if ((marks & SEARCHING) || !(marks & PARKED))
        return -1;
    for (unsigned word = 0; core < 0 && word * TNI_IDLE_CORES < idle->cores; word++)
        core = choose_in(idle, word);
    return core;
}
