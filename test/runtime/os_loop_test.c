/* SPDX-License-Identifier: MIT */
/* The OS layer for libuv: timeouts, wakes that are kept, events that a sleep has fetched: reported once, to the right poll. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os_loop.h"
#include "support/runtime.h"

static tni_os_fetched fetched;

static void open_loop(tni_os_loop *loop)
{
    cr_assert_eq(tni_os_loop_open(loop), 0);
}

Test(os_loop, a_timeout_ends_the_sleep)
{
    tni_os_loop loop;

    open_loop(&loop);
    for (int i = 0; i < 20; i++) {
        uint64_t begin_ns = tn_now();
        tni_os_loop_sleep(&loop, 3 * TN_MS, &fetched);
        cr_assert_geq(tn_now() - begin_ns, 2 * TN_MS); /* it may return a little early */
    }
    tni_os_loop_sleep(&loop, 0, &fetched);
    tni_os_loop_sleep(&loop, 1, &fetched);
    tni_os_loop_run(&loop);
    tni_os_loop_close(&loop);
}

Test(os_loop, a_wake_before_the_sleep_is_kept, .timeout = 20)
{
    tni_os_loop loop;

    open_loop(&loop);
    for (int i = 0; i < 100; i++) {
        tni_os_loop_wake(&loop);
        tni_os_loop_run(&loop); /* a run does not consume the wake */
        tni_os_loop_sleep(&loop, UINT64_MAX, &fetched);
        cr_assert_eq(fetched.count, 0);
    }
    tni_os_loop_close(&loop);
}

typedef struct {
    tni_os_loop loop;
    atomic_ulong wakes;
    atomic_ulong sleeps;
    unsigned long wanted;
} woken;

static void *wake_each_sleep(void *arg)
{
    woken *w = arg;

    for (unsigned long i = 0; i < w->wanted; i++) {
        atomic_fetch_add(&w->wakes, 1);
        tni_os_loop_wake(&w->loop);
        while (atomic_load(&w->sleeps) <= i)
            tn_yield();
    }
    return NULL;
}

/* Each wake must end a sleep: the next one is made only after that sleep has ended. */
Test(os_loop, wakes_from_another_thread, .timeout = 60)
{
    woken w = {.wanted = tt_scaled(20000)};
    pthread_t thread;

    open_loop(&w.loop);
    thread = tt_thread_start(wake_each_sleep, &w);
    for (unsigned long i = 0; i < w.wanted; i++) {
        while (atomic_load(&w.wakes) <= i)
            tni_os_loop_sleep(&w.loop, UINT64_MAX, &fetched);
        atomic_fetch_add(&w.sleeps, 1);
    }
    tt_thread_join(thread);
    tni_os_loop_close(&w.loop);
}

/* --- Events ----------------------------------------------------------------------------------------------------------------- */

typedef struct {
    tni_os_poll poll;
    unsigned readable;
    bool closed;
    int fd;
    int other;
} end;

static void on_ready(tni_os_poll *poll, uint32_t events)
{
    tni_container_of(poll, end, poll)->readable += (events & TNI_OS_READABLE) != 0;
}

static void on_closed(tni_os_poll *poll)
{
    tni_container_of(poll, end, poll)->closed = true;
}

static const tni_os_poll_ops ops = {on_ready, on_closed};

/* The poll is edge-triggered on return. */
static void watch_new(tni_os_loop *loop, end *e)
{
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    memset(e, 0, sizeof *e);
    e->fd = fds[0];
    e->other = fds[1];
    cr_assert_eq(tni_os_poll_open(loop, &e->poll, e->fd, &ops), 0);
    tni_os_loop_run(loop);
    tni_os_loop_run(loop); /* the kernel reports once more that the socket is writable */
}

static void send_byte(const end *e)
{
    cr_assert_eq(write(e->other, "x", 1), 1);
}

