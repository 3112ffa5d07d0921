/* SPDX-License-Identifier: MIT */
/* Tokens that several threads cancel at once, and hooks that cancel tokens: what holds when tn_cancel_token_cancel returns. */
/* ctest: timeout=120 */
#include <stdatomic.h>
#include <string.h>

#include "support/runtime.h"
#include "sync_support.h"

static tn_cancel_token *make(tn_cancel_token *parent)
{
    tn_cancel_token *token;

    tt_check(tn_cancel_token_create(&token, parent, NULL) == 0);
    return token;
}

/* --- While a hook is in its call -------------------------------------------------------------------------------------------- */

/* A root, a child, two leaves. The first leaf has two hooks; the one that is called first waits in its call. */
typedef struct {
    tn_cancel_token_hook waits;
    tn_cancel_token_hook counts;
    tn_cancel_token *root;
    tn_cancel_token *child;
    tn_cancel_token *leaves[2];
    tt_gate begun;
    tt_gate end;
    atomic_int calls; /* of `counts` */
    atomic_bool removed;
} tree;

static void wait_in_call(tn_cancel_token_hook *hook)
{
    tree *t = tni_container_of(hook, tree, waits);

    tt_gate_open(&t->begun);
    tt_gate_wait(&t->end, 1);
}

static void count_call(tn_cancel_token_hook *hook)
{
    atomic_fetch_add(&tni_container_of(hook, tree, counts)->calls, 1);
}

static void plant(tree *t)
{
    *t = (tree){.waits = {.call = wait_in_call}, .counts = {.call = count_call}, .begun = TT_GATE_INIT, .end = TT_GATE_INIT};
    t->root = make(NULL);
    t->child = make(t->root);
    t->leaves[1] = make(t->child);
    t->leaves[0] = make(t->child); /* the first child to be visited */
    cr_assert_eq(tn_cancel_token_hook_add(t->leaves[0], &t->counts), 0);
    cr_assert_eq(tn_cancel_token_hook_add(t->leaves[0], &t->waits), 0); /* the first hook to be called */
}

static void fell(tree *t)
{
    tn_cancel_token_release(t->leaves[0]);
    tn_cancel_token_release(t->leaves[1]);
    tn_cancel_token_release(t->child);
    tn_cancel_token_release(t->root);
}

static void *cancel_child(void *arg)
{
    tn_cancel_token_cancel(((tree *)arg)->child);
    return NULL;
}

/* Another thread is in the first hook. When this returns, all else is cancelled and woken. */
static void *cancel_root(void *arg)
{
    tree *t = arg;

    tn_cancel_token_cancel(t->root);
    tt_check(tn_cancel_token_is_cancelled(t->root) && tn_cancel_token_is_cancelled(t->child));
    tt_check(tn_cancel_token_is_cancelled(t->leaves[0]) && tn_cancel_token_is_cancelled(t->leaves[1]));
    tt_check(tn_cancel_token_wait(t->leaves[1]) == 0);
    tt_check(atomic_load(&t->calls) == 1);
    tt_check(!tn_cancel_token_hook_remove(&t->counts));
    return NULL;
}

static void cancel_beside_hook(void *(*run)(void *arg))
{
    tree t;
    pthread_t thread;

    plant(&t);
    thread = tt_thread_start(cancel_child, &t);
    tt_gate_wait(&t.begun, 1);
    (void)run(&t);
    tt_gate_open(&t.end);
    tt_thread_join(thread);
    cr_assert_not(tn_cancel_token_hook_remove(&t.waits));
    cr_assert_eq(atomic_load(&t.calls), 1);
    fell(&t);
}

Test(token_overlap, cancels_what_another_thread_is_cancelling)
{
    cancel_beside_hook(cancel_root);
}

static void *cancel_root_in_fiber(void *arg)
{
    run_on_one_worker(cancel_root, arg);
    return NULL;
}

