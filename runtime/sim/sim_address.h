/* SPDX-License-Identifier: MIT */
/* Socket addresses of the simulated network. An IPv4 address is kept as an IPv4-mapped IPv6 address. */
#ifndef TNI_SIM_ADDRESS_H
#define TNI_SIM_ADDRESS_H

#include "base/defs.h"
#include "os/os_socket.h"

typedef struct {
    int family;    /* AF_INET, AF_INET6, AF_UNIX; AF_UNSPEC: none */
    uint16_t port; /* in the order of this machine */
    uint8_t ip[16];
    uint32_t scope;
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* of a Unix socket */
    socklen_t path_length;                                /* bytes of it; a file's name has no terminator */
} tni_sim_address;

/* False: the kernel would refuse it with EINVAL. */
bool tni_sim_address_read(tni_sim_address *out, const struct sockaddr *from, socklen_t length);

/* As getsockname(2) does it. `family`: that of the socket. */
void tni_sim_address_write(const tni_sim_address *from, int family, struct sockaddr *out, socklen_t *length);

/* A numeric address without a port. */
bool tni_sim_address_parse(tni_sim_address *out, const char *text);

bool tni_sim_address_is_any(const tni_sim_address *address);
bool tni_sim_address_is_v4(const tni_sim_address *address);
bool tni_sim_address_same_ip(const tni_sim_address *a, const tni_sim_address *b);
/* Of Unix sockets. */
bool tni_sim_address_same_path(const tni_sim_address *a, const tni_sim_address *b);

#endif
