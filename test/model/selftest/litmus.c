/* SPDX-License-Identifier: MIT */
/* Litmus tests of the memory model: the checker must find what RC11 allows, and must not find what it forbids. "Found" is a
 * failed model_check. */
#include "atomic_model.h"
#include "model.h"

typedef struct {
    tni_a32 x;
    tni_a32 y;
    tni_a32 z;
    uint32_t plain;
    uint32_t seen[4][2];
} words;

static void setup(void *state)
{
    words *w = state;

    tni_a32_init(&w->x, 0);
    tni_a32_init(&w->y, 0);
    tni_a32_init(&w->z, 0);
    model_name_of(w->x);
    model_name_of(w->y);
    model_name_of(w->z);
    model_name_of(w->plain);
}

#define W(word, value, order) tni_a32_store(&w->word, value, TNI_##order)
#define R(word, order) tni_a32_load(&w->word, TNI_##order)
#define A(word, order) tni_a32_fetch_add(&w->word, 1, TNI_##order)
#define F tni_fence_full()
#define SEE(i, what) (w->seen[model_self() - 1][i] = (what))
#define SEEN(thread, i) (w->seen[thread - 1][i])

#define THREAD(name, ...) \
    static void name(void *state) \
    { \
        words *w = state; \
        __VA_ARGS__; \
    }
#define NEVER(name, condition) \
    static void name(void *state) \
    { \
        words *w = state; \
        model_check(!(condition)); \
    }

/* Store buffering. */
THREAD(sb1_relacq, W(x, 1, RELEASE); SEE(0, R(y, ACQUIRE)))
THREAD(sb2_relacq, W(y, 1, RELEASE); SEE(0, R(x, ACQUIRE)))
THREAD(sb1_fence, W(x, 1, RELAXED); F; SEE(0, R(y, RELAXED)))
THREAD(sb2_fence, W(y, 1, RELAXED); F; SEE(0, R(x, RELAXED)))
THREAD(sb1_sc, W(x, 1, SEQ_CST); SEE(0, R(y, SEQ_CST)))
THREAD(sb2_sc, W(y, 1, SEQ_CST); SEE(0, R(x, SEQ_CST)))
THREAD(sb1_light, W(x, 1, RELAXED); tni_fence_light(tni_fence_asymmetric_init()); SEE(0, R(y, RELAXED)))
THREAD(sb2_light, W(y, 1, RELAXED); tni_fence_light(tni_fence_asymmetric_init()); SEE(0, R(x, RELAXED)))
THREAD(sb2_heavy, W(y, 1, RELAXED); (void)tni_fence_heavy_try(tni_fence_asymmetric_init()); SEE(0, R(x, RELAXED)))
NEVER(sb_never, SEEN(1, 0) == 0 && SEEN(2, 0) == 0)

/* Message passing, also through a release sequence. */
THREAD(mp1_rel, W(x, 1, RELAXED); W(y, 1, RELEASE))
THREAD(mp1_rlx, W(x, 1, RELAXED); W(y, 1, RELAXED))
THREAD(mp1_fence, W(x, 1, RELAXED); F; W(y, 1, RELAXED))
THREAD(mp2_acq, SEE(0, R(y, ACQUIRE)); SEE(1, R(x, RELAXED)))
THREAD(mp2_rlx, SEE(0, R(y, RELAXED)); SEE(1, R(x, RELAXED)))
THREAD(mp2_fence, SEE(0, R(y, RELAXED)); F; SEE(1, R(x, RELAXED)))
NEVER(mp_never, SEEN(2, 0) == 1 && SEEN(2, 1) == 0)
THREAD(rs_add, (void)A(y, RELAXED))
THREAD(rs_store, W(y, 2, RELAXED))
THREAD(rs_read, SEE(0, R(y, ACQUIRE)); SEE(1, R(x, RELAXED)))
NEVER(rs_never, SEEN(3, 0) == 2 && SEEN(2, 0) == 0 && SEEN(3, 1) == 0)
THREAD(rs1_self, W(x, 1, RELAXED); W(y, 1, RELEASE); W(y, 2, RELAXED))
NEVER(rs_self_never, SEEN(2, 0) == 2 && SEEN(2, 1) == 0)

/* Independent reads of independent writes. */
THREAD(iriw_x, W(x, 1, RELEASE))
THREAD(iriw_y, W(y, 1, RELEASE))
THREAD(iriw_xy, SEE(0, R(x, ACQUIRE)); SEE(1, R(y, ACQUIRE)))
THREAD(iriw_yx, SEE(0, R(y, ACQUIRE)); SEE(1, R(x, ACQUIRE)))
THREAD(iriw_xy_f, SEE(0, R(x, ACQUIRE)); F; SEE(1, R(y, ACQUIRE)))
THREAD(iriw_yx_f, SEE(0, R(y, ACQUIRE)); F; SEE(1, R(x, ACQUIRE)))
NEVER(iriw_never, SEEN(3, 0) == 1 && SEEN(3, 1) == 0 && SEEN(4, 0) == 1 && SEEN(4, 1) == 0)

/* Two writes and two writes. */
THREAD(ww1, W(x, 1, RELEASE); W(y, 2, RELEASE))
THREAD(ww2, W(y, 1, RELEASE); W(x, 2, RELEASE))
THREAD(ww1_f, W(x, 1, RELAXED); F; W(y, 2, RELAXED))
THREAD(ww2_f, W(y, 1, RELAXED); F; W(x, 2, RELAXED))
NEVER(ww_never, R(x, RELAXED) == 1 && R(y, RELAXED) == 1)

