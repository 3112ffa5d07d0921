/* SPDX-License-Identifier: MIT */
/* Eight faults that make a server slow, each planted by name, and the view that points to it. docs/why_is_my_server_slow.md shows
 * their outputs, which this program prints if TN_PLANTED_SHOW is set:
 *
 *     TN_PLANTED_SHOW=1 planted_faults_test --filter='planted/lock_convoy'
 */
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tn/blocking.h>
#include <tn/inspect.h>
#include <tn/metrics.h>
#include <tn/names.h>
#include <tn/net.h>
#include <tn/sync.h>
#include <tn/time.h>
#include <tn/why.h>
#include <tn/work.h>

#include "support/runtime.h"

/* --- The views ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    char text[65536];
    size_t length;
} page;

typedef struct {
    tn_options options;
    tn_runtime *runtime;
    pthread_mutex_t log_lock;
    page log;
    page dump;
    tn_metrics before;
    tn_metrics metrics;
    atomic_int stop;
    atomic_int begun;
    tn_mutex mutex;
    tn_notify never;
    tn_task_info found;
    const char *wanted_wait;
} server;

static void add_line(void *ctx, const char *line)
{
    page *p = ctx;

    if (p->length < sizeof p->text - 1)
        p->length += (size_t)snprintf(p->text + p->length, sizeof p->text - p->length, "%s\n", line);
}

static void take_log(void *ctx, tn_log_level level, const char *line)
{
    server *s = ctx;

    (void)level;
    pthread_mutex_lock(&s->log_lock);
    add_line(&s->log, line);
    pthread_mutex_unlock(&s->log_lock);
}

static bool log_has(server *s, const char *text)
{
    bool has;

    pthread_mutex_lock(&s->log_lock);
    has = strstr(s->log.text, text) != NULL;
    pthread_mutex_unlock(&s->log_lock);
    return has;
}

static void take_dump(server *s)
{
    s->dump.length = 0;
    tt_check(tn_dump_grouped(s->runtime, add_line, &s->dump) == 0);
}

static bool dump_has(server *s, const char *text)
{
    take_dump(s);
    return strstr(s->dump.text, text) != NULL;
}

static const tn_metrics *measure(server *s)
{
    s->metrics.size = sizeof s->metrics;
    tt_check(tn_metrics_snapshot(s->runtime, TN_METRICS_ALL, &s->metrics) == 0);
    return &s->metrics;
}

static uint64_t waited_ns(const tn_metrics *m, const char *name)
{
    for (int i = 0; i < TN_METRICS_WAITS; i++)
        if (strcmp(m->waits[i].name, name) == 0)
            return m->waits[i].total_ns;
    return 0;
}

static void show_time(const char *name, const tn_histogram *h)
{
    printf("%-22s count %8llu  p50 %9.3f ms  p99 %9.3f ms\n", name, (unsigned long long)h->count,
           (double)tn_histogram_quantile_ns(h, 0.5) / 1e6, (double)tn_histogram_quantile_ns(h, 0.99) / 1e6);
}

static void show(server *s)
{
    const tn_metrics *m = measure(s);

    if (getenv("TN_PLANTED_SHOW") == NULL)
        return;
    show_time("queue_delay", &m->queue_delay);
    show_time("run_length", &m->run_length);
    show_time("timer_lateness", &m->timer_lateness);
    show_time("pool_waited jobs", &m->pool_waited[TN_METRICS_JOBS]);
    show_time("pool_ran jobs", &m->pool_ran[TN_METRICS_JOBS]);
    show_time("pool_waited names", &m->pool_waited[TN_METRICS_NAMES]);
    show_time("pool_ran names", &m->pool_ran[TN_METRICS_NAMES]);
    printf("tasks %llu, queued %llu, pool_queued jobs %llu, timers_fired %llu, cores_handed_over %llu\n",
           (unsigned long long)m->tasks, (unsigned long long)(m->queued + m->injected),
           (unsigned long long)m->pool_queued[TN_METRICS_JOBS], (unsigned long long)m->counters.timers_fired,
           (unsigned long long)m->counters.cores_handed_over);
    for (int i = 0; i < TN_METRICS_WAITS; i++)
        if (m->waits[i].name[0] != '\0')
            printf("waited for %-16s %8llu times  %10.3f s\n", m->waits[i].name, (unsigned long long)m->waits[i].count,
                   (double)m->waits[i].total_ns / 1e9);
    take_dump(s);
    printf("--- dump\n%.6000s", s->dump.text);
    pthread_mutex_lock(&s->log_lock);
    printf("--- log\n%.3000s", s->log.text);
    pthread_mutex_unlock(&s->log_lock);
    fflush(stdout);
}

/* --- The server ---------------------------------------------------------------------------------------------------------- */

