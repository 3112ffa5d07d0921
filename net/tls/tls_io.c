/* SPDX-License-Identifier: MIT */
/* Reading, writing, ending and closing a session: its tn_io. */
#include <limits.h>
#include <string.h>

#include "tls/tls_session.h"

/* The plain bytes of a record. With what encryption adds it fits the usual memory. */
#define RECORD_BYTES (TNI_TLS_BYTES_LARGE - 256)
#define IOV_MOST 1024

/* --- Reading --------------------------------------------------------------------------------------------------------------- */

/* Whether the session can do nothing any more. */
static int state_locked(const tn_tls *tls)
{
    /* Acquire: as in tni_tls_session_begin_locked. */
    if (atomic_load_explicit(&tls->aborted, memory_order_acquire))
        return TN_EBADF;
    return tls->failed;
}

/* Whether a read of OpenSSL returns anything but WANT_READ without new input. */
static bool may_read_locked(const tn_tls *tls)
{
    return tni_tls_bytes_count(&tls->pair.in) > 0 || SSL_has_pending(tls->ssl) == 1 ||
           SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN;
}

/* One call of OpenSSL. `peek`: the bytes stay. Returns a count, 0 at the end, TN_EAGAIN, or an error. */
static ssize_t read_once_locked(tn_tls *tls, void *buf, size_t size, bool peek)
{
    size_t count;
    int rc;

    tni_tls_call_begin();
    rc = peek ? SSL_peek_ex(tls->ssl, buf, size, &count) : SSL_read_ex(tls->ssl, buf, size, &count);
    switch (tni_tls_call_result(tls, rc)) {
    case TNI_TLS_DONE:
        return (ssize_t)count;
    case TNI_TLS_ENDED:
        return 0;
    case TNI_TLS_FAILED:
        return tni_tls_session_fail_locked(tls, "read");
    default:
        return TN_EAGAIN;
    }
}

/* `peek`: the bytes stay. */
static ssize_t read_locked(tn_tls *tls, void *buf, size_t size, bool peek)
{
    uint64_t slice_ns = 0;

    for (;;) {
        ssize_t n = state_locked(tls);
        if (n != 0)
            return n;
        if (may_read_locked(tls))
            n = read_once_locked(tls, buf, size, peek);
        else
            n = TN_EAGAIN;
        if (n != TN_EAGAIN)
            return n;
        if (tls->in_ended)
            return tni_tls_session_say_locked(tls, TN_EBADMSG, "the stream has ended without close_notify");
        n = tni_tls_session_need_input_locked(tls, &slice_ns);
        if (n != 0)
            return n;
    }
}

static ssize_t io_read(void *object, void *buf, size_t size)
{
    tn_tls *tls = object;
    ssize_t n = tni_tls_session_enter(tls, TNI_TLS_READER);

    if (n != 0)
        return n;
    if (size > SSIZE_MAX)
        size = SSIZE_MAX;
    n = size > 0 ? read_locked(tls, buf, size, false) : state_locked(tls);
    return tni_tls_session_leave_locked(tls, TNI_TLS_READER, n);
}

/* --- Writing --------------------------------------------------------------------------------------------------------------- */

/* Waits until a record may be made. Returns 0 or an error. */
static int prepare_locked(tn_tls *tls)
{
    int rc = tni_tls_session_drain_locked(tls);

    if (rc == 0)
        rc = state_locked(tls);
    if (rc == 0 && tls->write_ended)
        rc = TN_EPIPE;
    return rc;
}

/* Input that a call of the writer has wanted. */
static int writer_input_locked(tn_tls *tls)
{
    uint64_t slice_ns = 0;

    if (tls->in_ended)
        return tni_tls_session_say_locked(tls, TN_EBADMSG, "the stream has ended without close_notify");
    return tni_tls_session_need_input_locked(tls, &slice_ns);
}

