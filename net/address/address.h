/* SPDX-License-Identifier: MIT */
/* Socket addresses, and their conversion from and to text. */
#ifndef TNI_ADDRESS_H
#define TNI_ADDRESS_H

#include <tn/net.h>

#include "base/log.h"
#include "os/os_socket.h"

typedef struct {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } socket;
    socklen_t length; /* bytes of `socket` that are used; 0: none */
} tni_address;

/* What an address is used for. Port 0 and "*" are valid only for listening. */
typedef enum { TNI_TO_LISTEN, TNI_TO_CONNECT } tni_purpose;

/* Parses "127.0.0.1:7000", "[::1]:7000", "[fe80::1%eth0]:7000" (or the interface's number), and for listening "*:7000": every
 * address, as IPv6. Returns 0, or TN_EINVAL after a line in `log` that says what is wrong and what to write instead. */
int tni_address_parse_tcp(tni_address *out, const char *text, tni_purpose purpose, const tni_log *log);

/* Returns whether the text before the last ':' is a name and not a number, so that it must be resolved. If so, `host` (of
 * `size` bytes) receives the name, and `*port` points to the text of the port, which may also be a name. */
bool tni_address_is_name(const char *text, char *host, size_t size, const char **port);

/* Parses the path of a Unix socket; "@name" is an abstract socket. Errors: see tni_address_parse_tcp. */
int tni_address_parse_unix(tni_address *out, const char *path, const tni_log *log);

/* Makes the address of all IPv4 interfaces with the port of `v6`: the meaning of "*" on a machine without IPv6. */
void tni_address_any_v4(tni_address *out, const tni_address *v6);

/* Writes the text that the parsers take; "" for an unnamed socket. An IPv4-mapped IPv6 address is written as IPv4. */
void tni_address_print(const tni_address *address, char buf[TN_ADDRESS_SIZE]);

bool tni_address_equal(const tni_address *a, const tni_address *b);

#endif
