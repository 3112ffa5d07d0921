/* SPDX-License-Identifier: MIT */
/* The admin server: its thread, its runtime, and what each connection gets. README.md has the protocol of start and stop. */
#include <tn/admin.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <tn/cancel_token.h>
#include <tn/metrics.h>
#include <tn/scope.h>
#include <tn/serve.h>
#include <tn/time.h>

#include "admin/admin_memory.h"
#include "admin/admin_profile.h"
#include "admin/admin_views.h"

#define MEMORY_BYTES ((size_t)32 << 20)
#define CONNECTIONS_DEFAULT 32
/* A client may take so long to send its request, and to take the response. */
#define REQUEST_NS (10 * TN_S)
#define RESPONSE_NS (60 * TN_S)
/* How often it is checked whether workers run, and after how long without any they are ill. */
#define CHECK_NS (250 * TN_MS)
#define ILL_NS (5 * TN_S)

/* Connections beyond the limit, while those that must go for them end. */
#define CONNECTIONS_SPARE 8

/* A connection whose request has not been read. */
typedef struct reader {
    tn_stream *stream;
    TAILQ_ENTRY(reader) link;
} reader;

struct tn_admin {
    tn_runtime *runtime; /* the one that is shown */
    tn_admin_options options;
    char address[TN_ADDRESS_SIZE + 8];
    bool is_unix;
    tni_admin_memory memory;
    tn_runtime *own;
    tn_cancel_token *end;
    tni_admin_stacks *stacks; /* memory for a profile */
    bool profiles;            /* a profile uses it; of the server's own thread */
    pthread_t thread;
    pid_t process;    /* that has the thread */
    struct stat file; /* of a Unix socket */
    /* Of the server's own thread. */
    TAILQ_HEAD(, reader) readers; /* oldest first; those that were cut short are in it no more */
    unsigned sessions;            /* connections */
    uint64_t polls;               /* at the last check */
    uint64_t progress_ns;         /* when a worker slept, or had run a task since the check before */
    /* Under the lock, until the start is over. */
    pthread_mutex_t lock;
    pthread_cond_t started;
    bool is_started;
    int rc;
};

/* --- Listening ----------------------------------------------------------------------------------------------------------- */

/* Removes the file of a Unix socket, unless another server has put its own in its place. */
static void remove_file(const tn_admin *admin)
{
    const char *path = admin->address + strlen("unix:");
    struct stat now;

    if (admin->is_unix && stat(path, &now) == 0 && now.st_dev == admin->file.st_dev && now.st_ino == admin->file.st_ino)
        (void)unlink(path);
}

static int listen_unix(tn_admin *admin, tn_listener **out)
{
    const char *path = admin->address + strlen("unix:");
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    bool known;
    int fd;
    int rc;

    if (path[0] == '\0' || strlen(path) >= sizeof name.sun_path)
        return TN_EINVAL;
    (void)strncpy(name.sun_path, path, sizeof name.sun_path - 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* Before the bind: the file is never there with another mode. */
    if (fchmod(fd, S_IRUSR | S_IWUSR) != 0 || bind(fd, (const struct sockaddr *)&name, sizeof name) != 0) {
        rc = -errno;
    } else {
        known = stat(path, &admin->file) == 0;
        rc = !known || listen(fd, 128) != 0 ? -errno : tn_listener_open(admin->own, out, fd);
        if (rc == 0)
            return 0;
        if (known)
            remove_file(admin);
        else
            (void)unlink(path); /* which file it is cannot be compared; the next start would find it in use */
    }
    (void)close(fd);
    return rc;
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]", 5) == 0;
}

static int listen_tcp(tn_admin *admin, tn_listener **out)
{
    tn_listen_options options = tn_listen_options_default();
    int rc;

    if (!admin->options.allow_remote && !is_loopback(admin->address))
        return TN_EACCES;
    options.runtime = admin->own;
    rc = tn_tcp_listen(out, admin->address, &options);
    if (rc != 0)
        return rc;
    rc = tn_listener_address(*out, admin->address, sizeof admin->address);
    if (rc != 0)
        tn_listener_close(*out);
    return rc;
}

