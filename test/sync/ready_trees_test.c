/* SPDX-License-Identifier: MIT */
/* Random trees of futures that wait for others, under a deadline that is over. A ready tree is never late, and any other is
 * late, whatever is left of the task's budget. In a fiber, a stackless task and a plain thread. */
/* ctest: timeout=120 */
#include <limits.h>
#include <stdio.h>

#include "sync_support.h"

enum { TREES = 20000, DEPTH = 4, WIDTH = 3, NODES = 256, PAST_NS = 1, PERMITS = 1000000, NOT_READY = INT_MIN, CHOICE = 100 };

/* --- What the trees are made of --------------------------------------------------------------------------------------------- */

typedef struct node node;
struct node {
    int expected; /* what it returns, or NOT_READY */
    unsigned count;
    node *children[WIDTH];
    tn_future *list[WIDTH]; /* the children */
    int results[WIDTH];
    union {
        tn_future base; /* of a user's future */
        tn_semaphore_future permit;
        tn_notify_future note;
        tn_sleep_future sleep;
        tn_timeout_future timeout;
        tn_select_future select;
        tn_join_all_future all;
        tn_future_set_future next;
    } as;
    tn_future_set *set; /* or NULL */
    int operations;     /* ready ones that are not done yet */
};

static tn_runtime *runtime;
static tn_semaphore semaphore;
static tn_notify nobody_notifies;
static node nodes[NODES];
static unsigned used;
static uint64_t seed = 1;

static unsigned draw(unsigned below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % below;
}

static tn_future *make_permit(node *n)
{
    tn_semaphore_acquire_init(&n->as.permit, &semaphore, 1);
    return &n->as.permit.base;
}

static tn_future *make_sleep(node *n)
{
    tn_sleep_init(&n->as.sleep, PAST_NS);
    return &n->as.sleep.base;
}

static tn_future *make_note(node *n)
{
    n->expected = NOT_READY;
    tn_notify_wait_init(&n->as.note, &nobody_notifies);
    return &n->as.note.base;
}

/* Does a number of ready operations, then is ready. */
static int operations_poll(tn_future *self, tn_waker *waker)
{
    node *n = tni_container_of(self, node, as.base);

    for (; n->operations > 0; n->operations--) {
        tn_sleep_future past;
        tn_sleep_init(&past, PAST_NS);
        if (tn_future_poll(&past.base, waker) == TN_PENDING)
            return TN_PENDING;
    }
    return 0;
}

static void drop_nothing(tn_future *self)
{
    (void)self;
}

static tn_future *make_operations(node *n)
{
    static const tn_future_ops ops = {operations_poll, drop_nothing, "operations"};
    bool endless = draw(2) == 0;

    n->expected = endless ? NOT_READY : 0;
    n->operations = endless ? INT_MAX : (int)draw(TNI_BUDGET / 2);
    n->as.base.ops = &ops;
    return &n->as.base;
}

static tn_future *(*const leaves[])(node *n) = {make_permit, make_sleep, make_note, make_operations};

/* What a user's poll leaves of the budget it has not for the next one: there are no operations below it. */
enum { LEAVES = sizeof leaves / sizeof leaves[0], LEAVES_BELOW_CHOICE = LEAVES - 1 };

/* --- How the trees are put together ----------------------------------------------------------------------------------------- */

static tn_future *make_timeout(node *n)
{
    int inner = n->children[0]->expected;

    n->expected = inner;
    switch (draw(3)) {
    case 0:
        tn_timeout_init(&n->as.timeout, n->list[0], TN_NEVER);
        return &n->as.timeout.base;
    case 1:
        tn_timeout_init(&n->as.timeout, n->list[0], PAST_NS);
        break;
    default:
        tn_timeout_for_init(&n->as.timeout, n->list[0], 0);
        break;
    }
    if (inner == NOT_READY)
        n->expected = TN_ETIMEDOUT;
    return &n->as.timeout.base;
}

static unsigned first_ready(const node *n)
{
    unsigned i = 0;

    while (i < n->count && n->children[i]->expected == NOT_READY)
        i++;
    return i;
}

static tn_future *make_select(node *n)
{
    unsigned first = first_ready(n);

    n->expected = first < n->count ? (int)first : NOT_READY;
    tn_select_init_biased(&n->as.select, n->list, n->count);
    return &n->as.select.base;
}

static tn_future *make_join(node *n)
{
    for (unsigned i = 0; i < n->count; i++)
        if (n->children[i]->expected == NOT_READY)
            n->expected = NOT_READY;
    tn_join_all_init(&n->as.all, n->list, n->results, n->count);
    return &n->as.all.base;
}

static tn_future *make_set(node *n)
{
    n->expected = first_ready(n) < n->count ? 1 : NOT_READY;
    tt_check(tn_future_set_create(&n->set, runtime) == 0);
    for (unsigned i = 0; i < n->count; i++)
        tt_check(tn_future_set_add(n->set, n->list[i], NULL, NULL) == 0);
    tn_future_set_next_init(&n->as.next, n->set);
    return &n->as.next.base;
}

static int choice_poll(tn_future *self, tn_waker *waker)
{
    node *n = tni_container_of(self, node, as.base);

    for (unsigned i = 0; i < n->count; i++)
        if (tn_future_poll(n->list[i], waker) != TN_PENDING)
            return CHOICE + (int)i;
    return TN_PENDING;
}

