/* SPDX-License-Identifier: MIT */
/* Reading of option structs. */
#include "tls/tls_options.h"

#include <string.h>

#define SIZE_LARGEST 4096

bool tni_tls_options_read(void *out, size_t known, size_t least, const void *given)
{
    const unsigned char *bytes = given;
    size_t size;

    if (given == NULL)
        return true;
    memcpy(&size, given, sizeof size);
    if (size < least || size > SIZE_LARGEST)
        return false;
    for (size_t i = known; i < size; i++) {
        if (bytes[i] != 0)
            return false;
    }
    memcpy(out, given, size < known ? size : known);
    return true;
}
