/* SPDX-License-Identifier: MIT */
/* The future of a byte stream's readiness, for kinds that are made of another stream. */
#ifndef TNI_IO_H
#define TNI_IO_H

#include <tn/io.h>

#include "base/defs.h"

/* A future that is ready; it has no state. */
tn_future *tni_io_wait_ready(void);

/* What the entry `wait_init` of `io` returns, or its fallback. */
tn_future *tni_io_wait_inner(tn_io io, tn_direction direction, uint64_t *memory);

#endif
