/* SPDX-License-Identifier: MIT */
/* Lists of bound sockets, of paths, and of host names. */
#include "sim/sim_names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <tn/sim.h>

#include "sim/sim_choice.h"

#define PATHS_MAX 64
#define HOSTS_MAX 64
#define NAME_SIZE 64
#define PORT_FIRST 32768
#define PORT_LAST 60999

static TAILQ_HEAD(, tni_sim_socket) bound = TAILQ_HEAD_INITIALIZER(bound);
static uint16_t last_port = PORT_FIRST - 1;

static struct {
    tni_sim_address address;
    uint64_t number; /* 0: free */
} paths[PATHS_MAX];
static uint64_t path_numbers;

static struct {
    char name[NAME_SIZE];
    tni_sim_address address;
} hosts[HOSTS_MAX];
static unsigned host_count;

/* --- Bound sockets ---------------------------------------------------------------------------------------------------------- */

static bool option(const tni_sim_socket *socket, int level, int name)
{
    for (unsigned i = 0; i < socket->option_count; i++)
        if (socket->options[i].level == level && socket->options[i].name == name)
            return socket->options[i].value != 0;
    return false;
}

/* Whether a segment to `address` is for this socket. */
static bool is_for(const tni_sim_socket *socket, const tni_sim_address *address)
{
    bool v4 = tni_sim_address_is_v4(address);

    if (socket->domain == AF_UNIX || address->family == AF_UNIX)
        return socket->domain == address->family && tni_sim_address_same_path(&socket->local, address);
    if (socket->local.port != address->port)
        return false;
    if (!tni_sim_address_is_any(&socket->local))
        return tni_sim_address_same_ip(&socket->local, address);
    return socket->domain == AF_INET ? v4 : !v4 || !option(socket, IPPROTO_IPV6, IPV6_V6ONLY);
}

tni_sim_socket *tni_sim_names_listener(const tni_sim_address *address)
{
    tni_sim_socket *each;
    uint32_t count = 0;
    uint32_t chosen;

    TAILQ_FOREACH(each, &bound, link_bound)
    count += each->state == TNI_SIM_SOCKET_LISTENING && is_for(each, address);
    if (count == 0)
        return NULL;
    chosen = count > 1 ? tni_sim_choice_below(TNI_SIM_WAITER, count) : 0;
    TAILQ_FOREACH(each, &bound, link_bound)
    if (each->state == TNI_SIM_SOCKET_LISTENING && is_for(each, address) && chosen-- == 0)
        break;
    return each;
}

static bool overlaps(const tni_sim_socket *other, const tni_sim_socket *socket, const tni_sim_address *address)
{
    if (other->domain == AF_UNIX || other->local.port != address->port)
        return false;
    if (option(other, SOL_SOCKET, SO_REUSEPORT) && option(socket, SOL_SOCKET, SO_REUSEPORT))
        return false;
    return tni_sim_address_is_any(&other->local) || tni_sim_address_is_any(address) ||
           tni_sim_address_same_ip(&other->local, address);
}

static bool is_taken(const tni_sim_socket *socket, const tni_sim_address *address)
{
    const tni_sim_socket *each;

    TAILQ_FOREACH(each, &bound, link_bound)
    if (overlaps(each, socket, address))
        return true;
    return false;
}

/* A port that no listener has. Clients are not in the list: their ports may be used twice, to different peers. */
static uint16_t choose_port(const tni_sim_socket *socket, tni_sim_address *address)
{
    for (unsigned tries = 0; tries <= PORT_LAST - PORT_FIRST; tries++) {
        last_port = last_port == PORT_LAST ? PORT_FIRST : (uint16_t)(last_port + 1);
        address->port = last_port;
        if (!is_taken(socket, address))
            return last_port;
    }
    return 0;
}

static int bind_path(const tni_sim_address *address)
{
    unsigned free = PATHS_MAX;

    for (unsigned i = 0; i < PATHS_MAX; i++) {
        if (paths[i].number == 0)
            free = i;
        else if (tni_sim_address_same_path(&paths[i].address, address))
            return -EADDRINUSE;
    }
    if (free == PATHS_MAX)
        return -ENOSPC;
    paths[free].address = *address;
    paths[free].number = ++path_numbers;
    return 0;
}

