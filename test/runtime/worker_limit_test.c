/* SPDX-License-Identifier: MIT */
/* The workers of a runtime follow the CPU quota of the process. The files of the control groups are the test's own: fopen leads
 * there. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <tn.h>

#include "io/driver.h"
#include "sched/runtime.h"
#include "support/runtime.h"

#define GROUP "/sys/fs/cgroup/of_this_test"
#define LIMIT_NS (30 * TN_S)

/* --- Files of an imaginary machine ------------------------------------------------------------------------------------------ */

static char folder[64];
static _Atomic bool with_quota;
static _Atomic int refusal; /* the errno of their opens; 0: they succeed */

static const char *file_for(const char *path, char *buffer, size_t size)
{
    const char *name = strcmp(path, "/proc/self/cgroup") == 0      ? "cgroup"
                       : strcmp(path, "/proc/self/mountinfo") == 0 ? "mountinfo"
                       : strcmp(path, GROUP "/cpu.max") == 0       ? "cpu.max"
                                                                   : NULL;

    if (name == NULL || !atomic_load(&with_quota))
        return path;
    (void)snprintf(buffer, size, "%s/%s", folder, name);
    return buffer;
}

/* In place of the C library's, for the modes that are used here. */
FILE *fopen(const char *restrict path, const char *restrict mode)
{
    char buffer[128];
    const char *name = file_for(path, buffer, sizeof buffer);
    int flags = mode[0] == 'r' ? O_RDONLY : O_WRONLY | O_CREAT | (mode[0] == 'a' ? O_APPEND : O_TRUNC);
    int fd = -1;
    FILE *file;

    errno = name == path ? 0 : atomic_load(&refusal);
    if (errno == 0)
        fd = open(name, flags | O_CLOEXEC, 0644);
    file = fd >= 0 ? fdopen(fd, mode) : NULL;
    if (file == NULL && fd >= 0)
        close(fd);
    return file;
}

/* Replaces a file at once: a reader finds the former text or the new one. */
static void put(const char *name, const char *text)
{
    char path[128];
    char new_path[128];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    (void)snprintf(new_path, sizeof new_path, "%s/new", folder);
    fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    tt_check(fd >= 0);
    tt_check_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    tt_check_eq(rename(new_path, path), 0);
}

static void put_quota(unsigned cpus)
{
    char text[64];

    if (cpus == 0)
        (void)snprintf(text, sizeof text, "max 100000\n");
    else
        (void)snprintf(text, sizeof text, "%u 100000\n", cpus * 100000 - 1);
    put("cpu.max", text);
}