/* --- A connection -------------------------------------------------------------------------------------------------------- */

/* Whether a worker sleeps, or has run a task since the last check. */
__attribute__((noinline)) static void check_workers(tn_admin *admin)
{
    tn_metrics m;

    m.size = sizeof m;
    (void)tn_metrics_snapshot(admin->runtime, TN_METRICS_ALL, &m);
    if (m.parked > 0 || m.counters.polls != admin->polls)
        admin->progress_ns = tn_now();
    admin->polls = m.counters.polls;
}

static void print_health(tn_admin *admin, tn_stream *stream, const tni_admin_request *request)
{
    uint64_t still_ns;
    tni_admin_response r;

    check_workers(admin); /* this thread may have been stopped, or busy with a page, since the last check */
    still_ns = tn_now() - admin->progress_ns;
    tni_admin_http_begin(&r, stream, request, still_ns < ILL_NS ? "200 OK" : "503 Service Unavailable", "text/plain");
    if (still_ns < ILL_NS)
        tni_admin_http_print(&r, "ok\n");
    else
        tni_admin_http_print(&r, "no worker has run a task for %llu ms\n", (unsigned long long)(still_ns / TN_MS));
    tni_admin_http_end(&r);
}

static void respond_error(tn_stream *stream, const tni_admin_request *request, const char *status)
{
    TN_SCOPE(scope, tn_now() + RESPONSE_NS);
    tni_admin_response r;

    tni_admin_http_begin(&r, stream, request, status, "text/plain");
    tni_admin_http_print(&r, "%s\n", status);
    tni_admin_http_end(&r);
}

/* A snapshot of its own for each connection: another one may be written while this one is printed. */
__attribute__((noinline)) static void respond_metrics(const tn_admin *admin, tni_admin_response *r)
{
    tn_metrics space;

    tni_admin_views_metrics(r, admin->runtime, &space);
}

static void print_profile(tn_admin *admin, tn_stream *stream, const tni_admin_request *request, const tni_admin_profile *profile)
{
    TN_SCOPE(scope, tn_now() + RESPONSE_NS);
    tni_admin_response r;

    tni_admin_http_begin(&r, stream, request, "200 OK", profile->is_svg ? "image/svg+xml" : "text/plain; charset=utf-8");
    tni_admin_profile_print(profile, admin->stacks, &r);
    tni_admin_http_end(&r);
}

/* One at a time: the memory is one profile's. */
static void respond_profile(tn_admin *admin, tn_stream *stream, const tni_admin_request *request)
{
    tni_admin_profile profile;

    if (!tni_admin_profile_parse(request, &profile)) {
        respond_error(stream, request, "400 Bad Request");
    } else if (admin->profiles) {
        respond_error(stream, request, "409 Conflict");
    } else {
        admin->profiles = true;
        if (tni_admin_profile_take(&profile, admin->runtime, stream, admin->stacks) == 0)
            print_profile(admin, stream, request, &profile);
        admin->profiles = false;
    }
}

static void respond(tn_admin *admin, tn_stream *stream, const tni_admin_request *request)
{
    TN_SCOPE(scope, tn_now() + RESPONSE_NS);
    tni_admin_response r;

    if (tni_admin_request_is_path(request, "/metrics")) {
        tni_admin_http_begin(&r, stream, request, "200 OK", "application/openmetrics-text; version=1.0.0; charset=utf-8");
        respond_metrics(admin, &r);
        tni_admin_http_end(&r);
    } else if (tni_admin_request_is_path(request, "/tasks")) {
        tni_admin_http_begin(&r, stream, request, "200 OK", "application/json");
        tni_admin_views_tasks(&r, request, admin->runtime);
        tni_admin_http_end(&r);
    } else if (tni_admin_request_is_path(request, "/dump")) {
        tni_admin_http_begin(&r, stream, request, "200 OK", "text/plain; charset=utf-8");
        tni_admin_views_dump(&r, admin->runtime);
        tni_admin_http_end(&r);
    } else if (tni_admin_request_is_path(request, "/profile")) { /* HEAD: none is taken */
        tni_admin_http_begin(&r, stream, request, "200 OK", "text/plain; charset=utf-8");
    } else if (tni_admin_request_is_path(request, "/healthz")) {
        print_health(admin, stream, request);
    } else {
        respond_error(stream, request, "404 Not Found");
    }
}

