#include <uv.h>

#include "tn_base.h"

_Static_assert((int)TN_ECANCELED == (int)UV_ECANCELED, "our errors are libuv's");
_Static_assert((int)TN_EAGAIN == (int)UV_EAGAIN, "our errors are libuv's");
_Static_assert((int)TN_ETIMEDOUT == (int)UV_ETIMEDOUT, "our errors are libuv's");

const char *tn_strerror(int error)
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
    return error == 0 ? "no error" : "unknown error";
}
