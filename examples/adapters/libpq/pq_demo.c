/* SPDX-License-Identifier: MIT */
/* pq_demo: tasks that use PostgreSQL by pq_task.h.
 *
 * Run:   pq_demo CONNINFO sleep 100     100 tasks with a connection each, which sleep for a second in the server
 *        pq_demo CONNINFO copy 100000   writes and reads so many rows by COPY
 *        pq_demo CONNINFO notify 100    one task listens, another one notifies it
 *        pq_demo CONNINFO deadline      a query is cancelled by its deadline, and the connection is used again
 *        pq_demo CONNINFO cut           the same for COPY in both directions
 *        pq_demo CONNINFO unanswered    a query is cancelled after a line of input, and the server may not respond
 *        pq_demo CONNINFO survive       queries the server again and again, and reconnects when it has been restarted; ends
 *                                       after ten queries on a second connection
 * See:   one line with the result; errors on stderr, and exit status 1
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pq_task.h"

typedef struct demo {
    const char *conninfo;
    const char *command;
    unsigned long count;
} demo;

static int fail(const char *what, PGconn *conn, int rc)
{
    (void)fprintf(stderr, "%s: %s: %s\n", what, tn_strerror(rc), conn != NULL ? PQerrorMessage(conn) : "");
    return rc;
}

static int open_connection(const demo *d, PGconn **conn)
{
    int rc = pqt_connect(conn, d->conninfo);

    if (rc != 0) {
        (void)fail("connect", *conn, rc);
        PQfinish(*conn);
        *conn = NULL;
    }
    return rc;
}

/* Runs a query whose result has to be of this kind. */
static int run(PGconn *conn, const char *query, ExecStatusType wanted, PGresult **out)
{
    PGresult *result;
    int rc = pqt_exec(conn, query, &result);

    if (rc == 0 && PQresultStatus(result) != wanted)
        rc = PQT_ERROR;
    if (rc != 0)
        (void)fail(query, conn, rc);
    if (rc == 0 && out != NULL)
        *out = result;
    else
        PQclear(result);
    return rc;
}

/* --- Sleep ------------------------------------------------------------------------------------------------------------------ */

typedef struct sleeper {
    const demo *all;
    PGconn *conn;
    tn_task *task;
} sleeper;

static void *connect_sleeper(void *arg)
{
    sleeper *s = arg;

    return open_connection(s->all, &s->conn) == 0 ? NULL : arg;
}

static void *sleep_in_server(void *arg)
{
    sleeper *s = arg;

    return run(s->conn, "select pg_sleep(1)", PGRES_TUPLES_OK, NULL) == 0 ? NULL : arg;
}

/* Runs `entry` in a task for each sleeper. Returns how many have succeeded. */
static unsigned long run_all(sleeper *sleepers, unsigned long count, tn_entry_fn entry)
{
    unsigned long done = 0;

    for (unsigned long i = 0; i < count; i++)
        if (tn_spawn(&sleepers[i].task, entry, &sleepers[i]) != 0)
            abort();
    for (unsigned long i = 0; i < count; i++) {
        void *failed;
        done += tn_join(sleepers[i].task, &failed) == 0 && failed == NULL;
    }
    return done;
}

static int run_sleep(demo *d)
{
    sleeper *sleepers = calloc(d->count, sizeof *sleepers);
    unsigned long done = 0;
    uint64_t began_ns;

    if (sleepers == NULL)
        return TN_ENOMEM;
    for (unsigned long i = 0; i < d->count; i++)
        sleepers[i].all = d;
    if (run_all(sleepers, d->count, connect_sleeper) == d->count) {
        began_ns = tn_now();
        done = run_all(sleepers, d->count, sleep_in_server);
        (void)printf("%lu of %lu slept, %.2f s\n", done, d->count, (double)(tn_now() - began_ns) / 1e9);
    }
    for (unsigned long i = 0; i < d->count; i++)
        PQfinish(sleepers[i].conn);
    free(sleepers);
    return done == d->count ? 0 : PQT_ERROR;
}

/* --- COPY ------------------------------------------------------------------------------------------------------------------- */

static int copy_in(PGconn *conn, unsigned long count)
{
    PGresult *result;
    int rc = run(conn, "copy rows from stdin", PGRES_COPY_IN, NULL);

    for (unsigned long i = 0; i < count && rc == 0; i++) {
        char row[64];
        int size = snprintf(row, sizeof row, "%lu\trow number %lu\n", i, i);
        rc = pqt_put_copy(conn, row, size);
    }
    if (rc == 0)
        rc = pqt_end_copy(conn);
    while (rc == 0 && (rc = pqt_result(conn, &result)) == 0 && result != NULL) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            rc = PQT_ERROR;
        PQclear(result);
    }
    return rc == 0 ? 0 : fail("copy in", conn, rc);
}

