/* SPDX-License-Identifier: MIT */
/* Cancel scopes: deadlines and cancellation. README.md ("Cancel scopes") has the argument. */
#include "scope/scope.h"

#include <stdio.h>

#include "base/order.h"
#include "scope/why.h"
#include "task/abandon.h"
#include "task/budget.h"
#include "time/deadline.h"
#include "time/timer.h"

/* --- Misuse ----------------------------------------------------------------------------------------------------------------- */

static uintptr_t magic_of(const tni_scope *scope)
{
    return (uintptr_t)scope ^ UINT64_C(0x73636f7065206f6b);
}

_Noreturn static void misuse(const tn_task *task, const char *what)
{
    char message[160];

    if (task == NULL)
        (void)snprintf(message, sizeof message, "a plain thread: %s", what);
    else
        (void)snprintf(message, sizeof message, "task %llu \"%s\": %s", (unsigned long long)task->id, task->name, what);
    tni_log_fatal(__FILE__, __LINE__, __func__, message);
}

void tni_scope_left_open(const tn_task *task)
{
    misuse(task, "its entry function returned inside a scope");
}

/* Whether the frame of a scope has returned. Such a frame is below the stack pointer, and later calls may have overwritten it.
 * Scopes elsewhere (on the heap, in a sanitizer's copy of the frame) are checked by their magic word alone. The frame address
 * marks the upper end of the current frame, so a scope in the current frame would look like one that has returned. Therefore
 * each function that inlines this one is noinline: its frame contains no scope. */
static inline bool frame_has_returned(const tni_scope *scope)
{
    const tn_task *task;

    if (scope->magic != magic_of(scope))
        return true;
    task = scope->owner;
    return task != NULL && (uintptr_t)scope < (uintptr_t)__builtin_frame_address(0) &&
           (uintptr_t)scope >= (uintptr_t)tni_stack_base(task->body.fiber.stack);
}

_Noreturn static void misuse_of_frame_by(const tn_task *task)
{
    misuse(task, "the frame of a scope has returned without leaving it");
}

_Noreturn static void misuse_of_frame(void)
{
    misuse_of_frame_by(tni_tls_get()->task);
}

__attribute__((noinline)) static void check_frame(const tni_scope *scope)
{
    if (tni_unlikely(frame_has_returned(scope)))
        misuse_of_frame();
}

/* --- Entering and leaving --------------------------------------------------------------------------------------------------- */

static inline tni_scope *impl_of(tn_scope *scope)
{
    return (tni_scope *)(void *)scope;
}

static inline tni_scope **top_of(tni_tls *local)
{
    if (local->task == NULL) {
        tni_assert(local->worker == NULL, "a scope in a hook of the runtime: only fibers and plain threads have scopes");
        return &local->scope;
    }
    tni_assert(local->task->kind == TNI_TASK_FIBER, "a scope in a poll function: tn_timeout_init bounds a future");
    return &local->task->body.fiber.scope;
}

static inline tni_scope *enter(tn_scope *public, uint64_t deadline_ns, bool shield, const void *site)
{
    tni_tls *local = tni_tls_get();
    tni_scope **top = top_of(local);
    tni_scope *scope = impl_of(public);
    tni_scope *parent = *top;

    if (parent != NULL) {
        check_frame(parent);
        if (!shield && parent->deadline_ns < deadline_ns)
            deadline_ns = parent->deadline_ns;
    }
    scope->magic = magic_of(scope);
    scope->parent = parent;
    scope->top = top;
    scope->owner = local->task;
    scope->deadline_ns = deadline_ns;
    tni_a32_init(&scope->state, 0);
    scope->shield = shield;
    scope->origin = TNI_SCOPE_PLAIN;
    tni_wait_init(&scope->waiter);
    scope->end = NULL;
    scope->site = site;
    *top = scope;
    return scope;
}

void tn_scope_enter(tn_scope *scope, uint64_t deadline_ns)
{
    (void)enter(scope, deadline_ns, false, __builtin_return_address(0));
}

void tn_scope_enter_for(tn_scope *scope, uint64_t timeout_ns)
{
    (void)enter(scope, tni_deadline_after(timeout_ns), false, __builtin_return_address(0));
}