static server *prepare(void)
{
    static server s;

    memset(&s, 0, sizeof s);
    pthread_mutex_init(&s.log_lock, NULL);
    s.options = tt_options();
    s.options.workers = 2;
    s.options.force_migration = false;
    s.options.log = take_log;
    s.options.log_ctx = &s;
    s.options.report_slow_ns = 20 * TN_MS;
    tn_mutex_init(&s.mutex);
    tn_notify_init(&s.never);
    return &s;
}

static void start(server *s, const char *name, tn_entry_fn entry, unsigned count)
{
    tn_spawn_options options = tn_spawn_options_default();

    if (s->runtime == NULL)
        cr_assert_eq(tn_runtime_create(&s->runtime, &s->options), 0);
    s->before.size = sizeof s->before;
    tt_check(tn_metrics_snapshot(s->runtime, TN_METRICS_ALL, &s->before) == 0);
    options.name = name;
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(tn_spawn_on(s->runtime, &options, NULL, entry, s), 0);
}

/* Waits until the view shows the fault, prints the views, and ends the server. */
static void expect(server *s, bool (*shown)(void *arg))
{
    bool found = tt_wait_until(shown, s, 30 * TN_S);

    show(s);
    atomic_store(&s->stop, 1);
    if (!found)
        fprintf(stderr, "%s--- log\n%s", s->dump.text, s->log.text);
    cr_assert(found, "no view shows the fault");
    cr_assert_eq(tn_runtime_destroy(s->runtime, TN_SHUTDOWN_CANCEL, 30 * TN_S), 0);
}

/* A fault of `count` tasks of one kind, in a server with the usual options. */
static void plant(const char *name, tn_entry_fn entry, unsigned count, bool (*shown)(void *arg))
{
    server *s = prepare();

    start(s, name, entry, count);
    expect(s, shown);
}

/* --- Lock convoy: a mutex is held across a wait -------------------------------------------------------------------------- */

static void *handle_with_lock(void *arg)
{
    server *s = arg;

    while (atomic_load(&s->stop) == 0) {
        tn_work work;
        tn_work_begin(&work, "GET /stock");
        if (tn_mutex_lock(&s->mutex) == 0) {
            (void)tn_sleep(2 * TN_MS); /* a query, with the lock held */
            tn_mutex_unlock(&s->mutex);
        }
        tn_work_end(&work);
        if (tn_checkpoint() != 0)
            break;
    }
    return NULL;
}

static bool convoy_is_shown(void *arg)
{
    server *s = arg;
    const tn_metrics *m = measure(s);

    return waited_ns(m, "mutex") > 4 * waited_ns(m, "sleep") && dump_has(s, " tasks (fiber) wait for mutex, the longest for ") &&
           log_has(s, "slow: \"GET /stock\" of task ") && log_has(s, ": mutex ");
}

Test(planted, lock_convoy)
{
    plant("stock", handle_with_lock, 30, convoy_is_shown);
}

/* --- Blocked worker: a call that blocks the thread ----------------------------------------------------------------------- */

static void *read_old_disk(void *arg)
{
    server *s = arg;

    while (atomic_load(&s->stop) == 0) {
        tt_block_thread(150 * TN_MS); /* as a read of a slow disk */
        (void)tn_yield();
    }
    return NULL;
}

static bool blocked_is_shown(void *arg)
{
    server *s = arg;

    return log_has(s, "task \"disk\" (") && log_has(s, " has kept its thread for ") && log_has(s, "tt_block_thread") &&
           tn_histogram_quantile_ns(&measure(s)->run_length, 1) >= 100 * TN_MS;
}

