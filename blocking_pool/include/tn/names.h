/* SPDX-License-Identifier: MIT */
/* tournant: from names to addresses. */
#ifndef TN_NAMES_H
#define TN_NAMES_H

#include <tn/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a look-up may answer beside errno values; tn_strerror knows them. */
enum {
    TN_EAI_AGAIN = -3001,   /* no answer for now: try later */
    TN_EAI_FAIL = -3004,    /* no answer, and there will be none */
    TN_EAI_NONAME = -3008,  /* there is no such name, or it has no address */
    TN_EAI_SERVICE = -3010, /* there is no such service */
};

#define TN_NAMES_TEXT_SIZE 80

typedef struct tn_names {
    size_t count;
    char (*text)[TN_NAMES_TEXT_SIZE]; /* "127.0.0.1:80", "[::1]:80", …: what tn_tcp_connect takes; best first */
    size_t capacity;                  /* private, as what follows */
    void (*free)(void *ctx, void *ptr, size_t size_bytes);
    void *free_ctx;
} tn_names;

/* Asks the system for all addresses of a host ("localhost", "example.org") and a service ("http", "80"; NULL: port 0). What
 * cannot be a name is refused before anybody is asked.
 * Suspends: yes. Callable from: a fiber, a plain thread, a job; `runtime`: NULL for that of the calling task or job; without any
 * the system is asked in the call.
 * Ownership: *out is to be given to tn_names_fini, after an error too.
 * Errors: TN_EINVAL (not a name; the log says why), -ENAMETOOLONG, TN_EAI_*, TN_ENOMEM, TN_EAGAIN (no thread can be had),
 * TN_ESHUTDOWN.
 * Cancellation: checkpoint; the system may still be waiting for its answer, which nobody gets then. */
TN_API int tn_resolve(tn_runtime *runtime, const char *host, const char *service, tn_names *out);

/* Suspends: no. Callable from: anywhere. */
TN_API void tn_names_fini(tn_names *names);

#ifdef __cplusplus
}
#endif

#endif
