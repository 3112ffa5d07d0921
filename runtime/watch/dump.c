/* SPDX-License-Identifier: MIT */
/* tn_dump: what every task is doing, at any time. README.md ("Dump and deadlock report") has the argument. */
#include "watch/dump.h"

#include <stdarg.h>
#include <stdio.h>

#include "os/os_symbol.h"
#include "sched/runtime.h"
#include "watch/task_inspect.h"

/* Words of a stack that may be return addresses, and are shown; see tni_dump_stack. */
#define GUESSES_MAX 16
/* How long a dump waits, in total, for threads that do not respond. */
#define SAMPLES_TIMEOUT_NS UINT64_C(1000000000)

void tni_dump_print(const tni_dump *d, const char *format, ...)
{
    char line[400];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args); /* NOLINT(clang-analyzer-valist.Uninitialized): it was started */
    va_end(args);
    d->line(d->ctx, line);
}

const char *tni_dump_kind(uint8_t kind)
{
    return kind == TNI_TASK_FIBER ? "fiber" : "stackless";
}

void tni_dump_wait(const tni_dump *d, const tn_future_ops *ops, char out[TNI_DUMP_NAME_SIZE])
{
    if (ops->name == NULL)
        tni_symbol_cache_name(d->names, (const void *)(uintptr_t)ops->poll, out, TNI_DUMP_NAME_SIZE);
    else
        (void)snprintf(out, TNI_DUMP_NAME_SIZE, "%s", ops->name);
}

void tni_dump_origin(const tni_dump *d, const tn_task *task)
{
    char site[TNI_DUMP_NAME_SIZE];
    char code[TNI_DUMP_NAME_SIZE];
    char parent[40] = "";

    tni_symbol_cache_name(d->names, task->spawn_site, site, sizeof site);
    if (task->parent != 0)
        (void)snprintf(parent, sizeof parent, " by task %llu", (unsigned long long)task->parent);
    if (task->kind == TNI_TASK_FIBER) {
        tni_symbol_cache_name(d->names, (const void *)(uintptr_t)task->body.fiber.entry, code, sizeof code);
        tni_dump_print(d, "    entry %s, spawned at %s%s", code, site, parent);
    } else {
        tni_dump_print(d, "    spawned at %s%s", site, parent);
    }
}

static void print_frame(const tni_dump *d, unsigned number, const char *mark, const void *pc)
{
    char code[TNI_DUMP_NAME_SIZE];

    tni_symbol_cache_name(d->names, pc, code, sizeof code);
    tni_dump_print(d, "    #%u%s %s", number, mark, code);
}

/* Code without frame pointers (the C library's) may have been called since the innermost frame. Its caller and its callees
 * are among the words below that frame. The words that are return addresses are printed with a question mark, because some
 * may be left from earlier calls. */
void tni_dump_stack(const tni_dump *d, const tni_frames *stack)
{
    const void *guesses[GUESSES_MAX];
    unsigned count = tni_os_return_addresses(stack->word, stack->words, guesses, GUESSES_MAX);
    unsigned number = 0;

    print_frame(d, number++, "", stack->pc);
    for (unsigned i = 0; i < count; i++)
        print_frame(d, number++, "?", guesses[i]);
    for (unsigned i = 0; i < stack->frames; i++)
        print_frame(d, number++, "", stack->frame[i]);
}

void tni_dump_waiting(const tni_dump *d, const tn_task *task, const tni_task_inspect_snapshot *was)
{
    uint64_t waited_ns = tni_task_inspect_waited_ns(was, d->now_ns);
    char name[TNI_NAME_SIZE];
    char code[TNI_DUMP_NAME_SIZE];

    tni_dump_wait(d, &was->ops, code);
    tni_task_inspect_name(task, name);
    tni_dump_print(d, "task %llu \"%s\" (%s): waits for %s, for %llu ms", (unsigned long long)task->id, name,
                   tni_dump_kind(task->kind), code, (unsigned long long)(waited_ns / TN_MS));
    tni_dump_origin(d, task);
    if (was->stack.pc != NULL)
        tni_dump_stack(d, &was->stack);
}

/* The thread that is inside the task, if there is one, takes the stack. */
static void print_running(const tni_dump *d, const tn_task *task)
{
    const tni_stack_sample *sample;

    if (!tni_stack_sampler_begin(d->runtime, d->until_ns))
        return;
    sample = tni_stack_sampler_take(d->runtime, task, d->until_ns);
    if (sample != NULL && sample->stack.pc != NULL)
        tni_dump_stack(d, &sample->stack);
    tni_stack_sampler_end(d->runtime);
}

static void visit(void *arg, tn_task *task)
{
    const tni_dump *d = arg;
    tni_task_inspect_snapshot was;
    char name[TNI_NAME_SIZE];

    if (!tni_task_ref_if_alive(task))
        return;
    if (tni_task_inspect_take(task, &was)) {
        tni_dump_waiting(d, task, &was);
    } else {
        const char *does = tni_task_waits_for_stack(task) ? "waits for a stack" : "runs, or is about to";
        tni_task_inspect_name(task, name);
        tni_dump_print(d, "task %llu \"%s\" (%s): %s", (unsigned long long)task->id, name, tni_dump_kind(task->kind), does);
        tni_dump_origin(d, task);
        print_running(d, task);
    }
    tni_task_inspect_release(task);
}

void tn_dump(tn_runtime *runtime, tn_dump_fn line, void *ctx)
{
    uint64_t now_ns = tni_clock_ns();
    tni_dump d = {.runtime = runtime,
                  .line = line,
                  .ctx = ctx,
                  .names = tni_symbol_cache_create(),
                  .now_ns = now_ns,
                  .until_ns = now_ns + SAMPLES_TIMEOUT_NS};

    if (tni_runtime_is_inherited(runtime)) {
        tni_dump_print(&d, "runtime \"%s\" belongs to the parent of this process", runtime->name);
        tni_symbol_cache_destroy(d.names);
        return;
    }
    tni_dump_print(&d, "runtime \"%s\": %zu tasks, %u workers", runtime->name, tn_runtime_tasks(runtime), runtime->core_count);
    tni_task_inspect_walk(runtime, visit, &d);
    tni_symbol_cache_destroy(d.names);
}

static void log_line(void *ctx, const char *line)
{
    tn_runtime *runtime = ctx;

    tni_log_write(&runtime->log, TN_LOG_WARNING, "%s", line);
}

tni_dump tni_dump_to_log(tn_runtime *runtime)
{
    return (tni_dump){.runtime = runtime, .line = log_line, .ctx = runtime, .now_ns = tni_clock_ns()};
}
