/* SPDX-License-Identifier: MIT */
/* The model's twin of runtime/base/tls.h: the thread-local state of a thread of the model. */
#include "base/tls.h"

#include <string.h>

#include "engine.h"
#include "model.h"

static tni_tls locals[MODEL_THREADS];

tni_tls *tni_tls_get(void)
{
    return &locals[engine.self];
}

void model_be_workers_of(const tn_runtime *runtime)
{
    for (unsigned i = 0; i < MODEL_THREADS; i++)
        locals[i].runtime = runtime;
}

void os_tls_model_reset(void)
{
    memset(locals, 0, sizeof locals);
}
