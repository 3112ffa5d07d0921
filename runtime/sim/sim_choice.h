/* SPDX-License-Identifier: MIT */
/* The choices of a run. Every one comes from the seed: which thread runs next, how long a segment travels, whether a fault
 * happens. Each kind has a generator of its own, so a kind that is switched off does not change the choices of the others
 * before the program itself takes another path. */
#ifndef TNI_SIM_CHOICE_H
#define TNI_SIM_CHOICE_H

#include "base/defs.h"

/* name in messages and on the command line, what it is */
#define TNI_SIM_DECISIONS(X) \
    X(PICK, "pick", "which thread continues") \
    X(SWITCH, "switch", "a thread gives way at a call of the OS layer") \
    X(STALL, "stall", "a thread loses its processor for a while") \
    X(PREEMPT, "preempt", "fine mode: a thread gives way before an atomic operation") \
    X(SPURIOUS, "spurious", "a sleep ends without a cause") \
    X(EXTRA, "extra", "a readiness that is not there is reported") \
    X(WAITER, "waiter", "which waiter is woken") \
    X(LATENCY, "latency", "how long a segment travels") \
    X(SEGMENT, "segment", "bytes that were sent together arrive apart") \
    X(BUFFER, "buffer", "a connection has small buffers") \
    X(SHORT, "short", "a send takes a part of the bytes, and is full for a while") \
    X(SEED, "seed", "a seed for a generator of the library, or random bytes") \
    X(PROGRAM, "program", "tn_sim_choose")

/* In the order of tn_sim_fault (tn/sim.h), behind the decisions. */
#define TNI_SIM_FAULTS(X) \
    X(RESET, "reset", "a connection is reset") \
    X(HALF_OPEN, "half_open", "the peer of a connection disappears without a word") \
    X(REFUSE, "refuse", "a connection is refused") \
    X(BLACK_HOLE, "black_hole", "the segments of a connection attempt are lost") \
    X(BACKLOG, "backlog", "the backlog of a listener is full") \
    X(ABORT, "abort", "accept reports a connection that has failed") \
    X(FILES, "files", "the process may open no more files (EMFILE)") \
    X(BUFFERS, "buffers", "the kernel has no memory for a socket (ENOBUFS)") \
    X(NAME, "name", "a name is not resolved for now") \
    X(ALLOC, "alloc", "an allocation fails") \
    X(MAP, "map", "memory cannot be mapped") \
    X(THREAD, "thread", "a thread cannot be started") \
    X(CALL, "call", "any call of the OS layer that can fail")

typedef enum {
#define TNI_SIM_ENUM(name, text, meaning) TNI_SIM_##name,
    TNI_SIM_DECISIONS(TNI_SIM_ENUM) TNI_SIM_FAULTS(TNI_SIM_ENUM)
#undef TNI_SIM_ENUM
        TNI_SIM_KINDS,
} tni_sim_kind;

#define TNI_SIM_FIRST_FAULT TNI_SIM_RESET

/* What a run has met, by kind; and what its command line says about them. */
typedef struct {
    uint64_t asked[TNI_SIM_KINDS]; /* how often the question came up */
    uint64_t met[TNI_SIM_KINDS];   /* how often it happened; of a pick: how often there were several */
    bool seed_mattered;            /* some choice has depended on the seed: without one, all seeds give the same run */
} tni_sim_choice_counts;

typedef struct {
    bool without[TNI_SIM_KINDS]; /* it never happens */
    uint64_t
        nth[TNI_SIM_KINDS]; /* of a fault: it happens at its chance with this number, from 1, and at no other; 0: not given */
    uint64_t faults_max;    /* no fault after so many */
} tni_sim_choice_limits;

extern tni_sim_choice_counts *tni_sim_choice_met; /* where the counts go; set before the seed */

/* Begins a run: draws how often each kind is met. */
void tni_sim_choice_begin(uint64_t seed, const tni_sim_choice_limits *limits);

/* The program says which kinds of fault it survives, by bits (1 << (kind - TNI_SIM_FIRST_FAULT)). */
void tni_sim_choice_allow(uint32_t faults);

/* A number below `n`, which is not 0. */
uint32_t tni_sim_choice_below(tni_sim_kind kind, uint32_t n);

/* A number from 1 to `max`, small ones as often as large ones: the logarithm is uniform. */
uint64_t tni_sim_choice_scale(tni_sim_kind kind, uint64_t max);

/* After how many occasions something happens, at the kind's frequency: at least 1. */
uint32_t tni_sim_choice_interval(tni_sim_kind kind);

uint64_t tni_sim_choice_bits(tni_sim_kind kind);

/* Whether the command line says that it never happens. */
bool tni_sim_choice_is_left_out(tni_sim_kind kind);

/* The seed itself has been read. */
void tni_sim_choice_seed_matters(void);

/* Whether it happens here. Of a fault: also traces it. */
bool tni_sim_choice_happens(tni_sim_kind kind);

/* For the command line. -1: there is no such kind. */
int tni_sim_choice_find(const char *name, size_t length);
const char *tni_sim_choice_name(tni_sim_kind kind);

#endif
