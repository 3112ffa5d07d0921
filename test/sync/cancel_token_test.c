/* SPDX-License-Identifier: MIT */
/* Cancellation tokens: the tree, waiters, hooks. */
/* ctest: timeout=120 */
#include <stdatomic.h>

#include "support/allocator.h"
#include "support/runtime.h"
#include "sync_support.h"

static tn_cancel_token *make(tn_cancel_token *parent)
{
    tn_cancel_token *token;

    tt_check(tn_cancel_token_create(&token, parent, NULL) == 0);
    return token;
}

Test(token, reaches_all_below_and_nobody_else)
{
    tn_cancel_token *root = make(NULL);
    tn_cancel_token *left = make(root);
    tn_cancel_token *right = make(root);
    tn_cancel_token *below = make(left);
    tn_cancel_token *deep = make(below);
    tn_cancel_token *late;

    tn_cancel_token_release(below); /* its child keeps it */
    tn_cancel_token_cancel(left);
    cr_assert(tn_cancel_token_is_cancelled(left) && tn_cancel_token_is_cancelled(deep));
    cr_assert(!tn_cancel_token_is_cancelled(root) && !tn_cancel_token_is_cancelled(right));
    tn_cancel_token_cancel(left);
    late = make(deep);
    cr_assert(tn_cancel_token_is_cancelled(late), "born cancelled");
    tn_cancel_token_release(late);
    tn_cancel_token_release(left);
    tn_cancel_token_cancel(root);
    cr_assert(tn_cancel_token_is_cancelled(right));
    tn_cancel_token_release(root);
    tn_cancel_token_release(right);
    tn_cancel_token_release(deep);
}

Test(token, wide_and_deep)
{
    enum { TOKENS = 3000 };
    static tn_cancel_token *tokens[TOKENS];
    tn_cancel_token *root = make(NULL);

    for (int i = 0; i < TOKENS; i++)
        tokens[i] = make(i == 0 || i % 3 == 0 ? root : tokens[i % 3 == 1 ? i - 1 : i / 2]);
    for (int i = 0; i < TOKENS; i += 7) {
        tn_cancel_token_release(tokens[i]);
        tokens[i] = NULL;
    }
    tn_cancel_token_cancel(root);
    for (int i = 0; i < TOKENS; i++) {
        cr_assert(tokens[i] == NULL || tn_cancel_token_is_cancelled(tokens[i]));
        tn_cancel_token_release(tokens[i]);
    }
    tn_cancel_token_release(root);
}

Test(token, waiters)
{
    tn_cancel_token *root = make(NULL);
    tn_cancel_token *child = make(root);
    tn_cancel_token_future futures[3];
    stand_in tasks[3];

    for (int i = 0; i < 3; i++) {
        stand_in_init(&tasks[i]);
        tn_cancel_token_wait_init(&futures[i], i == 0 ? root : child);
        cr_assert_eq(poll_by(&futures[i].base, &tasks[i]), TN_PENDING);
    }
    drop(&futures[1].base);
    tn_cancel_token_cancel(root);
    cr_assert(stand_in_woken(&tasks[0]) && !stand_in_woken(&tasks[1]) && stand_in_woken(&tasks[2]));
    cr_assert_eq(poll_by(&futures[0].base, &tasks[0]), 0);
    drop(&futures[0].base);
    drop(&futures[2].base); /* woken, and not polled since */
    cr_assert_eq(tn_cancel_token_wait(child), 0);
    tn_cancel_token_release(root);
    tn_cancel_token_release(child);
    for (int i = 0; i < 3; i++)
        cr_assert(stand_in_is_free(&tasks[i]));
}

typedef struct {
    tn_cancel_token_hook hook;
    int calls;
} counting_hook;

static void count_call(tn_cancel_token_hook *hook)
{
    tt_check(tn_cancel_token_is_cancelled(hook->token));
    ((counting_hook *)(void *)hook)->calls++;
}

