/* SPDX-License-Identifier: MIT */
/* The run queue: an owner and two thieves, a full queue whose newer half overflows, and indices that start high. */
#include "sched/deque.h"

#include "model.h"

#define ITEMS 5

typedef struct {
    tni_deque deque;
    uint32_t items[ITEMS]; /* written before the push; 1: pushed, 2: taken */
    uint32_t spilled;
} queue;

static void begin_at(queue *q, uint64_t index)
{
    tni_deque_init(&q->deque);
    tni_a64_init(&q->deque.top, index);
    tni_a64_init(&q->deque.bottom, index);
    model_name_of(q->deque.top);
    model_name_of(q->deque.bottom);
    model_name_of(q->deque.slots);
    model_name_of(q->items);
}

static void setup(void *state)
{
    begin_at(state, 0);
}

static void setup_high(void *state)
{
    begin_at(state, UINT32_MAX - 1);
}

static void took(void *item)
{
    uint32_t *count = item;

    model_check(*count == 1);
    *count = 2; /* a second taker races with this write, or finds the value */
}

static void push(queue *q, unsigned index)
{
    q->items[index] = 1;
    model_check(tni_deque_push(&q->deque, &q->items[index]));
}

/* Until the queue is empty: an item that a thief takes at the same time belongs to the thief. */
static void drain(queue *q)
{
    void *item;
    tni_take take;

    do {
        take = tni_deque_take_own(&q->deque, &item);
        if (take == TNI_TAKE_GOT)
            took(item);
    } while (take != TNI_TAKE_EMPTY);
}

static void owner(void *state)
{
    queue *q = state;

    push(q, 0);
    push(q, 1);
    drain(q);
}

static void thief(void *state)
{
    queue *q = state;
    void *item;

    if (tni_deque_take(&q->deque, &item) == TNI_TAKE_GOT)
        took(item);
}

static void greedy_thief(void *state)
{
    thief(state);
    thief(state);
}

/* Every item has been taken once. */
static void finish(void *state)
{
    queue *q = state;

    for (unsigned i = 0; i < ITEMS; i++)
        model_check(q->items[i] == 0 || q->items[i] == 2);
    model_check(tni_deque_length(&q->deque) == 0);
}

/* The queue is full: its newer half moves elsewhere, then the last item fits. */
static void spill(queue *q)
{
    void *items[TNI_DEQUE_CAPACITY / 2];

    if (!tni_deque_take_newest(&q->deque, items, TNI_DEQUE_CAPACITY / 2))
        return;
    for (unsigned i = 0; i < TNI_DEQUE_CAPACITY / 2; i++)
        took(items[i]);
}

static void setup_full(void *state)
{
    setup(state);
    for (unsigned i = 0; i < TNI_DEQUE_CAPACITY; i++)
        push(state, i);
}

static void spilling_owner(void *state)
{
    queue *q = state;

    q->items[TNI_DEQUE_CAPACITY] = 1;
    if (!tni_deque_push(&q->deque, &q->items[TNI_DEQUE_CAPACITY])) {
        spill(q);
        push(q, TNI_DEQUE_CAPACITY);
    }
    drain(q);
}

/* One slot is used again and again: a thief must not take a new item with an old index. */
static void reusing_owner(void *state)
{
    queue *q = state;

    for (unsigned i = 0; i < ITEMS; i++) {
        q->items[i] = 1;
        if (!tni_deque_push(&q->deque, &q->items[i]))
            took(&q->items[i]);
    }
}

static void drain_and_finish(void *state)
{
    drain(state);
    finish(state);
}

/* The newest of two is taken back while a thief takes both. */
static void setup_two(void *state)
{
    setup(state);
    push(state, 0);
    push(state, 1);
}

static void owner_of_newest(void *state)
{
    queue *q = state;
    void *item;

    if (tni_deque_take_newest(&q->deque, &item, 1))
        took(item);
}

const model_scenario model_scenarios[] = {
    {.name = "deque.two_thieves",
     .state_bytes = sizeof(queue),
     .setup = setup,
     .threads = {owner, thief, thief},
     .finish = finish},
    {.name = "deque.wrap", .state_bytes = sizeof(queue), .setup = setup_high, .threads = {owner, greedy_thief}, .finish = finish},
    {.name = "deque.spill",
     .state_bytes = sizeof(queue),
     .setup = setup_full,
     .threads = {spilling_owner, thief, thief},
     .finish = finish},
    {.name = "deque.spill_greedy",
     .state_bytes = sizeof(queue),
     .setup = setup_full,
     .threads = {spilling_owner, greedy_thief},
     .finish = finish},
    {.name = "deque.reuse",
     .state_bytes = sizeof(queue),
     .setup = setup,
     .threads = {reusing_owner, greedy_thief},
     .finish = drain_and_finish},
    {.name = "deque.newest",
     .state_bytes = sizeof(queue),
     .setup = setup_two,
     .threads = {owner_of_newest, greedy_thief},
     .finish = drain_and_finish},
    {.name = "deque.newest_two_thieves",
     .state_bytes = sizeof(queue),
     .setup = setup_two,
     .threads = {owner_of_newest, thief, thief},
     .finish = drain_and_finish},
    {0},
};
