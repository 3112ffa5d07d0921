/* SPDX-License-Identifier: MIT */
/* Waits for descriptors of other libraries: every kind, several waiters, reuse of numbers, forget. */
/* ctest: timeout=120 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <pty.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "fd_support.h"
#include "support/runtime.h"

enum { SOON_NS = 50 * 1000 * 1000 };

static const unsigned both = TN_FD_READABLE | TN_FD_WRITABLE;

/* Waits with a deadline; the deadline passes. */
static void expect_silence(int fd, unsigned events)
{
    tn_scope scope;

    tn_scope_enter_for(&scope, SOON_NS);
    tt_check_eq(tn_fd_wait(fd, events), TN_ETIMEDOUT);
    tn_scope_leave(&scope);
}

typedef struct {
    int fd;
    unsigned events;
    int result;
    atomic_bool over;
} waiting;

static void *wait_for(void *arg)
{
    waiting *w = arg;

    w->result = tn_fd_wait(w->fd, w->events);
    atomic_store(&w->over, true);
    return arg;
}

static tn_task *begin_wait(waiting *w)
{
    tn_task *task = tt_spawn(wait_for, w);

    fd_await_rest(task);
    return task;
}

/* --- Kinds ---------------------------------------------------------------------------------------------------------------- */

static void *use_pipe(void *arg)
{
    int fds[2];
    char byte = 'x';
    waiting w;

    tt_check_eq(pipe2(fds, O_CLOEXEC), 0); /* in blocking mode */
    tt_check_eq(tn_fd_wait(fds[1], TN_FD_WRITABLE), TN_FD_WRITABLE);
    expect_silence(fds[0], TN_FD_READABLE);
    w = (waiting){.fd = fds[0], .events = TN_FD_READABLE};
    tn_task *task = begin_wait(&w);
    tt_check_eq(write(fds[1], &byte, 1), 1);
    tt_join(task);
    tt_check_eq(w.result, TN_FD_READABLE);
    tt_check_eq(tn_fd_wait(fds[0], TN_FD_READABLE), TN_FD_READABLE); /* it is still ready */
    tt_check_eq(read(fds[0], &byte, 1), 1);
    expect_silence(fds[0], TN_FD_READABLE); /* and no more */
    tt_check_eq(close(fds[1]), 0);
    tt_check_eq(tn_fd_wait(fds[0], TN_FD_READABLE), TN_FD_HANGUP);
    tt_check_eq(tn_fd_wait(fds[0], 0), TN_FD_HANGUP);
    tt_check_eq(close(fds[0]), 0);
    tt_check_eq(pipe2(fds, O_CLOEXEC), 0);
    tt_check_eq(close(fds[0]), 0);
    tt_check_eq(tn_fd_wait(fds[1], TN_FD_WRITABLE), TN_FD_WRITABLE | TN_FD_ERROR);
    tt_check_eq(close(fds[1]), 0);
    return arg;
}

Test(fd, pipe)
{
    tt_run(use_pipe, NULL);
}

static void *use_terminal(void *arg)
{
    int master;
    int slave;
    char line[8];

    tt_check_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
    expect_silence(slave, TN_FD_READABLE);
    waiting w = {.fd = slave, .events = TN_FD_READABLE};
    tn_task *task = begin_wait(&w);
    tt_check_eq(write(master, "hi\n", 3), 3);
    tt_join(task);
    tt_check_eq(w.result, TN_FD_READABLE);
    tt_check_eq(read(slave, line, sizeof line), 3);
    tt_check_eq(close(master), 0);
    tt_check(tn_fd_wait(slave, TN_FD_READABLE) & TN_FD_HANGUP);
    tt_check_eq(close(slave), 0);
    return arg;
}

Test(fd, terminal)
{
    tt_run(use_terminal, NULL);
}

