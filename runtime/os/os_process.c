/* SPDX-License-Identifier: MIT */
/* Child processes.
 *
 * The child is made by clone(2) with CLONE_VFORK: the parent's thread sleeps until the child has called execve or has ended. So
 * the error of a step needs no pipe; it is in a page that both share. Usually the child shares all memory (CLONE_VM), so the
 * cost does not grow with the memory of the program. If the child changes its user, it gets a copy. Otherwise the kernel would
 * make this process, too, one that cannot be traced or dumped.
 *
 * Until execve the child makes system calls and nothing else. Other threads of this process may hold any lock at that moment, and
 * with CLONE_VM the child writes to their memory. So it uses syscall(2), because wrappers of the C library may take locks, call
 * handlers, or be intercepted by a sanitizer; that of setresuid(2) would even change the user of the parent. All signals are
 * blocked from before the clone until the child has no handler any more: a handler would run in the child, on the memory of this
 * process. */
#include "os/os_process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/san.h"

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define CLOSE_RANGE_SETS_CLOEXEC 4u

/* ThreadSanitizer takes each call of clone for a fork. Under it the child has memory of its own. */
#ifdef TNI_SAN_THREAD
#define MAY_SHARE_MEMORY false
#else
#define MAY_SHARE_MEMORY true
#endif

#define STACK_BYTES (64 * 1024)
#define SIGNALS 64
#define MASK_BYTES 8

/* In memory that parent and child share. */
typedef struct {
    const tni_os_process_program *how;
    const char *const *environment;
    uint64_t mask; /* of the child */
    int error;     /* 0: the program runs */
    const char *failed;
} child_start;

/* As the kernel's struct sigaction, of which only the first member is used here: the handler. */
typedef struct {
    uintptr_t words[4];
} kernel_action;

typedef struct {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
} kernel_entry;

/* --- In the child ---------------------------------------------------------------------------------------------------------- */

TNI_SAN_UNCHECKED static long fail(child_start *self, const char *what)
{
    self->error = errno;
    self->failed = what;
    return -1;
}

TNI_SAN_UNCHECKED static void reset_signals(bool ignored_too)
{
    for (int number = 1; number <= SIGNALS; number++) {
        kernel_action action = {{0}};
        if (syscall(SYS_rt_sigaction, number, NULL, &action, MASK_BYTES) != 0 || action.words[0] == (uintptr_t)SIG_DFL)
            continue;
        if (action.words[0] == (uintptr_t)SIG_IGN && !ignored_too)
            continue;
        action.words[0] = action.words[1] = action.words[2] = action.words[3] = 0; /* SIG_DFL */
        (void)syscall(SYS_rt_sigaction, number, &action, NULL, MASK_BYTES);
    }
}

/* For kernels before 5.11. Changing a flag does not change the list that is being read. */
TNI_SAN_UNCHECKED static long close_on_exec_one_by_one(child_start *self)
{
    _Alignas(kernel_entry) char buffer[1024];
    int folder = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n;

    if (folder < 0)
        return fail(self, "/proc/self/fd");
    while ((n = syscall(SYS_getdents64, folder, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < n;) {
            const kernel_entry *entry = (const void *)(buffer + at);
            int fd = 0;
            for (const char *digit = entry->name; *digit >= '0' && *digit <= '9'; digit++)
                fd = fd * 10 + (*digit - '0');
            if (fd > 2)
                (void)syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
            at += entry->length;
        }
    }
    (void)syscall(SYS_close, folder);
    return n == 0 ? 0 : fail(self, "getdents64");
}

/* First copies of all, above the numbers that they shall have: so no number is overwritten while it is still needed. */
TNI_SAN_UNCHECKED static long place_descriptors(child_start *self)
{
    const tni_os_process_program *how = self->how;
    int above = 3;

    for (size_t i = 0; i < how->fd_count; i++)
        if (how->fds[i].to >= above)
            above = how->fds[i].to + 1;
    for (size_t i = 0; i < how->fd_count; i++) {
        how->fds[i].copy = (int)syscall(SYS_fcntl, how->fds[i].from, F_DUPFD_CLOEXEC, above);
        if (how->fds[i].copy < 0)
            return fail(self, "fcntl");
    }
    if (!how->inherit_fds && syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_SETS_CLOEXEC) != 0 &&
        close_on_exec_one_by_one(self) != 0)
        return -1;
    for (size_t i = 0; i < how->fd_count; i++)
        if (syscall(SYS_dup3, how->fds[i].copy, how->fds[i].to, 0) < 0)
            return fail(self, "dup3");
    return 0;
}

