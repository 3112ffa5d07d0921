/* SPDX-License-Identifier: MIT */
/* Tokens: cancelling against waits, hooks, children that are created, tokens that are released, and other cancellers. */
#include <tn/cancel_token.h>

#include "sleeper.h"

typedef struct {
    tn_cancel_token_hook hook; /* first */
    tn_cancel_token *root;
    tn_cancel_token *child;
    tn_cancel_token *leaves[2]; /* below the child */
    uint32_t data;              /* plain: written before the cancellation */
    tni_a32 calls;              /* of the hook */
    uint32_t inside;            /* plain: written while the hook runs */
    tni_a32 step;               /* 1: the hook has begun; 2: it may end */
    bool added;
} tree;

static void root(void *state)
{
    model_check(tn_cancel_token_create(&((tree *)state)->root, NULL, NULL) == 0);
}

static void root_and_child(void *state)
{
    tree *t = state;

    root(state);
    model_check(tn_cancel_token_create(&t->child, t->root, NULL) == 0);
}

/* The child has two owners. */
static void root_and_shared_child(void *state)
{
    root_and_child(state);
    (void)tn_cancel_token_retain(((tree *)state)->child);
}

static void call(tn_cancel_token_hook *hook)
{
    tree *t = (tree *)(void *)hook;

    t->inside++;
    model_check(t->data == 1);
    (void)tni_a32_fetch_add(&t->calls, 1, TNI_RELAXED);
}

static void hooked(void *state)
{
    tree *t = state;

    root(state);
    t->hook.call = call;
    model_check(tn_cancel_token_hook_add(t->root, &t->hook) == 0);
}

/* The first leaf has the hook, and is the first to be visited. */
static void leaves_with(tree *t, void (*fn)(tn_cancel_token_hook *hook))
{
    root_and_child(t);
    for (unsigned i = 2; i-- > 0;)
        model_check(tn_cancel_token_create(&t->leaves[i], t->child, NULL) == 0);
    t->data = 1;
    t->hook.call = fn;
    model_check(tn_cancel_token_hook_add(t->leaves[0], &t->hook) == 0);
}

static void hooked_leaves(void *state)
{
    leaves_with(state, call);
}

static void cancel_root_and_call(tn_cancel_token_hook *hook)
{
    tree *t = (tree *)(void *)hook;

    tn_cancel_token_cancel(t->root);
    model_check(tn_cancel_token_is_cancelled(t->leaves[1]));
    call(hook);
}

static void go_to_step(tree *t, uint32_t step)
{
    tni_a32_store(&t->step, step, TNI_RELEASE);
    tni_futex_wake(&t->step, 2);
}

static void wait_for_step(tree *t, uint32_t step)
{
    uint32_t at;

    while ((at = tni_a32_load(&t->step, TNI_ACQUIRE)) < step)
        tni_futex_wait(&t->step, at, TNI_FOREVER);
}

static void call_in_steps(tn_cancel_token_hook *hook)
{
    tree *t = (tree *)(void *)hook;

    go_to_step(t, 1);
    wait_for_step(t, 2);
    call(hook);
}