static void *use_events(void *arg)
{
    struct itimerspec soon = {.it_value = {.tv_nsec = SOON_NS}};
    uint64_t count = 0;
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

    tt_check_eq(tn_fd_wait(event, both), TN_FD_WRITABLE);
    waiting w = {.fd = event, .events = TN_FD_READABLE};
    tn_task *task = begin_wait(&w);
    tt_check_eq(eventfd_write(event, 3), 0);
    tt_join(task);
    tt_check_eq(w.result, TN_FD_READABLE);
    tt_check_eq(eventfd_read(event, &count), 0);
    tt_check_eq(count, 3);
    tt_check_eq(timerfd_settime(timer, 0, &soon, NULL), 0);
    tt_check_eq(tn_fd_wait(timer, TN_FD_READABLE), TN_FD_READABLE);
    tt_check_eq(read(timer, &count, sizeof count), sizeof count);
    tt_check_eq(count, 1);
    tt_check_eq(close(event), 0);
    tt_check_eq(close(timer), 0);
    return arg;
}

Test(fd, eventfd_and_timerfd)
{
    tt_run(use_events, NULL);
}

static void *use_inotify(void *arg)
{
    char folder[] = "/tmp/tn_fd_XXXXXX";
    char name[64];
    char news[256];
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    int file;

    tt_check(mkdtemp(folder) != NULL);
    tt_check(inotify_add_watch(fd, folder, IN_CREATE) >= 0);
    waiting w = {.fd = fd, .events = TN_FD_READABLE};
    tn_task *task = begin_wait(&w);
    (void)snprintf(name, sizeof name, "%s/new", folder);
    file = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    tt_join(task);
    tt_check_eq(w.result, TN_FD_READABLE);
    tt_check(read(fd, news, sizeof news) > 0);
    /* On the way: files and folders are refused, in each kind of thread. */
    tt_check_eq(tn_fd_wait(file, TN_FD_READABLE), TN_ENOTSUP);
    tt_check_eq(close(file), 0);
    file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tt_check_eq(tn_fd_wait(file, TN_FD_READABLE), TN_ENOTSUP);
    tt_check_eq(close(file), 0);
    tt_check_eq(close(fd), 0);
    tt_check_eq(unlink(name), 0);
    tt_check_eq(rmdir(folder), 0);
    return arg;
}

Test(fd, inotify_and_files)
{
    tt_run(use_inotify, NULL);
}

static void *use_netlink(void *arg)
{
    struct {
        struct nlmsghdr head;
        struct rtgenmsg body;
    } request = {.head = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                 .body = {.rtgen_family = AF_UNSPEC}};
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    char reply[8192];
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

    tt_check(fd >= 0);
    expect_silence(fd, TN_FD_READABLE);
    tt_check_eq(sendto(fd, &request, sizeof request, 0, (struct sockaddr *)&kernel, sizeof kernel), sizeof request);
    tt_check_eq(tn_fd_wait(fd, TN_FD_READABLE), TN_FD_READABLE);
    tt_check(recv(fd, reply, sizeof reply, 0) > 0);
    tt_check_eq(close(fd), 0);
    return arg;
}

Test(fd, netlink)
{
    tt_run(use_netlink, NULL);
}

static void *use_process(void *arg)
{
    int end[2];
    pid_t child;
    int fd;

    tt_check_eq(pipe2(end, O_CLOEXEC), 0);
    child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL); /* no handlers of fork run, and no lock is taken */
    if (child == 0) {
        char byte;
        (void)syscall(SYS_close, end[1]);
        (void)syscall(SYS_read, end[0], &byte, 1);
        (void)syscall(SYS_exit_group, 7);
    }
    tt_check(child > 0);
    fd = (int)syscall(SYS_pidfd_open, child, 0);
    tt_check(fd >= 0);
    waiting w = {.fd = fd, .events = TN_FD_READABLE};
    tn_task *task = begin_wait(&w);
    fd_close_pair(end);
    tt_join(task);
    tt_check_eq(w.result & TN_FD_READABLE, TN_FD_READABLE);
    tt_check_eq(waitpid(child, NULL, 0), child);
    tt_check_eq(close(fd), 0);
    return arg;
}

Test(fd, pidfd)
{
    tt_run(use_process, NULL);
}

