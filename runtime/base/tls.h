/* SPDX-License-Identifier: MIT */
/* What a thread knows of itself: the library's only thread-local variable.
 *
 * A fiber may go on on another thread. The compiler does not know that, and may keep the address of a thread-local variable in a
 * register over a switch. So it is reached through this one out-of-line call, whose answer is never kept over a suspension.
 */
#ifndef TNI_TLS_H
#define TNI_TLS_H

#include <tn/task.h>

#include "base/defs.h"

typedef struct tni_worker tni_worker;

typedef struct {
    tni_worker *worker;      /* NULL: not a thread of a runtime */
    tn_task *task;           /* the task this thread is inside of */
    struct tni_scope *scope; /* a plain thread's innermost scope */
    tni_worker *behind;      /* a worker that makes a call for its task, as a plain thread (native.h) */
    void *pool_thread;       /* of the blocking pool: what it knows of itself; NULL: it is none */
    uint64_t random;         /* state of a generator; 0: not seeded yet */
} tni_tls;

tni_tls *tni_tls_get(void);

#endif
