/* SPDX-License-Identifier: MIT */
/* Blocking jobs with a counted handle, for the other folders of this layer. */
#ifndef TNI_JOB_H
#define TNI_JOB_H

#include "pool/pool.h"

/* As tn_spawn_blocking_on, for any class. */
int tni_job_spawn(tni_pool *pool, tni_pool_class kind, const tn_blocking_options *options, tn_job **out, tn_job_fn fn, void *arg);

#endif
