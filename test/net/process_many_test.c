/* SPDX-License-Identifier: MIT */
/* Many short children, and what a process lacks to start one. */
/* ctest: timeout=120 */
#include "process_support.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <tn/scope.h>
#include <tn/semaphore.h>

#include "support/child.h"

#define CANNOT 77
#define AT_ONCE 50

/* --- Many ------------------------------------------------------------------------------------------------------------------- */

static tn_semaphore slots;

/* Some wait, some do not, some read. */
static void *run_one(void *arg)
{
    unsigned long number = (unsigned long)(uintptr_t)arg;
    char script[64];
    char wanted[16];

    tt_check_eq(tn_semaphore_acquire(&slots, 1), 0);
    snprintf(script, sizeof script, "echo %lu; exit %lu", number, number % 100);
    snprintf(wanted, sizeof wanted, "%lu\n", number);
    if (number % 3 == 0)
        tt_check(ps_says(script, NULL, wanted));
    else if (number % 3 == 1)
        tt_check_eq(ps_end(ps_start("exit 11", NULL)).code, 11);
    else
        tn_process_close(ps_start("exit 12", NULL));
    tn_semaphore_release(&slots, 1);
    return NULL;
}

static void *run_many(void *arg)
{
    unsigned long count = *(unsigned long *)arg;
    tn_task **tasks = calloc(count, sizeof *tasks);

    for (unsigned long i = 0; i < count; i++)
        tasks[i] = tt_spawn(run_one, (void *)(uintptr_t)i);
    for (unsigned long i = 0; i < count; i++)
        (void)tt_join(tasks[i]);
    free(tasks);
    return arg;
}

Test(process_many, short_ones)
{
    unsigned long count = tt_scaled(1000);
    unsigned files;

    tn_semaphore_init(&slots, AT_ONCE);
    tt_run(run_many, &(unsigned long){AT_ONCE});
    ps_expect_no_children();
    files = tt_files();
    tt_run(run_many, &count);
    ps_expect_no_children();
    cr_assert(tt_files() <= files);
}

/* --- Shortages: each in a process of its own ------------------------------------------------------------------------------- */

static void run_in_child(void (*fn)(void *), void *arg)
{
    child_end end = child_run(fn, arg);

    if (child_exited(end, CANNOT))
        cr_skip_test("no filter of system calls can be set here");
    cr_assert(child_exited(end, 0), "%s", end.text);
}

/* Lets calls of clone fail that have the flag, and not the other one. */
static void deny_clone(unsigned flag, unsigned without, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, without, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flag, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
        _exit(CANNOT);
}

#define FLAG_PIDFD 0x1000u
#define FLAG_VFORK 0x4000u
#define FLAG_THREAD 0x10000u

static void *use_without_pidfd(void *arg)
{
    tn_process *process = ps_start("exec sleep 1000", NULL);
    tn_process *quick = ps_start("exit 5", NULL);
    tn_scope scope;

    tt_check_eq(ps_end(quick).code, 5);
    tn_scope_enter_for(&scope, 10 * TN_MS);
    tt_check_eq(tn_process_wait(process, NULL), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
    tt_check_eq(tn_process_send(process, SIGTERM), 0);
    tt_check_eq(ps_end(process).signal, SIGTERM);
    tn_process_close(ps_start("exit 0", NULL));
    return arg;
}

static void without_pidfd(void *arg)
{
    (void)arg;
    deny_clone(FLAG_PIDFD, FLAG_THREAD, EINVAL);
    tt_run(use_without_pidfd, NULL);
    ps_expect_no_children();
}

Test(process_many, without_pidfds)
{
    run_in_child(without_pidfd, NULL);
}

static void *start_in_vain(void *arg)
{
    const int *error = arg;
    tn_process_options options = tn_process_options_default();
    tn_process_output output = tn_process_output_default();
    const char *failed = NULL;
    tn_process *process;

    options.failed = &failed;
    options.in = options.out = TN_PROCESS_PIPE;
    tt_check_eq(tn_process_start(&process, PS_SCRIPT("exit 0"), &options), -*error);
    tt_check(failed != NULL && process == NULL);
    tt_check_eq(tn_process_run(&output, PS_SCRIPT("exit 0"), NULL), -*error);
    return arg;
}

static void no_process(void *arg)
{
    (void)arg;
    deny_clone(FLAG_VFORK, FLAG_THREAD, EAGAIN);
    tt_run(start_in_vain, &(int){EAGAIN});
    ps_expect_no_children();
}

Test(process_many, no_process)
{
    run_in_child(no_process, NULL);
}

static void *run_short_of_files(void *arg)
{
    struct rlimit limit;
    struct rlimit none;
    unsigned failures = 0;

    tt_check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    tt_check_eq(ps_end(ps_start("exit 0", NULL)).code, 0);
    none = limit;
    /* Each of the descriptors of a start is once the one that is missing. */
    for (none.rlim_cur = 3; none.rlim_cur < tt_files() + 12; none.rlim_cur++) {
        tn_process_options options = tn_process_options_default();
        tn_process *process = NULL;
        int rc;
        options.in = options.out = options.err = TN_PROCESS_PIPE;
        tt_check(setrlimit(RLIMIT_NOFILE, &none) == 0);
        rc = tn_process_start(&process, PS_SCRIPT("exit 0"), &options);
        tt_check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        /* EINVAL: the copies in the child would have numbers above the limit. */
        tt_check(rc == 0 || ((rc == TN_EMFILE || rc == TN_EINVAL) && process == NULL));
        failures += rc == TN_EMFILE;
        if (rc == 0)
            (void)ps_end(process);
    }
    tt_check(failures > 3);
    return arg;
}

static void few_files(void *arg)
{
    unsigned files;

    tt_run(run_short_of_files, arg);
    ps_expect_no_children();
    files = tt_files();
    tt_run(run_short_of_files, arg);
    ps_expect_no_children();
    tt_check(tt_files() <= files);
}

Test(process_many, few_files)
{
    run_in_child(few_files, NULL);
}