void tn_shield_enter(tn_scope *scope, uint64_t deadline_ns)
{
    (void)enter(scope, deadline_ns, true, __builtin_return_address(0));
}

void tni_scope_set_origin(tn_scope *scope, tni_scope_origin origin, const void *site)
{
    impl_of(scope)->origin = (uint8_t)origin;
    impl_of(scope)->site = site;
}

void tni_scope_on_end(tn_scope *scope, tni_scope_end_fn end)
{
    impl_of(scope)->end = end;
}

static void unlink_from_source(tn_scope *public, bool abandoned)
{
    tni_scope *scope = impl_of(public);
    tni_cancel_source *source = scope->source;

    (void)abandoned;
    tni_os_mutex_lock(&source->lock);
    tni_list_remove(&source->scopes, &scope->node);
    tni_os_mutex_unlock(&source->lock);
}

/* Aborts: the scope that is left is not the innermost one, or not entered. */
_Noreturn static void refuse_to_leave(void)
{
    tni_tls *local = tni_tls_get();
    const tni_scope *top = *top_of(local);

    if (top != NULL)
        check_frame(top);
    misuse(local->task, "leaves a scope that is not the one it entered last");
}

void tn_scope_leave(tn_scope *public)
{
    tni_scope *scope = impl_of(public);

    if (tni_unlikely(scope->magic != magic_of(scope) || *scope->top != scope || scope->owner != tni_tls_get()->task))
        refuse_to_leave();
    *scope->top = scope->parent;
    scope->magic = 0;
    if (scope->end != NULL)
        scope->end(public, false);
}

tni_scope *tni_scopes_leave_task(const tn_task *task, tni_scope **top)
{
    for (tni_scope *scope = task->body.fiber.scope; scope != NULL; scope = scope->parent) {
        scope->owner = NULL;
        scope->top = top;
    }
    return task->body.fiber.scope;
}

/* The same for a fiber that does not run, called on another stack. It compares with the stack pointer, because the function that
 * suspended may have the scope in its own frame (with link-time optimization), or may have no frame pointer. */
static bool frame_of_suspended_has_returned(const tn_task *task, const tni_scope *scope)
{
    return scope->magic != magic_of(scope) ||
           (tni_abandon_is_on_stack(task, scope) && (uintptr_t)scope < (uintptr_t)task->body.fiber.context.sp);
}

void tni_scopes_abandon(const tn_task *task)
{
    for (tni_scope *scope = task->body.fiber.scope; scope != NULL; scope = scope->parent) {
        if (tni_unlikely(frame_of_suspended_has_returned(task, scope)))
            misuse_of_frame_by(task);
        if (scope->end != NULL)
            scope->end((tn_scope *)(void *)scope, true);
    }
}

/* --- Cancelling ------------------------------------------------------------------------------------------------------------- */

void tni_scope_cancel(tni_scope *scope)
{
    tn_task *owner = scope->owner;

    /* Publishes the canceller's writes; partner: tni_scope_check. It comes before the wake, so the run after the wake observes
     * it. */
    (void)tni_a32_fetch_or(&scope->state, TNI_SCOPE_CANCELLED, TNI_RELEASE);
    if (owner != NULL)
        tni_task_wake(owner);
    else
        (void)tni_wait_wake(&scope->waiter);
}

void tn_scope_cancel(tn_scope *scope)
{
    tni_assert(impl_of(scope)->magic == magic_of(impl_of(scope)), "tn_scope_cancel: the scope is not entered");
    tni_scope_cancel(impl_of(scope));
}

static void link_to_source(tni_scope *scope, tn_cancel_source *public)
{
    tni_cancel_source *source = tni_scope_source_of(public);

    scope->source = source;
    scope->origin = TNI_SCOPE_OF_SOURCE;
    scope->end = unlink_from_source;
    tni_os_mutex_lock(&source->lock);
    tni_list_prepend(&source->scopes, &scope->node);
    /* Relaxed, both: the source's lock orders them. */
    if (tni_a32_load(&source->cancelled, TNI_RELAXED) != 0)
        (void)tni_a32_fetch_or(&scope->state, TNI_SCOPE_CANCELLED, TNI_RELAXED);
    tni_os_mutex_unlock(&source->lock);
}