static void set_up(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/worker_limit_test.XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    put("cgroup", "0::/of_this_test\n");
    put("mountinfo", "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
    put_quota(0);
    atomic_store(&with_quota, true);
}

static void tear_down(void)
{
    static const char *const names[] = {"cgroup", "mountinfo", "cpu.max"};
    char path[128];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

TestSuite(worker_limit, .init = set_up, .fini = tear_down);

/* --- A runtime whose quota changes ------------------------------------------------------------------------------------------ */

typedef struct {
    tn_runtime *runtime;
    unsigned expected;
} expectation;

static bool has_limit(void *arg)
{
    const expectation *e = arg;

    tni_monitor_notice(e->runtime); /* it rests when all workers have slept for long */
    return tni_idle_limit(&e->runtime->idle) == e->expected;
}

static void expect_limit(tn_runtime *runtime, unsigned expected)
{
    expectation e = {runtime, expected};

    tt_check(tt_wait_until(has_limit, &e, LIMIT_NS));
}

/* The runtime reads it every 10 s; this asks for it now. */
static void change_quota(tn_runtime *runtime, unsigned cpus, unsigned expected)
{
    put_quota(cpus);
    tni_starter_request(runtime, TNI_STARTER_QUOTA);
    expect_limit(runtime, expected);
}

static tn_runtime *create(unsigned workers, bool follow)
{
    tn_options options = tt_options();
    tn_runtime *runtime;

    options.workers = workers;
    options.follow_cpu_quota = follow;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    return runtime;
}

/* Forced migration sends each task to the worker of the next core, whatever the limit is. */
static bool migrates(void)
{
    return tt_options().force_migration;
}

/* --- Tasks ------------------------------------------------------------------------------------------------------------------ */

enum { TASKS = 40, WORKERS = 6 };

static atomic_bool over;

static void *compute(void *arg)
{
    (void)arg;
    while (!atomic_load(&over)) {
        tt_burn(20 * TN_US);
        (void)tn_yield();
    }
    return NULL;
}

static void start_computing(tn_runtime *runtime, tn_task **tasks)
{
    atomic_store(&over, false);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = tt_spawn_on(runtime, compute, NULL);
}

static void stop_computing(tn_task **tasks)
{
    atomic_store(&over, true);
    for (int i = 0; i < TASKS; i++)
        tt_join(tasks[i]);
}

/* The runs of the cores from `first` on. */
static uint64_t runs_from(tn_runtime *runtime, unsigned first, unsigned end)
{
    uint64_t runs = 0;

    for (unsigned i = first; i < end; i++) {
        tn_counters counters;
        tt_check_eq(tn_runtime_counters(runtime, i, &counters), 0);
        runs += counters.polls;
    }
    return runs;
}

/* Waits until all tasks run on the cores below `limit` for a while, and the others sleep. */
static void expect_work_below(tn_runtime *runtime, unsigned limit)
{
    uint64_t until_ns = tni_clock_ns() + LIMIT_NS;

    for (;;) {
        uint64_t below = runs_from(runtime, 0, limit);
        uint64_t above = runs_from(runtime, limit, WORKERS);
        bool parked = true;

        tt_block_thread(30 * TN_MS);
        for (unsigned i = limit; i < WORKERS; i++)
            parked = parked && tni_idle_is_parked(&runtime->idle, i);
        if (parked && runs_from(runtime, 0, limit) > below && runs_from(runtime, limit, WORKERS) == above)
            return;
        tt_check(tni_clock_ns() < until_ns);
    }
}

static void expect_work_on_all(tn_runtime *runtime)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        uint64_t before = runs_from(runtime, i, i + 1);
        uint64_t until_ns = tni_clock_ns() + LIMIT_NS;
        while (runs_from(runtime, i, i + 1) == before) {
            tt_check(tni_clock_ns() < until_ns);
            tt_block_thread(TN_MS);
        }
    }
}

/* --- Tests ------------------------------------------------------------------------------------------------------------------ */

Test(worker_limit, follows_the_quota)
{
    static tn_task *tasks[TASKS];
    tn_runtime *runtime;

    if (migrates())
        return;
    put_quota(4);
    runtime = create(WORKERS, true);
    expect_limit(runtime, 4); /* read soon after the start */
    start_computing(runtime, tasks);
    expect_work_below(runtime, 4);
    change_quota(runtime, 2, 2);
    expect_work_below(runtime, 2);
    change_quota(runtime, 0, WORKERS);
    expect_work_on_all(runtime);
    change_quota(runtime, 1, 1);
    expect_work_below(runtime, 1);
    change_quota(runtime, 100000, WORKERS);
    expect_work_on_all(runtime);
    stop_computing(tasks);
    tt_runtime_destroy(runtime);
}

Test(worker_limit, is_followed_without_a_number_of_workers)
{
    tn_runtime *runtime;
    unsigned workers;

    put_quota(0);
    runtime = create(0, false);
    workers = tn_runtime_workers(runtime);
    if (workers > 1)
        change_quota(runtime, 1, 1);
    change_quota(runtime, 0, workers);
    tt_runtime_destroy(runtime);
}

static bool has_read(void *arg)
{
    tn_runtime *runtime = arg;

    return tni_a32_load(&runtime->limit.quota, TNI_RELAXED) == 1;
}

Test(worker_limit, is_not_followed_with_a_number_of_workers)
{
    tn_runtime *runtime;

    put_quota(1);
    runtime = create(WORKERS, false);
    tt_block_thread(20 * TN_MS); /* several checks of the monitor */
    cr_assert(!has_read(runtime));
    cr_assert_eq(tni_idle_limit(&runtime->idle), WORKERS);
    tt_runtime_destroy(runtime);
}

static void count_changes(void *ctx, tn_log_level level, const char *message)
{
    if (level == TN_LOG_INFO && strstr(message, "CPU quota") != NULL)
        (void)atomic_fetch_add((atomic_uint *)ctx, 1);
}

