/* SPDX-License-Identifier: MIT */
/* Helpers shared by the channels: options, and copying of elements. */
#ifndef TNI_CHANNEL_H
#define TNI_CHANNEL_H

#include <string.h>

#include <tn/channel.h>

#include "base/alloc.h"

/* What a channel keeps of its options. */
typedef struct {
    void (*discard)(void *element);
    tn_allocator allocator;
} tni_channel_options;

/* `given` may be NULL, or an older, shorter struct. */
static inline tni_channel_options tni_channel_options_of(const tn_channel_options *given)
{
    tn_channel_options options = tn_channel_options_default();

    if (given != NULL)
        memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
    return (tni_channel_options){options.discard, options.allocator != NULL ? *options.allocator : tni_alloc_default};
}

/* Most elements are a pointer or a number, for which a call would cost more than the copy. */
static inline void tni_channel_copy_element(void *to, const void *from, size_t size)
{
    if (tni_likely(size == sizeof(uint64_t)))
        memcpy(to, from, sizeof(uint64_t));
    else
        memcpy(to, from, size);
}

#endif
