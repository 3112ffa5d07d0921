/* SPDX-License-Identifier: MIT */
/* tournant: TLS sessions over byte streams. The library is tournant_tls, over OpenSSL 3. */
#ifndef TN_TLS_H
#define TN_TLS_H

#include <tn/io.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Certificates, and the rules of a handshake, for any number of sessions. Counted. */
typedef struct tn_tls_context tn_tls_context;

/* A session of TLS over a byte stream. It is itself a byte stream (tn_tls_io). */
typedef struct tn_tls tn_tls;

/* What a client has to present to continue a session in a later connection. Counted. */
typedef struct tn_tls_ticket tn_tls_ticket;

/* The bytes of a message in a tn_tls_error, with its terminator. */
#define TN_TLS_ERROR_TEXT 320

/* Why a call has failed. */
typedef struct tn_tls_error {
    int code;                     /* what the call returned; 0: nothing has failed */
    long verify_result;           /* why a certificate was refused: a number of OpenSSL (X509_V_ERR_…); 0: it was not */
    char text[TN_TLS_ERROR_TEXT]; /* one line: the peer or the file, and the reason */
} tn_tls_error;

typedef enum tn_tls_role {
    TN_TLS_CLIENT,
    TN_TLS_SERVER,
} tn_tls_role;

/* Whether the peer has to present a certificate. */
typedef enum tn_tls_verify {
    TN_TLS_VERIFY_DEFAULT,  /* as REQUIRED for clients, as NONE for servers */
    TN_TLS_VERIFY_NONE,     /* any certificate, or none. A client is then open to anyone in between */
    TN_TLS_VERIFY_OPTIONAL, /* for servers: a client without a certificate is accepted, one with a wrong certificate is refused */
    TN_TLS_VERIFY_REQUIRED, /* the certificate must be valid, and for a server also have the name that the client asks for */
} tn_tls_verify;

typedef enum tn_tls_version {
    TN_TLS_VERSION_DEFAULT, /* the lowest or highest that is allowed: 1.2 and 1.3 */
    TN_TLS_1_2 = 12,
    TN_TLS_1_3 = 13,
} tn_tls_version;

/* Options of a context; begin with tn_tls_context_options_default(). Certificates and keys are names of files in PEM, or the text
 * of such a file itself: what contains "-----BEGIN" or more than one line. No part of a text is put into an error. */
typedef struct tn_tls_context_options {
    size_t size;                  /* of this struct, in bytes; set by tn_tls_context_options_default() */
    tn_tls_role role;             /* of the sessions */
    const char *certificate;      /* the own certificate and those between it and a root; a server needs it */
    const char *key;              /* its private key, without a password */
    const char *authorities;      /* certificates that sign those of peers; NULL: those of the machine, if peers are verified */
    tn_tls_verify verify;         /* of peers */
    const char *const *protocols; /* for ALPN: names that end with NULL, the preferred one first; NULL: no ALPN */
    tn_tls_version version_min;   /* of the protocol */
    tn_tls_version version_max;
    unsigned sessions_max;       /* sessions that a server remembers for clients without tickets; 0: 20480 */
    unsigned session_lifetime_s; /* seconds in which a session may be continued; 0: 7200 */
} tn_tls_context_options;

/* Returns the default options.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result is a value.
 * Errors: none.
 * Cancellation: no. */
static inline tn_tls_context_options tn_tls_context_options_default(void)
{
    tn_tls_context_options options = {
        sizeof(tn_tls_context_options), TN_TLS_CLIENT,          NULL, NULL, NULL, TN_TLS_VERIFY_DEFAULT, NULL,
        TN_TLS_VERSION_DEFAULT,         TN_TLS_VERSION_DEFAULT, 0,    0};
    return options;
}

/* Makes a context. Files, also the authorities of the machine, are read now, on a thread that may block. Compression and
 * renegotiation are always refused.
 *
 * Suspends: while files are read.
 * Callable from: a fiber, a plain thread.
 * Ownership: the options are copied. On success the caller owns a reference, and must give it to tn_tls_context_release. `error`
 * may be NULL; otherwise it receives the reason of a failure.
 * Errors: TN_EINVAL: an option, a certificate or a key is refused, and `error` says which. TN_ENOMEM, TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; there is no context. */