static ssize_t write_locked(tn_tls *tls, const void *buf, size_t size)
{
    tni_tls_result result = TNI_TLS_WANTS_INPUT;
    size_t count = 0;
    int rc;

    if (size > RECORD_BYTES)
        size = RECORD_BYTES;
    while (result != TNI_TLS_DONE) {
        rc = prepare_locked(tls);
        if (rc != 0)
            return rc;
        if (size == 0)
            return 0;
        tni_tls_call_begin();
        rc = SSL_write_ex(tls->ssl, buf, size, &count);
        result = tni_tls_call_result(tls, rc);
        if (result == TNI_TLS_FAILED || result == TNI_TLS_ENDED)
            return tni_tls_session_fail_locked(tls, "write");
        rc = result == TNI_TLS_WANTS_INPUT ? writer_input_locked(tls) : 0;
        if (rc != 0)
            return rc;
    }
    rc = tni_tls_session_drain_locked(tls);
    if (rc == 0 || ((rc == TN_ECANCELED || rc == TN_ETIMEDOUT) && tls->write_failed == 0))
        return (ssize_t)count; /* the bytes are in a record, and will be sent */
    return rc;
}

static ssize_t io_write(void *object, const void *buf, size_t size)
{
    tn_tls *tls = object;
    ssize_t n = tni_tls_session_enter(tls, TNI_TLS_WRITER);

    if (n != 0)
        return n;
    n = write_locked(tls, buf, size);
    return tni_tls_session_leave_locked(tls, TNI_TLS_WRITER, n);
}

/* How many bytes one record takes of the buffers. */
static size_t record_size(const struct iovec *iov, int count)
{
    size_t size = 0;

    for (int i = 0; i < count && size < RECORD_BYTES; i++)
        size += iov[i].iov_len < RECORD_BYTES - size ? iov[i].iov_len : RECORD_BYTES - size;
    return size;
}

/* Copies the beginning of the buffers, so that it is one record. */
static void gather(char *out, size_t size, const struct iovec *iov)
{
    for (size_t done = 0; done < size; iov++) {
        size_t part = iov->iov_len < size - done ? iov->iov_len : size - done;
        if (part > 0)
            memcpy(out + done, iov->iov_base, part);
        done += part;
    }
}

static ssize_t io_writev(void *object, const struct iovec *iov, int count)
{
    size_t size = record_size(iov, count);
    ssize_t n;
    char *record;

    while (count > 0 && iov[0].iov_len == 0)
        iov++, count--;
    if (count <= 1 || iov[0].iov_len >= size)
        return io_write(object, count > 0 ? iov[0].iov_base : NULL, count > 0 ? iov[0].iov_len : 0);
    record = OPENSSL_malloc(size);
    if (record == NULL)
        return TN_ENOMEM;
    gather(record, size, iov);
    n = io_write(object, record, size);
    OPENSSL_free(record);
    return n;
}

/* --- The other calls ------------------------------------------------------------------------------------------------------- */

static int wait_writable_locked(tn_tls *tls)
{
    int rc = prepare_locked(tls);

    if (rc != 0)
        return rc == TN_EPIPE ? 0 : rc; /* the write returns it at once */
    tls->busy |= TNI_TLS_PUMPING;
    tni_tls_unlock(tls);
    rc = tn_io_wait(tls->below, TN_WRITABLE);
    tni_tls_lock(tls);
    tni_tls_session_return_role_locked(tls, TNI_TLS_PUMPING);
    if (rc == 0)
        return tni_tls_session_drain_locked(tls);
    if (tni_tls_session_has_output_locked(tls) && tls->feeder != NULL)
        tn_cancel_source_cancel(tls->feeder); /* the reader has left it to this task, which was cancelled */
    return rc;
}

static int io_wait(void *object, tn_direction direction)
{
    tn_tls *tls = object;
    unsigned operation = direction == TN_READABLE ? TNI_TLS_READER : TNI_TLS_WRITER;
    int rc = tni_tls_session_enter(tls, operation);
    char byte;

    if (rc != 0)
        return rc;
    if (direction == TN_READABLE) {
        ssize_t n = read_locked(tls, &byte, 1, true);
        rc = n < 0 ? (int)n : 0;
    } else {
        rc = wait_writable_locked(tls);
    }
    return (int)tni_tls_session_leave_locked(tls, operation, rc);
}

/* While a message of the handshake, such as a ticket, is half received, OpenSSL neither ends the session nor changes keys. */
static int finish_message_locked(tn_tls *tls)
{
    int rc = 0;

    while (rc == 0 && SSL_in_init(tls->ssl)) {
        rc = prepare_locked(tls);
        if (rc != 0)
            return rc;
        tni_tls_call_begin();
        rc = SSL_do_handshake(tls->ssl);
        switch (tni_tls_call_result(tls, rc)) {
        case TNI_TLS_DONE:
            rc = 0;
            break;
        case TNI_TLS_WANTS_INPUT:
            rc = writer_input_locked(tls);
            break;
        default:
            return tni_tls_session_fail_locked(tls, "message");
        }
    }
    return rc;
}

