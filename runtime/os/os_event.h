/* SPDX-License-Identifier: MIT */
/* The OS layer for eventfd: a file descriptor that is readable once somebody has posted. */
#ifndef TNI_OS_EVENT_H
#define TNI_OS_EVENT_H

/* A file descriptor, or a negative errno value. */
int tni_os_event_open(void);
void tni_os_event_close(int fd);

/* Async-signal-safe; leaves errno alone. */
void tni_os_event_post(int fd);

/* Takes back what was posted so far; never waits. */
void tni_os_event_drain(int fd);

#endif