Test(planted, blocked_worker)
{
    server *s = prepare();

    s->options.report_stuck_ns = 50 * TN_MS;
    start(s, "disk", read_old_disk, 1);
    expect(s, blocked_is_shown);
}

/* --- Pool exhaustion: all threads for blocking calls are busy ------------------------------------------------------------ */

static void *query(void *arg)
{
    tt_block_thread(20 * TN_MS);
    return arg;
}

static void *call_database(void *arg)
{
    server *s = arg;

    while (atomic_load(&s->stop) == 0 && tn_run_blocking(query, NULL, NULL) == 0)
        ;
    return NULL;
}

static bool exhaustion_is_shown(void *arg)
{
    const tn_metrics *m = measure(arg);
    const tn_histogram *waited = &m->pool_waited[TN_METRICS_JOBS];

    return m->pool_queued[TN_METRICS_JOBS] > 10 && waited->count > 20 &&
           tn_histogram_quantile_ns(waited, 0.9) > 3 * tn_histogram_quantile_ns(&m->pool_ran[TN_METRICS_JOBS], 0.5) &&
           dump_has(arg, " tasks (fiber) wait for blocking call, the longest for ");
}

Test(planted, pool_exhaustion)
{
    server *s = prepare();

    s->options.blocking_threads = 2;
    start(s, "query", call_database, 40);
    expect(s, exhaustion_is_shown);
}

/* --- A fiber that starves others: it computes and does not yield --------------------------------------------------------- */

static void *compress(void *arg)
{
    server *s = arg;

    while (atomic_load(&s->stop) == 0) {
        tt_burn(40 * TN_MS);
        (void)tn_yield();
    }
    return NULL;
}

static void *handle_quickly(void *arg)
{
    server *s = arg;

    while (atomic_load(&s->stop) == 0 && tn_sleep(TN_MS) == 0) {
        tn_work work;
        tn_work_begin(&work, "GET /quick");
        (void)tn_yield();
        tn_work_end(&work);
    }
    return NULL;
}

static bool starving_is_shown(void *arg)
{
    server *s = arg;
    const tn_metrics *m = measure(s);

    return tn_histogram_quantile_ns(&m->run_length, 1) >= 30 * TN_MS &&
           tn_histogram_quantile_ns(&m->queue_delay, 1) >= 20 * TN_MS && log_has(s, "slow: \"GET /quick\" of task ") &&
           log_has(s, "waited 0.0 ms");
}

Test(planted, starving_fiber)
{
    server *s = prepare();

    s->options.workers = 1;
    s->options.stuck_after_ns = UINT64_MAX; /* otherwise a replacement thread runs the others */
    start(s, "compress", compress, 1);
    start(s, "quick", handle_quickly, 4);
    expect(s, starving_is_shown);
}

/* --- Leak of tasks: they wait for what never comes ----------------------------------------------------------------------- */

static void *wait_for_reply(void *arg)
{
    server *s = arg;

    tn_task_note("waits for a reply that was dropped");
    (void)tn_notify_wait(&s->never);
    return NULL;
}

static void *forget_children(void *arg)
{
    server *s = arg;

    for (int i = 0; i < 500 && tn_sleep(100 * TN_US) == 0; i++)
        tt_check(tn_spawn_on(NULL, NULL, NULL, wait_for_reply, s) == 0);
    (void)tn_notify_wait(&s->never);
    return NULL;
}

static bool leak_is_shown(void *arg)
{
    server *s = arg;
    const char *group = "500 tasks (fiber) wait for notify, the longest for ";

    return measure(s)->tasks - s->before.tasks >= 500 && dump_has(s, group) && strstr(s->dump.text, "forget_children") != NULL &&
           strstr(s->dump.text, "note: waits for a reply that was dropped") != NULL;
}

Test(planted, leak_of_tasks)
{
    plant("accept", forget_children, 1, leak_is_shown);
}

/* --- Timer storm: polling instead of waiting ----------------------------------------------------------------------------- */

