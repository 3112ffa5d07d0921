/* SPDX-License-Identifier: MIT */
/* Task groups: tasks that end before their owner leaves the group. README.md ("Groups") has the argument. */
#include <tn/group.h>

#include "base/alloc.h"
#include "base/list.h"
#include "base/options.h"
#include "sched/runtime.h"
#include "sched/runtime_upcalls.h"
#include "sched/spawn.h"
#include "scope/scope.h"
#include "task/budget.h"
#include "task/task_hooks.h"

typedef struct tni_group tni_group;

/* A task of a group: from its spawn until its result has been taken or dropped. */
typedef struct child {
    tni_task_hook exit_hook; /* of the task; reports its end to the group */
    tni_group *group;
    tn_task *task;      /* a handle, while it runs */
    tni_list_node node; /* group's lock: in `running` or `ended` */
    void (*drop_result)(void *result);
    tn_group_result ended;
} child;

struct tni_group {
    tn_scope scope; /* ensures that the group is left in order and before its frame returns */
    tn_runtime *runtime;
    tn_allocator allocator; /* a copy of the runtime's: the runtime may be freed before the group is left */
    bool cancel_on_error;
    bool forget_results;

    tni_os_mutex lock; /* protects the members below */
    bool cancelled;
    int first_error;
    size_t running_count;
    tni_list running;
    tni_list ended;        /* oldest first */
    tn_waker *waiter;      /* the owner, while it waits */
    tn_runtime *abandoned; /* the owner's runtime if the owner is abandoned (results are no longer taken), else NULL */
};

_Static_assert(sizeof(tni_group) <= sizeof(tn_group), "tn_group is too small");

static inline tni_group *impl_of(tn_group *public)
{
    return (tni_group *)(void *)public;
}

static child *child_of(tni_list_node *node)
{
    return tni_container_of(node, child, node);
}

/* --- The end of a task ------------------------------------------------------------------------------------------------------ */

static void cancel_running_locked(tni_group *group)
{
    tni_os_mutex_assert_held(&group->lock);
    group->cancelled = true;
    for (tni_list_node *at = group->running.first; at != NULL; at = at->next)
        tn_cancel(child_of(at)->task);
}

static int error_of(const tn_task *task)
{
    return task->error != 0 ? task->error : tni_task_error_in(task->result);
}

/* Drops a result that is no longer taken; once. */
static void drop_result(child *c)
{
    if (c->drop_result != NULL && c->ended.error == 0)
        c->drop_result(c->ended.result);
    c->drop_result = NULL;
}

/* The same, and frees the child. */
static void discard_child(const tn_allocator *allocator, child *c)
{
    drop_result(c);
    tni_free(allocator, c, sizeof *c);
}

/* Releases the lock. The owner has been abandoned. This task keeps the frames of the owner's runtime until the result is
 * dropped, because the drop function may use them. Not inlined, so that the common path needs no larger frame. */
__attribute__((noinline)) static void child_of_abandoned_ended_locked(tni_group *group, child *c)
{
    tn_runtime *runtime = group->abandoned;
    tn_allocator allocator = group->allocator;

    tni_os_mutex_assert_held(&group->lock);
    tni_os_mutex_unlock(&group->lock);
    tni_task_unref(c->task); /* not the last: the scheduler has one */
    discard_child(&allocator, c);
    tni_runtime_release_frames(runtime);
}

/* Counts the error of a task that has ended. */
static void note_error_locked(tni_group *group, int error)
{
    tni_os_mutex_assert_held(&group->lock);
    if (error == 0 || group->first_error != 0)
        return;
    group->first_error = error;
    if (group->cancel_on_error)
        cancel_running_locked(group);
}

