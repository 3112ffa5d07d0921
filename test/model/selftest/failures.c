/* SPDX-License-Identifier: MIT */
/* Each kind of failure, and known broken algorithms: the checker must find them. Where a correct form exists it is beside the
 * broken one, and the checker must find nothing in it. */
#include "atomic_model.h"
#include "base/thread.h"
#include "model.h"

typedef struct {
    tni_a32 flag[2];
    tni_a32 turn;
    tni_a32 word;
    tni_aptr shared;
    tni_os_mutex first;
    tni_os_mutex second;
    uint32_t plain;
    uint32_t *block;
} things;

static void setup(void *state)
{
    things *s = state;

    model_name_of(s->flag[0]);
    model_name_of(s->flag[1]);
    model_name_of(s->turn);
    model_name_of(s->word);
    model_name_of(s->shared);
    model_name_of(s->plain);
    tni_os_mutex_init(&s->first);
    tni_os_mutex_init(&s->second);
}

/* --- Mutual exclusion: Peterson (1981), Dekker's entry with an asymmetric fence ----------------------------------------------*/

static void no_fence(bool heavy)
{
    (void)heavy;
}

static void full_fence(bool heavy)
{
    (void)heavy;
    tni_fence_full();
}

static void uneven_fence(bool heavy)
{
    if (heavy)
        model_check(tni_fence_heavy(true));
    else
        tni_fence_light(true);
}

static void light_fence(bool heavy)
{
    (void)heavy;
    tni_fence_light(true);
}

static void peterson(things *s, void (*fence)(bool heavy))
{
    unsigned self = model_self() - 1;

    tni_a32_store(&s->flag[self], 1, TNI_RELAXED);
    tni_a32_store(&s->turn, 1 - self, TNI_RELEASE);
    fence(self == 1);
    while (tni_a32_load(&s->flag[1 - self], TNI_ACQUIRE) != 0 && tni_a32_load(&s->turn, TNI_ACQUIRE) != self)
        tni_spin_hint();
    s->plain++;
    tni_a32_store(&s->flag[self], 0, TNI_RELEASE);
}

static void peterson_without(void *state)
{
    peterson(state, no_fence);
}

/* With plain stores of `turn` a fence between them and the loop is not enough for the order of the two stores: exchange. */
static void peterson_right(void *state)
{
    things *s = state;
    unsigned self = model_self() - 1;

    tni_a32_store(&s->flag[self], 1, TNI_RELAXED);
    (void)tni_a32_exchange(&s->turn, 1 - self, TNI_ACQ_REL);
    tni_fence_full();
    while (tni_a32_load(&s->flag[1 - self], TNI_ACQUIRE) != 0 && tni_a32_load(&s->turn, TNI_ACQUIRE) != self)
        tni_spin_hint();
    s->plain++;
    tni_a32_store(&s->flag[self], 0, TNI_RELEASE);
}

static void try_enter(things *s, void (*fence)(bool heavy))
{
    unsigned self = model_self() - 1;

    tni_a32_store(&s->flag[self], 1, TNI_RELAXED);
    fence(self == 1);
    if (tni_a32_load(&s->flag[1 - self], TNI_ACQUIRE) == 0)
        s->plain++;
}

static void dekker_full(void *state)
{
    try_enter(state, full_fence);
}

static void dekker_uneven(void *state)
{
    try_enter(state, uneven_fence);
}

static void dekker_light(void *state)
{
    try_enter(state, light_fence);
}

static void dekker_without(void *state)
{
    try_enter(state, no_fence);
}

/* --- Sleeping --------------------------------------------------------------------------------------------------------------- */

static void sleeper_without_recheck(void *state)
{
    things *s = state;

    if (tni_a32_load(&s->word, TNI_ACQUIRE) != 0)
        return;
    tni_a32_store(&s->flag[0], 1, TNI_RELAXED);
    tni_fence_full();
    tni_futex_wait(&s->flag[0], 1, TNI_FOREVER);
}

static void sleeper(void *state)
{
    things *s = state;

    tni_a32_store(&s->flag[0], 1, TNI_RELAXED);
    tni_fence_full();
    while (tni_a32_load(&s->word, TNI_ACQUIRE) == 0)
        tni_futex_wait(&s->flag[0], 1, TNI_FOREVER);
}

static void waker(void *state)
{
    things *s = state;

    tni_a32_store(&s->word, 1, TNI_RELEASE);
    tni_fence_full();
    if (tni_a32_load(&s->flag[0], TNI_RELAXED) == 1) {
        tni_a32_store(&s->flag[0], 0, TNI_RELAXED);
        tni_futex_wake(&s->flag[0], 1);
    }
}

/* --- Kinds of failure ------------------------------------------------------------------------------------------------------- */

static void publish(void *state)
{
    things *s = state;
    uint32_t *block = model_alloc(sizeof *block, 8);

    *block = 7;
    tni_aptr_store(&s->shared, block, TNI_RELEASE);
}

static void use(void *state)
{
    things *s = state;
    uint32_t *block = tni_aptr_load(&s->shared, TNI_ACQUIRE);

    if (block != NULL)
        model_check(*block == 7);
}

