/* SPDX-License-Identifier: MIT */
/* The OS layer for libuv: an event loop that reports the readiness of file descriptors, sleeps, and can be woken.
 *
 * At most one thread at a time, the loop's owner, runs a loop, reports what a sleep has fetched, or opens and closes polls; the
 * caller ensures that (driver.h). A sleep needs no ownership: another thread may own the loop at the same time. Any thread may
 * call tni_os_loop_wake and tni_os_loops_poll at any time.
 *
 * How polls are armed is private to this layer. A poll reports edges: each change at least once, and also what was ready before
 * tni_os_poll_open. The thread that fetches an event from the kernel reports it, once. The simulator replaces the functions of
 * this header and nothing else.
 */
#ifndef TNI_OS_LOOP_H
#define TNI_OS_LOOP_H

#include <sys/epoll.h>
#include <uv.h>

#include "base/defs.h"

/* What is reported. Each is a hint that a call may find something new. Only the call knows the state of the socket. */
#define TNI_OS_READABLE 1u
#define TNI_OS_WRITABLE 2u
#define TNI_OS_HANGUP 4u  /* the peer sends no more: after a short read the end may be left; set together with READABLE */
#define TNI_OS_ERROR 8u   /* an error, or only an entry in the error queue; set together with READABLE and WRITABLE */
#define TNI_OS_URGENT 16u /* urgent data: after a short read more data may be left */

/* One per connection, so it is small; the `data` of libuv's handle points to the operations. */
typedef struct {
    uv_poll_t handle;
    uint32_t generation; /* which of those that have had this fd; 0: libuv alone reports it */
    bool apart;          /* it is in the loop's second epoll */
} tni_os_poll;

/* The owner calls both: `ready` inside tni_os_loop_run and tni_os_loop_report; `closed`, the last call for a poll, inside
 * tni_os_loop_run. */
typedef struct {
    void (*ready)(tni_os_poll *poll, uint32_t events);
    void (*closed)(tni_os_poll *poll);
} tni_os_poll_ops;

typedef struct {
    uv_loop_t loop;
    int wake_fd;          /* constant: an eventfd */
    int apart_fd;         /* constant: an epoll for sockets that have had an error; libuv watches it */
    uv_poll_t apart;      /* of apart_fd */
    int borrowed_fd;      /* constant: an epoll for descriptors of other libraries (os_borrowed.h); in the loop's epoll */
    uint64_t open_polls;  /* polls that are not closed */
    uint64_t apart_polls; /* of these, in apart_fd */
    uint32_t generation;  /* the last one that was assigned */
} tni_os_loop;

/* What a sleep has fetched from the kernel. */
#define TNI_OS_FETCH_MAX 64
typedef struct {
    struct epoll_event events[TNI_OS_FETCH_MAX];
    unsigned count;
    bool full;     /* the kernel may have had more */
    bool borrowed; /* tni_os_borrowed_fetch has something */
} tni_os_fetched;

/* The most descriptors that tni_os_loop_open opens: two epolls and an eventfd of this layer, and those of libuv. Counted for the
 * first loop of a process: 6 with libuv 1.44 (an epoll, an eventfd, a pipe for the loop, one for the process), 8 from 1.45 to
 * 1.48 (two io_urings too), 7 with 1.52 (one). The test checks the libuv that is there. */
#define TNI_OS_LOOP_FILES 11

/* Returns 0, or a negative errno value (TN_EMFILE, TN_ENOMEM) without leaking anything. */
int tni_os_loop_open(tni_os_loop *loop);

/* Owner, while no thread sleeps in the loop: closes all polls that are still open (their `closed` is called) and the loop. */
void tni_os_loop_close(tni_os_loop *loop);

/* Owner: reports what is ready, and completes what tni_os_poll_open and tni_os_poll_close have begun. Does not sleep. */
void tni_os_loop_run(tni_os_loop *loop);

/* One thread at a time, owner or not: sleeps until an event, a wake, or `timeout_ns` (UINT64_MAX: no limit). It may return early.
 * It does not see polls that were opened after the last tni_os_loop_run. The caller must pass `fetched` to tni_os_loop_report
 * before the next sleep. */
void tni_os_loop_sleep(tni_os_loop *loop, uint64_t timeout_ns, tni_os_fetched *fetched);

/* Owner: reports and clears what was fetched, except for polls that were closed in between, and except for `borrowed`. Returns
 * false if more events are ready, which tni_os_loop_run reports. */
bool tni_os_loop_report(tni_os_loop *loop, tni_os_fetched *fetched);

/* Makes the current tni_os_loop_sleep, or otherwise the next one, return soon. Any thread. */
void tni_os_loop_wake(tni_os_loop *loop);

/* Any thread: finds the loops in which a sleep would end at once, and sets their `ready`. At most TNI_WORKERS_MAX loops; NULL:
 * none. Waits until there is one, or `event` (os_event.h; -1: none) is posted, for at most `timeout_ns` (0: does not wait;
 * UINT64_MAX: no limit). It may return early. Returns 0, or a negative errno value without having waited: EINVAL if there are
 * more loops than the process may have files. */
int tni_os_loops_poll(const tni_os_loop *const *loops, unsigned count, int event, uint64_t timeout_ns, bool *ready);

/* Owner: begins to report on `fd`, a non-blocking socket, from the next tni_os_loop_run on. Returns 0 or a negative errno
 * value. */
int tni_os_poll_open(tni_os_loop *loop, tni_os_poll *poll, int fd, const tni_os_poll_ops *ops);

/* Owner: stops reporting on the fd at once. `poll` may be freed, and the fd closed, once its `closed` is called. */
void tni_os_poll_close(tni_os_loop *loop, tni_os_poll *poll);

#endif