static int bind_unix(const tni_sim_socket *socket)
{
    const tni_sim_socket *each;

    if (socket->local.path[0] != '\0')
        return bind_path(&socket->local);
    TAILQ_FOREACH(each, &bound, link_bound)
    if (is_for(each, &socket->local))
        return -EADDRINUSE;
    return 0;
}

int tni_sim_names_bind(tni_sim_socket *socket, const tni_sim_address *address)
{
    int rc = 0;

    if (socket->bound || address->family != socket->domain)
        return -EINVAL;
    socket->local = *address;
    if (socket->domain == AF_UNIX)
        rc = bind_unix(socket);
    else if (address->port == 0)
        rc = choose_port(socket, &socket->local) != 0 ? 0 : -EADDRINUSE;
    else if (is_taken(socket, address))
        rc = -EADDRINUSE;
    if (rc != 0)
        return rc;
    socket->bound = true;
    TAILQ_INSERT_TAIL(&bound, socket, link_bound);
    return 0;
}

int tni_sim_names_choose_source(tni_sim_socket *socket)
{
    static const uint8_t v4_loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    static const uint8_t v6_loopback[16] = {[15] = 1};

    if (tni_sim_address_is_any(&socket->peer))
        memcpy(socket->peer.ip, tni_sim_address_is_v4(&socket->peer) ? v4_loopback : v6_loopback, sizeof socket->peer.ip);
    if (socket->bound)
        return 0;
    socket->local.family = socket->domain;
    memcpy(socket->local.ip, tni_sim_address_is_v4(&socket->peer) ? v4_loopback : v6_loopback, sizeof socket->local.ip);
    return choose_port(socket, &socket->local) != 0 ? 0 : -EADDRNOTAVAIL;
}

void tni_sim_names_unbind(tni_sim_socket *socket)
{
    const tni_sim_socket *each;

    TAILQ_FOREACH(each, &bound, link_bound)
    if (each == socket) {
        TAILQ_REMOVE(&bound, socket, link_bound);
        return;
    }
}

/* --- Paths ------------------------------------------------------------------------------------------------------------------ */

uint64_t tni_sim_names_path_number(const tni_sim_address *address)
{
    for (unsigned i = 0; i < PATHS_MAX; i++)
        if (paths[i].number != 0 && tni_sim_address_same_path(&paths[i].address, address))
            return paths[i].number;
    return 0;
}

bool tni_sim_names_path_remove(const tni_sim_address *address)
{
    for (unsigned i = 0; i < PATHS_MAX; i++)
        if (paths[i].number != 0 && tni_sim_address_same_path(&paths[i].address, address)) {
            paths[i].number = 0;
            return true;
        }
    return false;
}

/* --- Names of hosts --------------------------------------------------------------------------------------------------------- */

/* Before the first use: what every machine knows. */
static void add_usual(void)
{
    host_count = 2;
    (void)snprintf(hosts[0].name, NAME_SIZE, "localhost");
    (void)tni_sim_address_parse(&hosts[0].address, "::1");
    hosts[1] = hosts[0];
    (void)tni_sim_address_parse(&hosts[1].address, "127.0.0.1");
}

int tn_sim_add_name(const char *name, const char *address)
{
    tni_sim_address parsed;

    if (host_count == 0)
        add_usual();
    if (strlen(name) >= NAME_SIZE || !tni_sim_address_parse(&parsed, address))
        return TN_EINVAL;
    if (host_count == HOSTS_MAX)
        return TN_ENOMEM;
    (void)snprintf(hosts[host_count].name, NAME_SIZE, "%s", name);
    hosts[host_count++].address = parsed;
    return 0;
}

const tni_sim_address *tni_sim_names_host(const char *host, unsigned index)
{
    if (host_count == 0)
        add_usual();
    for (unsigned i = 0; i < host_count; i++)
        if (strcasecmp(hosts[i].name, host) == 0 && index-- == 0)
            return &hosts[i].address;
    return NULL;
}
