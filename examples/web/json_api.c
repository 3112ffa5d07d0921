/* SPDX-License-Identifier: MIT */
/* json_api: rows of a PostgreSQL table as JSON, over HTTP/1.1.
 *
 * It shows a pool of connections (tn/resource_pool.h) with libpq waiting in tasks (../adapters/libpq), and deadlines that reach
 * the database: each request has one, and a query that it ends is cancelled in the server. If the database is away, requests
 * fail with 503 at once or at their deadline, and succeed again when it is back. A rate limiter refuses a flood with 429.
 *
 *     GET /items/ID           a row: {"id":1,"name":"…"}; 404
 *     POST /items             the body is the name of a new row; its row
 *     GET /sleep/SECONDS      a slow query; 504 if it takes longer than the deadline
 *
 * Run:   json_api 'host=localhost hostaddr=127.0.0.1 dbname=postgres sslmode=verify-full sslrootcert=ca.crt' --port 8080
 *        (`--deadline-ms N`, `--connections N`, `--per-second N`)
 * See:   json_api: listening on http://127.0.0.1:8080/ */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tn.h>

#include "../adapters/libpq/pq_task.h"
#include "server.h"
#include "web.h"

enum { QUERY_SIZE = 1024, NAME_MAX_SIZE = 200, CONNECT_S = 2 };

typedef struct app {
    const char *conninfo;
    tn_resource_pool *pool;
    tn_rate_limiter rate;
    uint64_t deadline_ns;
    unsigned connections;
    unsigned per_second;
} app;

/* --- Connections of the database ------------------------------------------------------------------------------------------- */

static int database_open(void *arg, void **out)
{
    app *self = arg;
    PGresult *result = NULL;
    PGconn *conn;
    int rc;

    TN_SCOPE(scope, tn_now() + CONNECT_S * TN_S);
    rc = pqt_connect(&conn, self->conninfo);
    if (rc == 0)
        rc = pqt_exec(conn, "create table if not exists items (id serial primary key, name text not null)", &result);
    PQclear(result);
    if (rc == 0) {
        *out = conn;
        return 0;
    }
    if (rc == PQT_ERROR && conn != NULL)
        fprintf(stderr, "json_api: %s", PQerrorMessage(conn));
    PQfinish(conn);
    return rc;
}

static void database_close(void *arg, void *resource)
{
    (void)arg;
    PQfinish(resource);
}

/* The server may have ended the connection while it was idle. */
static int database_check(void *arg, void *resource)
{
    PGresult *result;
    int rc;

    (void)arg;
    rc = pqt_exec(resource, "", &result);
    PQclear(result);
    return rc;
}

/* Runs a query that returns one text, or none. Returns 0, or an error. */
static int query_text(app *self, const char *query, char *out, size_t size)
{
    PGresult *result = NULL;
    void *conn;
    int rc = tn_resource_pool_acquire(self->pool, &conn);

    if (rc != 0)
        return rc;
    rc = pqt_exec(conn, query, &result);
    out[0] = '\0';
    if (rc == 0 && PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
        rc = PQT_ERROR;
    if (rc == 0 && PQntuples(result) == 1)
        (void)snprintf(out, size, "%s\n", PQgetvalue(result, 0, 0));
    PQclear(result);
    /* After a deadline pqt_exec has cancelled the query; only if that has failed the connection is broken. */
    tn_resource_pool_release(self->pool, conn, PQstatus(conn) == CONNECTION_OK && PQtransactionStatus(conn) == PQTRANS_IDLE);
    return rc;
}

/* --- Requests -------------------------------------------------------------------------------------------------------------- */

static int respond_error(web_conn *conn, const web_request *request, int error)
{
    if (error == TN_ETIMEDOUT)
        return web_respond(conn, request, "504 Gateway Timeout", "", NULL, 0);
    return web_respond(conn, request, "503 Service Unavailable", "Retry-After: 1\r\n", NULL, 0);
}

/* Writes `size` bytes as a literal of SQL: quotes and backslashes are doubled. */
static void append_literal(char *query, const char *text, size_t size)
{
    char *to = query + strlen(query);

    memcpy(to, " E'", 3);
    to += 3;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\'' || text[i] == '\\')
            *to++ = text[i];
        if (text[i] != '\0')
            *to++ = text[i];
    }
    *to++ = '\'';
    *to = '\0';
}

/* Whether the target is `prefix` and a number. */
static bool number_after(const char *target, const char *prefix, uint64_t *number)
{
    size_t size = strlen(prefix);

    if (strncmp(target, prefix, size) != 0)
        return false;
    target += size;
    return web_number(&target, number) && *target == '\0';
}

