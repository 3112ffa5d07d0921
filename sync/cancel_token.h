/* SPDX-License-Identifier: MIT */
/* What other layers need of a cancellation token. */
#ifndef TNI_CANCEL_TOKEN_H
#define TNI_CANCEL_TOKEN_H

#include <tn/cancel_token.h>

/* As tn_cancel_token_release, for the only reference to a token that frames of abandoned tasks may be linked to. If they are, it
 * is not freed. */
void tni_cancel_token_discard(tn_cancel_token *token);

#endif