static void publish_and_free(void *state)
{
    things *s = state;

    publish(state);
    model_free(tni_aptr_load(&s->shared, TNI_RELAXED));
    tni_a32_store(&s->word, 1, TNI_RELEASE);
}

static void use_late(void *state)
{
    things *s = state;

    if (tni_a32_load(&s->word, TNI_ACQUIRE) == 1)
        use(state);
}

static void take_and_free(void *state)
{
    things *s = state;
    void *block = tni_aptr_load(&s->shared, TNI_RELAXED);

    if (block != NULL && tni_a32_fetch_add(&s->word, 1, TNI_ACQ_REL) < 3)
        model_free(block);
}

static void prepare_block(void *state)
{
    setup(state);
    publish(state);
}

static void free_block(void *state)
{
    things *s = state;

    model_free(tni_aptr_exchange(&s->shared, NULL, TNI_ACQUIRE));
}

static void lock_forth(void *state)
{
    things *s = state;

    tni_os_mutex_lock(&s->first);
    tni_os_mutex_lock(&s->second);
    tni_os_mutex_unlock(&s->second);
    tni_os_mutex_unlock(&s->first);
}

static void lock_back(void *state)
{
    things *s = state;

    tni_os_mutex_lock(&s->second);
    tni_os_mutex_lock(&s->first);
    tni_os_mutex_unlock(&s->first);
    tni_os_mutex_unlock(&s->second);
}

static void count_locked(void *state)
{
    things *s = state;

    tni_os_mutex_lock(&s->first);
    s->plain++;
    tni_os_mutex_unlock(&s->first);
}

static void spin_for_ever(void *state)
{
    things *s = state;

    while (tni_a32_load(&s->word, TNI_ACQUIRE) != 2)
        tni_spin_hint();
}

static void spin_until_set(void *state)
{
    things *s = state;

    while (tni_a32_load(&s->word, TNI_ACQUIRE) == 0)
        tni_spin_hint();
    s->plain++;
}

static void set(void *state)
{
    things *s = state;

    s->plain++;
    tni_a32_store(&s->word, 1, TNI_RELEASE);
}

static void wait_until_set(void *state)
{
    things *s = state;

    while (tni_a32_load(&s->word, TNI_ACQUIRE) == 0)
        model_until_changed(&s->word, 0);
    s->plain++;
}

/* Waiting alone orders nothing. */
static void wait_and_read(void *state)
{
    things *s = state;

    model_until_changed(&s->word, 0);
    s->plain++;
}

static void crash(void *state)
{
    things *s = state;

    if (tni_a32_load(&s->word, TNI_ACQUIRE) == 1)
        *(volatile int *)(uintptr_t)(s->plain - 1) = 1;
}

/* clang-format off */
#define CASE(name, ...) {"failures." name, sizeof(things), setup, __VA_ARGS__}
/* clang-format on */

const model_scenario model_scenarios[] = {
    CASE("peterson_without_fence", {peterson_without, peterson_without}, NULL, .expect = "race"),
    CASE("peterson", {peterson_right, peterson_right}),
    CASE("dekker", {dekker_full, dekker_full}),
    CASE("dekker_without_fence", {dekker_without, dekker_without}, NULL, .expect = "race"),
    CASE("dekker_asymmetric", {dekker_uneven, dekker_uneven}),
    CASE("dekker_light_alone", {dekker_light, dekker_light}, NULL, .expect = "race"),
    CASE("dekker_heavy_missing", {dekker_light, dekker_full}, NULL, .expect = "race"),
    CASE("park_without_recheck", {sleeper_without_recheck, waker}, NULL, .expect = "deadlock"),
    CASE("park", {sleeper, waker}),
    CASE("race", {set, count_locked}, NULL, .expect = "race"),
    CASE("locked", {count_locked, count_locked, count_locked}),
    CASE("use_after_free", {publish_and_free, use_late}, NULL, .expect = "use-after-free"),
    CASE("use_after_free_unordered", {publish_and_free, use}, NULL, .expect = "use-after-free"),
    {"failures.free_races", sizeof(things), prepare_block, {use, take_and_free}, NULL, .expect = "race"},
    CASE("leak", {publish, use}, NULL, .expect = "leak"),
    {"failures.no_leak", sizeof(things), prepare_block, {use, use}, free_block},
    {"failures.double_free", sizeof(things), prepare_block, {take_and_free, take_and_free}, NULL, .expect = "double-free"},
    CASE("deadlock", {lock_forth, lock_back}, NULL, .expect = "deadlock"),
    CASE("no_deadlock", {lock_forth, lock_forth}),
    CASE("livelock", {spin_for_ever, set}, NULL, .expect = "livelock"),
    CASE("spin", {spin_until_set, set}),
    CASE("change", {wait_until_set, set}),
    CASE("change_unordered", {wait_and_read, set}, NULL, .expect = "race"),
    CASE("change_missing", {wait_until_set, wait_until_set}, NULL, .expect = "deadlock"),
    CASE("crash", {crash, set}, NULL, .expect = "crash"),
    {0},
};
