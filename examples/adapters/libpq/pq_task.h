/* SPDX-License-Identifier: MIT */
/* pq_task: calls of libpq that wait in a task instead of in its thread. Copy this file and pq_task.c into your program.
 *
 * libpq has calls that do not wait, for programs with an event loop. Each function here makes them, and calls tn_fd_wait
 * where libpq would wait. A connection is used by one task at a time. All calls return 0, or a negative error:
 *
 *     PQT_ERROR      libpq or the server says so: PQerrorMessage(conn)
 *     TN_ECANCELED   the task or its cancel scope was cancelled, or tn_fd_forget was called
 *     TN_ETIMEDOUT   the deadline of the cancel scope has passed
 *
 * A call that is cut short leaves its query running in the server. pqt_exec then sends a cancel request and drops what is
 * left of the query, so that the connection can be used again. After the other calls, call pqt_cancel or PQfinish. */
#ifndef PQ_TASK_H
#define PQ_TASK_H

#include <libpq-fe.h>
#include <tn.h>

#define PQT_ERROR (-EIO)

/* Connects. `*out` is NULL only if memory is short; it is the caller's after an error too, for its message, and PQfinish
 * ends it. A host name would be looked up by a call that blocks: pass `hostaddr`, or the address that tn_resolve returns. */
int pqt_connect(PGconn **out, const char *conninfo);

/* Runs a query, or several in one string, and waits for all results. `*out` is the last one, the caller's, whatever it says:
 * check PQresultStatus. */
int pqt_exec(PGconn *conn, const char *query, PGresult **out);

/* Sends a query, without waiting for its results. */
int pqt_send(PGconn *conn, const char *query);

/* Waits for the next result. NULL: there is none left, and the connection is ready for the next query. */
int pqt_result(PGconn *conn, PGresult **out);

/* Sends what libpq has buffered. */
int pqt_flush(PGconn *conn);

/* COPY: the query has returned PGRES_COPY_IN, or PGRES_COPY_OUT. Afterwards call pqt_result until there is none left. */
int pqt_put_copy(PGconn *conn, const char *data, int size);
int pqt_end_copy(PGconn *conn);
/* the caller frees `*row` by PQfreemem; NULL: that was the last one. Returns its size. */
int pqt_get_copy(PGconn *conn, char **row);

/* Waits for the next notification of LISTEN. the caller frees `*out` by PQfreemem. */
int pqt_notification(PGconn *conn, PGnotify **out);

/* Asks the server to end the current query or COPY, and drops what is left of it. It is for a task that has been cancelled, and
 * therefore waits also then, for at most `limit_ns`. After an error only PQfinish is allowed: the request may still be on its
 * way, and would cancel the next query. Only for tasks. */
int pqt_cancel(PGconn *conn, uint64_t limit_ns);

#endif
