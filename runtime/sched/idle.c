/* SPDX-License-Identifier: MIT */
#include "sched/idle.h"

void tni_idle_init(tni_idle *idle, unsigned cores)
{
    tni_a32_init(&idle->searching, 0);
    tni_a32_init(&idle->parked_count, 0);
    for (unsigned i = 0; i < TNI_IDLE_WORDS; i++)
        tni_a64_init(&idle->parked[i], 0);
    idle->cores = cores;
}

void tni_idle_park(tni_idle *idle, unsigned core)
{
    /* Relaxed: a hint. */
    (void)tni_a32_fetch_add(&idle->parked_count, 1, TNI_RELAXED);
    /* Publishes the mark; ordered before the second look by the caller's fence. Partner: tni_idle_choose. Release: who takes
     * the mark sees this worker's state. */
    (void)tni_a64_fetch_or(&idle->parked[core / 64], UINT64_C(1) << (core % 64), TNI_RELEASE);
}

static bool take_mark(tni_idle *idle, unsigned core)
{
    uint64_t bit = UINT64_C(1) << (core % 64);
    /* Exactly one of the sleeper and its wakers clears the bit. Acquire: observes what the sleeper left (partner: tni_idle_park);
     * release: keeps the count of searchers before it visible to the sleeper that finds the mark gone. */
    bool taken = tni_a64_fetch_and(&idle->parked[core / 64], ~bit, TNI_ACQ_REL) & bit;

    if (taken) {
        /* Relaxed: a hint. */
        (void)tni_a32_fetch_sub(&idle->parked_count, 1, TNI_RELAXED);
    }
    return taken;
}

bool tni_idle_unpark(tni_idle *idle, unsigned core)
{
    return take_mark(idle, core);
}

bool tni_idle_is_parked(const tni_idle *idle, unsigned core)
{
    /* Relaxed: the callers stand behind a full fence, or take it as a hint. */
    return tni_a64_load(&idle->parked[core / 64], TNI_RELAXED) >> (core % 64) & 1;
}

bool tni_idle_all_parked(const tni_idle *idle)
{
    unsigned parked = 0;

    for (unsigned word = 0; word * 64 < idle->cores; word++) {
        /* Relaxed: the monitor stands behind a full fence, against that of a worker between taking its mark back and looking
         * whether the monitor rests. The marks and not parked_count: that is changed after a mark is taken. */
        parked += (unsigned)__builtin_popcountll(tni_a64_load(&idle->parked[word], TNI_RELAXED));
    }
    return parked == idle->cores;
}

bool tni_idle_search_begin(tni_idle *idle)
{
    /* Relaxed: hints; a searcher too many or too few costs time, never a task. */
    unsigned parked = tni_a32_load(&idle->parked_count, TNI_RELAXED);
    unsigned searching = tni_a32_load(&idle->searching, TNI_RELAXED);
    unsigned busy = idle->cores > parked ? idle->cores - parked : 0;

    if (2 * searching >= busy)
        return false;
    /* Seq_cst: a submitter that reads this count and wakes nobody must come before our decrement, whose fence orders our last
     * look. */
    (void)tni_a32_fetch_add(&idle->searching, 1, TNI_SEQ_CST);
    return true;
}

bool tni_idle_search_end(tni_idle *idle)
{
    /* Seq_cst: as above; the caller's full fence follows, then its look at the queues. */
    uint32_t old = tni_a32_fetch_sub(&idle->searching, 1, TNI_SEQ_CST);

    tni_assert(old > 0, "a searcher was not counted");
    return old == 1;
}

static int take_any(tni_idle *idle)
{
    for (unsigned word = 0; word * 64 < idle->cores; word++) {
        /* Relaxed: behind the caller's full fence; take_mark decides. */
        uint64_t bits = tni_a64_load(&idle->parked[word], TNI_RELAXED);
        while (bits != 0) {
            unsigned core = word * 64 + (unsigned)__builtin_ctzll(bits);
            if (take_mark(idle, core))
                return (int)core;
            bits &= bits - 1;
        }
    }
    return -1;
}

static bool any_parked(const tni_idle *idle)
{
    for (unsigned word = 0; word * 64 < idle->cores; word++) {
        /* Relaxed: behind the caller's full fence. */
        if (tni_a64_load(&idle->parked[word], TNI_RELAXED) != 0)
            return true;
    }
    return false;
}

int tni_idle_choose(tni_idle *idle)
{
    for (;;) {
        uint32_t nobody = 0;
        int core;

        /* Relaxed: behind the submitter's full fence. A searcher that is still counted here has its last look before it. */
        if (tni_a32_load(&idle->searching, TNI_RELAXED) != 0 || !any_parked(idle))
            return -1;
        /* Seq_cst: counts the woken worker as searching before it wakes; partner: tni_idle_search_end. */
        if (!tni_a32_cas(&idle->searching, &nobody, 1, TNI_SEQ_CST))
            return -1;
        core = take_any(idle);
        if (core >= 0)
            return core;
        /* Somebody else took the last sleeper. While we were counted, another submitter may have relied on us, and a worker may
         * have parked since: look again behind a fence. */
        (void)tni_idle_search_end(idle);
        tni_fence_full();
    }
}