static void *use_urgent(void *arg)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int conn;

    tt_check_eq(bind(listener, (struct sockaddr *)&address, length), 0);
    tt_check_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    tt_check_eq(listen(listener, 1), 0);
    expect_silence(listener, TN_FD_READABLE);
    (void)connect(client, (struct sockaddr *)&address, length);
    tt_check_eq(tn_fd_wait(client, TN_FD_WRITABLE), TN_FD_WRITABLE);
    tt_check_eq(tn_fd_wait(listener, TN_FD_READABLE), TN_FD_READABLE);
    conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    expect_silence(conn, TN_FD_PRIORITY);
    tt_check_eq(send(client, "!", 1, MSG_OOB), 1);
    tt_check_eq(tn_fd_wait(conn, TN_FD_PRIORITY), TN_FD_PRIORITY);
    tt_check_eq(close(client), 0);
    tt_check_eq(tn_fd_wait(conn, TN_FD_READABLE), TN_FD_READABLE);
    tt_check_eq(close(conn), 0);
    tt_check_eq(close(listener), 0);
    return arg;
}

Test(fd, tcp_and_urgent_data)
{
    tt_run(use_urgent, NULL);
}

/* A library with its own epoll instance. */
static void *use_nested(void *arg)
{
    int fds[2];
    int inner = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};

    fd_pair(fds);
    tt_check_eq(epoll_ctl(inner, EPOLL_CTL_ADD, fds[0], &event), 0);
    waiting w = {.fd = inner, .events = TN_FD_READABLE};
    tn_task *task = begin_wait(&w);
    tt_check_eq(write(fds[1], "x", 1), 1);
    tt_join(task);
    tt_check_eq(w.result, TN_FD_READABLE);
    tt_check_eq(close(inner), 0);
    fd_close_pair(fds);
    return arg;
}

Test(fd, epoll_of_another_library)
{
    tt_run(use_nested, NULL);
}

static void *use_null(void *arg)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    tt_check_eq(tn_fd_wait(fd, both), both); /* as poll(2) */
    tt_check_eq(tn_fd_wait(fd, TN_FD_READABLE), TN_FD_READABLE);
    expect_silence(fd, TN_FD_PRIORITY);
    expect_silence(fd, 0);
    waiting w = {.fd = fd, .events = TN_FD_PRIORITY};
    tn_task *task = begin_wait(&w);
    tt_check_eq(tn_fd_forget(NULL, fd), 0);
    tt_join(task);
    tt_check_eq(w.result, TN_ECANCELED);
    tt_check_eq(close(fd), 0);
    tt_check_eq(tn_fd_wait(fd, both), TN_EBADF);
    tt_check_eq(tn_fd_wait(-1, both), TN_EBADF);
    tt_check_eq(tn_fd_wait(0, 1024), TN_EINVAL);
    return arg;
}

Test(fd, always_ready_and_errors)
{
    tt_run(use_null, NULL);
}

/* --- Several waiters ------------------------------------------------------------------------------------------------------ */

enum { CROWD = 40 };

static void *share_number(void *arg)
{
    static waiting readers[CROWD];
    static waiting writers[CROWD];
    tn_task *tasks[2 * CROWD];
    char full[4096] = {0};
    int fds[2];

    fd_pair(fds);
    while (write(fds[0], full, sizeof full) > 0)
        ;
    for (unsigned i = 0; i < CROWD; i++) {
        readers[i] = (waiting){.fd = fds[0], .events = TN_FD_READABLE};
        writers[i] = (waiting){.fd = fds[0], .events = TN_FD_WRITABLE};
        tasks[i] = begin_wait(&readers[i]);
        tasks[CROWD + i] = begin_wait(&writers[i]);
    }
    tt_check_eq(write(fds[1], "x", 1), 1);
    for (unsigned i = 0; i < CROWD; i++) {
        tt_join(tasks[i]);
        tt_check_eq(readers[i].result, TN_FD_READABLE);
        tt_check(!atomic_load(&writers[i].over));
    }
    while (read(fds[1], full, sizeof full) > 0)
        ;
    for (unsigned i = 0; i < CROWD; i++) {
        tt_join(tasks[CROWD + i]);
        tt_check_eq(writers[i].result, TN_FD_WRITABLE);
    }
    fd_close_pair(fds);
    return arg;
}

Test(fd, several_wait_for_one_number)
{
    tt_run(share_number, NULL);
}