static void leaves_whose_hook_waits(void *state)
{
    leaves_with(state, call_in_steps);
}
static void leaves_whose_hook_cancels(void *state)
{
    leaves_with(state, cancel_root_and_call);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void cancel(void *state)
{
    tree *t = state;

    t->data = 1;
    tn_cancel_token_cancel(t->root);
}

static void cancel_again(void *state)
{
    tn_cancel_token_cancel(((tree *)state)->root);
}
static void cancel_child(void *state)
{
    tn_cancel_token_cancel(((tree *)state)->child);
}

static void wait(void *state)
{
    tree *t = state;

    model_check(tn_cancel_token_wait(t->root) == 0);
    model_check(t->data == 1);
}

static void wait_for_child(void *state)
{
    tree *t = state;

    model_check(tn_cancel_token_wait(t->child) == 0);
    tn_cancel_token_release(t->child);
}

static void wait_cancelled(void *state)
{
    tree *t = state;
    tn_cancel_token_future future;

    tn_cancel_token_wait_init(&future, t->root);
    if (sleeper_cancelled(&future.base) == 0)
        model_check(t->data == 1);
}

/* Created cancelled, or cancelled with its parent. */
static void bear(void *state)
{
    tree *t = state;
    tn_cancel_token *child;

    model_check(tn_cancel_token_create(&child, t->root, NULL) == 0);
    model_check(tn_cancel_token_wait(child) == 0);
    tn_cancel_token_release(child);
}

/* Created cancelled, or cancelled when the others have returned. */
static void bear_for_the_end(void *state)
{
    tree *t = state;

    model_check(tn_cancel_token_create(&t->child, t->root, NULL) == 0);
}

/* Created and released while its parent is cancelled. */
static void bear_and_release(void *state)
{
    tree *t = state;
    tn_cancel_token *child;

    model_check(tn_cancel_token_create(&child, t->root, NULL) == 0);
    tn_cancel_token_release(child);
}

static void cancel_child_and_release(void *state)
{
    cancel_child(state);
    tn_cancel_token_release(((tree *)state)->child);
}

static void release_child(void *state)
{
    tn_cancel_token_release(((tree *)state)->child);
}

/* If the hook is removed it never runs, else it has run: in both cases it does not run any more. */
static void remove_hook(void *state)
{
    tree *t = state;
    bool linked = tn_cancel_token_hook_remove(&t->hook);

    model_check(linked == (tni_a32_load(&t->calls, TNI_RELAXED) == 0));
    t->inside++;
}

/* If the hook is added before the cancellation it runs, else it is refused. */
static void add_hook(void *state)
{
    tree *t = state;
    int rc;

    t->hook.call = call;
    rc = tn_cancel_token_hook_add(t->root, &t->hook);
    model_check(rc == 0 || rc == TN_ECANCELED);
    t->added = rc == 0;
}

/* Whichever other thread cancels too: when this returns, all tokens below are cancelled, and the hook can no longer be
 * removed. */
static void cancel_and_look(tree *t, tn_cancel_token *token)
{
    tn_cancel_token_cancel(token);
    model_check(tn_cancel_token_is_cancelled(t->child) && tn_cancel_token_is_cancelled(t->leaves[0]) &&
                tn_cancel_token_is_cancelled(t->leaves[1]));
    model_check(!tn_cancel_token_hook_remove(&t->hook));
    model_check(tni_a32_load(&t->calls, TNI_RELAXED) == 1);
}

static void cancel_root_and_look(void *state)
{
    cancel_and_look(state, ((tree *)state)->root);
}
static void cancel_child_and_look(void *state)
{
    cancel_and_look(state, ((tree *)state)->child);
}

/* The other thread is in the hook's call, and continues only after this. */
static void cancel_root_beside_hook(void *state)
{
    tree *t = state;

    wait_for_step(t, 1);
    tn_cancel_token_cancel(t->root);
    model_check(tn_cancel_token_is_cancelled(t->leaves[1]));
    go_to_step(t, 2);
}

/* The owner of a leaf releases it meanwhile. */
static void release_leaf(void *state)
{
    tn_cancel_token_release(((tree *)state)->leaves[1]);
}

static void cancel_root_and_look_at_hook(void *state)
{
    tree *t = state;

    tn_cancel_token_cancel(t->root);
    model_check(!tn_cancel_token_hook_remove(&t->hook));
}

static void finish(void *state)
{
    tree *t = state;

    model_check(tn_cancel_token_is_cancelled(t->root));
    tn_cancel_token_release(t->root);
}

static void finish_hook_leaf(void *state)
{
    tree *t = state;

    model_check(tni_a32_load(&t->calls, TNI_RELAXED) == 1 && tn_cancel_token_is_cancelled(t->root));
    tn_cancel_token_release(t->leaves[0]);
    tn_cancel_token_release(t->child);
    tn_cancel_token_release(t->root);
}

static void finish_leaves(void *state)
{
    release_leaf(state);
    finish_hook_leaf(state);
}

static void called_or_refused(void *state)
{
    tree *t = state;

    model_check(tni_a32_load(&t->calls, TNI_RELAXED) == t->added);
    finish(state);
}

static void finish_child(void *state)
{
    model_check(tn_cancel_token_is_cancelled(((tree *)state)->child));
    release_child(state);
    tn_cancel_token_release(((tree *)state)->root);
}

#define CASE(what, preemptions, before, after, ...) \
    { \
        .name = "token." what, .state_bytes = sizeof(tree), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
        .finish = after, .no_chance = true \
    }

const model_scenario model_scenarios[] = {
    CASE("wait", 2, root, finish, cancel, wait),
    CASE("wait_two", 2, root, finish, cancel, wait, wait),
    CASE("wait_cancelled", 2, root, finish, cancel, wait_cancelled),
    CASE("two_cancel", 1, root, finish_child, cancel, cancel_again, bear_for_the_end),
    CASE("child", 2, root_and_child, finish, cancel, wait_for_child),
    CASE("child_born", 2, root, finish, cancel, bear),
    CASE("child_gone", 2, root_and_child, finish, cancel, release_child),
    CASE("child_born_gone", 2, root, finish, cancel, bear_and_release),
    CASE("child_cancelled", 2, root_and_child, finish_child, cancel, cancel_child),
    CASE("hook_remove", 2, hooked, finish, cancel, remove_hook),
    CASE("hook_add", 2, root, called_or_refused, cancel, add_hook),
    CASE("overlap", 1, hooked_leaves, finish_leaves, cancel_child, cancel_root_and_look),
    CASE("overlap_look", 1, hooked_leaves, finish_leaves, cancel_child_and_look, cancel_root_and_look),
    CASE("overlap_same", 1, hooked_leaves, finish_leaves, cancel_root_and_look, cancel_root_and_look),
    CASE("overlap_gone", 1, hooked_leaves, finish_hook_leaf, cancel_child, cancel_root_and_look_at_hook, release_leaf),
    CASE("overlap_wait", 1, root_and_shared_child, finish, cancel_child_and_release, cancel_again, wait_for_child),
    CASE("overlap_hook", 2, leaves_whose_hook_waits, finish_leaves, cancel_child, cancel_root_beside_hook),
    CASE("hook_cancels", 2, leaves_whose_hook_cancels, finish_leaves, cancel_child),
    CASE("hook_cancels_overlap", 1, leaves_whose_hook_cancels, finish_leaves, cancel_child, cancel_root_and_look),
    {0},
};