TNI_SAN_UNCHECKED static long join_group(child_start *self)
{
    const tni_os_process_program *how = self->how;

    if (how->new_session)
        return syscall(SYS_setsid) < 0 ? fail(self, "setsid") : 0;
    if ((how->new_group || how->group != 0) && syscall(SYS_setpgid, 0, how->new_group ? 0 : how->group) != 0)
        return fail(self, "setpgid");
    return 0;
}

/* Limits first: only a privileged process may raise them. The folder last: the new user must be allowed to enter it. */
TNI_SAN_UNCHECKED static long set_rights(child_start *self)
{
    const tni_os_process_program *how = self->how;
    const tni_os_process_user *user = how->user;

    for (size_t i = 0; i < how->limit_count; i++) {
        uint64_t both[2] = {how->limits[i].soft, how->limits[i].hard};
        if (syscall(SYS_prlimit64, 0, how->limits[i].resource, both, NULL) != 0)
            return fail(self, "prlimit");
    }
    if (user != NULL) {
        if (syscall(SYS_setgroups, user->group_count, user->groups) != 0)
            return fail(self, "setgroups");
        if (syscall(SYS_setresgid, user->group, user->group, user->group) != 0)
            return fail(self, "setresgid");
        if (syscall(SYS_setresuid, user->user, user->user, user->user) != 0)
            return fail(self, "setresuid");
    }
    if (how->folder != NULL && syscall(SYS_chdir, how->folder) != 0)
        return fail(self, "chdir");
    return 0;
}

/* Goes on after a file that is not there or may not be executed; the latter is the error then. */
TNI_SAN_UNCHECKED static void execute(child_start *self)
{
    bool denied = false;

    for (const char *const *path = self->how->paths; *path != NULL; path++) {
        (void)syscall(SYS_execve, *path, self->how->argv, self->environment);
        denied = denied || errno == EACCES;
        if (errno != EACCES && errno != ENOENT && errno != ENOTDIR)
            break;
    }
    if (denied && (errno == ENOENT || errno == ENOTDIR))
        errno = EACCES;
    (void)fail(self, "execve");
}

TNI_SAN_UNCHECKED static int run_child(void *arg)
{
    child_start *self = arg;

    reset_signals(self->how->default_signals);
    if (join_group(self) == 0 && place_descriptors(self) == 0 && set_rights(self) == 0) {
        (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &self->mask, NULL, MASK_BYTES);
        execute(self);
    }
    (void)syscall(SYS_exit_group, 127);
    return 127;
}

/* --- In the parent --------------------------------------------------------------------------------------------------------- */

/* As clone(2), or for a child with memory of its own as fork(2). Neither fork nor clone of the C library is called for the
 * latter, because they take locks, call handlers, or are intercepted by ThreadSanitizer. */
TNI_SAN_UNCHECKED static long clone_child(child_start *self, char *stack_top, int flags, int *pidfd)
{
    long id;

    if (flags & CLONE_VM)
        return clone(run_child, stack_top, flags, self, pidfd);
    id = syscall(SYS_clone, (long)flags, NULL, pidfd, NULL, NULL);
    if (id == 0)
        (void)run_child(self);
    return id;
}

/* Returns the child's number. */
static long make_child(child_start *self, char *stack_top, int *pidfd)
{
    bool shares_memory = self->how->user == NULL && MAY_SHARE_MEMORY;
    int flags = CLONE_VFORK | SIGCHLD | (shares_memory ? CLONE_VM : 0);
    uint64_t all = ~UINT64_C(0);
    uint64_t mask = 0;
    long id;
    int error;

    /* Not by sigprocmask, which leaves two signals of the C library unblocked. */
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, MASK_BYTES);
    self->mask = self->how->clear_mask ? 0 : mask;
    *pidfd = -1;
    id = clone_child(self, stack_top, flags | CLONE_PIDFD, pidfd);
    if (id < 0 && errno == EINVAL) /* a filter of system calls does not know the flag; a kernel that does not ignores it */
        id = clone_child(self, stack_top, flags, pidfd);
    error = errno;
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, MASK_BYTES);
    return id < 0 ? -error : id;
}