static void *cancel_some(void *arg)
{
    waiting reader = {.events = TN_FD_READABLE};
    waiting other = {.events = TN_FD_READABLE};
    tn_task *task[2];
    int fds[2];

    fd_pair(fds);
    reader.fd = other.fd = fds[0];
    task[0] = begin_wait(&reader);
    task[1] = tt_spawn(wait_for, &other);
    for (int i = 0; i < 10; i++)
        tt_check_eq(tn_sleep(TN_MS), 0);
    tn_cancel(task[1]);
    tt_join(task[1]);
    tt_check_eq(other.result, TN_ECANCELED);
    tt_check_eq(write(fds[1], "x", 1), 1);
    tt_join(task[0]);
    tt_check_eq(reader.result, TN_FD_READABLE);
    fd_close_pair(fds);
    return arg;
}

Test(fd, a_cancelled_wait_leaves_the_others)
{
    tt_run(cancel_some, NULL);
}

/* --- Futures -------------------------------------------------------------------------------------------------------------- */

static void *race_two(void *arg)
{
    tn_fd_future futures[2];
    tn_future *each[2] = {&futures[0].base, &futures[1].base};
    tn_select_future any;
    int fds[2];

    fd_pair(fds);
    tn_fd_init(&futures[0], NULL, fds[0], TN_FD_READABLE);
    tn_fd_init(&futures[1], NULL, fds[1], TN_FD_WRITABLE);
    tn_race_init(&any, each, 2);
    tt_check_eq(tn_await(&any.base), 1);
    fd_close_pair(fds);
    return arg;
}

Test(fd, race)
{
    tt_run(race_two, NULL);
}

/* A stackless task that waits for both ends, one after the other. */
typedef struct {
    tn_future base;
    tn_fd_future wait;
    int fds[2];
    int next;
} ends_future;

static int ends_poll(tn_future *self, tn_waker *waker)
{
    ends_future *ends = (ends_future *)(void *)self;

    for (;;) {
        int rc;
        rc = tn_future_poll(&ends->wait.base, waker);
        if (rc == TN_PENDING)
            return TN_PENDING;
        tn_future_drop(&ends->wait.base);
        tt_check_eq(rc, TN_FD_READABLE);
        if (ends->next == 2)
            return 0;
        tn_fd_init(&ends->wait, NULL, ends->fds[ends->next++], TN_FD_READABLE);
    }
}

static void ends_drop(tn_future *self)
{
    tn_future_drop(&((ends_future *)(void *)self)->wait.base);
}

static void *run_stackless(void *arg)
{
    static const tn_future_ops ops = {ends_poll, ends_drop, "ends"};
    ends_future ends = {.base = {&ops}, .next = 1};
    tn_join_future join;
    tn_task *task;

    fd_pair(ends.fds);
    tn_fd_init(&ends.wait, NULL, ends.fds[0], TN_FD_READABLE);
    tt_check_eq(tn_spawn_future(NULL, NULL, &task, &ends.base), 0);
    tt_check_eq(write(ends.fds[1], "x", 1), 1);
    tt_check_eq(tn_sleep(TN_MS), 0);
    tt_check_eq(write(ends.fds[0], "x", 1), 1);
    tn_join_init(&join, task);
    tt_check_eq(tn_await(&join.base), 0);
    tn_task_release(task);
    fd_close_pair(ends.fds);
    return arg;
}

Test(fd, stackless)
{
    tt_run(run_stackless, NULL);
}

/* --- Deadlines ------------------------------------------------------------------------------------------------------------ */

/* A descriptor that is ready wins over a deadline that has passed, but only until the task has been told. */
static void *be_late(void *arg)
{
    tn_scope scope;
    int fds[2];

    fd_pair(fds);
    for (int i = 0; i < 300; i++) { /* with each budget */
        tn_scope_enter(&scope, 1);
        tt_check_eq(tn_fd_wait(fds[0], TN_FD_WRITABLE), TN_FD_WRITABLE);
        tt_check_eq(tn_fd_wait(fds[0], TN_FD_WRITABLE), TN_ETIMEDOUT);
        tn_scope_leave(&scope);
    }
    fd_close_pair(fds);
    return arg;
}

Test(fd, ready_wins_over_deadline)
{
    tt_run(be_late, NULL);
}

/* --- Plain threads -------------------------------------------------------------------------------------------------------- */

static void *cancel_scope(void *arg)
{
    tt_block_thread(SOON_NS);
    tn_scope_cancel(arg);
    return NULL;
}

static void *write_late(void *arg)
{
    tt_block_thread(SOON_NS);
    tt_check_eq(write(*(int *)arg, "x", 1), 1);
    return NULL;
}

