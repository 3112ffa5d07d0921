/* SPDX-License-Identifier: MIT */
/* Cancel scopes that are cancelled by a token: the token's hook cancels the scope.
 *
 * The scope's end function removes the hook, and waits for a call of it, whether the scope is left or its fiber abandoned. So
 * the canceller never accesses a scope that is gone. */
#include <tn/cancel_token.h>

#include "scope/scope.h"

static void cancel_scope(tn_cancel_token_hook *hook)
{
    tni_scope_cancel((tni_scope *)(void *)&tni_container_of(hook, tn_cancel_token_scope, hook)->scope);
}

static void remove_hook(tn_scope *scope, bool abandoned)
{
    (void)abandoned;
    (void)tn_cancel_token_hook_remove(&tni_container_of(scope, tn_cancel_token_scope, scope)->hook);
}

void tn_cancel_token_scope_enter(tn_cancel_token_scope *scope, uint64_t deadline_ns, tn_cancel_token *token)
{
    tn_scope_enter(&scope->scope, deadline_ns);
    tni_scope_set_origin(&scope->scope, TNI_SCOPE_OF_TOKEN, __builtin_return_address(0));
    scope->hook.call = cancel_scope;
    tni_scope_on_end(&scope->scope, remove_hook);
    if (tn_cancel_token_hook_add(token, &scope->hook) != 0)
        tn_scope_cancel(&scope->scope);
}

void tn_cancel_token_scope_leave(tn_cancel_token_scope *scope)
{
    tn_scope_leave(&scope->scope);
}
