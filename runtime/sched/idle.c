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

static uint64_t load(const tni_idle *idle, unsigned word)
{
    /* Relaxed: the callers stand behind a full fence, or take it as a hint. */
    return tni_a64_load(&idle->marks[word], TNI_RELAXED);
}

/* Without the instruction, which the compiler may not use, its own function would be called. */
static unsigned count_bits(uint64_t bits)
{
    bits -= bits >> 1 & UINT64_C(0x5555555555555555);
    bits = (bits & UINT64_C(0x3333333333333333)) + (bits >> 2 & UINT64_C(0x3333333333333333));
    bits = (bits + (bits >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (unsigned)(bits * UINT64_C(0x0101010101010101) >> 56);
}

static unsigned count(const tni_idle *idle, uint64_t which)
{
    unsigned sum = 0;

    for (unsigned word = 0; word * TNI_IDLE_CORES < idle->cores; word++)
        sum += count_bits(load(idle, word) & which);
    return sum;
}

/* The marks of all words. */
static uint64_t any(const tni_idle *idle)
{
    uint64_t marks = load(idle, 0);

    for (unsigned word = 1; tni_unlikely(word * TNI_IDLE_CORES < idle->cores); word++)
        marks |= load(idle, word);
    return marks;
}

void tni_idle_init(tni_idle *idle, unsigned cores)
{
    for (unsigned i = 0; i < TNI_IDLE_WORDS; i++)
        tni_a64_init(&idle->marks[i], 0);
    idle->cores = cores;
}

void tni_idle_park(tni_idle *idle, unsigned core)
{
    /* Publishes the mark; ordered before the second look by the caller's fence. Partner: tni_idle_choose. Release: who takes
     * the mark sees this worker's state. */
    (void)tni_a64_fetch_or(&idle->marks[core / TNI_IDLE_CORES], parked_mark(core), TNI_RELEASE);
}

bool tni_idle_unpark(tni_idle *idle, unsigned core)
{
    /* Exactly one of the sleeper and its wakers clears the mark. Acquire: what the waker did before it took the mark. */
    return tni_a64_fetch_and(&idle->marks[core / TNI_IDLE_CORES], ~parked_mark(core), TNI_ACQ_REL) & parked_mark(core);
}

bool tni_idle_is_parked(const tni_idle *idle, unsigned core)
{
    return load(idle, core / TNI_IDLE_CORES) & parked_mark(core);
}

bool tni_idle_is_searching(const tni_idle *idle, unsigned core)
{
    return load(idle, core / TNI_IDLE_CORES) & searching_mark(core);
}

bool tni_idle_all_parked(const tni_idle *idle)
{
    return count(idle, PARKED) == idle->cores;
}

bool tni_idle_search_begin(tni_idle *idle, unsigned core)
{
    /* Hints; a searcher too many or too few costs time, never a task. */
    unsigned busy = idle->cores - count(idle, PARKED);

    if (2 * count(idle, SEARCHING) >= busy)
        return false;
    /* Seq_cst: a submitter that sees the mark and wakes nobody must come before the mark's end, whose fence orders our last
     * look. */
    (void)tni_a64_fetch_or(&idle->marks[core / TNI_IDLE_CORES], searching_mark(core), TNI_SEQ_CST);
    return true;
}

tni_search tni_idle_search_end(tni_idle *idle, unsigned core)
{
    /* Seq_cst: as above; the caller's full fence follows, then its look at the queues. */
    uint64_t old = tni_a64_fetch_and(&idle->marks[core / TNI_IDLE_CORES], ~searching_mark(core), TNI_SEQ_CST);

    if (!(old & searching_mark(core)))
        return TNI_SEARCH_STRUCK;
    if (idle->cores <= TNI_IDLE_CORES)
        return old & SEARCHING & ~searching_mark(core) ? TNI_SEARCH_ENDED : TNI_SEARCH_LAST;
    /* Of two that end in different words at the same time, one sees that the other has ended. */
    tni_fence_full();
    return any(idle) & SEARCHING ? TNI_SEARCH_ENDED : TNI_SEARCH_LAST;
}

/* The parked core of a word that is to search; -1: none. */
static int choose_in(tni_idle *idle, unsigned word)
{
    uint64_t marks = load(idle, word);

    while ((marks & PARKED) && !(marks & SEARCHING)) {
        unsigned core = word * TNI_IDLE_CORES + (unsigned)__builtin_ctzll(marks);
        /* Seq_cst: counts the core as searching before its worker is woken; partner: tni_idle_search_end. Acquire: what the
         * sleeper left; partner: tni_idle_park. */
        if (tni_a64_cas(&idle->marks[word], &marks, (marks & ~parked_mark(core)) | searching_mark(core), TNI_SEQ_CST))
            return (int)core;
    }
    return -1;
}

int tni_idle_choose(tni_idle *idle)
{
    uint64_t marks = any(idle);
    int core = -1;

    /* Behind the submitter's full fence: a searcher that still counts here has its last look before it. */
    if ((marks & SEARCHING) || !(marks & PARKED))
        return -1;
    for (unsigned word = 0; core < 0 && word * TNI_IDLE_CORES < idle->cores; word++)
        core = choose_in(idle, word);
    return core;
}
