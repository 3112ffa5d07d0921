/* SPDX-License-Identifier: MIT */
/* Addresses of sockets and their text. */
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
    socklen_t length; /* of what is in use there; 0: none */
} tni_address;

/* What an address is wanted for: a port 0 and "*" make sense for listening alone. */
typedef enum { TNI_TO_LISTEN, TNI_TO_CONNECT } tni_purpose;

/* "127.0.0.1:7000", "[::1]:7000", "[fe80::1%eth0]:7000" (or the interface's number), and for listening "*:7000": every address,
 * as IPv6. 0; or TN_EINVAL, and `log` got a line that says what is wrong and what to write instead. */
int tni_address_parse_tcp(tni_address *out, const char *text, tni_purpose purpose, const tni_log *log);

/* Is what stands before the last ':' a name, and no number? Then it has to be resolved: host (of `size` bytes) and the port's
 * text, which may be a name too, are answered. */
bool tni_address_is_name(const char *text, char *host, size_t size, const char **port);

/* A path; "@name": the abstract name space. Errors as above. */
int tni_address_parse_unix(tni_address *out, const char *path, const tni_log *log);

/* Every IPv4 address: what "*" means where there is no IPv6. */
void tni_address_any_v4(tni_address *out, const tni_address *v6);

/* The text that the parsers take; "" for an unnamed one. An IPv4 address in IPv6 clothes is written as IPv4. */
void tni_address_print(const tni_address *address, char buf[TN_ADDRESS_SIZE]);

bool tni_address_equal(const tni_address *a, const tni_address *b);

#endif
