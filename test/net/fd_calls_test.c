/* SPDX-License-Identifier: MIT */
/* A wait of tn_fd makes at most two system calls that name the descriptor: one when it begins, one when it ends. */
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <tn.h>

#include "net_support.h"

/* The descriptor that is waited for, and the calls that name it. */
static atomic_int watched = -1;
static atomic_uint calls;

static void count(int fd)
{
    if (fd == atomic_load(&watched))
        atomic_fetch_add(&calls, 1);
}

typedef long (*syscall_fn)(long number, long a, long b, long c, long d, long e, long f);

/* How the library calls epoll_ctl(2). */
long syscall(long number, ...)
{
    static syscall_fn _Atomic real;
    long given[6];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        given[i] = va_arg(list, long);
    va_end(list);
    if (atomic_load(&real) == NULL)
        atomic_store(&real, (syscall_fn)dlsym(RTLD_NEXT, "syscall"));
    if (number == SYS_epoll_ctl)
        count((int)given[2]);
    return atomic_load(&real)(number, given[0], given[1], given[2], given[3], given[4], given[5]);
}

int poll(struct pollfd *fds, nfds_t number, int timeout_ms)
{
    struct timespec limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

    for (nfds_t i = 0; i < number; i++)
        count(fds[i].fd);
    return (int)syscall(SYS_ppoll, fds, number, timeout_ms < 0 ? NULL : &limit, NULL, 0);
}

int fstat(int fd, struct stat *status)
{
    count(fd);
    return (int)syscall(SYS_newfstatat, fd, "", status, AT_EMPTY_PATH);
}

enum { WAITS = 100 };

typedef struct {
    int ends[2];
    tn_notify waits; /* the reader is about to wait */
    bool early;      /* the byte is there before the wait */
} pipe_scene;

static void *write_bytes(void *arg)
{
    pipe_scene *s = arg;

    for (int i = 0; i < WAITS; i++) {
        tt_check_eq(tn_notify_wait(&s->waits), 0);
        if (!s->early)
            tt_check_eq(tn_sleep(TN_MS), 0); /* so that most waits have begun; the count holds for the others, too */
        tt_check_eq(write(s->ends[1], "a", 1), 1);
    }
    return NULL;
}

static void wait_often(bool early)
{
    pipe_scene s = {.early = early};
    tn_task *writer;
    char byte;

    tn_notify_init(&s.waits);
    tt_check_eq(pipe2(s.ends, O_CLOEXEC | O_NONBLOCK), 0);
    tt_check_eq(write(s.ends[1], "a", 1), 1);
    tt_check_eq(tn_fd_wait(s.ends[0], TN_FD_READABLE), TN_FD_READABLE); /* the core has what it needs for waits */
    tt_check_eq(read(s.ends[0], &byte, 1), 1);
    writer = tt_spawn(write_bytes, &s);
    atomic_store(&calls, 0);
    atomic_store(&watched, s.ends[0]);
    for (int i = 0; i < WAITS; i++) {
        tn_notify_one(&s.waits);
        tt_check_eq(tn_fd_wait(s.ends[0], TN_FD_READABLE), TN_FD_READABLE);
        tt_check_eq(read(s.ends[0], &byte, 1), 1);
    }
    atomic_store(&watched, -1);
    tt_check(atomic_load(&calls) >= WAITS); /* the calls of the library are those that are counted */
    tt_check(atomic_load(&calls) <= 2 * WAITS);
    tt_join(writer);
    (void)close(s.ends[0]);
    (void)close(s.ends[1]);
}

static void *wait_both_ways(void *arg)
{
    wait_often(false);
    wait_often(true);
    return arg;
}

Test(fd_calls, two_for_each_wait)
{
    tt_run(wait_both_ways, NULL);
}