Test(fd, plain_thread)
{
    tn_scope scope;
    pthread_t thread;
    char byte;
    int fds[2];
    int file;

    fd_pair(fds);
    tt_check_eq(tn_fd_wait(fds[0], both), TN_FD_WRITABLE);
    expect_silence(fds[0], TN_FD_READABLE);
    thread = tt_thread_start(write_late, &fds[1]);
    tt_check_eq(tn_fd_wait(fds[0], TN_FD_READABLE), TN_FD_READABLE);
    tt_thread_join(thread);
    tt_check_eq(read(fds[0], &byte, 1), 1);
    tn_scope_enter(&scope, TN_NEVER);
    thread = tt_thread_start(cancel_scope, &scope);
    tt_check_eq(tn_fd_wait(fds[0], TN_FD_READABLE), TN_ECANCELED);
    tt_check_eq(tn_fd_wait(fds[0], TN_FD_WRITABLE), TN_ECANCELED);
    tt_thread_join(thread);
    tn_scope_leave(&scope);
    tt_check_eq(close(fds[1]), 0);
    tt_check_eq(tn_fd_wait(fds[0], TN_FD_READABLE), TN_FD_READABLE | TN_FD_HANGUP);
    tt_check_eq(close(fds[0]), 0);
    tt_check_eq(tn_fd_wait(fds[0], TN_FD_READABLE), TN_EBADF);
    tt_check_eq(tn_fd_wait(-1, TN_FD_READABLE), TN_EBADF);
    tt_check_eq(tn_fd_wait(0, 8), TN_EINVAL);
    file = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tt_check_eq(tn_fd_wait(file, TN_FD_READABLE), TN_ENOTSUP);
    tt_check_eq(close(file), 0);
}

/* A regular file that poll(2) can wait for. It is ready to read at any time, and urgent when a mount has changed. */
static void *wait_for_mounts(void *arg)
{
    int fd = open("/proc/self/mounts", O_RDONLY | O_CLOEXEC);

    tt_check(fd >= 0);
    tt_check_eq(tn_fd_wait(fd, TN_FD_READABLE) & TN_FD_READABLE, TN_FD_READABLE);
    tt_check_eq(close(fd), 0);
    return arg;
}

Test(fd, file_of_the_kernel)
{
    tt_run(wait_for_mounts, NULL);
    (void)wait_for_mounts(NULL); /* in a plain thread */
}

typedef struct {
    tn_runtime *runtime;
    int fd;
    atomic_bool over;
} forgetter;

static void *forget_often(void *arg)
{
    forgetter *f = arg;

    tt_check_eq(tn_fd_forget(NULL, f->fd), TN_EINVAL);
    while (!atomic_load(&f->over)) {
        tt_check_eq(tn_fd_forget(f->runtime, f->fd), 0);
        tt_block_thread(TN_MS);
    }
    return NULL;
}

static int await_readable(tn_runtime *runtime, int fd, uint64_t limit_ns)
{
    tn_fd_future future;
    tn_scope scope;
    int rc;

    tn_scope_enter(&scope, limit_ns == 0 ? TN_NEVER : tn_now() + limit_ns);
    tn_fd_init(&future, runtime, fd, TN_FD_READABLE);
    rc = tn_await(&future.base);
    tn_scope_leave(&scope);
    return rc;
}

/* A plain thread that awaits the future is ended by forget. */
Test(fd, plain_thread_with_a_future)
{
    forgetter f = {.runtime = tt_runtime_create()};
    tn_fd_future future;
    pthread_t thread;
    int fds[2];

    fd_pair(fds);
    f.fd = fds[0];
    tt_check_eq(await_readable(NULL, fds[0], 0), TN_EINVAL);
    tn_fd_init(&future, f.runtime, fds[0], TN_FD_WRITABLE);
    tt_check_eq(tn_await(&future.base), TN_FD_WRITABLE);
    tt_check_eq(await_readable(f.runtime, fds[0], SOON_NS), TN_ETIMEDOUT);
    thread = tt_thread_start(forget_often, &f);
    tt_check_eq(await_readable(f.runtime, fds[0], 0), TN_ECANCELED);
    atomic_store(&f.over, true);
    tt_thread_join(thread);
    fd_close_pair(fds);
    tt_runtime_destroy(f.runtime);
}
