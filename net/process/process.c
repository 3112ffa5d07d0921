/* SPDX-License-Identifier: MIT */
/* The handle of a child process: signals, waiting, closing. */
#include "process/process.h"

#include "os/os_signal.h"
#include "sched/runtime.h"
#include "scope/scope.h"
#include "task/budget.h"

void tni_process_free(tn_process *process)
{
    for (unsigned i = 0; i < 3; i++)
        tni_pipe_close(process->pipes[i]);
    if (process->child != NULL)
        tni_child_release(process->child);
    tni_free(&process->runtime->allocator, process, sizeof *process);
}

pid_t tn_process_id(const tn_process *process)
{
    return process->id;
}

tn_io tn_process_take_pipe(tn_process *process, int fd)
{
    tn_io io = {NULL, NULL};
    tni_pipe *pipe = fd >= 0 && fd < 3 ? process->pipes[fd] : NULL;

    if (pipe == NULL)
        return io;
    process->pipes[fd] = NULL;
    return fd == 0 ? tni_pipe_writer(pipe) : tni_pipe_reader(pipe);
}

/* --- Signals ---------------------------------------------------------------------------------------------------------------- */

static int send_to(tn_process *process, int number, bool group)
{
    if (number < 1 || number > TNI_OS_SIGNAL_MAX || (group && !process->child->leads_group))
        return TN_EINVAL;
    if (tni_reaper_is_inherited(process->reaper))
        return TN_ESHUTDOWN;
    return tni_child_send(process->child, number, group);
}

int tn_process_send(tn_process *process, int signal)
{
    return send_to(process, signal, false);
}

int tn_process_send_group(tn_process *process, int signal)
{
    return send_to(process, signal, true);
}

/* The child may have left the group that it led. */
void tni_process_kill(tn_process *process)
{
    if (process->child->leads_group)
        (void)send_to(process, TNI_OS_PROCESS_KILL, true);
    (void)send_to(process, TNI_OS_PROCESS_KILL, false);
}

/* --- Waiting ---------------------------------------------------------------------------------------------------------------- */

static int wait_poll(tn_future *self, tn_waker *waker)
{
    tn_process_future *future = tni_container_of(self, tn_process_future, base);
    const tni_child *child = future->process->child;
    int rc;

    if (tni_reaper_is_inherited(future->process->reaper))
        return TN_ESHUTDOWN;
    if (!tni_budget_poll_enter(waker))
        return TN_PENDING;
    rc = tni_child_poll(future->process->child, &future->armed, waker);
    if (rc == TN_PENDING && future->held == NULL) { /* the child ends the wait: it is no deadlock */
        future->held = future->process->runtime;
        tn_runtime_hold(future->held);
    }
    if (rc == 0 && child->end.known)
        future->end = (tn_process_end){.code = child->end.code, .signal = child->end.number, .dumped = child->end.dumped};
    else if (rc == 0)
        rc = TN_ENODATA;
    return tni_budget_poll_leave(waker, rc);
}

static void wait_drop(tn_future *self)
{
    tn_process_future *future = tni_container_of(self, tn_process_future, base);

    tni_child_disarm(future->process->child, &future->armed);
    if (future->held != NULL && !tni_reaper_is_inherited(future->process->reaper))
        tn_runtime_unhold(future->held);
    future->held = NULL;
}

void tn_process_wait_init(tn_process_future *future, tn_process *process)
{
    static const tn_future_ops ops = {.poll = wait_poll, .drop = wait_drop, .name = "process"};

    *future = (tn_process_future){.base = {&ops}, .process = process};
}

int tn_process_wait(tn_process *process, tn_process_end *end)
{
    tn_process_future future;
    int rc;

    tn_process_wait_init(&future, process);
    rc = tn_await(&future.base);
    if (rc == 0 && end != NULL)
        *end = future.end;
    return rc;
}

/* --- The end ---------------------------------------------------------------------------------------------------------------- */

void tn_process_close(tn_process *process)
{
    if (process == NULL)
        return;
    if (process->kill_on_close)
        tni_process_kill(process);
    tni_process_free(process);
}

static void scope_end(tn_scope *scope, bool abandoned)
{
    tn_process *process = tni_container_of(scope, tn_process_scope, scope)->process;

    (void)abandoned;
    tni_process_kill(process);
    tni_process_free(process);
}

void tn_process_scope_enter(tn_process_scope *scope, tn_process *process, uint64_t deadline_ns)
{
    scope->process = process;
    tn_scope_enter(&scope->scope, deadline_ns);
    tni_scope_on_end(&scope->scope, scope_end);
}

void tn_process_scope_leave(tn_process_scope *scope)
{
    tn_scope_leave(&scope->scope);
}
