/* SPDX-License-Identifier: MIT */
/* Certificates made for a test, and pairs of sessions over a connection in memory. */
#ifndef TT_TLS_SUPPORT_H
#define TT_TLS_SUPPORT_H

#include <stdatomic.h>

#include <tn.h>
#include <tn/tls.h>

#include "support/runtime.h"

/* A certificate and its key, in PEM. */
typedef struct tt_identity {
    char *certificate; /* with that of its signer, if it has one */
    char *key;
} tt_identity;

/* Makes one of `name`, signed by `signer` (NULL: by itself, as an authority). `days`: how long it is valid from now on; negative:
 * it has ended. All have the same sizes, so runs on the simulated machine repeat. */
tt_identity tt_identity_make(const char *name, const tt_identity *signer, int days);
void tt_identity_free(tt_identity *identity);

/* The identities of most tests. */
typedef struct tt_identities {
    tt_identity authority;
    tt_identity server; /* of "server.test" */
    tt_identity client; /* of "client.test" */
} tt_identities;

void tt_identities_make(tt_identities *all);
void tt_identities_free(tt_identities *all);

/* Options that fit them: a client trusts the authority, and a server has the server's identity. */
tn_tls_context_options tt_server_options(const tt_identities *all);
tn_tls_context_options tt_client_options(const tt_identities *all);

/* Makes a context that must be good. */
tn_tls_context *tt_context(const tn_tls_context_options *options);

/* Two sessions over a duplex. */
typedef struct tt_pair {
    tn_tls *server;
    tn_tls *client;
    tn_io ends[2]; /* below the server, below the client */
    int server_rc; /* of the handshakes */
    int client_rc;
} tt_pair;

/* Opens both, without a handshake. `capacity`: of the duplex; 0: the default. `options`: of the client; NULL: for server.test. */
void tt_pair_open(tt_pair *pair, tn_tls_context *server, tn_tls_context *client, size_t capacity, const tn_tls_options *options);
/* Makes both handshakes, in two tasks. */
void tt_pair_handshake(tt_pair *pair);
/* Both at once; the handshakes must succeed. */
void tt_pair_connect(tt_pair *pair, tn_tls_context *server, tn_tls_context *client, size_t capacity);
void tt_pair_close(tt_pair *pair);

/* --- What goes wrong below ------------------------------------------------------------------------------------------------- */

/* A stream over another one, which passes on a part of what is written and then fails. */
typedef struct tt_fault {
    tn_io below;
    size_t most;    /* bytes of one read or write */
    size_t left;    /* bytes that are written before writes fail */
    int error;      /* by which they fail; TN_ECONNRESET: the other end is told */
    int read_error; /* by which reads fail; 0: they do not */
    size_t passed;  /* bytes that were written */
} tt_fault;

tn_io tt_fault_io(tt_fault *fault);

/* A pair whose records pass through the test. `inner`: the other ends of what is below the server and below the client. */
typedef struct tt_middle {
    tt_pair pair;
    tn_io inner[2];
} tt_middle;

enum { TT_RECORD = 5 + 65535 };
enum { TT_OF_SERVER, TT_OF_CLIENT }; /* indices of `inner`: records that this side has sent, or receives */

void tt_middle_open(tt_middle *middle, tn_tls_context *server, tn_tls_context *client);
/* Closes all four ends. */
void tt_middle_close(tt_middle *middle);

/* Passes on records of side `from` until it ends or a scope ends. `left`, which both directions may share: after so many records
 * both ends are aborted; NULL: never. */
void tt_middle_pass(tt_middle *middle, unsigned from, atomic_int *left);

/* Reads one record, of at most TT_RECORD bytes. Returns its size; 0 at the end; or an error. */
ssize_t tt_record_read(tn_io from, unsigned char *record);

/* Reads one record of side `from`, of at most TT_RECORD bytes. Returns its size. */
size_t tt_middle_take(tt_middle *middle, unsigned from, unsigned char *record);
/* Gives bytes to the other side than `from`. */
void tt_middle_give(tt_middle *middle, unsigned from, const void *bytes, size_t size);

/* --- Exchanges ------------------------------------------------------------------------------------------------------------- */

/* Checks the last error of a session: its code, and that its text has these parts. */
void tt_check_error(tn_tls *tls, int code, const char *peer, const char *reason);

/* Writes `text` to one side, and reads it at the other one. */
void tt_exchange(tn_tls *from, tn_tls *to, const char *text);

/* Closes both directions in order: each side reads a clean end. */
void tt_pair_end(tt_pair *pair);

#endif