void tn_scope_enter_with(tn_scope *scope, uint64_t deadline_ns, tn_cancel_source *source)
{
    link_to_source(enter(scope, deadline_ns, false, __builtin_return_address(0)), source);
}

void tn_shield_enter_with(tn_scope *scope, uint64_t deadline_ns, tn_cancel_source *source)
{
    link_to_source(enter(scope, deadline_ns, true, __builtin_return_address(0)), source);
}

/* --- Checking --------------------------------------------------------------------------------------------------------------- */

/* As tni_scope_peek. */
__attribute__((always_inline)) static inline int peek(const tni_scope *innermost, bool cancelled)
{
    const tni_scope *scope = innermost;
    uint32_t seen = 0;

    if (scope != NULL && tni_unlikely(frame_has_returned(scope)))
        misuse_of_frame(); /* its memory has been reused */
    for (; scope != NULL; scope = scope->parent) {
        /* Observes what the canceller wrote before; partner: tni_scope_cancel. It may miss a concurrent cancellation: the wake
         * that follows that leads to another check. */
        seen |= tni_a32_load(&scope->state, TNI_ACQUIRE);
        if (scope->shield) {
            cancelled = false;
            break;
        }
    }
    if (cancelled || (seen & TNI_SCOPE_CANCELLED)) {
        tni_order_acquire();
        return TN_ECANCELED;
    }
    return tni_likely(!(seen & TNI_SCOPE_EXPIRED)) ? 0 : TN_ETIMEDOUT;
}

__attribute__((noinline)) int tni_scope_peek(const tni_scope *innermost, bool cancelled)
{
    return peek(innermost, cancelled);
}

__attribute__((noinline)) int tni_scope_check(const tni_scope *innermost, bool cancelled)
{
    int rc = peek(innermost, cancelled);

    if (tni_unlikely(rc != 0))
        tni_why_record(innermost, rc);
    return rc;
}

void tni_scope_read_clock(tni_scope *scope)
{
    check_frame(scope); /* before writing to it */
    if (scope->deadline_ns != TN_NEVER) {
        uint64_t now_ns = tni_task_clock_ns();
        for (tni_scope *s = scope; s != NULL && now_ns >= s->deadline_ns; s = s->shield ? NULL : s->parent) {
            /* Relaxed: only the owner reads the flag. A read-modify-write, because cancellers write the same word. */
            (void)tni_a32_fetch_or(&s->state, TNI_SCOPE_EXPIRED, TNI_RELAXED);
        }
    }
}

int tni_scope_check_clock(tni_scope *scope, bool cancelled)
{
    tni_scope_read_clock(scope);
    return tni_scope_check(scope, cancelled);
}

int tni_scope_suspend(tn_task *task, bool full_budget)
{
    tni_scope *scope = task->body.fiber.scope;

    if (scope->deadline_ns == TN_NEVER)
        return 0;
    /* The poll may be pending because the budget was used up. In that case the task has been woken, and its next poll has a
     * full budget: that poll decides. */
    if (!full_budget && !tni_budget_poll_enter(tni_task_waker(task)))
        return 0;
    /* While the timer is armed its deadline has not passed. If it is not armed, it may have fired together with an event, so
     * the clock is read: events must not win forever. */
    if (full_budget || !tni_timer_is_armed(task)) {
        int rc = tni_scope_check_clock(scope, tni_task_is_cancelled(task));
        if (rc != 0)
            return rc;
    }
    tni_deadline_ask(tni_task_waker(task), scope->deadline_ns);
    return 0;
}

void tni_scope_arm(tni_scope *scope, tn_waker *waker)
{
    if (scope != NULL)
        check_frame(scope);
    for (; scope != NULL; scope = scope->shield ? NULL : scope->parent)
        tni_wait_arm(&scope->waiter, waker);
}

void tni_scope_disarm(tni_scope *scope)
{
    for (; scope != NULL; scope = scope->shield ? NULL : scope->parent)
        (void)tni_wait_disarm(&scope->waiter);
}

/* --- The calling task ------------------------------------------------------------------------------------------------------- */

uint64_t tn_scope_deadline(void)
{
    const tni_scope *scope = tni_scope_of(tni_tls_get());

    if (scope == NULL)
        return TN_NEVER;
    check_frame(scope);
    return scope->deadline_ns;
}