TN_API int tn_tls_context_open(tn_tls_context **out, const tn_tls_context_options *options, tn_tls_error *error);

/* Adds a certificate that a server presents to clients that ask for `name` (SNI). A name of the form "*.example.org" stands for
 * all names with one label in place of the star. Names are compared without regard to case. Clients that ask for another name, or
 * for none, get the certificate of the options. A name that was added before gets the new certificate. Sessions that are open
 * keep theirs.
 *
 * Suspends: while files are read, or another task changes the context.
 * Callable from: a fiber, a plain thread.
 * Ownership: the texts are copied. `error` may be NULL.
 * Errors: TN_EINVAL: the context is a client's, or a file is refused. TN_ENOMEM, TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; the context is as before. */
TN_API int tn_tls_context_add_name(tn_tls_context *context, const char *name, const char *certificate, const char *key,
                                   tn_tls_error *error);

/* Reads all files of the context again. Sessions that begin later use what is in them; those that are open go on. If a file is
 * refused, all stays as it is. Tickets of before are still accepted.
 *
 * Suspends: while files are read, or another task changes the context.
 * Callable from: a fiber, a plain thread.
 * Ownership: borrows the context. `error` may be NULL.
 * Errors: TN_EINVAL: a file is refused. TN_ENOMEM, TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; the context is as before. */
TN_API int tn_tls_context_reload(tn_tls_context *context, tn_tls_error *error);

/* Makes another reference.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the caller owns one more reference.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_tls_context *tn_tls_context_retain(tn_tls_context *context);

/* Gives up a reference. NULL is allowed. Sessions keep what they need.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the reference.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_tls_context_release(tn_tls_context *context);

/* Options of a session; begin with tn_tls_options_default(). */
typedef struct tn_tls_options {
    size_t size;                 /* of this struct, in bytes; set by tn_tls_options_default() */
    const char *host_name;       /* a client's: name, or numeric address, of the certificate; a name is also sent (SNI) */
    const char *peer;            /* the peer's name in messages, such as its address; NULL: host_name */
    const tn_tls_ticket *ticket; /* a client's: the session to continue, of this context and host name; NULL: a new one */
    bool keep_below;             /* tn_io_close leaves the stream below open, and it stays the caller's */
    unsigned char reserved[7];   /* 0 */
} tn_tls_options;

/* Returns the default options.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result is a value.
 * Errors: none.
 * Cancellation: no. */
static inline tn_tls_options tn_tls_options_default(void)
{
    tn_tls_options options = {sizeof(tn_tls_options), NULL, NULL, NULL, false, {0}};
    return options;
}

/* Makes a session over `below`. Nothing is sent or received before tn_tls_handshake. A client that verifies its peers must have a
 * host name.
 *
 * Suspends: while another task changes the context.
 * Callable from: a fiber, a plain thread.
 * Ownership: on success the session owns `below` (`keep_below`: borrows it), and the caller owns the session, which ends with
 * tn_io_close(tn_tls_io(tls)). On failure `below` is the caller's. The options are copied. The session keeps a reference to
 * what it needs of the context.
 * Errors: TN_EINVAL: an option is refused. The host name is missing, empty, or over 255 bytes. The ticket is of another context
 * or host name, for which no certificate was verified. TN_ENOMEM.
 * Cancellation: no. */
TN_API int tn_tls_open(tn_tls **out, tn_tls_context *context, tn_io below, const tn_tls_options *options);

/* Makes the handshake. It needs no end of its own: a cancel scope around it limits its time. If one ends it, it can be called
 * again. After a handshake it returns 0 at once. A server sends tickets at its end, so the client must read, or the stream must
 * take some hundred bytes.
 *
 * In TLS 1.3 a server that refuses the client's certificate does so after the client's handshake has succeeded. The client finds
 * it in its first read.
 *
 * Suspends: until the peer has replied.
 * Callable from: a fiber, a plain thread.
 * Ownership: borrows the session.
 * Errors: TN_EPROTO: the peer violates the protocol, its certificate is refused, or it has refused this side; tn_tls_last_error
 * says which. TN_EBADMSG: the stream has ended. TN_EBUSY: another task makes it. TN_EBADF: the session was aborted. Those of the
 * stream. TN_ENOMEM, TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; the handshake is as far as it is. */
