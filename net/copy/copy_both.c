/* SPDX-License-Identifier: MIT */
/* Copying in both directions: by one fiber while the connection is quiet, otherwise each in a fiber of its own, the first one in
 * the caller's. README.md ("Copying") has the argument. */
#include <tn/group.h>

#include "copy/copy.h"
#include "scope/scope.h"

/* As a write that finds that the peer has gone, this does not keep the other direction from reading what that peer has sent. */
static int pass_end_on(tni_copy_direction *direction)
{
    int rc = (int)tni_copy_step(direction, TNI_COPY_END, NULL, 0);

    direction->write_ended = rc == TN_ENOTCONN || rc == TN_EPIPE || rc == TN_ECONNRESET;
    return rc == TN_ENOTSUP ? 0 : rc;
}

void tni_copy_direction_over(tni_copy_both *self, unsigned which, int rc)
{
    tni_copy_direction *direction = &self->directions[which];

    tni_copy_drop_buffer(direction);
    if (rc == 0)
        rc = pass_end_on(direction);
    self->results[which] = rc;
    self->ended[which] = true;
    if (rc != 0 && !direction->write_ended)
        tn_cancel_source_cancel(&self->cut);
}

static void run_direction(tni_copy_both *self, unsigned which)
{
    tn_scope scope;
    int rc;

    tn_scope_enter_with(&scope, TN_NEVER, &self->cut);
    rc = tni_copy_run(&self->directions[which]);
    if (rc != TNI_COPY_RESTS)
        tni_copy_direction_over(self, which, rc);
    tn_scope_leave(&scope);
    if (rc != TNI_COPY_RESTS && self->copy.may_rest)
        (void)tni_copy_count_idle(&self->copy);
}

static void *other_direction(void *arg)
{
    tni_copy_both *self = arg;

    run_direction(self, 1 - self->first);
    return NULL;
}

/* A direction that was cut short has TN_ECANCELED; the reason is the error of the other one, or `rc`, of the caller's wait. An
 * error that has cut nothing short comes last: it must not hide the reason. */
static int reason(const tni_copy_both *self, int rc)
{
    for (unsigned i = 0; i < 2; i++)
        if (self->results[i] != 0 && self->results[i] != TN_ECANCELED && !self->directions[i].write_ended)
            return self->results[i];
    if (rc != 0)
        return rc;
    for (unsigned i = 0; i < 2; i++)
        if (self->results[i] == TN_ECANCELED)
            return TN_ECANCELED;
    return self->results[0] != 0 ? self->results[0] : self->results[1];
}

/* Each direction has a fiber, until one has ended or both sources are idle. Returns 0, or the error of the caller's wait. */
static int run_in_two_fibers(tni_copy_both *self)
{
    tn_group group;
    int rc;

    self->copy.may_rest = !self->needs_two;
    tni_a32_init(&self->copy.idle, 0);
    tn_cancel_source_init(&self->copy.rest);
    tn_group_enter(&group, NULL);
    rc = tn_group_spawn(&group, NULL, other_direction, self);
    if (rc == 0) {
        run_direction(self, self->first);
        rc = tn_group_wait(&group);
    }
    tn_group_leave(&group); /* if the wait was cut short, it cancels the other direction */
    tn_cancel_source_fini(&self->copy.rest);
    self->copy.may_rest = false;
    return rc;
}

static int run(tni_copy_both *self)
{
    int rc = 0;

    while (rc == 0 && !self->ended[0] && !self->ended[1]) {
        if (!self->needs_two)
            rc = tni_copy_quiet(self);
        if (rc == 0 && !self->ended[0] && !self->ended[1])
            rc = run_in_two_fibers(self);
    }
    for (unsigned i = 0; rc == 0 && i < 2; i++)
        if (!self->ended[i])
            run_direction(self, i); /* the other one has ended */
    return reason(self, rc);
}

static void both_end(tn_scope *scope, bool abandoned)
{
    tni_copy_both *self = tni_container_of(scope, tni_copy_both, scope);

    (void)abandoned;
    tni_copy_quiet_stop(self);
    for (unsigned i = 0; i < 2; i++)
        tni_copy_drop_buffer(&self->directions[i]);
}

int tni_copy_both_run(tni_copy_both *self, tn_io a, tn_io b, const tn_copy_options *options)
{
    int rc;

    *self = (tni_copy_both){.directions = {{.copy = &self->copy, .from = a, .to = b}, {.copy = &self->copy, .from = b, .to = a}}};
    rc = tni_copy_init(&self->copy, options, "tn_copy_both");
    if (rc != 0)
        return rc;
    tn_cancel_source_init(&self->cut);
    tn_scope_enter(&self->scope, TN_NEVER);
    tni_scope_on_end(&self->scope, both_end);
    rc = run(self);
    tn_scope_leave(&self->scope);
    tn_cancel_source_fini(&self->cut);
    return rc;
}

int tn_copy_both(tn_io a, tn_io b, const tn_copy_options *options, uint64_t bytes[2])
{
    tni_copy_both self;
    int rc = tni_copy_both_run(&self, a, b, options);

    for (unsigned i = 0; bytes != NULL && i < 2; i++)
        bytes[i] = self.directions[i].bytes;
    return rc;
}