Test(token_overlap, a_fiber_waits_for_no_hook)
{
    cancel_beside_hook(cancel_root_in_fiber);
}

static void *remove_waiting(void *arg)
{
    tree *t = arg;

    tt_check(!tn_cancel_token_hook_remove(&t->waits));
    atomic_store(&t->removed, true);
    tt_check(tt_gate_opened(&t->end) > 0); /* the call is over */
    return NULL;
}

Test(token_overlap, a_hook_in_its_call_is_waited_for)
{
    tree t;
    pthread_t canceller;
    pthread_t remover;

    plant(&t);
    canceller = tt_thread_start(cancel_child, &t);
    tt_gate_wait(&t.begun, 1);
    remover = tt_thread_start(remove_waiting, &t);
    tt_block_thread(5 * TN_MS);
    cr_assert_not(atomic_load(&t.removed));
    tt_gate_open(&t.end);
    tt_thread_join(remover);
    memset(&t.waits, 0, sizeof t.waits);
    tt_thread_join(canceller);
    cr_assert_not(tn_cancel_token_hook_remove(&t.counts));
    fell(&t);
}

/* --- In a hook -------------------------------------------------------------------------------------------------------------- */

static struct {
    tn_cancel_token *root;       /* above the hook's token */
    tn_cancel_token *side;       /* beside it */
    tn_cancel_token *other;      /* in another tree */
    tn_cancel_token_hook second; /* of the same token, called later */
    int calls;
} near;

static void cancel_all_around(tn_cancel_token_hook *hook)
{
    tn_cancel_token *child = make(hook->token);

    near.calls++;
    tt_check(tn_cancel_token_hook_remove(&near.second));
    tt_check(tn_cancel_token_hook_add(hook->token, &near.second) == TN_ECANCELED);
    tt_check(tn_cancel_token_is_cancelled(child));
    tn_cancel_token_release(child);
    tn_cancel_token_cancel(hook->token);
    tn_cancel_token_cancel(near.root);
    tt_check(tn_cancel_token_is_cancelled(near.root) && tn_cancel_token_is_cancelled(near.side));
    tn_cancel_token_cancel(near.other);
    tt_check(tn_cancel_token_is_cancelled(near.other));
    tn_cancel_token_release(near.other); /* the last reference */
}

Test(token_overlap, a_hook_may_use_tokens)
{
    tn_cancel_token_hook hook = {.call = cancel_all_around};
    tn_cancel_token *token;

    near.root = make(NULL);
    near.side = make(near.root);
    near.other = make(NULL);
    token = make(near.root);
    near.second.call = cancel_all_around;
    cr_assert_eq(tn_cancel_token_hook_add(token, &near.second), 0);
    cr_assert_eq(tn_cancel_token_hook_add(token, &hook), 0); /* the first to be called */
    tn_cancel_token_cancel(token);
    cr_assert_eq(near.calls, 1);
    cr_assert_not(tn_cancel_token_hook_remove(&hook));
    cr_assert_eq(tn_cancel_token_hook_add(token, &hook), TN_ECANCELED);
    tn_cancel_token_release(token);
    tn_cancel_token_release(near.side);
    tn_cancel_token_release(near.root);
}

static void remove_itself(tn_cancel_token_hook *hook)
{
    (void)tn_cancel_token_hook_remove(hook);
}

static void run_remove_itself(void *arg)
{
    tn_cancel_token_hook hook = {.call = remove_itself};
    tn_cancel_token *token = make(NULL);

    (void)arg;
    (void)tn_cancel_token_hook_add(token, &hook);
    tn_cancel_token_cancel(token);
}

Test(token_overlap, a_hook_cannot_remove_itself)
{
    tt_child child = tt_fork(run_remove_itself, NULL);

    cr_assert(tt_child_aborted(&child, "tn_cancel_token_hook_remove: called by the hook itself"));
}

/* --- Many at once ----------------------------------------------------------------------------------------------------------- */

