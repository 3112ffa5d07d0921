/* SPDX-License-Identifier: MIT */
/* The OS layer for the C library's resolver. Its calls block, for many seconds if a name server does not respond. */
#ifndef TNI_OS_NAMES_H
#define TNI_OS_NAMES_H

#include "base/defs.h"

/* "[IPv6%scope]:port" */
#define TNI_OS_NAME_TEXT 80

/* Called for each stream address of host and service, best first, as "127.0.0.1:80" or "[::1]:80". Returns false to stop. */
typedef bool (*tni_os_name_fn)(void *arg, const char *text);

/* `service`: a name or a number; NULL: port 0. Returns 0, a negative errno value, or one of TN_EAI_*. */
int tni_os_resolve(const char *host, const char *service, tni_os_name_fn found, void *arg);

/* Writes the address of a numeric host and port ("127.0.0.1", "::1", "fe80::1%eth0"; "80", NULL) to `text`, of TNI_OS_NAME_TEXT
 * bytes. Asks no resolver and reads no file. False: the host or the service is not a number. */
bool tni_os_numeric(const char *host, const char *service, char *text);

/* The order of addresses, the best one first. 0: IPv6; 1: IPv4; 2: not a number, or the kernel has no route to it. */
unsigned tni_os_address_rank(const char *host);

#endif
