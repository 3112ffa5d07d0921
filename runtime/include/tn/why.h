/* SPDX-License-Identifier: MIT */
/* Why a call of the calling task has returned TN_ECANCELED or TN_ETIMEDOUT. */
#ifndef TN_WHY_H
#define TN_WHY_H

#include <tn/runtime.h>
#include <tn/work.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What has ended a call. */
typedef enum tn_why_cause {
    TN_WHY_UNKNOWN,  /* no cancellation point has returned this error, or there was no memory to record it */
    TN_WHY_DEADLINE, /* TN_ETIMEDOUT: the deadline of a cancel scope has passed */
    TN_WHY_SCOPE,    /* TN_ECANCELED: tn_scope_cancel, or a call of the library that ends what it has begun */
    TN_WHY_SOURCE,   /* TN_ECANCELED: the tn_cancel_source of the scope */
    TN_WHY_TOKEN,    /* TN_ECANCELED: the tn_cancel_token of the scope */
    TN_WHY_TASK,     /* TN_ECANCELED: tn_cancel, the task's group, or the shutdown of the runtime */
} tn_why_cause;

/* Why a call failed. New members are added at the end. */
typedef struct tn_why_info {
    size_t size; /* of this struct, in bytes; set by the caller */
    int error;   /* TN_ECANCELED or TN_ETIMEDOUT; 0: unknown */
    tn_why_cause cause;
    const tn_scope *scope;  /* the scope, to compare with; it may have been left; NULL: TN_WHY_TASK */
    const void *entered_at; /* code address where the scope was entered; NULL: TN_WHY_TASK */
    unsigned depth;         /* scopes inside it at that time, so 0: it was the innermost one */
    unsigned reserved;      /* 0 */
    uint64_t deadline_ns;   /* TN_WHY_DEADLINE: the deadline, a time of tn_now; otherwise 0 */
    uint64_t failed_ns;     /* when the call failed, a time of tn_now; of TN_WHY_TASK perhaps only when tn_why was called */
    char waited_for[24];    /* what the call waited for in a fiber; empty: it failed before it waited, or that has no name */
    tn_work_spent spent; /* how the time of the innermost tn_work around the caller was spent until now; size 0: there is none */
} tn_why_info;

/* Returns why the last cancellation point of the calling fiber or plain thread failed that returned `error`, TN_ECANCELED or
 * TN_ETIMEDOUT. It may be called when the scope has been left. The same error with another origin, such as the result of
 * tn_timeout or of a program's own future, is not recorded: compare `failed_ns`. A call that a close has ended returns
 * TN_EBADF. Only the last failure is recorded: after one with the other error the cause of this one is unknown. The caller
 * sets out->size. A shorter struct, of older headers, gets the members that it has.
 *
 * Nothing is done for this while calls succeed. A call that fails in a scope allocates some 100 bytes, once for each task.
 *
 * Suspends: no.
 * Callable from: a fiber, a plain thread; in a stackless task the cause is TN_WHY_TASK if it was cancelled, otherwise unknown.
 * Ownership: `out` is the caller's.
 * Errors: TN_EINVAL: out->size is too small or too large, or `error` is another one.
 * Cancellation: no. */
TN_API int tn_why(int error, tn_why_info *out);

/* Writes `why` as one or two lines of text, each by a call of `line`, with the name of the function that entered the scope. A
 * shorter struct is allowed.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: borrows all arguments.
 * Errors: none.
 * Cancellation: no. */
TN_API void tn_why_print(const tn_why_info *why, tn_dump_fn line, void *ctx);

#ifdef __cplusplus
}
#endif

#endif
