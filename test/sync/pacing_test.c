/* SPDX-License-Identifier: MIT */
/* Rate limiters, and pauses between attempts. It runs on the simulated machine too. */
#include <tn/backoff.h>
#include <tn/rate_limiter.h>

#include "sync_support.h"

/* --- Rate limiters --------------------------------------------------------------------------------------------------------- */

static void *limits(void *arg)
{
    tn_rate_limiter limiter;
    uint64_t began_ns;

    (void)arg;
    tn_rate_limiter_init(&limiter, 1, 3600 * TN_S, 5);
    tt_check_eq(tn_rate_limiter_try_acquire(&limiter, 6), TN_EINVAL);
    tt_check_eq(tn_rate_limiter_acquire(&limiter, 6), TN_EINVAL);
    tt_check_eq(tn_rate_limiter_try_acquire(&limiter, 3), 0);
    tt_check_eq(tn_rate_limiter_acquire(&limiter, 2), 0);
    tt_check_eq(tn_rate_limiter_try_acquire(&limiter, 1), TN_EAGAIN);
    tt_check_eq(tn_rate_limiter_try_acquire(&limiter, 0), 0);
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        tt_check_eq(tn_rate_limiter_acquire(&limiter, 1), TN_ETIMEDOUT);
    }
    tn_rate_limiter_fini(&limiter);

    began_ns = tn_now();
    tn_rate_limiter_init(&limiter, 3, 10 * TN_MS, 2); /* a rate that is no whole number of nanoseconds */
    for (int i = 0; i < 8; i++)
        tt_check_eq(tn_rate_limiter_acquire(&limiter, 1), 0);
    tt_check(tn_now() - began_ns >= 20 * TN_MS); /* six tokens came afterwards */
    tn_rate_limiter_fini(&limiter);
    return NULL;
}

Test(pacing, a_rate_limiter_gives_tokens_at_its_rate)
{
    tt_run(limits, NULL);
}

typedef struct {
    tn_rate_limiter *limiter;
    uint64_t count;
    unsigned *order;
    unsigned number;
    uint64_t deadline_ns;
} taker;

static void *take(void *arg)
{
    taker *t = arg;

    TN_SCOPE(scope, t->deadline_ns);
    if (tn_rate_limiter_acquire(t->limiter, t->count) == 0)
        t->number = ++*t->order;
    return NULL;
}

static void *in_order(void *arg)
{
    tn_rate_limiter limiter;
    tn_task *tasks[4];
    taker takers[4];
    unsigned order = 0;

    (void)arg;
    tt_check_eq(tn_time_pause(), 0);
    tn_rate_limiter_init(&limiter, 1, 10 * TN_MS, 4);
    tt_check_eq(tn_rate_limiter_acquire(&limiter, 4), 0);
    for (unsigned i = 0; i < 4; i++) {
        takers[i] = (taker){&limiter, i == 0 ? 3 : 1, &order, 0, i == 2 ? tn_now() + 5 * TN_MS : TN_NEVER};
        tasks[i] = tt_spawn(take, &takers[i]);
        let_others_run();
    }
    tt_check_eq(tn_sleep(12 * TN_MS), 0);
    tt_check_eq(tn_rate_limiter_try_acquire(&limiter, 1), TN_EAGAIN); /* it is for the first one, which waits for three */
    for (unsigned i = 0; i < 4; i++)
        tt_join(tasks[i]);
    tt_check_eq(takers[0].number, 1);
    tt_check_eq(takers[1].number, 2);
    tt_check_eq(takers[2].number, 0); /* its deadline came first, and it has taken nothing */
    tt_check_eq(takers[3].number, 3);
    tn_rate_limiter_fini(&limiter);
    return NULL;
}

Test(pacing, a_rate_limiter_is_fair)
{
    run_in_paused_time(in_order, NULL);
}

/* --- Backoff --------------------------------------------------------------------------------------------------------------- */

Test(pacing, pauses_grow_to_their_limit)
{
    tn_backoff backoff = TN_BACKOFF_INIT(100, 1000);
    bool differ = false;

    for (int round = 0; round < 2; round++) {
        static const uint64_t limits[] = {100, 200, 400, 800, 1000, 1000};
        for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
            uint64_t pause_ns = tn_backoff_next(&backoff);
            cr_assert(pause_ns >= limits[i] / 2 && pause_ns <= limits[i]);
            differ = differ || pause_ns != limits[i];
        }
        tn_backoff_reset(&backoff);
    }
    cr_assert(differ);
    backoff = (tn_backoff)TN_BACKOFF_INIT(1, UINT64_MAX);
    for (int i = 0; i < 100; i++)
        cr_assert(tn_backoff_next(&backoff) >= 1);
}

typedef struct {
    unsigned attempts;
    unsigned good; /* the attempt that succeeds */
    int error;
} attempts;

static int try_it(void *arg, unsigned attempt)
{
    attempts *a = arg;

    tt_check_eq(attempt, ++a->attempts);
    return attempt == a->good ? 0 : a->error;
}

static bool only_refused(int error)
{
    return error == TN_ECONNREFUSED;
}

static void *retries(void *arg)
{
    tn_backoff backoff = TN_BACKOFF_INIT(TN_US, 10 * TN_US);
    attempts a = {.good = 4, .error = TN_ECONNREFUSED};

    (void)arg;
    tt_check_eq(tn_time_pause(), 0);
    tt_check_eq(tn_retry(&backoff, 0, try_it, &a, NULL), 0);
    tt_check_eq(a.attempts, 4);
    a = (attempts){.good = 4, .error = TN_ECONNREFUSED};
    tt_check_eq(tn_retry(&backoff, 3, try_it, &a, only_refused), TN_ECONNREFUSED);
    tt_check_eq(a.attempts, 3);
    a = (attempts){.good = 4, .error = TN_EPROTO};
    tt_check_eq(tn_retry(&backoff, 3, try_it, &a, only_refused), TN_EPROTO);
    tt_check_eq(a.attempts, 1);
    a = (attempts){.error = TN_ECANCELED};
    tt_check_eq(tn_retry(&backoff, 3, try_it, &a, NULL), TN_ECANCELED);
    tt_check_eq(a.attempts, 1);
    {
        TN_SCOPE(scope, tn_now() + TN_MS);
        backoff = (tn_backoff)TN_BACKOFF_INIT(TN_S, TN_S);
        a = (attempts){.error = TN_ECONNREFUSED};
        tt_check_eq(tn_retry(&backoff, 0, try_it, &a, NULL), TN_ETIMEDOUT);
        tt_check_eq(a.attempts, 1);
        tt_check_eq(tn_backoff_wait(&backoff), TN_ETIMEDOUT);
    }
    return NULL;
}

Test(pacing, a_call_is_repeated)
{
    run_in_paused_time(retries, NULL);
}