static bool has_line(void *arg)
{
    return atomic_load((atomic_uint *)arg) > 0;
}

typedef struct {
    unsigned cpus;
    int refusal;
    unsigned known; /* what the runtime then knows */
    unsigned lines; /* and how many changes the log has */
} reading;

/* A quota that cannot be read is the last one. The log has what changes the number of workers that are used. */
Test(worker_limit, a_quota_that_cannot_be_read_is_unchanged)
{
    static const reading readings[] = {
        {4, EMFILE, 2, 1}, {4, EACCES, 2, 1}, {4, ENOMEM, 2, 1}, {4, 0, 4, 2}, {4, ENOENT, 0, 3},
        {9, 0, 9, 3},      {0, 0, 0, 3},      {6, 0, 6, 3},      {5, 0, 5, 4},
    };
    static atomic_uint lines;
    tn_options options = tt_options();
    tn_runtime *runtime;

    put_quota(2);
    options.workers = WORKERS;
    options.follow_cpu_quota = true;
    options.log = count_changes;
    options.log_ctx = &lines;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    expect_limit(runtime, 2);
    tt_check(tt_wait_until(has_line, &lines, LIMIT_NS)); /* it is not read again for 10 s, but here */
    for (size_t i = 0; i < sizeof readings / sizeof *readings; i++) {
        const reading *r = &readings[i];
        put_quota(r->cpus);
        atomic_store(&refusal, r->refusal);
        tni_worker_limit_read(runtime);
        cr_assert_eq(tni_a32_load(&runtime->limit.quota, TNI_RELAXED), r->known, "reading %zu", i);
        cr_assert_eq(atomic_load(&lines), r->lines, "reading %zu", i);
    }
    expect_limit(runtime, 5);
    tt_runtime_destroy(runtime);
}

/* --- What only one worker can see ------------------------------------------------------------------------------------------- */

enum { PINNED = 12, ROUNDS = 20 };

typedef struct {
    int ends[2];
    pthread_t thread;
    atomic_bool begun;
} pinned_task;

/* Sleeps, and waits for a pipe, on the thread on which it has begun. */
static void *stay(void *arg)
{
    pinned_task *p = arg;

    p->thread = pthread_self();
    atomic_store(&p->begun, true);
    for (int i = 0; i < ROUNDS; i++) {
        char byte;
        tt_check(tn_fd_wait(p->ends[0], TN_FD_READABLE) > 0);
        tt_check_eq(read(p->ends[0], &byte, 1), 1);
        tt_check(pthread_equal(p->thread, pthread_self()));
        tt_check_eq(tn_sleep(TN_MS), 0);
        tt_check(pthread_equal(p->thread, pthread_self()));
    }
    return NULL;
}

static bool all_begun(void *arg)
{
    pinned_task *p = arg;

    for (int i = 0; i < PINNED; i++)
        if (!atomic_load(&p[i].begun))
            return false;
    return true;
}

Test(worker_limit, pinned_tasks_timers_and_events_are_served)
{
    static pinned_task p[PINNED];
    tn_task *tasks[PINNED];
    tn_spawn_options options = tn_spawn_options_default();
    tn_runtime *runtime = create(WORKERS, true);

    options.pinned = true;
    for (int i = 0; i < PINNED; i++) {
        cr_assert_eq(pipe2(p[i].ends, O_CLOEXEC), 0);
        cr_assert_eq(tn_spawn_on(runtime, &options, &tasks[i], stay, &p[i]), 0);
    }
    cr_assert(tt_wait_until(all_begun, p, LIMIT_NS)); /* they wait on the cores on which they began */
    change_quota(runtime, 1, 1);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < PINNED; i++)
            cr_assert_eq(write(p[i].ends[1], "x", 1), 1);
    for (int i = 0; i < PINNED; i++) {
        tt_join(tasks[i]);
        close(p[i].ends[0]);
        close(p[i].ends[1]);
    }
    tt_runtime_destroy(runtime);
}

/* --- A loop that needs a poll -------------------------------------------------------------------------------------------- */

enum { CLOSES = 20, READS_MAX = 40 };

static _Atomic int watched; /* the thread whose clock reads are counted; 0: none */
static _Atomic unsigned long clock_reads;