static void let_go(tni_os_loop *loop, end *e)
{
    tni_os_poll_close(loop, &e->poll);
    (void)close(e->fd);
    (void)close(e->other);
    tni_os_loop_run(loop);
    cr_assert(e->closed);
}

Test(os_loop, what_a_sleep_has_fetched_is_reported_once)
{
    tni_os_loop loop;
    end e;

    open_loop(&loop);
    watch_new(&loop, &e);
    for (unsigned i = 1; i <= 3; i++) {
        send_byte(&e);
        tni_os_loop_sleep(&loop, UINT64_MAX, &fetched);
        cr_assert_eq(fetched.count, 1);
        tni_os_loop_run(&loop); /* as another thread would: it finds no event */
        cr_assert_eq(e.readable, i - 1);
        cr_assert(tni_os_loop_report(&loop, &fetched));
        cr_assert_eq(e.readable, i);
        cr_assert(tni_os_loop_report(&loop, &fetched));
        cr_assert_eq(e.readable, i);
    }
    send_byte(&e);
    tni_os_loop_run(&loop); /* before the sleep, which then finds no event */
    cr_assert_eq(e.readable, 4);
    tni_os_loop_sleep(&loop, TN_MS, &fetched);
    cr_assert_eq(fetched.count, 0);
    let_go(&loop, &e);
    tni_os_loop_close(&loop);
}

/* Between a sleep and its report another thread closes the poll, and a new socket gets the same file descriptor. */
Test(os_loop, nothing_is_reported_to_a_later_poll_of_the_same_number)
{
    tni_os_loop loop;
    end e;
    end f;
    int number;

    open_loop(&loop);
    watch_new(&loop, &e);
    number = e.fd;
    send_byte(&e);
    tni_os_loop_sleep(&loop, UINT64_MAX, &fetched);
    cr_assert_eq(fetched.count, 1);
    let_go(&loop, &e);
    watch_new(&loop, &f);
    cr_assert_eq(f.fd, number);
    cr_assert(!tni_os_loop_report(&loop, &fetched)); /* it cannot know whether an event was missed */
    cr_assert_eq(e.readable + f.readable, 0);
    send_byte(&f);
    tni_os_loop_sleep(&loop, UINT64_MAX, &fetched);
    cr_assert(tni_os_loop_report(&loop, &fetched));
    cr_assert_eq(f.readable, 1);
    let_go(&loop, &f);
    tni_os_loop_close(&loop);
}

enum { MANY = TNI_OS_FETCH_MAX + 10 };

Test(os_loop, more_than_a_sleep_fetches_is_found_by_the_run)
{
    static end ends[MANY];
    tni_os_loop loop;

    open_loop(&loop);
    for (unsigned i = 0; i < MANY; i++)
        watch_new(&loop, &ends[i]);
    for (unsigned i = 0; i < MANY; i++)
        send_byte(&ends[i]);
    tni_os_loop_sleep(&loop, UINT64_MAX, &fetched);
    cr_assert(!tni_os_loop_report(&loop, &fetched));
    tni_os_loop_run(&loop);
    for (unsigned i = 0; i < MANY; i++) {
        cr_assert_eq(ends[i].readable, 1, "%u", i);
        let_go(&loop, &ends[i]);
    }
    tni_os_loop_close(&loop);
}

Test(os_loop, a_wake_among_what_a_sleep_fetches_hides_nothing)
{
    static end ends[TNI_OS_FETCH_MAX];
    tni_os_loop loop;
    unsigned readable = 0;

    open_loop(&loop);
    for (unsigned i = 0; i < TNI_OS_FETCH_MAX; i++)
        watch_new(&loop, &ends[i]);
    tni_os_loop_wake(&loop); /* the kernel returns it first, and one event is left */
    for (unsigned i = 0; i < TNI_OS_FETCH_MAX; i++)
        send_byte(&ends[i]);
    tni_os_loop_sleep(&loop, UINT64_MAX, &fetched);
    cr_assert_eq(fetched.count, TNI_OS_FETCH_MAX - 1);
    cr_assert(!tni_os_loop_report(&loop, &fetched));
    tni_os_loop_run(&loop);
    for (unsigned i = 0; i < TNI_OS_FETCH_MAX; i++)
        readable += ends[i].readable;
    cr_assert_eq(readable, TNI_OS_FETCH_MAX);
    for (unsigned i = 0; i < TNI_OS_FETCH_MAX; i++)
        let_go(&loop, &ends[i]);
    tni_os_loop_close(&loop);
}