static int close_write_locked(tn_tls *tls)
{
    int rc = tni_tls_session_drain_locked(tls);

    if (rc == 0)
        rc = state_locked(tls);
    if (rc == 0 && !tls->write_ended)
        rc = finish_message_locked(tls);
    if (rc != 0)
        return rc;
    if (!tls->write_ended) {
        tni_tls_call_begin();
        if (SSL_shutdown(tls->ssl) < 0)
            return tni_tls_session_fail_locked(tls, "close_notify");
        tls->write_ended = true;
    }
    return tni_tls_session_drain_locked(tls);
}

static int io_close_write(void *object)
{
    tn_tls *tls = object;
    int rc = tni_tls_session_enter(tls, TNI_TLS_WRITER);

    if (rc != 0)
        return rc;
    rc = close_write_locked(tls);
    return (int)tni_tls_session_leave_locked(tls, TNI_TLS_WRITER, rc);
}

/* Whether a read returns at once. A part of a record does not make it so, nor does a record without bytes for the program. */
static bool has_input_locked(tn_tls *tls)
{
    char byte;

    if (!tls->open)
        return false;
    if (state_locked(tls) != 0 || tls->in_ended || SSL_pending(tls->ssl) > 0)
        return true;
    return !(tls->busy & TNI_TLS_READER) && may_read_locked(tls) && read_once_locked(tls, &byte, 1, true) != TN_EAGAIN;
}

bool tn_tls_has_input(tn_tls *tls)
{
    bool found;

    tni_tls_lock(tls);
    found = has_input_locked(tls);
    tni_tls_unlock(tls);
    return found;
}

int tn_tls_update_keys(tn_tls *tls)
{
    int rc = tni_tls_session_enter(tls, TNI_TLS_WRITER);

    if (rc != 0)
        return rc;
    rc = prepare_locked(tls);
    if (rc == 0)
        rc = finish_message_locked(tls);
    if (rc == 0 && SSL_version(tls->ssl) != TLS1_3_VERSION)
        rc = TN_ENOTSUP;
    tni_tls_call_begin();
    if (rc == 0 && SSL_key_update(tls->ssl, SSL_KEY_UPDATE_REQUESTED) != 1)
        rc = TN_EBUSY; /* one is under way */
    while (rc == 0 && SSL_get_key_update_type(tls->ssl) != SSL_KEY_UPDATE_NONE) {
        tni_tls_call_begin();
        rc = SSL_do_handshake(tls->ssl); /* makes the message */
        switch (tni_tls_call_result(tls, rc)) {
        case TNI_TLS_DONE:
            rc = 0;
            break;
        case TNI_TLS_WANTS_INPUT:
            rc = writer_input_locked(tls);
            break;
        default:
            rc = tni_tls_session_fail_locked(tls, "key update");
        }
    }
    if (rc == 0)
        rc = tni_tls_session_drain_locked(tls);
    return (int)tni_tls_session_leave_locked(tls, TNI_TLS_WRITER, rc);
}

static int io_abort(void *object)
{
    tn_tls *tls = object;
    int rc = tn_io_abort(tls->below); /* it ends the calls of the holders of both roles, and so all waits */

    if (rc == 0)
        /* Release: publishes what this task did; partner: tni_tls_session_begin_locked. */
        atomic_store_explicit(&tls->aborted, true, memory_order_release);
    return rc;
}

static void io_close(void *object)
{
    tn_tls *tls = object;
    tn_io below = tls->below;
    bool keep_below = tls->keep_below;

    tni_tls_session_free(tls);
    if (!keep_below)
        tn_io_close(below);
}

tn_io tn_tls_io(tn_tls *tls)
{
    static const tn_io_ops ops = {
        .size = sizeof(tn_io_ops),
        .read = io_read,
        .write = io_write,
        .writev = io_writev,
        .close_write = io_close_write,
        .close = io_close,
        .wait = io_wait,
        .abort = io_abort,
    };

    return (tn_io){&ops, tls};
}