enum { FAN = 3, NODES = 1 + FAN + FAN * FAN + FAN * FAN * FAN, CANCELLERS = 6 };

typedef struct {
    tn_cancel_token_hook hook;
    atomic_int calls;
    tn_cancel_token *token;
} node;

typedef struct {
    node nodes[NODES]; /* a heap: the children of i are FAN * i + 1 and those that follow */
    atomic_uint ready;
    atomic_bool over;
} forest;

static void count_node(tn_cancel_token_hook *hook)
{
    node *n = tni_container_of(hook, node, hook);

    tt_check(tn_cancel_token_is_cancelled(n->token));
    atomic_fetch_add(&n->calls, 1);
}

static bool is_below(unsigned i, unsigned top)
{
    while (i > top)
        i = (i - 1) / FAN;
    return i == top;
}

typedef struct {
    forest *forest;
    unsigned top;
} canceller;

static void *cancel_part(void *arg)
{
    canceller *c = arg;
    forest *f = c->forest;

    atomic_fetch_add(&f->ready, 1);
    while (atomic_load(&f->ready) < CANCELLERS)
        (void)tn_yield();
    tn_cancel_token_cancel(f->nodes[c->top].token);
    for (unsigned i = c->top; i < NODES; i++) {
        if (!is_below(i, c->top))
            continue;
        tt_check(tn_cancel_token_is_cancelled(f->nodes[i].token));
        tt_check(!tn_cancel_token_hook_remove(&f->nodes[i].hook));
        tt_check(atomic_load(&f->nodes[i].calls) == 1);
    }
    return NULL;
}

/* Creates children meanwhile. */
static void *bear_children(void *arg)
{
    forest *f = arg;

    for (unsigned i = 0; !atomic_load(&f->over); i = (i + 7) % NODES) {
        bool before = tn_cancel_token_is_cancelled(f->nodes[i].token);
        tn_cancel_token *child = make(f->nodes[i].token);
        if (before)
            tt_check(tn_cancel_token_is_cancelled(child));
        tn_cancel_token_release(child);
        (void)tn_yield();
    }
    return NULL;
}

static void cancel_forest(tn_runtime *runtime, unsigned long round)
{
    static const unsigned tops[CANCELLERS] = {0, 1, 2, 4, 0, 1};
    forest f = {.ready = 0};
    canceller cancellers[CANCELLERS];
    tn_task *tasks[CANCELLERS];
    tn_task *bearer;

    for (unsigned i = 0; i < NODES; i++) {
        f.nodes[i] = (node){.hook = {.call = count_node}, .token = make(i == 0 ? NULL : f.nodes[(i - 1) / FAN].token)};
        cr_assert_eq(tn_cancel_token_hook_add(f.nodes[i].token, &f.nodes[i].hook), 0);
    }
    bearer = tt_spawn_on(runtime, bear_children, &f);
    for (unsigned i = 0; i < CANCELLERS; i++) {
        cancellers[i] = (canceller){&f, tops[(i + round) % CANCELLERS]};
        if (i > 0)
            tasks[i] = tt_spawn_on(runtime, cancel_part, &cancellers[i]);
    }
    (void)cancel_part(&cancellers[0]); /* a plain thread */
    for (unsigned i = 1; i < CANCELLERS; i++)
        tt_join(tasks[i]);
    atomic_store(&f.over, true);
    tt_join(bearer);
    for (unsigned i = 0; i < NODES; i++) {
        cr_assert_eq(atomic_load(&f.nodes[i].calls), 1);
        tn_cancel_token_release(f.nodes[i].token);
    }
}

Test(token_overlap, many_cancel_overlapping_parts)
{
    tn_runtime *runtime = tt_runtime_create();

    for (unsigned long round = 0; round < tt_scaled(400); round++)
        cancel_forest(runtime, round);
    tt_runtime_destroy(runtime);
}