/* Until its first report a poll is level-triggered and handled by libuv, so the run after the sleep reports its event. */
Test(os_loop, a_poll_that_has_not_been_reported_yet_is_found_by_the_run)
{
    tni_os_loop loop;
    end e;
    int fds[2];

    open_loop(&loop);
    cr_assert_eq(pipe(fds), 0); /* the reading end is not ready yet */
    memset(&e, 0, sizeof e);
    e.fd = fds[0];
    e.other = fds[1];
    cr_assert_eq(tni_os_poll_open(&loop, &e.poll, e.fd, &ops), 0);
    tni_os_loop_run(&loop);
    send_byte(&e);
    tni_os_loop_sleep(&loop, UINT64_MAX, &fetched);
    cr_assert(!tni_os_loop_report(&loop, &fetched));
    cr_assert_eq(e.readable, 0);
    tni_os_loop_run(&loop);
    cr_assert_eq(e.readable, 1);
    let_go(&loop, &e);
    tni_os_loop_close(&loop);
}

/* After an error libuv watches the fd no more. With no other poll in the loop a run does not look at its epoll. */
Test(os_loop, an_error_at_the_first_report_does_not_end_every_sleep)
{
    tni_os_loop loop;
    end e;
    int fds[2];
    uint64_t begin_ns;

    open_loop(&loop);
    cr_assert_eq(pipe(fds), 0);
    memset(&e, 0, sizeof e);
    e.fd = fds[1]; /* the writing end: EPOLLERR as soon as there is no reader */
    e.other = -1;
    cr_assert_eq(close(fds[0]), 0);
    cr_assert_eq(tni_os_poll_open(&loop, &e.poll, e.fd, &ops), 0);
    tni_os_loop_run(&loop);
    cr_assert_eq(e.readable, 1); /* TNI_OS_BROKEN */
    begin_ns = tn_now();
    for (int i = 0; i < 5; i++) {
        tni_os_loop_sleep(&loop, 10 * TN_MS, &fetched);
        if (!tni_os_loop_report(&loop, &fetched))
            tni_os_loop_run(&loop);
    }
    cr_assert_geq(tn_now() - begin_ns, 40 * TN_MS);
    let_go(&loop, &e);
    tni_os_loop_close(&loop);
}

static bool look(const tni_os_loop *const *loops, uint64_t timeout_ns, bool *ready)
{
    cr_assert_eq(tni_os_loops_poll(loops, 3, -1, timeout_ns, ready), 0);
    return ready[0] || ready[1] || ready[2];
}

Test(os_loop, a_look_says_which_loops_have_something)
{
    tni_os_loop loops[3];
    const tni_os_loop *looked_at[3] = {&loops[0], NULL, &loops[2]};
    bool ready[3];
    end e;

    for (unsigned i = 0; i < 3; i++)
        open_loop(&loops[i]);
    watch_new(&loops[2], &e);
    cr_assert(!look(looked_at, 0, ready));
    cr_assert(!look(looked_at, TN_MS, ready));
    tni_os_loop_wake(&loops[1]); /* this loop is not polled */
    cr_assert(!look(looked_at, 0, ready));
    send_byte(&e);
    cr_assert(look(looked_at, UINT64_MAX, ready));
    cr_assert(!ready[0] && !ready[1] && ready[2]);
    tni_os_loop_wake(&loops[0]);
    cr_assert(look(looked_at, UINT64_MAX, ready)); /* the poll before has consumed nothing */
    cr_assert(ready[0] && !ready[1] && ready[2]);
    let_go(&loops[2], &e);
    for (unsigned i = 0; i < 3; i++)
        tni_os_loop_close(&loops[i]);
}