static tn_future *make_choice(node *n)
{
    static const tn_future_ops ops = {choice_poll, drop_nothing, "choice"};
    unsigned first = first_ready(n);

    n->expected = first < n->count ? CHOICE + (int)first : NOT_READY;
    n->as.base.ops = &ops;
    return &n->as.base;
}

static tn_future *(*const branches[])(node *n) = {make_timeout, make_select, make_join, make_set, make_choice};

enum { BRANCHES = sizeof branches / sizeof branches[0] };

static tn_future *make(unsigned depth, unsigned leaf_kinds, node **out)
{
    unsigned kind = draw(BRANCHES + 2);
    node *n = &nodes[used++];

    *n = (node){0};
    *out = n;
    if (depth == 0 || kind >= BRANCHES)
        return leaves[draw(leaf_kinds)](n);
    n->count = 1 + draw(WIDTH);
    if (branches[kind] == make_choice)
        leaf_kinds = LEAVES_BELOW_CHOICE;
    for (unsigned i = 0; i < n->count; i++)
        n->list[i] = make(depth - 1, leaf_kinds, &n->children[i]);
    return branches[kind](n);
}

/* Starts at the root: a set drops its members, and nothing is dropped twice. */
static void clean(node *n)
{
    tn_future_set_destroy(n->set);
    for (unsigned i = 0; i < n->count; i++)
        clean(n->children[i]);
    if (n->as.base.ops != NULL && n->expected == NOT_READY && n->count == 0)
        drop(&n->as.base);
}

static void print(const node *n, int depth)
{
    fprintf(stderr, "%*s%s: %d\n", 2 * depth, "", n->as.base.ops->name, n->expected);
    for (unsigned i = 0; i < n->count; i++)
        print(n->children[i], depth + 1);
}

static void check(node *root, int rc)
{
    if (rc != (root->expected == NOT_READY ? TN_ETIMEDOUT : root->expected)) {
        fprintf(stderr, "answered %d\n", rc);
        print(root, 0);
        abort();
    }
    clean(root);
    used = 0;
    tn_semaphore_release(&semaphore, PERMITS - tn_semaphore_available(&semaphore));
}

/* --- The tasks -------------------------------------------------------------------------------------------------------------- */

static void await_tree(void)
{
    node *root;
    tn_future *future = make(DEPTH, LEAVES, &root);
    tn_scope scope;
    int rc;

    tn_scope_enter(&scope, PAST_NS);
    rc = tn_await(future);
    tn_scope_leave(&scope);
    check(root, rc);
}

static void prepare(void)
{
    tn_semaphore_init(&semaphore, PERMITS);
    tn_notify_init(&nobody_notifies);
}

static void *in_fiber(void *arg)
{
    runtime = tn_runtime_current();
    prepare();
    for (unsigned long i = 0; i < tt_scaled(TREES); i++) {
        tt_check(tn_yield() == 0);
        for (unsigned units = draw(TNI_BUDGET + 1); units > 0; units--) {
            tn_sleep_future past;
            tn_sleep_init(&past, PAST_NS);
            tt_check(tn_await(&past.base) == 0);
        }
        await_tree();
    }
    tn_semaphore_fini(&semaphore);
    return arg;
}

Test(ready_trees, in_a_fiber)
{
    tt_run(in_fiber, NULL);
}

Test(ready_trees, in_a_plain_thread)
{
    runtime = tt_runtime_create();
    prepare();
    for (unsigned long i = 0; i < tt_scaled(TREES); i++)
        await_tree();
    tn_semaphore_fini(&semaphore);
    tt_runtime_destroy(runtime);
}

/* Finds some operations ready, then waits for the tree. */
typedef struct {
    tn_future base;
    node first;
    tn_timeout_future rest;
} stackless;

static int stackless_poll(tn_future *self, tn_waker *waker)
{
    stackless *s = tni_container_of(self, stackless, base);

    if (tn_future_poll(&s->first.as.base, waker) == TN_PENDING)
        return TN_PENDING;
    return tn_future_poll(&s->rest.base, waker);
}

static void stackless_drop(tn_future *self)
{
    drop(&tni_container_of(self, stackless, base)->rest.base);
}

static void *spawn_trees(void *arg)
{
    static const tn_future_ops ops = {stackless_poll, stackless_drop, "operations, then a tree"};

    runtime = tn_runtime_current();
    prepare();
    for (unsigned long i = 0; i < tt_scaled(TREES); i++) {
        stackless s = {.base = {&ops}};
        node *root;
        tn_future *future = make(DEPTH, LEAVES, &root);
        tn_task *task;
        (void)make_operations(&s.first);
        s.first.operations = (int)draw(TNI_BUDGET + 1);
        tn_timeout_init(&s.rest, future, PAST_NS);
        tt_check(tn_spawn_future(NULL, NULL, &task, &s.base) == 0);
        check(root, (int)(intptr_t)tt_join(task));
    }
    tn_semaphore_fini(&semaphore);
    return arg;
}

Test(ready_trees, in_a_stackless_task)
{
    tt_run(spawn_trees, NULL);
}
