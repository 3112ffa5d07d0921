/* SPDX-License-Identifier: MIT */
/* tournant: a server: accepts connections, runs a handler for each, and ends in order. */
#ifndef TN_SERVE_H
#define TN_SERVE_H

#include <string.h>

#include <tn/cancel_token.h>
#include <tn/net.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One connection of a server, as its handler sees it. It exists until the handler returns. */
typedef struct tn_session tn_session;

/* Serves one connection, in a fiber of its own. tn_serve closes the stream when it returns. `arg`: that of tn_serve.
 *
 * By default it is called when the first bytes are there, so a client that sends nothing never gets so far. A handler for a
 * protocol with requests has this shape:
 *
 *     while (tn_session_wait_request(session) == 0 && respond(stream, tn_session_is_ending(session)))
 *         ;
 *
 * Once the server ends all sessions, each cancellation point in it returns TN_ECANCELED. */
typedef void (*tn_session_fn)(tn_session *session, tn_stream *stream, void *arg);

/* Options of a server; begin with tn_serve_options_default(). Times are in nanoseconds; TN_NEVER: no limit. */
typedef struct tn_serve_options {
    size_t size;                 /* of this struct, in bytes; set by tn_serve_options_default() */
    tn_runtime *runtime;         /* in which it runs; NULL: that of the calling task; required on a plain thread */
    tn_cancel_token *drain;      /* once it is cancelled, the server drains; NULL: none */
    tn_cancel_token *end;        /* once it is cancelled, the server ends all sessions; NULL: none */
    size_t connections_max;      /* sessions at once; 0: 10,000. The others wait in the backlog of the kernel */
    size_t stack_size_bytes;     /* of each session's fiber, as in tn_spawn_options; 0: that of the runtime */
    uint64_t first_bytes_ns;     /* a connection that has sent nothing for so long is closed; 0: 10 s */
    uint64_t idle_ns;            /* so long tn_session_wait_request waits for the next request; 0: 60 s */
    uint64_t grace_ns;           /* so long an idle session still gets its next request when the server drains; 0: 1 s */
    uint64_t backlog_ns;         /* so long connections that the kernel is completing are accepted at the drain; 0: 200 ms */
    uint64_t drain_ns;           /* so long sessions may take to finish before they are cancelled; 0: 20 s */
    uint64_t cancel_ns;          /* so long cancelled sessions are waited for; 0: 2 s */
    uint64_t finish_ns;          /* so long the end of the client is waited for before the close; 0: 1 s */
    uint64_t queue_delay_max_ns; /* new connections are refused while tasks wait longer than this to run; 0: never */
    bool handler_first;          /* the handler is called before the first bytes: the server speaks first */
    bool shared_listeners;       /* other processes accept from the same sockets: they are left as they are; see tn_serve */
    unsigned char reserved[6];   /* 0 */
} tn_serve_options;

/* Returns the default options.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result is a value.
 * Errors: none.
 * Cancellation: no. */
static inline tn_serve_options tn_serve_options_default(void)
{
    tn_serve_options options;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    return options;
}

/* What a server has done: accepted = finished + cancelled + left. */
typedef struct tn_serve_result {
    uint64_t accepted;  /* connections that became sessions */
    uint64_t refused;   /* connections that were closed at once: queue_delay_max_ns, or no memory for a session */
    uint64_t finished;  /* sessions that ended by themselves */
    uint64_t cancelled; /* sessions that ended after the server had cancelled them */
    uint64_t left;      /* sessions that have not ended: their handlers have not returned */
} tn_serve_result;

/* Accepts connections from `count` listeners and calls `handler` for each, until it is asked to end. `options`: NULL for the
 * defaults. `result`: NULL: not wanted.
 *
 * It drains when `options.drain` is cancelled, or when the program has closed all listeners. These are the steps:
 *
 * - The kernel completes no new connection, and those it has completed are accepted. Then the listeners are closed.
 * - The token of the sessions is cancelled (tn_session_token), and tn_session_is_ending returns true.
 * - A session that waits in tn_session_wait_request for longer than the grace ends. A busy one finishes.
 * - After `options.drain_ns`, what is left is cancelled, as by `options.end`.
 *
 * The first step holds for the sockets of the listeners, not only for this process, and cannot be undone. A socket that other
 * processes have too completes no connection after it. If they are to accept from it, set `options.shared_listeners`.
 *
 * When `options.end` is cancelled, each cancellation point of each session returns TN_ECANCELED. Connections in the backlog are
 * reset. Sessions are waited for until `options.cancel_ns` is over. The result counts those whose handlers still run. Then `arg`
 * and whatever these use must stay, until tn_runtime_destroy has given up on them.
 *
 * A server with `options.connections_max` sessions accepts no more. The clients wait in the kernel's backlog, without a limit of
 * time. When the backlog is full too, their connects time out.
 *
 * An error of accept does not end the server. It is logged once, and accepting continues after a pause, which grows from 10 ms
 * to 1 s.
 *
 * `options.queue_delay_max_ns`: the server measures every 20 ms how late a task of its own runs. Once that has been longer than
 * this for 100 ms, connections are accepted and closed at once. This ends with the first task in time.
 *
 * Suspends: until the server has ended.
 * Callable from: a fiber, a plain thread.
 * Ownership: consumes a reference to each listener, also after an error. `arg`, `options.drain` and `options.end` are borrowed.
 * Errors: TN_EINVAL: there is no runtime, `count` is 0, or an option is refused (tn/base.h). TN_ENOMEM, TN_ESHUTDOWN.
 * TN_ECANCELED, TN_ETIMEDOUT: the calling task was cancelled, or its deadline has passed; the result is set.
 * Cancellation: yes; all sessions are cancelled without a drain, and waited for as above. */
TN_API int tn_serve(tn_listener *const *listeners, size_t count, tn_session_fn handler, void *arg,
                    const tn_serve_options *options, tn_serve_result *result);

/* Waits for the first bytes of the next request. Returns 0 when a read would not wait, also at the end of the stream. Meanwhile
 * the session is idle. It is busy from its return to the next call. A handler that has bytes of the next request already does not
 * call it.
 *
 * When the server drains, a session that waits, or calls it for the first time since, still gets a request that arrives within
 * `grace_ns`. After that it gets none.
 *
 * Suspends: until bytes are there, or the session is to end; also when the task's budget is used up.
 * Callable from: the handler of the session.
 * Ownership: borrows the session.
 * Errors: TN_ESHUTDOWN: the session is to end. No request came within `idle_ns`, the server drains, or tn_session_is_ending has
 * returned true before. Those of tn_read. TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; nothing was read. */
TN_API int tn_session_wait_request(tn_session *session);

/* Returns whether the server drains. If it does, the session gets no further request, so the response should say that it is the
 * last one. Call it when a response is begun.
 *
 * Suspends: no.
 * Callable from: the handler of the session.
 * Ownership: borrows the session.
 * Errors: none.
 * Cancellation: no. */
TN_API bool tn_session_is_ending(tn_session *session);

/* Returns a token that is cancelled when the server drains, for handlers that wait for other things than requests.
 *
 * Suspends: no.
 * Callable from: the handler of the session.
 * Ownership: the token is borrowed until the handler returns.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_cancel_token *tn_session_token(tn_session *session);

#ifdef __cplusplus
}
#endif

#endif
