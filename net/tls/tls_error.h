/* SPDX-License-Identifier: MIT */
/* Messages from OpenSSL's error queue, which is one per thread. */
#ifndef TNI_TLS_ERROR_H
#define TNI_TLS_ERROR_H

#include <tn/tls.h>

/* Empties the queue of this thread: before a call of OpenSSL that may fail. */
void tni_tls_error_begin(void);

/* Takes the reason of the first error in the queue of this thread, and empties it. Writes "WHERE: WHAT: REASON" into `error`,
 * which may be NULL, and returns its code: TN_ENOMEM if memory was missing, otherwise `code`. */
int tni_tls_error_take(tn_tls_error *error, int code, const char *where, const char *what);

/* The same for an error that is not OpenSSL's. */
int tni_tls_error_say(tn_tls_error *error, int code, const char *where, const char *what);

#endif