/* --- What is assumed of libuv ----------------------------------------------------------------------------------------------- */

/* What the kernel has for the fd in the loop's epoll. Returns false if it has nothing. */
static bool read_registration(const tni_os_loop *loop, int fd, unsigned *events, unsigned long long *data)
{
    char path[64];
    char line[256];
    bool found = false;
    int number;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", uv_backend_fd(&loop->loop));
    file = fopen(path, "re");
    cr_assert_not_null(file);
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = sscanf(line, "tfd: %d events: %x data: %llx", &number, events, data) == 3 && number == fd;
    (void)fclose(file);
    return found;
}

static void expect_edges(const tni_os_loop *loop, const end *e)
{
    unsigned long long data;
    unsigned events;

    cr_assert(read_registration(loop, e->fd, &events, &data));
    cr_assert_eq(events & (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET),
                 EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET);
    cr_assert_eq(data, (unsigned long long)e->poll.generation << 32 | (unsigned)e->fd);
    cr_assert_neq(e->poll.generation, 0);
}

/* Also the registration of a number that was registered before, and after other polls have come and gone. */
Test(os_loop, the_registration_remains_edge_triggered)
{
    unsigned long long data;
    unsigned events;
    tni_os_loop loop;
    end e;
    end f;
    int number;

    open_loop(&loop);
    watch_new(&loop, &e);
    for (int i = 0; i < 3; i++) {
        watch_new(&loop, &f);
        number = f.fd;
        expect_edges(&loop, &e);
        expect_edges(&loop, &f);
        send_byte(&e);
        send_byte(&f);
        tni_os_loop_run(&loop);
        expect_edges(&loop, &e);
        expect_edges(&loop, &f);
        let_go(&loop, &f);
        expect_edges(&loop, &e);
        cr_assert(!read_registration(&loop, number, &events, &data));
    }
    let_go(&loop, &e);
    tni_os_loop_close(&loop);
}

/* Returns the limit of descriptor numbers below which so many are free. */
static rlim_t limit_for(unsigned room)
{
    int fds[TNI_OS_LOOP_FILES];
    rlim_t limit = 0;

    for (unsigned i = 0; i < room; i++) {
        fds[i] = dup(2);
        tt_check(fds[i] >= 0);
        limit = (rlim_t)fds[i] + 1;
    }
    for (unsigned i = 0; i < room; i++)
        tt_check(close(fds[i]) == 0);
    return limit;
}

/* Opens the first loop of a process with room for `*arg` descriptors: all or nothing. Exit status 1: it succeeded. */
static void open_with_few_files(void *arg)
{
    const unsigned *room = arg;
    unsigned files = tt_files();
    struct rlimit limit;
    tni_os_loop loop;
    int rc;

    tt_check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit_for(*room);
    tt_check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    rc = tni_os_loop_open(&loop);
    limit.rlim_cur = limit.rlim_max;
    tt_check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (rc != 0) {
        tt_check_eq(rc, TN_EMFILE);
        tt_check_eq(tt_files(), files);
        return;
    }
    tt_check(tt_files() - files <= TNI_OS_LOOP_FILES);
    tni_os_loop_close(&loop);
    tt_check(tt_files() - files <= 2); /* libuv keeps a pipe for the process */
    _exit(1);
}

Test(os_loop, the_first_loop_needs_no_more_files_than_it_checks_for)
{
    for (unsigned room = 0; room <= TNI_OS_LOOP_FILES; room++) {
        tt_child child = tt_fork(open_with_few_files, &room);
        cr_assert(WIFEXITED(child.status), "%u: %s", room, child.said);
        cr_assert_eq(WEXITSTATUS(child.status), room == TNI_OS_LOOP_FILES, "%u: %s", room, child.said);
    }
}
