/* SPDX-License-Identifier: MIT */
/* Generators and frequencies of the choices. */
#include "sim/sim_choice.h"

#include <string.h>

#include "base/splitmix64.h"
#include "sim/sim_trace.h"

static const char *const names[] = {
#define NAME(name, text, meaning) text,
    TNI_SIM_DECISIONS(NAME) TNI_SIM_FAULTS(NAME)
#undef NAME
};

/* How often something happens, in steps: a run draws one of the four. One in N; 0: never. The first ones are rough, the later
 * ones leave the run nearly as it would be. A run that never does something is as useful as one that does it often: what hides
 * behind the frequent case is met too. */
static const uint32_t frequencies[TNI_SIM_KINDS][4] = {
    [TNI_SIM_SWITCH] = {2, 4, 16, 128},   [TNI_SIM_STALL] = {50, 500, 5000, 0}, [TNI_SIM_PREEMPT] = {4, 32, 256, 2048},
    [TNI_SIM_SPURIOUS] = {8, 64, 0, 0},   [TNI_SIM_EXTRA] = {8, 64, 0, 0},      [TNI_SIM_SEGMENT] = {1, 4, 32, 0},
    [TNI_SIM_BUFFER] = {1, 4, 0, 0},      [TNI_SIM_SHORT] = {4, 32, 0, 0},      [TNI_SIM_RESET] = {20, 200, 2000, 0},
    [TNI_SIM_HALF_OPEN] = {10, 50, 0, 0}, [TNI_SIM_REFUSE] = {4, 20, 0, 0},     [TNI_SIM_BLACK_HOLE] = {4, 20, 0, 0},
    [TNI_SIM_BACKLOG] = {4, 20, 0, 0},    [TNI_SIM_ABORT] = {4, 20, 0, 0},      [TNI_SIM_FILES] = {4, 20, 0, 0},
    [TNI_SIM_BUFFERS] = {4, 20, 0, 0},    [TNI_SIM_NAME] = {2, 8, 0, 0},        [TNI_SIM_ALLOC] = {20, 500, 5000, 0},
    [TNI_SIM_MAP] = {2, 8, 0, 0},         [TNI_SIM_THREAD] = {2, 8, 0, 0},      [TNI_SIM_CALL] = {100, 1000, 10000, 0},
};

static struct {
    uint64_t state[TNI_SIM_KINDS];
    uint32_t threshold[TNI_SIM_KINDS]; /* happens if 32 random bits are below it */
    tni_sim_choice_limits limits;
    uint32_t allowed; /* faults */
    uint64_t faults;  /* so far */
} choices;

static tni_sim_choice_counts unread;
tni_sim_choice_counts *tni_sim_choice_met = &unread;

void tni_sim_choice_seed_matters(void)
{
    tni_sim_choice_met->seed_mattered = true;
}

uint64_t tni_sim_choice_bits(tni_sim_kind kind)
{
    tni_sim_choice_seed_matters();
    choices.state[kind] += TNI_SPLITMIX64_STEP;
    return tni_splitmix64_mix(choices.state[kind]);
}

void tni_sim_choice_begin(uint64_t seed, const tni_sim_choice_limits *limits)
{
    choices.limits = *limits;
    choices.allowed = 0;
    choices.faults = 0;
    for (unsigned kind = 0; kind < TNI_SIM_KINDS; kind++) {
        uint32_t one_in;
        choices.state[kind] = tni_splitmix64_mix(seed * TNI_SIM_KINDS + kind + 1);
        one_in = frequencies[kind][tni_sim_choice_bits(kind) >> 62];
        choices.threshold[kind] = one_in == 0 ? 0 : UINT32_MAX / one_in;
    }
    tni_sim_choice_met->seed_mattered = false; /* the frequencies alone decide nothing */
}

void tni_sim_choice_allow(uint32_t faults)
{
    choices.allowed = faults;
}

uint32_t tni_sim_choice_below(tni_sim_kind kind, uint32_t n)
{
    if (frequencies[kind][0] == 0) { /* otherwise it says how something happens that has been counted */
        tni_sim_choice_met->asked[kind]++;
        tni_sim_choice_met->met[kind] += n > 1;
    }
    return (uint32_t)((tni_sim_choice_bits(kind) >> 32) * n >> 32);
}

uint64_t tni_sim_choice_scale(tni_sim_kind kind, uint64_t max)
{
    uint64_t bits = tni_sim_choice_bits(kind);
    unsigned width = max > 1 ? 64 - (unsigned)__builtin_clzll(max) : 1;
    uint64_t limit = UINT64_C(1) << (bits >> 32) % width;

    return 1 + ((limit - 1 + (bits & (limit - 1))) % max);
}

uint32_t tni_sim_choice_interval(tni_sim_kind kind)
{
    uint32_t one_in = choices.threshold[kind] == 0 ? UINT32_MAX : UINT32_MAX / choices.threshold[kind];

    if (choices.limits.without[kind])
        return UINT32_MAX;
    tni_sim_choice_met->asked[kind] += one_in;
    tni_sim_choice_met->met[kind]++;
    return 1 + (uint32_t)((tni_sim_choice_bits(kind) >> 32) * (2 * (uint64_t)one_in - 1) >> 32);
}

bool tni_sim_choice_is_left_out(tni_sim_kind kind)
{
    return choices.limits.without[kind];
}

static bool is_fault(tni_sim_kind kind)
{
    return kind >= TNI_SIM_FIRST_FAULT;
}

static bool fault_happens(tni_sim_kind kind)
{
    const tni_sim_choice_limits *limits = &choices.limits;
    bool drawn;

    if (limits->nth[kind] != 0)
        return limits->nth[kind] == tni_sim_choice_met->asked[kind];
    if (!(choices.allowed >> (kind - TNI_SIM_FIRST_FAULT) & 1))
        return false;
    tni_sim_choice_seed_matters();
    if (choices.threshold[kind] == 0)
        return false;
    drawn = tni_sim_choice_bits(kind) >> 32 < choices.threshold[kind];
    return drawn && !limits->without[kind] && choices.faults < limits->faults_max;
}

bool tni_sim_choice_happens(tni_sim_kind kind)
{
    bool happens;

    tni_sim_choice_met->asked[kind]++;
    if (is_fault(kind)) {
        happens = fault_happens(kind);
        choices.faults += happens;
        if (happens)
            tni_sim_trace_note(TNI_SIM_TRACE_FAULT, names[kind], (int64_t)tni_sim_choice_met->asked[kind]);
    } else {
        tni_sim_choice_seed_matters();
        happens = choices.threshold[kind] != 0 && tni_sim_choice_bits(kind) >> 32 < choices.threshold[kind] &&
                  !choices.limits.without[kind];
    }
    tni_sim_choice_met->met[kind] += happens;
    return happens;
}

int tni_sim_choice_find(const char *name, size_t length)
{
    for (int kind = 0; kind < TNI_SIM_KINDS; kind++)
        if (strlen(names[kind]) == length && memcmp(names[kind], name, length) == 0)
            return kind;
    return -1;
}

const char *tni_sim_choice_name(tni_sim_kind kind)
{
    return names[kind];
}