TN_API int tn_tls_handshake(tn_tls *tls);

/* Returns the session as a byte stream. Before the handshake its reads and writes return TN_ENOTCONN. All tasks that use a
 * session belong to one runtime: one that abandons its tasks must not leave their work to tasks of another.
 *
 * One task may read while another one writes. A write sends one record, of at most 16128 bytes. A write that is cancelled after
 * the bytes were encrypted returns how many; they are sent by later calls. TN_EPROTO: as in tn_tls_handshake. A read that returns
 * TN_EBADMSG has met the end of the stream without the message by which TLS ends (close_notify): bytes may be missing. 0 is the
 * end that the peer has sent.
 *
 * tn_io_close_write sends close_notify, and reading goes on. tn_io_close sends nothing, because it must not suspend: without
 * tn_io_close_write the peer reads a truncation. tn_io_abort is that of the stream below. There is no descriptor: the kernel
 * cannot encrypt in place of this library (kTLS), because OpenSSL offers that only for sessions that it gives a socket.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: the result stands for the caller's session, which tn_io_close consumes.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_io tn_tls_io(tn_tls *tls);

/* Copies what the last failure of the session was.
 *
 * Suspends: while another task uses the session.
 * Callable from: a fiber, a plain thread.
 * Ownership: `*out` is written.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_tls_last_error(tn_tls *tls, tn_tls_error *out);

/* Returns whether a read has bytes, an end or an error to return without the stream below. Then a server that waits for the
 * next request does not wait for that stream (tn_session_wait_request). A part of a record does not count.
 *
 * Suspends: while another task uses the session; for at most a second while the alert is sent that refuses bytes.
 * Callable from: a fiber, a plain thread.
 * Ownership: borrows the session.
 * Errors: none.
 * Cancellation: no. */
TN_API bool tn_tls_has_input(tn_tls *tls);

/* What the handshake has agreed on. */
typedef struct tn_tls_info {
    size_t size;            /* of this struct, in bytes; set by the caller */
    tn_tls_version version; /* of the protocol */
    bool resumed;           /* an older session is continued */
    char cipher[64];        /* the name of the cipher suite */
    char protocol[64];      /* that of ALPN; "": none */
    char host_name[256];    /* that the client has asked for; "": none */
    char peer_subject[256]; /* of the peer's certificate; "": it has none */
} tn_tls_info;

/* Writes what the handshake has agreed on. Before it all is empty.
 *
 * Suspends: while another task uses the session.
 * Callable from: a fiber, a plain thread.
 * Ownership: `*info` is written, up to its size.
 * Errors: TN_EINVAL: `size` is wrong.
 * Cancellation: no. */
TN_API int tn_tls_get_info(tn_tls *tls, tn_tls_info *info);

/* Changes the keys of both directions, in TLS 1.3.
 *
 * Suspends: until the stream has taken the message.
 * Callable from: a fiber, a plain thread.
 * Ownership: borrows the session.
 * Errors: TN_ENOTSUP: the session is of TLS 1.2. TN_EBUSY: another task writes. Those of tn_io_write.
 * Cancellation: yes; the keys of this direction may have changed. */
TN_API int tn_tls_update_keys(tn_tls *tls);

/* Takes the last ticket that the server has sent to this client. In TLS 1.3 it comes after the handshake, with the first read. A
 * ticket should be used once.
 *
 * Suspends: while another task uses the session.
 * Callable from: a fiber, a plain thread.
 * Ownership: the caller owns a reference, and must give it to tn_tls_ticket_release. NULL: there is none.
 * Errors: none.
 * Cancellation: no. */
TN_API tn_tls_ticket *tn_tls_take_ticket(tn_tls *tls);

/* Gives up a ticket. NULL is allowed.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: consumes the reference.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_tls_ticket_release(tn_tls_ticket *ticket);

#ifdef __cplusplus
}
#endif

#endif
