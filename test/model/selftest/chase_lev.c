/* SPDX-License-Identifier: MIT */
/* The work-stealing deque as it was published, with its known errors (Chase and Lev, SPAA 2005; in C11: Lê, Pop, Cohen and
 * Zappa Nardelli, PPoPP 2013). The checker must find each error, and must find none in the repaired form.
 *
 *   resize   the array that grew is stored and loaded relaxed: a thief reads slots before they are written for it
 *   reload   the owner continues with the array from before it grew: the new item is lost
 *   index    unsigned indices: taking from an empty deque at index 0 wraps around, and returns an item that was never pushed */
#include "base/atomic.h"
#include "model.h"

#define ITEMS 3

typedef struct {
    uint64_t size;
    tni_aptr slots[4];
} ring;

typedef struct {
    tni_a64 top;
    tni_a64 bottom;
    tni_aptr array;
    ring rings[2]; /* of 2 and of 4: grown once */
    bool relaxed_resize;
    bool no_reload;
    bool unsigned_index;
    uint32_t items[ITEMS];
} published;

static void setup(void *state)
{
    published *p = state;

    tni_a64_init(&p->top, 0);
    tni_a64_init(&p->bottom, 0);
    p->rings[0].size = 2;
    tni_aptr_init(&p->array, &p->rings[0]);
    model_name_of(p->top);
    model_name_of(p->bottom);
    model_name_of(p->array);
    model_name_of(p->rings[0]);
    model_name_of(p->rings[1]);
    model_name_of(p->items);
}

static ring *grow(published *p, const ring *old, uint64_t top, uint64_t bottom)
{
    ring *grown = &p->rings[1];

    grown->size = 4;
    for (uint64_t i = top; i < bottom; i++)
        tni_aptr_store(&grown->slots[i % 4], tni_aptr_load(&old->slots[i % old->size], TNI_RELAXED), TNI_RELAXED);
    tni_aptr_store(&p->array, grown, p->relaxed_resize ? TNI_RELAXED : TNI_RELEASE);
    return grown;
}

static void push(published *p, void *item)
{
    uint64_t bottom = tni_a64_load(&p->bottom, TNI_RELAXED);
    uint64_t top = tni_a64_load(&p->top, TNI_ACQUIRE);
    ring *array = tni_aptr_load(&p->array, TNI_RELAXED);

    if (bottom - top >= array->size) {
        ring *grown = grow(p, array, top, bottom);
        if (!p->no_reload)
            array = grown;
    }
    tni_aptr_store(&array->slots[bottom % array->size], item, TNI_RELAXED);
    tni_fence_full();
    tni_a64_store(&p->bottom, bottom + 1, TNI_RELAXED);
}

static bool not_beyond(const published *p, uint64_t top, uint64_t bottom)
{
    return p->unsigned_index ? top <= bottom : (int64_t)top <= (int64_t)bottom;
}

/* Owner: takes from the bottom. */
static void *pop(published *p)
{
    uint64_t bottom = tni_a64_load(&p->bottom, TNI_RELAXED) - 1;
    ring *array = tni_aptr_load(&p->array, TNI_RELAXED);
    uint64_t top;
    void *item = NULL;

    tni_a64_store(&p->bottom, bottom, TNI_RELAXED);
    tni_fence_full();
    top = tni_a64_load(&p->top, TNI_RELAXED);
    if (!not_beyond(p, top, bottom)) {
        tni_a64_store(&p->bottom, bottom + 1, TNI_RELAXED);
        return NULL;
    }
    item = tni_aptr_load(&array->slots[bottom % array->size], TNI_RELAXED);
    if (top == bottom) {
        if (!tni_a64_cas(&p->top, &top, top + 1, TNI_SEQ_CST))
            item = NULL;
        tni_a64_store(&p->bottom, bottom + 1, TNI_RELAXED);
    } else {
        model_check(item != NULL);
    }
    return item;
}

static void *steal(published *p)
{
    uint64_t top = tni_a64_load(&p->top, TNI_ACQUIRE);
    uint64_t bottom;
    ring *array;
    void *item;

    tni_fence_full();
    bottom = tni_a64_load(&p->bottom, TNI_ACQUIRE);
    if ((int64_t)top >= (int64_t)bottom)
        return NULL;
    array = tni_aptr_load(&p->array, p->relaxed_resize ? TNI_RELAXED : TNI_ACQUIRE);
    item = tni_aptr_load(&array->slots[top % array->size], TNI_RELAXED);
    if (!tni_a64_cas(&p->top, &top, top + 1, TNI_SEQ_CST))
        return NULL;
    model_check(item != NULL);
    return item;
}

static void took(void *item)
{
    uint32_t *count = item;

    if (count == NULL)
        return;
    model_check(*count == 1);
    *count = 2;
}

static void owner(void *state)
{
    published *p = state;

    took(pop(p));
    for (unsigned i = 0; i < ITEMS; i++) {
        p->items[i] = 1;
        push(p, &p->items[i]);
    }
    took(pop(p));
}

static void thief(void *state)
{
    took(steal(state));
}

static void finish(void *state)
{
    published *p = state;

    for (void *item = pop(p); item != NULL; item = pop(p))
        took(item);
    for (unsigned i = 0; i < ITEMS; i++)
        model_check(p->items[i] == 2);
}

static void setup_relaxed(void *state)
{
    setup(state);
    ((published *)state)->relaxed_resize = true;
}

static void setup_no_reload(void *state)
{
    setup(state);
    ((published *)state)->no_reload = true;
}

static void setup_unsigned(void *state)
{
    setup(state);
    ((published *)state)->unsigned_index = true;
}

/* clang-format off */
#define CASE(what, prepare, ...) {"chase_lev." what, sizeof(published), prepare, {owner, thief}, finish, __VA_ARGS__}
/* clang-format on */

const model_scenario model_scenarios[] = {
    CASE("mended", setup, .expect = NULL),
    CASE("resize", setup_relaxed, .expect = "race"),
    CASE("reload", setup_no_reload, .expect = "assertion"),
    CASE("index", setup_unsigned, .expect = "assertion"),
    {0},
};
