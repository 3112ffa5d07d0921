/* SPDX-License-Identifier: MIT */
/* The ways between hosts: how long a segment travels, and whether it arrives. */
#ifndef TNI_SIM_LINK_H
#define TNI_SIM_LINK_H

#include "sim/sim_address.h"

typedef struct tni_sim_link tni_sim_link;

/* The link of a host. */
tni_sim_link *tni_sim_link_of(const tni_sim_address *host);

/* How long a segment travels; includes the choice of the seed. */
uint64_t tni_sim_link_latency_ns(const tni_sim_link *link);

/* How long the way is busy with so many bytes. */
uint64_t tni_sim_link_busy_ns(const tni_sim_link *link, size_t bytes);

bool tni_sim_link_is_cut(const tni_sim_link *link);

#endif