/* Coherence, load buffering, atomicity. */
THREAD(co_write, W(x, 1, RELAXED); W(x, 2, RELAXED))
THREAD(co_read, SEE(0, R(x, RELAXED)); SEE(1, R(x, RELAXED)))
NEVER(co_never, SEEN(2, 0) > SEEN(2, 1))
THREAD(lb1, SEE(0, R(x, RELAXED)); W(y, 1, RELAXED))
THREAD(lb2, SEE(0, R(y, RELAXED)); W(x, 1, RELAXED))
NEVER(lb_never, SEEN(1, 0) == 1 && SEEN(2, 0) == 1)
THREAD(add, (void)A(x, RELAXED))
NEVER(add_never, R(x, RELAXED) != 3)
THREAD(lost1, uint32_t old = R(x, RELAXED); W(x, old + 1, RELAXED))
NEVER(lost_never, R(x, RELAXED) != 2)

/* Read-modify-writes see the newest of the stores that are ordered before; coherence with a store that comes in between. */
THREAD(cas1, uint32_t zero = 0; SEE(0, tni_a32_cas(&w->x, &zero, 1, TNI_RELAXED)))
NEVER(cas_never, SEEN(1, 0) + SEEN(2, 0) != 1)

/* Plain memory. */
THREAD(plain1, w->plain = 1; W(y, 1, RELEASE))
THREAD(plain1_rlx, w->plain = 1; W(y, 1, RELAXED))
THREAD(plain2, if (R(y, ACQUIRE) == 1) SEE(0, w->plain))
THREAD(plain2_rlx, if (R(y, RELAXED) == 1) SEE(0, w->plain))
THREAD(plain_late, if (R(y, ACQUIRE) == 1) SEE(0, w->plain); w->plain = 2)

const model_scenario model_scenarios[] = {
    {"litmus.sb_relacq", sizeof(words), setup, {sb1_relacq, sb2_relacq}, sb_never, .expect = "assertion"},
    {"litmus.sb_fences", sizeof(words), setup, {sb1_fence, sb2_fence}, sb_never},
    {"litmus.sb_one_fence", sizeof(words), setup, {sb1_fence, sb2_relacq}, sb_never, .expect = "assertion"},
    {"litmus.sb_seq_cst", sizeof(words), setup, {sb1_sc, sb2_sc}, sb_never},
    {"litmus.sb_heavy", sizeof(words), setup, {sb1_light, sb2_heavy}, sb_never},
    {"litmus.sb_heavy_symmetric", sizeof(words), setup, {sb1_light, sb2_heavy}, sb_never, .symmetric = true},
    {"litmus.sb_two_light", sizeof(words), setup, {sb1_light, sb2_light}, sb_never, .expect = "assertion"},
    {"litmus.sb_heavy_alone", sizeof(words), setup, {sb1_relacq, sb2_heavy}, sb_never},
    {"litmus.mp", sizeof(words), setup, {mp1_rel, mp2_acq}, mp_never},
    {"litmus.mp_store_relaxed", sizeof(words), setup, {mp1_rlx, mp2_acq}, mp_never, .expect = "assertion"},
    {"litmus.mp_load_relaxed", sizeof(words), setup, {mp1_rel, mp2_rlx}, mp_never, .expect = "assertion"},
    {"litmus.mp_fences", sizeof(words), setup, {mp1_fence, mp2_fence}, mp_never},
    {"litmus.mp_fence_acquire", sizeof(words), setup, {mp1_fence, mp2_acq}, mp_never},
    {"litmus.release_sequence", sizeof(words), setup, {mp1_rel, rs_add, rs_read}, rs_never},
    {"litmus.release_sequence_broken", sizeof(words), setup, {mp1_rel, rs_store, rs_read}, rs_never, .expect = "assertion"},
    {"litmus.release_sequence_self", sizeof(words), setup, {rs1_self, mp2_acq}, rs_self_never, .expect = "assertion"},
    {"litmus.iriw_relacq", sizeof(words), setup, {iriw_x, iriw_y, iriw_xy, iriw_yx}, iriw_never, .expect = "assertion"},
    {"litmus.iriw_fences", sizeof(words), setup, {iriw_x, iriw_y, iriw_xy_f, iriw_yx_f}, iriw_never},
    {"litmus.2+2w", sizeof(words), setup, {ww1, ww2}, ww_never, .expect = "assertion"},
    {"litmus.2+2w_fences", sizeof(words), setup, {ww1_f, ww2_f}, ww_never},
    {"litmus.corr", sizeof(words), setup, {co_write, co_read}, co_never},
    {"litmus.load_buffering", sizeof(words), setup, {lb1, lb2}, lb_never},
    {"litmus.atomic_add", sizeof(words), setup, {add, add, add}, add_never},
    {"litmus.lost_update", sizeof(words), setup, {lost1, lost1}, lost_never, .expect = "assertion"},
    {"litmus.cas", sizeof(words), setup, {cas1, cas1}, cas_never},
    {"litmus.plain", sizeof(words), setup, {plain1, plain2}},
    {"litmus.plain_store_relaxed", sizeof(words), setup, {plain1_rlx, plain2}, .expect = "race"},
    {"litmus.plain_load_relaxed", sizeof(words), setup, {plain1, plain2_rlx}, .expect = "race"},
    {"litmus.plain_late", sizeof(words), setup, {plain1, plain_late}, .expect = "race"},
    {0},
};
