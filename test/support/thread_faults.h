/* SPDX-License-Identifier: MIT */
/* Makes pthread_create fail. This definition takes precedence over the C library's; include it in one source per program. */
#ifndef TT_THREAD_FAULTS_H
#define TT_THREAD_FAULTS_H

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

static atomic_long threads_left; /* pthread_create fails when it is 1; 0: never */

typedef int (*create_fn)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

/* Under ThreadSanitizer this name is the sanitizer's own definition. */
extern int __interceptor_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) __attribute__((weak));

/* Counts down; returns true at 1, and from then on. */
static bool is_used_up(atomic_long *left)
{
    long now = atomic_load(left);

    while (now > 1)
        if (atomic_compare_exchange_weak(left, &now, now - 1))
            return false;
    return now == 1;
}

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attr, void *(*entry)(void *), void *restrict arg)
{
    create_fn original = __interceptor_pthread_create;

    if (is_used_up(&threads_left))
        return EAGAIN;
    if (original == NULL)
        *(void **)&original = dlsym(RTLD_NEXT, "pthread_create");
    return original(thread, attr, entry, arg);
}

#endif
