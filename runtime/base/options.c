/* SPDX-License-Identifier: MIT */
/* Option structs of callers that were built with other headers: shorter or longer than ours. */
#include "base/options.h"

#include <errno.h>

static bool is_zero(const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

int tni_options_copy_resized(void *out, size_t known_bytes, size_t first_bytes, const void *given, const tni_log *log,
                             const char *call)
{
    size_t size = *(const size_t *)given;

    if (size < first_bytes || size > TNI_OPTIONS_MAX_BYTES) {
        tni_log_write(log, TN_LOG_ERROR, "%s: options.size is wrong (%zu): begin with the default() of the struct", call, size);
        return TN_EINVAL;
    }
    if (size > known_bytes && !is_zero((const unsigned char *)given + known_bytes, size - known_bytes)) {
        tni_log_write(
            log, TN_LOG_ERROR,
            "%s: options.size is %zu, and an option behind the %zu bytes that this library knows is set: leave it at 0, "
            "or use the library of the headers",
            call, size, known_bytes);
        return TN_EINVAL;
    }
    memcpy(out, given, size < known_bytes ? size : known_bytes);
    memcpy(out, &known_bytes, sizeof known_bytes); /* `size` is the first member */
    return 0;
}

int tni_options_refuse(const tni_log *log, const char *call, const char *problem)
{
    tni_log_write(log, TN_LOG_ERROR, "%s: options.%s", call, problem);
    return TN_EINVAL;
}

int tni_options_check_allocator(const tn_allocator *allocator, const tni_log *log, const char *call)
{
    if (allocator != NULL && (allocator->alloc == NULL || allocator->free == NULL))
        return tni_options_refuse(log, call, "allocator lacks a function: set alloc and free");
    return 0;
}
