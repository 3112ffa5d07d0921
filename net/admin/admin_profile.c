/* SPDX-License-Identifier: MIT */
/* /profile. README.md ("A profile") has what its numbers mean. */
#include "admin/admin_profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tn/scope.h>
#include <tn/time.h>

#include "admin/admin_flame.h"

#define SECONDS_DEFAULT 5
#define SECONDS_MAX 60
/* Between two rounds, on average: over the workers, and over all tasks. */
#define RUNS_NS (10 * TN_MS)
#define WAITS_NS (50 * TN_MS)
/* A round over all tasks takes at most one part in so many of the time. */
#define WAITS_SHARE 10
/* After so many tasks other connections have their turn. */
#define TASKS_A_TURN 1024

/* --- The request --------------------------------------------------------------------------------------------------------- */

/* Which of two words a parameter is. False: it is another one. */
static bool choose(const tni_admin_request *request, const char *name, const char *usual, const char *other, bool *is_other)
{
    char text[16];

    *is_other = false;
    if (!tni_admin_request_has(request, name))
        return true;
    if (!tni_admin_request_parameter(request, name, text, sizeof text))
        return false;
    *is_other = strcmp(text, other) == 0;
    return *is_other || strcmp(text, usual) == 0;
}

static bool parse_seconds(const tni_admin_request *request, unsigned *out)
{
    char text[8];

    *out = SECONDS_DEFAULT;
    if (!tni_admin_request_has(request, "seconds"))
        return true;
    if (!tni_admin_request_parameter(request, "seconds", text, sizeof text) || text[0] == '\0' ||
        strspn(text, "0123456789") != strlen(text))
        return false;
    *out = (unsigned)strtoul(text, NULL, 10);
    return *out > 0 && *out <= SECONDS_MAX;
}

bool tni_admin_profile_parse(const tni_admin_request *request, tni_admin_profile *out)
{
    return parse_seconds(request, &out->seconds) && choose(request, "of", "runs", "waits", &out->waits) &&
           choose(request, "format", "folded", "svg", &out->is_svg) && choose(request, "by", "stack", "name", &out->by_name);
}

/* --- Sampling ------------------------------------------------------------------------------------------------------------ */

typedef struct {
    tni_admin_stacks *stacks;
    bool waits;
    bool by_name;
    uint64_t weight_ns; /* since the round before: a task that is found counts for it */
    unsigned seen;
    int rc;
} sampling;

static bool add_task(void *ctx, const tn_task_info *info)
{
    sampling *s = ctx;

    if (!s->waits || info->state == TN_TASK_WAITS || info->state == TN_TASK_WAITS_FOR_STACK)
        tni_admin_stacks_add(s->stacks, info, s->by_name, s->weight_ns);
    if (++s->seen % TASKS_A_TURN == 0)
        s->rc = tn_yield();
    return s->rc == 0;
}

/* Reads until the client leaves, and drops what it sends. Returns 0 at that time. */
static int wait_until(tn_stream *stream, uint64_t until_ns)
{
    char dropped[256];
    TN_SCOPE(scope, until_ns);

    while (tn_now() < until_ns) {
        ssize_t n = tn_read(stream, dropped, sizeof dropped);
        if (n == 0)
            return TN_ECONNRESET; /* it has closed, or will send no more: it does not wait for the response */
        if (n < 0 && n != TN_ETIMEDOUT)
            return (int)n;
    }
    return 0;
}

/* Half to one and a half times the interval: at a fixed one, tasks with the same interval would be seen always or never. */
static uint64_t next_interval(uint64_t *random, uint64_t average_ns)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return average_ns / 2 + (*random >> 33) % average_ns;
}

int tni_admin_profile_take(const tni_admin_profile *self, tn_runtime *runtime, tn_stream *stream, tni_admin_stacks *out)
{
    uint64_t before_ns = tn_now();
    uint64_t end_ns = before_ns + self->seconds * TN_S;
    uint64_t random = before_ns;
    uint64_t took_ns = 0;
    sampling s = {.stacks = out, .waits = self->waits, .by_name = self->by_name};

    tni_admin_stacks_clear(out);
    while (s.rc == 0 && before_ns < end_ns) {
        uint64_t average_ns = self->waits ? WAITS_NS : RUNS_NS;
        uint64_t next_ns;
        if (average_ns < took_ns * WAITS_SHARE)
            average_ns = took_ns * WAITS_SHARE;
        next_ns = before_ns + next_interval(&random, average_ns);
        s.rc = wait_until(stream, next_ns < end_ns ? next_ns : end_ns);
        if (s.rc != 0)
            break;
        s.weight_ns = tn_now() - before_ns;
        before_ns += s.weight_ns;
        if (self->waits)
            tn_tasks_each(runtime, add_task, &s);
        else
            tn_tasks_each_running(runtime, add_task, &s);
        took_ns = tn_now() - before_ns;
    }
    return s.rc == 0 ? tni_admin_stacks_resolve(out) : s.rc;
}

/* --- The response -------------------------------------------------------------------------------------------------------- */

static void print_folded(const tni_admin_stacks *stacks, tni_admin_response *r)
{
    for (unsigned i = 0; i < stacks->used; i++) {
        const tni_admin_stack *stack = tni_admin_stacks_at(stacks, i);
        for (unsigned at = 0; at < stack->depth; at++)
            tni_admin_http_print(r, "%s%s", at > 0 ? ";" : "", stacks->names[stack->path[at]]);
        tni_admin_http_print(r, " %llu\n", (unsigned long long)(stack->ns / TN_US));
    }
    if (stacks->left_out_ns > 0)
        tni_admin_http_print(r, "[further stacks] %llu\n", (unsigned long long)(stacks->left_out_ns / TN_US));
}

void tni_admin_profile_print(const tni_admin_profile *self, const tni_admin_stacks *stacks, tni_admin_response *r)
{
    char title[96];

    if (!self->is_svg) {
        print_folded(stacks, r);
        return;
    }
    (void)snprintf(title, sizeof title, "%s, %u s", self->waits ? "where tasks wait" : "what workers run", self->seconds);
    tni_admin_flame_print(r, stacks, title);
}
