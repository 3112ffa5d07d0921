/* SPDX-License-Identifier: MIT */
/* The inbox: each node is taken once, in order of its pusher, or stays with its pusher; and its memory is the owner's at once. */
#include "base/inbox.h"

#include "model.h"

#define LETTERS 3

/* Of LETTERS, the first pusher has two and the second one. The owner frees a letter when it has taken it. */
typedef struct {
    tni_inbox_node node;
    unsigned number; /* written by the pusher */
} letter;

typedef struct {
    tni_inbox inbox;
    letter *letters[LETTERS];
    uint32_t closed;         /* written by the owner before it closes */
    uint32_t taken[LETTERS]; /* the owner's */
    uint32_t kept[LETTERS];  /* the pusher's: the inbox was closed */
} box;

static void setup(void *state)
{
    box *b = state;

    tni_inbox_init(&b->inbox);
    model_name(&b->inbox, 8, "newest");
    for (unsigned i = 0; i < LETTERS; i++)
        b->letters[i] = model_alloc(sizeof(letter), _Alignof(letter));
}

static void push(box *b, unsigned i)
{
    letter *l = b->letters[i];

    l->number = i;
    tni_inbox_push(&b->inbox, &l->node);
}

static void push_two(void *state)
{
    push(state, 0);
    push(state, 1);
}

static void push_one(void *state)
{
    push(state, 2);
}

static void try_push(box *b, unsigned i)
{
    letter *l = b->letters[i];

    l->number = i;
    if (tni_inbox_try_push(&b->inbox, &l->node))
        return;
    model_check(b->closed == 1);
    b->kept[i]++;
    model_free(l);
}

static void try_push_two(void *state)
{
    try_push(state, 0);
    try_push(state, 1);
}

static void try_push_one(void *state)
{
    try_push(state, 2);
}

/* --- The owner -------------------------------------------------------------------------------------------------------------- */

static letter *letter_of(tni_inbox_node *node)
{
    return tni_container_of(node, letter, node);
}

static void receive(box *b, tni_inbox_node *node, bool oldest_first)
{
    while (node != NULL) {
        letter *l = letter_of(node);
        node = node->next;
        b->taken[l->number]++;
        if (oldest_first && l->number == 1)
            model_check(b->taken[0] == 1);
        model_free(l);
    }
}

static void take_twice(void *state)
{
    box *b = state;

    receive(b, tni_inbox_take(&b->inbox), true);
    receive(b, tni_inbox_take(&b->inbox), true);
}

static void take_unordered(void *state)
{
    box *b = state;

    receive(b, tni_inbox_take_newest_first(&b->inbox), false);
    receive(b, tni_inbox_take_newest_first(&b->inbox), false);
}

/* A node that a pusher has just found as the newest one is taken, and is the newest one again. */
static void return_what_came(void *state)
{
    box *b = state;
    tni_inbox_node *node = tni_inbox_take_newest_first(&b->inbox);

    while (node != NULL) {
        tni_inbox_node *next = node->next;
        tni_inbox_push(&b->inbox, node);
        node = next;
    }
}

static void close_after_take(void *state)
{
    box *b = state;

    receive(b, tni_inbox_take(&b->inbox), true);
    b->closed = 1;
    receive(b, tni_inbox_close(&b->inbox), false);
}

/* --- The end ---------------------------------------------------------------------------------------------------------------- */

static void check_each_once(const box *b)
{
    for (unsigned i = 0; i < LETTERS; i++)
        model_check(b->taken[i] + b->kept[i] == 1);
}

static void finish_open(void *state)
{
    box *b = state;

    receive(b, tni_inbox_take_newest_first(&b->inbox), false);
    model_check(tni_inbox_is_empty(&b->inbox));
    check_each_once(b);
}

static void finish_closed(void *state)
{
    check_each_once(state);
}

#define CASE(what, end, ...) \
    { \
        .name = "inbox." what, .state_bytes = sizeof(box), .setup = setup, .threads = {__VA_ARGS__}, .finish = end \
    }

const model_scenario model_scenarios[] = {
    CASE("take", finish_open, push_two, push_one, take_twice),
    CASE("take_unordered", finish_open, push_two, push_one, take_unordered),
    CASE("back", finish_open, push_two, push_one, return_what_came),
    CASE("close", finish_closed, try_push_two, try_push_one, close_after_take),
    {0},
};
