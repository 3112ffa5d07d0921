/* SPDX-License-Identifier: MIT */
/* The model's twin of runtime/base/tls.h: the thread-local state of a thread of the model. */
#include "base/tls.h"

#include <string.h>

#include "engine.h"

static tni_tls locals[MODEL_THREADS];

tni_tls *tni_tls_get(void)
{
    return &locals[engine.self];
}

void os_tls_model_reset(void)
{
    memset(locals, 0, sizeof locals);
}
