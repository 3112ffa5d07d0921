/* SPDX-License-Identifier: MIT */
/* Connecting to one of several addresses: the first that accepts (RFC 8305, "Happy Eyeballs"). */
#ifndef TNI_STAGGERED_H
#define TNI_STAGGERED_H

#include "address/address.h"
#include "stream/stream.h"

/* The pause between two attempts (RFC 8305, section 5). */
#define TNI_STAGGERED_PAUSE_NS (250 * TN_MS)

/* Orders addresses so that the families alternate, with that of the first one first. */
void tni_staggered_order(tni_address *addresses, size_t count);

/* Connects a stream to one of the TCP addresses. Each attempt begins TNI_STAGGERED_PAUSE_NS after the one before it, or at once
 * when one fails. The first that succeeds wins, and the others are closed. Suspends; a cancellation point. Returns 0; the error
 * of the attempt that failed first, and its address in *failed, when all have failed; or the result of the cancellation point,
 * with *failed unchanged. */
int tni_staggered_connect(tn_runtime *runtime, tn_stream **out, const tni_address *addresses, size_t count, size_t *failed);

#endif
