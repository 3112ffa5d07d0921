/* SPDX-License-Identifier: MIT */
/* Copying in both directions: each in a fiber of its own, the first one in the caller's. */
#include <tn/group.h>

#include "copy/copy.h"

typedef struct {
    tni_copy copy;
    tn_cancel_source cut; /* ends both directions */
    tni_copy_direction directions[2];
    int results[2];
} both;

/* As a write that finds that the peer has gone, this does not keep the other direction from reading what that peer has sent. */
static int pass_end_on(tni_copy_direction *direction)
{
    int rc = (int)tni_copy_step(direction, TNI_COPY_END, NULL, 0);

    direction->write_ended = rc == TN_ENOTCONN || rc == TN_EPIPE || rc == TN_ECONNRESET;
    return rc == TN_ENOTSUP ? 0 : rc;
}

static void run_direction(both *self, unsigned which)
{
    tni_copy_direction *direction = &self->directions[which];
    tn_scope scope;
    int rc;

    tn_scope_enter_with(&scope, TN_NEVER, &self->cut);
    rc = tni_copy_run(direction);
    if (rc == 0)
        rc = pass_end_on(direction);
    tn_scope_leave(&scope);
    self->results[which] = rc;
    if (rc != 0 && !direction->write_ended)
        tn_cancel_source_cancel(&self->cut);
}

static void *second_direction(void *arg)
{
    run_direction(arg, 1);
    return NULL;
}

/* A direction that was cut short has TN_ECANCELED; the reason is the error of the other one, or `rc`, of the caller's wait. An
 * error that has cut nothing short comes last: it must not hide the reason. */
static int reason(const both *self, int rc)
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

static int run_both(both *self)
{
    tn_group group;
    int rc;

    tn_group_enter(&group, NULL);
    rc = tn_group_spawn(&group, NULL, second_direction, self);
    if (rc == 0) {
        run_direction(self, 0);
        rc = tn_group_wait(&group);
    }
    tn_group_leave(&group); /* if the wait was cut short, it cancels the second direction */
    return reason(self, rc);
}

int tn_copy_both(tn_io a, tn_io b, const tn_copy_options *options, uint64_t bytes[2])
{
    both self = {.directions = {{.copy = &self.copy, .from = a, .to = b}, {.copy = &self.copy, .from = b, .to = a}}};
    int rc = tni_copy_init(&self.copy, options, "tn_copy_both");

    if (rc == 0) {
        tn_cancel_source_init(&self.cut);
        rc = run_both(&self);
        tn_cancel_source_fini(&self.cut);
    }
    for (unsigned i = 0; bytes != NULL && i < 2; i++)
        bytes[i] = self.directions[i].bytes;
    return rc;
}