Test(token, hooks)
{
    tn_cancel_token *token = make(NULL);
    counting_hook hooks[4];

    for (int i = 0; i < 4; i++) {
        hooks[i] = (counting_hook){.hook = {.call = count_call}};
        cr_assert_eq(tn_cancel_token_hook_add(token, &hooks[i].hook), 0);
    }
    cr_assert(tn_cancel_token_hook_remove(&hooks[3].hook)); /* the first, one in the middle, and one that is no longer there */
    cr_assert(tn_cancel_token_hook_remove(&hooks[1].hook));
    cr_assert(!tn_cancel_token_hook_remove(&hooks[1].hook));
    tn_cancel_token_cancel(token);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(hooks[i].calls, i % 2 == 0);
        cr_assert(!tn_cancel_token_hook_remove(&hooks[i].hook));
    }
    cr_assert_eq(tn_cancel_token_hook_add(token, &hooks[1].hook), TN_ECANCELED);
    cr_assert_eq(hooks[1].calls, 0);
    tn_cancel_token_release(token);
}

Test(token, memory)
{
    tt_allocator allocator;
    tn_cancel_token *root;
    tn_cancel_token *child;

    tt_allocator_init(&allocator);
    cr_assert_eq(tn_cancel_token_create(&root, NULL, &allocator.as_option), 0);
    tt_allocator_fail(&allocator, 1, 1);
    cr_assert_eq(tn_cancel_token_create(&child, root, NULL), TN_ENOMEM);
    cr_assert_eq(tn_cancel_token_create(&child, root, NULL), 0);
    tn_cancel_token_release(root);
    cr_assert_eq(atomic_load(&allocator.blocks), 2, "the child keeps its parent");
    tn_cancel_token_release(child);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}

/* --- All at once ------------------------------------------------------------------------------------------------------------ */

static struct {
    tn_cancel_token *root;
    atomic_ulong told;
} forest;

/* Makes children, cancels some and waits for one, until the root is cancelled. */
static void *live_under_it(void *arg)
{
    uintptr_t kind = (uintptr_t)arg;
    tn_cancel_token *mine = make(forest.root);

    while (!tn_cancel_token_is_cancelled(forest.root)) {
        tn_cancel_token *child = make(mine);
        tn_cancel_token *grandchild = make(child);
        counting_hook hook = {.hook = {.call = count_call}};
        int rc = tn_cancel_token_hook_add(grandchild, &hook.hook);
        if (kind % 3 == 0)
            tn_cancel_token_cancel(child);
        if (kind % 3 == 1)
            tn_cancel_token_release(child);
        if (tn_cancel_token_hook_remove(&hook.hook))
            tt_check(rc == 0 && hook.calls == 0);
        else
            tt_check(hook.calls == (rc == 0));
        tn_cancel_token_release(grandchild);
        if (kind % 3 != 1)
            tn_cancel_token_release(child);
        (void)tn_yield();
    }
    if (tn_cancel_token_wait(mine) == 0)
        atomic_fetch_add(&forest.told, 1);
    tn_cancel_token_release(mine);
    return NULL;
}

static void *wait_for_it(void *arg)
{
    tn_cancel_token *mine = make(forest.root);

    (void)arg;
    tt_check(tn_cancel_token_wait(mine) == 0);
    atomic_fetch_add(&forest.told, 1);
    tn_cancel_token_release(mine);
    return NULL;
}

Test(token, made_waited_for_and_cancelled_at_once)
{
    enum { CROWD = 12 };
    tn_runtime *runtime = tt_runtime_create();

    for (unsigned long round = 0; round < tt_scaled(60); round++) {
        tn_task *tasks[CROWD];
        atomic_store(&forest.told, 0);
        forest.root = make(NULL);
        for (uintptr_t i = 0; i < CROWD; i++)
            tasks[i] = tt_spawn_on(runtime, i % 2 == 0 ? live_under_it : wait_for_it, (void *)(i / 2));
        for (unsigned long i = 0; i < round % 5; i++)
            tn_yield();
        tn_cancel_token_cancel(forest.root);
        for (int i = 0; i < CROWD; i++)
            tt_join(tasks[i]);
        cr_assert_eq(atomic_load(&forest.told), CROWD);
        tn_cancel_token_release(forest.root);
    }
    tt_runtime_destroy(runtime);
}