/* The child is about to end. */
static void reap_failed(tni_os_process *process)
{
    siginfo_t info;

    while (waitid(P_PID, (id_t)process->id, &info, WEXITED) != 0 && errno == EINTR)
        ;
    if (process->fd >= 0)
        (void)close(process->fd);
}

int tni_os_process_start(const tni_os_process_program *how, tni_os_process *out, const char **failed)
{
    size_t size = STACK_BYTES;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    child_start *self = (void *)memory;
    long id;
    int rc;

    *failed = "mmap";
    if (memory == MAP_FAILED)
        return -ENOMEM;
    self->how = how;
    self->environment = how->environment != NULL ? how->environment : (const char *const *)environ;
    id = make_child(self, memory + size, &out->fd);
    out->id = (pid_t)id;
    rc = id < 0 ? (int)id : -self->error;
    *failed = id < 0 ? "clone" : self->failed;
    if (id > 0 && rc != 0)
        reap_failed(out);
    (void)munmap(memory, size);
    return rc;
}

/* Returns 1: it has ended; 0: it runs; -1: there is no such child. */
static int ask(const tni_os_process *process, int options, siginfo_t *info)
{
    int rc;

    do {
        info->si_pid = 0;
        rc = process->fd < 0 ? -1 : waitid((idtype_t)P_PIDFD, (id_t)process->fd, info, WEXITED | WNOHANG | options);
        if (process->fd < 0 || (rc != 0 && errno == EINVAL)) /* before Linux 5.4 */
            rc = waitid(P_PID, (id_t)process->id, info, WEXITED | WNOHANG | options);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0)
        return -1;
    return info->si_pid != 0;
}

bool tni_os_process_reap(tni_os_process *process, bool kill_group, tni_os_process_end *end)
{
    siginfo_t info;
    int rc = ask(process, kill_group ? WNOWAIT : 0, &info);

    if (rc == 0)
        return false;
    if (rc > 0 && kill_group) {
        (void)kill(-process->id, SIGKILL);
        rc = ask(process, 0, &info);
    }
    *end = (tni_os_process_end){.known = rc > 0, .code = -1};
    if (rc > 0 && info.si_code == CLD_EXITED)
        end->code = info.si_status;
    else if (rc > 0)
        end->number = info.si_status;
    end->dumped = rc > 0 && info.si_code == CLD_DUMPED;
    if (process->fd >= 0)
        (void)close(process->fd);
    process->fd = -1;
    return true;
}

int tni_os_process_send(const tni_os_process *process, int number, bool group)
{
    if (group)
        return kill(-process->id, number) == 0 ? 0 : -errno;
    if (process->fd >= 0) {
        if (syscall(SYS_pidfd_send_signal, process->fd, number, NULL, 0u) == 0)
            return 0;
        if (errno != ENOSYS && errno != EPERM)
            return -errno;
    }
    return kill(process->id, number) == 0 ? 0 : -errno;
}

int tni_os_process_set_open(void)
{
    int set = epoll_create1(EPOLL_CLOEXEC);

    return set < 0 ? -errno : set;
}

void tni_os_process_set_close(int set)
{
    (void)close(set);
}

int tni_os_process_set_add(int set, int fd, void *data)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = data}};

    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

void tni_os_process_set_remove(int set, int fd)
{
    struct epoll_event event = {.events = 0};

    (void)epoll_ctl(set, EPOLL_CTL_DEL, fd, &event);
}

size_t tni_os_process_set_wait(int set, int timeout_ms, void **data, size_t max)
{
    struct epoll_event events[16];
    int n = epoll_wait(set, events, max < 16 ? (int)max : 16, timeout_ms);

    for (int i = 0; i < n; i++)
        data[i] = events[i].data.ptr;
    return n < 0 ? 0 : (size_t)n;
}

int tni_os_process_pipe(int ends[2])
{
    return pipe2(ends, O_CLOEXEC) == 0 ? 0 : -errno;
}

int tni_os_process_null(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

const char *tni_os_process_search_path(void)
{
    const char *path = getenv("PATH");

    return path != NULL ? path : "/bin:/usr/bin";
}

bool tni_os_process_pipe_ready(int fd, bool to_write)
{
    struct pollfd question = {.fd = fd, .events = to_write ? POLLOUT : POLLIN};

    return poll(&question, 1, 0) != 0;
}
