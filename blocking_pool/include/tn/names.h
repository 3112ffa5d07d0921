/* SPDX-License-Identifier: MIT */
/* tournant: looking up the addresses of host names. */
#ifndef TN_NAMES_H
#define TN_NAMES_H

#include <tn/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Errors of a lookup beside errno values; tn_strerror has texts for them. */
enum {
    TN_EAI_AGAIN = -3001,   /* no reply now: try again later */
    TN_EAI_FAIL = -3004,    /* no reply, and there will be none */
    TN_EAI_NONAME = -3008,  /* the name does not exist, or it has no address */
    TN_EAI_SERVICE = -3010, /* the service does not exist */
};

/* Size of an address as text, in bytes, including the zero. */
#define TN_NAMES_TEXT_SIZE 80

/* The addresses of a name. */
typedef struct tn_names {
    size_t count;
    char (*text)[TN_NAMES_TEXT_SIZE]; /* "127.0.0.1:80", "[::1]:80", …, as tn_tcp_connect takes them; best first */
    size_t capacity;                  /* private, as are the next two */
    void (*free)(void *ctx, void *ptr, size_t size_bytes);
    void *free_ctx;
} tn_names;

/* Asks the operating system's resolver for all addresses of a host ("localhost", "example.org") and a service ("http", "80";
 * NULL: port 0). Text that cannot be a name is refused before any request.
 *
 * If the service is a number, two kinds of hosts need neither the resolver nor a thread for names. The first is a number
 * ("127.0.0.1", "::1", "fe80::1%eth0"). The second is a name in the hosts file, if the name service switch asks that file first.
 *
 * A question that is being asked already is not asked again: the calls share the lookup. Upper and lower case do not count. A
 * lookup that all its callers have left gives its place among tn_options.name_threads back. At most 64 lookups have done so
 * at a time; a further one does when one of these has ended.
 *
 * `runtime`: the one whose threads do the lookup; NULL: that of the calling task or job. Without any, the lookup runs in the
 * call.
 *
 * Suspends: yes.
 * Callable from: a fiber, a plain thread, a blocking job.
 * Ownership: `*out` must be given to tn_names_fini, also after an error.
 * Errors: TN_EINVAL: not a name, and the log says why; -ENAMETOOLONG; TN_EAI_*; TN_ENOMEM; TN_EAGAIN: no thread can be started;
 * TN_ESHUTDOWN; TN_ECANCELED, TN_ETIMEDOUT: of the caller. Another negative errno value is the resolver's; its ETIMEDOUT is
 * TN_ETIME.
 * Cancellation: yes; the lookup may still run, and its result is discarded. */
TN_API int tn_resolve(tn_runtime *runtime, const char *host, const char *service, tn_names *out);

/* Frees the addresses.
 *
 * Suspends: no.
 * Callable from: anywhere.
 * Ownership: `*names` is empty afterwards.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_names_fini(tn_names *names);

#ifdef __cplusplus
}
#endif

#endif