/* The exit hook, called in the task that ends. Once the lock is released, the group may be freed. */
static void child_ended(void *arg)
{
    child *c = arg;
    tni_group *group = c->group;
    tn_task *task = c->task;
    tn_allocator allocator = group->allocator;
    bool forget = group->forget_results;
    tn_waker *waiter;

    c->ended.result = task->result;
    c->ended.error = error_of(task);
    if (forget)
        drop_result(c); /* before the group counts the end: the function may use the frame of the owner */
    tni_os_mutex_lock(&group->lock);
    tni_list_remove(&group->running, &c->node);
    group->running_count--;
    if (tni_unlikely(group->abandoned != NULL)) {
        child_of_abandoned_ended_locked(group, c);
        return;
    }
    note_error_locked(group, c->ended.error);
    if (!forget)
        tni_list_append(&group->ended, &c->node);
    waiter = forget && group->running.first != NULL ? NULL : group->waiter;
    if (waiter != NULL)
        group->waiter = NULL;
    tni_os_mutex_unlock(&group->lock);
    if (forget)
        tni_free(&allocator, c, sizeof *c);
    tni_task_unref(task); /* not the last: the scheduler has one */
    if (waiter != NULL)
        tn_waker_wake(waiter);
}

/* --- The owner -------------------------------------------------------------------------------------------------------------- */

/* The end function of the group's scope. If the owner is abandoned, it cancels the running tasks. Tasks of another runtime may
 * use the owner's frame until they have ended, so each of them keeps the frames. */
static void group_end(tn_scope *scope, bool abandoned)
{
    tni_group *group = tni_container_of(scope, tni_group, scope);
    tn_waker *waiter;
    tni_list ended;

    if (!abandoned)
        return;
    tni_os_mutex_lock(&group->lock);
    cancel_running_locked(group);
    group->abandoned = ((const tni_scope *)(const void *)scope)->owner->runtime;
    tni_runtime_keep_frames(group->abandoned, (uint32_t)group->running_count);
    ended = group->ended;
    waiter = group->waiter;
    group->waiter = NULL;
    tni_os_mutex_unlock(&group->lock);
    if (waiter != NULL)
        tn_waker_release(waiter);
    while (ended.first != NULL)
        discard_child(&group->allocator, child_of(tni_list_take_first(&ended)));
}

void tn_group_enter(tn_group *public, const tn_group_options *given)
{
    tn_group_options options = tn_group_options_default();
    tni_group *group = impl_of(public);
    int rc = 0;

    if (given != NULL)
        rc = tni_options_read(&options, cancel_on_error, given, tni_runtime_log_here(), "tn_group_enter");
    tni_assert(rc == 0, "tn_group_enter: wrong options.size, see the log: begin with tn_group_options_default()");
    tn_scope_enter(&group->scope, TN_NEVER);
    tni_scope_on_end(&group->scope, group_end);
    group->runtime = options.runtime != NULL ? options.runtime : tn_runtime_current();
    group->allocator = group->runtime != NULL ? group->runtime->allocator : tni_alloc_default;
    group->cancel_on_error = options.cancel_on_error;
    group->forget_results = options.forget_results;
    tni_os_mutex_init(&group->lock);
    group->cancelled = false;
    group->first_error = 0;
    group->running_count = 0;
    group->running = (tni_list){.first = NULL};
    group->ended = (tni_list){.first = NULL};
    group->waiter = NULL;
    group->abandoned = NULL;
}

/* The lock is held during the spawn, so the end of the task and a canceller find the child complete. */
static int spawn_linked(tni_group *group, child *c, const tn_spawn_options *options, tn_entry_fn entry, const void *site)
{
    int rc;

    tni_os_mutex_lock(&group->lock);
    c->exit_hook.cancels = group->cancelled;
    rc = tni_spawn_with(group->runtime, options, &c->task, entry, c->ended.arg, &c->exit_hook, site);
    if (rc == 0) {
        tni_list_prepend(&group->running, &c->node);
        group->running_count++;
        if (group->cancelled && group->abandoned != NULL)
            tni_runtime_keep_frames(group->abandoned, 1);
    }
    tni_os_mutex_unlock(&group->lock);
    return rc;
}

