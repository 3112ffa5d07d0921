/* SPDX-License-Identifier: MIT */
/* Stack samples: the signal handler, the requests for it, and reading the stack of a thread that sleeps. README.md ("The stack of
 * a task that runs") has the protocol. */
#include "watch/stack_sampler.h"

#include "base/alloc.h"
#include "base/tls.h"
#include "os/os_copy.h"
#include "os/os_memory.h"
#include "os/os_sleeper.h"
#include "sched/runtime.h"

/* --- In the handler ------------------------------------------------------------------------------------------------------- */

static void respond(const tni_os_interrupted *at)
{
    const tni_tls *local = tni_tls_get();
    tni_worker *worker = local->worker != NULL ? local->worker : local->native_worker;
    const tn_task *task = local->task;
    void *target = worker;
    tni_stack_sampler *sampler;
    const tni_stack *stack;

    if (worker == NULL || worker->runtime->sampler == NULL)
        return;
    sampler = worker->runtime->sampler;
    /* Acquire: observes the request's number and task; partner: tni_stack_sampler_ask. If the CAS fails the request was taken
     * back. */
    if (!tni_aptr_cas(&sampler->target, &target, NULL, TNI_ACQUIRE))
        return;
    sampler->sample.inside = task == sampler->task;
    sampler->sample.asleep = false;
    sampler->sample.stack.pc = NULL;
    stack = sampler->sample.inside && task->kind == TNI_TASK_FIBER ? task->body.fiber.stack : NULL;
    if (stack != NULL && at->sp % sizeof(void *) == 0 && at->sp >= (uintptr_t)tni_stack_base(stack) &&
        at->sp < (uintptr_t)tni_stack_top(stack)) /* no other thread writes or unmaps what is between the two */
        tni_frames_interrupted(&sampler->sample.stack, &(tni_frames_at){at->pc, at->sp, at->frame},
                               (uintptr_t)tni_stack_top(stack));
    /* Release: publishes the sample; partner: tni_stack_sampler_result, tni_stack_sampler_ask. */
    tni_a32_store(&sampler->responses, sampler->number, TNI_RELEASE);
    tni_futex_wake(&sampler->responses, 1);
}

/* --- A worker's part ------------------------------------------------------------------------------------------------------ */

void tni_stack_sampler_open(tni_worker *worker)
{
    tn_runtime *runtime = worker->runtime;

    if (runtime->sampler == NULL)
        return;
    tni_os_thread_signal_open(runtime->options.stuck_signal);
    tni_os_mutex_lock(&runtime->lock);
    worker->takes_signals = true;
    tni_os_mutex_unlock(&runtime->lock);
}

void tni_stack_sampler_close(tni_worker *worker)
{
    tn_runtime *runtime = worker->runtime;

    if (runtime->sampler == NULL)
        return;
    tni_os_mutex_lock(&runtime->lock);
    worker->takes_signals = false;
    tni_os_mutex_unlock(&runtime->lock);
}

/* --- Requests ------------------------------------------------------------------------------------------------------------- */

bool tni_stack_sampler_begin(tn_runtime *runtime, uint64_t until_ns)
{
    tni_stack_sampler *sampler = runtime->sampler;
    uint32_t idle = 0;

    if (sampler == NULL)
        return false;
    /* Acquire: observes number and task as the user before left them; partner: tni_stack_sampler_end. */
    while (!tni_a32_cas(&sampler->busy, &idle, 1, TNI_ACQUIRE)) {
        if (tni_clock_ns() >= until_ns)
            return false;
        tni_futex_wait(&sampler->busy, 1, until_ns);
        idle = 0;
    }
    return true;
}

/* Returns the worker that is inside the task, or NULL. */
static tni_worker *thread_of_locked(const tn_runtime *runtime, const tn_task *task)
{
    tni_os_mutex_assert_held(&runtime->lock);
    for (tni_worker *worker = runtime->workers; worker != NULL; worker = worker->next_worker)
        /* Acquire: observes the number of its thread. The task is only a hint, which the handler checks. Partner: run_task
         * (worker.c). Relaxed: a hint. */
        if (worker->takes_signals && tni_aptr_load(&worker->current, TNI_ACQUIRE) == task)
            return tni_aptr_load(&worker->native, TNI_RELAXED) == NULL ? worker : NULL;
    return NULL;
}

