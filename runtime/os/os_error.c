/* SPDX-License-Identifier: MIT */
/* tn_strerror: the text of an error code, from libuv, or from the C library for codes that libuv does not have. */
#include "os/os_error.h"

#include <string.h>
#include <uv.h>

_Static_assert((int)TN_ECANCELED == (int)UV_ECANCELED, "our errors are libuv's");
_Static_assert((int)TN_EAGAIN == (int)UV_EAGAIN, "our errors are libuv's");
_Static_assert((int)TN_ETIMEDOUT == (int)UV_ETIMEDOUT, "our errors are libuv's");

/* NULL: libuv has no text for it. */
static const char *text_of_libuv(int error)
{
    static const struct {
        int code;
        const char *text;
    } messages[] = {
#define MESSAGE(name, text) {UV_##name, text},
        UV_ERRNO_MAP(MESSAGE)
#undef MESSAGE
    };

    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++)
        if (messages[i].code == error)
            return messages[i].text;
    return NULL;
}

const char *tn_strerror(int error)
{
    const char *text = text_of_libuv(error);

    if (error == 0)
        return "no error";
    if (error == TN_ETIME)
        return "the peer does not reply: connection timed out";
    if (text == NULL && error < 0 && error > INT_MIN)
        text = strerrordesc_np(-error);
    return text != NULL ? text : "unknown error";
}
