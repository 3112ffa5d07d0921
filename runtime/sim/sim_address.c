/* SPDX-License-Identifier: MIT */
/* Conversions of addresses. */
#include "sim/sim_address.h"

#include <string.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

#define PATH_AT offsetof(struct sockaddr_un, sun_path)

static void set_v4(tni_sim_address *out, const void *ip)
{
    memcpy(out->ip, mapped, sizeof mapped);
    memcpy(out->ip + sizeof mapped, ip, 4);
}

static bool read_unix(tni_sim_address *out, const struct sockaddr *from, socklen_t length)
{
    if (length <= PATH_AT)
        return true; /* unnamed */
    if (length > sizeof(struct sockaddr_un))
        return false;
    out->path_length = length - (socklen_t)PATH_AT;
    memcpy(out->path, (const char *)from + PATH_AT, out->path_length);
    if (out->path[0] != '\0')
        out->path_length = (socklen_t)strnlen(out->path, out->path_length);
    return true;
}

bool tni_sim_address_read(tni_sim_address *out, const struct sockaddr *from, socklen_t length)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)from;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)from;

    memset(out, 0, sizeof *out);
    if (length < sizeof from->sa_family)
        return false;
    out->family = from->sa_family;
    switch (out->family) {
    case AF_INET:
        if (length < sizeof *v4)
            return false;
        out->port = ntohs(v4->sin_port);
        set_v4(out, &v4->sin_addr);
        return true;
    case AF_INET6:
        if (length < sizeof *v6)
            return false;
        out->port = ntohs(v6->sin6_port);
        out->scope = v6->sin6_scope_id;
        memcpy(out->ip, &v6->sin6_addr, sizeof out->ip);
        return true;
    case AF_UNIX:
        return read_unix(out, from, length);
    default:
        return false;
    }
}

static void copy_out(const void *from, size_t size, struct sockaddr *out, socklen_t *length)
{
    memcpy(out, from, size < *length ? size : *length);
    *length = (socklen_t)size;
}

void tni_sim_address_write(const tni_sim_address *from, int family, struct sockaddr *out, socklen_t *length)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(from->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(from->port), .sin6_scope_id = from->scope};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    bool terminated = from->path_length > 0 && from->path[0] != '\0';

    switch (family) {
    case AF_INET:
        memcpy(&v4.sin_addr, from->ip + sizeof mapped, sizeof v4.sin_addr);
        copy_out(&v4, sizeof v4, out, length);
        break;
    case AF_INET6:
        memcpy(&v6.sin6_addr, from->ip, sizeof v6.sin6_addr);
        copy_out(&v6, sizeof v6, out, length);
        break;
    default:
        memcpy(un.sun_path, from->path, from->path_length);
        copy_out(&un, PATH_AT + from->path_length + terminated, out, length);
        break;
    }
}

bool tni_sim_address_parse(tni_sim_address *out, const char *text)
{
    struct in_addr v4;

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &v4) == 1) {
        out->family = AF_INET;
        set_v4(out, &v4);
        return true;
    }
    out->family = AF_INET6;
    return inet_pton(AF_INET6, text, out->ip) == 1;
}

bool tni_sim_address_is_v4(const tni_sim_address *address)
{
    return memcmp(address->ip, mapped, sizeof mapped) == 0;
}

bool tni_sim_address_is_any(const tni_sim_address *address)
{
    static const uint8_t none[16];

    return memcmp(address->ip, none, sizeof none) == 0 ||
           (tni_sim_address_is_v4(address) && memcmp(address->ip + 12, none, 4) == 0);
}

bool tni_sim_address_same_ip(const tni_sim_address *a, const tni_sim_address *b)
{
    return memcmp(a->ip, b->ip, sizeof a->ip) == 0 && a->scope == b->scope;
}

bool tni_sim_address_same_path(const tni_sim_address *a, const tni_sim_address *b)
{
    return a->path_length == b->path_length && memcmp(a->path, b->path, a->path_length) == 0;
}
