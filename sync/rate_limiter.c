/* SPDX-License-Identifier: MIT */
/* tn_rate_limiter: a bucket of tokens.
 *
 * The bucket counts in parts, so that no rate is rounded: a nanosecond adds `tokens` parts, and a token has `period_ns` parts.
 *
 * Waiters have the mutex `turn` one after the other, in the order in which they asked. Its holder sleeps until the bucket has
 * its tokens, and takes them when it wakes. So a waiter that is cancelled has taken nothing, and the next one begins.
 * `waiting` counts the holder and those behind it. While it is not 0 no other call takes tokens, so none overtakes a waiter.
 * No wake can be lost, because only time adds tokens. A fiber that is abandoned gives the turn back by the end of its scope. */
#include <tn/rate_limiter.h>

#include <tn/runtime.h>

#include "base/defs.h"
#include "scope/scope.h"
#include "short_lock.h"

#define LARGEST (UINT64_C(1) << 62)

typedef struct {
    tni_short_lock lock; /* protects all that is not constant */
    unsigned waiting;
    uint64_t parts;     /* in the bucket at `filled_ns` */
    uint64_t filled_ns; /* tn_now */
    uint64_t tokens;    /* constant */
    uint64_t period_ns; /* constant */
    uint64_t most;      /* constant: parts of a full bucket */
} limiter_state;

_Static_assert(sizeof(limiter_state) + 8 <= sizeof((tn_rate_limiter *)NULL)->opaque, "sized with slack");

static limiter_state *impl_of(tn_rate_limiter *limiter)
{
    return (limiter_state *)(void *)&limiter->opaque;
}

void tn_rate_limiter_init(tn_rate_limiter *limiter, uint64_t tokens, uint64_t period_ns, uint64_t burst)
{
    limiter_state *state = impl_of(limiter);

    tni_assert(tokens > 0 && period_ns > 0 && burst > 0, "tn_rate_limiter_init: tokens, period_ns and burst are at least 1");
    tni_assert(tokens <= LARGEST && burst <= LARGEST / period_ns, "tn_rate_limiter_init: a number is too large");
    *limiter = (tn_rate_limiter){.turn_ = TN_MUTEX_INIT};
    state->tokens = tokens;
    state->period_ns = period_ns;
    state->most = state->parts = burst * period_ns;
    state->filled_ns = tn_now();
}

void tn_rate_limiter_fini(tn_rate_limiter *limiter)
{
    tn_mutex_fini(&limiter->turn_);
}

/* Takes the parts if they are there. Returns 0, or in how many nanoseconds they will be. */
static uint64_t take_locked(limiter_state *state, uint64_t parts, uint64_t now_ns)
{
    uint64_t missing = state->most - state->parts;

    tni_short_lock_assert_held(&state->lock);
    if (now_ns > state->filled_ns) { /* another thread may have read the clock later */
        uint64_t passed = now_ns - state->filled_ns;
        state->parts = passed >= missing / state->tokens + 1 ? state->most : state->parts + passed * state->tokens;
        if (state->parts > state->most)
            state->parts = state->most;
        state->filled_ns = now_ns;
    }
    if (state->parts < parts)
        return (parts - state->parts - 1) / state->tokens + 1;
    state->parts -= parts;
    return 0;
}

static bool parts_of(const limiter_state *state, uint64_t count, uint64_t *parts)
{
    if (count > state->most / state->period_ns)
        return false;
    *parts = count * state->period_ns;
    return true;
}

int tn_rate_limiter_try_acquire(tn_rate_limiter *limiter, uint64_t count)
{
    limiter_state *state = impl_of(limiter);
    uint64_t now_ns = tn_now();
    uint64_t parts;
    bool taken;

    if (!parts_of(state, count, &parts))
        return TN_EINVAL;
    tni_short_lock_acquire(&state->lock);
    taken = state->waiting == 0 && take_locked(state, parts, now_ns) == 0;
    tni_short_lock_release(&state->lock);
    return taken ? 0 : TN_EAGAIN;
}

/* The turn is the caller's. */
static int take_turn(limiter_state *state, uint64_t parts)
{
    int rc = 0;

    while (rc == 0) {
        uint64_t now_ns = tn_now();
        uint64_t wait_ns;

        tni_short_lock_acquire(&state->lock);
        wait_ns = take_locked(state, parts, now_ns);
        tni_short_lock_release(&state->lock);
        if (wait_ns == 0)
            break;
        rc = tn_sleep(wait_ns);
    }
    return rc;
}

static void count_waiting(limiter_state *state, int change)
{
    tni_short_lock_acquire(&state->lock);
    state->waiting += (unsigned)change;
    tni_short_lock_release(&state->lock);
}

/* A waiter, in the caller's frame. */
typedef struct {
    tn_scope scope; /* its end undoes the rest, also if the fiber is abandoned */
    tn_rate_limiter *limiter;
    bool has_turn;
} waiter;

static void waiter_end(tn_scope *scope, bool abandoned)
{
    waiter *self = tni_container_of(scope, waiter, scope);

    (void)abandoned;
    if (self->has_turn)
        tn_mutex_unlock(&self->limiter->turn_);
    count_waiting(impl_of(self->limiter), -1);
}

int tn_rate_limiter_acquire(tn_rate_limiter *limiter, uint64_t count)
{
    limiter_state *state = impl_of(limiter);
    waiter self = {.limiter = limiter};
    uint64_t parts;
    int rc;

    if (!parts_of(state, count, &parts))
        return TN_EINVAL;
    count_waiting(state, 1);
    tn_scope_enter(&self.scope, TN_NEVER);
    tni_scope_on_end(&self.scope, waiter_end);
    rc = tn_mutex_lock(&limiter->turn_);
    self.has_turn = rc == 0;
    if (rc == 0)
        rc = take_turn(state, parts);
    tn_scope_leave(&self.scope);
    return rc;
}
