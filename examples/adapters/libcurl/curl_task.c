/* SPDX-License-Identifier: MIT */
/* The loop that libcurl's multi-socket interface expects, in a task: sockets in a set of futures, the timer as a deadline. */
#include "curl_task.h"

#include <stdlib.h>

/* A socket that libcurl waits for. */
typedef struct watched {
    tn_fd_future wait;
    tn_future_set_member *member; /* NULL: not in the set */
    curl_socket_t fd;
    int what; /* CURL_POLL_* */
} watched;

struct curlt_session {
    CURLM *multi;
    tn_future_set *set;
    uint64_t timer_ns; /* when libcurl wants to be called; TN_NEVER: never */
    watched *active;   /* whose readiness is being reported; NULL: libcurl has stopped watching it meanwhile */
    int error;         /* of a callback */
};

static void watch(curlt_session *session, watched *socket)
{
    unsigned events = (socket->what & CURL_POLL_IN ? TN_FD_READABLE : 0) | (socket->what & CURL_POLL_OUT ? TN_FD_WRITABLE : 0);

    tn_fd_init(&socket->wait, NULL, socket->fd, events);
    if (tn_future_set_add(session->set, &socket->wait.base, socket, &socket->member) != 0) {
        socket->member = NULL;
        session->error = TN_ENOMEM;
    }
}

/* libcurl says this before it closes a socket, so no wait is left when its number becomes another file's. */
static void unwatch(curlt_session *session, watched *socket)
{
    if (socket->member != NULL)
        tn_future_set_remove(session->set, socket->member);
    socket->member = NULL;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    curlt_session *session = arg;
    watched *socket = socket_arg;

    (void)easy;
    if (socket != NULL)
        unwatch(session, socket);
    if (what == CURL_POLL_REMOVE) {
        if (session->active == socket)
            session->active = NULL;
        free(socket);
        return 0;
    }
    if (socket == NULL) {
        socket = calloc(1, sizeof *socket);
        if (socket == NULL)
            return -1;
        socket->fd = fd;
        (void)curl_multi_assign(session->multi, fd, socket);
    }
    socket->what = what;
    if (session->active != socket) /* else it is watched again when libcurl has returned */
        watch(session, socket);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    curlt_session *session = arg;

    (void)multi;
    session->timer_ns = timeout_ms < 0 ? TN_NEVER : tn_now() + (uint64_t)timeout_ms * TN_MS;
    return 0;
}

int curlt_open(curlt_session **out, long connections_max)
{
    curlt_session *session = calloc(1, sizeof *session);

    if (session == NULL)
        return TN_ENOMEM;
    session->timer_ns = TN_NEVER;
    session->multi = curl_multi_init();
    if (session->multi == NULL || tn_future_set_create(&session->set, NULL) != 0) {
        (void)curl_multi_cleanup(session->multi);
        free(session);
        return TN_ENOMEM;
    }
    (void)curl_multi_setopt(session->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(session->multi, CURLMOPT_SOCKETDATA, session);
    (void)curl_multi_setopt(session->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    (void)curl_multi_setopt(session->multi, CURLMOPT_TIMERDATA, session);
    (void)curl_multi_setopt(session->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections_max);
    *out = session;
    return 0;
}

void curlt_close(curlt_session *session)
{
    (void)curl_multi_cleanup(session->multi); /* calls on_socket for what it still watches */
    tn_future_set_destroy(session->set);
    free(session);
}

CURLMcode curlt_add(curlt_session *session, CURL *easy)
{
    return curl_multi_add_handle(session->multi, easy);
}

void curlt_remove(curlt_session *session, CURL *easy)
{
    (void)curl_multi_remove_handle(session->multi, easy);
}

/* Waits for a socket, at most until the timer. Returns 1: `*ready` is set; 0: the timer. */
static int wait_for_socket(const curlt_session *session, tn_ready *ready)
{
    tn_scope timer;
    int rc;

    tn_scope_enter(&timer, session->timer_ns);
    if (tn_future_set_count(session->set) > 0)
        rc = tn_future_set_next(session->set, ready);
    else
        rc = tn_sleep(TN_S); /* nothing but the timer */
    tn_scope_leave(&timer);
    if (rc == TN_ETIMEDOUT)
        rc = tn_checkpoint(); /* the deadline of a scope around this one, or else the timer */
    return rc;
}

static int report_socket(curlt_session *session, const tn_ready *ready)
{
    watched *socket = ready->tag;
    CURLMcode done;
    int running;
    int mask = 0;

    socket->member = NULL; /* NOLINT(clang-analyzer-core.NullDereference): each member has its socket as its tag */
    if (ready->result < 0 || (ready->result & (TN_FD_ERROR | TN_FD_HANGUP)) != 0)
        mask |= CURL_CSELECT_ERR;
    if (ready->result > 0)
        mask |= (ready->result & TN_FD_READABLE ? CURL_CSELECT_IN : 0) | (ready->result & TN_FD_WRITABLE ? CURL_CSELECT_OUT : 0);
    session->active = socket;
    done = curl_multi_socket_action(session->multi, socket->fd, mask, &running);
    if (session->active != NULL && ready->result < 0)
        session->error = ready->result; /* to watch it again would fail again, at once */
    else if (session->active != NULL)
        watch(session, socket);
    session->active = NULL;
    return done == CURLM_OK ? session->error : -EIO;
}

static int report_timer(curlt_session *session)
{
    int running;

    if (tn_now() < session->timer_ns)
        return 0;
    session->timer_ns = TN_NEVER; /* libcurl sets the next one */
    return curl_multi_socket_action(session->multi, CURL_SOCKET_TIMEOUT, 0, &running) == CURLM_OK ? session->error : -EIO;
}

static CURL *take_ended(const curlt_session *session, CURLcode *result)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(session->multi, &left)) != NULL)
        if (message->msg == CURLMSG_DONE) {
            CURL *easy = message->easy_handle;
            *result = message->data.result;
            (void)curl_multi_remove_handle(session->multi, easy);
            return easy;
        }
    return NULL;
}

int curlt_next(curlt_session *session, CURL **easy, CURLcode *result)
{
    int rc = 0;

    while ((*easy = take_ended(session, result)) == NULL && rc == 0) {
        tn_ready ready = {0};
        if (tn_future_set_count(session->set) == 0 && session->timer_ns == TN_NEVER)
            return 0; /* no transfer */
        rc = wait_for_socket(session, &ready);
        if (rc == 1)
            rc = report_socket(session, &ready);
        if (rc == 0)
            rc = report_timer(session);
    }
    return *easy != NULL ? 0 : rc;
}

int curlt_perform(curlt_session *session, CURL *easy, CURLcode *result)
{
    CURL *ended = NULL;
    int rc;

    if (curlt_add(session, easy) != CURLM_OK)
        return -EIO;
    rc = curlt_next(session, &ended, result);
    if (ended == NULL)
        curlt_remove(session, easy);
    return rc == 0 && ended == NULL ? -EIO : rc;
}
