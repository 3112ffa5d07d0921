/* SPDX-License-Identifier: MIT */
/* A dump when a signal arrives. A thread of its own drives a current-thread runtime, in which a fiber listens to the signal as
 * any program can (tn/signal.h). So the handler, the several listeners and the old handler are those of tn_signal. */
#include <tn/dump_signal.h>

#include <tn/inspect.h>
#include <tn/signal.h>

#include "base/alloc.h"
#include "sched/runtime.h"

struct tn_dump_signal {
    tn_runtime *runtime; /* that is dumped */
    tn_runtime *own;
    tn_signal *listener;
    tn_cancel_source stop;
    tni_thread thread;
};

static void log_line(void *ctx, const char *line)
{
    const tn_runtime *runtime = ctx;

    tni_log_write(&runtime->log, TN_LOG_WARNING, "%s", line);
}

static void *dump_at_signals(void *arg)
{
    tn_dump_signal *self = arg;
    tn_scope scope;
    int rc;

    tn_scope_enter_with(&scope, TN_NEVER, &self->stop);
    while ((rc = tn_signal_wait(self->listener)) > 0)
        if (tn_dump_grouped(self->runtime, log_line, self->runtime) != 0)
            log_line(self->runtime, "no memory for a dump");
    tn_scope_leave(&scope);
    if (rc != TN_ECANCELED)
        tni_log_write(&self->runtime->log, TN_LOG_ERROR, "the signal for dumps cannot be waited for: error %d", rc);
    return NULL;
}

static void *thread_main(void *arg)
{
    tn_dump_signal *self = arg;
    int rc;

    tni_thread_name("tn-dump");
    tni_thread_mask_set(&self->runtime->mask); /* it calls tn_options.log of the program */
    rc = tn_block_on(self->own, dump_at_signals, self, NULL);
    if (rc != 0)
        tni_log_write(&self->runtime->log, TN_LOG_ERROR, "no dump will come at the signal: error %d", rc);
    return NULL;
}

static int create_own(tn_dump_signal *self)
{
    tn_options options = tn_options_default();

    options.flavor = TN_CURRENT_THREAD;
    options.allocator = &self->runtime->allocator;
    options.log = self->runtime->options.log;
    options.log_ctx = self->runtime->options.log_ctx;
    options.name = "tn-dump";
    return tn_runtime_create(&self->own, &options);
}

/* Frees it, when its thread has ended or was never started. */
static void discard(tn_dump_signal *self)
{
    tn_allocator allocator = self->runtime->allocator;

    tn_signal_close(self->listener);
    if (self->own != NULL)
        (void)tn_runtime_destroy(self->own, TN_SHUTDOWN_WAIT, UINT64_MAX);
    tn_cancel_source_fini(&self->stop);
    tni_free(&allocator, self, sizeof *self);
}

int tn_dump_signal_start(tn_dump_signal **out, tn_runtime *runtime, int number)
{
    tn_dump_signal *self = tni_alloc(&runtime->allocator, sizeof *self, _Alignof(tn_dump_signal));
    int rc;

    *out = NULL;
    if (self == NULL)
        return TN_ENOMEM;
    self->runtime = runtime;
    tn_cancel_source_init(&self->stop);
    rc = create_own(self);
    if (rc == 0)
        rc = tn_signal_open(&self->listener, self->own, &number, 1);
    if (rc == 0)
        rc = tni_thread_start(&self->thread, thread_main, self);
    if (rc != 0)
        discard(self);
    else
        *out = self;
    return rc;
}

void tn_dump_signal_stop(tn_dump_signal *self)
{
    if (self == NULL || tni_runtime_is_inherited(self->own))
        return;
    tn_cancel_source_cancel(&self->stop);
    tni_thread_join(&self->thread);
    discard(self);
}
