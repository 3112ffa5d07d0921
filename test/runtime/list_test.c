/* SPDX-License-Identifier: MIT */
/* The doubly linked list, compared with an array after each of many random operations. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/list.h"
#include "base/thread.h"

#define NODES 8

typedef struct {
    tni_list list;
    tni_list_node nodes[NODES];
    tni_list_node *expected[NODES];
    size_t length;
} lists;

static void expect_equal(const lists *l)
{
    const tni_list_node *at = l->list.first;
    const tni_list_node *prev = NULL;

    for (size_t i = 0; i < l->length; i++) {
        cr_assert_eq(at, l->expected[i]);
        cr_assert_eq(at->prev, prev);
        prev = at;
        at = at->next;
    }
    cr_assert_null(at);
    cr_assert_eq(l->list.last, prev);
}

static size_t place_of(const lists *l, const tni_list_node *node)
{
    size_t place = 0;

    while (place < l->length && l->expected[place] != node)
        place++;
    return place;
}

static void insert(lists *l, size_t place, tni_list_node *node)
{
    memmove(&l->expected[place + 1], &l->expected[place], (l->length - place) * sizeof node);
    l->expected[place] = node;
    l->length++;
}

static void erase(lists *l, size_t place)
{
    l->length--;
    memmove(&l->expected[place], &l->expected[place + 1], (l->length - place) * sizeof l->expected[0]);
}

/* A node that is in the list is removed, or the first one is taken; a node that is not is appended or prepended. */
static void step(lists *l, tni_list_node *node, bool other_end)
{
    size_t place = place_of(l, node);

    if (place < l->length && other_end) {
        cr_assert_eq(tni_list_take_first(&l->list), l->expected[0]);
        erase(l, 0);
    } else if (place < l->length) {
        tni_list_remove(&l->list, node);
        erase(l, place);
    } else if (other_end) {
        tni_list_prepend(&l->list, node);
        insert(l, 0, node);
    } else {
        tni_list_append(&l->list, node);
        insert(l, l->length, node);
    }
}

Test(list, equals_an_array)
{
    lists l = {.length = 0};
    uint64_t state = 1;

    for (int i = 0; i < 100000; i++) {
        /* The low nodes alone at times, so that the list is often empty, or has one or two nodes. */
        size_t nodes = i / 1000 % 2 == 0 ? NODES : 2;
        uint64_t draw = tni_random_next(&state);
        step(&l, &l.nodes[draw / 2 % nodes], draw % 2 != 0);
        expect_equal(&l);
    }
}