/* Beyond the limit, cuts the connection short whose request has been waited for longest. So clients that send nothing keep no
 * other one waiting. The caller's connection is the last one; it is not cut for itself, while all others respond. */
static void make_room(tn_admin *admin)
{
    reader *oldest = TAILQ_FIRST(&admin->readers);

    if (admin->sessions <= admin->options.connections_max || oldest == NULL || TAILQ_NEXT(oldest, link) == NULL)
        return;
    TAILQ_REMOVE(&admin->readers, oldest, link);
    oldest->link.tqe_prev = NULL;
    tn_stream_abort(oldest->stream);
}

static int read_request(tn_admin *admin, tn_stream *stream, tni_admin_request *request)
{
    TN_SCOPE(scope, tn_now() + REQUEST_NS);
    reader self = {.stream = stream};
    int rc;

    TAILQ_INSERT_TAIL(&admin->readers, &self, link);
    make_room(admin);
    rc = tni_admin_http_read(stream, request);
    if (self.link.tqe_prev != NULL)
        TAILQ_REMOVE(&admin->readers, &self, link);
    return rc;
}

static void serve_request(tn_admin *admin, tn_stream *stream)
{
    tni_admin_request request;
    int rc = read_request(admin, stream, &request);

    if (rc == TN_EBADMSG)
        respond_error(stream, &request, "400 Bad Request");
    else if (rc == TN_ETIMEDOUT)
        respond_error(stream, &request, "408 Request Timeout");
    else if (rc != 0)
        return;
    else if (!admin->is_unix && !admin->options.allow_remote && !tni_admin_request_is_local(&request))
        respond_error(stream, &request, "403 Forbidden");
    else if (!request.is_get && !request.is_head)
        respond_error(stream, &request, "405 Method Not Allowed");
    else if (request.is_get && tni_admin_request_is_path(&request, "/profile"))
        respond_profile(admin, stream, &request);
    else
        respond(admin, stream, &request);
}

static void serve_one(tn_session *session, tn_stream *stream, void *arg)
{
    tn_admin *admin = arg;

    (void)session;
    admin->sessions++;
    serve_request(admin, stream);
    admin->sessions--;
}

/* --- The thread ---------------------------------------------------------------------------------------------------------- */

/* Checks whether workers run, until it is cancelled. */
static void *watch_workers(void *arg)
{
    do
        check_workers(arg);
    while (tn_sleep(CHECK_NS) == 0);
    return NULL;
}

static void tell_start(tn_admin *admin, int rc)
{
    (void)pthread_mutex_lock(&admin->lock);
    admin->is_started = true;
    admin->rc = rc;
    (void)pthread_cond_signal(&admin->started);
    (void)pthread_mutex_unlock(&admin->lock);
}

static void *run_server(void *arg)
{
    tn_admin *admin = arg;
    tn_serve_options options = tn_serve_options_default();
    tn_listener *listener = NULL;
    tn_task *watcher = NULL;
    int rc = admin->is_unix ? listen_unix(admin, &listener) : listen_tcp(admin, &listener);

    admin->progress_ns = tn_now();
    if (rc == 0) {
        rc = tn_spawn(&watcher, watch_workers, admin);
        if (rc != 0) {
            tn_listener_close(listener);
            remove_file(admin);
        }
    }
    tell_start(admin, rc);
    if (rc != 0)
        return NULL;
    options.end = admin->end;
    options.connections_max = (size_t)admin->options.connections_max + CONNECTIONS_SPARE;
    options.handler_first = true;
    options.finish_ns = 100 * TN_MS;
    (void)tn_serve(&listener, 1, serve_one, admin, &options, NULL);
    tn_cancel(watcher);
    (void)tn_join(watcher, NULL);
    remove_file(admin);
    return NULL;
}

