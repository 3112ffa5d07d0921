/* SPDX-License-Identifier: MIT */
/* System calls that a seccomp filter refuses from some moment on. Each case is a process of its own, because a filter stays. */
/* ctest: timeout=120 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tn.h>

#include "support/runtime.h"

/* Lets two system calls fail with EPERM, on all threads of the process. */
static void deny(long first, long second)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)first, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)second, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
        _exit(77);
}

typedef struct {
    long calls[2];  /* the calls that are denied */
    bool handovers; /* cores are still taken from workers that block */
} denial;

/* --- What a program does meanwhile ------------------------------------------------------------------------------------------ */

enum { SENDERS = 8, SENT = 500 };

static void *send_many(void *arg)
{
    for (int i = 0; i < SENT; i++)
        tt_check_eq(tn_mpsc_send(arg, &i), 0);
    tn_mpsc_release_sender(arg);
    return NULL;
}

/* Senders wait for slots all the time, and each of them is woken. */
static void *use_channel(void *arg)
{
    tn_mpsc *channel;
    tn_task *tasks[SENDERS];
    int received = 0;
    int value;

    tt_check_eq(tn_mpsc_create(&channel, sizeof value, 2, NULL), 0);
    for (int i = 0; i < SENDERS; i++) {
        tn_mpsc_retain_sender(channel);
        tasks[i] = tt_spawn(send_many, channel);
    }
    tn_mpsc_release_sender(channel);
    while (tn_mpsc_recv(channel, &value) == 0)
        received++;
    tt_check_eq(received, SENDERS * SENT);
    for (int i = 0; i < SENDERS; i++)
        (void)tt_join(tasks[i]);
    tn_mpsc_release_receiver(channel);
    return arg;
}

static void *count_beats(void *arg)
{
    for (int i = 0; i < 20; i++) {
        tt_check_eq(tn_sleep(2 * TN_MS), 0);
        atomic_fetch_add((atomic_uint *)arg, 1);
    }
    return NULL;
}

typedef struct {
    atomic_uint beats;
    bool handovers; /* the others run only if cores are taken from the blocked workers */
} heart;

static bool has_beaten(void *arg)
{
    return atomic_load(&((heart *)arg)->beats) == 20;
}

/* With forced migration a task may have to run on a worker that blocks. */
static void *block_thread(void *arg)
{
    if (((heart *)arg)->handovers && !tt_options().force_migration)
        tt_check(tt_wait_until(has_beaten, arg, 30 * TN_S));
    else
        tt_block_thread(100 * TN_MS);
    return arg;
}

/* All workers block, and other tasks run meanwhile. */
static void *block_all(void *arg)
{
    heart self = {.handovers = ((denial *)arg)->handovers};
    unsigned workers = tn_runtime_workers(tn_runtime_current());
    tn_task *blockers[64];
    tn_task *beating = tt_spawn(count_beats, &self.beats);

    tt_check(workers <= 64);
    for (unsigned i = 0; i < workers; i++)
        blockers[i] = tt_spawn(block_thread, &self);
    for (unsigned i = 0; i < workers; i++)
        (void)tt_join(blockers[i]);
    (void)tt_join(beating);
    return NULL;
}

static void *sleep_long(void *arg)
{
    tt_check_eq(tn_sleep(3600 * TN_S), TN_ECANCELED);
    return arg;
}

static atomic_uint others; /* beats that no one counts */

static void run_denied(void *arg)
{
    denial *d = arg;
    tn_runtime *runtimes[2];
    tn_options options = tt_options();

    for (int i = 0; i < 2; i++)
        tt_check_eq(tn_runtime_create(&runtimes[i], &options), 0);
    deny(d->calls[0], d->calls[1]);
    tt_check_eq(tn_block_on(runtimes[0], use_channel, NULL, NULL), 0);
    tt_check_eq(tn_block_on(runtimes[0], block_all, d, NULL), 0);
    for (int i = 0; i < 100; i++)
        tt_check_eq(tn_spawn_on(runtimes[i % 2], NULL, NULL, i % 2 ? sleep_long : count_beats, &others), 0);
    tt_check_eq(tn_runtime_destroy(runtimes[0], TN_SHUTDOWN_WAIT, UINT64_MAX), 0);
    tt_check_eq(tn_runtime_destroy(runtimes[1], TN_SHUTDOWN_CANCEL, UINT64_MAX), 0);
    tt_check_eq(tn_runtime_create(&runtimes[0], &options), 0); /* under the filter from the start */
    tt_check_eq(tn_block_on(runtimes[0], use_channel, NULL, NULL), 0);
    tt_check_eq(tn_runtime_destroy(runtimes[0], TN_SHUTDOWN_WAIT, UINT64_MAX), 0);
    _exit(0);
}

static void expect_work(denial d)
{
    tt_child child = tt_fork(run_denied, &d);

    if (WIFEXITED(child.status) && WEXITSTATUS(child.status) == 77)
        cr_skip_test("no system call filter to be had");
    cr_assert(WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0, "status 0x%x: %s", (unsigned)child.status, child.said);
}

Test(denied, membarrier)
{
    expect_work((denial){{SYS_membarrier, SYS_membarrier}, .handovers = true});
}

Test(denied, membarrier_and_sched_setaffinity)
{
    expect_work((denial){{SYS_membarrier, SYS_sched_setaffinity}, .handovers = false});
}

Test(denied, madvise)
{
    expect_work((denial){{SYS_madvise, SYS_madvise}, .handovers = true});
}
