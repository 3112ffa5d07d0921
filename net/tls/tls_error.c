/* SPDX-License-Identifier: MIT */
/* Messages from OpenSSL's error queue. */
#include "tls/tls_error.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

void tni_tls_error_begin(void)
{
    if (ERR_peek_error() != 0) /* to clear takes longer than to look */
        ERR_clear_error();
}

int tni_tls_error_say(tn_tls_error *error, int code, const char *where, const char *what)
{
    if (error == NULL)
        return code;
    *error = (tn_tls_error){.code = code};
    if (snprintf(error->text, sizeof error->text, "%s: %s", where, what) < 0) /* too long a line is cut */
        error->text[0] = '\0';
    return code;
}

int tni_tls_error_take(tn_tls_error *error, int code, const char *where, const char *what)
{
    const char *data = NULL;
    int flags = 0;
    unsigned long first = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);
    const char *reason = first != 0 ? ERR_reason_error_string(first) : NULL;
    char text[TN_TLS_ERROR_TEXT];

    if (first != 0 && ERR_GET_REASON(first) == ERR_R_MALLOC_FAILURE)
        code = TN_ENOMEM;
    if (ERR_SYSTEM_ERROR(first))
        reason = tn_strerror(-ERR_GET_REASON(first));
    if (reason == NULL)
        reason = "no reason is given";
    if (!(flags & ERR_TXT_STRING) || data == NULL)
        data = "";
    (void)snprintf(text, sizeof text, "%s: %s%s%s", what, reason, data[0] != '\0' ? ", " : "", data);
    ERR_clear_error(); /* `data` is of the queue */
    return tni_tls_error_say(error, code, where, text);
}
