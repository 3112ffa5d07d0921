/* SPDX-License-Identifier: MIT */
/* Helpers shared by the channels: options, and copying of elements. */
#ifndef TNI_CHANNEL_H
#define TNI_CHANNEL_H

#include <string.h>

#include <tn/channel.h>

#include "base/alloc.h"
#include "base/order.h"

/* What a channel keeps of its options. */
typedef struct {
    void (*discard)(void *element);
    void (*retain)(void *element);
    tn_allocator allocator;
} tni_channel_options;

/* For tni_channel_options_read: `given` is not NULL. */
int tni_channel_options_copy(tni_channel_options *out, const tn_channel_options *given, const char *call);

/* Reads the options of `call`, a function that creates a channel. Returns 0, or TN_EINVAL with a line in the log. */
static inline int tni_channel_options_read(tni_channel_options *out, const tn_channel_options *given, const char *call)
{
    if (given != NULL)
        return tni_channel_options_copy(out, given, call);
    *out = (tni_channel_options){NULL, NULL, tni_alloc_default};
    return 0;
}

/* Most elements are a pointer or a number, for which a call would cost more than the copy. ThreadSanitizer sees the call, so
 * the order of the users of a slot is reported to it. */
static inline void tni_channel_copy_element(void *to, const void *from, size_t size)
{
    if (tni_likely(size == sizeof(uint64_t))) {
        memcpy(to, from, sizeof(uint64_t));
        return;
    }
    tni_order_acquire();
    memcpy(to, from, size);
    tni_order_release();
}

#endif
