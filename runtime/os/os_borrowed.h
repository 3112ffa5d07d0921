/* SPDX-License-Identifier: MIT */
/* The OS layer for descriptors that other libraries own: one epoll instance in each loop, apart from that of libuv. The
 * loop's sleep ends when something in it is ready. libuv knows nothing of it.
 *
 * The owner of a descriptor may close it, and open another file with its number, at any time. No call of this header is
 * wrong then. All functions may be called by any thread, and at the same time; only tni_os_borrowed_fetch is the loop
 * owner's.
 *
 * A registration reports once: what it is armed for, an error or a hang-up, as soon as one of them holds, also if it held
 * before. Then it is silent until it is armed again. The kernel keeps one for each pair of number and file. So one whose
 * number has been closed lives on while the file is open elsewhere (a copy of the descriptor, a child process), and may
 * still report. Such a report has an old generation.
 *
 * The simulator and the model checker replace the functions of this header and nothing else. */
#ifndef TNI_OS_BORROWED_H
#define TNI_OS_BORROWED_H

#include "os/os_loop.h"

/* Events have the bits of poll(2). */
#define TNI_OS_BORROWED_READ 1u
#define TNI_OS_BORROWED_PRIORITY 2u
#define TNI_OS_BORROWED_WRITE 4u
#define TNI_OS_BORROWED_ERROR 8u   /* always armed */
#define TNI_OS_BORROWED_HANGUP 16u /* always armed */

typedef struct {
    int fd;
    uint32_t generation; /* of the last arming */
    uint32_t events;
} tni_os_borrowed_event;

#define TNI_OS_BORROWED_FETCH_MAX 64

/* Arms the number, which need not be registered. Returns 0; -ENOTSUP: a regular file, a folder or a block device; -EBADF:
 * not open; or another negative errno value. 1: the file is of a kind that the kernel cannot watch, and that poll(2) reports
 * as ready at any time; it is not registered. */
int tni_os_borrowed_add(tni_os_loop *loop, int fd, uint32_t events, uint32_t generation);

/* Arms the number again. Returns 0; -ENOENT or -EBADF: it is not registered, because it has been closed meanwhile. */
int tni_os_borrowed_change(tni_os_loop *loop, int fd, uint32_t events, uint32_t generation);

/* Unregisters the number. False: it was not registered. */
bool tni_os_borrowed_remove(tni_os_loop *loop, int fd);

/* Owner of the loop: takes what is ready, at most TNI_OS_BORROWED_FETCH_MAX events. Returns how many. Does not wait. */
unsigned tni_os_borrowed_fetch(tni_os_loop *loop, tni_os_borrowed_event *events);

/* For a thread that may block: poll(2) of one descriptor for at most `timeout_ms` (-1: no limit). Returns the events; 0:
 * none yet, which may be early; -ENOTSUP and -EBADF as tni_os_borrowed_add; or another negative errno value. */
int tni_os_borrowed_poll(int fd, uint32_t events, int timeout_ms);

#endif
