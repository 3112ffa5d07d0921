/* SPDX-License-Identifier: MIT */
/* Sessions: the roles of feeding and pumping. */
#include "tls/tls_session.h"

#include <openssl/err.h>

#include <tn/task.h>

#include "tls/tls_error.h"

#define SLICE_FIRST TN_MS
#define SLICE_LARGEST (64 * TN_MS)
#define ALERT_LIMIT TN_S

/* --- Calls of OpenSSL ------------------------------------------------------------------------------------------------------ */

void tni_tls_call_begin(void)
{
    tni_tls_error_begin();
}

tni_tls_result tni_tls_call_result(tn_tls *tls, int rc)
{
    if (rc == 1)
        return TNI_TLS_DONE;
    switch (SSL_get_error(tls->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return TNI_TLS_WANTS_INPUT;
    case SSL_ERROR_ZERO_RETURN:
        return TNI_TLS_ENDED;
    default:
        return TNI_TLS_FAILED;
    }
}

int tni_tls_session_say_locked(tn_tls *tls, int code, const char *what)
{
    return tni_tls_error_say(&tls->error, code, tls->peer, what);
}

int tni_tls_session_fail_locked(tn_tls *tls, const char *what)
{
    long verify = SSL_get_verify_result(tls->ssl);
    bool is_certificate = ERR_GET_REASON(ERR_peek_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED;
    int code = tni_tls_error_take(&tls->error, TN_EPROTO, tls->peer, what);

    if (is_certificate && verify != X509_V_OK) {
        (void)tni_tls_error_say(&tls->error, code, tls->peer, X509_verify_cert_error_string(verify));
        tls->error.verify_result = verify;
    }
    tls->failed = code;
    if (!(tls->busy & TNI_TLS_PUMPING))
        (void)tni_tls_session_pump_locked(tls, tn_now() + ALERT_LIMIT);
    return code;
}

/* --- Roles ----------------------------------------------------------------------------------------------------------------- */

/* Begins an operation. Returns 0 or an error. */
static int begin_locked(tn_tls *tls, unsigned operation)
{
    /* Acquire: what the task did that aborted the session is observed; partner: io_abort. */
    if (atomic_load_explicit(&tls->aborted, memory_order_acquire))
        return TN_EBADF;
    if (tls->busy & operation)
        return TN_EBUSY;
    if (operation != TNI_TLS_HANDSHAKE && !tls->open)
        return tls->failed != 0 ? tls->failed : TN_ENOTCONN;
    tls->busy |= operation;
    return 0;
}

int tni_tls_session_enter(tn_tls *tls, unsigned operation)
{
    int rc = tn_mutex_lock(&tls->lock);

    if (rc == 0)
        rc = begin_locked(tls, operation);
    else
        tni_tls_lock(tls);
    if (rc != 0)
        (void)tni_tls_session_leave_locked(tls, 0, rc);
    return rc;
}

ssize_t tni_tls_session_leave_locked(tn_tls *tls, unsigned operation, ssize_t n)
{
    tls->busy &= ~operation;
    if (n < 0 && tls->error.code != n)
        (void)tni_tls_session_say_locked(tls, (int)n, tn_strerror((int)n));
    tni_tls_unlock(tls);
    return n;
}

void tni_tls_session_return_role_locked(tn_tls *tls, unsigned role)
{
    tls->busy &= ~role;
    if (tls->waiting > 0)
        tn_notify_all(&tls->changed);
}

int tni_tls_session_wait_locked(tn_tls *tls)
{
    tn_notify_future future;
    int rc;

    tn_notify_wait_init(&future, &tls->changed); /* from here on a notification reaches it */
    tls->waiting++;
    tni_tls_unlock(tls);
    rc = tn_await(&future.base);
    tni_tls_lock(tls);
    tls->waiting--;
    return rc;
}

/* Inside all scopes of a call of `below` that has returned `rc`: whether a scope has ended it. Otherwise an error of the same
 * number is the stream's own, such as a connection whose peer acknowledges nothing any more. */
static bool ended_by_scope(ssize_t rc)
{
    return (rc == TN_ECANCELED || rc == TN_ETIMEDOUT) && tn_checkpoint() != 0;
}

/* --- Pumping --------------------------------------------------------------------------------------------------------------- */

bool tni_tls_session_has_output_locked(const tn_tls *tls)
{
    return tni_tls_bytes_count(&tls->pair.out) > 0 || tni_tls_bytes_count(&tls->sending) > 0;
}

/* Without the lock: one write. Returns a count; 0: our scope has ended it; or an error. `*ended`: a scope has ended it. */
static ssize_t send_some(tn_tls *tls, uint64_t deadline_ns, bool *ended)
{
    const char *bytes = tls->sending.memory + tls->sending.begin;
    size_t count = tni_tls_bytes_count(&tls->sending);
    tn_scope scope;
    ssize_t n;

    if (deadline_ns == TN_NEVER) {
        n = tn_io_write(tls->below, bytes, count);
        *ended = ended_by_scope(n);
        return n;
    }
    tn_scope_enter(&scope, deadline_ns);
    n = tn_io_write(tls->below, bytes, count);
    *ended = ended_by_scope(n);
    tn_scope_leave(&scope);
    return *ended ? tn_checkpoint() : n;
}

int tni_tls_session_pump_locked(tn_tls *tls, uint64_t deadline_ns)
{
    bool ended = false;
    ssize_t n = 1;

    tls->busy |= TNI_TLS_PUMPING;
    while (n > 0 && tni_tls_session_has_output_locked(tls)) {
        if (tni_tls_bytes_count(&tls->sending) == 0) {
            tls->sending = tls->pair.out;
            tls->pair.out = (tni_tls_bytes){0};
        }
        tni_tls_unlock(tls);
        n = send_some(tls, deadline_ns, &ended);
        tni_tls_lock(tls);
        if (n > 0)
            tni_tls_bytes_consume(&tls->sending, (size_t)n);
    }
    if (n < 0 && !ended) {
        tls->write_failed = (int)n;
        tni_tls_bytes_free(&tls->sending);
        tni_tls_bytes_free(&tls->pair.out);
    }
    if (tni_tls_session_has_output_locked(tls) && tls->feeder != NULL)
        tn_cancel_source_cancel(tls->feeder); /* a reader that waits without a limit now has to take turns */
    tni_tls_session_return_role_locked(tls, TNI_TLS_PUMPING);
    return n > 0 ? 0 : n == 0 ? TN_EAGAIN : (int)n;
}

int tni_tls_session_drain_locked(tn_tls *tls)
{
    int rc = 0;

    while (rc == 0) {
        if (tls->write_failed != 0)
            return tls->write_failed;
        if (tls->busy & TNI_TLS_PUMPING)
            rc = tni_tls_session_wait_locked(tls);
        else if (tni_tls_session_has_output_locked(tls))
            rc = tni_tls_session_pump_locked(tls, TN_NEVER);
        else
            break;
    }
    return rc;
}

/* --- Feeding --------------------------------------------------------------------------------------------------------------- */

/* Without the lock: one block, behind the bytes that are in it. Returns a count; 0: the end; or an error. */
static ssize_t receive_some(const tn_tls *tls, tni_tls_bytes *block)
{
    ssize_t n = tn_io_wait(tls->below, TN_READABLE); /* so that an idle session has no block */

    if (n < 0)
        return n;
    if (!tni_tls_bytes_reserve(block, block->end == 0 ? tls->block_size : 1))
        return TN_ENOMEM;
    n = tn_io_read(tls->below, block->memory + block->end, block->capacity - block->end);
    if (n > 0)
        block->end += (size_t)n;
    return n;
}

/* FEEDING is free, and OpenSSL does not take what is in `in`. Returns 0: there may be something new, or the slice is over; or an
 * error. */
static int feed_locked(tn_tls *tls, uint64_t deadline_ns)
{
    tni_tls_bytes block = tls->pair.in;
    tn_cancel_source source;
    tn_scope scope;
    bool ended;
    ssize_t n;
    int rc;

    tls->pair.in = (tni_tls_bytes){0};
    tn_cancel_source_init(&source);
    tls->feeder = &source;
    tls->busy |= TNI_TLS_FEEDING;
    tni_tls_unlock(tls);
    tn_scope_enter_with(&scope, deadline_ns, &source);
    n = receive_some(tls, &block);
    ended = ended_by_scope(n);
    tn_scope_leave(&scope);
    rc = ended ? tn_checkpoint() : n < 0 ? (int)n : 0;
    tni_tls_lock(tls);
    tls->feeder = NULL;
    tn_cancel_source_fini(&source);
    if (n == (ssize_t)tls->block_size && tls->block_size < TNI_TLS_BYTES_LARGE)
        tls->block_size *= 2; /* there may be more */
    if (n == 0)
        tls->in_ended = true;
    if (tni_tls_bytes_count(&block) > 0)
        tls->pair.in = block;
    else
        tni_tls_bytes_free(&block);
    tni_tls_session_return_role_locked(tls, TNI_TLS_FEEDING);
    return rc;
}

int tni_tls_session_need_input_locked(tn_tls *tls, uint64_t *slice_ns)
{
    uint64_t deadline_ns = TN_NEVER;
    int rc;

    if (tls->busy & TNI_TLS_FEEDING)
        return tni_tls_session_wait_locked(tls);
    if (tls->write_failed != 0)
        tni_tls_bytes_free(&tls->pair.out); /* replies to messages of the peer, which it does not take */
    if (tni_tls_session_has_output_locked(tls) && !(tls->busy & TNI_TLS_PUMPING)) {
        *slice_ns = *slice_ns == 0 ? SLICE_FIRST : *slice_ns < SLICE_LARGEST ? 2 * *slice_ns : SLICE_LARGEST;
        rc = tni_tls_session_pump_locked(tls, tn_now() + *slice_ns);
        if (rc == TN_EAGAIN)
            deadline_ns = tn_now() + *slice_ns;
        else
            return rc == 0 || tls->write_failed != 0 ? 0
                                                     : rc; /* 0: the other side may have fed; reading goes on without writing */
    }
    return feed_locked(tls, deadline_ns);
}

/* --- Making and ending ----------------------------------------------------------------------------------------------------- */

int tni_tls_session_keep_ticket(SSL *ssl, SSL_SESSION *session)
{
    tn_tls *tls = SSL_get_app_data(ssl);
    tn_tls_ticket *ticket = OPENSSL_zalloc(sizeof *ticket);

    if (ticket == NULL)
        return 0;
    ticket->host = tls->host != NULL ? OPENSSL_strdup(tls->host) : NULL;
    if (tls->host != NULL && ticket->host == NULL) {
        OPENSSL_free(ticket);
        return 0;
    }
    atomic_init(&ticket->references, 1);
    ticket->session = session;
    ticket->context = tn_tls_context_retain(tls->context);
    tn_tls_ticket_release(tls->ticket);
    tls->ticket = ticket;
    return 1; /* the reference is the ticket's */
}

tn_tls_ticket *tn_tls_take_ticket(tn_tls *tls)
{
    tn_tls_ticket *ticket;

    tni_tls_lock(tls);
    ticket = tls->ticket;
    tls->ticket = NULL;
    tni_tls_unlock(tls);
    return ticket;
}

void tn_tls_ticket_release(tn_tls_ticket *ticket)
{
    /* Release: publishes this holder's accesses to the one that frees; acquire: that one observes those of the others. */
    if (ticket == NULL || atomic_fetch_sub_explicit(&ticket->references, 1, memory_order_acq_rel) != 1)
        return;
    SSL_SESSION_free(ticket->session);
    tn_tls_context_release(ticket->context);
    OPENSSL_free(ticket->host);
    OPENSSL_free(ticket);
}

void tn_tls_last_error(tn_tls *tls, tn_tls_error *out)
{
    tni_tls_lock(tls);
    *out = tls->error;
    tni_tls_unlock(tls);
}
