/* SPDX-License-Identifier: MIT */
/* Which socket is bound to which address; paths of Unix sockets; names of hosts. */
#ifndef TNI_SIM_NAMES_H
#define TNI_SIM_NAMES_H

#include "sim/sim_socket.h"

/* The socket that listens at the address; of several, the seed chooses. NULL: none. */
tni_sim_socket *tni_sim_names_listener(const tni_sim_address *address);

/* All return 0 or a negative errno value. */
int tni_sim_names_bind(tni_sim_socket *socket, const tni_sim_address *address);
/* Gives a socket that is not bound the address of a client of `socket->peer`, and replaces "any" there. */
int tni_sim_names_choose_source(tni_sim_socket *socket);

void tni_sim_names_unbind(tni_sim_socket *socket);

/* The number of the file at a path; 0: there is none. */
uint64_t tni_sim_names_path_number(const tni_sim_address *address);
/* False: there is none. */
bool tni_sim_names_path_remove(const tni_sim_address *address);

/* The addresses of a host's name, by index. NULL: there are no more. */
const tni_sim_address *tni_sim_names_host(const char *host, unsigned index);

#endif