/* In place of the C library's, which it calls. */
int clock_gettime(clockid_t clock, struct timespec *out)
{
    static int (*_Atomic original)(clockid_t, struct timespec *);
    int (*next)(clockid_t, struct timespec *) = atomic_load(&original);

    if (next == NULL) {
        *(void **)(void *)&next = dlsym(RTLD_NEXT, "clock_gettime");
        atomic_store(&original, next);
    }
    if (atomic_load(&watched) != 0 && atomic_load(&watched) == gettid())
        (void)atomic_fetch_add(&clock_reads, 1);
    return next(clock, out);
}

typedef struct {
    tn_runtime *runtime;
    tni_registration *registrations[CLOSES]; /* in the loop of core 1 */
} second_loop;

static uint32_t registered(tn_runtime *runtime)
{
    return tni_a32_load(&runtime->cores[1]->driver.registrations, TNI_RELAXED);
}

static void yield_until_parked(tn_runtime *runtime)
{
    while (!tni_idle_is_parked(&runtime->idle, 1))
        tt_check_eq(tn_yield(), 0);
}

/* Pinned to the first worker, and keeps it awake, so that the second one is surplus. Each close wakes that one for a poll of its
 * loop. */
static void *close_all(void *arg)
{
    second_loop *l = arg;
    uint32_t count = registered(l->runtime);

    for (int i = 0; i < CLOSES; i++) {
        yield_until_parked(l->runtime);
        tni_registration_close(l->registrations[i]);
        while (registered(l->runtime) != count - 1 - (uint32_t)i)
            tt_check_eq(tn_yield(), 0);
    }
    yield_until_parked(l->runtime);
    return NULL;
}

static void fill_second_loop(second_loop *l)
{
    for (int i = 0; i < CLOSES;) {
        uint32_t before = registered(l->runtime);
        tni_registration *registration = NULL;
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        cr_assert_geq(fd, 0);
        cr_assert_eq(tni_registration_make(l->runtime, fd, &registration), 0);
        tni_registration_watch(registration);
        if (registered(l->runtime) != before)
            l->registrations[i++] = registration;
        else
            tni_registration_close(registration);
    }
}

/* It does not check again and again until a poll is due. */
Test(worker_limit, a_surplus_worker_polls_at_once)
{
    tn_spawn_options options = tn_spawn_options_default();
    tn_task *closer;
    second_loop l;

    if (migrates())
        return;
    options.pinned = true;
    l.runtime = create(2, true);
    expect_limit(l.runtime, 2);
    fill_second_loop(&l);
    change_quota(l.runtime, 1, 1);
    atomic_store(&watched, (int)((tni_worker *)tni_aptr_load(&l.runtime->cores[1]->worker, TNI_ACQUIRE))->thread_id);
    cr_assert_eq(tn_spawn_on(l.runtime, &options, &closer, close_all, &l), 0);
    tt_join(closer);
    atomic_store(&watched, 0);
    cr_assert_leq(atomic_load(&clock_reads), (unsigned long)CLOSES * READS_MAX, "%lu reads of the clock for %d closes",
                  atomic_load(&clock_reads), CLOSES);
    tt_runtime_destroy(l.runtime);
}

/* --- Stuck workers ---------------------------------------------------------------------------------------------------------- */

enum { STUCK = 3 };

static void *block(void *arg)
{
    tt_gate_wait(arg, 1);
    return NULL;
}

static void *open_it(void *arg)
{
    tt_gate_open(arg);
    return NULL;
}

/* The one replacement thread is stuck too, and there are no more. */
Test(worker_limit, does_not_keep_tasks_behind_stuck_ones)
{
    tt_gate gate = TT_GATE_INIT;
    tn_options options = tt_options();
    tn_task *tasks[STUCK];
    tn_runtime *runtime;

    if (migrates())
        return;
    put_quota(1);
    options.workers = WORKERS;
    options.follow_cpu_quota = true;
    options.replacement_threads_max = 1;
    cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
    expect_limit(runtime, 1);
    for (int i = 0; i < STUCK; i++)
        tasks[i] = tt_spawn_on(runtime, block, &gate);
    tt_join(tt_spawn_on(runtime, open_it, &gate));
    for (int i = 0; i < STUCK; i++)
        tt_join(tasks[i]);
    expect_limit(runtime, 1);
    tt_runtime_destroy(runtime);
}

