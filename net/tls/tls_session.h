/* SPDX-License-Identifier: MIT */
/* Sessions: the lock, the roles of feeding and pumping, and the calls of OpenSSL. README.md ("The session's lock and its two
 * roles") has the protocol. */
#ifndef TNI_TLS_SESSION_H
#define TNI_TLS_SESSION_H

#include <tn/mutex.h>
#include <tn/notify.h>
#include <tn/scope.h>
#include <tn/tls.h>

#include "tls/tls_bytes.h"
#include "tls/tls_context.h"

/* The bits of `busy`. */
enum {
    TNI_TLS_READER = 1,
    TNI_TLS_WRITER = 2,
    TNI_TLS_HANDSHAKE = 4,
    TNI_TLS_FEEDING = 8,
    TNI_TLS_PUMPING = 16,
};

/* With it the server shows no certificate again. So it counts for the context and the name that have verified the first one. */
struct tn_tls_ticket {
    atomic_uint references;
    SSL_SESSION *session;
    tn_tls_context *context;
    char *host; /* NULL: none was given */
};

/* Everything is protected by `lock` unless it says otherwise. */
struct tn_tls {
    tn_mutex lock;
    tn_notify changed; /* a role was given back */
    tn_io below;       /* constant */
    bool keep_below;   /* constant: it is not closed with the session */
    tn_tls_context *context;
    tni_tls_generation *generation;
    SSL *ssl;
    tni_tls_pair pair;
    tni_tls_bytes sending;    /* of the holder of PUMPING */
    size_t block_size;        /* of the next block that is read below */
    tn_cancel_source *feeder; /* of the task that feeds, in its frame; NULL: no task feeds */
    unsigned busy;
    unsigned waiting;    /* tasks that wait for `changed` */
    bool open;           /* the handshake is complete */
    bool in_ended;       /* `below` has ended */
    bool write_ended;    /* close_notify has been made */
    int failed;          /* the session has ended by this error; 0: it has not */
    int write_failed;    /* `below` takes no more bytes, by this error */
    atomic_bool aborted; /* set once, by any thread */
    tn_tls_ticket *ticket;
    tn_tls_error error;
    char *peer; /* constant */
    char *host; /* constant: of a client, the name that the certificate must have, or NULL */
};

static inline void tni_tls_lock(tn_tls *tls)
{
    tn_mutex_lock_always(&tls->lock);
}

static inline void tni_tls_unlock(tn_tls *tls)
{
    tn_mutex_unlock(&tls->lock);
}

/* In all functions below whose name says so the lock is held; those that wait release it meanwhile. */

/* Begins an operation, a bit of READER, WRITER or HANDSHAKE. It is a cancellation point, and spends a unit of the budget. On
 * success the lock is held. */
int tni_tls_session_enter(tn_tls *tls, unsigned operation);

/* Ends an operation, and releases the lock. `n`: its result; an error that has no text yet gets one. Returns `n`. */
ssize_t tni_tls_session_leave_locked(tn_tls *tls, unsigned operation, ssize_t n);

/* Whether encrypted bytes wait to be sent. */
bool tni_tls_session_has_output_locked(const tn_tls *tls);

/* Sends what waits, until `deadline_ns` or the end of a scope. PUMPING is free, and the caller's meanwhile. Returns 0; TN_EAGAIN:
 * the deadline has come; or an error. */
int tni_tls_session_pump_locked(tn_tls *tls, uint64_t deadline_ns);

/* Waits until all output is sent, by pumping if no other task does. Returns 0 or an error. */
int tni_tls_session_drain_locked(tn_tls *tls);

/* Waits until another task gives a role back. */
int tni_tls_session_wait_locked(tn_tls *tls);

/* Gives a role back. */
void tni_tls_session_return_role_locked(tn_tls *tls, unsigned role);

/* Gets bytes for a call of OpenSSL that has returned WANT_READ, or waits for its first ones. `slice_ns`: 0 at first, kept
 * between the calls of one operation. Returns 0: call again. */
int tni_tls_session_need_input_locked(tn_tls *tls, uint64_t *slice_ns);

/* What a call of OpenSSL has returned. */
typedef enum {
    TNI_TLS_DONE,
    TNI_TLS_WANTS_INPUT,
    TNI_TLS_ENDED, /* the peer has sent close_notify */
    TNI_TLS_FAILED,
} tni_tls_result;

/* Around each call that may fail. `rc` is what it has returned. */
void tni_tls_call_begin(void);
tni_tls_result tni_tls_call_result(tn_tls *tls, int rc);

/* After FAILED: ends the session with the reason in OpenSSL's queue, which must be that of the last call, and sends its alert.
 * Returns the error. */
int tni_tls_session_fail_locked(tn_tls *tls, const char *what);

/* Remembers why a call fails with `code`, and returns it. */
int tni_tls_session_say_locked(tn_tls *tls, int code, const char *what);

/* Frees everything but `below`. The lock is not held. */
void tni_tls_session_free(tn_tls *tls);

/* The callback for tickets: a session of a client. */
int tni_tls_session_keep_ticket(SSL *ssl, SSL_SESSION *session);

#endif
