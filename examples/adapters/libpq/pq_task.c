/* SPDX-License-Identifier: MIT */
/* How the calls of libpq that do not wait become calls that wait in a task. */
#include "pq_task.h"

enum { CANCEL_LIMIT_S = 5 };

/* libpq may open another socket while it connects, so its number is asked for at each wait. */
static int wait_for(PGconn *conn, unsigned events)
{
    int rc = tn_fd_wait(PQsocket(conn), events);

    return rc < 0 ? rc : 0;
}

static int connect_on(PGconn *conn)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING; /* as its documentation says */
    int rc = PQstatus(conn) == CONNECTION_BAD ? PQT_ERROR : 0;

    while (rc == 0 && status != PGRES_POLLING_OK) {
        rc = wait_for(conn, status == PGRES_POLLING_READING ? TN_FD_READABLE : TN_FD_WRITABLE);
        if (rc == 0)
            status = PQconnectPoll(conn);
        if (rc == 0 && status == PGRES_POLLING_FAILED)
            rc = PQT_ERROR;
    }
    return rc;
}

int pqt_connect(PGconn **out, const char *conninfo)
{
    PGconn *conn = PQconnectStart(conninfo);
    int rc;

    *out = conn;
    if (conn == NULL)
        return TN_ENOMEM;
    rc = connect_on(conn);
    return rc == 0 && PQsetnonblocking(conn, 1) != 0 ? PQT_ERROR : rc;
}

/* While libpq cannot send, the server may wait for this side to read. */
int pqt_flush(PGconn *conn)
{
    int left;

    while ((left = PQflush(conn)) == 1) {
        int ready = tn_fd_wait(PQsocket(conn), TN_FD_READABLE | TN_FD_WRITABLE);
        if (ready < 0)
            return ready;
        if ((ready & ~TN_FD_WRITABLE) != 0 && !PQconsumeInput(conn))
            return PQT_ERROR;
    }
    return left == 0 ? 0 : PQT_ERROR;
}

int pqt_send(PGconn *conn, const char *query)
{
    return PQsendQuery(conn, query) ? pqt_flush(conn) : PQT_ERROR;
}

static int read_more(PGconn *conn)
{
    int rc = wait_for(conn, TN_FD_READABLE);

    if (rc == 0 && !PQconsumeInput(conn))
        rc = PQT_ERROR;
    return rc;
}

int pqt_result(PGconn *conn, PGresult **out)
{
    int rc = 0;

    *out = NULL;
    while (rc == 0 && PQisBusy(conn))
        rc = read_more(conn);
    /* After an error of the connection a result says so; it does not wait. */
    if (rc == 0 || rc == PQT_ERROR) {
        *out = PQgetResult(conn);
        rc = *out == NULL ? rc : 0;
    }
    return rc;
}

/* The last result. A query that begins or ends COPY must be read by the calls for COPY. */
static int read_results(PGconn *conn, PGresult **out)
{
    PGresult *last = NULL;
    PGresult *next;
    int rc;

    while ((rc = pqt_result(conn, &next)) == 0 && next != NULL) {
        ExecStatusType status = PQresultStatus(next);
        PQclear(last);
        last = next;
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || PQstatus(conn) == CONNECTION_BAD)
            break;
    }
    if (rc != 0) {
        PQclear(last);
        last = NULL;
    }
    *out = last;
    return rc;
}

int pqt_exec(PGconn *conn, const char *query, PGresult **out)
{
    int rc = pqt_send(conn, query);

    *out = NULL;
    if (rc == 0)
        rc = read_results(conn, out);
    if (rc == TN_ECANCELED || rc == TN_ETIMEDOUT)
        (void)pqt_cancel(conn, (uint64_t)CANCEL_LIMIT_S * TN_S);
    return rc;
}

/* --- COPY ------------------------------------------------------------------------------------------------------------------- */

/* Without the flush libpq would keep all rows in memory. */
int pqt_put_copy(PGconn *conn, const char *data, int size)
{
    return PQputCopyData(conn, data, size) == 1 ? pqt_flush(conn) : PQT_ERROR;
}

int pqt_end_copy(PGconn *conn)
{
    return PQputCopyEnd(conn, NULL) == 1 ? pqt_flush(conn) : PQT_ERROR;
}

int pqt_get_copy(PGconn *conn, char **row)
{
    int rc = 0;
    int size;

    *row = NULL;
    while ((size = PQgetCopyData(conn, row, 1)) == 0 && rc == 0)
        rc = read_more(conn);
    if (size > 0)
        return size;
    return rc != 0 ? rc : size == -1 ? 0 : PQT_ERROR;
}

/* --- LISTEN and cancel ------------------------------------------------------------------------------------------------------ */

int pqt_notification(PGconn *conn, PGnotify **out)
{
    int rc = 0;

    while ((*out = PQnotifies(conn)) == NULL && rc == 0)
        rc = read_more(conn);
    return *out != NULL ? 0 : rc;
}

/* On a thread of the pool: PQcancel opens a connection of its own, and blocks. */
static void *send_cancel(void *arg)
{
    char message[256];

    (void)PQcancel(arg, message, sizeof message);
    PQfreeCancel(arg);
    return NULL;
}

static void drop_cancel(void *arg)
{
    PQfreeCancel(arg);
}

/* The job owns the request, because it may last longer than this call: the server need not respond. */
static int ask_to_cancel(PGconn *conn)
{
    tn_blocking_options options = tn_blocking_options_default();
    PGcancel *request = PQgetCancel(conn);
    tn_job *job;
    int rc;

    if (request == NULL)
        return PQT_ERROR;
    options.drop = drop_cancel;
    rc = tn_spawn_blocking_on(NULL, &options, &job, send_cancel, request);
    if (rc != 0) {
        PQfreeCancel(request);
        return rc;
    }
    rc = tn_job_join(job, NULL);
    if (rc == TN_ETIMEDOUT || rc == TN_EDEADLK)
        tn_job_release(job);
    return rc;
}

static int drop_rows(PGconn *conn)
{
    char *row;
    int rc;

    while ((rc = pqt_get_copy(conn, &row)) > 0)
        PQfreemem(row);
    return rc == PQT_ERROR && PQstatus(conn) == CONNECTION_OK ? 0 : rc; /* an error of the server is the next result */
}

/* While a COPY lasts libpq returns the same result again and again, so it is ended first. */
static int drop_results(PGconn *conn)
{
    PGresult *result;
    int rc;

    while ((rc = pqt_result(conn, &result)) == 0 && result != NULL) {
        ExecStatusType status = PQresultStatus(result);
        PQclear(result);
        if (PQstatus(conn) == CONNECTION_BAD || status == PGRES_COPY_BOTH)
            rc = PQT_ERROR;
        else if (status == PGRES_COPY_IN)
            rc = PQputCopyEnd(conn, "cancelled") == 1 ? pqt_flush(conn) : PQT_ERROR;
        else if (status == PGRES_COPY_OUT)
            rc = drop_rows(conn);
        if (rc != 0)
            break;
    }
    return rc;
}

int pqt_cancel(PGconn *conn, uint64_t limit_ns)
{
    TN_SHIELD(shield, tn_now() + limit_ns);
    int rc = ask_to_cancel(conn);

    if (rc == 0)
        rc = pqt_flush(conn);
    return rc == 0 ? drop_results(conn) : rc;
}
