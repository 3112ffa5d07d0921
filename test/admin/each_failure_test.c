/* SPDX-License-Identifier: MIT */
/* Each system call and each start of a thread that the start of an admin server makes fails in turn. */
#include <tn.h>
#include <tn/admin.h>

#include "support/each_failure.h"

#define PATH "/tmp/tn-each-failure-admin"

static int use_at(const char *address)
{
    tn_admin *admin;
    int rc = tn_admin_start(&admin, tn_runtime_current(), address, NULL);

    if (rc == 0)
        tn_admin_stop(admin);
    tt_check(rc == 0 || access(PATH, F_OK) != 0);
    (void)syscall(SYS_unlink, PATH); /* the call by which the server removes it may have failed */
    return rc;
}

static int use_tcp(void)
{
    return use_at("127.0.0.1:0");
}

static int use_unix(void)
{
    return use_at("unix:" PATH);
}

static const tt_function functions[] = {
    {"admin by TCP", use_tcp, TN_ENOMEM},
    {"admin by path", use_unix, TN_ENOMEM},
};

enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

Test(each_failure_of_admin, of_a_system_call)
{
    tt_fail_each(TT_CALL, functions, FUNCTIONS);
}

Test(each_failure_of_admin, of_the_start_of_a_thread)
{
    tt_fail_each(TT_THREAD, functions, FUNCTIONS);
}
