/* SPDX-License-Identifier: MIT */
/* Reading tasks from another thread, and the list of all tasks. */
#include "watch/task_inspect.h"

#include <string.h>

#include "base/tls.h"
#include "os/os_copy.h"
#include "os/os_memory.h"
#include "sched/runtime.h"
#include "sched/schedule.h"
#include "scope/scope.h"
#include "watch/reporter.h"

/* --- Names and notes ------------------------------------------------------------------------------------------------------ */

void tn_task_set_name(const char *name)
{
    tn_task *task = tni_tls_get()->task;
    union {
        char text[TNI_NAME_SIZE];
        uint64_t words[TNI_NAME_SIZE / sizeof(uint64_t)];
    } copy = {.words = {0}};

    if (task == NULL)
        return;
    (void)strncpy(copy.text, name, sizeof copy.text - 1);
    for (size_t i = 0; i < TNI_NAME_SIZE / sizeof(uint64_t); i++)
        tni_a64_store(&task->name_words[i], copy.words[i], TNI_RELAXED); /* relaxed: text for people */
}

void tni_task_inspect_name(const tn_task *task, char out[TNI_NAME_SIZE])
{
    for (size_t i = 0; i < TNI_NAME_SIZE / sizeof(uint64_t); i++) {
        uint64_t word = tni_a64_load(&task->name_words[i], TNI_RELAXED); /* relaxed: as above */
        memcpy(out + i * sizeof word, &word, sizeof word);
    }
    out[TNI_NAME_SIZE - 1] = '\0';
}

void tn_task_note(const char *note)
{
    tn_task *task = tni_tls_get()->task;

    if (task != NULL)
        /* Relaxed: the reader copies the text by the kernel, and shows what it finds. */
        tni_aptr_store(&task->note, (void *)(uintptr_t)note, TNI_RELAXED);
}

/* Page by page, because the text may end at the end of what is mapped. */
void tni_task_inspect_note(const tn_task *task, char *out, size_t size)
{
    uintptr_t from = (uintptr_t)tni_aptr_load(&task->note, TNI_RELAXED); /* relaxed: as in tn_task_note */
    uintptr_t page = tni_os_page_size();
    size_t length = 0;

    memset(out, 0, size);
    while (from != 0 && length < size - 1 && strlen(out) == length) {
        size_t part = page - (from + length) % page;
        if (part > size - 1 - length)
            part = size - 1 - length;
        if (!tni_os_copy(from + length, out + length, part))
            break;
        length += part;
    }
}

/* --- A task that waits ------------------------------------------------------------------------------------------------------ */

void tni_task_inspect_read(const tn_task *task, tni_task_inspect_snapshot *out)
{
    const tni_stack *stack;

    out->since_ns = task->since_ns;
    out->deadline_ns = UINT64_MAX;
    out->stack.pc = NULL;
    if (task->kind != TNI_TASK_FIBER) {
        out->ops = *task->body.future->ops;
        return;
    }
    if (task->body.fiber.scope != NULL)
        out->deadline_ns = task->body.fiber.scope->deadline_ns;
    stack = task->body.fiber.stack;
    out->ops = *task->awaited->ops;
    out->stack.word = out->word;
    out->stack.words_max = TNI_TASK_INSPECT_WORDS;
    tni_frames_suspended(&out->stack, &task->body.fiber.context, tni_stack_base(stack), tni_stack_top(stack));
}

bool tni_task_inspect_borrow(tn_task *task)
{
    tn_runtime_hold(task->runtime); /* a task that is woken while it is borrowed is not queued yet, and no deadlock */
    if (tni_task_borrow(task))
        return true;
    tni_runtime_unhold_quietly(task->runtime);
    return false;
}

void tni_task_inspect_return(tn_task *task)
{
    tn_runtime *runtime = task->runtime;

    if (!tni_task_rest(task))
        tni_schedule_ready(task); /* woken meanwhile */
    tni_runtime_unhold_quietly(runtime);
}

bool tni_task_inspect_take(tn_task *task, tni_task_inspect_snapshot *out)
{
    if (!tni_task_inspect_borrow(task))
        return false;
    tni_task_inspect_read(task, out);
    tni_task_inspect_return(task);
    return true;
}

void tni_task_inspect_release(tn_task *task)
{
    tn_runtime *runtime = task->runtime;

    if (tni_task_unref_unless_last(task))
        return;
    if (tni_reporter_takes_last(runtime))
        tni_reporter_give_last(runtime, task);
    else
        tni_task_unref(task);
}

void tni_task_inspect_walk(tn_runtime *runtime, void (*visit)(void *arg, tn_task *task), void *arg)
{
    tni_runtime_walk_tasks(runtime, visit, arg);
    /* The monitor may have found a hold, and rest now: one notice for all of them. */
    tn_runtime_hold(runtime);
    tn_runtime_unhold(runtime);
}

/* --- The list --------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tn_task_info_fn fn;
    void *ctx;
    uint64_t now_ns;
    bool ended;
} listing;

void tni_task_inspect_describe(const tn_task *task, tn_task_info *out)
{
    memset(out, 0, sizeof *out);
    out->id = task->id;
    out->parent = task->parent;
    out->state = TN_TASK_RUNS;
    out->is_fiber = task->kind == TNI_TASK_FIBER;
    out->is_cancelled = tni_task_is_cancelled(task);
    out->spawned_at = task->spawn_site;
    out->deadline_ns = UINT64_MAX;
    tni_task_inspect_name(task, out->name);
    tni_task_inspect_note(task, out->note, sizeof out->note);
}

void tni_task_inspect_add_frames(tn_task_info *out, const tni_frames *stack)
{
    for (unsigned i = 0; i < stack->frames && out->frames < TN_TASK_FRAMES; i++)
        out->frame[out->frames++] = stack->frame[i];
}

static void describe(const listing *list, tn_task *task, tn_task_info *out)
{
    tni_task_inspect_snapshot was;

    tni_task_inspect_describe(task, out);
    if (tni_task_inspect_take(task, &was)) {
        out->state = TN_TASK_WAITS;
        out->waited_ns = tni_task_inspect_waited_ns(&was, list->now_ns);
        out->deadline_ns = was.deadline_ns;
        if (was.ops.name != NULL)
            (void)strncpy(out->waits_for, was.ops.name, sizeof out->waits_for - 1);
        if (was.stack.pc != NULL) {
            out->frame[out->frames++] = was.stack.pc;
            tni_task_inspect_add_frames(out, &was.stack);
        }
    } else if (tni_task_waits_for_stack(task)) {
        out->state = TN_TASK_WAITS_FOR_STACK;
    }
}

static void visit(void *arg, tn_task *task)
{
    listing *list = arg;
    tn_task_info info;

    if (list->ended || !tni_task_ref_if_alive(task))
        return;
    describe(list, task, &info);
    tni_task_inspect_release(task);
    list->ended = !list->fn(list->ctx, &info);
}

void tn_tasks_each(tn_runtime *runtime, tn_task_info_fn fn, void *ctx)
{
    listing list = {.fn = fn, .ctx = ctx, .now_ns = tni_clock_ns()};

    if (tni_runtime_is_inherited(runtime))
        return;
    tni_task_inspect_walk(runtime, visit, &list);
}