static bool is_open(void *arg)
{
    return tt_gate_opened(arg) > 0;
}

/* No core is taken from a task, or not for long, and there is one core below the limit. */
Test(worker_limit, does_not_keep_tasks_behind_one_that_keeps_its_core)
{
    static const uint64_t after_ns[] = {UINT64_MAX, UINT64_MAX - 1, 3600 * TN_S};

    if (migrates())
        return;
    put_quota(1);
    for (size_t i = 0; i < sizeof after_ns / sizeof *after_ns; i++) {
        tt_gate gate = TT_GATE_INIT;
        tn_options options = tt_options();
        tn_task *tasks[2];
        tn_runtime *runtime;

        options.workers = WORKERS;
        options.follow_cpu_quota = true;
        options.stuck_after_ns = after_ns[i];
        cr_assert_eq(tn_runtime_create(&runtime, &options), 0);
        expect_limit(runtime, 1);
        tasks[0] = tt_spawn_on(runtime, block, &gate);
        tasks[1] = tt_spawn_on(runtime, open_it, &gate);
        tt_check(tt_wait_until(is_open, &gate, LIMIT_NS));
        tt_join(tasks[0]);
        tt_join(tasks[1]);
        expect_limit(runtime, 1);
        tt_runtime_destroy(runtime);
    }
}

/* --- A limit that changes all the time -------------------------------------------------------------------------------------- */

enum { PAIRS = 6, CHANGES_NS = 500 * TN_US };

typedef struct {
    tn_mpsc *channel;
    unsigned long rounds;
} pair;

static void *send_rounds(void *arg)
{
    pair *p = arg;

    for (unsigned long i = 0; i < p->rounds; i++) {
        tt_check_eq(tn_mpsc_send(p->channel, &i), 0);
        if (i % 64 == 0)
            tt_check_eq(tn_sleep(TN_US), 0);
    }
    tn_mpsc_release_sender(p->channel);
    return NULL;
}

static void *receive_rounds(void *arg)
{
    pair *p = arg;
    unsigned long value;

    for (unsigned long i = 0; i < p->rounds; i++) {
        tt_check_eq(tn_mpsc_recv(p->channel, &value), 0);
        tt_check_eq(value, i);
    }
    return NULL;
}

static void *set_limits(void *arg)
{
    tn_runtime *runtime = arg;

    for (uint32_t x = 1; !atomic_load(&over); x = x * 1664525 + 1013904223) {
        tni_a32_store(&runtime->limit.quota, 1 + (x >> 16) % WORKERS, TNI_RELAXED);
        tt_block_thread(CHANGES_NS);
    }
    return NULL;
}

static void *nothing(void *arg)
{
    return arg;
}

/* Tasks that wake each other, timers, and spawns from outside, while the monitor changes the limit at each check. */
Test(worker_limit, no_wake_is_lost_while_it_changes)
{
    static pair pairs[PAIRS];
    static tn_task *tasks[2 * PAIRS];
    tn_runtime *runtime = create(WORKERS, true);
    pthread_t changer;

    expect_limit(runtime, WORKERS);
    atomic_store(&over, false);
    changer = tt_thread_start(set_limits, runtime);
    for (int i = 0; i < PAIRS; i++) {
        pairs[i].rounds = tt_scaled(20000);
        cr_assert_eq(tn_mpsc_create(&pairs[i].channel, sizeof(unsigned long), 4, NULL), 0);
        tasks[2 * i] = tt_spawn_on(runtime, send_rounds, &pairs[i]);
        tasks[2 * i + 1] = tt_spawn_on(runtime, receive_rounds, &pairs[i]);
    }
    for (unsigned long i = 0; i < tt_scaled(2000); i++)
        tt_join(tt_spawn_on(runtime, nothing, NULL)); /* each waits until a worker has been woken */
    for (int i = 0; i < 2 * PAIRS; i++)
        tt_join(tasks[i]);
    atomic_store(&over, true);
    tt_thread_join(changer);
    for (int i = 0; i < PAIRS; i++)
        tn_mpsc_release_receiver(pairs[i].channel);
    tt_runtime_destroy(runtime);
}
