/* A token as the cancellation of a scope: a hook that cancels it.
 *
 * Leaving the scope removes the hook first, which waits for a call of it. So the scope is never cancelled when it has been left,
 * and what the canceller touches is still there. */
#include "defs.h"
#include "tn_token.h"

static void cancel_scope(tn_token_hook *hook)
{
    tn_scope_cancel(&tni_container_of(hook, tn_token_scope, hook)->scope);
}

void tn_token_scope_enter(tn_token_scope *scope, uint64_t deadline_ns, tn_token *token)
{
    tn_scope_enter(&scope->scope, deadline_ns);
    scope->hook.call = cancel_scope;
    if (tn_token_hook_add(token, &scope->hook) != 0)
        tn_scope_cancel(&scope->scope);
}

void tn_token_scope_leave(tn_token_scope *scope)
{
    (void)tn_token_hook_remove(&scope->hook);
    tn_scope_leave(&scope->scope);
}
