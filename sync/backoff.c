/* SPDX-License-Identifier: MIT */
/* tn_backoff: pauses between attempts. */
#include <tn/backoff.h>

#include <tn/runtime.h>

#include "base/defs.h"
#include "base/thread.h"

uint64_t tn_backoff_next(tn_backoff *backoff)
{
    uint64_t limit_ns = backoff->limit_ns_;
    uint64_t half_ns;

    tni_assert(backoff->first_ns > 0 && backoff->first_ns <= backoff->most_ns, "tn_backoff: 0 < first_ns <= most_ns");
    if (limit_ns == 0)
        limit_ns = backoff->first_ns;
    backoff->limit_ns_ = limit_ns > backoff->most_ns / 2 ? backoff->most_ns : 2 * limit_ns;
    if (backoff->random_ == 0)
        backoff->random_ = tni_random_seed();
    half_ns = limit_ns / 2;
    /* 32 random bits: the step is a part in four billion of the pause. */
    return limit_ns - (uint64_t)((double)half_ns * (tni_random_next(&backoff->random_) / 4294967296.0));
}

void tn_backoff_reset(tn_backoff *backoff)
{
    backoff->limit_ns_ = 0;
}

int tn_backoff_wait(tn_backoff *backoff)
{
    return tn_sleep(tn_backoff_next(backoff));
}

int tn_retry(tn_backoff *backoff, unsigned attempts_max, tn_attempt_fn fn, void *arg, bool (*passes)(int error))
{
    for (unsigned attempt = 1;; attempt++) {
        int rc = fn(arg, attempt);
        if (rc == 0 || attempt == attempts_max || rc == TN_ECANCELED || (passes != NULL && !passes(rc)))
            return rc;
        if (tn_checkpoint() != 0)
            return rc; /* the reason of the failure says more than the deadline */
        rc = tn_backoff_wait(backoff);
        if (rc != 0)
            return rc;
    }
}
