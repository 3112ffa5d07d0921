/* SPDX-License-Identifier: MIT */
/* Makes pthread_create wait. This definition takes precedence over the C library's; include it in one source per program. */
#ifndef TT_SLOW_THREAD_START_H
#define TT_SLOW_THREAD_START_H

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "support/runtime.h"

static atomic_bool starts_wait;
static atomic_uint starts_waiting;

typedef int (*create_fn)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

/* Under ThreadSanitizer this name is the sanitizer's own definition. */
extern int __interceptor_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) __attribute__((weak));

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attr, void *(*entry)(void *), void *restrict arg)
{
    create_fn original = __interceptor_pthread_create;

    if (atomic_load(&starts_wait))
        atomic_fetch_add(&starts_waiting, 1);
    while (atomic_load(&starts_wait))
        tt_block_thread(TN_MS);
    if (original == NULL)
        *(void **)&original = dlsym(RTLD_NEXT, "pthread_create");
    return original(thread, attr, entry, arg);
}

static void tt_slow_starts(bool slow)
{
    atomic_store(&starts_wait, slow);
}

static void tt_wait_for_slow_start(void)
{
    while (atomic_load(&starts_waiting) == 0) /* else ctest's timeout ends it */
        tt_block_thread(TN_MS);
}

#endif
