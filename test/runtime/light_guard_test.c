/* SPDX-License-Identifier: MIT */
/* Creating a runtime with guards that the kernel does not have. */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <tn.h>

#include "support/allocator.h"
#include "support/runtime.h"

static atomic_bool no_light_guards; /* madvise fails as in a kernel before Linux 6.13 */

typedef int (*madvise_fn)(void *, size_t, int);

/* Overrides the C library's function. */
int madvise(void *address, size_t size, int advice)
{
    enum { GUARD_INSTALL = 102 }; /* MADV_GUARD_INSTALL, which older headers lack */
    madvise_fn original = NULL;

    if (advice == GUARD_INSTALL && atomic_load(&no_light_guards)) {
        errno = EINVAL;
        return -1;
    }
    *(void **)&original = dlsym(RTLD_NEXT, "madvise");
    return original(address, size, advice);
}

typedef struct {
    int errors;
    char last[400];
} messages;

static void keep_message(void *ctx, tn_log_level level, const char *message)
{
    messages *m = ctx;

    m->errors += level == TN_LOG_ERROR;
    (void)snprintf(m->last, sizeof m->last, "%s", message);
}

static void *echo(void *arg)
{
    return arg;
}

Test(light_guard, is_refused_by_an_older_kernel)
{
    tt_allocator allocator;
    tn_options options = tt_options();
    messages m = {0};
    tn_runtime *runtime = (tn_runtime *)(void *)&m;

    tt_allocator_init(&allocator);
    options.allocator = &allocator.as_option;
    options.log = keep_message;
    options.log_ctx = &m;
    options.guard = TN_GUARD_LIGHT;
    atomic_store(&no_light_guards, true);
    cr_assert_eq(tn_runtime_create(&runtime, &options), TN_ENOTSUP);
    cr_assert_null(runtime);
    cr_assert_eq(tn_run(echo, NULL, &options), TN_ENOTSUP);
    cr_assert_eq(m.errors, 2);
    cr_assert_not_null(strstr(m.last, "light stack guards"), "it says \"%s\"", m.last);
    options.guard = TN_GUARD_DEFAULT;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    tt_runtime_destroy(runtime);
    cr_assert_eq(atomic_load(&allocator.blocks), 0);
}
