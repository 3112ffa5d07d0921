/* SPDX-License-Identifier: MIT */
/* A table of links by host. A host without a link gets one when its first connection begins, or when it is cut before that; the
 * seed chooses the delays at the first connection. */
#include "sim/sim_link.h"

#include <tn/sim.h>

#include "base/options.h"
#include "sim/sim_choice.h"

#define LINKS_MAX 64
#define DRAWN_MAX_NS (UINT64_C(4) * 1000000)

struct tni_sim_link {
    tni_sim_address host;
    tn_sim_link way;
    bool chosen; /* `way` is that of tn_sim_set_link, or the seed has chosen it */
    bool cut;
};

static tni_sim_link links[LINKS_MAX];
static unsigned link_count;

static tni_sim_link *find(const tni_sim_address *host)
{
    for (unsigned i = 0; i < link_count; i++)
        if (tni_sim_address_same_ip(&links[i].host, host))
            return &links[i];
    return NULL;
}

static tni_sim_link *add(const tni_sim_address *host)
{
    tni_sim_link *link = find(host);

    if (link != NULL || link_count == LINKS_MAX)
        return link;
    link = &links[link_count++];
    link->host = *host;
    link->way = tn_sim_link_default();
    return link;
}

tni_sim_link *tni_sim_link_of(const tni_sim_address *host)
{
    tni_sim_link *link = add(host);

    if (link == NULL)
        return &links[LINKS_MAX - 1]; /* too many hosts: they share it */
    if (!link->chosen && tni_sim_choice_below(TNI_SIM_LATENCY, 4) != 0) {
        link->way.latency_ns = tni_sim_choice_scale(TNI_SIM_LATENCY, DRAWN_MAX_NS);
        link->way.jitter_ns = tni_sim_choice_scale(TNI_SIM_LATENCY, link->way.latency_ns);
    }
    link->chosen = true;
    return link;
}

uint64_t tni_sim_link_latency_ns(const tni_sim_link *link)
{
    uint64_t ns = link->way.latency_ns;

    if (link->way.jitter_ns > 0)
        ns += (tni_sim_choice_bits(TNI_SIM_LATENCY) >> 32) * (link->way.jitter_ns & UINT32_MAX) >> 32;
    return ns;
}

uint64_t tni_sim_link_busy_ns(const tni_sim_link *link, size_t bytes)
{
    return link->way.bytes_per_second > 0 ? bytes * UINT64_C(1000000000) / link->way.bytes_per_second : 0;
}

bool tni_sim_link_is_cut(const tni_sim_link *link)
{
    return link->cut;
}

int tn_sim_set_link(const char *host, const tn_sim_link *link)
{
    tn_sim_link way = tn_sim_link_default();
    tni_sim_address address;
    tni_sim_link *found;
    int rc = tni_options_read(&way, bytes_per_second, link, NULL, "tn_sim_set_link");

    if (rc != 0)
        return rc;
    if (!tni_sim_address_parse(&address, host) || way.jitter_ns > UINT32_MAX)
        return TN_EINVAL;
    found = add(&address);
    if (found == NULL)
        return TN_ENOMEM;
    found->way = way;
    found->chosen = true;
    return 0;
}

int tn_sim_cut_link(const char *host, bool cut)
{
    tni_sim_address address;
    tni_sim_link *found;

    if (!tni_sim_address_parse(&address, host))
        return TN_EINVAL;
    found = add(&address);
    if (found == NULL)
        return TN_ENOMEM;
    found->cut = cut;
    return 0;
}
