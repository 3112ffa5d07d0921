/* Tokens: cancelling against waiting, hooks, children that are born and tokens that go. */
#include "tn_token.h"

#include "sleeper.h"

typedef struct {
    tn_token_hook hook; /* first */
    tn_token *root;
    tn_token *child;
    uint32_t data; /* plain: written before the cancellation */
    tni_a32 calls; /* of the hook */
    uint32_t inside; /* plain: while the hook runs */
    bool added;
} tree;

static void root(void *state)
{
    model_check(tn_token_create(&((tree *)state)->root, NULL, NULL) == 0);
}

static void root_and_child(void *state)
{
    tree *t = state;

    root(state);
    model_check(tn_token_create(&t->child, t->root, NULL) == 0);
}

static void call(tn_token_hook *hook)
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
    model_check(tn_token_hook_add(t->root, &t->hook) == 0);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------------- */

static void cancel(void *state)
{
    tree *t = state;

    t->data = 1;
    tn_token_cancel(t->root);
}

static void cancel_again(void *state) { tn_token_cancel(((tree *)state)->root); }
static void cancel_child(void *state) { tn_token_cancel(((tree *)state)->child); }

static void wait(void *state)
{
    tree *t = state;

    model_check(tn_token_wait(t->root) == 0);
    model_check(t->data == 1);
}

static void wait_for_child(void *state)
{
    tree *t = state;

    model_check(tn_token_wait(t->child) == 0);
    tn_token_release(t->child);
}

static void wait_cancelled(void *state)
{
    tree *t = state;
    tn_token_future future;

    tn_token_wait_init(&future, t->root);
    if (sleeper_cancelled(&future.base) == 0)
        model_check(t->data == 1);
}

/* Born cancelled, or cancelled with its parent. */
static void bear(void *state)
{
    tree *t = state;
    tn_token *child;

    model_check(tn_token_create(&child, t->root, NULL) == 0);
    model_check(tn_token_wait(child) == 0);
    tn_token_release(child);
}

/* Born, and gone, while its parent is cancelled. */
static void bear_and_release(void *state)
{
    tree *t = state;
    tn_token *child;

    model_check(tn_token_create(&child, t->root, NULL) == 0);
    tn_token_release(child);
}

static void release_child(void *state) { tn_token_release(((tree *)state)->child); }

/* Removed it never runs, or has run: either way it does not run any more. */
static void remove_hook(void *state)
{
    tree *t = state;
    bool linked = tn_token_hook_remove(&t->hook);

    model_check(linked == (tni_a32_load(&t->calls, TNI_RELAXED) == 0));
    t->inside++;
}

/* Added before the cancellation, and then it runs; or refused. */
static void add_hook(void *state)
{
    tree *t = state;
    int rc;

    t->hook.call = call;
    rc = tn_token_hook_add(t->root, &t->hook);
    model_check(rc == 0 || rc == TN_ECANCELED);
    t->added = rc == 0;
}

static void finish(void *state)
{
    tree *t = state;

    model_check(tn_token_is_cancelled(t->root));
    tn_token_release(t->root);
}

static void called_or_refused(void *state)
{
    tree *t = state;

    model_check(tni_a32_load(&t->calls, TNI_RELAXED) == t->added);
    finish(state);
}

static void finish_child(void *state)
{
    release_child(state);
    tn_token_release(((tree *)state)->root);
}

#define CASE(what, preemptions, before, after, ...) \
    {.name = "token." what, .state_bytes = sizeof(tree), .bound = preemptions, .setup = before, .threads = {__VA_ARGS__}, \
     .finish = after, .no_chance = true}

const model_scenario model_scenarios[] = {
    CASE("wait", 2, root, finish, cancel, wait),
    CASE("wait_two", 2, root, finish, cancel, wait, wait),
    CASE("wait_cancelled", 2, root, finish, cancel, wait_cancelled),
    CASE("two_cancel", 1, root, finish, cancel, cancel_again, bear),
    CASE("child", 2, root_and_child, finish, cancel, wait_for_child),
    CASE("child_born", 2, root, finish, cancel, bear),
    CASE("child_gone", 2, root_and_child, finish, cancel, release_child),
    CASE("child_born_gone", 2, root, finish, cancel, bear_and_release),
    CASE("child_cancelled", 2, root_and_child, finish_child, cancel, cancel_child),
    CASE("hook_remove", 2, hooked, finish, cancel, remove_hook),
    CASE("hook_add", 2, root, called_or_refused, cancel, add_hook),
    {0},
};
