/* SPDX-License-Identifier: MIT */
/* The probe of a server: measures how late a task runs, and decides whether connections are refused. */
#include "sched/runtime.h"
#include "serve/serve.h"
#include "time/deadline.h"

#define INTERVAL_NS (20 * TN_MS)
#define OVERLOADED_NS (100 * TN_MS) /* so long tasks must have been late */
#define LOG_PAUSE_NS (10 * TN_S)    /* between two lines */

static void begin_shedding(tni_server *server, uint64_t late_ns, uint64_t now_ns, uint64_t *logged_ns)
{
    /* Relaxed, both: a measurement, which orders nothing. The probe alone writes it. */
    if (tni_a32_load(&server->shedding, TNI_RELAXED) != 0)
        return;
    tni_a32_store(&server->shedding, 1, TNI_RELAXED);
    if (*logged_ns != 0 && now_ns - *logged_ns < LOG_PAUSE_NS)
        return;
    *logged_ns = now_ns;
    tni_log_write(&server->runtime->log, TN_LOG_WARNING,
                  "tn_serve: tasks wait %llu ms until they run: new connections are refused while they wait longer than %llu ms",
                  (unsigned long long)(late_ns / TN_MS), (unsigned long long)(server->options.queue_delay_max_ns / TN_MS));
}

void *tni_probe_main(void *arg)
{
    tni_serve_part *part = arg;
    tni_server *server = part->server;
    uint64_t late_since_ns = 0; /* 0: the last measurement was in time */
    uint64_t logged_ns = 0;

    tni_serve_part_begins(part);
    while (tni_serve_phase_of(server) == TNI_SERVE_SERVING) {
        uint64_t due_ns = tni_deadline_after(INTERVAL_NS);
        uint64_t now_ns;

        if (tn_sleep(INTERVAL_NS) != 0)
            break;
        now_ns = tni_task_clock_ns();
        if (now_ns <= due_ns || now_ns - due_ns <= server->options.queue_delay_max_ns) {
            late_since_ns = 0;
            tni_a32_store(&server->shedding, 0, TNI_RELAXED); /* as in begin_shedding */
            continue;
        }
        if (late_since_ns == 0)
            late_since_ns = due_ns;
        if (now_ns - late_since_ns >= OVERLOADED_NS)
            begin_shedding(server, now_ns - due_ns, now_ns, &logged_ns);
    }
    return NULL;
}

void tni_probe_over(void *arg)
{
    tni_serve_part_ends(arg);
}
