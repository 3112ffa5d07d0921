/* SPDX-License-Identifier: MIT */
/* Future sets: waiting for a changing number of futures. README.md ("Future sets") has the argument. */
#include "task/future_set.h"

#include <tn/future_set.h>

#include "base/inbox.h"
#include "base/list.h"
#include "base/tls.h"
#include "sched/core.h"
#include "sched/runtime.h"
#include "task/abandon.h"
#include "task/budget.h"
#include "time/deadline.h"

/* The part of a set that wakes of its members use. It is counted and may outlive the set. */
typedef struct {
    tn_allocator allocator;
    tni_a64 references; /* one of the set, one per member */
    tni_inbox woken;    /* members that were woken; closed when the set is destroyed */
    tni_wait wait;      /* the task that waits for the set */
} set_hub;

struct tn_future_set_member {
    tn_task task; /* only the fields that wakers and timers use are set */
    set_hub *hub;
    tn_future *future; /* NULL: removed */
    void *tag;
    tni_inbox_node active; /* while it is ACTIVE: in the hub's `woken` or the set's `due` */
    tni_list_node node;    /* of the set's `members` */
};

struct tn_future_set {
    set_hub *hub;
    tn_runtime *runtime;
    tni_list members;
    size_t count;
    tni_inbox_node *due; /* members that must be polled, oldest first */
    tni_inbox_node **due_end;
};

static tn_future_set_member *member_of(tn_task *task)
{
    return tni_container_of(task, tn_future_set_member, task);
}

/* --- Waking a member -------------------------------------------------------------------------------------------------------- */

static void hub_release(set_hub *hub)
{
    tn_allocator allocator = hub->allocator;

    /* Acq_rel: publishes the accesses of this thread; the thread that drops the last reference observes those of all others. */
    if (tni_a64_fetch_sub(&hub->references, 1, TNI_ACQ_REL) == 1)
        tni_free(&allocator, hub, sizeof *hub);
}

void tni_future_set_free(tn_task *task)
{
    tn_future_set_member *member = member_of(task);
    set_hub *hub = member->hub;

    tni_free(&hub->allocator, member, sizeof *member);
    hub_release(hub);
}

static void end_member(tn_future_set_member *member)
{
    (void)tni_task_complete(&member->task, 0);
    tni_task_unref(&member->task);
}

void tni_future_set_push(tn_task *task)
{
    tn_future_set_member *member = member_of(task);
    set_hub *hub = member->hub;

    /* A reference of this thread's own: the wake may have released the waker's reference to the member, and the set may free
     * the member once it is in the list. Relaxed: the member still has its reference. It is ACTIVE by this wake and in no
     * list. */
    (void)tni_a64_fetch_add(&hub->references, 1, TNI_RELAXED);
    if (tni_inbox_try_push(&hub->woken, &member->active))
        (void)tni_wait_wake(&hub->wait);
    else
        end_member(member); /* the set is destroyed: no other thread will */
    hub_release(hub);
}

/* --- The set ---------------------------------------------------------------------------------------------------------------- */

static void append_due(tn_future_set *set, tni_inbox_node *active)
{
    active->next = NULL;
    *set->due_end = active;
    set->due_end = &active->next;
}

/* Appends the woken members to those that are due, the oldest first. */
static void take_woken(tn_future_set *set)
{
    tni_inbox_node *next;

    /* The thread whose push is missed here has not woken the waiter yet, and will. */
    for (tni_inbox_node *active = tni_inbox_take(&set->hub->woken); active != NULL; active = next) {
        next = active->next;
        append_due(set, active);
    }
}

static tn_future_set_member *take_due(tn_future_set *set)
{
    tni_inbox_node *active = set->due;

    if (active == NULL)
        return NULL;
    set->due = active->next;
    if (set->due == NULL)
        set->due_end = &set->due;
    return tni_container_of(active, tn_future_set_member, active);
}

/* Unlinks a member from the list of all members and disarms its timer. The caller ends the header and drops the future. */
static void unlink_member(tn_future_set *set, tn_future_set_member *member)
{
    tni_list_remove(&set->members, &member->node);
    set->count--;
    tni_timer_disarm(&member->task);
    member->future = NULL;
}

static void arm_timer(tn_future_set *set, tn_task *task)
{
    tni_core *core = tni_core_enter();

    tni_core_arm_timer(core != NULL && core->runtime == set->runtime ? core : tni_runtime_any_core(set->runtime), task);
    if (core != NULL)
        tni_core_leave();
}

/* Polls one due member. True: it was ready, and *out is set. */
static bool poll_member(tn_future_set *set, tn_future_set_member *member, tn_ready *out)
{
    tn_task *task = &member->task;
    int rc;

    if (member->future == NULL) {
        end_member(member); /* removed after it was woken */
        return false;
    }
    tni_task_begin_run(task);
    task->budget = TNI_BUDGET;
    task->deadline_ns = TNI_FOREVER;
    rc = member->future->ops->poll(member->future, tni_task_waker(task));
    if (rc != TN_PENDING) {
        *out = (tn_ready){.future = member->future, .tag = member->tag, .result = rc};
        unlink_member(set, member);
        tn_future_drop(out->future);
        end_member(member);
        return true;
    }
    if (task->deadline_ns != TNI_FOREVER)
        arm_timer(set, task);
    if (!tni_task_rest(task))
        append_due(set, &member->active);
    return false;
}

/* Polls each member that is due now once. So TN_PENDING of the set means that no member is ready. True: one was ready, and *out
 * is set. */
static bool poll_due(tn_future_set *set, tn_ready *out)
{
    tni_inbox_node **end = set->due_end;
    bool last = set->due == NULL;

    while (!last) {
        tn_future_set_member *member = take_due(set);
        last = &member->active.next == end;
        if (poll_member(set, member, out))
            return true;
    }
    return false;
}

