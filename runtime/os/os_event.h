/* SPDX-License-Identifier: MIT */
/* The OS layer for eventfd: a file descriptor that is readable after a post. */
#ifndef TNI_OS_EVENT_H
#define TNI_OS_EVENT_H

/* Returns a file descriptor, or a negative errno value. */
int tni_os_event_open(void);
void tni_os_event_close(int fd);

/* Makes the fd readable. Async-signal-safe; preserves errno. */
void tni_os_event_post(int fd);

/* Removes all posts so far. Never blocks. */
void tni_os_event_drain(int fd);

#endif
