/* SPDX-License-Identifier: MIT */
/* The C++ exceptions of a fiber that suspends while it handles or throws one.
 *
 * The C++ runtime records per thread which exceptions are being handled and thrown. A fiber that suspends in a handler, or in a
 * destructor during unwinding, takes its record along: it empties the record of the thread that it leaves, and fills that of
 * the thread on which it continues. So the record of a worker is empty whenever a fiber begins.
 *
 * A program may load its first C++ plug-in at any time. So the C++ runtime is looked up when a fiber suspends, and again only
 * when the thread's generation of thread-local storage has grown since; before that, the thread cannot have used the record. */
#ifndef TNI_EXCEPTIONS_H
#define TNI_EXCEPTIONS_H

#include "base/atomic.h"
#include "os/os_exceptions.h"

/* What is known of the C++ runtime. `accessor`: a tni_os_exceptions_fn; NULL: none was found yet. `none_before`: the generation
 * at which no C++ runtime was loaded yet, plus 1; 0: nothing was looked up yet, or there is a C++ runtime. */
typedef struct {
    tni_aptr accessor;
    tni_a64 none_before;
} tni_exceptions_lookup;

__attribute__((visibility("hidden"))) extern tni_exceptions_lookup tni_exceptions_found;

#ifdef TNI_MODEL
/* The scenarios throw no exceptions. */
static inline bool tni_exceptions_possible(void)
{
    return false;
}
#else
/* Whether the thread's record may be in use: false in a program without C++. */
__attribute__((always_inline)) static inline bool tni_exceptions_possible(void)
{
    /* Relaxed: a value that another thread has written since causes one more look-up, or one less at a generation at which this
     * thread has used no record. */
    uint64_t none_before = tni_a64_load(&tni_exceptions_found.none_before, TNI_RELAXED);

    return tni_unlikely(tni_os_exceptions_generation() >= none_before);
}
#endif

/* Called where possible() is true: whether the record of the calling thread is not empty. */
bool tni_exceptions_in_use(void);

/* Moves the record of the calling thread to *out. False: it is empty, and *out is not set. Called where possible() is true. */
bool tni_exceptions_take(tni_os_exceptions *out);

/* Moves it to the calling thread, whose record is empty. */
void tni_exceptions_put(const tni_os_exceptions *record);

#endif