static void *thread_main(void *arg)
{
    tn_admin *admin = arg;
    tn_options options = tn_options_default();
    int rc;

    options.flavor = TN_CURRENT_THREAD;
    options.allocator = &admin->memory.allocator;
    options.name = "admin";
    rc = tn_runtime_create(&admin->own, &options);
    if (rc == 0) {
        rc = tn_block_on(admin->own, run_server, admin, NULL);
        (void)tn_runtime_destroy(admin->own, TN_SHUTDOWN_CANCEL, TN_S);
    }
    if (rc != 0)
        tell_start(admin, rc);
    return NULL;
}

/* Starts the thread with all signals blocked: it runs no code of the program. */
static int start_thread(tn_admin *admin)
{
    sigset_t all;
    sigset_t before;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&admin->thread, NULL, thread_main, admin);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

static int wait_for_start(tn_admin *admin)
{
    int rc;

    (void)pthread_mutex_lock(&admin->lock);
    while (!admin->is_started)
        (void)pthread_cond_wait(&admin->started, &admin->lock);
    rc = admin->rc;
    (void)pthread_mutex_unlock(&admin->lock);
    return rc;
}

/* --- Start and stop ------------------------------------------------------------------------------------------------------ */

static bool read_options(const tn_admin_options *given, tn_admin_options *out)
{
    static const unsigned char none[sizeof out->reserved];

    *out = tn_admin_options_default();
    if (given == NULL)
        return true;
    if (given->size < sizeof given->size || given->size > sizeof *out)
        return false;
    memcpy(out, given, given->size);
    return memcmp(out->reserved, none, sizeof none) == 0;
}

static void free_admin(tn_admin *admin)
{
    (void)pthread_cond_destroy(&admin->started);
    (void)pthread_mutex_destroy(&admin->lock);
    tn_cancel_token_release(admin->end);
    tni_admin_memory_fini(&admin->memory);
    free(admin);
}

static int create(tn_admin **out, tn_runtime *runtime, const char *address, const tn_admin_options *options)
{
    tn_admin *admin = calloc(1, sizeof *admin);

    if (admin == NULL || tni_admin_memory_init(&admin->memory, MEMORY_BYTES) != 0) {
        free(admin);
        return TN_ENOMEM;
    }
    admin->stacks = admin->memory.allocator.alloc(&admin->memory, sizeof *admin->stacks, _Alignof(tni_admin_stacks));
    if (admin->stacks == NULL || tn_cancel_token_create(&admin->end, NULL, &admin->memory.allocator) != 0) {
        tni_admin_memory_fini(&admin->memory);
        free(admin);
        return TN_ENOMEM;
    }
    admin->runtime = runtime;
    admin->process = getpid();
    TAILQ_INIT(&admin->readers);
    admin->options = *options;
    if (admin->options.connections_max == 0)
        admin->options.connections_max = CONNECTIONS_DEFAULT;
    (void)strncpy(admin->address, address, sizeof admin->address - 1);
    admin->is_unix = strncmp(address, "unix:", strlen("unix:")) == 0;
    (void)pthread_mutex_init(&admin->lock, NULL);
    (void)pthread_cond_init(&admin->started, NULL);
    *out = admin;
    return 0;
}

int tn_admin_start(tn_admin **out, tn_runtime *runtime, const char *address, const tn_admin_options *given)
{
    tn_admin_options options;
    tn_admin *admin;
    int rc;

    *out = NULL;
    if (runtime == NULL || strlen(address) >= sizeof admin->address || !read_options(given, &options))
        return TN_EINVAL;
    rc = create(&admin, runtime, address, &options);
    if (rc != 0)
        return rc;
    rc = start_thread(admin);
    if (rc == 0) {
        rc = wait_for_start(admin);
        if (rc != 0)
            (void)pthread_join(admin->thread, NULL);
    }
    if (rc != 0)
        free_admin(admin);
    else
        *out = admin;
    return rc;
}

const char *tn_admin_address(const tn_admin *admin)
{
    return admin->address;
}

void tn_admin_stop(tn_admin *admin)
{
    if (admin == NULL || admin->process != getpid()) /* a child of fork has no such thread */
        return;
    tn_cancel_token_cancel(admin->end);
    (void)pthread_join(admin->thread, NULL);
    free_admin(admin);
}
