/* SPDX-License-Identifier: MIT */
/* The model's runtime/base/tls.h: what a thread knows of itself, a thread of the model. */
#include "base/tls.h"

#include <string.h>

#include "engine.h"

static tni_tls locals[MODEL_THREADS];

tni_tls *tni_tls_get(void)
{
    return &locals[engine.self];
}

void door_local_reset(void)
{
    memset(locals, 0, sizeof locals);
}