static tni_worker *thread_of(tn_runtime *runtime, const tn_task *task)
{
    tni_worker *worker;

    tni_os_mutex_lock(&runtime->lock);
    worker = thread_of_locked(runtime, task);
    tni_os_mutex_unlock(&runtime->lock);
    return worker;
}

/* Copies the stack of a fiber that a thread is inside of, from `sp` on, and sets its top. The fields are copied by the kernel,
 * because the thread may write them meanwhile: then tni_os_sleeper_still says so. */
static bool copy_stack(tni_stack_sampler *sampler, const tn_task *task, uintptr_t sp, uintptr_t *top)
{
    uintptr_t stack; /* of the tni_stack, which is where the stack ends */
    uintptr_t base;

    if (!tni_os_copy((uintptr_t)&task->body.fiber.stack, &stack, sizeof stack) || stack == 0 ||
        !tni_os_copy(stack + offsetof(tni_stack, base), &base, sizeof base))
        return false;
    *top = stack;
    if (sp % sizeof(void *) != 0 || sp < base || sp >= *top)
        return false;
    if (*top - sp > TNI_STACK_COPY_BYTES)
        *top = sp + TNI_STACK_COPY_BYTES;
    return tni_os_copy(sp, sampler->copy, *top - sp);
}

/* Takes the stack of a task whose thread sleeps. False: it does not, or has gone on meanwhile, or its stack cannot be copied. */
static bool sample_sleeper(tni_stack_sampler *sampler, const tni_worker *worker, const tn_task *task)
{
    tni_os_sleeper at;
    uintptr_t top = 0;
    bool fiber;

    if (!tni_os_sleeper_find(worker->thread_id, &at))
        return false;
    /* Relaxed, both: the thread sleeps, and wrote them before; if it does not, the result is dropped below. */
    sampler->sample.inside = tni_aptr_load(&worker->current, TNI_RELAXED) == task &&
                             tni_aptr_load(&worker->native, TNI_RELAXED) == NULL;
    fiber = sampler->sample.inside && task->kind == TNI_TASK_FIBER;
    if (fiber && !copy_stack(sampler, task, at.sp, &top))
        return false;
    if (!tni_os_sleeper_still(worker->thread_id, &at))
        return false;
    sampler->sample.asleep = true;
    sampler->sample.stack.pc = NULL;
    if (fiber)
        tni_frames_copied(&sampler->sample.stack, &(tni_frames_at){at.pc, at.sp, 0}, top, sampler->copy);
    return true;
}

/* A thread that is woken again and again, and sleeps at once, gets so many chances. */
#define SLEEPER_TRIES 3

/* The same, as a request that has its response. */
static bool ask_kernel(tni_stack_sampler *sampler, const tni_worker *worker, const tn_task *task)
{
    for (int i = 0; i < SLEEPER_TRIES; i++) {
        if (sample_sleeper(sampler, worker, task)) {
            /* Relaxed: no handler takes part. */
            tni_a32_store(&sampler->responses, ++sampler->number, TNI_RELAXED);
            return true;
        }
    }
    return false;
}

bool tni_stack_sampler_ask(tn_runtime *runtime, const tn_task *task)
{
    tni_stack_sampler *sampler = runtime->sampler;
    tni_worker *worker;
    bool sent = false;

    /* Acquire: if the numbers are equal, no handler writes the sample any more; partner: respond. Otherwise a handler took the
     * last request and has not responded yet. */
    if (tni_a32_load(&sampler->responses, TNI_ACQUIRE) != sampler->number)
        return false;
    /* A worker stays in memory as long as the runtime. Its thread may end, and the number be another thread's then: that does not
     * sleep on the task's stack. */
    worker = thread_of(runtime, task);
    if (worker == NULL)
        return false;
    if (ask_kernel(sampler, worker, task))
        return true;
    tni_os_mutex_lock(&runtime->lock);
    worker = thread_of_locked(runtime, task);
    if (worker != NULL) {
        sampler->number++;
        sampler->task = task;
        /* Release: publishes number and task; partner: respond. */
        tni_aptr_store(&sampler->target, worker, TNI_RELEASE);
        /* Under the lock: the thread exists, because it takes the lock before it ends. */
        sent = tni_os_thread_signal_send(runtime->options.stuck_signal, worker->thread_id);
    }
    tni_os_mutex_unlock(&runtime->lock);
    return sent;
}

