/* SPDX-License-Identifier: MIT */
/* Tests of system calls on sockets that a filter denies: a slower path, or an error; never a spin. A filter stays for the life
 * of its process, so each test has a child process. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "listener/listener.h"
#include "net_support.h"
#include "support/child.h"

/* What the child does not succeed in: the kernel has no filters, or this process may not set one. */
#define CANNOT 77

/* Denies the system call in all threads of the process. */
static void deny(long number, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
        _exit(CANNOT);
}

static void run_in_child(void (*fn)(void *), void *arg)
{
    child_end end = child_run(fn, arg);

    if (child_exited(end, CANNOT))
        cr_skip_test("no filter of system calls can be set here");
    cr_assert(child_exited(end, 0), "%s", end.text);
}

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * TN_S + (uint64_t)now.tv_nsec;
}

/* --- accept4 is denied ------------------------------------------------------------------------------------------------------ */

static void *accept_in_steps(void *arg)
{
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    tn_stream *ends[2];
    char byte = 'a';
    int fd;

    (void)arg;
    tt_check_eq(tn_tcp_connect(NULL, &ends[0], address), 0);
    tt_check_eq(tn_accept(listener, &ends[1]), 0);
    fd = ends[1]->endpoint.fd;
    tt_check(fcntl(fd, F_GETFL) & O_NONBLOCK);
    tt_check(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    tt_check_eq(tn_write(ends[0], &byte, 1), 1);
    tt_check_eq(tn_read(ends[1], &byte, 1), 1);
    tt_check_eq(tn_try_accept(listener, &ends[1]), TN_EAGAIN);
    tn_listener_close(listener);
    return NULL;
}

static void without_accept4(void *arg)
{
    deny(SYS_accept4, *(int *)arg);
    tt_run(accept_in_steps, NULL);
}

Test(denied, accept4)
{
    run_in_child(without_accept4, &(int){EPERM});
    run_in_child(without_accept4, &(int){ENOSYS});
}

/* --- All ways to accept are denied ------------------------------------------------------------------------------------------ */

static unsigned accepts;

/* This program's own function, which the library calls too. */
int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict length, int flags)
{
    __atomic_fetch_add(&accepts, 1, __ATOMIC_RELAXED);
    return (int)syscall(SYS_accept4, fd, address, length, flags);
}

static void *accept_one(void *arg)
{
    tn_stream *stream;

    return (void *)(intptr_t)tn_accept(arg, &stream);
}

static void *accept_in_vain(void *arg)
{
    ns_log *log = arg;
    char address[TN_ADDRESS_SIZE];
    tn_listener *listener = ns_listen(address);
    tn_stream *stream;
    tn_stream *none;
    tn_task *acceptor;
    uint64_t cpu;

    tt_check_eq(tn_tcp_connect(NULL, &stream, address), 0);
    tt_check_eq(tn_try_accept(listener, &none), -EPERM);
    tt_check_eq(accepts, 64); /* in a row: then it is not the fault of a connection */
    acceptor = tt_spawn(accept_one, listener);
    cpu = cpu_ns();
    tt_check_eq(tn_sleep(500 * TN_MS), 0);
    tt_check(cpu_ns() - cpu < 100 * TN_MS * (TT_SANITIZED ? 10 : 1));
    tt_check_eq(__atomic_load_n(&log->lines, __ATOMIC_RELAXED), 1);
    tn_listener_close(listener);
    tt_check((intptr_t)tt_join(acceptor) < 0); /* at once, though it is in a pause */
    tn_stream_close(stream);
    return NULL;
}

static void without_accept(void *arg)
{
    static ns_log log;

    (void)arg;
    deny(SYS_accept4, EPERM);
    deny(SYS_accept, EPERM);
    ns_run_logged(&log, accept_in_vain, &log);
}

Test(denied, accept)
{
    run_in_child(without_accept, NULL);
}
