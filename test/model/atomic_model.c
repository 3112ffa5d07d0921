/* SPDX-License-Identifier: MIT */
/* The functions of atomic_model.h: each is an operation of the model. */
#include "engine.h"

#define WORD(name, word, type, bits) \
    void name##_init(word *w, type v) \
    { \
        memory_init(&w->value, bits / 8, (uint64_t)(uintptr_t)v); \
    } \
    type name##_load(const word *w, tni_order o) \
    { \
        return (type)(uintptr_t)memory_load(&w->value, bits / 8, o, MODEL_PC); \
    } \
    void name##_store(word *w, type v, tni_order o) \
    { \
        memory_store(&w->value, bits / 8, (uint64_t)(uintptr_t)v, o, MODEL_PC); \
    } \
    type name##_exchange(word *w, type v, tni_order o) \
    { \
        return (type)(uintptr_t)memory_rmw(&w->value, bits / 8, RMW_EXCHANGE, (uint64_t)(uintptr_t)v, 0, o, MODEL_PC); \
    } \
    bool name##_cas(word *w, type *expected, type desired, tni_order o) \
    { \
        type wanted = *expected; \
        *expected = (type)(uintptr_t)memory_rmw(&w->value, bits / 8, RMW_CAS, (uint64_t)(uintptr_t)desired, \
                                                (uint64_t)(uintptr_t)wanted, o, MODEL_PC); \
        return *expected == wanted; \
    }

#define FETCH(name, word, type, bits, what, how) \
    type name##_fetch_##what(word *w, type v, tni_order o) \
    { \
        return (type)memory_rmw(&w->value, bits / 8, how, v, 0, o, MODEL_PC); \
    }

#define INTEGER(name, word, type, bits) \
    WORD(name, word, type, bits) \
    FETCH(name, word, type, bits, add, RMW_ADD) \
    FETCH(name, word, type, bits, sub, RMW_SUB) \
    FETCH(name, word, type, bits, or, RMW_OR) \
    FETCH(name, word, type, bits, and, RMW_AND)

INTEGER(tni_a32, tni_a32, uint32_t, 32)
INTEGER(tni_a64, tni_a64, uint64_t, 64)
WORD(tni_aptr, tni_aptr, void *, 64)

void tni_fence_full(void)
{
    memory_fence(MODEL_PC);
}

bool tni_fence_asymmetric_init(void)
{
    return !engine.scenario->symmetric;
}

void tni_fence_light(bool asymmetric)
{
    if (!asymmetric)
        memory_fence(MODEL_PC);
}

bool tni_fence_heavy(bool asymmetric)
{
    bool made = !asymmetric || !engine.scenario->denied;

    if (asymmetric && made)
        memory_fence_everywhere(MODEL_PC);
    else
        memory_fence(MODEL_PC);
    return made;
}

bool tni_fence_heavy_try(bool asymmetric)
{
    return tni_fence_heavy(asymmetric);
}

void tni_spin_hint(void)
{
    search_visible((model_op){.kind = OP_YIELD});
    memory_pauses();
    trace_add(MODEL_PC, "spins");
}