int tn_group_spawn(tn_group *public, const tn_spawn_options *given, tn_entry_fn entry, void *arg)
{
    tn_spawn_options options = tn_spawn_options_default();
    tni_group *group = impl_of(public);
    child *c;
    int rc;

    if (group->runtime == NULL) {
        tni_log_write(NULL, TN_LOG_ERROR, "tn_group_spawn: the group has no runtime: set options.runtime in tn_group_enter");
        return TN_EINVAL;
    }
    rc = tni_options_read(&options, pinned, given, &group->runtime->log, "tn_group_spawn");
    if (rc != 0)
        return rc;
    c = tni_alloc(&group->allocator, sizeof *c, _Alignof(child));
    if (c == NULL)
        return TN_ENOMEM;
    c->exit_hook.kind = TNI_TASK_HOOK_BORROWED;
    c->exit_hook.fn = child_ended;
    c->exit_hook.arg = c;
    c->group = group;
    c->ended.arg = arg;
    c->drop_result = options.drop_result;
    options.drop_result = NULL; /* the group drops results itself */
    rc = spawn_linked(group, c, &options, entry, __builtin_return_address(0));
    if (rc != 0)
        tni_free(&group->allocator, c, sizeof *c);
    return rc;
}

static int next_poll(tn_future *self, tn_waker *waker)
{
    tn_group_future *future = tni_container_of(self, tn_group_future, base);
    tni_group *group = impl_of(future->group);
    tn_waker *old = NULL;
    child *c = NULL;
    bool none;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    tni_os_mutex_lock(&group->lock);
    /* In a child of fork the tasks never end. */
    none = group->ended.first == NULL && (group->running.first == NULL || tni_runtime_is_inherited(group->runtime));
    if (group->ended.first != NULL) {
        c = child_of(tni_list_take_first(&group->ended));
    } else if (!none) {
        old = group->waiter;
        group->waiter = tn_waker_retain(waker);
    }
    tni_os_mutex_unlock(&group->lock);
    if (old != NULL)
        tn_waker_release(old);
    if (c == NULL)
        return none ? tni_budget_poll_leave(waker, 0) : TN_PENDING;
    future->ended = c->ended;
    future->drop_result = c->drop_result;
    tni_free(&group->allocator, c, sizeof *c);
    return tni_budget_poll_leave(waker, 1);
}

static void next_drop(tn_future *self)
{
    tni_group *group = impl_of(tni_container_of(self, tn_group_future, base)->group);
    tn_waker *old;

    tni_os_mutex_lock(&group->lock);
    old = group->waiter;
    group->waiter = NULL;
    tni_os_mutex_unlock(&group->lock);
    if (old != NULL)
        tn_waker_release(old);
}

static const tn_future_ops next_ops = {.poll = next_poll, .drop = next_drop, .name = "group"};

void tn_group_next_init(tn_group_future *future, tn_group *public)
{
    future->base.ops = &next_ops;
    future->group = public;
    future->drop_result = NULL;
}

int tn_group_next(tn_group *public, tn_group_result *out)
{
    tn_group_future future;
    int rc;

    tn_group_next_init(&future, public);
    rc = tn_await(&future.base);
    if (rc == 1)
        *out = future.ended;
    return rc;
}

int tn_group_wait(tn_group *public)
{
    tn_group_future future;
    int rc;

    do {
        tn_group_next_init(&future, public);
        rc = tn_await(&future.base);
        if (rc == 1 && future.drop_result != NULL && future.ended.error == 0)
            future.drop_result(future.ended.result);
    } while (rc == 1);
    return rc != 0 ? rc : impl_of(public)->first_error; /* no task runs, so no lock is needed */
}

void tn_group_cancel(tn_group *public)
{
    tni_group *group = impl_of(public);

    tni_os_mutex_lock(&group->lock);
    cancel_running_locked(group);
    tni_os_mutex_unlock(&group->lock);
}

size_t tn_group_running(tn_group *public)
{
    tni_group *group = impl_of(public);
    size_t count;

    tni_os_mutex_lock(&group->lock);
    count = group->running_count;
    tni_os_mutex_unlock(&group->lock);
    return count;
}

void tn_group_leave(tn_group *public)
{
    tni_group *group = impl_of(public);
    tn_scope shield;

    tn_group_cancel(public);
    tn_shield_enter(&shield, TN_NEVER);
    (void)tn_group_wait(public);
    tn_scope_leave(&shield);
    tn_scope_leave(&group->scope);
    tni_os_mutex_fini(&group->lock);
}
