/* SPDX-License-Identifier: MIT */
/* tournant: options of the channels. Their elements are plain bytes that are copied in and out. */
#ifndef TN_CHANNEL_H
#define TN_CHANNEL_H

#include <tn/runtime.h>
#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Options of a channel; begin with tn_channel_options_default(). */
typedef struct tn_channel_options {
    size_t size; /* of this struct, in bytes; set by tn_channel_options_default() */
    /* Called for each element that was not received, when the channel is freed; NULL: none. tn_broadcast calls it for
     * overwritten elements too, and tn_watch never. */
    void (*discard)(void *element);
    const tn_allocator *allocator; /* copied; NULL: the C library's */
    /* For tn_broadcast, whose receivers get a copy each: makes the copy in `element` own what the element owns, such as one more
     * reference. It is called with a lock of the channel held, so it only counts: it neither waits nor calls the library. NULL:
     * elements own nothing. The other channels do not use it. */
    void (*retain)(void *element);
} tn_channel_options;

/* Returns the default options.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result is a value.
 * Errors: none.
 * Cancellation: no. */
static inline tn_channel_options tn_channel_options_default(void)
{
    tn_channel_options options = {sizeof(tn_channel_options), NULL, NULL, NULL};
    return options;
}

#ifdef __cplusplus
}
#endif

#endif