static void *poll_a_flag(void *arg)
{
    server *s = arg;

    while (atomic_load(&s->stop) == 0 && tn_sleep(TN_MS) == 0)
        ;
    return NULL;
}

static bool storm_is_shown(void *arg)
{
    server *s = arg;
    const tn_metrics *m = measure(s);
    uint64_t fired = m->counters.timers_fired - s->before.counters.timers_fired;

    return fired > 10000 && fired > (m->counters.polls - s->before.counters.polls) / 2 &&
           dump_has(s, " tasks (fiber) wait for sleep, the longest for ") && strstr(s->dump.text, "poll_a_flag") != NULL;
}

Test(planted, timer_storm)
{
    plant("poll", poll_a_flag, 2000, storm_is_shown);
}

/* --- Slow peer: it does not read ----------------------------------------------------------------------------------------- */

static void log_why(server *s)
{
    tn_why_info why = {.size = sizeof why};

    tt_check(tn_why(TN_ETIMEDOUT, &why) == 0);
    pthread_mutex_lock(&s->log_lock);
    tn_why_print(&why, add_line, &s->log);
    pthread_mutex_unlock(&s->log_lock);
}

static void *send_to_slow_peer(void *arg)
{
    static const char block[1 << 16];
    server *s = arg;
    int fds[2];
    tn_stream *stream;

    tt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    tt_check(tn_stream_open(NULL, &stream, fds[0]) == 0);
    tn_task_note("response to client 17");
    while (atomic_load(&s->stop) == 0) {
        tn_scope scope;
        int rc;
        tn_scope_enter_for(&scope, 200 * TN_MS);
        rc = tn_write_all(stream, block, sizeof block);
        tn_scope_leave(&scope);
        if (rc == TN_ECANCELED)
            break;
        if (rc == TN_ETIMEDOUT)
            log_why(s);
    }
    tn_stream_close(stream);
    (void)close(fds[1]);
    return NULL;
}

static bool find_wait(void *ctx, const tn_task_info *info)
{
    server *s = ctx;

    if (info->state == TN_TASK_WAITS && strcmp(info->waits_for, "socket") == 0 && info->waited_ns > 50 * TN_MS)
        s->found = *info;
    return true;
}

static bool slow_peer_is_shown(void *arg)
{
    server *s = arg;

    tn_tasks_each(s->runtime, find_wait, s);
    return strcmp(s->found.name, "session") == 0 && strcmp(s->found.note, "response to client 17") == 0 &&
           log_has(s, "TN_ETIMEDOUT: the deadline passed of the scope entered in send_to_slow_peer") &&
           log_has(s, ", while it waited for socket") && dump_has(s, "tn_write_all");
}

Test(planted, slow_peer)
{
    plant("session", send_to_slow_peer, 1, slow_peer_is_shown);
}

/* --- DNS: the name server replies late ----------------------------------------------------------------------------------- */

int getaddrinfo(const char *restrict host, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict out)
{
    (void)host;
    (void)service;
    (void)hints;
    *out = NULL;
    tt_block_thread(100 * TN_MS);
    return EAI_AGAIN;
}

static void *resolve(void *arg)
{
    server *s = arg;
    char host[64];

    for (int i = 0; atomic_load(&s->stop) == 0; i++) {
        tn_names names;
        int rc;
        (void)snprintf(host, sizeof host, "backend-%d-%d.test", atomic_fetch_add(&s->begun, 1), i);
        rc = tn_resolve(NULL, host, "80", &names);
        tn_names_fini(&names);
        if (rc == TN_ECANCELED)
            break;
    }
    return NULL;
}

static bool slow_names_are_shown(void *arg)
{
    const tn_metrics *m = measure(arg);
    const tn_histogram *ran = &m->pool_ran[TN_METRICS_NAMES];

    return ran->count >= 8 && tn_histogram_quantile_ns(ran, 0.5) >= 100 * TN_MS &&
           dump_has(arg, "wait for lookup of a name, the longest for ");
}

Test(planted, slow_names)
{
    plant("resolve", resolve, 8, slow_names_are_shown);
}
