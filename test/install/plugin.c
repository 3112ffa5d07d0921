/* SPDX-License-Identifier: MIT */
/* A shared library that uses the installed one: for a program that loads it. */
#include <dlfcn.h>
#include <tn.h>

#ifdef WITH_TLS_STATIC
#include <tn/tls.h>
void (*plugin_side(void))(void)
{
    return (void (*)(void))tn_tls_open;
}
#endif
#ifdef WITH_ADMIN_STATIC
#include <tn/admin.h>
void (*plugin_side(void))(void)
{
    return (void (*)(void))tn_admin_start;
}
#endif

/* What the program looks up. */
int plugin_run(int *ran);
const char *plugin_library(void);

static void *child(void *arg)
{
    tn_sleep(TN_MS);
    return arg;
}

static void *start(void *arg)
{
    tn_task *task;
    void *result = NULL;

    if (tn_spawn(&task, child, arg) == 0 && tn_join(task, &result) == 0 && result == arg)
        ++*(int *)arg;
    return NULL;
}

/* Runs a runtime, and adds 1 to `*ran`. */
int plugin_run(int *ran)
{
    return tn_run(start, ran, NULL);
}

/* The file that has the functions which this library calls. */
const char *plugin_library(void)
{
    Dl_info info;
    void *at;

    *(int (**)(tn_entry_fn, void *, const tn_options *)) & at = tn_run;
    return dladdr(at, &info) != 0 ? info.dli_fname : "";
}
