/* SPDX-License-Identifier: MIT */
/* The state of a server: its acceptors, its sessions, and the phase in which they are. README.md ("Servers") has the protocol. */
#ifndef TNI_SERVE_H
#define TNI_SERVE_H

#include <tn/serve.h>
#include <tn/task_tracker.h>
#include <tn/work.h>

#include "base/list.h"
#include "base/thread.h"
#include "listener/listener.h"
#include "task/task_hooks.h"

typedef enum { TNI_SERVE_SERVING, TNI_SERVE_DRAINING, TNI_SERVE_ENDING } tni_serve_phase;

typedef struct tni_server tni_server;

/* A task of the server that is no session: it accepts from one listener, or it is the probe. */
typedef struct {
    tni_task_hook hook; /* its end */
    tni_server *server;
    tn_listener *listener; /* the acceptor's; NULL: the probe, or it has been closed */
    tn_task *task;         /* lock: from its start to its end */
} tni_serve_part;

struct tni_server {
    tn_runtime *runtime;
    tn_allocator allocator;    /* a copy: the server may outlive the runtime by its last reference */
    tn_serve_options options;  /* constant: with the defaults in place of 0 */
    tn_session_fn handler;     /* constant */
    void *arg;                 /* constant */
    tn_cancel_token *token;    /* of the sessions: cancelled when the server drains or ends */
    tn_cancel_source sessions; /* cancels the scopes in which the handlers run */
    tn_task_tracker live;      /* parts and sessions; closed by the last part that ends */
    tn_wait_group acceptors;   /* the acceptors that have not ended */
    tni_a32 references;
    tni_a32 phase;    /* tni_serve_phase; written under the lock */
    tni_a32 shedding; /* 1: connections are refused; written by the probe */

    tni_os_mutex lock;      /* protects the members below */
    tni_list started;       /* sessions that have begun and have not ended */
    size_t sessions_count;  /* sessions for which a connection was or is being accepted */
    tn_serve_result counts; /* `left` is not used */
    size_t parts_left;      /* parts that have not ended */
    size_t parts_count;     /* constant */
    bool unrun;             /* a part has ended without having run: there was no stack for it */
    tni_serve_part parts[]; /* the acceptors, then the probe if there is one */
};

struct tn_session {
    tni_task_hook hook; /* its end, also if its fiber never got a stack */
    tni_server *server;
    tn_stream *stream;  /* NULL: it has been closed */
    tn_task *task;      /* lock of the server: from its start to its end */
    tni_list_node node; /* of `started` */
    tn_work *work;      /* the present request, if works are measured */
    uint64_t grace_ns;  /* until then it still gets a request; 0: it has not waited since the drain began */
    bool has_bytes;     /* the first bytes were waited for and not used */
    bool waited;        /* the first bytes have arrived */
    bool told;          /* tn_session_is_ending has returned true */
    bool returned;      /* the handler has returned */
};

/* Returns the phase. */
static inline tni_serve_phase tni_serve_phase_of(const tni_server *server)
{
    /* Acquire: observes what the program did before it cancelled the token; partner: enter_phase. */
    return (tni_serve_phase)tni_a32_load(&server->phase, TNI_ACQUIRE);
}

/* Gives up a reference; the last one frees the server. */
void tni_serve_release(tni_server *server);

/* The acceptor of a listener, and the end of it. */
void *tni_accept_loop_main(void *part);
void tni_accept_loop_over(void *part);

/* The probe, which measures how long tasks wait, and the end of it. */
void *tni_probe_main(void *part);
void tni_probe_over(void *part);

/* Records the start of a part, and its end. */
void tni_serve_part_begins(tni_serve_part *part);
void tni_serve_part_ends(tni_serve_part *part);

/* Takes a slot for a session. False: there is none. */
bool tni_serve_take_slot(tni_server *server);
bool tni_serve_is_full(tni_server *server);
/* Gives the slot back, and wakes the acceptors if none was free. */
void tni_serve_give_slot(tni_server *server);

/* Count a session that begins, one whose task could not be started after all, and a connection that was refused. */
void tni_serve_session_begins(tni_server *server);
void tni_serve_session_failed(tni_server *server);
void tni_serve_refused(tni_server *server);

/* Starts the session of a connection, which has a slot. Returns 0, or an error: then the stream is closed, and the slot is given
 * back. */
int tni_session_start(tni_server *server, tn_stream *stream);

#endif