static int copy_out(PGconn *conn, unsigned long *rows, unsigned long *sum)
{
    PGresult *result;
    char *row;
    int rc = run(conn, "copy (select id from rows order by id) to stdout", PGRES_COPY_OUT, NULL);

    while (rc == 0 && (rc = pqt_get_copy(conn, &row)) > 0) {
        *sum += strtoul(row, NULL, 10);
        (*rows)++;
        PQfreemem(row);
        rc = 0;
    }
    while (rc == 0 && (rc = pqt_result(conn, &result)) == 0 && result != NULL)
        PQclear(result);
    return rc == 0 ? 0 : fail("copy out", conn, rc);
}

static int run_copy(demo *d)
{
    unsigned long rows = 0;
    unsigned long sum = 0;
    PGconn *conn;
    int rc = open_connection(d, &conn);

    if (rc == 0)
        rc = run(conn, "create temporary table rows (id bigint, text text)", PGRES_COMMAND_OK, NULL);
    if (rc == 0)
        rc = copy_in(conn, d->count);
    if (rc == 0)
        rc = copy_out(conn, &rows, &sum);
    PQfinish(conn);
    (void)printf("%lu rows, sum %lu\n", rows, sum);
    return rc;
}

/* --- LISTEN and NOTIFY ------------------------------------------------------------------------------------------------------ */

static void *notify(void *arg)
{
    const demo *d = arg;
    PGconn *conn;
    int rc = open_connection(d, &conn);

    for (unsigned long i = 0; i < d->count && rc == 0; i++) {
        char query[64];
        (void)snprintf(query, sizeof query, "notify news, '%lu'", i);
        rc = run(conn, query, PGRES_COMMAND_OK, NULL);
    }
    PQfinish(conn);
    return rc == 0 ? NULL : arg;
}

static int run_notify(demo *d)
{
    unsigned long seen = 0;
    PGconn *conn;
    tn_task *task;
    void *failed = NULL;
    int rc = open_connection(d, &conn);

    if (rc == 0)
        rc = run(conn, "listen news", PGRES_COMMAND_OK, NULL);
    if (rc != 0 || tn_spawn(&task, notify, d) != 0) {
        PQfinish(conn);
        return rc;
    }
    while (rc == 0 && seen < d->count) {
        PGnotify *news;
        rc = pqt_notification(conn, &news);
        if (rc == 0 && strtoul(news->extra, NULL, 10) == seen)
            seen++;
        PQfreemem(news);
    }
    (void)tn_join(task, &failed);
    PQfinish(conn);
    (void)printf("%lu notifications in order\n", seen);
    return failed == NULL ? rc : PQT_ERROR;
}

/* --- Deadline --------------------------------------------------------------------------------------------------------------- */

static int run_deadline(demo *d)
{
    uint64_t began_ns = tn_now();
    PGresult *result = NULL;
    PGconn *conn;
    tn_scope scope;
    int rc = open_connection(d, &conn);
    int cut;

    if (rc != 0)
        return rc;
    tn_scope_enter_for(&scope, TN_S / 4);
    cut = pqt_exec(conn, "select pg_sleep(60)", &result);
    tn_scope_leave(&scope);
    PQclear(result);
    rc = run(conn, "select 42", PGRES_TUPLES_OK, &result);
    (void)printf("%s, then %s, %.2f s\n", tn_strerror(cut), rc == 0 ? PQgetvalue(result, 0, 0) : "nothing",
                 (double)(tn_now() - began_ns) / 1e9);
    if (rc == 0)
        PQclear(result);
    PQfinish(conn);
    return rc == 0 && cut == TN_ETIMEDOUT ? 0 : PQT_ERROR;
}

static int cut_copy_out(PGconn *conn)
{
    tn_scope scope;
    char *row;
    int rc = run(conn, "copy (select repeat('x', 2000), pg_sleep(0.01) from generate_series(1, 6000)) to stdout", PGRES_COPY_OUT,
                 NULL);

    if (rc != 0)
        return rc;
    tn_scope_enter_for(&scope, TN_S / 4);
    while ((rc = pqt_get_copy(conn, &row)) > 0)
        PQfreemem(row);
    tn_scope_leave(&scope);
    return rc;
}

