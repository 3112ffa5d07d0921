/* SPDX-License-Identifier: MIT */
/* Names of the hosts file. */
#ifndef TNI_HOSTS_H
#define TNI_HOSTS_H

#include <stddef.h>

#include "base/defs.h"

/* The addresses of a name that are used, and the size of one as text. */
#define TNI_HOSTS_MAX 16
#define TNI_HOSTS_TEXT 60

typedef struct {
    unsigned rank; /* tni_os_address_rank */
    char text[TNI_HOSTS_TEXT];
} tni_hosts_address;

/* The best one first. */
typedef struct {
    unsigned count;
    tni_hosts_address addresses[TNI_HOSTS_MAX];
} tni_hosts_found;

/* Looks the name up in the hosts file, if the name service switch asks that file first. It occupies no thread of the class for
 * names. 0: found->count may be 0; TN_ECANCELED, TN_ETIMEDOUT. Suspends. */
int tni_hosts_find(const char *host, tni_hosts_found *found);

/* The two steps of that, on text that ends with a zero: whether "files" is the first source of hosts, and what the hosts file
 * has. */
bool tni_hosts_are_first(const char *nsswitch);
void tni_hosts_search(const char *text, const char *host, tni_hosts_found *found);

#endif
