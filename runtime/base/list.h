/* SPDX-License-Identifier: MIT */
/* The doubly linked list of all layers: append, prepend and remove, at the same cost for any length.
 *
 * The node is a member of the element, and tni_container_of leads from the node to the element. A list has one owner at a time:
 * a thread, or the holder of a lock. All accesses are plain, so the model checker and the sanitizers detect a missing lock.
 *
 * Concurrency Kit's ck_queue.h is not used, for these reasons:
 *   - It has no doubly linked list with a tail. Half of the lists here append at the end and remove anywhere.
 *   - It accesses heads and links by inline assembly, which race detection does not see. With CK_USE_CC_BUILTINS these are
 *     volatile accesses, which it sees, but then each insertion makes a full fence where the processor may reorder stores.
 *   - That fence is for readers without a lock. No list here has such readers.
 *
 * The timer wheel has rings instead (wheel.c): a walk backwards in a ring needs no check for the end, and each of the wheel's
 * heads is one pointer. */
#ifndef TNI_LIST_H
#define TNI_LIST_H

#include <stddef.h>

typedef struct tni_list_node tni_list_node;
struct tni_list_node {
    tni_list_node *next; /* NULL: the last one */
    tni_list_node *prev; /* NULL: the first one */
};

/* All zero: an empty list. */
typedef struct {
    tni_list_node *first;
    tni_list_node *last;
} tni_list;

static inline void tni_list_append(tni_list *list, tni_list_node *node)
{
    node->next = NULL;
    node->prev = list->last;
    if (list->last != NULL)
        list->last->next = node;
    else
        list->first = node;
    list->last = node;
}

static inline void tni_list_prepend(tni_list *list, tni_list_node *node)
{
    node->prev = NULL;
    node->next = list->first;
    if (list->first != NULL)
        list->first->prev = node;
    else
        list->last = node;
    list->first = node;
}

/* The node is in this list. */
static inline void tni_list_remove(tni_list *list, tni_list_node *node)
{
    if (node->prev != NULL)
        node->prev->next = node->next;
    else
        list->first = node->next;
    if (node->next != NULL)
        node->next->prev = node->prev;
    else
        list->last = node->prev;
}

/* The list is not empty. Removes its first node and returns it. */
static inline tni_list_node *tni_list_take_first(tni_list *list)
{
    tni_list_node *node = list->first;

    list->first = node->next;
    if (list->first != NULL)
        list->first->prev = NULL;
    else
        list->last = NULL;
    return node;
}

#endif
