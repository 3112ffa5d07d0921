/* SPDX-License-Identifier: MIT */
/* tournant: what the channels share. Elements are plain bytes, copied in and copied out. */
#ifndef TN_CHANNEL_H
#define TN_CHANNEL_H

#include <tn/runtime.h>
#include <tn/waiter.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tn_channel_options {
    size_t size;                    /* of this struct; tn_channel_options_default() sets it */
    void (*discard)(void *element); /* called for each element that nobody received, when the channel goes; NULL: none */
    const tn_allocator *allocator;  /* copied; NULL: the C library's */
} tn_channel_options;

static inline tn_channel_options tn_channel_options_default(void)
{
    tn_channel_options options = {sizeof(tn_channel_options), NULL, NULL};
    return options;
}

#ifdef __cplusplus
}
#endif

#endif