const tni_stack_sample *tni_stack_sampler_result(tn_runtime *runtime, uint64_t until_ns)
{
    tni_stack_sampler *sampler = runtime->sampler;
    uint32_t responses;

    for (;;) {
        /* Acquire: observes the sample; partner: respond. */
        responses = tni_a32_load(&sampler->responses, TNI_ACQUIRE);
        if (responses == sampler->number)
            return &sampler->sample;
        if (tni_clock_ns() >= until_ns)
            return NULL;
        tni_futex_wait(&sampler->responses, responses, until_ns);
    }
}

const tni_stack_sample *tni_stack_sampler_take(tn_runtime *runtime, const tn_task *task, uint64_t until_ns)
{
    return tni_stack_sampler_ask(runtime, task) ? tni_stack_sampler_result(runtime, until_ns) : NULL;
}

void tni_stack_sampler_end(tn_runtime *runtime)
{
    tni_stack_sampler *sampler = runtime->sampler;
    void *target = tni_aptr_load(&sampler->target, TNI_RELAXED); /* relaxed: the exchange decides */

    /* Acquire and release: exactly one of this thread and the handler gets the request. If it is this thread, no handler
     * writes, as after a response. */
    if (target != NULL && tni_aptr_exchange(&sampler->target, NULL, TNI_ACQ_REL) != NULL)
        tni_a32_store(&sampler->responses, sampler->number, TNI_RELAXED); /* relaxed: the next user acquires `busy` */
    /* Release: publishes this thread's writes to the next user; partner: tni_stack_sampler_begin. */
    tni_a32_store(&sampler->busy, 0, TNI_RELEASE);
    tni_futex_wake(&sampler->busy, 1);
}

/* --- Installing ----------------------------------------------------------------------------------------------------------- */

int tni_stack_sampler_install(tn_runtime *runtime)
{
    tni_stack_sampler *sampler;
    int rc;

    if (runtime->options.report_stuck_ns == 0 || runtime->options.flavor == TN_CURRENT_THREAD)
        return 0;
    if (runtime->options.stuck_signal == 0)
        runtime->options.stuck_signal = SIGURG;
    sampler = tni_alloc(&runtime->allocator, sizeof *sampler, _Alignof(tni_stack_sampler));
    if (sampler == NULL)
        return TN_ENOMEM;
    tni_a32_init(&sampler->busy, 0);
    tni_aptr_init(&sampler->target, NULL);
    tni_a32_init(&sampler->responses, 0);
    sampler->sample.stack.word = sampler->sample.word;
    sampler->sample.stack.words_max = TNI_STACK_SAMPLE_WORDS;
    rc = tni_os_map(TNI_STACK_COPY_BYTES, &sampler->copy);
    if (rc == 0) {
        rc = tni_os_thread_signal_install(runtime->options.stuck_signal, respond);
        if (rc == 0) {
            runtime->sampler = sampler;
            return 0;
        }
        (void)tni_os_unmap(sampler->copy, TNI_STACK_COPY_BYTES);
    }
    tni_free(&runtime->allocator, sampler, sizeof *sampler);
    return rc;
}

void tni_stack_sampler_uninstall(tn_runtime *runtime)
{
    if (runtime->sampler == NULL)
        return;
    tni_os_thread_signal_uninstall(runtime->options.stuck_signal);
    (void)tni_os_unmap(runtime->sampler->copy, TNI_STACK_COPY_BYTES);
    tni_free(&runtime->allocator, runtime->sampler, sizeof *runtime->sampler);
}
