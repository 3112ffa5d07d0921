/* SPDX-License-Identifier: MIT */
/* The OS layer for the system's resolver. Its calls block, for many seconds if a server of names does not answer. */
#ifndef TNI_OS_NAMES_H
#define TNI_OS_NAMES_H

#include "base/defs.h"

/* "[IPv6%scope]:port" */
#define TNI_OS_NAME_TEXT 80

/* Called for each stream address of host and service, best first, as "127.0.0.1:80" or "[::1]:80". False: enough. */
typedef bool (*tni_os_name_fn)(void *arg, const char *text);

/* `service`: a name or number; NULL: port 0. 0, or a negative errno value, or one of TN_EAI_*. */
int tni_os_resolve(const char *host, const char *service, tni_os_name_fn found, void *arg);

#endif