static int next_poll(tn_future *self, tn_waker *waker)
{
    tn_future_set_future *future = tni_container_of(self, tn_future_set_future, base);
    tn_future_set *set = future->set;

    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    if (set->count == 0)
        return tni_budget_poll_leave(waker, 0);
    tni_wait_arm(&set->hub->wait, waker); /* before the check of the list */
    take_woken(set);
    if (poll_due(set, &future->ready))
        return tni_budget_poll_leave(waker, 1);
    if (set->due != NULL)
        tn_waker_wake_by_ref(waker); /* members were woken while they were polled: poll them after other tasks have run */
    return TN_PENDING;
}

static void next_drop(tn_future *self)
{
    (void)tni_wait_disarm(&tni_container_of(self, tn_future_set_future, base)->set->hub->wait);
}

/* Ends the header of a member that has been unlinked. */
static void end_unlinked(tn_future_set_member *member)
{
    if (tni_task_notify(&member->task))
        end_member(member); /* it rested, so it belongs to this thread */
    /* Otherwise it is in a list or about to be pushed: the thread that takes it out ends it. */
}

/* Drops the futures on the stack of the abandoned task. The others stay in the set, because another task may still use it. */
static void next_abandon(tn_future *self, tn_task *task)
{
    tn_future_set *set = tni_container_of(self, tn_future_set_future, base)->set;
    tni_list_node *next;

    next_drop(self);
    for (tni_list_node *at = set->members.first; at != NULL; at = next) {
        tn_future_set_member *member = tni_container_of(at, tn_future_set_member, node);
        tn_future *future = member->future;
        next = at->next;
        if (!tni_abandon_is_on_stack(task, future))
            continue;
        unlink_member(set, member);
        tni_abandon_future(future, task);
        end_unlinked(member);
    }
}

static const tn_future_ops next_ops = {.poll = next_poll, .drop = next_drop, .name = "future set", .abandon_ = next_abandon};

void tn_future_set_next_init(tn_future_set_future *future, tn_future_set *set)
{
    future->base.ops = &next_ops;
    future->set = set;
}

int tn_future_set_next(tn_future_set *set, tn_ready *out)
{
    tn_future_set_future future;
    int rc;

    tn_future_set_next_init(&future, set);
    rc = tn_await(&future.base);
    if (rc == 1)
        *out = future.ready;
    return rc;
}

/* --- Creating, changing ----------------------------------------------------------------------------------------------------- */

int tn_future_set_create(tn_future_set **out, tn_runtime *runtime)
{
    tn_future_set *set;

    *out = NULL;
    if (runtime == NULL)
        runtime = tn_runtime_current();
    if (runtime == NULL)
        return TN_EINVAL;
    set = tni_reclaim_alloc(runtime, sizeof *set, _Alignof(tn_future_set));
    if (set == NULL)
        return TN_ENOMEM;
    set->hub = tni_reclaim_alloc(runtime, sizeof *set->hub, _Alignof(set_hub));
    if (set->hub == NULL) {
        tni_free(&runtime->allocator, set, sizeof *set);
        return TN_ENOMEM;
    }
    set->hub->allocator = runtime->allocator;
    tni_a64_init(&set->hub->references, 1);
    tni_inbox_init(&set->hub->woken);
    tni_wait_init(&set->hub->wait);
    set->runtime = runtime;
    set->due_end = &set->due;
    *out = set;
    return 0;
}

int tn_future_set_add(tn_future_set *set, tn_future *future, void *tag, tn_future_set_member **out)
{
    tn_future_set_member *member = tni_alloc(&set->hub->allocator, sizeof *member, _Alignof(tn_future_set_member));

    if (member == NULL)
        return TN_ENOMEM;
    member->task.kind = TNI_TASK_MEMBER;
    member->task.timer = (tni_timer)TNI_TIMER_INIT;
    tni_aptr_init(&member->task.armed_in, NULL);
    tni_task_publish(&member->task, 1);
    member->hub = set->hub;
    /* Relaxed: the set has a reference already. */
    (void)tni_a64_fetch_add(&set->hub->references, 1, TNI_RELAXED);
    member->future = future;
    member->tag = tag;
    tni_list_prepend(&set->members, &member->node);
    set->count++;
    append_due(set, &member->active);
    if (out != NULL)
        *out = member;
    return 0;
}

void tn_future_set_remove(tn_future_set *set, tn_future_set_member *member)
{
    tn_future *future = member->future;

    tni_assert(future != NULL, "tn_future_set_remove: the member is in no set any more");
    unlink_member(set, member);
    tn_future_drop(future);
    end_unlinked(member);
}

size_t tn_future_set_count(const tn_future_set *set)
{
    return set->count;
}

void tn_future_set_destroy(tn_future_set *set)
{
    tni_inbox_node *woken;
    set_hub *hub;

    if (set == NULL)
        return;
    hub = set->hub;
    while (set->members.first != NULL)
        tn_future_set_remove(set, tni_container_of(set->members.first, tn_future_set_member, node));
    take_woken(set);
    for (tn_future_set_member *member = take_due(set); member != NULL; member = take_due(set))
        end_member(member);
    woken = tni_inbox_close(&hub->woken); /* a later push ends its member itself */
    while (woken != NULL) {
        tni_inbox_node *next = woken->next;
        end_member(tni_container_of(woken, tn_future_set_member, active));
        woken = next;
    }
    (void)tni_wait_disarm(&hub->wait);
    tni_free(&hub->allocator, set, sizeof *set);
    hub_release(hub);
}
