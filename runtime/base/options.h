/* SPDX-License-Identifier: MIT */
/* Reading a caller's option struct: every call with options uses this. tn/base.h ("Option structs") has the rules for callers.
 *
 * Rules for a new option, because programs and the library may have been built with different headers:
 *
 * - It is added at the end, and sizeof grows: it takes none of the padding that older programs pass with arbitrary bytes.
 * - 0, false or NULL stands for its default: a library that does not know it accepts only this value.
 * - It leaves no padding at the end, whose arbitrary bytes such a library would refuse: what is left is a member, set to 0. */
#ifndef TNI_OPTIONS_H
#define TNI_OPTIONS_H

#include <string.h>

#include "base/log.h"

/* No option struct will ever be larger. A larger size is one that the caller has not initialized. */
#define TNI_OPTIONS_MAX_BYTES 4096

/* Copies the caller's struct `given` (may be NULL) over the defaults in `*out`. `last_of_first`: the last member that the first
 * version of the struct had. Returns 0, or TN_EINVAL if the struct has a wrong size or sets options that are unknown; then it
 * has logged a line that names `call`, and `*out` still has the defaults. */
#define tni_options_read(out, last_of_first, given, log, call) \
    ((void)sizeof((out) == (given)), \
     tni_options_copy((out), sizeof *(out), TNI_OPTIONS_END(out, last_of_first), (given), (log), (call)))

/* The number of bytes up to the end of `member` in `*options`. */
#define TNI_OPTIONS_END(options, member) (offsetof(__typeof__(*(options)), member) + sizeof(__typeof__((options)->member)))

/* Logs that an option has a wrong value: `problem` names it, after "options.", and says what to do. Returns TN_EINVAL. */
int tni_options_refuse(const tni_log *log, const char *call, const char *problem);

/* Checks the option `allocator`; NULL is allowed. Returns 0, or logs and returns TN_EINVAL. */
int tni_options_check_allocator(const tn_allocator *allocator, const tni_log *log, const char *call);

/* For tni_options_copy: `given->size` is not `known_bytes`. */
int tni_options_copy_resized(void *out, size_t known_bytes, size_t first_bytes, const void *given, const tni_log *log,
                             const char *call);

/* For tni_options_read. */
static inline int tni_options_copy(void *out, size_t known_bytes, size_t first_bytes, const void *given, const tni_log *log,
                                   const char *call)
{
    if (given == NULL)
        return 0;
    if (tni_unlikely(*(const size_t *)given != known_bytes))
        return tni_options_copy_resized(out, known_bytes, first_bytes, given, log, call);
    memcpy(out, given, known_bytes); /* the size is a constant here: a few moves */
    return 0;
}

#endif
