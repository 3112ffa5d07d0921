/* SPDX-License-Identifier: MIT */
/* The pages of the admin server: metrics, tasks, dump. */
#include "admin/admin_views.h"

#include <stdlib.h>
#include <string.h>

#include <tn/inspect.h>

/* --- /metrics: OpenMetrics ----------------------------------------------------------------------------------------------- */

/* Seconds, from integers: the point of %g is that of the program's locale. */
#define SECONDS "%llu.%09llu"
#define SECONDS_OF(ns) (unsigned long long)((ns) / 1000000000), (unsigned long long)((ns) % 1000000000)

/* The buckets of each power of four: a scrape has few lines, and rates can be summed over processes. */
static void print_histogram(tni_admin_response *r, const char *name, const char *labels, const tn_histogram *h)
{
    uint64_t below = 0;
    uint64_t count = 0;
    const char *comma = *labels != '\0' ? "," : "";

    for (unsigned i = 0; i < TN_HISTOGRAM_BUCKETS; i++)
        count += h->buckets[i];
    for (unsigned i = 0; i + 1 < TN_HISTOGRAM_BUCKETS; i++) {
        below += h->buckets[i];
        if (i % 8 == 3)
            tni_admin_http_print(r, "tournant_%s_seconds_bucket{%s%sle=\"" SECONDS "\"} %llu\n", name, labels, comma,
                                 SECONDS_OF(tn_histogram_bound_ns(i + 1)), (unsigned long long)below);
    }
    tni_admin_http_print(r, "tournant_%s_seconds_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma, (unsigned long long)count);
    tni_admin_http_print(r, "tournant_%s_seconds_count%s%s%s %llu\n", name, *labels ? "{" : "", labels, *labels ? "}" : "",
                         (unsigned long long)count);
    tni_admin_http_print(r, "tournant_%s_seconds_sum%s%s%s " SECONDS "\n", name, *labels ? "{" : "", labels, *labels ? "}" : "",
                         SECONDS_OF(h->sum_ns));
}

static void print_histogram_family(tni_admin_response *r, const char *name, const char *help, const tn_histogram *h)
{
    tni_admin_http_print(r, "# TYPE tournant_%s_seconds histogram\n# UNIT tournant_%s_seconds seconds\n", name, name);
    tni_admin_http_print(r, "# HELP tournant_%s_seconds %s\n", name, help);
    print_histogram(r, name, "", h);
}

static void print_pool(tni_admin_response *r, const char *name, const char *help, const tn_histogram *h)
{
    static const char *const classes[] = {"class=\"jobs\"", "class=\"files\"", "class=\"names\""};

    tni_admin_http_print(r, "# TYPE tournant_%s_seconds histogram\n# UNIT tournant_%s_seconds seconds\n", name, name);
    tni_admin_http_print(r, "# HELP tournant_%s_seconds %s\n", name, help);
    for (unsigned i = 0; i < TN_METRICS_POOL_CLASSES; i++)
        print_histogram(r, name, classes[i], &h[i]);
}

static void print_counter(tni_admin_response *r, const char *name, const char *help, uint64_t value)
{
    tni_admin_http_print(r, "# TYPE tournant_%s counter\n# HELP tournant_%s %s\ntournant_%s_total %llu\n", name, name, help, name,
                         (unsigned long long)value);
}

static void print_gauge(tni_admin_response *r, const char *name, const char *help, uint64_t value)
{
    tni_admin_http_print(r, "# TYPE tournant_%s gauge\n# HELP tournant_%s %s\ntournant_%s %llu\n", name, name, help, name,
                         (unsigned long long)value);
}

/* The text of a label or of JSON: quotes, backslashes and control characters are escaped. Other bytes are sent as they are, but
 * what is not UTF-8 becomes a question mark. */
static void print_escaped(tni_admin_response *r, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;
        if (c == '"' || c == '\\')
            tni_admin_http_print(r, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            tni_admin_http_print(r, "?");
        else
            tni_admin_http_print(r, "%c", c);
    }
}

static void print_waits(tni_admin_response *r, const tn_metrics *m)
{
    tni_admin_http_print(r, "# TYPE tournant_waits counter\n# HELP tournant_waits Waits of tasks that have ended, by kind.\n");
    for (unsigned i = 0; i < TN_METRICS_WAITS; i++)
        if (m->waits[i].name[0] != '\0') {
            tni_admin_http_print(r, "tournant_waits_total{kind=\"");
            print_escaped(r, m->waits[i].name);
            tni_admin_http_print(r, "\"} %llu\n", (unsigned long long)m->waits[i].count);
        }
    tni_admin_http_print(r, "# TYPE tournant_waited_seconds counter\n# UNIT tournant_waited_seconds seconds\n"
                            "# HELP tournant_waited_seconds How long these waits were, together.\n");
    for (unsigned i = 0; i < TN_METRICS_WAITS; i++)
        if (m->waits[i].name[0] != '\0') {
            tni_admin_http_print(r, "tournant_waited_seconds_total{kind=\"");
            print_escaped(r, m->waits[i].name);
            tni_admin_http_print(r, "\"} " SECONDS "\n", SECONDS_OF(m->waits[i].total_ns));
        }
}

static void print_counters(tni_admin_response *r, const tn_counters *c)
{
    print_counter(r, "spawned", "Tasks that were spawned.", c->spawned);
    print_counter(r, "finished", "Tasks that have ended.", c->finished);
    print_counter(r, "polls", "Runs of tasks.", c->polls);
    print_counter(r, "steals", "Steals from another core that found tasks.", c->steals);
    print_counter(r, "steal_attempts", "Steals that were tried.", c->steal_attempts);
    print_counter(r, "parks", "Sleeps of workers.", c->parks);
    print_counter(r, "wakes", "Workers that were woken.", c->wakes);
    print_counter(r, "overflows", "Times that a full run queue moved tasks to the injector.", c->overflows);
    print_counter(r, "injector_takes", "Times that a worker took tasks from the injector.", c->injector_takes);
    print_counter(r, "driver_polls", "Polls of the I/O loops.", c->driver_polls);
    print_counter(r, "driver_events", "Readiness events of the I/O loops.", c->driver_events);
    print_counter(r, "timers_fired", "Timers that have fired.", c->timers_fired);
    print_counter(r, "cores_handed_over", "Cores that were taken from a worker inside of one task.", c->cores_handed_over);
}

void tni_admin_views_metrics(tni_admin_response *r, const tn_runtime *runtime, tn_metrics *m)
{
    m->size = sizeof *m;
    (void)tn_metrics_snapshot(runtime, TN_METRICS_ALL, m);
    print_histogram_family(r, "queue_delay", "From when a task became runnable to its run.", &m->queue_delay);
    print_histogram_family(r, "run_length", "Of a run of a task.", &m->run_length);
    print_histogram_family(r, "poll_gap", "Between two polls of a loop without a sleep.", &m->poll_gap);
    print_histogram_family(r, "timer_lateness", "Of timers.", &m->timer_lateness);
    print_pool(r, "pool_waited", "From the call to the start of a job of the pool.", m->pool_waited);
    print_pool(r, "pool_ran", "From the start to the end of a job of the pool.", m->pool_ran);
    print_waits(r, m);
    print_counters(r, &m->counters);
    print_gauge(r, "tasks", "Tasks that have not ended.", m->tasks);
    print_gauge(r, "queued", "Tasks in the run queues of cores.", m->queued);
    print_gauge(r, "injected", "Tasks in the injector.", m->injected);
    print_gauge(r, "registrations", "Descriptors in the I/O loops.", m->registrations);
    print_gauge(r, "stacks", "Stacks in use.", m->stacks);
    print_gauge(r, "cores", "Cores.", m->cores);
    print_gauge(r, "parked", "Workers that sleep.", m->parked);
    print_gauge(r, "searching", "Workers that search for tasks.", m->searching);
    print_gauge(r, "replacements", "Replacement threads that have a core.", m->replacements);
    print_gauge(r, "pool_threads", "Threads of the pool.", m->pool_threads);
    print_gauge(r, "pool_queued", "Jobs that wait for a thread of the pool.",
                m->pool_queued[TN_METRICS_JOBS] + m->pool_queued[TN_METRICS_FILES] + m->pool_queued[TN_METRICS_NAMES]);
    tni_admin_http_print(r, "# EOF\n");
}

/* --- /tasks: JSON -------------------------------------------------------------------------------------------------------- */

/* After so many tasks other connections have their turn, and the deadline and the end of the server are noticed. */
enum { TASKS_A_TURN = 1024 };

typedef struct {
    tni_admin_response *response;
    char name[64];
    char waits[64];
    unsigned long limit;
    unsigned long offset;
    unsigned long matched;
    unsigned seen;
    bool more;
} selection;

static const char *const states[] = {
    [TN_TASK_WAITS] = "waits", [TN_TASK_RUNS] = "runs", [TN_TASK_WAITS_FOR_STACK] = "waits for a stack"};

static void print_text(tni_admin_response *r, const char *name, const char *text)
{
    tni_admin_http_print(r, ",\"%s\":\"", name);
    print_escaped(r, text);
    tni_admin_http_print(r, "\"");
}

static void print_task(tni_admin_response *r, const tn_task_info *info)
{
    tni_admin_http_print(r, "{\"id\":%llu,\"parent\":%llu,\"kind\":\"%s\",\"state\":\"%s\",\"cancelled\":%s",
                         (unsigned long long)info->id, (unsigned long long)info->parent, info->is_fiber ? "fiber" : "stackless",
                         states[info->state], info->is_cancelled ? "true" : "false");
    print_text(r, "name", info->name);
    print_text(r, "note", info->note);
    if (info->state == TN_TASK_WAITS) {
        print_text(r, "waits_for", info->waits_for);
        tni_admin_http_print(r, ",\"waited_ms\":%llu", (unsigned long long)(info->waited_ns / TN_MS));
    }
    if (info->deadline_ns != UINT64_MAX)
        tni_admin_http_print(r, ",\"deadline_ns\":%llu", (unsigned long long)info->deadline_ns);
    tni_admin_http_print(r, "}");
}

static bool add_task(void *ctx, const tn_task_info *info)
{
    selection *s = ctx;

    if (++s->seen % TASKS_A_TURN == 0 && s->response->rc == 0)
        s->response->rc = tn_yield();
    if (s->response->rc != 0)
        return false;
    if (strstr(info->name, s->name) == NULL || strstr(info->waits_for, s->waits) == NULL)
        return true;
    s->matched++;
    if (s->matched <= s->offset)
        return true;
    if (s->matched - s->offset > s->limit) {
        s->more = true;
        return false;
    }
    if (s->matched - s->offset > 1)
        tni_admin_http_print(s->response, ",\n");
    print_task(s->response, info);
    return s->response->rc == 0;
}

static unsigned long number_of(const tni_admin_request *request, const char *name, unsigned long otherwise)
{
    char text[24];

    return tni_admin_request_parameter(request, name, text, sizeof text) ? strtoul(text, NULL, 10) : otherwise;
}

void tni_admin_views_tasks(tni_admin_response *r, const tni_admin_request *request, tn_runtime *runtime)
{
    selection s = {.response = r, .limit = number_of(request, "limit", 1000), .offset = number_of(request, "offset", 0)};

    (void)tni_admin_request_parameter(request, "name", s.name, sizeof s.name);
    (void)tni_admin_request_parameter(request, "waits", s.waits, sizeof s.waits);
    tni_admin_http_print(r, "{\"tasks\":[");
    tn_tasks_each(runtime, add_task, &s);
    tni_admin_http_print(r, "],\n\"more\":%s}\n", s.more ? "true" : "false");
}

/* --- /dump --------------------------------------------------------------------------------------------------------------- */

static void add_line(void *ctx, const char *line)
{
    tni_admin_response *r = ctx;

    if (r->rc == 0)
        r->rc = tn_yield(); /* as after some tasks, above: the next line may take long */
    tni_admin_http_print(r, "%s\n", line);
}

static int let_others_run(void *ctx)
{
    tni_admin_response *r = ctx;

    if (r->rc == 0)
        r->rc = tn_yield();
    return r->rc;
}

void tni_admin_views_dump(tni_admin_response *r, tn_runtime *runtime)
{
    if (tn_dump_grouped_pausing(runtime, add_line, let_others_run, r) == TN_ENOMEM)
        tni_admin_http_print(r, "no memory for a dump\n");
}