static int cut_copy_in(PGconn *conn)
{
    tn_scope scope;
    int rc = run(conn, "create temporary table numbers (id bigint)", PGRES_COMMAND_OK, NULL);

    if (rc == 0)
        rc = run(conn, "copy numbers from stdin", PGRES_COPY_IN, NULL);
    if (rc == 0)
        rc = pqt_put_copy(conn, "1\n", 2);
    if (rc != 0)
        return rc;
    tn_scope_enter_for(&scope, TN_S / 4);
    rc = tn_sleep(TN_S * 60); /* the next row is late */
    tn_scope_leave(&scope);
    return rc;
}

/* `cut` is why the COPY has ended. */
static int use_again(PGconn *conn, const char *what, int cut)
{
    int rc = pqt_cancel(conn, TN_S * 5);

    if (rc != 0)
        return fail("cancel", conn, rc);
    rc = run(conn, "select 42", PGRES_TUPLES_OK, NULL);
    (void)printf("%s: %s, then %s\n", what, tn_strerror(cut), tn_strerror(rc));
    return rc == 0 && cut == TN_ETIMEDOUT ? 0 : PQT_ERROR;
}

static int run_cut(demo *d)
{
    PGconn *conn;
    int rc = open_connection(d, &conn);

    if (rc == 0)
        rc = use_again(conn, "out", cut_copy_out(conn));
    if (rc == 0)
        rc = use_again(conn, "in", cut_copy_in(conn));
    PQfinish(conn);
    return rc;
}

static int run_unanswered(demo *d)
{
    PGconn *conn;
    int rc = open_connection(d, &conn);

    if (rc == 0)
        rc = pqt_send(conn, "select pg_sleep(600)");
    if (rc == 0) {
        uint64_t began_ns;
        (void)printf("connected\n");
        (void)fflush(stdout);
        (void)tn_fd_wait(STDIN_FILENO, TN_FD_READABLE);
        began_ns = tn_now();
        rc = pqt_cancel(conn, TN_S);
        (void)printf("%s, %.2f s\n", tn_strerror(rc), (double)(tn_now() - began_ns) / 1e9);
        (void)fflush(stdout);
    }
    PQfinish(conn);
    return rc;
}

/* --- Restart ---------------------------------------------------------------------------------------------------------------- */

static int run_survive(demo *d)
{
    unsigned long queries = 0;
    unsigned connections = 0;
    PGconn *conn = NULL;

    while (connections < 2 || queries < 10) {
        PGresult *result = NULL;
        if (conn == NULL && pqt_connect(&conn, d->conninfo) == 0) {
            queries = 0;
            connections++;
            (void)printf("connected\n");
            (void)fflush(stdout);
        }
        if (conn != NULL && pqt_exec(conn, "select 1", &result) == 0 && PQresultStatus(result) == PGRES_TUPLES_OK) {
            queries++;
        } else {
            PQfinish(conn);
            conn = NULL;
        }
        PQclear(result);
        if (tn_sleep(20 * TN_MS) != 0)
            break;
    }
    PQfinish(conn);
    (void)printf("%u connections\n", connections);
    return 0;
}

static int run_command(demo *d)
{
    static const struct {
        const char *name;
        int (*run)(demo *d);
    } commands[] = {{"sleep", run_sleep},       {"copy", run_copy}, {"notify", run_notify},
                    {"deadline", run_deadline}, {"cut", run_cut},   {"unanswered", run_unanswered},
                    {"survive", run_survive}};

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(d->command, commands[i].name) == 0)
            return commands[i].run(d);
    (void)fprintf(stderr, "pq_demo: unknown command %s\n", d->command);
    return TN_EINVAL;
}

static void *main_task(void *arg)
{
    return (void *)(intptr_t)run_command(arg);
}

int main(int argc, char **argv)
{
    demo d = {NULL, NULL, 100};
    int rc;

    if (argc < 3 || argc > 4) {
        (void)fprintf(stderr, "pq_demo: CONNINFO sleep|copy|notify|deadline|cut|unanswered|survive [COUNT]\n");
        return 2;
    }
    d.conninfo = argv[1];
    d.command = argv[2];
    if (argc == 4)
        d.count = strtoul(argv[3], NULL, 10);
    rc = tn_run(main_task, &d, NULL);
    if (rc != 0)
        (void)fprintf(stderr, "pq_demo: %s\n", tn_strerror(rc));
    return rc == 0 ? 0 : 1;
}