/* Makes the query of a request; false: there is no such target. */
static bool make_query(const web_request *request, char *query)
{
    uint64_t number;

    if (request->method == HTTP_GET && number_after(request->target, "/items/", &number)) {
        (void)snprintf(query, QUERY_SIZE, "select row_to_json(items) from items where id = %" PRIu64, number);
        return true;
    }
    if (request->method == HTTP_GET && number_after(request->target, "/sleep/", &number)) {
        (void)snprintf(query, QUERY_SIZE, "select json_build_object('slept', %" PRIu64 ") from pg_sleep(%" PRIu64 ")", number,
                       number);
        return true;
    }
    if (request->method == HTTP_POST && strcmp(request->target, "/items") == 0 && request->body_size > 0 &&
        request->body_size <= NAME_MAX_SIZE) {
        (void)snprintf(query, QUERY_SIZE, "insert into items (name) values (");
        append_literal(query, request->body, request->body_size);
        (void)strncat(query, ") returning row_to_json(items)", QUERY_SIZE - strlen(query) - 1);
        return true;
    }
    return false;
}

static int respond(app *self, web_conn *conn, const web_request *request)
{
    char query[QUERY_SIZE];
    char text[QUERY_SIZE];
    int rc;

    if (!make_query(request, query))
        return web_respond(conn, request, "404 Not Found", "", NULL, 0);
    if (tn_rate_limiter_try_acquire(&self->rate, 1) != 0)
        return web_respond(conn, request, "429 Too Many Requests", "Retry-After: 1\r\n", NULL, 0);
    {
        TN_SCOPE(scope, tn_now() + self->deadline_ns);
        rc = query_text(self, query, text, sizeof text);
    }
    if (rc != 0)
        return respond_error(conn, request, rc);
    if (text[0] == '\0')
        return web_respond(conn, request, "404 Not Found", "", NULL, 0);
    return web_respond(conn, request, "200 OK", "Content-Type: application/json\r\n", text, strlen(text));
}

static bool serve_one(app *self, tn_session *session, web_conn *conn)
{
    web_request request;
    int rc = web_read(conn, &request);

    if (rc == 1) {
        request.keep_alive = request.keep_alive && !request.too_long && !tn_session_is_ending(session);
        rc = respond(self, conn, &request) == 0 && request.keep_alive ? 1 : 0;
    } else if (rc == TN_EBADMSG && HTTP_PARSER_ERRNO(&conn->parser) != HPE_OK) {
        (void)web_respond(conn, &request, "400 Bad Request", "", NULL, 0);
    }
    web_request_fini(&request);
    return rc == 1;
}

static void handle(tn_session *session, tn_stream *stream, void *arg)
{
    web_conn conn;

    web_init(&conn, tn_stream_io(stream));
    while ((web_has_input(&conn) || tn_session_wait_request(session) == 0) && serve_one(arg, session, &conn))
        ;
}

/* --- The server ------------------------------------------------------------------------------------------------------------ */

/* Beside the server: closes connections that are not needed any more. */
static void *trim(void *arg)
{
    app *self = arg;

    while (tn_sleep(10 * TN_S) == 0)
        (void)tn_resource_pool_trim(self->pool);
    return NULL;
}

/* Takes this program's options out of the command line. */
static int take_options(app *self, int argc, char **argv)
{
    int kept = 1;

    for (int i = 1; i < argc; i++) {
        unsigned long value = i + 1 < argc ? strtoul(argv[i + 1], NULL, 10) : 0;
        bool taken = value > 0 && value <= 1000000000;
        if (taken && strcmp(argv[i], "--deadline-ms") == 0)
            self->deadline_ns = value * TN_MS;
        else if (taken && strcmp(argv[i], "--connections") == 0)
            self->connections = (unsigned)value;
        else if (taken && strcmp(argv[i], "--per-second") == 0)
            self->per_second = (unsigned)value;
        else
            taken = false;
        if (taken)
            i++;
        else if (strchr(argv[i], '=') != NULL && strncmp(argv[i], "--", 2) != 0)
            self->conninfo = argv[i];
        else
            argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    return kept;
}

int main(int argc, char **argv)
{
    static app self = {.conninfo = "", .deadline_ns = TN_S, .connections = 8, .per_second = 1000000};
    server_options options = {
        .name = "json_api",
        .summary = "rows of a PostgreSQL table as JSON, over HTTP",
        .port = 8080,
        .beside = trim,
        .beside_arg = &self,
    };
    tn_resource_pool_options pool = tn_resource_pool_options_default();
    int status;

    argc = take_options(&self, argc, argv);
    pool.size_max = self.connections;
    pool.idle_ns = 60 * TN_S;
    pool.check_ns = TN_S;
    pool.open = database_open;
    pool.close = database_close;
    pool.check = database_check;
    pool.arg = &self;
    if (tn_resource_pool_create(&self.pool, &pool) != 0)
        return 1;
    tn_rate_limiter_init(&self.rate, self.per_second, TN_S, self.per_second);
    status = server_main(&options, argc, argv, "http://", handle, &self);
    if (status == 0)
        tn_resource_pool_destroy(self.pool); /* otherwise a handler was left, and may still use it */
    return status;
}
